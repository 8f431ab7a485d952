use super::*;
use crate::store::Skipped;
use crate::store::format::Fault;
use crate::store::tests::entry;

const STORE: &str = "/s";

/// checkout twice, search once, and a capacity search of checkout, in this order.
fn listing() -> Listing {
    let ids = [
        "01JA0000000000000000000001",
        "01JA0000000000000000000002",
        "01JB0000000000000000000003",
        "01JB0000000000000000000004",
    ];
    let mut entries: Vec<Entry> = ids.map(entry).into();
    entries[2].test = "search".into();
    entries[3].kind = Kind::Capacity;
    let skipped = vec![Skipped::new("runs/01JC0000000000000000000005.jsonl".into(), Fault::Torn)];
    Listing { entries, skipped }
}

fn ask(what: &str, kind: Option<Kind>) -> Result<String, String> {
    let baselines = BTreeMap::from([
        ("checkout".to_owned(), "01JA0000000000000000000001".to_owned()),
        ("gone".to_owned(), "01J00000000000000000000000".to_owned()),
    ]);
    resolve(what, kind, &listing(), &baselines, STORE).map_err(|error| error.to_string())
}

fn found(what: &str, kind: Option<Kind>) -> String {
    // The last digit tells them apart.
    ask(what, kind).unwrap().split_off(25)
}

fn refused(what: &str, kind: Option<Kind>, parts: &[&str]) {
    let error = ask(what, kind).unwrap_err();
    for part in parts {
        assert!(error.contains(part), "'{what}': {error}");
    }
}

#[test]
fn ids_beginnings_and_names_mean_one_run() {
    for (what, run) in [
        ("01JA0000000000000000000002", "2"),
        ("01ja0000000000000000000002", "2"),
        ("latest", "4"),
        ("checkout@latest", "4"),
        ("search@latest", "3"),
        ("checkout@baseline", "1"),
    ] {
        assert_eq!(found(what, None), run, "{what}");
    }
    for (what, run) in [("latest", "3"), ("checkout@latest", "2"), ("01JB", "3")] {
        assert_eq!(found(what, Some(Kind::Run)), run, "{what}");
    }
    assert_eq!(found("01JB", Some(Kind::Capacity)), "4");
}

#[test]
fn several_are_named() {
    refused("01JA", None, &["'01JA' begins 2 runs, 01JA0000000000000000000002 (checkout, ", "write more of one"]);
}

#[test]
fn what_means_nothing_is_told_what_there_is() {
    let (run, capacity) = (Some(Kind::Run), Some(Kind::Capacity));
    refused("01J", None, &["at least 4 characters"]);
    refused("01JB1", None, &["no run begins with '01JB1'", "/s", "nearest is 01JB000000000000000000000"]);
    refused("chekout", None, &["'chekout'", "NAME@latest", "checkout, search"]);
    refused("checkout", None, &["checkout@latest or checkout@baseline"]);
    refused("chekout@latest", None, &["no run of a test 'chekout'", "checkout, search"]);
    refused("search@latest", capacity, &["no capacity search of a test 'search'", "checkout"]);
    refused("search@baseline", None, &["'search' has no baseline", "baseline set 01JB0000000000000000000003"]);
    refused("gone@baseline", None, &["the baseline of 'gone' is 01J0", "set another"]);
    refused("checkout@oldest", None, &["checkout@latest or checkout@baseline"]);
    refused("01JB0000000000000000000004", run, &["is a capacity search, not a run"]);
    refused("01JC0000000000000000000005", None, &["runs/01JC0000000000000000000005.jsonl is torn"]);
    refused("", None, &["says too little"]);
    refused("ß\u{0}/..", None, &["no run is meant"]);
}

#[test]
fn an_empty_store_says_so() {
    let ask = |what: &str| resolve(what, None, &Listing::default(), &BTreeMap::new(), STORE).unwrap_err();
    for what in ["latest", "01JA", "checkout@latest", "checkout@baseline"] {
        assert_eq!(ask(what).cause(), Cause::Empty);
        assert_eq!(ask(what).to_string(), "the store /s has no runs yet: `loadgrid run TEST.yaml` keeps one");
    }
}

#[test]
fn of_many_candidates_the_newest_are_named() {
    let entries: Vec<Entry> = (0..30).map(|n| entry(&format!("01JA00000000000000000000{n:02}"))).collect();
    let listing = Listing { entries, skipped: Vec::new() };
    let error = resolve("01JA", None, &listing, &BTreeMap::new(), STORE).unwrap_err().to_string();
    assert!(
        error.contains("begins 30 runs, 01JA0000000000000000000029 (") && error.contains(" and 25 more"),
        "{error}"
    );
}
