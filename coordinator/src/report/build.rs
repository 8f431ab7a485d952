//! A run's state to its report: the figures, the verdict, the exit code.

mod timeline;

use std::collections::BTreeMap;

use loadgrid_proto::Recorded;
use loadgrid_proto::histogram::Histogram;
use loadgrid_worker::client::grpc::code_name;
use loadgrid_worker::client::secure::Version;
use loadgrid_worker::schedule::{Arrivals, Stage};

use self::timeline::{blocks, by_second, spectrum, timeline};
use super::hdr;
use super::model::{
    Check, Connections, Distribution, Gate, Histograms, Interval, Load, Outside, Ready, Report, Request,
    RequestHistograms, RunVerdict, SCHEMA, Shown, Slo, Validity, Worker,
};
use crate::grid::{MemberState, RunState, StopReason};
use crate::results::audit::{self, Circumstances, Finding, State};
use crate::results::coverage::{COVERAGE_MIN, Coverage};
use crate::results::{Results, Totals, Which, WorkerResults};
use crate::slo::confidence::quantile_interval;
use crate::slo::evaluate::{self, Judgement, Verdict};
use crate::slo::{Comparison, Group, Part, Statistic};
use crate::spec::CONNECTIONS_CLOSED;
use crate::spec::units::show_ns;

const NS: f64 = 1e9;

/// A run that ends within this share of its planned length has its planned length: the last answers take a moment.
const OVERRUN: f64 = 0.01;
const OVERRUN_NS: u64 = 250_000_000;

/// The quantiles that get an interval in the report, with their names in it.
const INTERVALS: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99_9", 0.999), ("p99_99", 0.9999)];

/// What the report needs beside the state.
#[derive(Clone, Debug)]
pub struct Circumstance {
    pub started_at: String,
    /// `false` judges point estimates.
    pub confidence: bool,
    /// What was waited for.
    pub ready: Vec<Ready>,
    /// What providers said of their metrics.
    pub outside: Vec<Outside>,
}

/// The report of a run.
///
/// # Errors
/// A histogram that can't be encoded: a sentence for people.
pub fn build(state: &RunState, circumstance: &Circumstance) -> Result<Report, String> {
    let test = &state.plan.test;
    let results = &state.results;
    let total = results.totals(&Which::All, false);
    let coverage = Coverage::of(results);
    let load = load(state, &coverage);
    let outside = circumstance.outside.iter().map(|metric| {
        let value = metric.value.ok_or_else(|| metric.error.clone().unwrap_or_else(|| "no value".to_owned()));
        (metric.metric.clone(), value)
    });
    let outside = outside.collect();
    let context = evaluate::Context {
        requests: test.groups(),
        outside: &outside,
        seconds: load.duration,
        confidence: circumstance.confidence,
        max_wait_ns: test.max_wait_ns,
    };
    let mut judgements = evaluate::judge(&test.slos, results, &context);
    if matches!(&state.stopped, Some(reason) if !matches!(reason, StopReason::LostCause(_))) {
        // What is missing may have come later: its absence is the stop's doing.
        for judgement in judgements.iter_mut().filter(|judgement| judgement.observed.is_none()) {
            judgement.verdict = Verdict::Inconclusive;
            judgement.note = Some("the run was stopped before anything of it was measured".to_owned());
        }
    }
    let open_loop = state.plan.is_open_loop();
    let findings = audit::audit(
        results,
        Circumstances { open_loop, stopped: state.stopped.is_some(), end_ns: test.load.duration_ns() },
    );
    let validity = match audit::worst(&findings) {
        State::Ok => Validity::Valid,
        State::Degraded => Validity::Degraded,
        State::Invalid => Validity::Invalid,
    };
    let (verdict, reasons) = verdict(state, &judgements, &findings, &coverage);
    let (requests, histograms) = by_request(state)?;
    let total_blocks = results.timeline.blocks(Part::Latency, &Which::All);
    Ok(Report {
        schema: SCHEMA.to_owned(),
        loadgrid: env!("CARGO_PKG_VERSION").to_owned(),
        run: state.plan.run.clone(),
        test: test.name.clone(),
        started_at: circumstance.started_at.clone(),
        exit_code: exit_code(state, verdict),
        confidence: circumstance.confidence,
        verdict,
        reasons,
        validity,
        load,
        total: Request { weight: 0, ..request_model(&total, &total_blocks) },
        requests,
        slos: judgements.iter().map(|judgement| slo(judgement, verdict, doubt(state, &coverage).as_deref())).collect(),
        audit: findings.into_iter().map(gate).collect(),
        workers: workers(results, open_loop),
        timeline: timeline(state),
        connections: connections(results),
        histograms: Histograms {
            encoding: hdr::ENCODING.to_owned(),
            requests: histograms,
            latency_by_second: by_second(state)?,
            latency_spectrum: spectrum(&total.latency),
            service_time_spectrum: spectrum(&total.service_time),
            blocks: blocks(state)?,
        },
        ready: circumstance.ready.clone(),
        outside: circumstance.outside.clone(),
        notes: notes(state),
        versions: None,
    })
}

