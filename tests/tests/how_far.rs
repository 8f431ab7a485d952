//! How far it goes, and whether it changed: searches, comparisons, versions, the store and trends, with real programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use loadgrid::store::{Entry, Environment, Kind, Location, Store};
use loadgrid_tests::program::{Demo, Done, Running, loadgrid};
use loadgrid_tests::{alone, scratch};
use rustix::process::Signal;
use serde_json::Value;

const SLO: &str = "http/latency-p99 <= 100ms";

/// Runs `loadgrid` with its words split at spaces, and more that may have some.
fn words(line: &str, more: &[&str]) -> Done {
    loadgrid(&line.split(' ').chain(more.iter().copied()).collect::<Vec<_>>())
}

fn keep(store: &Path, demo: &Demo, name: &str, seconds: u32) -> String {
    let line = format!("run --url {} --rate 400/s --duration {seconds}s -o json -q --name {name}", demo.url());
    let done = words(&line, &["--store", &store.display().to_string(), "--slo", SLO]);
    done.report()["run"].as_str().unwrap().to_owned()
}

/// Four places of 10 ms each are 400 requests a second, by arithmetic.
#[test]
fn a_search_finds_what_arithmetic_says() {
    let _alone = alone();
    let store = scratch("search").join("store").display().to_string();
    let demo = Demo::start(&["--latency", "fixed:10ms", "--workers", "4"]);
    let line = format!("capacity --url {} --from 150/s --budget 90s -o json -q --store {store}", demo.url());
    let done = words(&line, &["--slo", SLO, "--require", "200/s"]).expect_code(0);
    let report = done.report();
    let rate = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name}: {report:#}"));
    assert_eq!(report["verdict"], "found", "{report:#}");
    let (low, high, estimate) = (rate("low"), rate("high"), rate("estimate"));
    // The service's own lateness takes some per cent off.
    assert!((350.0..=420.0).contains(&estimate), "{low} {estimate} {high}");
    assert!(low <= estimate && estimate <= high && high / low < 1.2, "{low} {estimate} {high}");
    assert!(report["probes"].as_array().unwrap().len() <= 20);
    let shown =
        words(&format!("report {} -o text --store {store}", report["run"].as_str().unwrap()), &[]).expect_code(0);
    assert!(shown.stdout.contains("FOUND") && shown.stdout.contains("between"), "{}", shown.stdout);
    for format in ["html", "markdown"] {
        let shown = words(&format!("report latest -o {format} --store {store}"), &[]).expect_code(0);
        assert!(shown.stdout.contains("capacity"), "{}", shown.stdout);
    }
    words(&format!("report latest -o junit --store {store}"), &[]).expect_code(2).expect_words(&["markdown"]);
}

#[test]
fn a_search_that_can_have_no_answer_says_why() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:5ms"]);
    let capacity =
        |line: &str, more: &[&str]| words(&format!("capacity --url {} --no-store -q {line}", demo.url()), more);
    capacity("--from 50/s", &[]).expect_code(2).expect_words(&["the test has none", "--slo"]);
    capacity("--from 50/s --max 20/s", &["--slo", SLO]).expect_code(2).expect_words(&["--max"]);
    capacity("--closed-loop --duration 5s", &["--slo", SLO]).expect_code(2).expect_words(&["closed loop"]);
    capacity("--budget 1s", &["--slo", SLO]).expect_code(2).expect_words(&["--budget", "2m"]);
    capacity("--from 50/s", &["--slo", "http/rate >= 5/s"]).expect_code(2).expect_words(&["latency-p99"]);
    let fails = capacity("--from 500/s --min 500/s --budget 30s", &["--slo", "http/latency-p99 <= 1ms"]).expect_code(1);
    assert!(fails.stdout.contains("FAILS") && fails.stdout.contains("lowest rate"), "{}", fails.stdout);
    let least = capacity("--from 400/s --max 400/s --budget 30s", &["--slo", SLO]).expect_code(0);
    assert!(least.stdout.contains("at least 400/s") && least.stdout.contains("--max"), "{}", least.stdout);
}

/// What was measured until then is there.
#[test]
fn a_search_that_is_broken_off_keeps_its_probes() {
    let _alone = alone();
    let store = scratch("broken-off").join("store").display().to_string();
    for kill_target in [true, false] {
        let demo = Demo::start(&["--latency", "fixed:5ms"]);
        let url = demo.url();
        let args =
            ["capacity", "--url", &url, "--from", "400/s", "--budget", "60s", "-o", "json", "--slo", SLO, "--store"];
        let mut search = Running::start("loadgrid", args.iter().copied().chain([store.as_str()]));
        search.await_stderr("probe 1: 400/s held");
        search.await_stderr("probe 2");
        if kill_target {
            drop(demo);
        } else {
            search.signal(Signal::INT);
        }
        let done = search.wait().expect_code(if kill_target { 4 } else { 130 });
        let report: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:#?}"));
        assert_eq!(report["verdict"], "broken-off", "{report:#}");
        assert_eq!(report["probes"][0]["outcome"], "held", "{report:#}");
    }
    let listed = words(&format!("runs -o json --store {store}"), &[]).expect_code(0);
    let entries: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(entries.as_array().unwrap().len(), 2, "{entries:#}");
    assert_eq!(entries[0]["verdict"], "broken off");
}

