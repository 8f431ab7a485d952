//! The service itself: submissions come in, begin in their turn, and end; whoever wants to can follow.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

use super::attendance::Attendance;
use super::job::{Figures, Job, Outcome, State};
use super::metrics::{self, Exposition, Registry, Running};
use super::queue::{self, Turn};
use super::records::{Checkpoint, Record, Records};
use super::writer::Writer;
use super::{Execute, Failed, Finished, Refusal, Submission, pool};
use crate::grid::{Snapshot, StopReason};
use crate::store::{Entry, Kind};

/// Tests that may wait.
const QUEUE_MAX: usize = 100;

/// What all that wait may bring with them, bytes; one alone may bring more.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// Tests that are over and still known.
const OVER_MAX: usize = 1000;

/// Documents that stay in memory for those who follow, where the store has them.
const DOCUMENTS_MAX: usize = 8;

/// Documents that are nowhere else: a store may be far away, or full.
const UNKEPT_MAX: usize = 50;

/// At the end, runs may take so long to stop and to be kept.
const END_PATIENCE: Duration = Duration::from_secs(8);

/// After a restart workers take so long to dial again.
const REJOIN: Duration = Duration::from_secs(3);

const ENDING: &str = "the coordinator is ending";

/// How the service is set up.
pub struct Settings {
    /// Where it remembers what was submitted; without it a restart forgets.
    pub state: Option<PathBuf>,
    pub pool: pool::Handle,
    pub executor: Arc<dyn Execute>,
}

/// A submission that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    pub run: String,
    /// It was there already, by its key.
    pub known: bool,
}

/// Why nothing was stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unstopped {
    #[error("no run is going on")]
    Nothing,
    #[error("no run {0} waits or goes on here")]
    Unknown(String),
    #[error("run {0} is over")]
    Over(String),
    #[error("several runs are going on: say which with --run: {0}")]
    Several(String),
}

/// A coordinator in service. Clones are the same one.
#[derive(Clone)]
pub struct Service {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    jobs: Mutex<BTreeMap<String, Job>>,
    changed: watch::Sender<u64>,
    over: watch::Sender<u64>,
    pool: pool::Handle,
    pub(super) executor: Arc<dyn Execute>,
    pub(super) records: Option<Arc<Records>>,
    pub(super) writer: Option<Writer>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) ending: AtomicBool,
    /// Whether somebody is keeping again what the store did not take.
    pub(super) keeping: AtomicBool,
    /// Whether that is to be done again.
    pub(super) keeps_again: AtomicBool,
    registry: Mutex<Registry>,
    /// After a restart, when what waited may begin: its workers are on their way back.
    begins_at: Mutex<Option<Instant>>,
    /// Since when there has been no worker at all.
    empty: Mutex<Option<Instant>>,
}

