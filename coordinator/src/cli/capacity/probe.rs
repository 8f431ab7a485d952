//! One probe: a run at one rate, and what its report says of the target.

use std::time::{Duration, Instant};

use loadgrid_worker::schedule::{Load, Stage};

use super::pace::Pace;
use super::rest::Rest;
use super::{is_interrupt, pause};
use crate::capacity::backlog::{Growth, Step, growth};
use crate::capacity::build::{Ended, evidence};
use crate::capacity::judge::{Reading, outcome, share_bounds};
use crate::capacity::model::{Probe, ProbeOutcome};
use crate::capacity::search::{Ask, Outcome, Purpose};
use crate::cli::Failure;
use crate::cli::carry::{self, Carried, Prepared};
use crate::report::model::{Report, Request, RunVerdict, Slo, Validity};
use crate::results::coverage::COVERAGE_MIN;
use crate::slo::{Comparison, Metric, Statistic};
use crate::spec::LoadTest;

/// Without an objective on errors, a rate at which a larger share of the requests fails does not hold.
pub(super) const ERRORS_MAX: f64 = 0.01;

/// A target that is gone may come back (a restart) within so many attempts, each after a longer pause.
const ATTEMPTS: u32 = 4;
/// As a worker says it of a target.
const UNREACHED: &str = "takes no connection";
const PAUSE: Duration = Duration::from_secs(1);

/// Carries probes out, one after the other.
pub(super) struct Prober {
    prepared: Prepared,
    pace: Pace,
    begun: Instant,
    rest: Rest,
    count: u64,
}

pub(super) fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Bracket => "bracket",
        Purpose::Bisect => "bisect",
        Purpose::Repeat => "repeat",
    }
}

impl Prober {
    /// `prepared` is the run of the test as it is; each probe is that with another load.
    pub(super) fn new(prepared: Prepared, pace: Pace, begun: Instant) -> Self {
        Prober { prepared, rest: Rest::new(pace.cool_down), pace, begun, count: 0 }
    }

    pub(super) fn test(&self) -> &LoadTest {
        &self.prepared.plan.test
    }

    pub(super) fn seed(&self) -> u64 {
        self.prepared.plan.seed
    }

    pub(super) fn workers(&self) -> usize {
        self.prepared.options.workers
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.rest.notes()
    }

    /// Waits until the target is idle and probes it; or what ended the search.
    ///
    /// # Errors
    /// The first probe can't be carried out at all.
    pub(super) fn probe(&mut self, ask: &Ask, before: &[Probe]) -> Result<Result<Probe, Ended>, Failure> {
        let asked = Instant::now();
        if let Some(last) = before.last() {
            let mut rest = std::mem::take(&mut self.rest);
            let until = self.begun + self.pace.budget;
            let workers = self.prepared.workers.clone();
            let rested = rest.wait(last, before, until, &workers, |load| self.carry_out(load, true));
            self.rest = rest;
            match rested {
                Ok(true) => {}
                Ok(false) => return Ok(Err(Ended::Interrupted)),
                // The probe finds out for itself whether the target is gone.
                Err(failure) if is_interrupt(&failure) => return Ok(Err(Ended::Interrupted)),
                Err(_) => {}
            }
        }
        if !before.is_empty() && !self.pace.fits(ask, self.begun.elapsed()) {
            return Ok(Err(Ended::Budget));
        }
        let settled_after = if before.is_empty() { 0.0 } else { asked.elapsed().as_secs_f64() };
        let length = self.pace.length(ask);
        let load = self.load(ask.rate, length, self.pace.warmup);
        let mut attempt = 1;
        let (t, carried) = loop {
            let t = self.begun.elapsed().as_secs_f64();
            match self.carry_out(load.clone(), false) {
                // A service stops a search by word, not by signal.
                _ if self.prepared.workers.is_stopped() => return Ok(Err(Ended::Interrupted)),
                Ok(carried) => break (t, carried),
                Err(failure) if is_interrupt(&failure) => return Ok(Err(Ended::Interrupted)),
                Err(failure) if before.is_empty() => return Err(failure),
                Err(failure) if attempt == ATTEMPTS && failure.message.contains(UNREACHED) => {
                    return Ok(Err(Ended::TargetGone(failure.message)));
                }
                Err(failure) if attempt == ATTEMPTS => return Ok(Err(Ended::Failed(failure.message))),
                Err(_) => {
                    if !pause(&self.prepared.workers, PAUSE * attempt)? {
                        return Ok(Err(Ended::Interrupted));
                    }
                    attempt += 1;
                }
            }
        };
        if carried.report.exit_code == crate::cli::exit::INTERRUPTED {
            return Ok(Err(Ended::Interrupted));
        }
        let number = before.len() + 1;
        let timed = Timed { t, settled_after };
        Ok(Ok(read(&carried, ask, number, timed)))
    }

