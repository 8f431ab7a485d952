//! Whether what loadgrid says is true, against targets whose behaviour is known by arithmetic.

use loadgrid_tests::program::{Demo, Grid, Running, loadgrid};
use loadgrid_tests::{alone, scratch};
use serde_json::Value;

fn count(report: &Value, field: &str) -> u64 {
    report["load"][field].as_u64().unwrap_or_else(|| panic!("load.{field} in {report:#}"))
}

fn assert_account_closes(report: &Value) {
    let [planned, completed, errors, dropped, lost, cancelled] =
        ["planned", "completed", "errors", "dropped", "lost", "cancelled"].map(|field| count(report, field));
    assert_eq!(planned, completed + errors + dropped + lost + cancelled, "{report:#}");
    let of_workers: u64 = report["workers"].as_array().unwrap().iter().map(|w| w["sent"].as_u64().unwrap()).sum();
    assert_eq!(of_workers, completed + errors + cancelled);
    let of_seconds: u64 = report["timeline"].as_array().unwrap().iter().map(|s| s["completed"].as_u64().unwrap()).sum();
    assert_eq!(of_seconds, completed);
    let histogram = report["total"]["latency"]["count"].as_u64().unwrap();
    assert_eq!(histogram, completed + errors);
}

fn assert_within(value: &Value, truth: f64, share: f64, what: &str) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{what}: {value}"));
    assert!((value - truth).abs() <= truth * share, "{what} is {value}, the truth is {truth}");
}

/// 1,000/s against a stall of 1 s: a tenth of all requests is held, evenly between 0 and 1 s. So p95 is 0.5 s and p99
/// 0.9 s. The few connections hold only so many requests: what a closed loop would have told.
#[test]
fn a_stall_is_seen_from_the_intended_start() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:0ms", "--stall", "1s@4s"]);
    let url = demo.url();
    let done = loadgrid(&[
        "run",
        "--url",
        &url,
        "--rate",
        "1000/s",
        "--duration",
        "10s",
        "--connections",
        "20",
        "--lanes",
        "1",
        "-o",
        "json",
        "-q",
    ]);
    let report = done.report();
    assert_account_closes(&report);
    let request = &report["requests"]["http"];
    assert_within(&request["latency"]["p95"], 0.5, 0.03, "latency p95");
    assert_within(&request["latency"]["p99"], 0.9, 0.03, "latency p99");
    let service = request["service_time"]["p99"].as_f64().unwrap();
    assert!(service < 0.1, "service time p99 is {service}: only 20 requests were sent into the stall");
    assert_ne!(report["verdict"], "invalid");
}

#[test]
fn the_target_counts_what_the_report_says_was_sent() {
    let _alone = alone();
    for load in [
        &["--rate", "500/s", "--duration", "2s"][..],
        &["--rate", "700/s", "--requests", "1001", "--arrivals", "poisson"],
        &["--closed-loop", "--requests", "1003", "--connections", "7"],
        &["--closed-loop", "--duration", "1s", "--connections", "5"],
    ] {
        let demo = Demo::start(&["--latency", "exponential:2ms", "--errors", "5%"]);
        let url = demo.url();
        let own = ["run", "--url", &url, "--workers", "3", "--lanes", "1", "-o", "json", "-q"];
        let done = loadgrid(&own.iter().chain(load).copied().collect::<Vec<_>>());
        let report = done.report();
        assert_account_closes(&report);
        assert_eq!(demo.requests(), count(&report, "sent"), "{load:?}");
        if let Some(place) = load.iter().position(|flag| *flag == "--requests") {
            assert_eq!(count(&report, "sent").to_string(), load[place + 1]);
        }
        assert!(count(&report, "errors") > 0, "5 % of the answers are errors");
    }
}

#[test]
fn a_killed_worker_is_found_and_its_share_counted_as_lost() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:1ms"]);
    let url = demo.url();
    let args =
        ["--url", &url, "--rate", "300/s", "--duration", "6s", "--rejoin", "2s", "--slo", "http/error-rate <= 1%"];
    let mut grid = Grid::start(&args, 3);
    grid.coordinator.await_stderr("left:");
    grid.workers[1].signal(rustix::process::Signal::KILL);
    let killed = std::time::Instant::now();
    grid.coordinator.await_stderr("is away");
    assert!(killed.elapsed().as_secs_f64() <= 3.0, "found after {:?}", killed.elapsed());
    let done = grid.coordinator.wait().expect_code(3);
    let report = done.report();
    assert_eq!(report["verdict"], "inconclusive");
    assert_eq!(count(&report, "planned"), 1800);
    assert!(count(&report, "lost") > 0);
    assert_account_closes(&report);
    let lost: Vec<&str> = report["workers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|worker| worker["lost"].as_u64() > Some(0))
        .map(|worker| worker["id"].as_str().unwrap())
        .collect();
    assert_eq!(lost, ["w2"]);
}

