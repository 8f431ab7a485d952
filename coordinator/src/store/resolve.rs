//! Which run is meant by what people write. It does not know where runs are kept.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Entry, Kind};
use super::error::{Cause, Error};
use super::{Listing, run_path};
use crate::near;

/// Less of an id says too little.
const BEGINNING_MIN: usize = 4;

/// So many candidates are named.
const NAMED: usize = 5;

const ID_LENGTH: usize = 26;

/// The id that is meant by `latest`, `NAME@latest`, `NAME@baseline`, a ULID, or the beginning of one, among runs with
/// the newest last. A wrong kind is no candidate.
///
/// # Errors
/// What there is instead.
pub(super) fn resolve(
    what: &str,
    kind: Option<Kind>,
    listing: &Listing,
    baselines: &BTreeMap<String, String>,
    store: &str,
) -> Result<String, Error> {
    let of_kind = |entry: &&Entry| kind.is_none_or(|kind| kind == entry.kind);
    let wanted = kind.map_or("run".to_owned(), |kind| kind.to_string());
    let entries: Vec<&Entry> = listing.entries.iter().filter(of_kind).collect();
    let unknown = |text: String| Err(Error::new(Cause::Unknown, text));
    if let Some(fault) = listing.skipped.iter().find(|skipped| skipped.name == run_path(&what.to_ascii_uppercase())) {
        return Err(fault.error(store));
    }
    if listing.entries.is_empty() {
        return Err(super::empty(store));
    }
    if let Some((test, which)) = what.rsplit_once('@') {
        return of_test(test, which, &entries, baselines, store, &wanted);
    }
    if what == "latest" {
        let latest = entries.last().map(|entry| entry.id.clone());
        return latest
            .ok_or_else(|| Error::new(Cause::Unknown, format!("the store {store} has no {wanted} yet: make one")));
    }
    let beginning = what.to_ascii_uppercase();
    let begun: Vec<&Entry> = entries.iter().copied().filter(|entry| entry.id.starts_with(&beginning)).collect();
    let is_test = listing.entries.iter().any(|entry| entry.test == what);
    match begun.as_slice() {
        _ if is_test => {
            unknown(format!("'{what}' is a test and has many runs: write {what}@latest or {what}@baseline"))
        }
        _ if what.len() < BEGINNING_MIN => unknown(format!(
            "'{what}' says too little: write at least {BEGINNING_MIN} characters of a run's id, or NAME@latest"
        )),
        [one] => Ok(one.id.clone()),
        [] => match listing.entries.iter().find(|entry| entry.id.starts_with(&beginning)) {
            Some(other) => unknown(format!("{} is a {}, not a {wanted}: name a {wanted}", other.id, other.kind)),
            None => unknown(nothing(what, &entries, store, &wanted)),
        },
        several => {
            let named: Vec<String> = several.iter().rev().take(NAMED).map(|entry| shown(entry)).collect();
            let more = several.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            unknown(format!("'{what}' begins {} runs, {}{more}: write more of one", several.len(), named.join(", ")))
        }
    }
}

fn of_test(
    test: &str,
    which: &str,
    entries: &[&Entry],
    baselines: &BTreeMap<String, String>,
    store: &str,
    wanted: &str,
) -> Result<String, Error> {
    let unknown = |text: String| Err(Error::new(Cause::Unknown, text));
    let latest = entries.iter().rev().find(|entry| entry.test == test);
    match (which, latest, baselines.get(test)) {
        ("latest", Some(entry), _) => Ok(entry.id.clone()),
        ("baseline", _, Some(id)) if entries.iter().any(|entry| entry.id == *id) => Ok(id.clone()),
        ("baseline", _, Some(id)) => unknown(format!(
            "the baseline of '{test}' is {id}, which is no {wanted} in the store {store}: set another with \
             `loadgrid baseline set RUN`"
        )),
        ("baseline", Some(entry), None) => unknown(format!(
            "'{test}' has no baseline in the store {store}: set one, such as its newest, with `loadgrid baseline set {}`",
            entry.id
        )),
        ("latest" | "baseline", ..) => {
            let tests: BTreeSet<String> = entries.iter().map(|entry| entry.test.clone()).collect();
            let known = near::listed(test, tests);
            unknown(format!("the store {store} has no {wanted} of a test '{test}'; it has those of: {known}"))
        }
        _ => unknown(format!("'{test}@{which}' means no run: write {test}@latest or {test}@baseline")),
    }
}

/// That an id is not there, and what is.
fn nothing(what: &str, entries: &[&Entry], store: &str, wanted: &str) -> String {
    let is_id = what.len() <= ID_LENGTH && what.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_id && what.starts_with(|c: char| c.is_ascii_digit()) {
        let upper = what.to_ascii_uppercase();
        let common = |entry: &Entry| entry.id.bytes().zip(upper.bytes()).take_while(|(a, b)| a == b).count();
        // Of those that are alike as far, the newest.
        let nearest = entries.iter().max_by_key(|entry| common(entry));
        let nearest = nearest.map(|entry| format!("; nearest is {}", shown(entry))).unwrap_or_default();
        return format!("no {wanted} begins with '{what}' in the store {store}{nearest}");
    }
    let tests: BTreeSet<String> = entries.iter().map(|entry| entry.test.clone()).collect();
    let known = near::listed(what, tests);
    format!(
        "no {wanted} is meant by '{what}' in the store {store}: write a run's id, or NAME@latest with one of: {known}"
    )
}

/// An entry where it is one of several.
fn shown(entry: &Entry) -> String {
    format!("{} ({}, {})", entry.id, entry.test, entry.started_at)
}

#[cfg(test)]
mod tests;
