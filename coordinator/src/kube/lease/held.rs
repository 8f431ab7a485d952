//! A lease that is held: renewed until it is given back, or lost. What is done while it is held is not known here.

use std::fmt;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::{DeleteParams, Preconditions};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::object::{self, Term};
use super::{ATTEMPT, Claim, Leases};

/// A target's lease. It is given back when it is dropped; with [`Held::release`] one knows when.
pub struct Held {
    name: String,
    lost: watch::Receiver<Option<String>>,
    stop: oneshot::Sender<()>,
    renewing: JoinHandle<()>,
}

impl fmt::Debug for Held {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Held {}", self.name)
    }
}

impl Held {
    /// `asked`: an instant before the lease was written. Others count from one after.
    pub(super) fn new(leases: Leases, lease: Lease, claim: Claim, asked: Instant) -> Held {
        let (stop, stopped) = oneshot::channel();
        let (tell, lost) = watch::channel(None);
        let name = lease.name_any();
        let renewing = tokio::spawn(async move {
            let mut renewal = Renewal { leases, lease, renewed: asked };
            tokio::select! {
                why = renewal.go_on() => {
                    // Nobody waits for it where it was given up at this very instant.
                    let _ = tell.send(Some(why));
                }
                _ = stopped => renewal.give_back().await,
            }
            drop(claim);
        });
        Held { name, lost, stop, renewing }
    }

    /// The lease's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the lease is lost, and says why: another has it, or may have it, since it could not be renewed.
    pub async fn lost(&mut self) -> String {
        match self.lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the program is ending".to_owned(),
        }
    }

    /// Gives the lease back. Where that does not come off, it runs out by itself.
    pub async fn release(self) {
        let Held { stop, renewing, lost, .. } = self;
        drop((stop, lost));
        // It has ended already where the lease was lost.
        let _ = renewing.await;
    }
}

struct Renewal {
    leases: Leases,
    lease: Lease,
    /// An instant before the last renewal that has come off.
    renewed: Instant,
}

/// What became of a renewal.
enum Renewed {
    Yes(Box<Lease>),
    /// It has another holder, or another run has it.
    Lost(String),
}

impl Renewal {
    /// Renews the lease for as long as it is held; answers why it is not any more.
    async fn go_on(&mut self) -> String {
        let times = self.leases.times;
        let mut next = self.renewed + times.renewal;
        loop {
            sleep_until(next).await;
            let asked = Instant::now();
            let end = self.renewed + times.duration;
            let failed = match timeout_at(end.min(asked + ATTEMPT), self.renew()).await {
                Ok(Ok(Renewed::Yes(lease))) => {
                    (self.lease, self.renewed, next) = (*lease, asked, asked + times.renewal);
                    continue;
                }
                Ok(Ok(Renewed::Lost(why))) => return why,
                Ok(Err(why)) => why,
                Err(_) => "no answer from the API server".to_owned(),
            };
            // From here on another may take it.
            if Instant::now() + times.retry >= end {
                return format!("lease {} could not be renewed: {failed}", self.lease.name_any());
            }
            next = Instant::now() + times.retry;
        }
    }

    async fn renew(&self) -> Result<Renewed, String> {
        if let Some(lease) = self.leases.replace(&object::renewed(self.lease.clone())).await? {
            return Ok(Renewed::Yes(Box::new(lease)));
        }
        let name = self.lease.name_any();
        let lost = match self.leases.found(&name).await? {
            Some(found) if self.is_ours(&found) => {
                // Somebody has written beside the term: a label, an annotation.
                match self.leases.replace(&object::renewed(found)).await? {
                    Some(lease) => return Ok(Renewed::Yes(Box::new(lease))),
                    None => return Err("it is being changed by others".to_owned()),
                }
            }
            Some(found) => {
                format!("lease {name} was taken by run {} of {}", object::run(&found), Term::of(&found).holder)
            }
            None => format!("lease {name} was deleted"),
        };
        Ok(Renewed::Lost(lost))
    }

    fn is_ours(&self, found: &Lease) -> bool {
        Term::of(found).same_taking(&Term::of(&self.lease))
    }

    /// Deletes the lease if it is still ours, just as it was read.
    async fn give_back(&self) {
        let name = self.lease.name_any();
        let given = async {
            // A renewal may have been on its way, and so the version is not known.
            let Ok(Some(found)) = self.leases.found(&name).await else { return };
            if self.is_ours(&found) {
                let (uid, resource_version) = (found.uid(), found.resource_version());
                let only_this = DeleteParams::default().preconditions(Preconditions { uid, resource_version });
                // It runs out by itself.
                let _ = self.leases.api.delete(&name, &only_this).await;
            }
        };
        let _ = timeout_at(Instant::now() + self.leases.times.renewal, given).await;
    }
}
