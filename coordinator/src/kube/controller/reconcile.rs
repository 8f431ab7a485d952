//! A LoadTest, what has to be done about it, and the API server that hears of it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::step::{Next, Now, Then};
use super::{Declined, MANAGER, Order, Runs, events, refused, status};
use crate::kube::client::refusal;
use crate::kube::resource::{COORDINATOR, FINALIZER, GROUP, KIND, LoadTest, PLURAL, Phase, Status, VERSION};
use crate::kube::trigger::Triggers;

/// A run that does not end holds a deletion up no longer.
const HOLD_MAX: Duration = Duration::from_secs(60);

/// Between two looks at a run that is being stopped.
const HOLD_LOOK: Duration = Duration::from_secs(1);

/// An answer of the API server is waited for so long.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Between two looks at whether a test would be taken.
const BUSY_LOOK: Duration = Duration::from_secs(20);

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// Tries to set a finalizer while others write too.
const CONFLICTS_MAX: u32 = 5;

/// What all LoadTests share.
pub(super) struct Shared {
    pub client: Client,
    pub runs: Arc<dyn Runs>,
    pub triggers: Triggers,
    /// Which coordinator this is, among those that may see the same LoadTest.
    pub holder: String,
    /// Is marked when all have to be looked at once more.
    pub wake: watch::Sender<u64>,
    /// Nothing is held any more: what still waits is for the next life, and may be deleted meanwhile.
    ending: AtomicBool,
    /// By uid.
    known: Mutex<HashMap<String, Known>>,
}

/// What is known of one, which its resource may not say yet.
#[derive(Default)]
struct Known {
    /// As it was written last, and when.
    status: Option<(Status, Instant)>,
    /// The run that was told to stop.
    stopped: Option<String>,
    failures: u32,
    /// The version that failed, and until when it is left alone.
    failed: Option<(Option<String>, Instant)>,
}

/// Why a LoadTest could not be seen to.
#[derive(Debug)]
pub(super) struct Failed(String);

impl fmt::Display for Failed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Failed {}

impl Shared {
    pub(super) fn new(client: Client, runs: Arc<dyn Runs>, holder: String) -> Self {
        Shared {
            triggers: Triggers::new(client.clone()),
            client,
            runs,
            holder,
            wake: watch::channel(0).0,
            ending: AtomicBool::new(false),
            known: Mutex::default(),
        }
    }

    /// Lets go of all of them.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
        self.wake.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Whether a LoadTest is held up by this coordinator.
    pub(super) fn holds(&self, test: &LoadTest) -> bool {
        test.finalizers().iter().any(|own| own == FINALIZER) && claim(test).is_none_or(|claim| claim == self.holder)
    }

    /// How long one that failed, and is as it was, is still left alone.
    fn backing_off(&self, uid: &str, version: Option<&str>) -> Option<Duration> {
        let known = self.known();
        let (failed, until) = known.get(uid)?.failed.as_ref()?;
        let left = until.saturating_duration_since(Instant::now());
        (failed.as_deref() == version && !left.is_zero()).then_some(left)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self, uid: &str) {
        self.known().remove(uid);
        self.triggers.forget(uid);
    }

    /// Stops the runs of LoadTests that are gone although they should have waited, in this life or an earlier one.
    pub(super) fn sweep(&self, there: &HashSet<String>) {
        let gone: Vec<String> = self.known().keys().filter(|uid| !there.contains(*uid)).cloned().collect();
        gone.iter().for_each(|uid| self.forget(uid));
        for open in self.runs.open() {
            if open.key.split_once('/').is_some_and(|(uid, _)| !there.contains(uid)) {
                self.runs.stop(&open.run, &format!("{} is gone", open.by));
            }
        }
    }
}

/// Which coordinator sees to a LoadTest.
fn claim(test: &LoadTest) -> Option<&str> {
    test.annotations().get(COORDINATOR).map(String::as_str)
}

/// What is done after an error.
pub(super) fn after(test: &LoadTest, shared: &Shared) -> Action {
    let mut known = shared.known();
    let known = known.entry(test.uid().unwrap_or_default()).or_default();
    let pause = (BACKOFF_FIRST * 2_u32.saturating_pow(known.failures.min(6))).min(BACKOFF_MAX);
    known.failures += 1;
    known.failed = Some((test.resource_version(), Instant::now() + pause));
    Action::requeue(pause)
}

/// Sees to a LoadTest.
///
/// # Errors
/// What the API server said no to.
pub(super) async fn reconcile(test: Arc<LoadTest>, shared: Arc<Shared>) -> Result<Action, Failed> {
    let uid = test.uid().unwrap_or_default();
    // Something changes all the time while a run goes on.
    if let Some(left) = shared.backing_off(&uid, test.resource_version().as_deref()) {
        return Ok(Action::requeue(left));
    }
    let action = One { test: &test, shared: &shared, uid: &uid }.reconcile().await?;
    if let Some(known) = shared.known().get_mut(&uid) {
        (known.failures, known.failed) = (0, None);
    }
    Ok(action)
}