fn workers(results: &Results, open_loop: bool) -> Vec<Worker> {
    let mut workers: Vec<_> = results.workers.values().map(|worker| self::worker(worker, open_loop)).collect();
    workers.sort_by(|a, b| a.id.cmp(&b.id));
    workers
}

fn connections(results: &Results) -> Connections {
    let health = || results.workers.values().map(|worker| &worker.health);
    Connections {
        opened: health().map(|health| health.connections_opened).sum(),
        unsolicited: health().map(|health| health.unsolicited).sum(),
        connect_time: distribution(&results.connect_time),
        handshake_time: distribution(&results.handshake_time),
        retried: health().map(|health| health.retried).sum(),
        goaways: health().map(|health| health.goaways).sum(),
    }
}

/// What the figures do not say by themselves.
fn notes(state: &RunState) -> Vec<String> {
    let test = &state.plan.test;
    let unverified: Vec<&str> = test
        .requests
        .iter()
        .filter(|request| request.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify))
        .map(|request| request.name.as_str())
        .collect();
    let mut notes = Vec::new();
    if !unverified.is_empty() {
        notes.push(format!("certificates were not verified (insecureSkipVerify): {}", unverified.join(", ")));
    }
    let dropped = state.results.totals(&Which::Of(test.follow_ups()), false).dropped;
    if dropped > 0 {
        notes.push(format!("{dropped} steps that were to follow others waited too long for a connection: never sent"));
    }
    let followed = state.results.followed();
    if followed > 0 {
        notes.push(format!(
            "{followed} steps followed others: sent beside the plan, each from the end of the one before"
        ));
    }
    notes
}

/// How a request goes over the wire, for people.
fn protocol(request: &loadgrid_worker::client::request::Request) -> String {
    let secure = if request.tls.is_some() { " over TLS" } else { "" };
    match &request.grpc {
        Some(grpc) => format!("gRPC {}{secure}", grpc.kind.name()),
        None => format!("HTTP/{}{secure}", request.version.name()),
    }
}

type ByName<T> = BTreeMap<String, T>;

/// Each request's figures, and its histograms, by name.
fn by_request(state: &RunState) -> Result<(ByName<Request>, ByName<RequestHistograms>), String> {
    let (test, results) = (&state.plan.test, &state.results);
    let mut requests = BTreeMap::new();
    let mut histograms = BTreeMap::new();
    for (number, (request, url)) in test.requests.iter().zip(&test.urls).enumerate() {
        let which = Which::one(number as u32);
        let totals = results.totals(&which, false);
        let blocks = results.timeline.blocks(Part::Latency, &which);
        let mut model = request_model(&totals, &blocks);
        model.protocol = protocol(request);
        model.group = if request.grpc.is_some() { Group::Grpc } else { Group::Http }.name().to_owned();
        let captures = request.captures.iter().map(|capture| {
            let name = test.captures.get(capture.into).map_or("", String::as_str);
            format!("capture {name}: {}", capture.from)
        });
        model.checks = request
            .checks
            .iter()
            .map(ToString::to_string)
            .chain(captures)
            .enumerate()
            .map(|(place, check)| Check {
                check,
                failed: totals.failed_checks.get(&(place as u32)).copied().unwrap_or(0),
            })
            .collect();
        (model.method, model.url, model.weight) = (request.method.clone(), url.clone(), request.weight);
        histograms.insert(request.name.clone(), request_histograms(&totals)?);
        requests.insert(request.name.clone(), model);
    }
    Ok((requests, histograms))
}