#[test]
fn a_slower_target_is_shown_to_be_slower() {
    let _alone = alone();
    let dir = scratch("compare");
    let store = dir.join("store");
    let fast = Demo::start(&["--latency", "lognormal:5ms,0.3"]);
    let slow = Demo::start(&["--latency", "lognormal:6ms,0.3"]);
    let (a, b) = (keep(&store, &fast, "shop", 6), keep(&store, &slow, "shop", 6));
    let other = keep(&store, &fast, "other", 2);
    let shown = store.display().to_string();
    let compare = |a: &str, b: &str, more: &[&str]| words(&format!("compare {a} {b} --store {shown}"), more);
    let done = compare(&a, &b, &["--fail-if", "http/latency-p50 worse by 5%"]).expect_code(1);
    assert!(done.stdout.contains("shop: WORSE") && done.stdout.contains("VIOLATED"), "{}", done.stdout);
    compare(&b, &a, &["--fail-if", "http/latency-p50 worse by 5%"]).expect_code(0);
    // The latest of a test, and a file of the other.
    let file = dir.join("a.json").display().to_string();
    let json = words(&format!("report {a} -o json --store {shown}"), &[]).expect_code(0);
    std::fs::write(&file, json.stdout).unwrap();
    let done = compare(&file, "shop@latest", &["-o", "json"]).expect_code(0);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(report["verdict"], "worse", "{report:#}");
    assert!(compare(&a, &b, &["-o", "html"]).expect_code(0).stdout.contains("<svg"));
    compare(&a, &a, &[]).expect_code(2).expect_words(&["nothing to compare"]);
    compare(&a, &other, &[]).expect_code(2).expect_words(&["other", "shop"]);
    compare(&a, &b, &["--fail-if", "http/latency-p50 slower"]).expect_code(2).expect_words(&["worse"]);
    compare(&a, "nobody@latest", &[]).expect_code(2).expect_words(&["nobody"]);
}

#[test]
fn versions_see_the_same_arrivals_and_one_of_them_wins() {
    let _alone = alone();
    let dir = scratch("versions");
    let current = Demo::start(&["--latency", "lognormal:6ms,0.3"]);
    let candidate = Demo::start(&["--latency", "lognormal:4ms,0.3"]);
    let file = dir.join("test.yaml");
    let text = format!(
        "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: versions}}\nspec:\n  versions:\n    \
         current: {{url: '{}'}}\n    candidate: {{url: '{}'}}\n  requests:\n    \
         - {{name: home, weight: 3, http: {{url: '/?id={{{{request}}}}'}}}}\n    - {{name: page, http: {{url: /page}}}}\n  \
         load: {{rate: 200/s, duration: 5s, warmup: 1s}}\n  slos: [http/latency-p99 <= 100ms]\n  \
         rewards: {{min: [http/latency-mean]}}\n",
        current.url(),
        candidate.url()
    );
    std::fs::write(&file, text).unwrap();
    let file = file.display().to_string();
    let done = loadgrid(&["run", &file, "-q", "-o", "json", "--workers", "2", "--no-store"]);
    let report = done.report();
    let count = |name: &str| report["requests"][name]["count"].as_u64().unwrap();
    for version in ["current", "candidate"] {
        assert_eq!((count(&format!("home@{version}")), count(&format!("page@{version}"))), (750, 250), "{report:#}");
    }
    assert_eq!(report["load"]["planned"], 2000);
    // Each of them, warm-up included.
    assert_eq!((current.requests(), candidate.requests()), (1200, 1200));
    assert_eq!(report["slos"].as_array().unwrap().len(), 2);
    assert_eq!(report["versions"]["winner"], "candidate", "{:#}", report["versions"]);
    assert_eq!(report["versions"]["comparisons"][0]["verdict"], "better");
}

fn entry(number: u64, p99: f64) -> Entry {
    let started_at = Timestamp::from_second(1_760_000_000).unwrap() + SignedDuration::from_hours(24 * number as i64);
    Entry {
        id: ulid::Ulid::from_parts(started_at.as_millisecond() as u64, u128::from(number)).to_string(),
        kind: Kind::Run,
        test: "shop".to_owned(),
        started_at,
        duration: 60.0,
        model: "open loop".to_owned(),
        arrivals: "uniform".to_owned(),
        target_rate: Some(500.0),
        requests: "http GET / (1)".to_owned(),
        verdict: "pass".to_owned(),
        validity: "valid".to_owned(),
        metrics: BTreeMap::from([("http/latency-p99".to_owned(), p99), ("http/error-rate".to_owned(), 0.0)]),
        loadgrid: "0.1.0".to_owned(),
    }
}