/// How a LoadTest is held.
#[derive(Clone, Copy)]
struct Hold {
    /// Its deletion waits.
    finalizer: bool,
    /// Other coordinators leave it alone.
    claim: bool,
}

impl Hold {
    const NOT: Hold = Hold { finalizer: false, claim: false };
    const FAST: Hold = Hold { finalizer: true, claim: true };
}

/// Bounds one call: a connection that has gone without a word would hold its LoadTest up for a quarter of an hour.
async fn answered<T>(asked: impl Future<Output = T>) -> Result<T, Failed> {
    let answer = tokio::time::timeout(ANSWER_MAX, asked).await;
    answer.map_err(|_| Failed(format!("the API server does not answer within {} s", ANSWER_MAX.as_secs())))
}

struct One<'a> {
    test: &'a LoadTest,
    shared: &'a Shared,
    uid: &'a str,
}

impl One<'_> {
    async fn reconcile(&self) -> Result<Action, Failed> {
        if claim(self.test).is_some_and(|claim| claim != self.shared.holder) {
            // Another coordinator that watches this namespace sees to it.
            self.shared.forget(self.uid);
            return Ok(Action::await_change());
        }
        let (before, since) = self.before();
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let now = Now { test: self.test, before: &before, now: &now };
        let next = self.next(now);
        if let Some((run, reason)) = next.stop {
            self.stop(&run, &reason);
        }
        match next.then {
            Then::Nothing => Ok(Action::await_change()),
            Then::Hold if self.held() < HOLD_MAX => Ok(Action::requeue(HOLD_LOOK)),
            Then::Hold | Then::LetGo => {
                self.hold(Hold::NOT).await?;
                self.shared.forget(self.uid);
                Ok(Action::await_change())
            }
            Then::Submit(order) => {
                if let Some(why) = self.busy().await {
                    self.show(&before, now.busy(&order, why), since).await?;
                    // Room on a volume is made without a word.
                    return Ok(Action::requeue(BUSY_LOOK));
                }
                if !self.hold(Hold::FAST).await? {
                    return Ok(Action::await_change());
                }
                let status = self.submit(now, *order).await;
                let waits = status.phase == Some(Phase::Pending);
                let shown = self.show(&before, status, since).await?;
                Ok(if waits { Action::requeue(BUSY_LOOK) } else { shown })
            }
            Then::Show(status) => self.show(&before, *status, since).await,
        }
    }

    fn next(&self, now: Now<'_>) -> Next {
        let asked = Cell::new(false);
        let next = now.next(self.shared.runs.as_ref(), |service| {
            asked.set(true);
            self.shared.triggers.state(self.uid, &self.test.namespace().unwrap_or_default(), service)
        });
        if !asked.get() {
            self.shared.triggers.forget(self.uid);
        }
        next
    }

    /// Why nothing would be taken now. A disk is looked at, and may not answer.
    async fn busy(&self) -> Option<String> {
        let runs = Arc::clone(&self.shared.runs);
        match tokio::time::timeout(ANSWER_MAX, tokio::task::spawn_blocking(move || runs.busy())).await {
            Ok(busy) => busy.unwrap_or_default(),
            Err(_) => Some("the state folder's disk does not answer".to_owned()),
        }
    }

    /// The last status, and how long ago it was written if that was here.
    fn before(&self) -> (Status, Option<Duration>) {
        let mut all = self.shared.known();
        let known = all.entry(self.uid.to_owned()).or_default();
        let seen = self.test.status.clone().unwrap_or_default();
        match &known.status {
            // Another coordinator may have seen to a later generation meanwhile.
            Some((status, at)) if status.observed_generation >= seen.observed_generation => {
                (status.clone(), Some(at.elapsed()))
            }
            _ => (seen, None),
        }
    }

    /// Each run is told once.
    fn stop(&self, run: &str, reason: &str) {
        let mut all = self.shared.known();
        let known = all.entry(self.uid.to_owned()).or_default();
        if known.stopped.as_deref() != Some(run) {
            known.stopped = Some(run.to_owned());
            self.shared.runs.stop(run, reason);
        }
    }

    /// For how long the deletion has been waiting.
    fn held(&self) -> Duration {
        let since = self.test.metadata.deletion_timestamp.as_ref().map(|time| time.0);
        let held = since.map(|since| jiff::Timestamp::now().duration_since(since));
        held.and_then(|held| held.try_into().ok()).unwrap_or_default()
    }

    async fn submit(&self, now: Now<'_>, order: Order) -> Status {
        let (runs, given) = (Arc::clone(&self.shared.runs), order.clone());
        // It is remembered before it is taken on, and disks take their time.
        let taken = tokio::task::spawn_blocking(move || runs.submit(given)).await;
        match taken {
            Ok(Ok(run)) => now.submitted(&order, &run, self.shared.runs.as_ref()),
            Ok(Err(Declined::Refused(refused))) => now.refused(&order, &refused),
            Ok(Err(Declined::Busy(why))) => now.busy(&order, why),
            Err(_) => now.busy(&order, "the coordinator is ending".to_owned()),
        }
    }

    async fn show(&self, before: &Status, status: Status, since: Option<Duration>) -> Result<Action, Failed> {
        let goes_on = status.run.is_some() && !status.phase.is_some_and(Phase::is_over);
        match status::due(before, &status, since) {
            Some(Duration::ZERO) => {
                if !self.write(&status).await? {
                    return Ok(Action::await_change());
                }
                for told in events::between(before, &status) {
                    // An event is said once, or not at all.
                    let _ = answered(events::tell(&self.shared.client, self.test, &told)).await;
                }
            }
            Some(later) => return Ok(Action::requeue(later)),
            None => {}
        }
        // What waits is in the records, and begins in the next life: it stays this coordinator's, and may be deleted.
        let ending = self.shared.ending.load(Ordering::Relaxed);
        self.hold(Hold { finalizer: goes_on && !ending, claim: goes_on }).await?;
        Ok(Action::await_change())
    }

    fn api(&self) -> Api<LoadTest> {
        Api::namespaced(self.shared.client.clone(), &self.test.namespace().unwrap_or_default())
    }

    fn failed(&self, what: &str, error: &kube::Error, verbs: &'static [&'static str], resource: &str) -> Failed {
        let why = refused::explain(error, verbs, resource, self.test.namespace().as_deref());
        Failed(format!("{what}: {why}"))
    }

    /// Writes the status; false where the resource is gone.
    async fn write(&self, status: &Status) -> Result<bool, Failed> {
        let name = self.test.name_any();
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": KIND,
            "metadata": { "name": name, "uid": self.uid },
            "status": status,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        let written = async { self.api().patch_status(&name, &parameters, &Patch::Apply(patch)).await };
        match answered(written).await? {
            Ok(_) => {
                let mut all = self.shared.known();
                let known = all.entry(self.uid.to_owned()).or_default();
                known.status = Some((status.clone(), Instant::now()));
                Ok(true)
            }
            // Another one of its name has another uid.
            Err(error) if matches!(refusal::code(&error), Some(404 | 409)) => Ok(false),
            Err(error) => {
                let resource = format!("{PLURAL}.{GROUP}/status");
                Err(self.failed("its status can't be written", &error, &["get", "update", "patch"], &resource))
            }
        }
    }

    /// Sees to it that the finalizer is there, with the name of this coordinator, or is not. Both are written at once, and
    /// on top of what was read: of two coordinators one comes first. False where the resource is gone, or not ours.
    async fn hold(&self, wanted: Hold) -> Result<bool, Failed> {
        let name = self.test.name_any();
        let mut current = self.test.clone();
        for _ in 0..CONFLICTS_MAX {
            let mut finalizers = current.metadata.finalizers.clone().unwrap_or_default();
            let (has, claimed) = (finalizers.iter().any(|own| own == FINALIZER), claim(&current));
            if claimed.is_some_and(|claim| claim != self.shared.holder) {
                return Ok(false);
            }
            if has == wanted.finalizer && claimed.is_some() == wanted.claim {
                return Ok(true);
            }
            finalizers.retain(|own| own != FINALIZER);
            if wanted.finalizer {
                finalizers.push(FINALIZER.to_owned());
            }
            let holder = wanted.claim.then_some(self.shared.holder.as_str());
            let patch = json!({ "metadata": {
                "resourceVersion": current.resource_version(),
                "finalizers": finalizers,
                "annotations": { COORDINATOR: holder },
            } });
            let written = async { self.api().patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await };
            let error = match answered(written).await? {
                Ok(_) => return Ok(true),
                Err(error) => error,
            };
            match refusal::code(&error) {
                Some(404) => return Ok(false),
                // Whoever wrote may have been quicker with the same: what was read says nothing of it.
                Some(409) if wanted.claim => return Ok(false),
                Some(409) => match answered(async { self.api().get_opt(&name).await }).await? {
                    Ok(Some(fresh)) if fresh.uid().as_deref() == Some(self.uid) => current = fresh,
                    Ok(_) => return Ok(false),
                    Err(error) => return Err(self.failed("it can't be read", &error, &["get"], &resource())),
                },
                _ => return Err(self.failed("its finalizer can't be set", &error, &["update", "patch"], &resource())),
            }
        }
        Err(Failed("its finalizer can't be set: others write it all the time".to_owned()))
    }
}

fn resource() -> String {
    format!("{PLURAL}.{GROUP}")
}
