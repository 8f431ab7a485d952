//! The leases of a run's targets, from before its load until after it. What a lease is, and how the run goes on, is not
//! known here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::kube::lease::{Acquired, Held, HeldBy, Leases};
use crate::serve::Attendance;

/// A target that another coordinator tests is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// An API server that says no, or nothing, is asked again for so long.
const ERRORS_FOR: Duration = Duration::from_secs(15);

/// Between two such questions.
const PAUSE: Duration = Duration::from_secs(2);

/// All leases of a run. They have to be given back with [`Guards::release`].
#[derive(Default)]
pub(super) struct Guards(Vec<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Guards {
    /// Takes the leases of all targets, in one order so that no two runs wait for each other. A lease that is lost
    /// later stops the run.
    ///
    /// # Errors
    /// A sentence: it was stopped meanwhile, or the API server does not give them. None is held then.
    pub(super) async fn hold(
        leases: &Leases,
        targets: Vec<String>,
        attendance: &Arc<Attendance>,
        runtime: &Handle,
    ) -> Result<Guards, String> {
        let mut guards = Guards::default();
        for target in targets {
            match acquire(leases, &target, attendance, runtime).await {
                Ok(lease) => guards.add(lease, target, Arc::clone(attendance), runtime),
                Err(why) => {
                    guards.release().await;
                    return Err(why);
                }
            }
        }
        Ok(guards)
    }

    fn add(&mut self, mut lease: Held, target: String, attendance: Arc<Attendance>, runtime: &Handle) {
        let (release, released) = oneshot::channel::<()>();
        let guard = runtime.spawn(async move {
            tokio::select! {
                why = lease.lost() => attendance.end(&format!("the lease of {target} was lost: {why}")),
                _ = released => lease.release().await,
            }
        });
        self.0.push((release, guard));
    }

    /// Gives all back: whoever comes next finds them free.
    pub(super) async fn release(self) {
        let (releases, guards): (Vec<_>, Vec<_>) = self.0.into_iter().unzip();
        drop(releases);
        for guard in guards {
            // One that panicked holds nothing any more.
            let _ = guard.await;
        }
    }
}

async fn acquire(leases: &Leases, target: &str, attendance: &Attendance, runtime: &Handle) -> Result<Held, String> {
    let (mut said, mut failing) = (String::new(), None);
    loop {
        let (leases, run, of) = (leases.clone(), attendance.run().to_owned(), target.to_owned());
        let acquired = runtime.spawn(async move { leases.acquire(&of, &run).await }).await;
        let (text, pause) = match acquired.map_err(|error| error.to_string())? {
            Ok(Acquired::Held(held)) => {
                attendance.waits(None);
                return Ok(held);
            }
            Ok(Acquired::HeldBy(by)) => {
                failing = None;
                (waiting(target, &by), by.retry_after.min(LOOK_AGAIN))
            }
            Err(why) if failing.get_or_insert_with(Instant::now).elapsed() > ERRORS_FOR => return Err(why),
            Err(why) => (format!("{why}; trying again"), PAUSE),
        };
        if said != text {
            attendance.say(&text);
            attendance.waits(Some(text.clone()));
            said = text;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = attendance.stopped() => return Err("stopped while it waited for its target".to_owned()),
        }
    }
}

fn waiting(target: &str, by: &HeldBy) -> String {
    format!("waiting for {target}: {by}")
}
