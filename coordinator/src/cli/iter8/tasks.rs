//! What each task of an experiment does.

use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::run::{Runner, log};
use super::store::Interval;
use super::{Failure, exit, iter8_failure, runtime};
use crate::cli::carry::{Carried, carry_out as carry_load_out};
use crate::cli::run::{self, ReportFlags};
use crate::iter8::load::{LoadTask, MetadataSource};
use crate::iter8::task::{CustomMetrics, Notify, Payload, Ready};
use crate::iter8::{Bucket, LoadPlan, MetricMeta, MetricType, Protocol, Task, assess, notify};
use crate::outside::fetch::{self, Fetch};
use crate::outside::provider::{self, MetricKind};
use crate::outside::ready::{self, Condition};
use crate::report::model::RunVerdict;
use crate::results::Totals;
use crate::slo::confidence::quantile_interval;
use crate::spec::{self, Draft, LoadTest};
use loadgrid_proto::histogram::{highest, lowest};

/// Buckets of a stored histogram: as many as a plot can show.
const BUCKETS_MAX: usize = 60;

pub(super) fn carry_out(runner: &mut Runner, index: usize, task: Task) -> Result<(), Failure> {
    match task {
        Task::Ready(ready) => self::ready(runner, index, &ready),
        Task::Http(load) | Task::Grpc(load) => self::load(runner, load),
        Task::Assess(objectives) => {
            let insights = runner.experiment.result_mut().insights.as_mut();
            let lines = assess::assess(insights, &objectives).map_err(|error| iter8_failure(&error))?;
            lines.iter().for_each(|line| runner.log(line));
            Ok(())
        }
        Task::CustomMetrics(custom) => custom_metrics(runner, &custom),
        Task::Notify(notice) => self::notify(runner, &notice),
        Task::Run(script) => self::script(runner, &script),
    }
}

/// A load's document as YAML.
pub(super) fn yaml(plan: &LoadPlan) -> Result<String, Failure> {
    serde_saphyr::to_string(&plan.document).map_err(Failure::not_carried_out)
}

fn test(plan: &LoadPlan) -> Result<LoadTest, Failure> {
    let text = yaml(plan)?;
    spec::load(Some((&plan.prefix, &text)), Draft::default()).map_err(|error| iter8_failure(&error))
}

/// Without a cluster to ask: the targets of the loads that follow take connections.
fn ready(runner: &Runner, index: usize, ready: &Ready) -> Result<(), Failure> {
    let mut conditions = Vec::new();
    for later in index + 1..runner.experiment.spec.len() {
        let task = runner.experiment.task(later).map_err(|error| iter8_failure(&error))?;
        let (Task::Http(load) | Task::Grpc(load)) = task else { continue };
        for plan in &load.loads {
            for request in &test(plan)?.requests {
                let (host, port) = request.connects_to();
                let condition = Condition::Tcp { host: host.to_owned(), port };
                conditions.push(ready::Ready { condition, timeout_ns: ready.timeout_ns });
            }
        }
    }
    conditions.dedup();
    let names: Vec<String> = conditions.iter().map(|ready| ready.condition.to_string()).collect();
    log(
        "warning",
        &format!(
            "ready: no cluster is asked for {} '{}'; waiting for {} instead",
            ready.resource,
            ready.name,
            if names.is_empty() { "nothing: no load follows".to_owned() } else { names.join(", ") }
        ),
    );
    let waited = runtime()?.block_on(ready::wait(&conditions, |news| runner.log(news)));
    waited.map(|_| ()).map_err(|error| iter8_failure(&error))
}

/// A single load that fails fails the task; of several endpoints the failing ones are left out, as in Iter8.
fn load(runner: &mut Runner, load: LoadTask) -> Result<(), Failure> {
    let alone = load.loads.len() == 1;
    for mut plan in load.loads {
        plan.warnings.iter().for_each(|warning| log("warning", warning));
        let measured = one_load(runner, &mut plan);
        let carried = match measured {
            Ok(carried) => carried,
            Err(failure) if alone || failure.code == exit::INTERRUPTED => return Err(failure),
            Err(failure) => {
                log("error", &format!("{}: left out: {}", plan.prefix, failure.message));
                continue;
            }
        };
        // What is left of an interrupted load is a part of it, and no result.
        if carried.report.exit_code == exit::INTERRUPTED {
            let message = format!("{}: interrupted", plan.prefix);
            return Err(Failure { code: exit::INTERRUPTED, message });
        }
        if load.warmup {
            continue;
        }
        let path = runner.store.keep(&plan.prefix, &carried.report)?;
        runner.store.keep_intervals(&plan.prefix, &intervals(&plan, &carried))?;
        runner.log(&format!("{}: loadgrid's own report is {}", plan.prefix, path.display()));
        if carried.report.verdict == RunVerdict::Invalid {
            let why = carried.report.reasons.join("; ");
            return Err(iter8_failure(&format!("{}: the run is no measurement of the target: {why}", plan.prefix)));
        }
        record(runner, &plan, &carried)?;
    }
    Ok(())
}