impl Service {
    /// Starts it, and takes up what an earlier life left. Needs a runtime.
    ///
    /// # Errors
    /// A sentence: the state folder can't be used.
    pub fn start(settings: Settings) -> Result<Service, String> {
        let records = settings.state.as_deref().map(Records::open).transpose()?.map(Arc::new);
        let writer = records.clone().map(Writer::start).transpose()?;
        let inner = Arc::new(Inner {
            jobs: Mutex::new(BTreeMap::new()),
            changed: watch::channel(0).0,
            over: watch::channel(0).0,
            pool: settings.pool,
            executor: settings.executor,
            records,
            writer,
            runtime: tokio::runtime::Handle::current(),
            ending: AtomicBool::new(false),
            keeping: AtomicBool::new(false),
            keeps_again: AtomicBool::new(false),
            registry: Mutex::default(),
            begins_at: Mutex::default(),
            empty: Mutex::default(),
        });
        inner.take_up();
        inner.ask_store();
        // Whoever had an earlier life has workers that know of it.
        if !inner.jobs().is_empty() {
            *inner.begins_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REJOIN);
            inner.look_again_in(REJOIN);
        }
        let service = Service { inner };
        let mut workers = service.inner.pool.watch();
        let weak = Arc::downgrade(&service.inner);
        tokio::spawn(async move {
            while workers.changed().await.is_ok() {
                let Some(inner) = weak.upgrade() else { return };
                inner.touch();
                inner.schedule();
                if inner.count_workers().joining {
                    inner.look_again_in(pool::JOINING);
                }
            }
        });
        Ok(service)
    }

    /// Takes a submission.
    ///
    /// # Errors
    /// Why not.
    pub fn submit(&self, submission: Submission) -> Result<Submitted, Refusal> {
        let inner = &self.inner;
        if let Some(run) = self.by_key(&submission.key) {
            return Ok(Submitted { run, known: true });
        }
        let checked = inner.executor.check(&submission)?;
        if inner.ending.load(Ordering::Relaxed) {
            return Err(Refusal::Busy(ENDING.to_owned()));
        }
        let run = ulid::Ulid::generate().to_string();
        {
            let mut jobs = inner.jobs();
            // Somebody with the same key may have come while this one was checked.
            if let Some(job) = jobs.values().find(|job| !submission.key.is_empty() && job.key == submission.key) {
                return Ok(Submitted { run: job.run.clone(), known: true });
            }
            if let Some(why) = full(&jobs).or_else(|| too_large(&jobs, &submission)) {
                return Err(Refusal::Busy(why));
            }
            let job = Job::new(run.clone(), checked, submission, Timestamp::now());
            inner.look_again_in(job.patience);
            inner.remember(&job);
            jobs.insert(run.clone(), job);
        }
        if let Some(why) = inner.writer.as_ref().and_then(Writer::flush) {
            let warning = format!("warning: a restart of the coordinator would forget this test: {why}");
            inner.change(&run, |job| job.say(&warning));
        }
        tracing::info!("run {run} was submitted");
        inner.schedule();
        Ok(Submitted { run, known: false })
    }

    /// Why nobody's test would be taken now.
    pub fn busy(&self) -> Option<String> {
        match self.inner.ending.load(Ordering::Relaxed) {
            true => Some(ENDING.to_owned()),
            false => full(&self.inner.jobs()),
        }
    }

    /// The run that was submitted with this key.
    pub fn by_key(&self, key: &str) -> Option<String> {
        let jobs = self.inner.jobs();
        let mut named = jobs.values().filter(|job| !key.is_empty() && job.key == key);
        named.next().map(|job| job.run.clone())
    }

    /// Stops a run, or takes it out of the queue. Without a name: the one that goes on. Returns which.
    ///
    /// # Errors
    /// There is none, or it is over; without a name there may be several.
    pub fn stop(&self, run: &str, reason: &str) -> Result<String, Unstopped> {
        let mut jobs = self.inner.jobs();
        let run = match run {
            "" => the_one(&jobs)?,
            run => run.to_owned(),
        };
        let job = jobs.get_mut(&run).ok_or_else(|| Unstopped::Unknown(run.clone()))?;
        let waited = matches!(job.state, State::Queued { .. });
        match job.state {
            State::Going => {
                let reason = StopReason::Operator(reason.to_owned());
                job.stop.send_if_modified(|stop| stop.is_none() && stop.replace(reason).is_none());
            }
            State::Queued { .. } => {
                let message = format!("stopped by an operator before it began: {reason}");
                self.inner.end(job, Err(Failed { exit_code: 4, message }));
            }
            State::Over(_) => return Err(Unstopped::Over(run)),
        }
        drop(jobs);
        if waited {
            self.inner.one_is_over();
        }
        self.inner.touch();
        self.inner.schedule();
        Ok(run)
    }

    /// Is marked whenever anything may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Is marked whenever a test is over.
    pub fn endings(&self) -> watch::Receiver<u64> {
        self.inner.over.subscribe()
    }

    /// Why no test could be taken now.
    pub fn trouble(&self) -> Option<String> {
        if self.inner.ending.load(Ordering::Relaxed) {
            return Some(ENDING.to_owned());
        }
        self.inner.records.as_ref().and_then(|records| records.trouble().or_else(|| records.lacks_room()))
    }

    pub fn workers(&self) -> Vec<pool::Pooled> {
        self.inner.pool.workers()
    }

    /// What of a result the store need not have yet.
    pub fn document(&self, run: &str) -> Option<String> {
        let unkept = match &self.inner.jobs().get(run)?.state {
            State::Over(outcome) if outcome.document.is_some() => return outcome.document.clone(),
            State::Over(outcome) => outcome.unkept,
            State::Queued { .. } | State::Going => false,
        };
        let left = || self.inner.records.as_ref()?.checkpoint(run);
        unkept.then(left).flatten().map(|left| left.document)
    }

    /// The metrics in the format that an Accept header asks for.
    pub fn metrics(&self, accept: Option<&str>) -> Exposition {
        let view = self.view(&[]);
        let state = |state: &str| view.workers.iter().filter(|worker| worker.state == state).count();
        let running = view.running.iter().map(|running| Running {
            run: running.run.clone(),
            test: running.test.clone(),
            kind: if running.kind == Kind::Run { "run" } else { "capacity" },
            phase: running.phase,
            planned_rate: running.rate.planned,
            achieved_rate: running.rate.achieved,
            in_flight: running.in_flight,
            waiting: running.waiting,
        });
        let figures = metrics::Figures {
            workers: metrics::Workers { idle: state("idle"), busy: state("busy"), away: state("away") },
            queued: view.queued.len(),
            running: running.collect(),
        };
        self.inner.registry().exposition(&figures, accept)
    }

    /// How a test ended.
    pub fn outcome(&self, run: &str) -> Option<Outcome> {
        match &self.inner.jobs().get(run)?.state {
            State::Over(outcome) => Some(outcome.clone()),
            State::Queued { .. } | State::Going => None,
        }
    }

    /// Ends in order: what goes on is stopped, reported and kept, what waits stays in the records.
    pub async fn end(&self) {
        self.inner.ending.store(true, Ordering::Relaxed);
        for job in self.inner.jobs().values().filter(|job| matches!(job.state, State::Going)) {
            job.stop.send_if_modified(|stop| stop.is_none() && stop.replace(StopReason::BrokenOff).is_none());
        }
        let mut over = self.endings();
        let all_over = async {
            while self.inner.jobs().values().any(|job| matches!(job.state, State::Going)) {
                if over.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(END_PATIENCE, all_over).await.is_err() {
            tracing::warn!("a run did not end in time: after the restart it is reported as broken off");
        }
        let inner = Arc::clone(&self.inner);
        // What became of them is on disk before the process is gone.
        let _ = tokio::task::spawn_blocking(move || inner.writer.as_ref().and_then(Writer::flush)).await;
    }

    pub(super) fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        self.inner.jobs()
    }
}