/// The run's verdict and why. It fails closed: whatever is in doubt is not a pass.
fn verdict(
    state: &RunState,
    judgements: &[Judgement],
    findings: &[Finding],
    coverage: &Coverage,
) -> (RunVerdict, Vec<String>) {
    let mut reasons: Vec<String> =
        state.stopped.iter().map(|reason| format!("the run was stopped: {reason}")).collect();
    let invalid: Vec<String> = findings
        .iter()
        .filter(|finding| finding.state == State::Invalid)
        .map(|finding| format!("{}: {}. {}", finding.gate, finding.saw, finding.means))
        .collect();
    if !invalid.is_empty() {
        reasons.extend(invalid);
        return (RunVerdict::Invalid, reasons);
    }
    let mut verdict = RunVerdict::Pass;
    let failed = judgements.iter().filter(|judgement| judgement.verdict == Verdict::Fail).count();
    let open = judgements.iter().filter(|judgement| judgement.verdict == Verdict::Inconclusive).count();
    if failed > 0 {
        verdict = RunVerdict::Fail;
        reasons.push(format!("{failed} of {} objectives failed", judgements.len()));
    }
    reasons.extend(errors_nobody_looks_at(state, judgements));
    if coverage.completed == 0 && coverage.cancelled == 0 {
        verdict = RunVerdict::Fail;
        reasons.push("no request succeeded".to_owned());
    }
    let mut in_doubt = Vec::new();
    if open > 0 {
        in_doubt.push(format!("{open} of {} objectives are not settled by this sample", judgements.len()));
    }
    if coverage.share() < COVERAGE_MIN {
        in_doubt.push(format!(
            "coverage is {:.2}% of the plan, under {:.1}%",
            coverage.share() * 100.0,
            COVERAGE_MIN * 100.0
        ));
    }
    let lost: Vec<String> = lost_with_reason(state).collect();
    if !lost.is_empty() {
        in_doubt.push(format!("lost with its results: {}", lost.join(", ")));
    }
    for worker in results_left_early(state) {
        in_doubt.push(format!("{worker} left before the end"));
    }
    // A lost cause is settled; any other early end leaves the rest of the plan untried.
    if matches!(&state.stopped, Some(reason) if !matches!(reason, StopReason::LostCause(_))) {
        in_doubt.push("the plan was not carried out to its end".to_owned());
    }
    if matches!(state.stopped, Some(StopReason::LostCause(_))) {
        verdict = RunVerdict::Fail;
    }
    if verdict == RunVerdict::Pass && !in_doubt.is_empty() {
        verdict = RunVerdict::Inconclusive;
    }
    reasons.extend(in_doubt);
    (verdict, reasons)
}

/// Errors of requests that no objective on errors covers.
fn errors_nobody_looks_at(state: &RunState, judgements: &[Judgement]) -> Option<String> {
    let groups = state.plan.test.groups();
    let covered: Vec<Which> = judgements
        .iter()
        .filter(|j| matches!(j.slo.metric.statistic, Statistic::ErrorRate | Statistic::ErrorCount))
        .map(|judgement| evaluate::which(&judgement.slo.metric, &groups))
        .collect();
    let numbers = (0..groups.len() as u32).filter(|number| !covered.iter().any(|which| which.has(*number)));
    let totals = state.results.totals(&Which::Of(numbers.collect()), false);
    if totals.errors == 0 {
        return None;
    }
    let share = 100.0 * totals.errors as f64 / totals.ended() as f64;
    Some(format!(
        "{} requests failed ({share:.2}%), their times are in the quantiles, and no objective looks at errors",
        totals.errors
    ))
}