fn one_load(runner: &Runner, plan: &mut LoadPlan) -> Result<Carried, Failure> {
    let fetched = match &plan.metadata {
        None => None,
        Some(MetadataSource::File(path)) => {
            Some(std::fs::read_to_string(path).map_err(|error| iter8_failure(&format!("{path}: {error}")))?)
        }
        Some(MetadataSource::Url(url)) => {
            let bytes = fetch::get_once(url).map_err(|error| iter8_failure(&error))?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
    };
    if let Some(text) = fetched {
        plan.set_metadata(&text).map_err(|error| iter8_failure(&error))?;
    }
    let test = test(plan)?;
    if plan.initial_check {
        first_request(&test)?;
    }
    let report = ReportFlags::quiet(runner.how.quiet);
    carry_load_out(run::prepare(test, &runner.how.grid, &report)?)
}

/// Iter8 sends one request beforehand, and no load unless it is answered with 2xx or 418.
fn first_request(test: &LoadTest) -> Result<(), Failure> {
    let Some((request, url)) = test.requests.first().zip(test.urls.first()) else { return Ok(()) };
    let exchange = Fetch {
        method: request.method.clone(),
        headers: request.headers.clone(),
        body: (!request.body.is_empty()).then(|| request.body.clone()),
        timeout: Duration::from_nanos(test.timeout_ns),
        ..Fetch::get(url.as_str())
    };
    let answer = fetch::status(&exchange).map_err(|error| iter8_failure(&error))?;
    if answer.is_success() || answer.status == 418 {
        return Ok(());
    }
    Err(iter8_failure(&format!(
        "error {} for {url} ({} bytes): set allowInitialErrors to load it all the same",
        answer.status,
        answer.body.len()
    )))
}

fn record(runner: &mut Runner, plan: &LoadPlan, carried: &Carried) -> Result<(), Failure> {
    let totals = &carried.totals;
    let count = totals.ended() as f64;
    let ms = |ns: f64| ns / 1e6;
    let summary = totals.latency.summary();
    let mut values = vec![("request-count".to_owned(), count), ("error-count".to_owned(), totals.errors as f64)];
    if count > 0.0 {
        values.push(("error-rate".to_owned(), totals.errors as f64 / count));
        let named = |statistic: &str, value: f64| (plan.protocol.latency(statistic), value);
        values.push(named("mean", ms(summary.mean().unwrap_or(0.0))));
        values.push(named("stddev", ms(summary.stddev().unwrap_or(0.0))));
        values.push(named("min", ms(summary.min as f64)));
        values.push(named("max", ms(summary.max as f64)));
        for percentile in &plan.percentiles {
            if let Some(ns) = totals.latency.quantile(percentile / 100.0) {
                values.push(named(&format!("p{percentile}"), ms(ns as f64)));
            }
        }
    }
    let values: Vec<(&str, f64)> = values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let histogram = buckets(totals);
    let insights = runner.experiment.insights_mut();
    let recorded = match plan.protocol {
        Protocol::Http => insights.record_http(&plan.prefix, &values, &histogram),
        Protocol::Grpc => insights.record_grpc(&plan.prefix, &values, &histogram),
    };
    recorded.map_err(|error| iter8_failure(&error))
}

/// The interval of each percentile that was measured: (metric, low, high), ms.
fn intervals(plan: &LoadPlan, carried: &Carried) -> Vec<Interval> {
    let interval = |percentile: &f64| {
        let found = quantile_interval(&carried.totals.latency, &carried.blocks, percentile / 100.0)?;
        let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e6);
        let metric = format!("{}/{}", plan.prefix, plan.protocol.latency(&format!("p{percentile}")));
        Some((metric, ms(found.low), ms(found.high)))
    };
    plan.percentiles.iter().filter_map(interval).collect()
}

/// The histogram of latency in ms, neighbours put together until it can be shown.
fn buckets(totals: &Totals) -> Vec<Bucket> {
    let recorded = totals.latency.to_recorded();
    let all: Vec<(usize, u64)> = recorded.buckets().collect();
    let per = all.len().div_ceil(BUCKETS_MAX).max(1);
    let bucket = |group: &[(usize, u64)]| {
        let (first, last) = (group.first()?, group.last()?);
        let count = group.iter().map(|(_, count)| count).sum();
        Some(Bucket { lower: lowest(first.0) as f64 / 1e6, upper: (highest(last.0) + 1) as f64 / 1e6, count })
    };
    all.chunks(per).filter_map(bucket).collect()
}