    fn load(&self, rate: f64, length: Duration, warmup: Duration) -> Load {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Load {
            arrivals: self.test().load.arrivals,
            stages: vec![Stage { from: rate, to: rate, duration_ns: ns(length).max(1) }],
            warmup_ns: ns(warmup),
            requests: None,
        }
    }

    /// A run of the test under another load, with arrivals of its own.
    fn carry_out(&mut self, load: Load, quiet: bool) -> Result<Carried, Failure> {
        self.count += 1;
        let mut prepared = self.prepared.clone();
        prepared.plan.run = ulid::Ulid::generate().to_string();
        prepared.plan.seed = self.prepared.plan.seed.wrapping_add(self.count);
        prepared.plan.test.load = load;
        prepared.quiet |= quiet;
        carry::carry_out(prepared)
    }
}

struct Timed {
    t: f64,
    settled_after: f64,
}

/// A probe's report, judged.
fn read(carried: &Carried, ask: &Ask, number: usize, timed: Timed) -> Probe {
    let report = &carried.report;
    let total = &report.total;
    let steps: Vec<Step> = carried.backlog.iter().map(|(t, backlog)| Step { t: *t, backlog: *backlog }).collect();
    let grows = growth(&steps, ask.rate);
    let limited = limited(report);
    let mut readings: Vec<Reading> = report.slos.iter().map(|slo| reading(slo, report)).collect();
    if !looks_at_errors(report) {
        readings.push(errors(ERRORS_MAX, report.total.count, report.total.errors));
    }
    let dropped = report.load.coverage < COVERAGE_MIN;
    let (judged, margin) = outcome(&readings, grows, limited.is_some());
    let judged = if dropped && judged != Outcome::Limited { Outcome::Broke } else { judged };
    let margin = margin.filter(|_| !dropped);
    let backlog = steps.iter().map(|step| step.backlog).sum::<f64>() / (steps.len() as f64).max(1.0);
    let mut probe = Probe {
        number,
        run: report.run.clone(),
        purpose: purpose(ask.purpose).to_owned(),
        t: timed.t,
        rate: ask.rate,
        achieved: report.load.achieved_rate,
        duration: report.load.duration,
        outcome: shown(judged),
        because: String::new(),
        latency: total.latency.clone(),
        latency_intervals: total.latency_intervals.clone(),
        service_time: total.service_time.clone(),
        sent: report.load.sent,
        errors: total.errors,
        error_rate: total.error_rate,
        dropped: report.load.dropped,
        backlog,
        backlog_growth: match grows {
            Growth::Growing { per_second, .. } => Some(per_second),
            _ => None,
        },
        validity: report.validity,
        slos: report.slos.clone(),
        margin: margin.map(|margin| (margin.log_ratio, margin.error)),
        settled_after: timed.settled_after,
    };
    // Near the limit, what one probe says is less than it seems.
    let weighed = evidence(&probe).weighed();
    probe.because = limited.unwrap_or_else(|| because(report, judged, weighed, grows, dropped));
    probe.outcome = shown(weighed);
    probe
}

fn shown(outcome: Outcome) -> ProbeOutcome {
    match outcome {
        Outcome::Held => ProbeOutcome::Held,
        Outcome::Broke => ProbeOutcome::Broke,
        Outcome::Unclear => ProbeOutcome::Unclear,
        Outcome::Limited => ProbeOutcome::Limited,
    }
}

/// Why a probe says nothing of the target.
fn limited(report: &Report) -> Option<String> {
    if report.validity == Validity::Invalid || report.verdict == RunVerdict::Invalid {
        let gate = report.audit.iter().find(|gate| gate.state == "invalid");
        return Some(gate.map_or_else(
            || "the generator was the limit".to_owned(),
            |gate| format!("the generator was the limit: {} ({})", gate.saw, gate.gate),
        ));
    }
    if report.load.lost > 0 {
        return Some(format!("{} requests were lost with a worker", report.load.lost));
    }
    report.load.stopped.as_ref().map(|why| format!("it was stopped: {why}"))
}

