//! One Lease of the cluster for each target that is under test, so that two coordinators never test the same one. What
//! a test is, and what else may keep it from starting, is not known here.

mod held;
mod name;
mod object;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use tokio::time::{Instant, timeout};

use super::client::refusal::{Ask, explain};
use crate::plan::ORPHAN_NS;
pub use held::Held;
use object::Term;

/// When what is done with a lease.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// One that nobody has renewed for so long is free. Whole seconds are written into it.
    duration: Duration,
    /// How often one that is held is renewed.
    renewal: Duration,
    /// How soon a renewal that has failed is tried again.
    retry: Duration,
}

/// When a coordinator dies its workers go on for [`ORPHAN_NS`]: until they have ended its targets are not free. The last
/// renewal is older than its end by one renewal at the most.
const TIMES: Times = Times {
    duration: Duration::from_secs(ORPHAN_NS / 1_000_000_000 + 15),
    renewal: Duration::from_secs(5),
    retry: Duration::from_secs(1),
};

const _: () = assert!(TIMES.duration.as_nanos() as u64 > ORPHAN_NS + TIMES.renewal.as_nanos() as u64);

/// A connection that has gone without a word costs one attempt, and not the lease.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Leases of others that are remembered; with one more all are forgotten, and have to be watched anew.
const OBSERVED_MAX: usize = 1_000;

/// How often somebody else may be quicker.
const TRIES: usize = 4;

/// The leases of a coordinator.
#[derive(Clone)]
pub struct Leases {
    api: Api<Lease>,
    ask: Ask,
    holder: String,
    times: Times,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// The leases that are held here, or about to be, and who for.
    own: BTreeMap<String, HeldBy>,
    /// What was last seen of those that others hold, and when it was first seen so.
    others: BTreeMap<String, (Term, Instant)>,
}

/// Whether a target may be tested.
#[derive(Debug)]
pub enum Acquired {
    Held(Held),
    HeldBy(HeldBy),
}

/// Who tests a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBy {
    pub holder: String,
    pub run: String,
    /// When the holder took it, by its own clock; RFC 3339.
    pub since: String,
    /// It can't be free any sooner, unless its holder gives it back.
    pub retry_after: Duration,
}

impl fmt::Display for HeldBy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "it is under test by run {} of {} since {}", self.run, self.holder, self.since)
    }
}

impl Leases {
    /// `holder` is who this coordinator is, also after it was started again: what it held before is its own at once. So
    /// no two that run at the same time may have the same: a pod of a StatefulSet gives its name.
    pub fn new(client: Client, namespace: &str, holder: &str) -> Leases {
        let ask = Ask::new(&["get", "create", "update", "delete"], "coordination.k8s.io", "leases", Some(namespace));
        let api = Api::namespaced(client, namespace);
        Leases { api, ask, holder: holder.to_owned(), times: TIMES, known: Arc::default() }
    }

    /// Takes the lease of a target (`hello.default.svc.cluster.local:80`) for a run, or says who has it. Whether another's
    /// has run out is known by watching: it has to be seen unchanged for its duration, over several calls, whatever
    /// the clocks of this machine and of the holder's say.
    ///
    /// # Errors
    /// A sentence: a missing rule, no such namespace, or what else the API server says.
    pub async fn acquire(&self, target: &str, run: &str) -> Result<Acquired, String> {
        let name = name::of(target);
        let claim = match Claim::new(self, &name, run) {
            Ok(claim) => claim,
            Err(own) => return Ok(Acquired::HeldBy(own)),
        };
        let taken = timeout(self.times.duration, self.take(&name, target, run)).await;
        let taken = taken.map_err(|_| format!("lease {name} of target {target}: no answer from the API server"))?;
        Ok(match taken? {
            Ok((lease, asked)) => Acquired::Held(Held::new(self.clone(), lease, claim, asked)),
            Err(other) => Acquired::HeldBy(other),
        })
    }

    /// The lease as it was written, and an instant before that; or who else has it.
    async fn take(&self, name: &str, target: &str, run: &str) -> Result<Result<(Lease, Instant), HeldBy>, String> {
        for _ in 0..TRIES {
            let asked = Instant::now();
            let written = match self.found(name).await? {
                None => self.create(&object::new(name, target, run, &self.holder, self.times.duration)).await?,
                Some(lease) => {
                    if let Some(other) = self.other(name, &lease, asked) {
                        return Ok(Err(other));
                    }
                    self.replace(&object::taken(lease, target, run, &self.holder, self.times.duration)).await?
                }
            };
            if let Some(lease) = written {
                return Ok(Ok((lease, asked)));
            }
        }
        Err(format!("lease {name} of target {target} changes faster than it can be taken: try again"))
    }

    /// Who else has a lease that was asked for at `now`, as far as it has not been seen to run out.
    fn other(&self, name: &str, lease: &Lease, now: Instant) -> Option<HeldBy> {
        let term = Term::of(lease);
        let mut known = self.known();
        if term.holder.is_empty() || term.holder == self.holder {
            known.others.remove(name);
            return None;
        }
        let since = match known.others.get(name) {
            Some((seen, since)) if *seen == term => *since,
            _ => {
                if known.others.len() >= OBSERVED_MAX {
                    known.others.clear();
                }
                known.others.insert(name.to_owned(), (term.clone(), now));
                now
            }
        };
        let left = term.duration.saturating_sub(now.saturating_duration_since(since));
        if left.is_zero() {
            known.others.remove(name);
            return None;
        }
        Some(HeldBy { holder: term.holder, run: object::run(lease), since: term.acquired, retry_after: left })
    }

    async fn found(&self, name: &str) -> Result<Option<Lease>, String> {
        self.api.get_opt(name).await.map_err(|error| explain(&error, &self.ask))
    }

    /// None: there is one already.
    async fn create(&self, lease: &Lease) -> Result<Option<Lease>, String> {
        self.written(self.api.create(&PostParams::default(), lease).await)
    }

    /// None: somebody else was quicker.
    async fn replace(&self, lease: &Lease) -> Result<Option<Lease>, String> {
        self.written(self.api.replace(&lease.name_any(), &PostParams::default(), lease).await)
    }

    fn written(&self, answer: Result<Lease, kube::Error>) -> Result<Option<Lease>, String> {
        match answer {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if outrun(&error) => Ok(None),
            Err(error) => Err(explain(&error, &self.ask)),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what was to be written was read before somebody else wrote. A namespace that is not there is answered like a
/// lease that is not there any more, and told apart by what is not found.
fn outrun(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            status.details.as_ref().is_some_and(|details| details.kind == "leases")
        }
        kube::Error::Api(status) => status.code == 409,
        _ => false,
    }
}

/// A lease's name among those of this process, until it is dropped.
struct Claim {
    leases: Leases,
    name: String,
}

impl Claim {
    /// # Errors
    /// Which run here has it.
    fn new(leases: &Leases, name: &str, run: &str) -> Result<Claim, HeldBy> {
        match leases.known().own.entry(name.to_owned()) {
            Entry::Occupied(own) => return Err(own.get().clone()),
            Entry::Vacant(free) => free.insert(HeldBy {
                holder: leases.holder.clone(),
                run: run.to_owned(),
                since: Timestamp::now().to_string(),
                retry_after: leases.times.renewal,
            }),
        };
        Ok(Claim { leases: leases.clone(), name: name.to_owned() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.leases.known().own.remove(&self.name);
    }
}

#[cfg(test)]
mod tests;
