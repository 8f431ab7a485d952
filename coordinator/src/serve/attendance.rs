//! What a run in service has in place of a terminal and signals: workers that are lent, somebody who follows, and an order
//! to stop.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::watch;

use super::metrics::Totals;
use super::pool;
use super::service::Inner;
use crate::grid::{Events, Snapshot, StopReason};
use crate::store::Entry;

/// What of a run does not change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    pub test: String,
    pub warmup: Duration,
    /// Warm-up and main phase; `None` if only the target knows.
    pub length: Option<Duration>,
}

/// One run's part of the service.
pub struct Attendance {
    pub(super) run: String,
    /// How many workers it begins with.
    pub(super) workers: usize,
    pub(super) pool: pool::Handle,
    pub(super) stop: watch::Receiver<Option<StopReason>>,
    pub(super) snapshots: watch::Sender<Snapshot>,
    pub(super) service: Weak<Inner>,
}

impl Attendance {
    /// The run's name.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How many workers it was given.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Lends workers for `run`, which is this one or a probe of it.
    ///
    /// # Errors
    /// The coordinator is ending.
    pub async fn lend(&self, run: &str, wanted: usize, events: Events) -> Result<pool::Loan, String> {
        self.pool.lend(run, wanted, events, self.snapshots.subscribe()).await
    }

    pub fn stop(&self) -> watch::Receiver<Option<StopReason>> {
        self.stop.clone()
    }

    /// Why it is to stop, once it is.
    pub async fn stopped(&self) -> StopReason {
        let mut stop = self.stop.clone();
        match stop.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(StopReason::Interrupted),
            Err(_) => StopReason::Interrupted,
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Stops the run, for a reason of the service itself.
    pub fn end(&self, reason: &str) {
        let reason = StopReason::Operator(reason.to_owned());
        let stop = |job: &mut super::job::Job| {
            job.stop.send_if_modified(|stop| stop.is_none() && stop.replace(reason).is_none());
        };
        self.with(|inner| inner.change(&self.run, stop));
    }

    /// Whether the coordinator itself ends.
    pub fn is_broken_off(&self) -> bool {
        matches!(*self.stop.borrow(), Some(StopReason::BrokenOff))
    }

    /// Whether a target that is known only now may be aimed at.
    ///
    /// # Errors
    /// A sentence: it is outside the allow-list.
    pub fn allowed(&self, host: &str, port: u16) -> Result<(), String> {
        self.service.upgrade().map_or(Ok(()), |inner| inner.executor.allowed(host, port))
    }

    /// Where the run's snapshots go.
    pub fn snapshots(&self) -> watch::Sender<Snapshot> {
        self.snapshots.clone()
    }

    /// A load begins.
    pub fn begins(&self, about: About) {
        self.with(|inner| inner.change(&self.run, |job| job.about = Some(about)));
    }

    /// A probe of a search begins.
    pub fn probe(&self, number: usize, rate: f64) {
        self.with(|inner| inner.change(&self.run, |job| job.probe = Some((number, rate))));
    }

    /// What has to be waited for before anything of it begins; nothing once it is there.
    pub fn waits(&self, why: Option<String>) {
        self.with(|inner| inner.change(&self.run, |job| job.held_up = why));
    }

    /// Something for people.
    pub fn say(&self, text: &str) {
        self.with(|inner| inner.change(&self.run, |job| job.say(text)));
    }

    /// What the load that goes on has come to.
    pub fn measured(&self, totals: Totals) {
        self.with(|inner| inner.measured(&self.run, &totals));
    }

    /// What the run would leave if the coordinator ended now.
    pub fn checkpoint(&self, entry: &Entry, document: &str) {
        self.with(|inner| inner.checkpoint(&self.run, entry, document));
    }

    fn with(&self, act: impl FnOnce(&Inner)) {
        // A service that is gone has nobody left to tell.
        if let Some(inner) = self.service.upgrade() {
            act(&inner);
        }
    }
}