/// The lost ones' names, with what they said themselves.
fn lost_with_reason(state: &RunState) -> impl Iterator<Item = String> {
    let lost = state.members.iter().filter(|(_, member)| member.state == MemberState::Lost);
    lost.map(|(id, member)| {
        let said = state.results.workers.get(id).and_then(|worker| worker.left_early.as_ref());
        said.map_or_else(|| member.name.clone(), |said| format!("{} ({said})", member.name))
    })
}

fn results_left_early(state: &RunState) -> impl Iterator<Item = String> {
    let workers = state.results.workers.values().filter(|worker| worker.complete);
    workers.filter_map(|worker| Some(format!("worker {} ({})", worker.name, worker.left_early.as_ref()?)))
}

fn exit_code(state: &RunState, verdict: RunVerdict) -> u8 {
    match (&state.stopped, verdict) {
        (Some(StopReason::Interrupted), _) => 130,
        (Some(StopReason::WorkerLost(_) | StopReason::BrokenOff), _) => 4,
        (_, RunVerdict::Pass) => 0,
        (_, RunVerdict::Fail) => 1,
        (_, RunVerdict::Inconclusive | RunVerdict::Invalid) => 3,
    }
}

fn load(state: &RunState, coverage: &Coverage) -> Load {
    let test = &state.plan.test;
    let profile = test.load.main();
    let open_loop = state.plan.is_open_loop();
    let planned_ns = profile.duration_ns();
    let ran_ns = state.results.end_ns.saturating_sub(test.load.warmup_ns);
    let allowed = planned_ns + OVERRUN_NS.max((planned_ns as f64 * OVERRUN) as u64);
    let whole = planned_ns > 0 && state.stopped.is_none() && ran_ns <= allowed && coverage.lost == 0;
    let duration = if whole { planned_ns } else { ran_ns } as f64 / NS;
    let warmup = state.results.totals(&Which::All, true);
    let late = state.results.workers.values().map(|worker| worker.late).sum();
    Load {
        model: if open_loop { "open loop" } else { "closed loop" }.to_owned(),
        arrivals: match test.load.arrivals {
            Arrivals::Uniform => "uniform",
            Arrivals::Poisson => "poisson",
            Arrivals::Closed => "closed",
        }
        .to_owned(),
        profile: profile_text(test),
        seed: state.plan.seed,
        planned: coverage.planned,
        sent: coverage.sent(),
        completed: coverage.completed,
        errors: coverage.errors,
        cancelled: coverage.cancelled,
        dropped: coverage.dropped(),
        dropped_waited: coverage.waited_too_long,
        dropped_not_started: coverage.not_started,
        lost: coverage.lost,
        late,
        coverage: coverage.share(),
        target_rate: (open_loop && planned_ns > 0).then(|| profile.cumulative(planned_ns) / (planned_ns as f64 / NS)),
        achieved_rate: if duration > 0.0 { coverage.sent() as f64 / duration } else { 0.0 },
        planned_duration: (planned_ns > 0).then_some(planned_ns as f64 / NS),
        duration,
        warmup: test.load.warmup_ns as f64 / NS,
        warmup_requests: warmup.ended() + warmup.cancelled,
        timeout: test.timeout_ns as f64 / NS,
        max_wait: test.max_wait_ns as f64 / NS,
        connections: test.connections,
        stopped: state.stopped.as_ref().map(ToString::to_string),
        follow_ups: state.results.followed(),
        streams: test.requests.iter().any(|request| request.version != Version::Http1).then_some(test.streams),
    }
}