/// Metrics of other providers, one value for each version. What can't be had is missing, and said.
fn custom_metrics(runner: &mut Runner, custom: &CustomMetrics) -> Result<(), Failure> {
    let started = runner.experiment.result.as_ref().and_then(|result| result.start_time);
    let now = jiff::Timestamp::now();
    runner.experiment.insights_mut().versions(custom.versions.len()).map_err(|error| iter8_failure(&error))?;
    for (name, url) in &custom.templates {
        let template = text(url)?;
        for (version, values) in custom.versions.iter().enumerate() {
            let given = values.get("startingTime").and_then(Value::as_str).map(str::parse::<jiff::Timestamp>);
            let start = match given {
                Some(Ok(start)) => start,
                Some(Err(error)) => return Err(iter8_failure(&format!("custommetrics: startingTime: {error}"))),
                None => started.unwrap_or(now),
            };
            let elapsed = (now.as_second() - start.as_second()).max(0);
            let mut values: Map<String, Value> = values.clone();
            values.insert("elapsedTimeSeconds".to_owned(), json!(elapsed));
            let provider = provider::iter8_provider(&template, &Value::Object(values))
                .map_err(|error| iter8_failure(&format!("custommetrics: {name}: {error}")))?;
            let times = provider::Times {
                start_unix: start.as_second().unsigned_abs(),
                end_unix: now.as_second().unsigned_abs(),
            };
            let answers = runtime()?.block_on(provider::query(&provider, times));
            for (metric, (own, answer)) in provider.metrics.iter().zip(answers) {
                let full = format!("{name}/{own}");
                match answer {
                    Ok(value) => {
                        let kind = match metric.kind {
                            MetricKind::Counter => MetricType::Counter,
                            MetricKind::Gauge => MetricType::Gauge,
                        };
                        let (description, units) = (metric.description.clone(), metric.unit.clone());
                        let meta = MetricMeta { description, units, kind };
                        let insights = runner.experiment.insights_mut();
                        insights.record_scalar(version, &full, meta, value).map_err(|error| iter8_failure(&error))?;
                    }
                    Err(why) => log("warning", &format!("custommetrics: {full}: missing: {why}")),
                }
            }
        }
    }
    Ok(())
}

/// A template by URL, or from a file.
fn text(place: &str) -> Result<String, Failure> {
    let bytes = if place.contains("://") && !place.starts_with("file://") {
        fetch::get_once(place).map_err(|error| iter8_failure(&error))?
    } else {
        let path = place.trim_start_matches("file://");
        std::fs::read(path).map_err(|error| iter8_failure(&format!("{path}: {error}")))?
    };
    String::from_utf8(bytes).map_err(|_| iter8_failure(&format!("{place}: no text")))
}

fn notify(runner: &Runner, task: &Notify) -> Result<(), Failure> {
    let sent = compose(runner, task).and_then(|notice| {
        runtime()?.block_on(crate::outside::notify::send(&notice)).map_err(|error| iter8_failure(&error))
    });
    match sent {
        Err(failure) if task.soft_failure => {
            log("warning", &format!("notify: not delivered: {}", failure.message));
            Ok(())
        }
        other => other,
    }
}

fn compose(runner: &Runner, task: &Notify) -> Result<crate::outside::notify::Notice, Failure> {
    let secret = |text: &String| spec::secret::resolve(text).map_err(|error| iter8_failure(&error));
    let pairs = |pairs: &[(String, String)]| -> Result<Vec<(String, String)>, Failure> {
        pairs.iter().map(|(name, value)| Ok((name.clone(), secret(value)?))).collect()
    };
    let report = notify::report(&runner.experiment, jiff::Timestamp::now()).map_err(|error| iter8_failure(&error))?;
    let template = match &task.payload {
        Payload::Template(url) => text(url)?,
        _ => String::new(),
    };
    let body = notify::body(&task.payload, &template, &report).map_err(|error| iter8_failure(&error))?;
    Ok(crate::outside::notify::Notice {
        url: secret(&task.url)?,
        method: task.method.clone(),
        headers: pairs(&task.headers)?,
        params: pairs(&task.params)?,
        body,
    })
}

/// A script of the experiment's, if scripts are allowed.
fn script(runner: &Runner, script: &str) -> Result<(), Failure> {
    if !runner.how.allow_run {
        return Err(iter8_failure(&"a run item executes a script: allow it with --allow-run"));
    }
    let status = Command::new("/bin/bash")
        .arg("-c")
        .arg(script)
        .env("TEMP_DIR", std::env::temp_dir())
        .status()
        .map_err(|error| iter8_failure(&format!("the script can't be started: {error}")))?;
    if status.success() { Ok(()) } else { Err(iter8_failure(&format!("the script ended with {status}"))) }
}
