//! What the grid measured: merged once, accounted for to the request, audited.
//!
//! Pure: no clock, no I/O, no tokio. Intervals come in, in any order and more than once; sums go out.

pub mod audit;
pub mod coverage;
pub mod timeline;
mod worker;

use std::collections::{BTreeMap, BTreeSet};

use loadgrid_proto::ErrorKind;
use loadgrid_proto::histogram::Histogram;
use loadgrid_worker::interval::{Interval, Key, Series, add};

pub use self::timeline::Timeline;
pub use self::worker::WorkerResults;
use crate::slo::Part;

/// Which requests of a test, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    Of(BTreeSet<u32>),
}

impl Which {
    pub fn one(request: u32) -> Self {
        Which::Of(BTreeSet::from([request]))
    }

    pub fn has(&self, request: u32) -> bool {
        match self {
            Which::All => true,
            Which::Of(requests) => requests.contains(&request),
        }
    }
}

/// Everything of one request in one phase, over all workers and seconds.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    pub due: u64,
    pub started: u64,
    pub completed: u64,
    pub errors: u64,
    /// Given up because the run was stopped.
    pub cancelled: u64,
    pub dropped: u64,
    pub late: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub statuses: BTreeMap<u16, u64>,
    pub error_kinds: BTreeMap<ErrorKind, u64>,
    pub grpc_codes: BTreeMap<u16, u64>,
    /// By the check's number in its request: of one request alone.
    pub failed_checks: BTreeMap<u32, u64>,
    pub messages_sent: u64,
    pub messages_received: u64,
    pub latency: Histogram,
    pub dispatch_lag: Histogram,
    pub connection_wait: Histogram,
    pub service_time: Histogram,
    pub time_to_first_byte: Histogram,
    pub time_to_first_message: Histogram,
    pub message_gap: Histogram,
}

impl Totals {
    /// Requests that ended, well or not.
    pub fn ended(&self) -> u64 {
        self.completed + self.errors
    }

    /// The histogram of a part of the time.
    pub fn part(&self, part: Part) -> &Histogram {
        match part {
            Part::Latency => &self.latency,
            Part::DispatchLag => &self.dispatch_lag,
            Part::ConnectionWait => &self.connection_wait,
            Part::ServiceTime => &self.service_time,
            Part::TimeToFirstByte => &self.time_to_first_byte,
            Part::TimeToFirstMessage => &self.time_to_first_message,
            Part::MessageGap => &self.message_gap,
        }
    }

    fn merge(&mut self, series: &Series) {
        self.due += series.due;
        self.started += series.started;
        self.completed += series.completed;
        self.errors += series.errors;
        self.cancelled += series.cancelled;
        self.dropped += series.dropped;
        self.late += series.late;
        self.bytes_sent += series.bytes_sent;
        self.bytes_received += series.bytes_received;
        add(&mut self.statuses, &series.statuses);
        add(&mut self.error_kinds, &series.error_kinds);
        add(&mut self.grpc_codes, &series.grpc_codes);
        add(&mut self.failed_checks, &series.failed_checks);
        self.messages_sent += series.messages_sent;
        self.messages_received += series.messages_received;
        self.latency.merge(&series.latency);
        self.dispatch_lag.merge(&series.dispatch_lag);
        self.connection_wait.merge(&series.connection_wait);
        self.service_time.merge(&series.service_time);
        self.time_to_first_byte.merge(&series.time_to_first_byte);
        self.time_to_first_message.merge(&series.time_to_first_message);
        self.message_gap.merge(&series.message_gap);
    }