/// A store with a history: so many nights at one level, and then some at another.
fn history(dir: &Path, before: u64, after: u64) -> PathBuf {
    let folder = dir.join("store");
    let store = Store::open(&Location::Folder(folder.clone()), &Environment::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for number in 0..before + after {
        let level = if number < before { 0.020 } else { 0.023 };
        // A spread of ±1 %, in an order that repeats nowhere.
        let noise = (number * 7_919 % 21) as f64 / 1_000.0 - 0.01;
        runtime.block_on(store.put(&entry(number, level * (1.0 + noise)), "{}")).unwrap();
    }
    folder
}

#[test]
fn a_new_and_worse_level_fails_until_it_is_accepted() {
    let store = history(&scratch("trend"), 30, 5).display().to_string();
    let trend = |more: &str| words(&format!("trend shop --store {store}{more}"), &[]);
    let done = trend("").expect_code(1);
    assert!(done.stdout.contains("shop: WORSE") && done.stdout.contains("http/latency-p99"), "{}", done.stdout);
    let done = trend(" -o json").expect_code(1);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    let metric = report["metrics"].as_array().unwrap().iter().find(|m| m["metric"] == "http/latency-p99").unwrap();
    assert_eq!(metric["changes"].as_array().unwrap().len(), 1, "{metric:#}");
    assert_eq!(metric["changes"][0]["at"], 30, "{metric:#}");
    assert!(trend(" -o html").expect_code(1).stdout.contains("<svg"));
    words(&format!("baseline set shop@latest --store {store}"), &[]).expect_code(0);
    trend("").expect_code(0);
    let shown = words(&format!("baseline show --store {store}"), &[]).expect_code(0);
    assert!(shown.stdout.starts_with("shop  "), "{}", shown.stdout);
    let id = shown.stdout.split_whitespace().nth(1).unwrap().to_owned();
    words(&format!("rm {id} --store {store}"), &[]).expect_code(2).expect_words(&["baseline"]);
    words(&format!("rm --keep 10 --store {store}"), &[]).expect_code(0);
    let listed = words(&format!("runs shop --store {store}"), &[]).expect_code(0);
    assert_eq!(listed.stdout.lines().count(), 11, "{}", listed.stdout);
    trend(" --metric http/latency-p42").expect_code(2).expect_words(&["http/latency-p99"]);
    words(&format!("trend shoppe --store {store}"), &[]).expect_code(2).expect_words(&["shop"]);
}

#[test]
fn what_is_no_run_is_named_and_skipped() {
    let store = history(&scratch("foreign"), 2, 0);
    let runs = store.join("runs");
    std::fs::write(runs.join("notes.txt"), "hello").unwrap();
    let whole =
        std::fs::read_dir(&runs).unwrap().flatten().find(|file| file.path().extension().is_some_and(|e| e == "jsonl"));
    let bytes = std::fs::read(whole.unwrap().path()).unwrap();
    std::fs::write(runs.join("01K9ZZZZZZZZZZZZZZZZZZZZZZ.jsonl"), &bytes[..bytes.len() / 2]).unwrap();
    let newer = String::from_utf8(bytes).unwrap().replace("stored/v1", "stored/v9");
    std::fs::write(runs.join("01K9ZZZZZZZZZZZZZZZZZZZZZY.jsonl"), newer).unwrap();
    let shown = store.display().to_string();
    let done = words(&format!("runs --store {shown}"), &[]).expect_code(0);
    assert_eq!(done.stdout.lines().count(), 3, "{done:#?}");
    done.expect_words(&["notes.txt", "ZZZX", "v9"].map(|word| if word == "ZZZX" { "ZZZZ.jsonl" } else { word }));
    words(&format!("report 01K9ZZZZZZZZZZZZZZZZZZZZZY --store {shown}"), &[]).expect_words(&["newer"]);
    let empty = scratch("empty").join("store").display().to_string();
    words(&format!("runs --store {empty}"), &[]).expect_code(0).expect_words(&["no runs yet"]);
    words(&format!("trend shop --store {empty}"), &[]).expect_words(&["no runs yet"]);
    words(&format!("compare latest latest --store {empty}"), &[]).expect_words(&["no runs yet"]);
}

/// The result is shown and saved although the store can't take it.
#[test]
fn a_store_that_is_no_folder_costs_no_result() {
    let _alone = alone();
    let dir = scratch("no-store");
    let taken = dir.join("file");
    std::fs::write(&taken, "").unwrap();
    let demo = Demo::start(&["--latency", "fixed:1ms"]);
    let line = format!("run --url {} --rate 100/s --duration 1s -q", demo.url());
    words(&format!("{line} --store {}", taken.display()), &[]).expect_code(4).expect_words(&["--store"]);
    // Nobody asked for a store: it is said, and no more.
    let mut command = std::process::Command::new(loadgrid_tests::program::bin("loadgrid"));
    command.args(line.split(' ')).env("XDG_DATA_HOME", &taken);
    let done = Running::spawn(command).wait().expect_code(0);
    assert!(done.stdout.contains("PASS") && done.stderr.contains("will not be kept"), "{done:#?}");
}
