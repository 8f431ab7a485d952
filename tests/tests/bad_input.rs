//! Whatever is wrong gives one clear message, the right exit code, and nothing half done.

use std::time::Instant;

use loadgrid_proto::v1;
use loadgrid_tests::program::{Demo, Grid, Running, loadgrid};
use loadgrid_tests::targets::{Broken, broken, nowhere};
use loadgrid_tests::{alone, scratch};

/// A run of one second at 50/s against an address.
fn run(address: impl std::fmt::Display, more: &[&str]) -> loadgrid_tests::program::Done {
    let url = format!("http://{address}/");
    let own = ["run", "--url", &url, "--rate", "50/s", "--duration", "1s", "--lanes", "1", "-q", "-o", "json"];
    loadgrid(&own.iter().chain(more).copied().collect::<Vec<_>>())
}

#[test]
fn a_test_that_is_not_understood_is_refused_with_its_place() {
    let dir = scratch("bad");
    let file = dir.join("test.yaml");
    for (from, to, place, words) in [
        ("arrivals:", "arivals:", "15", "unknown field `arivals`"),
        ("rate: 500/s", "rate: 500", "18", "500/s"),
        ("rate: 500/s", "rate: -500/s", "18", "above zero"),
        ("weight: 1", "weight: 0", "12", "weight 0"),
        ("latency-p99", "latency-q99", "20", "latency-q99"),
        ("name: order", "name: home", "11", "both named 'home'"),
    ] {
        let text = include_str!("../../examples/hello.yaml").replacen(from, to, 1);
        std::fs::write(&file, text).unwrap();
        let done = loadgrid(&["run", file.to_str().unwrap()]).expect_code(2).expect_words(&[words]);
        assert!(done.stderr.contains(&format!("test.yaml:{place}:")), "{from}: {}", done.stderr);
        assert_eq!(done.stdout, "");
        loadgrid(&["validate", file.to_str().unwrap()]).expect_code(2).expect_words(&[words]);
    }
    loadgrid(&["run", "/no/such/file.yaml"]).expect_code(2).expect_words(&["/no/such/file.yaml"]);
    loadgrid(&["run"]).expect_code(2).expect_words(&["--url"]);
    loadgrid(&["run", "--url", "http://a/", "--rate", "5/s", "--duration", "1s", "--slo", "nonsense"])
        .expect_code(2)
        .expect_words(&["--slo", "METRIC <= VALUE"]);
    loadgrid(&["run", "--url", "http://a/", "--rate", "-5/s", "--duration", "1s"])
        .expect_code(2)
        .expect_words(&["--rate", "above zero"]);
    loadgrid(&["run", "--url", "ftp://a/", "--rate", "5/s", "--duration", "1s"])
        .expect_code(2)
        .expect_words(&["ftp", "https://"]);
    let large = dir.join("large");
    std::fs::write(&large, vec![b'x'; 17 * 1024 * 1024]).unwrap();
    let data = format!("${{file:{}}}", large.display());
    run("127.0.0.1:1", &["--data", &data]).expect_code(2).expect_words(&["--data", "over the bound"]);
}

#[test]
fn targets_that_are_not_there() {
    run(nowhere(), &[]).expect_code(4).expect_words(&["takes no connection", "refused"]);
    run("no-such-host.invalid", &[]).expect_code(4).expect_words(&["no-such-host.invalid", "no address"]);
}

#[test]
fn targets_that_misbehave_are_measured_by_kind() {
    let _alone = alone();
    for (how, kind, more) in [
        (Broken::Silent, "timeout", &["--timeout", "300ms"][..]),
        (Broken::Garbage, "malformed", &[]),
        (Broken::EndlessHead, "head-too-large", &[]),
        (Broken::EarlyClose, "early-close", &[]),
    ] {
        let report = run(broken(how), more).expect_code(1).report();
        let kinds = report["requests"]["http"]["error_kinds"].as_object().unwrap();
        assert_eq!(kinds.get(kind).and_then(serde_json::Value::as_u64), Some(50), "{how:?}: {kinds:?}");
        assert_eq!(report["verdict"], "fail");
        assert!(report["reasons"].to_string().contains("no request succeeded"));
    }
    // What comes after a complete response costs the connection, and is not taken for the next response.
    let report = run(broken(Broken::Chatty), &[]).expect_code(0).report();
    assert_eq!(report["load"]["completed"], 50);
    assert_eq!(report["connections"]["unsolicited"], 50);
}

#[test]
fn a_response_body_over_the_bound() {
    let _alone = alone();
    let dir = scratch("body");
    let file = dir.join("test.yaml");
    let address = broken(Broken::Large(2000));
    let text = format!(
        "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: t}}\nspec:\n  requests:\n    - http: {{url: \
         'http://{address}/'}}\n  load: {{rate: 20/s, duration: 1s, maxBody: 1999}}\n"
    );
    std::fs::write(&file, &text).unwrap();
    let report = loadgrid(&["run", file.to_str().unwrap(), "-o", "json", "-q"]).expect_code(1).report();
    assert_eq!(report["requests"]["http"]["error_kinds"]["body-too-large"], 20);
    std::fs::write(&file, text.replace("1999", "2000")).unwrap();
    loadgrid(&["run", file.to_str().unwrap(), "-q"]).expect_code(0);
}