impl Inner {
    pub(super) fn jobs(&self) -> MutexGuard<'_, BTreeMap<String, Job>> {
        // A thread that panicked ends the process; what it held is whole all the same.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn touch(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn change(&self, run: &str, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.jobs().get_mut(run) {
            change(job);
        }
        self.touch();
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn measured(&self, run: &str, totals: &metrics::Totals) {
        let named = self.jobs().get(run).map(|job| (job.checked.test.clone(), job.probe.map_or(0, |probe| probe.0)));
        if let Some((test, probe)) = named {
            self.registry().progress(run, &test, probe, totals);
        }
    }

    pub(super) fn checkpoint(&self, run: &str, entry: &Entry, document: &str) {
        if let Some(writer) = &self.writer {
            writer.checkpoint(run, Checkpoint { entry: entry.clone(), document: document.to_owned() });
        }
    }

    pub(super) fn remember(&self, job: &Job) {
        self.writer.iter().for_each(|writer| writer.record(Record::of(job)));
    }

    /// Looks whose turn it is once more: something may be over by time alone.
    fn look_again_in(self: &Arc<Self>, pause: Duration) {
        let weak = Arc::downgrade(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(pause).await;
            if let Some(inner) = weak.upgrade() {
                inner.schedule();
            }
        });
    }

    /// Since when there has been no worker at all. When the last one goes, those who wait are given their time.
    fn empty_since(self: &Arc<Self>, workers: queue::Workers, jobs: &BTreeMap<String, Job>) -> Option<Instant> {
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.all > 0 {
            *empty = None;
        } else if empty.is_none() {
            *empty = Some(Instant::now());
            let waiting = jobs.values().filter(|job| matches!(job.state, State::Queued { .. }));
            waiting.for_each(|job| self.look_again_in(job.patience));
        }
        *empty
    }

    fn count_workers(&self) -> queue::Workers {
        pool::count(&self.pool.workers(), Timestamp::now())
    }

    /// Lets begin whoever's turn it is.
    pub(super) fn schedule(self: &Arc<Self>) {
        if self.ending.load(Ordering::Relaxed) {
            return;
        }
        loop {
            let mut jobs = self.jobs();
            let mut workers = self.count_workers();
            let empty = self.empty_since(workers, &jobs);
            let places = |is: fn(&State) -> bool| -> Vec<queue::Place> {
                jobs.values().filter(|job| is(&job.state)).map(|job| job.place(empty)).collect()
            };
            let (going, waiting) =
                (places(|state| matches!(state, State::Going)), places(|state| matches!(state, State::Queued { .. })));
            // A search has its workers also between two probes.
            let given: usize = going.iter().filter_map(|place| place.workers).sum();
            workers.idle = workers.idle.min(workers.all.saturating_sub(given));
            let begins_at = *self.begins_at.lock().unwrap_or_else(PoisonError::into_inner);
            if begins_at.is_some_and(|at| Instant::now() < at) {
                workers.returning = 1;
            } else if !going.is_empty() {
                // Who comes back is that run's.
                workers.returning = 0;
            }
            let (mut begins, mut failed) = (None, false);
            for (place, turn) in waiting.iter().zip(queue::turns(&waiting, &going, workers)) {
                let Some(job) = jobs.get_mut(&place.run) else { continue };
                match turn {
                    Turn::Begins(count) => begins = Some((place.run.clone(), count)),
                    Turn::Waits(why) => job.state = State::Queued { why },
                    Turn::Fails(message) => {
                        failed = true;
                        self.end(job, Err(Failed { exit_code: 4, message }));
                    }
                }
            }
            if let Some((run, count)) = &begins
                && let Some(job) = jobs.get_mut(run)
            {
                self.begin(job, *count);
            }
            drop(jobs);
            if failed {
                self.one_is_over();
            }
            // Who waits for one that failed need not wait any longer.
            if begins.is_none() && !failed {
                break;
            }
        }
        self.touch();
    }

    fn begin(self: &Arc<Self>, job: &mut Job, workers: usize) {
        // It is the run's from here on: nobody begins it again.
        let Some(submission) = job.submission.take() else { return };
        job.state = State::Going;
        job.started = Some(Timestamp::now());
        job.workers = Some(workers);
        self.remember(job);
        let snapshots = watch::channel(Snapshot::default()).0;
        self.follow(&job.run, snapshots.subscribe());
        let attendance = Arc::new(Attendance {
            run: job.run.clone(),
            workers,
            pool: self.pool.clone(),
            stop: job.stop.subscribe(),
            snapshots,
            service: Arc::downgrade(self),
        });
        let (inner, run) = (Arc::clone(self), job.run.clone());
        let began = std::thread::Builder::new().name("run".to_owned()).spawn(move || {
            let ended = inner.executor.execute(submission, attendance);
            if let Some(job) = inner.jobs().get_mut(&run) {
                inner.end(job, ended);
            }
            inner.keep_again_later();
            inner.one_is_over();
            inner.schedule();
        });
        if let Err(error) = began {
            self.end(job, Err(Failed { exit_code: 4, message: format!("no thread for it: {error}") }));
        }
    }

    /// Takes a run's snapshots up until it is over.
    fn follow(self: &Arc<Self>, run: &str, mut snapshots: watch::Receiver<Snapshot>) {
        let (weak, run) = (Arc::downgrade(self), run.to_owned());
        self.runtime.spawn(async move {
            while snapshots.changed().await.is_ok() {
                let snapshot = snapshots.borrow_and_update().clone();
                let Some(inner) = weak.upgrade() else { return };
                inner.change(&run, |job| job.take(snapshot));
            }
        });
    }

    fn end(&self, job: &mut Job, ended: Result<Finished, Failed>) {
        let now = Timestamp::now();
        let outcome = match ended {
            Ok(finished) => Outcome {
                exit_code: finished.exit_code,
                message: String::new(),
                warning: finished.warning.unwrap_or_default(),
                figures: Some(Figures::of(&finished.entry)),
                ended: now,
                document: Some(finished.document),
                unsettled: false,
                unkept: finished.unkept,
                entry: finished.unkept.then(|| Box::new(finished.entry)),
            },
            Err(failed) => Outcome {
                exit_code: failed.exit_code,
                message: failed.message,
                warning: String::new(),
                figures: None,
                ended: now,
                document: None,
                unsettled: false,
                unkept: false,
                entry: None,
            },
        };
        let quantile = |q: f64, latency: Option<f64>| latency.map(|latency| (q, latency));
        let figures = outcome.figures.as_ref();
        let latency = figures.map(|figures| [quantile(0.5, figures.p50), quantile(0.99, figures.p99)]);
        let ended = metrics::Ended {
            verdict: figures.map_or_else(|| "error".to_owned(), |figures| figures.verdict.clone()),
            at: now.as_millisecond() as f64 / 1e3,
            latency: latency.into_iter().flatten().flatten().collect(),
        };
        self.registry().over(&job.run, &job.checked.test, ended);
        tracing::info!("run {} is over (exit code {}) {}", job.run, outcome.exit_code, outcome.message);
        job.state = State::Over(outcome);
        job.submission = None;
        job.seconds.clear();
        let Some(writer) = &self.writer else { return };
        // What the store did not take stays in the records until it does. Wherever this is cut off, something is left.
        match &job.state {
            State::Over(Outcome { entry: Some(entry), document: Some(document), .. }) => {
                let result = Checkpoint { entry: entry.as_ref().clone(), document: document.clone() };
                writer.last(&job.run, result);
                self.remember(job);
            }
            _ => {
                self.remember(job);
                writer.drop_checkpoint(&job.run);
            }
        }
    }

    fn one_is_over(&self) {
        self.tidy();
        self.over.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Lets go of what nobody will ask for any more.
    fn tidy(&self) {
        let mut jobs = self.jobs();
        let over: Vec<String> =
            jobs.values().filter(|job| matches!(job.state, State::Over(_))).map(|job| job.run.clone()).collect();
        let is_unkept = |job: &Job| matches!(&job.state, State::Over(outcome) if outcome.unkept);
        for (unkept, most) in [(false, DOCUMENTS_MAX), (true, UNKEPT_MAX)] {
            let of: Vec<&String> =
                over.iter().filter(|run| jobs.get(*run).is_some_and(|job| is_unkept(job) == unkept)).collect();
            for run in of.iter().take(of.len().saturating_sub(most)) {
                if let Some(State::Over(outcome)) = jobs.get_mut(*run).map(|job| &mut job.state) {
                    (outcome.document, outcome.entry) = (None, None);
                }
            }
        }
        for run in over.iter().take(over.len().saturating_sub(OVER_MAX)) {
            jobs.remove(run);
            self.writer.iter().for_each(|writer| writer.forget(run));
        }
    }
}