#[test]
fn by_policy_a_lost_worker_fails_the_run() {
    let _alone = alone();
    let demo = Demo::start(&[]);
    let url = demo.url();
    let mut grid = Grid::start(&["--url", &url, "--rate", "100/s", "--duration", "30s", "--on-worker-loss", "fail"], 2);
    grid.coordinator.await_stderr("left:");
    grid.workers[0].signal(rustix::process::Signal::KILL);
    let done = grid.coordinator.wait().expect_code(4);
    let report = done.report();
    assert!(report["load"]["stopped"].as_str().unwrap().contains("w1"));
    assert_account_closes(&report);
}

/// As Kubernetes does it when a node is drained.
#[test]
fn a_worker_that_is_told_to_leave_is_named_and_nothing_passes() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:1ms"]);
    let url = demo.url();
    let mut grid =
        Grid::start(&["--url", &url, "--rate", "200/s", "--duration", "5s", "--slo", "http/error-rate <= 0"], 2);
    grid.coordinator.await_stderr("left:");
    grid.workers[1].signal(rustix::process::Signal::TERM);
    grid.coordinator.await_stderr("w2 leaves before the end");
    let report = grid.coordinator.wait().expect_code(3).report();
    assert_account_closes(&report);
    assert_eq!(report["verdict"], "inconclusive", "{report:#}");
    assert_ne!(report["validity"], "invalid");
    assert!(report["reasons"].to_string().contains("worker w2 (the worker was told to stop) left before the end"));
    assert_eq!(report["slos"][0]["verdict"], "inconclusive");
}

/// What loadgrid itself gave up is no error of a slow target.
#[test]
fn an_interrupted_run_against_a_slow_target_is_no_failure_of_it() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:2s"]);
    let url = demo.url();
    let slo = "http/error-rate <= 1%";
    let mut run = Running::start(
        "loadgrid",
        ["run", "--url", &url, "--rate", "50/s", "--duration", "30s", "--slo", slo, "-o", "json"],
    );
    run.await_stderr("left:");
    run.signal(rustix::process::Signal::INT);
    let report = run.wait().expect_code(130).report();
    assert_account_closes(&report);
    assert!(count(&report, "cancelled") > 0);
    assert_eq!((count(&report, "errors"), &report["verdict"]), (0, &Value::from("inconclusive")), "{report:#}");
    assert_eq!(demo.requests(), count(&report, "sent"));
}

#[test]
fn a_worker_that_is_cut_off_and_comes_back_loses_nothing() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:1ms"]);
    let url = demo.url();
    let args = ["--url", &url, "--rate", "400/s", "--duration", "9s", "--slo", "http/error-rate <= 0"];
    let mut coordinator = Grid::coordinator(&args, 2);
    let address = Grid::address(&mut coordinator);
    let proxy = loadgrid_tests::proxy::Proxy::start(address);
    let _through = Grid::worker(proxy.address, "through");
    let _direct = Grid::worker(address, "direct");
    coordinator.await_stderr("left:");
    let cut = std::time::Instant::now();
    proxy.cut();
    coordinator.await_stderr("through is away");
    // Five seconds of absence are the test's subject.
    while cut.elapsed().as_secs_f64() < 5.0 {
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    proxy.mend();
    let done = coordinator.wait().expect_code(0);
    let report = done.report();
    assert_account_closes(&report);
    assert_eq!((count(&report, "planned"), count(&report, "sent"), count(&report, "lost")), (3600, 3600, 0));
    assert_eq!(demo.requests(), 3600);
}

/// The generator shares one core with four programs that never rest. It must say so, and not blame the target.
#[test]
fn a_starved_generator_is_no_measurement() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:1ms"]);
    let url = demo.url();
    let neighbours: Vec<Running> = (0..4)
        .map(|_| {
            let mut command = std::process::Command::new("taskset");
            command.args(["-c", "0", "sh", "-c", "while :; do :; done"]);
            Running::spawn(command)
        })
        .collect();
    let mut command = std::process::Command::new("taskset");
    command.args(["-c", "0"]).arg(loadgrid_tests::program::bin("loadgrid")).args([
        "run",
        "--url",
        &url,
        "--rate",
        "2000/s",
        "--duration",
        "4s",
        "--lanes",
        "1",
        "-o",
        "json",
        "-q",
        "--slo",
        "http/latency-p99 <= 1s",
    ]);
    let done = Running::spawn(command).wait();
    drop(neighbours);
    let report = done.report();
    assert_ne!(report["validity"], "valid", "{report:#}");
    let tripped: Vec<&Value> =
        report["audit"].as_array().unwrap().iter().filter(|gate| gate["state"] != "ok").collect();
    for gate in &tripped {
        assert!(!gate["means"].as_str().unwrap().is_empty() && !gate["todo"].as_str().unwrap().is_empty());
    }
    if report["validity"] == "invalid" {
        assert_eq!((done.code, &report["verdict"]), (Some(3), &Value::from("invalid")));
    }
}

