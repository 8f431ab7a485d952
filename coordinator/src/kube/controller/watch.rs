//! The watch of LoadTests, for as long as it is wanted. What is done about one is not known here.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, SelectAll, StreamExt};
use futures_util::{FutureExt, future::Shared as Repeated};
use kube::runtime::controller::{Controller, Error};
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch::{self, Receiver};
use tokio::time::Instant;

use super::reconcile::{Failed, Shared, after, reconcile};
use super::{Runs, refused};
use crate::kube::resource::LoadTest;

/// A run changes many times a second; its LoadTest is looked at no more often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// At the end, so long for what still has to be written down.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Whose LoadTests are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    Namespaces(Vec<String>),
}

/// What came of a look at one, or why there was none.
type Outcome = Result<(), Trouble>;

enum Trouble {
    /// Of one LoadTest.
    One(String, Failed),
    /// Of the watch.
    Watch(String),
}

/// Runs the LoadTests of a cluster until `stop` comes, and what became of their runs is written down. `holder` is which
/// coordinator this is, the same after a restart; of several that see a LoadTest one sees to it. An API server that
/// says no is asked again, more and more seldom; what it said is logged once.
///
/// # Errors
/// No namespace at all.
pub async fn run(
    client: Client,
    scope: Scope,
    runs: Arc<dyn Runs>,
    holder: &str,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> Result<(), String> {
    let apis: Vec<(Option<String>, Api<LoadTest>)> = match scope {
        Scope::All => vec![(None, Api::all(client.clone()))],
        Scope::Namespaces(names) => {
            let of = |name: String| (Some(name.clone()), Api::namespaced(client.clone(), &name));
            names.into_iter().map(of).collect()
        }
    };
    if apis.is_empty() {
        return Err("no namespace whose LoadTests to run: write --namespace NAME or --all-namespaces".to_owned());
    }
    let shared = Arc::new(Shared::new(client, runs, holder.to_owned()));
    let (end, mut ended) = watch::channel(false);
    let ends = async move { drop(ended.wait_for(|ended| *ended).await) }.shared();
    let mut outcomes = SelectAll::new();
    let mut stores = Vec::new();
    for (namespace, api) in apis {
        let (store, outcome) = watched(namespace, api, &shared, ends.clone());
        stores.push(store);
        outcomes.push(outcome);
    }
    let (mut sweeps, mut stop) = (pin!(ticks(shared.runs.changes())), pin!(stop));
    let (mut said, mut until) = (String::new(), None::<Instant>);
    loop {
        tokio::select! {
            outcome = outcomes.next() => match outcome {
                None => return Ok(()),
                Some(outcome) => heard(outcome, &mut said),
            },
            Some(()) = sweeps.next(), if until.is_none() => sweep(&shared, &stores),
            () = &mut stop, if until.is_none() => {
                shared.end();
                until = Some(Instant::now() + END_PATIENCE);
            }
            // An API server that does not answer holds nobody up.
            () = at(until) => return Ok(()),
        }
        if until.is_some() && stores.iter().all(|store| !store.state().iter().any(|test| shared.holds(test))) {
            end.send_replace(true);
        }
    }
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn watched(
    namespace: Option<String>,
    api: Api<LoadTest>,
    shared: &Arc<Shared>,
    stop: Repeated<impl Future<Output = ()> + Send + Sync + 'static>,
) -> (Store<LoadTest>, BoxStream<'static, Outcome>) {
    let controller = Controller::new(api, watcher::Config::default());
    let store = controller.store();
    let outcomes = controller
        .reconcile_all_on(ticks(shared.runs.changes()))
        .reconcile_all_on(ticks(shared.triggers.changes()))
        .reconcile_all_on(ticks(shared.wake.subscribe()))
        .graceful_shutdown_on(stop)
        .run(reconcile, |test, _, shared| after(&test, &shared), Arc::clone(shared))
        .map(move |outcome| match outcome {
            // One that went while it waited for its turn.
            Ok(_) | Err(Error::ObjectNotFound(_)) => Ok(()),
            // The watch begins anew, as it has to from time to time.
            Err(Error::QueueError(watcher::Error::WatchError(status))) if status.code == 410 => Ok(()),
            Err(Error::ReconcilerFailed(why, of)) => {
                let name = format!("{}/{}", of.namespace.as_deref().unwrap_or_default(), of.name);
                Err(Trouble::One(name, why))
            }
            Err(Error::QueueError(error)) => Err(Trouble::Watch(refused::of_watch(&error, namespace.as_deref()))),
            Err(Error::RunnerError(error)) => Err(Trouble::Watch(error.to_string())),
        });
    (store, outcomes.boxed())
}

/// One for changes, at once for the first and then no more often than anybody looks.
fn ticks(changes: Receiver<u64>) -> impl stream::Stream<Item = ()> + Send + 'static {
    stream::unfold((changes, None), |(mut changes, next)| async move {
        if let Some(next) = next {
            tokio::time::sleep_until(next).await;
        }
        let changed = changes.changed().await.is_ok();
        changed.then(|| ((), (changes, Some(Instant::now() + LOOK_EVERY))))
    })
}

fn heard(outcome: Outcome, said: &mut String) {
    match outcome {
        Ok(()) => said.clear(),
        Err(Trouble::One(name, why)) => tracing::warn!("LoadTest {name}: {why}; trying again"),
        Err(Trouble::Watch(why)) if why == *said => {}
        Err(Trouble::Watch(why)) => {
            tracing::error!("LoadTests are not run: {why}; trying again");
            *said = why;
        }
    }
}

/// Those that were seen and are in no store any more are gone.
fn sweep(shared: &Shared, stores: &[Store<LoadTest>]) {
    let listed = |store: &Store<LoadTest>| store.wait_until_ready().now_or_never().is_some();
    if stores.iter().all(listed) {
        let there: HashSet<String> = stores.iter().flat_map(Store::state).filter_map(|test| test.uid()).collect();
        shared.sweep(&there);
    }
}
