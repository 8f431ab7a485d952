//! Where every planned request went: planned = sent + dropped + lost, to the request.

use super::Results;

/// Below this share of the plan a result is not called a pass.
pub const COVERAGE_MIN: f64 = 0.999;

/// The account of the main phase. `sent` is `completed + errors + cancelled`; `dropped` is `waited_too_long + not_started`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub planned: u64,
    pub completed: u64,
    pub errors: u64,
    /// In flight when the run was stopped, and given up.
    pub cancelled: u64,
    /// Waited for a connection longer than the bound.
    pub waited_too_long: u64,
    /// Never due because the run was stopped.
    pub not_started: u64,
    /// Owed by a worker that is gone.
    pub lost: u64,
}

impl Coverage {
    /// Adds up the workers' accounts.
    pub fn of(results: &Results) -> Self {
        let mut sum = Coverage::default();
        for worker in results.workers.values() {
            sum.completed += worker.completed;
            sum.errors += worker.errors;
            sum.cancelled += worker.cancelled;
            sum.waited_too_long += worker.dropped;
            sum.not_started += worker.not_started;
            sum.lost += worker.lost();
            sum.planned += worker.planned.unwrap_or(worker.sent() + worker.dropped + worker.not_started);
        }
        sum
    }

    pub fn sent(&self) -> u64 {
        self.completed + self.errors + self.cancelled
    }

    pub fn dropped(&self) -> u64 {
        self.waited_too_long + self.not_started
    }

    /// Whether the account is closed.
    pub fn adds_up(&self) -> bool {
        self.planned == self.sent() + self.dropped() + self.lost
    }

    /// What was sent, as a share of the plan; 1 for an empty plan.
    pub fn share(&self) -> f64 {
        if self.planned == 0 { 1.0 } else { self.sent() as f64 / self.planned as f64 }
    }
}