/// Ten answers a second where fifty are asked for, over five connections: the target's failure, measured well.
#[test]
fn a_target_without_free_connections_fails_in_a_valid_run() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:100ms", "--workers", "1"]);
    let url = demo.url();
    let done = loadgrid(&[
        "run",
        "--url",
        &url,
        "--rate",
        "50/s",
        "--duration",
        "4s",
        "--connections",
        "5",
        "--lanes",
        "1",
        "--max-wait",
        "1s",
        "--slo",
        "http/latency-p90 <= 200ms",
        "-o",
        "json",
        "-q",
    ])
    .expect_code(1);
    let report = done.report();
    assert_eq!(report["verdict"], "fail", "{report:#}");
    assert_ne!(report["validity"], "invalid");
    assert!(count(&report, "dropped") > 0);
    assert_account_closes(&report);
    let wait = report["total"]["connection_wait"]["p99"].as_f64().unwrap();
    let lag = report["total"]["dispatch_lag"]["p99"].as_f64().unwrap();
    assert!(wait > 0.5 && lag < 0.01, "waiting {wait} is the target's, lag {lag} the generator's");
}

/// The generator stands still for 0.4 s. What it then sends late is its own doing, however small the bound for waiting.
#[test]
fn a_stopped_generator_is_not_a_target_without_connections() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:1ms"]);
    let url = demo.url();
    let mut run = Running::start(
        "loadgrid",
        [
            "run",
            "--url",
            &url,
            "--rate",
            "1000/s",
            "--duration",
            "4s",
            "--lanes",
            "1",
            "--max-wait",
            "50ms",
            "-o",
            "json",
        ],
    );
    run.await_stderr("left:");
    run.signal(rustix::process::Signal::STOP);
    let stopped = std::time::Instant::now();
    // The pause is the test's subject.
    while stopped.elapsed().as_secs_f64() < 0.4 {
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
    run.signal(rustix::process::Signal::CONT);
    let report = run.wait().expect_code(3).report();
    assert_eq!(report["verdict"], "invalid", "{report:#}");
    assert!(count(&report, "late") >= 390, "{}", count(&report, "late"));
    assert_account_closes(&report);
}

/// One connection for two targets, and the slow one could fill it: the other one gets its turn.
#[test]
fn a_saturated_target_does_not_starve_another_one() {
    let _alone = alone();
    let (slow, fast) = (Demo::start(&["--latency", "fixed:100ms"]), Demo::start(&["--latency", "fixed:0ms"]));
    let file = scratch("two").join("two.yaml");
    let text = format!(
        "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: two}}\nspec:\n  requests:\n    - {{name: slow, \
         weight: 4, http: {{url: '{}'}}}}\n    - {{name: fast, weight: 1, http: {{url: '{}'}}}}\n  load: {{rate: 20/s, \
         duration: 4s, connections: 1, maxWait: 1s}}\n",
        slow.url(),
        fast.url()
    );
    std::fs::write(&file, text).unwrap();
    let report = loadgrid(&["run", file.to_str().unwrap(), "-o", "json", "-q"]).report();
    assert_account_closes(&report);
    let sent = report["requests"]["fast"]["count"].as_u64().unwrap();
    assert!(sent >= 8, "{sent} of 16 requests to the idle target were sent: {report:#}");
}

#[test]
fn a_mix_has_its_exact_shares_over_all_workers() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:0ms"]);
    let dir = scratch("mix");
    let file = dir.join("mix.yaml");
    let url = demo.url();
    let text = format!(
        "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: mix}}\nspec:\n  requests:\n    - {{name: a, \
         weight: 3, http: {{url: '{url}'}}}}\n    - {{name: b, weight: 1, http: {{url: '{url}', method: POST, body: {{text: \
         hey}}}}}}\n  load: {{rate: 400/s, requests: 1000}}\n"
    );
    std::fs::write(&file, text).unwrap();
    let done = loadgrid(&["run", file.to_str().unwrap(), "--workers", "4", "--lanes", "1", "-o", "json", "-q"]);
    let report = done.expect_code(0).report();
    assert_eq!(report["requests"]["a"]["count"], 750);
    assert_eq!(report["requests"]["b"]["count"], 250);
}