fn plural(count: u64) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// The load profile for people.
pub fn profile_text(test: &crate::spec::LoadTest) -> String {
    let load = &test.load;
    let versions = test.versions.len().max(1) as f64;
    let stage = |stage: &Stage| {
        let rate = |per_s: f64| format!("{}/s", (per_s / versions * 1000.0).round() / 1000.0);
        let length = show_ns(stage.duration_ns as f64);
        match stage.from == stage.to {
            true => format!("{} for {length}", rate(stage.from)),
            false => format!("{} to {} in {length}", rate(stage.from), rate(stage.to)),
        }
    };
    if load.arrivals == Arrivals::Closed {
        let mut connections = match test.connections {
            Some(1) => "1 connection".to_owned(),
            Some(count) => format!("{count} connections"),
            None => format!("{CONNECTIONS_CLOSED} connections"),
        };
        if test.streams > 1 && test.requests.iter().any(|request| request.version != Version::Http1) {
            connections += &format!(" of {} streams", test.streams);
        }
        return match load.requests {
            Some(count) => format!("{connections}, {count} request{}", plural(count)),
            None => format!("{connections} for {}", show_ns(load.main().duration_ns() as f64)),
        };
    }
    let arrivals = if load.arrivals == Arrivals::Poisson { "Poisson" } else { "uniform" };
    let stages: Vec<String> = load.stages.iter().map(stage).collect();
    let count = load.requests.map(|count| format!(", exactly {count} request{}", plural(count))).unwrap_or_default();
    let each = match test.versions.is_empty() {
        true => String::new(),
        false => format!(", the same for each of {}", test.versions.join(", ")),
    };
    format!("{arrivals} arrivals, {}{count}{each}", stages.join(", then "))
}

fn request_model(totals: &Totals, blocks: &[Recorded]) -> Request {
    let kinds = totals.error_kinds.iter().map(|(kind, count)| (kind.name().to_owned(), *count));
    let intervals = INTERVALS.into_iter().filter_map(|(name, quantile)| {
        let found = quantile_interval(&totals.latency, blocks, quantile)?;
        let bound = |ns: Option<u64>| ns.map(|ns| ns as f64 / NS);
        Some((name.to_owned(), Interval { low: bound(found.low), high: bound(found.high) }))
    });
    Request {
        count: totals.ended(),
        errors: totals.errors,
        error_rate: if totals.ended() == 0 { 0.0 } else { totals.errors as f64 / totals.ended() as f64 },
        statuses: totals.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
        error_kinds: kinds.collect(),
        cancelled: totals.cancelled,
        dropped: totals.dropped,
        bytes_sent: totals.bytes_sent,
        bytes_received: totals.bytes_received,
        latency: distribution(&totals.latency),
        dispatch_lag: distribution(&totals.dispatch_lag),
        connection_wait: distribution(&totals.connection_wait),
        service_time: distribution(&totals.service_time),
        time_to_first_byte: distribution(&totals.time_to_first_byte),
        latency_intervals: intervals.collect(),
        grpc_codes: totals.grpc_codes.iter().map(|(code, count)| (code_name(*code), *count)).collect(),
        messages_sent: totals.messages_sent,
        messages_received: totals.messages_received,
        time_to_first_message: distribution(&totals.time_to_first_message),
        message_gap: distribution(&totals.message_gap),
        ..Request::default()
    }
}

/// A histogram's figures in seconds.
pub fn distribution(histogram: &Histogram) -> Distribution {
    let summary = histogram.summary();
    let at = |quantile: f64| histogram.quantile(quantile).map(|ns| ns as f64 / NS);
    let any = summary.count > 0;
    Distribution {
        count: summary.count,
        min: any.then(|| summary.min as f64 / NS),
        mean: summary.mean().map(|ns| ns / NS),
        stddev: summary.stddev().map(|ns| ns / NS),
        p50: at(0.5),
        p75: at(0.75),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p99_9: at(0.999),
        p99_99: at(0.9999),
        max: any.then(|| summary.max as f64 / NS),
    }
}

fn dense(recorded: &Recorded) -> Histogram {
    let mut histogram = Histogram::default();
    histogram.merge(recorded);
    histogram
}

