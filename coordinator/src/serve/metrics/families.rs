//! What is exposed, under which names, whatever the format.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::latency::Latency;
use super::{Figures, PHASES, Registry, Sum};

/// Metrics of one name.
pub(super) struct Family {
    /// Without the suffix that formats put to some kinds.
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    /// What a name ends in that has one.
    pub unit: &'static str,
    pub series: Vec<Series>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its name gets `_total`.
    Counter,
    Gauge,
    /// 1, and its name gets `_info`.
    Info,
    Histogram,
}

pub(super) struct Series {
    pub labels: Vec<(&'static str, String)>,
    pub value: Value,
}

pub(super) enum Value {
    Number(f64),
    Latency(Latency),
}

impl Family {
    /// The name that a sample of it has.
    pub(super) fn sample_name(&self) -> Cow<'static, str> {
        match self.kind {
            Kind::Counter => Cow::Owned(format!("{}_total", self.name)),
            Kind::Info => Cow::Owned(format!("{}_info", self.name)),
            Kind::Gauge | Kind::Histogram => Cow::Borrowed(self.name),
        }
    }
}

/// Collects series; those without a number, or without a finite one, are left out.
fn family(name: &'static str, help: &'static str, kind: Kind, unit: &'static str, series: Vec<Series>) -> Family {
    let is_number = |series: &Series| !matches!(series.value, Value::Number(number) if !number.is_finite());
    Family { name, help, kind, unit, series: series.into_iter().filter(is_number).collect() }
}

fn number(labels: &[(&'static str, &str)], value: f64) -> Series {
    let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Series { labels, value: Value::Number(value) }
}

/// All that there is to tell; families without a series are left out.
pub(super) fn all(registry: &Registry, figures: &Figures) -> Vec<Family> {
    let mut families = now(figures);
    families.extend(totals(registry));
    families.extend(lasts(registry));
    families.retain(|family| !family.series.is_empty());
    families
}

/// What goes on.
fn now(figures: &Figures) -> Vec<Family> {
    let workers = [("idle", figures.workers.idle), ("busy", figures.workers.busy), ("away", figures.workers.away)];
    let workers = workers.map(|(state, count)| number(&[("state", state)], count as f64));
    let running = || figures.running.iter();
    let info = running().map(|run| number(&[("run", &run.run), ("test", &run.test), ("kind", run.kind)], 1.0));
    let phases = running().flat_map(|run| {
        let is = |phase: &str| f64::from(u8::from(run.phase == phase));
        PHASES.map(|phase| number(&[("run", &run.run), ("test", &run.test), ("phase", phase)], is(phase)))
    });
    // Two runs of one test are told together.
    let mut rates: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    let mut held: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for run in running() {
        for (what, rate) in [("planned", run.planned_rate), ("achieved", run.achieved_rate)] {
            if let Some(rate) = rate {
                *rates.entry((run.test.as_str(), what)).or_default() += rate;
            }
        }
        let held = held.entry(&run.test).or_default();
        *held = (held.0.saturating_add(run.in_flight), held.1.saturating_add(run.waiting));
    }
    let rates = rates.iter().map(|((test, what), rate)| number(&[("test", test), ("what", what)], *rate));
    let in_flight = held.iter().map(|(test, (flying, _))| number(&[("test", test)], *flying as f64));
    let waiting = held.iter().map(|(test, (_, waiting))| number(&[("test", test)], *waiting as f64));
    vec![
        family("loadgrid_workers", "Workers of the pool, by what they do.", Kind::Gauge, "", workers.into()),
        family(
            "loadgrid_queue_length",
            "Tests that wait for their turn.",
            Kind::Gauge,
            "",
            vec![number(&[], figures.queued as f64)],
        ),
        family("loadgrid_run", "Runs that go on.", Kind::Info, "", info.collect()),
        family("loadgrid_run_phase", "1 for the phase in which a run is.", Kind::Gauge, "", phases.collect()),
        family("loadgrid_run_rate", "Requests per second in the newest second.", Kind::Gauge, "", rates.collect()),
        family("loadgrid_in_flight", "Requests that wait for their response.", Kind::Gauge, "", in_flight.collect()),
        family("loadgrid_waiting", "Requests that wait for a connection.", Kind::Gauge, "", waiting.collect()),
    ]
}

/// What was added up over a test's runs.
fn totals(registry: &Registry) -> Vec<Family> {
    let sums: Vec<(&str, Sum)> = registry.tests.iter().map(|(name, test)| (name.as_str(), test.sum())).collect();
    let counted = |count: fn(&Sum) -> u64| -> Vec<Series> {
        sums.iter().map(|(test, sum)| number(&[("test", test)], count(sum) as f64)).collect()
    };
    let (planned, sent, failed) = (counted(|sum| sum.planned), counted(|sum| sum.sent), counted(|sum| sum.failed));
    let runs = registry.tests.iter().flat_map(|(name, test)| {
        test.verdicts.iter().map(|(verdict, count)| number(&[("test", name), ("verdict", verdict)], *count as f64))
    });
    let runs = runs.collect();
    let latency = sums
        .into_iter()
        .map(|(test, sum)| Series { labels: vec![("test", test.to_owned())], value: Value::Latency(sum.latency) });
    vec![
        family("loadgrid_requests_planned", "Requests that were due.", Kind::Counter, "", planned),
        family("loadgrid_requests_sent", "Requests that were sent.", Kind::Counter, "", sent),
        family("loadgrid_requests_failed", "Requests that failed.", Kind::Counter, "", failed),
        family(
            "loadgrid_latency_seconds",
            "From the instant at which a request was due to the end of its response.",
            Kind::Histogram,
            "seconds",
            latency.collect(),
        ),
        family("loadgrid_runs", "Runs that are over, by their verdict.", Kind::Counter, "", runs),
    ]
}

/// How each test's last run ended.
fn lasts(registry: &Registry) -> Vec<Family> {
    let lasts = || registry.tests.iter().filter_map(|(name, test)| Some((name, test, test.last.as_ref()?)));
    let verdicts = lasts().flat_map(|(name, test, last)| {
        let is = |verdict: &str| f64::from(u8::from(last.verdict == verdict));
        test.verdicts.keys().map(move |verdict| number(&[("test", name), ("verdict", verdict)], is(verdict)))
    });
    let times = lasts().map(|(name, _, last)| number(&[("test", name)], last.at));
    let latencies = lasts().flat_map(|(name, _, last)| {
        let by_quantile: BTreeMap<String, f64> =
            last.latency.iter().map(|(quantile, latency)| (quantile.to_string(), *latency)).collect();
        by_quantile
            .into_iter()
            .map(move |(quantile, latency)| number(&[("test", name), ("quantile", &quantile)], latency))
    });
    vec![
        family(
            "loadgrid_last_run_verdict",
            "1 for the verdict of the last run, 0 for those of earlier ones.",
            Kind::Gauge,
            "",
            verdicts.collect(),
        ),
        family(
            "loadgrid_last_run_timestamp_seconds",
            "When the last run ended, since 1970.",
            Kind::Gauge,
            "seconds",
            times.collect(),
        ),
        family(
            "loadgrid_last_run_latency_seconds",
            "Exact quantiles of the last run's latency.",
            Kind::Gauge,
            "seconds",
            latencies.collect(),
        ),
    ]
}
