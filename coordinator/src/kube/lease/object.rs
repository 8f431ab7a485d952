//! A Lease as an object: what is written into it, and what is read from one that anybody may have written. When one is
//! taken or given back is not known here.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::ResourceExt;

use super::TIMES;

const TARGET: &str = "loadgrid.dev/target";
const RUN: &str = "loadgrid.dev/run";

/// A lease in another's hand is waited for no longer than this, whatever is written in it.
const DURATION_MAX: Duration = Duration::from_secs(600);

/// Who has a lease, and which renewal of it this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub holder: String,
    pub acquired: String,
    renewed: String,
    transitions: i32,
    pub duration: Duration,
}

impl Term {
    pub fn of(lease: &Lease) -> Term {
        let spec = lease.spec.clone().unwrap_or_default();
        let time = |time: Option<MicroTime>| time.map(|MicroTime(time)| time.to_string()).unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Term {
            holder: spec.holder_identity.unwrap_or_default(),
            acquired: time(spec.acquire_time),
            renewed: time(spec.renew_time),
            transitions: spec.lease_transitions.unwrap_or_default(),
            duration: seconds.map_or(TIMES.duration, Duration::from_secs).min(DURATION_MAX),
        }
    }

    /// Whether both are of the same taking, apart from renewals.
    pub fn same_taking(&self, other: &Term) -> bool {
        (&self.holder, &self.acquired, self.transitions) == (&other.holder, &other.acquired, other.transitions)
    }
}

pub(super) fn new(name: &str, target: &str, run: &str, holder: &str, duration: Duration) -> Lease {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    taken(Lease { metadata, spec: None }, target, run, holder, duration)
}

/// A lease, taken for a run now. It keeps the version that was read, so that it is written over nothing else.
pub(super) fn taken(mut lease: Lease, target: &str, run: &str, holder: &str, duration: Duration) -> Lease {
    let now = now();
    let before = lease.spec.take();
    // How often it went from one to another.
    let transitions = before.map_or(0, |before| {
        let other = before.holder_identity.is_some_and(|before| before != holder);
        before.lease_transitions.unwrap_or_default().saturating_add(i32::from(other))
    });
    let pairs = [(TARGET, target), (RUN, run)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    lease.metadata.annotations.get_or_insert_with(BTreeMap::new).extend(pairs);
    let labels = [("app.kubernetes.io/managed-by", "loadgrid")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    lease.metadata.labels.get_or_insert_with(BTreeMap::new).extend(labels);
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        acquire_time: Some(now.clone()),
        renew_time: Some(now),
        lease_duration_seconds: i32::try_from(duration.as_secs().max(1)).ok(),
        lease_transitions: Some(transitions),
        ..LeaseSpec::default()
    });
    lease
}

/// A lease, renewed now.
pub(super) fn renewed(mut lease: Lease) -> Lease {
    lease.spec.get_or_insert_with(LeaseSpec::default).renew_time = Some(now());
    lease
}

/// The run that a lease was taken for.
pub(super) fn run(lease: &Lease) -> String {
    lease.annotations().get(RUN).cloned().unwrap_or_else(|| "(unknown)".to_owned())
}

/// For people, and for others to see that it has changed: nobody compares it with a clock.
fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}
