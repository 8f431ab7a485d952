//! What a life of the coordinator leaves to the next one, and to the store: what waited waits again, what went on is broken
//! off, and results that the store did not take are offered to it until it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use jiff::Timestamp;

use super::job::{Figures, Job, Outcome, State, patience};
use super::records::{Checkpoint, Record, Records};
use super::service::Inner;
use super::{Finished, How, Source, Submission};

/// What was merged of a run that was broken off is not all that it measured.
const BROKEN_OFF: u8 = 4;

/// A store that did not take a result is asked again after so long.
const KEEP_AGAIN: Duration = Duration::from_secs(60);

/// Nobody who dials a coordinator that begins waits longer for its store.
const STORE_MAX: Duration = Duration::from_secs(5);

/// After so many results that it did not take a store is left alone for a while.
const FAILURES_MAX: u32 = 3;

/// In the warning of a result that the store did not take.
const NOT_KEPT: &str = "was not kept";

/// Until the store has been asked about a run of an earlier life.
pub(super) const ASKED: &str = "it was cut off with its coordinator, and the store is asked what it has of it";

const CUT: &str = "broken off: the coordinator ended while it was going on";

impl Inner {
    /// What an earlier life left: what waited waits again, what went on is broken off.
    pub(super) fn take_up(&self) {
        let Some(records) = &self.records else { return };
        let (found, warnings) = records.read();
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let mut jobs = self.jobs();
        for record in found {
            let mut job = job_of(&record);
            match (record.outcome, record.submission) {
                (Some(outcome), _) => job.state = State::Over(outcome),
                (None, Some(submission)) if record.started.is_none() => {
                    job.patience = patience(&submission);
                    job.submission = Some(submission);
                }
                (None, _) => {
                    job.state = State::Over(broken_off(records, &job.run));
                    self.remember(&job);
                }
            }
            jobs.insert(job.run.clone(), job);
        }
    }

    /// Finds out what of that the store has. One that is far away is not waited for.
    pub(super) fn ask_store(self: &Arc<Self>) {
        let _ = self.keep_again().recv_timeout(STORE_MAX);
    }

    /// Offers the store what it does not have, once a run has ended that it did not take.
    pub(super) fn keep_again_later(self: &Arc<Self>) {
        if self.unkept().is_empty() || self.keeps_again.swap(true, Ordering::AcqRel) {
            return;
        }
        let weak = Arc::downgrade(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(KEEP_AGAIN).await;
            let Some(inner) = weak.upgrade() else { return };
            inner.keeps_again.store(false, Ordering::Release);
            drop(inner.keep_again());
        });
    }

    /// Offers the store what it does not have, in a thread of its own. Whoever waits for that hears when it has been tried.
    pub(super) fn keep_again(self: &Arc<Self>) -> Receiver<()> {
        let (done, tried) = mpsc::sync_channel(1);
        if self.unkept().is_empty() || self.keeping.swap(true, Ordering::AcqRel) {
            return tried;
        }
        let inner = Arc::clone(self);
        let keeping = move || {
            // Its end says it.
            let _done = done;
            let mut failures = 0;
            for run in inner.unkept() {
                // A result may be one that no store takes; several are a store that takes nothing.
                if inner.ending.load(Ordering::Relaxed) || failures == FAILURES_MAX {
                    break;
                }
                if let Err(why) = inner.offer(&run) {
                    tracing::warn!("run {run} is still not in the store: {why}");
                    failures += 1;
                }
            }
            inner.all_asked();
            inner.keeping.store(false, Ordering::Release);
            inner.keep_again_later();
        };
        if let Err(error) = std::thread::Builder::new().name("store".to_owned()).spawn(keeping) {
            self.keeping.store(false, Ordering::Release);
            tracing::warn!("no thread for the store: {error}");
        }
        tried
    }

    /// The store was asked: what is known now is told.
    fn all_asked(&self) {
        for job in self.jobs().values_mut() {
            if let State::Over(outcome) = &mut job.state {
                outcome.unsettled = false;
            }
        }
        self.touch();
    }

    /// Runs that are over, and that the store may not have.
    fn unkept(&self) -> Vec<String> {
        let is = |job: &&Job| matches!(&job.state, State::Over(outcome) if outcome.unkept);
        self.jobs().values().filter(is).map(|job| job.run.clone()).collect()
    }

    fn offer(&self, run: &str) -> Result<(), String> {
        // The coordinator may have ended between keeping it and noting that: what is there is the whole.
        if let Some(kept) = self.executor.kept(run)? {
            self.settle(run, |outcome| was_kept(outcome, &kept));
            return Ok(());
        }
        let left = self.left_of(run).or_else(|| self.records.as_ref()?.checkpoint(run));
        match left {
            Some(Checkpoint { entry, document }) => {
                self.executor.keep(&entry, &document)?;
                tracing::info!("run {run} is in the store now");
                self.settle(run, |outcome| {
                    if outcome.warning.contains(NOT_KEPT) {
                        outcome.warning += "; it was kept later";
                    }
                });
            }
            // Nothing can be kept of it any more.
            None => self.settle(run, |_| {}),
        }
        Ok(())
    }

    /// What is in memory alone: where the volume is full too.
    fn left_of(&self, run: &str) -> Option<Checkpoint> {
        match &self.jobs().get(run)?.state {
            State::Over(Outcome { entry: Some(entry), document: Some(document), .. }) => {
                Some(Checkpoint { entry: entry.as_ref().clone(), document: document.clone() })
            }
            _ => None,
        }
    }

    fn settle(&self, run: &str, change: impl FnOnce(&mut Outcome)) {
        if let Some(job) = self.jobs().get_mut(run) {
            if let State::Over(outcome) = &mut job.state {
                change(outcome);
                outcome.unkept = false;
                outcome.entry = None;
            }
            self.remember(job);
            self.writer.iter().for_each(|writer| writer.drop_checkpoint(run));
        }
        self.touch();
    }
}

/// The result was whole, and in the store: nothing was broken off.
fn was_kept(outcome: &mut Outcome, kept: &Finished) {
    (outcome.exit_code, outcome.figures) = (kept.exit_code, Some(Figures::of(&kept.entry)));
    (outcome.message, outcome.warning, outcome.document) = (String::new(), String::new(), None);
}

/// Of a run that went on when the coordinator ended. Whether the store has it, or what was merged of it, is seen to later.
fn broken_off(records: &Records, run: &str) -> Outcome {
    tracing::warn!("run {run} was {CUT}");
    let mut outcome = Outcome {
        exit_code: BROKEN_OFF,
        message: format!("{CUT}, and nothing of it had been merged yet"),
        warning: String::new(),
        figures: None,
        ended: Timestamp::now(),
        document: None,
        unsettled: true,
        unkept: true,
        entry: None,
    };
    if let Some(Checkpoint { entry, .. }) = records.checkpoint(run) {
        outcome.message.clear();
        outcome.warning = format!("{CUT}; the report has what was merged until shortly before");
        outcome.figures = Some(Figures::of(&entry));
    }
    outcome
}

fn job_of(record: &Record) -> Job {
    let empty = Submission {
        test: Source::Resource { name: record.test.clone(), text: String::new() },
        search: None,
        workers: record.workers,
        how: How::default(),
        key: record.key.clone(),
        by: record.by.clone(),
    };
    let mut job = Job::new(record.run.clone(), record.checked(), empty, record.submitted);
    job.submission = None;
    job.started = record.started;
    job
}

#[cfg(test)]
mod tests;
