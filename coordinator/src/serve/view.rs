//! The service as others see it: JSON for the live page and for lists.

use jiff::Timestamp;
use serde::Serialize;

use super::job::{Figures, Job, State};
use super::pool::Pooled;
use super::service::Service;
use crate::grid::PhaseName;
use crate::store::{Entry, Kind};

/// Results that are shown.
pub const KEPT_MAX: usize = 50;

const NS: f64 = 1e9;

/// Everything at a moment. Times are RFC 3339, durations s, rates per second.
#[derive(Serialize)]
pub struct View {
    pub version: &'static str,
    pub now: Timestamp,
    pub workers: Vec<Worker>,
    pub running: Vec<Running>,
    pub queued: Vec<Queued>,
    pub kept: Vec<Kept>,
}

#[derive(Serialize)]
pub struct Worker {
    pub name: String,
    pub lanes: u32,
    pub version: String,
    /// `idle`, `busy` or `away`.
    pub state: &'static str,
    pub run: Option<String>,
    pub joined: Timestamp,
}

#[derive(Serialize)]
pub struct Running {
    pub run: String,
    pub test: String,
    pub kind: Kind,
    pub target: String,
    pub submitted: Timestamp,
    pub started: Option<Timestamp>,
    pub by: String,
    pub phase: &'static str,
    pub joined: usize,
    pub wanted: usize,
    pub elapsed: Option<f64>,
    pub length: Option<f64>,
    pub planned: Option<u64>,
    pub sent: u64,
    pub errors: u64,
    pub rate: Rate,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub in_flight: u64,
    pub waiting: u64,
    pub away: Vec<String>,
    pub probe: Option<Probe>,
    /// The newest seconds.
    pub seconds: Vec<Second>,
}

/// `[t, planned, achieved, p50, p99, errors]`: in JSON an array, for there are many of them.
pub type Second = (f64, Option<f64>, f64, Option<f64>, Option<f64>, u64);

#[derive(Serialize)]
pub struct Rate {
    pub planned: Option<f64>,
    pub achieved: Option<f64>,
}

#[derive(Serialize)]
pub struct Probe {
    pub number: usize,
    pub rate: f64,
}

#[derive(Serialize)]
pub struct Queued {
    pub run: String,
    pub test: String,
    pub kind: Kind,
    pub target: String,
    pub submitted: Timestamp,
    pub by: String,
    pub why: String,
}

/// A result that is kept.
#[derive(Serialize)]
pub struct Kept {
    pub run: String,
    pub test: String,
    pub kind: Kind,
    pub started: Timestamp,
    pub duration: f64,
    pub verdict: String,
    pub rate: Option<f64>,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    pub error_rate: Option<f64>,
}

impl Service {
    /// The service now; `kept` are entries of its store, the newest first.
    pub fn view(&self, kept: &[Entry]) -> View {
        let jobs = self.jobs();
        View {
            version: env!("CARGO_PKG_VERSION"),
            now: Timestamp::now(),
            workers: self.workers().into_iter().map(worker).collect(),
            running: jobs.values().filter(|job| matches!(job.state, State::Going)).map(running).collect(),
            queued: jobs.values().filter_map(queued).collect(),
            kept: kept.iter().take(KEPT_MAX).map(self::kept).collect(),
        }
    }
}

fn worker(worker: Pooled) -> Worker {
    Worker {
        state: match (&worker.run, worker.away) {
            (_, true) => "away",
            (None, false) => "idle",
            (Some(_), false) => "busy",
        },
        name: worker.name,
        lanes: worker.lanes,
        version: worker.version,
        run: worker.run,
        joined: worker.joined,
    }
}

fn running(job: &Job) -> Running {
    let snapshot = &job.snapshot;
    let seconds = |ns: Option<u64>| ns.map(|ns| ns as f64 / NS);
    let last = &snapshot.last_second;
    let measured = snapshot.elapsed.is_some();
    Running {
        run: job.run.clone(),
        test: job.checked.test.clone(),
        kind: job.checked.kind,
        target: job.checked.targets.join(", "),
        submitted: job.submitted,
        started: job.started,
        by: job.by.clone(),
        // Before the first load begins, it is the target that is waited for.
        phase: if job.about.is_none() && snapshot.phase == PhaseName::Gathering {
            "ready"
        } else {
            snapshot.phase.name()
        },
        joined: snapshot.joined,
        wanted: job.workers.unwrap_or(snapshot.wanted),
        elapsed: snapshot.elapsed.map(|elapsed| elapsed.as_secs_f64()),
        length: job.about.as_ref().and_then(|about| about.length).map(|length| length.as_secs_f64()),
        planned: (snapshot.planned > 0).then_some(snapshot.planned),
        sent: snapshot.sent,
        errors: snapshot.errors,
        rate: Rate { planned: snapshot.planned_rate, achieved: measured.then_some(last.achieved as f64) },
        p50: seconds(last.p50_ns),
        p99: seconds(last.p99_ns),
        in_flight: last.in_flight,
        waiting: last.waiting,
        away: snapshot.away.clone(),
        probe: job.probe.map(|(number, rate)| Probe { number, rate }),
        seconds: job
            .seconds
            .iter()
            .map(|s| (s.t, s.planned, s.achieved as f64, seconds(s.p50_ns), seconds(s.p99_ns), s.errors))
            .collect(),
    }
}

fn queued(job: &Job) -> Option<Queued> {
    let State::Queued { why } = &job.state else { return None };
    Some(Queued {
        run: job.run.clone(),
        test: job.checked.test.clone(),
        kind: job.checked.kind,
        target: job.checked.targets.join(", "),
        submitted: job.submitted,
        by: job.by.clone(),
        why: why.clone(),
    })
}

fn kept(entry: &Entry) -> Kept {
    let figures = Figures::of(entry);
    Kept {
        run: entry.id.clone(),
        test: entry.test.clone(),
        kind: entry.kind,
        started: figures.started,
        duration: figures.duration,
        verdict: figures.verdict,
        rate: figures.rate,
        p50: figures.p50,
        p99: figures.p99,
        error_rate: figures.error_rate,
    }
}
