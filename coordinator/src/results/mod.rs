//! What the grid measured: merged once, accounted for to the request, audited.
//!
//! Pure: no clock, no I/O, no tokio. Intervals come in, in any order and more than once; sums go out.

pub mod audit;
pub mod coverage;
pub mod timeline;
mod worker;

use std::collections::BTreeMap;

use loadgrid_proto::ErrorKind;
use loadgrid_proto::histogram::Histogram;
use loadgrid_worker::interval::{Interval, Key, Series};

pub use self::timeline::Timeline;
pub use self::worker::WorkerResults;
use crate::slo::Part;

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
    pub latency: Histogram,
    pub dispatch_lag: Histogram,
    pub connection_wait: Histogram,
    pub service_time: Histogram,
    pub time_to_first_byte: Histogram,
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
        series.statuses.iter().for_each(|(status, count)| *self.statuses.entry(*status).or_default() += count);
        series.error_kinds.iter().for_each(|(kind, count)| *self.error_kinds.entry(*kind).or_default() += count);
        self.latency.merge(&series.latency);
        self.dispatch_lag.merge(&series.dispatch_lag);
        self.connection_wait.merge(&series.connection_wait);
        self.service_time.merge(&series.service_time);
        self.time_to_first_byte.merge(&series.time_to_first_byte);
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
        other.statuses.iter().for_each(|(status, count)| *self.statuses.entry(*status).or_default() += count);
        other.error_kinds.iter().for_each(|(kind, count)| *self.error_kinds.entry(*kind).or_default() += count);
        self.latency.merge(&other.latency.to_recorded());
        self.dispatch_lag.merge(&other.dispatch_lag.to_recorded());
        self.connection_wait.merge(&other.connection_wait.to_recorded());
        self.service_time.merge(&other.service_time.to_recorded());
        self.time_to_first_byte.merge(&other.time_to_first_byte.to_recorded());
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

    /// Takes up a worker's interval, once whatever is resent.
    pub fn merge(&mut self, worker: &str, interval: &Interval) -> Merged {
        let Some(of_worker) = self.workers.get_mut(worker) else { return Merged::Foreign };
        match of_worker.merge(interval) {
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
        self.timeline.merge(worker, interval);
        Merged::Fresh
    }

    /// One request's totals in a phase, or those of all together.
    pub fn totals(&self, request: Option<u32>, warmup: bool) -> Totals {
        let mut sum = Totals::default();
        let wanted = |key: &Key| key.warmup == warmup && request.is_none_or(|request| request == key.request);
        self.totals.iter().filter(|(key, _)| wanted(key)).for_each(|(_, totals)| sum.add(totals));
        sum
    }

    /// Sums that cost nothing to ask for: (sent, errors) of the main phase.
    pub fn sent_and_errors(&self) -> (u64, u64) {
        let main = self.totals.iter().filter(|(key, _)| !key.warmup);
        main.fold((0, 0), |sum, (_, totals)| (sum.0 + totals.ended() + totals.cancelled, sum.1 + totals.errors))
    }

    /// The totals themselves, by key.
    pub fn by_key(&self) -> &BTreeMap<Key, Totals> {
        &self.totals
    }
}

#[cfg(test)]
mod tests;