/// Why no objective passes although what was measured meets it.
fn doubt(state: &RunState, coverage: &Coverage) -> Option<String> {
    let whole = coverage.share() >= COVERAGE_MIN && state.lost().is_empty();
    (!whole).then(|| format!("only {:.2}% of the plan was sent", coverage.share() * 100.0))
}

fn slo(judgement: &Judgement, run: RunVerdict, doubt: Option<&str>) -> Slo {
    let statistic = &judgement.slo.metric.statistic;
    let scale = if statistic.is_time() { NS } else { 1.0 };
    let show =
        |value: f64| if statistic.is_time() { show_ns(value) } else { statistic.show((value * 1e6).round() / 1e6) };
    let interval = judgement.interval.map(|(low, high)| {
        let text = |bound: Option<f64>| bound.map_or_else(|| "n too small".to_owned(), show);
        (
            Interval { low: low.map(|v| v / scale), high: high.map(|v| v / scale) },
            format!("[{}, {}]", text(low), text(high)),
        )
    });
    Slo {
        expr: judgement.slo.text.clone(),
        metric: judgement.slo.metric.to_string(),
        comparison: match judgement.slo.comparison {
            Comparison::AtMost => "<=",
            Comparison::AtLeast => ">=",
        }
        .to_owned(),
        limit: judgement.slo.limit / scale,
        observed: judgement.observed.map(|value| value / scale),
        interval: interval.as_ref().map(|(interval, _)| *interval),
        effective_samples: judgement.effective_samples,
        verdict: match (run, judgement.verdict) {
            // Nothing is judged out of an invalid run.
            (RunVerdict::Invalid, _) => RunVerdict::Invalid,
            (_, Verdict::Pass) if doubt.is_some() => RunVerdict::Inconclusive,
            (_, Verdict::Pass) => RunVerdict::Pass,
            (_, Verdict::Fail) => RunVerdict::Fail,
            (_, Verdict::Inconclusive) => RunVerdict::Inconclusive,
        },
        note: match (judgement.verdict, doubt) {
            (Verdict::Pass, Some(doubt)) => Some(doubt.to_owned()),
            _ => judgement.note.clone(),
        },
        shown: Shown {
            limit: show(judgement.slo.limit),
            observed: judgement.observed.map_or_else(|| "missing".to_owned(), show),
            interval: interval.map(|(_, text)| text).unwrap_or_default(),
        },
    }
}

fn gate(finding: Finding) -> Gate {
    Gate {
        gate: finding.gate.to_owned(),
        state: finding.state.name().to_owned(),
        saw: finding.saw,
        means: finding.means.to_owned(),
        todo: finding.todo.to_owned(),
    }
}

fn worker(worker: &WorkerResults, open_loop: bool) -> Worker {
    Worker {
        id: worker.name.clone(),
        lanes: worker.lanes,
        planned: worker.planned,
        sent: worker.sent(),
        errors: worker.errors,
        dropped: worker.dropped + worker.not_started,
        lost: worker.lost(),
        complete: worker.complete,
        start_skew: worker.health.start_skew_ns.map(|ns| ns as f64 / NS),
        clock_bound: worker.health.clock_bound_ns as f64 / NS,
        busy: worker.health.busy_share(),
        connections: worker.health.connections_max,
        audit: audit::of_worker(worker, open_loop).name().to_owned(),
        latency: distribution(&dense(&worker.latency)),
        service_time: distribution(&dense(&worker.service_time)),
    }
}

fn request_histograms(totals: &Totals) -> Result<RequestHistograms, String> {
    let encode = |histogram: &Histogram| hdr::encode(&histogram.to_recorded());
    Ok(RequestHistograms {
        latency: encode(&totals.latency)?,
        dispatch_lag: encode(&totals.dispatch_lag)?,
        connection_wait: encode(&totals.connection_wait)?,
        service_time: encode(&totals.service_time)?,
        time_to_first_byte: encode(&totals.time_to_first_byte)?,
    })
}
