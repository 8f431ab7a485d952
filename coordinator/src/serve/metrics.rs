//! The coordinator's metrics for Prometheus and those that read its formats. It is told what happens, adds up, and knows
//! neither the service nor a clock.
//!
//! Counters are of a test and go on over its runs; they begin at zero with the process, as readers expect of counters.
//! What a run has measured comes in as totals, so that a value that is reported twice is counted once.

mod accept;
mod families;
mod latency;
mod protobuf;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, VecDeque};

use loadgrid_proto::Recorded;

use self::accept::Format;
use self::latency::Latency;

/// Tests that are remembered; beyond it, the one that was heard of least lately is forgotten.
const TESTS_MAX: usize = 1000;

/// Words for outcomes that one test may have; others are counted as `other`.
const VERDICTS_MAX: usize = 16;

/// Runs of a test that are over and from which something may still come in.
const ENDED_MAX: usize = 8;

/// What a run has come to so far, or one probe of a search.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub planned: u64,
    pub sent: u64,
    pub failed: u64,
    pub latency: Recorded,
}

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// In a word, such as `pass`, or `error` for one that was not carried out.
    pub verdict: String,
    /// Seconds since 1970.
    pub at: f64,
    /// Quantile (0 to 1) and latency, s; empty where there is none.
    pub latency: Vec<(f64, f64)>,
}

/// What goes on now.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub workers: Workers,
    /// Tests that wait.
    pub queued: usize,
    pub running: Vec<Running>,
}

/// Workers by what they do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Workers {
    pub idle: usize,
    pub busy: usize,
    pub away: usize,
}

/// A run that goes on.
#[derive(Clone, Debug, Default)]
pub struct Running {
    pub run: String,
    pub test: String,
    /// `run` or `capacity`.
    pub kind: &'static str,
    /// One of [`PHASES`].
    pub phase: &'static str,
    /// Requests per second.
    pub planned_rate: Option<f64>,
    pub achieved_rate: Option<f64>,
    pub in_flight: u64,
    pub waiting: u64,
}

/// Phases of a run, in their order.
pub const PHASES: [&str; 5] = ["ready", "gathering", "preparing", "running", "ending"];

/// An answer to a scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposition {
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

/// What is added up over runs.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    tests: BTreeMap<String, Test>,
    /// Rises with everything that is heard.
    heard: u64,
}

#[derive(Clone, Debug, Default)]
struct Test {
    heard: u64,
    /// Of runs, and of probes, that are over.
    before: Sum,
    going: BTreeMap<String, Going>,
    ended: VecDeque<String>,
    verdicts: BTreeMap<String, u64>,
    last: Option<Ended>,
}

#[derive(Clone, Debug, Default)]
struct Going {
    probe: usize,
    sum: Sum,
}

#[derive(Clone, Debug, Default)]
struct Sum {
    planned: u64,
    sent: u64,
    failed: u64,
    latency: Latency,
}

impl Sum {
    fn add(&mut self, other: &Sum) {
        self.planned = self.planned.saturating_add(other.planned);
        self.sent = self.sent.saturating_add(other.sent);
        self.failed = self.failed.saturating_add(other.failed);
        self.latency.add(&other.latency);
    }

    /// Takes newer totals of the same. A counter never falls: what is less than before is a report that is late.
    fn raise(&mut self, totals: &Totals) {
        self.planned = self.planned.max(totals.planned);
        self.sent = self.sent.max(totals.sent);
        self.failed = self.failed.max(totals.failed);
        let latency = Latency::from(&totals.latency);
        if latency.covers(&self.latency) {
            self.latency = latency;
        }
    }
}

impl Registry {
    /// What a run has come to so far, or one probe of its search; `probe` is 0 where there is none, and rises.
    pub fn progress(&mut self, run: &str, test: &str, probe: usize, totals: &Totals) {
        let test = self.test(test);
        if test.ended.iter().any(|ended| ended == run) {
            return;
        }
        let going = test.going.entry(run.to_owned()).or_insert_with(|| Going { probe, ..Going::default() });
        if probe < going.probe {
            return;
        }
        if probe > going.probe {
            test.before.add(&std::mem::take(&mut going.sum));
            going.probe = probe;
        }
        going.sum.raise(totals);
    }

    /// A run is over. Its last totals are told as progress before; what comes later is late.
    pub fn over(&mut self, run: &str, test: &str, ended: Ended) {
        let test = self.test(test);
        if test.ended.iter().any(|known| known == run) {
            return;
        }
        if let Some(going) = test.going.remove(run) {
            test.before.add(&going.sum);
        }
        if test.ended.len() == ENDED_MAX {
            test.ended.pop_front();
        }
        test.ended.push_back(run.to_owned());
        let known = test.verdicts.contains_key(&ended.verdict) || test.verdicts.len() + 1 < VERDICTS_MAX;
        let verdict = if known { ended.verdict } else { "other".to_owned() };
        *test.verdicts.entry(verdict.clone()).or_default() += 1;
        test.last = Some(Ended { verdict, ..ended });
    }

    /// The answer to a scrape with this Accept header: OpenMetrics, the Prometheus protobuf with native histograms, or the
    /// Prometheus text format, which is also for those that name none of them.
    pub fn exposition(&self, figures: &Figures, accept: Option<&str>) -> Exposition {
        let families = families::all(self, figures);
        let format = Format::asked_for(accept);
        let body = match format {
            Format::Protobuf => protobuf::render(&families),
            Format::OpenMetrics => text::render(&families, text::Dialect::OpenMetrics).into_bytes(),
            Format::Plain => text::render(&families, text::Dialect::Plain).into_bytes(),
        };
        Exposition { content_type: format.content_type(), body }
    }

    fn test(&mut self, name: &str) -> &mut Test {
        self.heard += 1;
        if !self.tests.contains_key(name) && self.tests.len() >= TESTS_MAX {
            // Rather one of which nothing goes on.
            let oldest = self.tests.iter().min_by_key(|(_, test)| (!test.going.is_empty(), test.heard));
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.tests.remove(&oldest);
            }
        }
        let test = self.tests.entry(name.to_owned()).or_default();
        test.heard = self.heard;
        test
    }
}

impl Test {
    /// Of all its runs, those that go on included.
    fn sum(&self) -> Sum {
        let mut sum = self.before.clone();
        self.going.values().for_each(|going| sum.add(&going.sum));
        sum
    }
}