    fn add(&mut self, other: &Totals) {
        self.due += other.due;
        self.started += other.started;
        self.completed += other.completed;
        self.errors += other.errors;
        self.cancelled += other.cancelled;
        self.dropped += other.dropped;
        self.late += other.late;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        add(&mut self.statuses, &other.statuses);
        add(&mut self.error_kinds, &other.error_kinds);
        add(&mut self.grpc_codes, &other.grpc_codes);
        add(&mut self.failed_checks, &other.failed_checks);
        self.messages_sent += other.messages_sent;
        self.messages_received += other.messages_received;
        self.latency.merge(&other.latency.to_recorded());
        self.dispatch_lag.merge(&other.dispatch_lag.to_recorded());
        self.connection_wait.merge(&other.connection_wait.to_recorded());
        self.service_time.merge(&other.service_time.to_recorded());
        self.time_to_first_byte.merge(&other.time_to_first_byte.to_recorded());
        self.time_to_first_message.merge(&other.time_to_first_message.to_recorded());
        self.message_gap.merge(&other.message_gap.to_recorded());
    }
}

/// What became of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    Fresh,
    /// It had been merged before: resent, and not counted again.
    Duplicate,
    /// From a worker that has no part in the run, or with a gap before it: not counted.
    Foreign,
}

/// The merged results of a run.
#[derive(Clone, Debug, Default)]
pub struct Results {
    totals: BTreeMap<Key, Totals>,
    pub connect_time: Histogram,
    /// TLS handshakes.
    pub handshake_time: Histogram,
    /// Requests that follow others: no arrivals of the plan, and accounted for apart.
    follow_ups: BTreeSet<u32>,
    pub timeline: Timeline,
    pub workers: BTreeMap<String, WorkerResults>,
    /// When the last request of the main phase ended, after the start of the warm-up; ns.
    pub end_ns: u64,
}

impl Results {
    /// Empty results of a run with these workers.
    pub fn new(workers: BTreeMap<String, WorkerResults>, interval_ns: u64) -> Self {
        Results { workers, timeline: Timeline::new(interval_ns), ..Results::default() }
    }

    /// The same for a test in which these requests are steps that follow others.
    pub fn with_follow_ups(self, follow_ups: BTreeSet<u32>) -> Self {
        Results { follow_ups, ..self }
    }

    /// The requests that are arrivals of the plan.
    pub fn arrivals(&self) -> Which {
        if self.follow_ups.is_empty() {
            return Which::All;
        }
        Which::Of(self.totals.keys().map(|key| key.request).filter(|n| !self.follow_ups.contains(n)).collect())
    }

    /// Steps that followed others in the main phase, and ended.
    pub fn followed(&self) -> u64 {
        self.totals(&Which::Of(self.follow_ups.clone()), false).ended()
    }

    /// Takes up a worker's interval, once whatever is resent.
    pub fn merge(&mut self, worker: &str, interval: &Interval) -> Merged {
        let Some(of_worker) = self.workers.get_mut(worker) else { return Merged::Foreign };
        match of_worker.merge(interval, &self.follow_ups) {
            Merged::Fresh => {}
            other => return other,
        }
        for (key, series) in &interval.series {
            self.totals.entry(*key).or_default().merge(series);
            if !key.warmup && series.ended() > 0 {
                self.end_ns = self.end_ns.max(interval.end_ns);
            }
        }
        self.connect_time.merge(&interval.connect_time);
        self.handshake_time.merge(&interval.handshake_time);
        self.timeline.merge(interval, &self.follow_ups);
        Merged::Fresh
    }

    /// The totals of some requests in a phase, put together.
    pub fn totals(&self, which: &Which, warmup: bool) -> Totals {
        let mut sum = Totals::default();
        let wanted = |key: &Key| key.warmup == warmup && which.has(key.request);
        self.totals.iter().filter(|(key, _)| wanted(key)).for_each(|(_, totals)| sum.add(totals));
        sum
    }

    /// Sums that cost nothing to ask for: (sent, errors) of the main phase.
    pub fn sent_and_errors(&self) -> (u64, u64) {
        let main = self.totals.iter().filter(|(key, _)| !key.warmup && !self.follow_ups.contains(&key.request));
        main.fold((0, 0), |sum, (_, totals)| (sum.0 + totals.ended() + totals.cancelled, sum.1 + totals.errors))
    }

    /// The totals themselves, by key.
    pub fn by_key(&self) -> &BTreeMap<Key, Totals> {
        &self.totals
    }
}

#[cfg(test)]
mod tests;
