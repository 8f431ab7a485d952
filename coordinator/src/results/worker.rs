//! One worker's part of the results: what it owed, what it brought, how it was doing.

use std::collections::BTreeSet;

use loadgrid_proto::Recorded;
use loadgrid_worker::interval::{Health, Interval};

use super::Merged;

/// Intervals shorter than this say nothing of how busy a lane is, ns.
const BUSY_INTERVAL_NS_MIN: u64 = 200_000_000;

/// A worker's sums over a run. Counts are of the main phase unless they say otherwise.
#[derive(Clone, Debug, Default)]
pub struct WorkerResults {
    pub name: String,
    pub lanes: u32,
    /// Arrivals of its shard; `None` in a closed loop without a count.
    pub planned: Option<u64>,
    pub planned_warmup: u64,
    pub completed: u64,
    pub errors: u64,
    /// Given up because the run was stopped.
    pub cancelled: u64,
    pub dropped: u64,
    pub late: u64,
    pub ended_warmup: u64,
    pub dropped_warmup: u64,
    /// Never due because of a stop; known once the worker said farewell.
    pub not_started: u64,
    pub not_started_warmup: u64,
    /// Why it left before the end, if nobody had stopped the run.
    pub left_early: Option<String>,
    /// Whether it said farewell: everything it had to say is merged.
    pub complete: bool,
    pub latency: Recorded,
    pub service_time: Recorded,
    pub dispatch_lag: Recorded,
    pub health: HealthTotals,
    pub(crate) merged: u64,
}

/// How a worker was doing over the run.
#[derive(Clone, Copy, Debug, Default)]
pub struct HealthTotals {
    pub busy_ns: u64,
    pub wall_ns: u64,
    pub busy_share_max: f64,
    pub starved_ns: u64,
    pub throttled_ns: u64,
    pub throttled_periods: u64,
    pub descriptors_exhausted: u64,
    pub ports_exhausted: u64,
    pub connections_opened: u64,
    pub connections_max: u64,
    pub unsolicited: u64,
    pub retried: u64,
    pub goaways: u64,
    pub merged_intervals: u64,
    pub clock_offset_ns: i64,
    pub clock_bound_ns: u64,
    pub start_skew_ns: Option<i64>,
}

impl WorkerResults {
    /// The last sequence number that was merged; 0 for none.
    pub fn merged(&self) -> u64 {
        self.merged
    }

    /// Requests sent in the main phase, whatever became of them.
    pub fn sent(&self) -> u64 {
        self.completed + self.errors + self.cancelled
    }

    /// Arrivals that nobody knows anything of.
    pub fn lost(&self) -> u64 {
        let known = self.sent() + self.dropped + self.not_started;
        self.planned.unwrap_or(known).saturating_sub(known)
    }

    pub(super) fn merge(&mut self, interval: &Interval, follow_ups: &BTreeSet<u32>) -> Merged {
        if interval.sequence <= self.merged {
            return Merged::Duplicate;
        }
        if interval.first_sequence != self.merged + 1 || interval.sequence < interval.first_sequence {
            return Merged::Foreign;
        }
        self.merged = interval.sequence;
        for (key, series) in &interval.series {
            if key.warmup {
                self.ended_warmup += series.ended();
                self.dropped_warmup += series.dropped;
                continue;
            }
            if !follow_ups.contains(&key.request) {
                self.completed += series.completed;
                self.errors += series.errors;
                self.cancelled += series.cancelled;
                self.dropped += series.dropped;
                self.late += series.late;
                self.latency.merge(&series.latency);
                self.service_time.merge(&series.service_time);
                self.dispatch_lag.merge(&series.dispatch_lag);
            }
        }
        self.health.add(&interval.health);
        Merged::Fresh
    }
}

impl HealthTotals {
    /// Share of a core that the busiest lane used on average.
    pub fn busy_share(&self) -> f64 {
        if self.wall_ns == 0 { 0.0 } else { self.busy_ns as f64 / self.wall_ns as f64 }
    }

    /// A time as a share of the wall time.
    pub fn share(&self, ns: u64) -> f64 {
        if self.wall_ns == 0 { 0.0 } else { ns as f64 / self.wall_ns as f64 }
    }

    fn add(&mut self, health: &Health) {
        self.busy_ns += health.busy_ns;
        self.wall_ns += health.wall_ns;
        if health.wall_ns >= BUSY_INTERVAL_NS_MIN {
            self.busy_share_max = self.busy_share_max.max(health.share());
        }
        self.starved_ns += health.starved_ns;
        self.throttled_ns += health.throttled_ns;
        self.throttled_periods += health.throttled_periods;
        self.descriptors_exhausted += health.descriptors_exhausted;
        self.ports_exhausted += health.ports_exhausted;
        self.connections_opened += health.connections_opened;
        self.connections_max = self.connections_max.max(health.connections_open);
        self.unsolicited += health.unsolicited;
        self.retried += health.retried;
        self.goaways += health.goaways;
        self.merged_intervals += health.merged_intervals;
        self.clock_offset_ns = health.clock_offset_ns;
        self.clock_bound_ns = self.clock_bound_ns.max(health.clock_bound_ns);
        self.start_skew_ns = self.start_skew_ns.or(health.start_skew_ns);
    }
}