fn reading(slo: &Slo, report: &Report) -> Reading {
    let comparison = if slo.comparison == "<=" { Comparison::AtMost } else { Comparison::AtLeast };
    if let Ok(metric) = slo.metric.parse::<Metric>()
        && metric.statistic == Statistic::ErrorRate
    {
        let of = |(name, request): &(&String, &Request)| {
            request.group == metric.group.name() && metric.request().is_none_or(|wanted| wanted == name.as_str())
        };
        let own = || report.requests.iter().filter(of).map(|(_, request)| request);
        let (count, failed) = own().fold((0, 0), |sum, request| (sum.0 + request.count, sum.1 + request.errors));
        return Reading { comparison, ..errors(slo.limit, count, failed) };
    }
    let (low, high) = match slo.interval {
        Some(interval) => (interval.low, interval.high),
        None => (slo.observed, slo.observed),
    };
    // A pass without a bound: hardly any were above the limit.
    let passed = slo.verdict == RunVerdict::Pass && comparison == Comparison::AtMost;
    let high = if passed { high.map(|high| high.min(slo.limit)).or(Some(slo.limit)) } else { high };
    // Within its bounds and yet no pass: they were not to be trusted.
    let within = high.is_some_and(|high| high <= slo.limit) && comparison == Comparison::AtMost;
    let settled = !(within && slo.verdict == RunVerdict::Inconclusive && report.load.coverage >= COVERAGE_MIN);
    Reading { limit: slo.limit, comparison, observed: slo.observed, low, high, settled }
}

/// The share of failed requests against a limit, with its own interval.
fn errors(limit: f64, count: u64, errors: u64) -> Reading {
    let observed = (count > 0).then(|| errors as f64 / count as f64);
    let (low, high) = share_bounds(errors, count, count as f64);
    Reading { limit, comparison: Comparison::AtMost, observed, low: Some(low), high: Some(high), settled: true }
}

fn looks_at_errors(report: &Report) -> bool {
    let metrics = report.slos.iter().filter_map(|slo| slo.metric.parse::<Metric>().ok());
    metrics.into_iter().any(|metric| covers_errors(&metric))
}

/// Whether an objective of this metric looks at the errors of all requests; one of a single request leaves the others.
pub(super) fn covers_errors(metric: &Metric) -> bool {
    matches!(metric.statistic, Statistic::ErrorRate | Statistic::ErrorCount) && metric.request().is_none()
}

fn because(report: &Report, judged: Outcome, weighed: Outcome, grows: Growth, dropped: bool) -> String {
    let said = |slo: &Slo| format!("{} {} of {}", slo.metric, slo.shown.observed, slo.shown.limit);
    let bounds = |slo: &Slo| match slo.shown.interval.is_empty() {
        true => said(slo),
        false => format!("{}, 95% {}", said(slo), slo.shown.interval),
    };
    let ratio = |slo: &Slo| slo.observed.map_or(f64::INFINITY, |observed| observed / slo.limit.max(f64::MIN_POSITIVE));
    let nearest = report.slos.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    if judged == Outcome::Broke && dropped {
        let share = (1.0 - report.load.coverage) * 100.0;
        return format!("{share:.1}% of the requests waited too long for a connection");
    }
    if let (Outcome::Broke, Growth::Growing { per_second, share }) = (judged, grows) {
        let failed = report.slos.iter().find(|slo| slo.verdict == RunVerdict::Fail);
        let grown = format!("the backlog grows by {per_second:.1} requests/s ({:.1}% of the rate)", share * 100.0);
        return failed.map_or(grown.clone(), |slo| format!("{}; {grown}", said(slo)));
    }
    let failed = report.slos.iter().find(|slo| slo.verdict == RunVerdict::Fail);
    if judged == Outcome::Broke && failed.is_none() && (!looks_at_errors(report) || nearest.is_none()) {
        return format!("{:.1}% of the requests failed", report.total.error_rate * 100.0);
    }
    let said: &dyn Fn(&Slo) -> String = if weighed == Outcome::Unclear { &bounds } else { &said };
    let text = failed.filter(|_| judged == Outcome::Broke).or(nearest).map(said).unwrap_or_default();
    // No upper bound: autocorrelation leaves too few requests that tell something of their own.
    let small = nearest.and_then(|slo| slo.interval).is_some_and(|interval| interval.high.is_none());
    match weighed {
        Outcome::Unclear if small && judged == Outcome::Unclear => {
            format!("{text}: too few independent requests to tell")
        }
        Outcome::Unclear => format!("{text}: not settled"),
        _ => text,
    }
}
