//! Which runs a store may lose. It removes nothing itself.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::entry::{Entry, Kind};

/// What is kept; by default everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many runs of each test, and as many capacity searches.
    pub per_test: Option<NonZeroUsize>,
    /// Since they started. The newest is lost too when it is older.
    pub max_age: Option<Duration>,
}

/// The ids of what is not kept among runs with the newest last; oldest first. A baseline is always kept.
pub(super) fn surplus(entries: &[Entry], baselines: &BTreeSet<&str>, keep: Keep, now: Timestamp) -> Vec<String> {
    let oldest = keep.max_age.and_then(|age| {
        let age = SignedDuration::try_from(age).ok()?;
        now.checked_sub(age).ok()
    });
    let mut newer: HashMap<(&str, Kind), usize> = HashMap::new();
    let mut lost = Vec::new();
    for entry in entries.iter().rev() {
        let count = newer.entry((&entry.test, entry.kind)).or_default();
        let is_surplus = keep.per_test.is_some_and(|most| *count >= most.get());
        let is_old = oldest.is_some_and(|oldest| entry.started_at < oldest);
        *count += 1;
        if (is_surplus || is_old) && !baselines.contains(entry.id.as_str()) {
            lost.push(entry.id.clone());
        }
    }
    lost.reverse();
    lost
}

#[cfg(test)]
mod tests;
