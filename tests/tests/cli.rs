//! The command line as its users meet it.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

use loadgrid_tests::program::{Demo, Running, bin, loadgrid};
use loadgrid_tests::{alone, scratch};
use rustix::process::Signal;

#[test]
fn the_demo_runs_by_itself_and_leaves_a_report() {
    let _alone = alone();
    let dir = scratch("demo");
    let html = dir.join("report.html");
    let done = loadgrid(&["demo", "--duration", "3s", "--html", html.to_str().unwrap()]).expect_code(0);
    assert!(done.stdout.contains("hello: "), "{}", done.stdout);
    assert!(done.stderr.contains("report.html") && done.stderr.contains("loadgrid init"), "{}", done.stderr);
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("http-order/latency-p95 &lt;= 80ms"), "objectives are on the page, escaped");
}

#[test]
fn the_text_report_fits_eighty_columns_and_has_no_colour_in_a_pipe() {
    let _alone = alone();
    let demo = Demo::start(&["--errors", "20%"]);
    let url = demo.url();
    let done = loadgrid(&[
        "run",
        "--url",
        &url,
        "--rate",
        "100/s",
        "--duration",
        "2s",
        "--workers",
        "2",
        "--slo",
        "http/latency-p99 <= 50ms",
        "--slo",
        "http/error-rate <= 1%",
        "-q",
    ])
    .expect_code(1);
    for line in done.stdout.lines() {
        assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
    }
    assert!(!done.stdout.contains('\x1b'));
    assert!(done.stdout.contains("INCONCLUSIVE") && done.stdout.contains("more requests"), "{}", done.stdout);
    assert_eq!(done.stderr, "", "-q says nothing");
}

#[test]
fn a_stored_run_renders_again_in_every_format() {
    let _alone = alone();
    let demo = Demo::start(&[]);
    let dir = scratch("formats");
    let url = demo.url();
    let formats = ["text", "json", "html", "junit", "markdown", "hlog"];
    let path = |format: &str| dir.join(format!("run.{format}")).display().to_string();
    let mut args =
        vec!["run".to_owned(), "--url".into(), url, "--name".into(), "a<b>&\"c".replace(['<', '>', '&', '"'], "-")];
    args.extend(["--rate", "200/s", "--duration", "2s", "--slo", "http/latency-p90 <= 1s", "-q"].map(String::from));
    formats.iter().for_each(|format| args.extend(["--report".to_owned(), format!("{format}={}", path(format))]));
    Running::start("loadgrid", &args).wait().expect_code(0);
    for format in formats {
        let again = loadgrid(&["report", &path("json"), "-o", format]).expect_code(0);
        assert!(again.stdout == std::fs::read_to_string(path(format)).unwrap(), "{format} differs");
        assert!(!again.stdout.is_empty());
    }
    let schema = loadgrid(&["report", "--schema"]).expect_code(0).stdout;
    assert_eq!(schema, include_str!("../../coordinator/schema/report-v1.json"), "the schema that is checked in");
    let schema = serde_json::from_str(&schema).unwrap();
    let run = serde_json::from_str(&std::fs::read_to_string(path("json")).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator.iter_errors(&run).map(|error| error.to_string()).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn foreign_or_torn_runs_are_named() {
    let dir = scratch("torn");
    let file = dir.join("run.json");
    for (text, words) in [
        ("{", "not a stored run"),
        ("{}", "no schema"),
        ("{\"schema\": \"loadgrid.dev/report/v9\"}", "report/v9"),
        ("{\"schema\": \"loadgrid.dev/report/v1\"}", "missing field"),
    ] {
        std::fs::write(&file, text).unwrap();
        loadgrid(&["report", file.to_str().unwrap()]).expect_code(2).expect_words(&["run.json", words]);
    }
}

#[test]
fn a_dry_run_shows_the_plan_and_sends_nothing() {
    let demo = Demo::start(&[]);
    let url = demo.url();
    let args = ["run", "--url", &url, "--rate", "100/s", "--duration", "10s", "--workers", "3", "--dry-run"];
    let done = loadgrid(&args).expect_code(0);
    for words in ["together 1000 requests", "3: lanes", "Nothing was sent"] {
        assert!(done.stdout.contains(words), "{}", done.stdout);
    }
    assert_eq!(demo.requests(), 0);
}

#[test]
fn the_first_test_is_valid() {
    let dir = scratch("init");
    let file = dir.join("start.yaml");
    std::fs::write(&file, loadgrid(&["init"]).expect_code(0).stdout).unwrap();
    loadgrid(&["validate", file.to_str().unwrap()]).expect_code(0);
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(loadgrid(&["completions", shell]).expect_code(0).stdout.contains("demo-service"));
    }
}

#[test]
fn ctrl_c_ends_in_a_second_with_a_report_of_what_ran() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:5ms"]);
    let url = demo.url();
    let mut run =
        Running::start("loadgrid", ["run", "--url", &url, "--rate", "100/s", "--duration", "60s", "-o", "json"]);
    run.await_stderr("left:");
    run.signal(Signal::INT);
    let asked = Instant::now();
    let report = run.wait().expect_code(130).report();
    assert!(asked.elapsed().as_secs_f64() < 2.0, "{:?}", asked.elapsed());
    let count = |field: &str| report["load"][field].as_u64().unwrap();
    assert_eq!(count("planned"), 6000);
    assert_eq!(count("planned"), count("sent") + count("dropped") + count("lost"));
    assert_eq!(count("sent"), demo.requests());
    assert_eq!((count("lost"), &report["verdict"]), (0, &serde_json::Value::from("inconclusive")));
}

#[test]
fn a_lost_cause_is_given_up_early() {
    let _alone = alone();
    let demo = Demo::start(&["--errors", "50%"]);
    let url = demo.url();
    let began = Instant::now();
    let args = ["run", "--url", &url, "--rate", "100/s", "--duration", "60s", "--slo", "http/error-count <= 5"];
    let report = loadgrid(&[&args[..], &["--abort-on-fail", "-q", "-o", "json"]].concat()).expect_code(1).report();
    assert!(began.elapsed().as_secs_f64() < 10.0);
    assert_eq!(report["verdict"], "fail");
    assert!(report["load"]["stopped"].as_str().unwrap().contains("http/error-count <= 5"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = Command::new(bin("loadgrid"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn secrets_stay_references() {
    let _alone = alone();
    let demo = Demo::start(&[]);
    let url = format!("{}?key=${{env:LOADGRID_TEST_SECRET}}", demo.url());
    let mut command = Command::new(bin("loadgrid"));
    command.env("LOADGRID_TEST_SECRET", "hunter2").args([
        "run",
        "--url",
        &url,
        "--rate",
        "20/s",
        "--duration",
        "1s",
        "-v",
        "-v",
    ]);
    command.args(["--header", "Authorization: Bearer ${env:LOADGRID_TEST_SECRET}", "-o", "json"]);
    let done = Running::spawn(command).wait().expect_code(0);
    assert!(!done.stdout.contains("hunter2") && !done.stderr.contains("hunter2"));
    assert!(done.stdout.contains("${env:LOADGRID_TEST_SECRET}"));
}