#[test]
fn a_report_that_can_not_be_written_loses_no_other() {
    let _alone = alone();
    let demo = Demo::start(&[]);
    let dir = scratch("full");
    let html = format!("html={}", dir.join("report.html").display());
    let more = ["--report", "json=/dev/full", "--report", &html];
    let done = run(demo.address, &more).expect_code(4).expect_words(&["json report", "/dev/full"]);
    assert_eq!(done.report()["load"]["completed"], 50);
    assert!(std::fs::read_to_string(dir.join("report.html")).unwrap().contains("</html>"));
    let twice = format!("json={}", dir.join("same").display());
    run(demo.address, &["--report", &twice, "--report", &twice]).expect_code(2).expect_words(&["two reports"]);
    let before = demo.requests();
    run(demo.address, &["--report", "html=/no/such/dir/x.html"]).expect_code(4).expect_words(&["/no/such/dir/x.html"]);
    assert_eq!(demo.requests(), before, "found before anything is sent");
}

#[test]
fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    run("127.0.0.1:1", &["--listen", &address, "--insecure"]).expect_code(4).expect_words(&[&address, "--listen"]);
}

#[test]
fn too_few_workers() {
    let args = ["--url", "http://127.0.0.1:1/", "--rate", "5/s", "--duration", "1s", "--join-timeout", "2s"];
    let grid = Grid::start(&args, 1);
    drop(grid);
    let mut coordinator = Grid::coordinator(&args, 2);
    let address = Grid::address(&mut coordinator);
    let _one = Grid::worker(address, "one");
    coordinator.wait().expect_code(4).expect_words(&["2 workers are wanted and 1 came within 2 s"]);
}

fn certs(name: &str) -> String {
    let dir = scratch(name).join("certs").display().to_string();
    loadgrid(&["certs", &dir]).expect_code(0);
    dir
}

#[test]
fn certificates_keep_strangers_and_roles_apart() {
    let _alone = alone();
    let demo = Demo::start(&[]);
    let (own, other, url) = (certs("own"), certs("other"), demo.url());
    let args = [
        "run",
        "--url",
        &url,
        "--rate",
        "50/s",
        "--duration",
        "2s",
        "--listen",
        "127.0.0.1:0",
        "--tls-dir",
        &own,
        "-o",
        "json",
    ];
    let mut coordinator = Running::start("loadgrid", args);
    let address = Grid::address(&mut coordinator);
    let https = format!("https://{address}");
    let worker = |dir: &str, name: &str| {
        Running::start(
            "loadgrid-worker",
            ["--coordinator", &https, "--tls-dir", dir, "--name", name, "--once", "--give-up", "20"],
        )
    };
    worker(&other, "stranger").wait().expect_code(4).expect_words(&["certificate", "loadgrid certs"]);
    // The right CA, the wrong role: a worker may not look or stop, an operator may not drive load.
    loadgrid(&["status", &https, "--tls-dir", &own, "--role", "worker"])
        .expect_code(4)
        .expect_words(&["the worker's certificate was shown where the operator's is needed"]);
    let disguised = scratch("disguised");
    for (from, to) in [("ca.pem", "ca.pem"), ("operator.pem", "worker.pem"), ("operator.key", "worker.key")] {
        std::fs::copy(format!("{own}/{from}"), disguised.join(to)).unwrap();
    }
    worker(disguised.to_str().unwrap(), "operator")
        .wait()
        .expect_code(4)
        .expect_words(&["the operator's certificate was shown where the worker's is needed"]);
    let status = loadgrid(&["status", &https, "--tls-dir", &own]).expect_code(0);
    assert!(status.stdout.contains("gathering, 0 workers"), "{}", status.stdout);
    worker(&own, "friend").wait().expect_code(0);
    let report = coordinator.wait().expect_code(0).report();
    assert_eq!(report["load"]["completed"], 100);
    assert_eq!(report["workers"][0]["id"], "friend");
}

#[test]
fn an_operator_can_stop_a_run() {
    let _alone = alone();
    let demo = Demo::start(&[]);
    let url = demo.url();
    let mut grid = Grid::start(&["--url", &url, "--rate", "50/s", "--duration", "60s"], 1);
    grid.coordinator.await_stderr("left:");
    let asked = Instant::now();
    let http = format!("http://{}", grid.address);
    loadgrid(&["stop", &http, "--insecure", "--reason", "release is off"]).expect_code(0);
    let report = grid.coordinator.wait().expect_code(3).report();
    assert!(asked.elapsed().as_secs_f64() < 3.0);
    assert!(report["reasons"].to_string().contains("release is off"));
}

#[test]
fn a_plaintext_worker_and_a_tls_url_do_not_go_together() {
    let args = ["--coordinator", "https://127.0.0.1:1", "--insecure"];
    Running::start("loadgrid-worker", args).wait().expect_code(2).expect_words(&["http://"]);
    let args = ["--coordinator", "https://127.0.0.1:1", "--tls-dir", "/no/such/dir"];
    Running::start("loadgrid-worker", args)
        .wait()
        .expect_code(2)
        .expect_words(&["/no/such/dir/ca.pem", "loadgrid certs"]);
}

#[tokio::test]
async fn another_protocol_version_is_refused_with_both_versions() {
    let mut coordinator = Grid::coordinator(&["--url", "http://127.0.0.1:1/", "--rate", "5/s", "--duration", "1s"], 1);
    let address = Grid::address(&mut coordinator);
    let url = format!("http://{address}");
    let mut client = v1::grid_client::GridClient::connect(url).await.unwrap();
    let hello = v1::Hello { protocol_version: 99, worker: "w".into(), name: "future".into(), ..Default::default() };
    let message = v1::WorkerMessage { kind: Some(v1::worker_message::Kind::Hello(hello)) };
    let refused = client.session(tokio_stream::iter([message])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(refused.message().contains("99") && refused.message().contains("same version"), "{refused}");
}
