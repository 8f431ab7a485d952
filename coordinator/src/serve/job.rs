//! One test in service: what was submitted, where it is, and what became of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::attendance::About;
use super::queue::Place;
use super::{Checked, Submission};
use crate::grid::{Snapshot, StopReason};
use crate::spec::units;
use crate::store::{Entry, Kind};

/// Of a test that does not say how long it waits for workers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Seconds of a run that are shown.
const SECONDS_MAX: usize = 120;

/// Lines that are kept for who comes later.
const LINES_MAX: usize = 500;

/// A test that was submitted.
pub(super) struct Job {
    pub run: String,
    pub checked: Checked,
    pub workers: Option<usize>,
    pub by: String,
    pub key: String,
    pub submitted: Timestamp,
    pub started: Option<Timestamp>,
    /// When it began to wait, in this life of the coordinator, and how long it waits for a first worker.
    since: Instant,
    pub patience: Duration,
    pub state: State,
    /// Until it is over: secrets are not kept longer than they are needed.
    pub submission: Option<Submission>,
    pub stop: watch::Sender<Option<StopReason>>,
    /// What it waits for although it is its turn.
    pub held_up: Option<String>,
    pub about: Option<About>,
    pub snapshot: Snapshot,
    /// Of a search: the number of the probe and its rate.
    pub probe: Option<(usize, f64)>,
    pub seconds: VecDeque<Second>,
    lines: VecDeque<String>,
    /// Lines that were said, those that are no longer kept included.
    said: u64,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    Queued { why: String },
    Going,
    Over(Outcome),
}

/// How it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub exit_code: u8,
    /// Why it was not carried out; empty where there is a report.
    pub message: String,
    pub warning: String,
    pub figures: Option<Figures>,
    pub ended: Timestamp,
    /// The document, as long as it may be asked for at once, or the store does not have it.
    #[serde(skip)]
    pub document: Option<String>,
    /// Whether the store does not have it.
    #[serde(default)]
    pub unkept: bool,
    /// The store is still to be asked whether it has more than this says.
    #[serde(skip)]
    pub unsettled: bool,
    /// What the store would have with the document.
    #[serde(skip)]
    pub entry: Option<Box<Entry>>,
}

/// The few figures of a result that others show.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub verdict: String,
    pub started: Timestamp,
    /// s.
    pub duration: f64,
    /// Requests per second; of a search its answer.
    pub rate: Option<f64>,
    /// s.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
    /// A share of 1.
    pub error_rate: Option<f64>,
}

impl Figures {
    pub fn of(entry: &Entry) -> Self {
        let any = |name: &str| {
            let of = |group: &str| entry.metrics.get(&format!("{group}/{name}")).copied();
            of("http").or_else(|| of("grpc"))
        };
        Figures {
            verdict: entry.verdict.clone(),
            started: entry.started_at,
            duration: entry.duration,
            rate: match entry.kind {
                Kind::Run => any("rate"),
                Kind::Capacity => entry.metrics.get("capacity").copied(),
            },
            p50: any("latency-p50"),
            p99: any("latency-p99"),
            error_rate: any("error-rate"),
        }
    }
}

/// One second of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    /// Since the start of the warm-up, s.
    pub t: f64,
    pub planned: Option<f64>,
    pub achieved: u64,
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
    pub errors: u64,
}

/// How long it waits for a first worker.
pub(super) fn patience(submission: &Submission) -> Duration {
    units::duration_ns(&submission.how.join_timeout).map_or(PATIENCE, Duration::from_nanos)
}

impl Job {
    pub(super) fn new(run: String, checked: Checked, submission: Submission, submitted: Timestamp) -> Self {
        Job {
            run,
            checked,
            workers: submission.workers,
            by: submission.by.clone(),
            key: submission.key.clone(),
            submitted,
            started: None,
            since: Instant::now(),
            patience: patience(&submission),
            state: State::Queued { why: String::new() },
            submission: Some(submission),
            stop: watch::channel(None).0,
            held_up: None,
            about: None,
            snapshot: Snapshot::default(),
            probe: None,
            seconds: VecDeque::new(),
            lines: VecDeque::new(),
            said: 0,
        }
    }

    /// `empty` is since when there has been no worker at all.
    pub(super) fn place(&self, empty: Option<Instant>) -> Place {
        Place {
            run: self.run.clone(),
            test: self.checked.test.clone(),
            targets: self.checked.targets.clone(),
            workers: self.workers,
            overdue: empty.is_some_and(|empty| empty.max(self.since).elapsed() >= self.patience),
        }
    }

    pub(super) fn say(&mut self, text: &str) {
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(text.to_owned());
        self.said += 1;
    }

    /// Lines after the first `heard`, each with its number.
    pub(super) fn lines_after(&self, heard: u64) -> Vec<(u64, String)> {
        let first = self.said - self.lines.len() as u64 + 1;
        let numbered = (first..).zip(&self.lines);
        numbered.filter(|(number, _)| *number > heard).map(|(number, text)| (number, text.clone())).collect()
    }

    /// Takes the newest state of its run.
    pub(super) fn take(&mut self, snapshot: Snapshot) {
        if let Some(elapsed) = snapshot.elapsed {
            let t = elapsed.as_secs_f64().floor();
            // A search begins again with each probe.
            if self.seconds.back().is_some_and(|last| last.t > t) {
                self.seconds.clear();
            }
            // Workers report a second a little later than it is over.
            if snapshot.sent > 0 && self.seconds.back().is_none_or(|last| last.t < t) {
                if self.seconds.len() == SECONDS_MAX {
                    self.seconds.pop_front();
                }
                let last = snapshot.last_second;
                self.seconds.push_back(Second {
                    t,
                    planned: snapshot.planned_rate,
                    achieved: last.achieved,
                    p50_ns: last.p50_ns,
                    p99_ns: last.p99_ns,
                    errors: last.errors,
                });
            }
        }
        self.snapshot = snapshot;
    }
}