/// The one run that goes on.
fn the_one(jobs: &BTreeMap<String, Job>) -> Result<String, Unstopped> {
    let mut going = jobs.values().filter(|job| matches!(job.state, State::Going));
    match (going.next(), going.next()) {
        (None, _) => Err(Unstopped::Nothing),
        (Some(job), None) => Ok(job.run.clone()),
        (Some(_), Some(_)) => {
            let going = jobs.values().filter(|job| matches!(job.state, State::Going));
            let named: Vec<String> = going.map(|job| format!("{} ({})", job.run, job.checked.test)).collect();
            Err(Unstopped::Several(named.join(", ")))
        }
    }
}

fn too_large(jobs: &BTreeMap<String, Job>, submission: &Submission) -> Option<String> {
    let waiting: usize = jobs.values().filter_map(|job| job.submission.as_ref()).map(Submission::size).sum();
    let (all, most) = (waiting + submission.size(), QUEUE_BYTES_MAX);
    (waiting > 0 && all > most).then(|| {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        format!(
            "the tests that wait have {:.0} MiB of files with them, and this one has {:.0} ({:.0} at most together): try \
             again when fewer wait",
            mib(waiting),
            mib(submission.size()),
            mib(most)
        )
    })
}

fn full(jobs: &BTreeMap<String, Job>) -> Option<String> {
    let waiting = jobs.values().filter(|job| matches!(job.state, State::Queued { .. })).count();
    (waiting >= QUEUE_MAX).then(|| format!("{waiting} tests wait already: try again when fewer do"))
}
