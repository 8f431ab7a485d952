//! Iter8's commands on loadgrid: the lines that its users have in their scripts.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use loadgrid_tests::program::{Demo, Done, Running, bin};
use loadgrid_tests::{alone, scratch};

/// `loadgrid iter8 …` with a state folder of its own.
fn iter8(state: &Path, args: &[&str]) -> Done {
    let mut command = Command::new(bin("loadgrid"));
    command.env("XDG_STATE_HOME", state).current_dir(state).arg("iter8").args(args);
    Running::spawn(command).wait()
}

/// Serves one text at every path.
fn page(text: &'static str, status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
            let _ = stream.write_all((head + text).as_bytes());
        }
    });
    format!("http://{address}/")
}

const PROTO: &str = "syntax = \"proto3\";\npackage helloworld;\nservice Greeter { rpc SayHello (HelloRequest) returns (HelloReply) {} }\nmessage HelloRequest { string name = 1; }\nmessage HelloReply { string message = 1; }\n";

/// The HTTP half of the article on Knative, with the host of a local service.
#[test]
fn the_http_commands_of_the_knative_article_run_report_and_assert() {
    let _alone = alone();
    let (state, demo) = (scratch("iter8-http"), Demo::start(&["--latency", "fixed:2ms"]));
    let url = format!("http.url=http://{}", demo.address);
    #[rustfmt::skip]
    let launch = ["k", "launch", "--set", "tasks={ready,http,assess}", "--set", "ready.ksvc=hello", "--set", &url,
        "--set", "http.numRequests=100", "--set", "http.connections=10", "--set", "http.qps=50",
        "--set", "assess.SLOs.upper.http/latency-mean=200", "--set", "assess.SLOs.upper.http/error-count=0",
        "--set", "runner=job"];
    let done = iter8(&state, &launch).expect_code(0);
    assert!(done.stderr.contains("task 1: ready: started") && done.stderr.contains("no cluster"), "{}", done.stderr);
    assert_eq!(demo.requests(), 100);
    let done = iter8(&state, &["k", "assert", "-c", "completed", "-c", "nofailure", "-c", "slos", "--timeout", "60s"]);
    let done = done.expect_code(0).expect_words(&["experiment completed", "SLOs are satisfied"]);
    assert_eq!(done.stdout, "");
    let report = iter8(&state, &["k", "report"]).expect_code(0).stdout;
    for line in [
        "  Number of completed tasks: 3\n",
        "  SLO Conditions                  | Satisfied\n",
        "  http/error-count <= 0           | true\n",
        "  http/latency-mean (msec) <= 200 | true\n",
        "  http/error-count           | 0.00\n",
        "  http/request-count         | 100.00\n",
        "Confidence intervals",
    ] {
        assert!(report.contains(line), "'{line}' is missing:\n{report}");
    }
    let html = iter8(&state, &["report", "-o", "html"]).expect_code(0).stdout;
    assert!(html.starts_with("<!doctype html>") || html.starts_with("<!DOCTYPE html>"), "{}", &html[..60]);
    iter8(&state, &["report", "-o", "pdf"]).expect_code(1).expect_words(&["unsupported report format pdf"]);
    iter8(&state, &["assert", "-c", "fast"]).expect_code(1).expect_words(&["fast"]);
    iter8(&state, &["report", "-g", "nobody"]).expect_code(1).expect_words(&["unable to read experiment"]);
    iter8(&state, &["k", "delete"]).expect_code(0);
    iter8(&state, &["report"]).expect_code(1).expect_words(&["unable to read experiment"]);
}

/// The gRPC half, the schema from a URL.
#[test]
fn the_grpc_commands_of_the_knative_article_run_report_and_assert() {
    let _alone = alone();
    let (state, demo) = (scratch("iter8-grpc"), Demo::start(&["--latency", "fixed:2ms"]));
    let (host, proto) = (format!("grpc.host={}", demo.address), format!("grpc.protoURL={}", page(PROTO, "200 OK")));
    #[rustfmt::skip]
    let launch = ["k", "launch", "--set", "tasks={ready,grpc,assess}", "--set", "ready.ksvc=hello", "--set", &host,
        "--set", "grpc.call=helloworld.Greeter.SayHello", "--set", "grpc.total=100", "--set", "grpc.concurrency=10",
        "--set", "grpc.rps=50", "--set", &proto, "--set", "grpc.data.name=frodo",
        "--set", "assess.SLOs.upper.grpc/error-rate=0", "--set", "assess.SLOs.upper.grpc/latency/mean=400",
        "--set", r"assess.SLOs.upper.grpc/latency/p97\.5=500", "--set", "runner=job", "--set", "logLevel=debug",
        "--noDownload"];
    iter8(&state, &launch).expect_code(0);
    iter8(&state, &["assert", "-c", "completed,nofailure,slos"]).expect_code(0);
    let report = iter8(&state, &["report"]).expect_code(0).stdout;
    for line in ["  grpc/latency/p97.5 (msec) <= 500 | true\n", "  grpc/request-count         | 100.00\n"] {
        assert!(report.contains(line), "'{line}' is missing:\n{report}");
    }
    // An error page is no schema.
    let proto = format!("grpc.protoURL={}", page("not here", "404 Not Found"));
    let args = ["launch", "--set", "tasks={grpc}", "--set", &host, "--set", "grpc.call=a.B.C", "--set", &proto];
    iter8(&state, &args).expect_code(1).expect_words(&["404"]);
    iter8(&state, &["assert", "-c", "nofailure"]).expect_code(1);
}

#[test]
fn what_does_not_hold_is_said_and_exits_with_1() {
    let _alone = alone();
    let (state, demo) = (scratch("iter8-fails"), Demo::start(&["--latency", "fixed:5ms"]));
    let url = format!("http.url=http://{}/status/404", demo.address);
    #[rustfmt::skip]
    let launch = ["launch", "--set", "tasks={http,assess}", "--set", &url, "--set", "http.numRequests=20",
        "--set", "http.qps=40", "--set", "assess.SLOs.upper.http/error-count=0",
        "--set", "assess.SLOs.upper.http/latency-p12=0", "--set", "assess.SLOs.lower.http/request-count=20"];
    iter8(&state, &launch).expect_code(0);
    let failed = iter8(&state, &["assert", "-c", "completed", "-c", "slos", "--timeout", "1s"]);
    failed.expect_code(1).expect_words(&["assert conditions failed", "SLOs are not satisfied"]);
    let report = iter8(&state, &["report"]).expect_code(0).stdout;
    assert!(report.contains("| false\n") && report.contains("  20 <= http/request-count"), "{report}");
    // By duration Iter8 sends one request beforehand.
    let args = ["launch", "--set", "tasks={http}", "--set", &url, "--set", "http.duration=1s"];
    iter8(&state, &args).expect_code(1).expect_words(&["error 404", "allowInitialErrors"]);
}

#[test]
fn values_that_are_not_understood_run_nothing() {
    let state = scratch("iter8-wrong");
    for (sets, words) in [
        (vec!["tasks={htp}"], vec!["htp"]),
        (vec!["tasks={http}"], vec!["url"]),
        (vec!["tasks={http}", "http.url=http://a/", "http.qsp=5"], vec!["qsp", "qps"]),
        (vec!["tasks={http}", "http.url=http://a/", "http.qps=fast"], vec!["qps"]),
        (vec!["tasks={http", "http.url=http://a/"], vec!["--set", "not closed"]),
    ] {
        let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let done = iter8(&state, &[&["launch"][..], &args].concat()).expect_code(1).expect_words(&words);
        assert_eq!(done.stdout, "", "{sets:?}");
    }
    assert!(!state.join("loadgrid").exists(), "nothing was run");
}

/// A file of Iter8's own: run, asserted and reported; scripts only if they are allowed.
#[test]
fn experiments_that_iter8_wrote_are_read_and_run() {
    let _alone = alone();
    let (state, demo) = (scratch("iter8-file"), Demo::start(&["--latency", "fixed:1ms"]));
    let spec = format!(
        "spec:\n- task: http\n  with:\n    url: http://{}/\n    numRequests: 30\n    qps: 60\n- task: assess\n  with:\n    SLOs:\n      Upper:\n      - metric: http/latency-p95.0\n        limit: 100\n- run: echo ok > ran.txt\n  if: SLOs()\n",
        demo.address
    );
    std::fs::write(state.join("experiment.yaml"), spec).unwrap();
    let done = iter8(&state, &["run"]).expect_code(1);
    assert!(done.stderr.contains("--allow-run"), "{}", done.stderr);
    assert!(!state.join("ran.txt").exists());
    iter8(&state, &["run", "--allow-run"]).expect_code(0);
    assert_eq!(std::fs::read_to_string(state.join("ran.txt")).unwrap(), "ok\n");
    let file = state.join("experiment.yaml").display().to_string();
    iter8(&state, &["assert", "-f", &file, "-c", "completed,nofailure,slos"]).expect_code(0);
    let report = iter8(&state, &["report", "-f", &file]).expect_code(0).stdout;
    assert!(
        report.contains("http/latency-p95 (msec) <= 100 | true") || report.contains("http/latency-p95.0"),
        "{report}"
    );
    iter8(&state, &["run", "--allow-run", "--reuseResult"]).expect_code(0);
    assert!(iter8(&state, &["report", "-f", &file]).stdout.contains("Number of completed loops: 1"));
}

#[test]
fn endpoints_are_loads_of_their_own() {
    let _alone = alone();
    let (state, demo) = (scratch("iter8-endpoints"), Demo::start(&["--latency", "fixed:1ms"]));
    let (a, b) = (
        format!("http.endpoints.get.url=http://{}/", demo.address),
        format!("http.endpoints.post.url=http://{}/echo", demo.address),
    );
    #[rustfmt::skip]
    let launch = ["launch", "--set", "tasks={http,assess}", "--set", &a, "--set", &b,
        "--set", "http.endpoints.post.payloadStr=hello", "--set", "http.numRequests=20", "--set", "http.qps=100",
        "--set", "assess.SLOs.upper.http-get/latency-mean=50", "--set", "assess.SLOs.upper.http-post/error-count=0"];
    iter8(&state, &launch).expect_code(0);
    iter8(&state, &["assert", "-c", "slos"]).expect_code(0);
    let report = iter8(&state, &["report"]).stdout;
    assert!(report.contains("http-get/request-count") && report.contains("http-post/request-count"), "{report}");
    assert_eq!(demo.requests(), 40);
    // The translation is a test that can be kept.
    let dry = iter8(&state, &[&launch[..], &["--dry"]].concat()).expect_code(0).stdout;
    let document = dry.split("---\n").nth(1).unwrap();
    let path = state.join("dry.yaml");
    std::fs::write(&path, document).unwrap();
    loadgrid_tests::program::loadgrid(&["validate", path.to_str().unwrap()]).expect_code(0);
}

/// Half a load is no result: nothing may pass on it.
#[test]
fn an_interrupted_load_is_no_result() {
    let _alone = alone();
    let (state, demo) = (scratch("iter8-interrupted"), Demo::start(&["--latency", "fixed:1ms"]));
    let url = format!("http.url=http://{}/", demo.address);
    let mut command = Command::new(bin("loadgrid"));
    command.env("XDG_STATE_HOME", &state).args(["iter8", "launch", "--set", "tasks={http,assess}", "--set", &url]);
    command.args(["--set", "http.qps=50", "--set", "http.numRequests=3000"]);
    let mut running = Running::spawn(command);
    running.await_stderr("left:");
    running.signal(rustix::process::Signal::INT);
    running.wait().expect_code(130);
    iter8(&state, &["assert", "-c", "completed"]).expect_code(1);
    iter8(&state, &["assert", "-c", "nofailure"]).expect_code(1);
}

/// Metrics of a provider by Iter8's template, and a notification; both by URL.
#[test]
fn custom_metrics_and_notifications() {
    let _alone = alone();
    let (state, demo) = (scratch("iter8-custom"), Demo::start(&["--latency", "fixed:1ms"]));
    let prometheus = page(r#"{"data":{"result":[{"value":[1700000000,"42"]}]}}"#, "200 OK");
    let template = format!(
        "url: {prometheus}api/v1/query\nprovider: prom\nmethod: GET\nmetrics:\n- name: request-count\n  type: counter\n  description: requests\n  params:\n  - name: query\n    value: sum(requests{{{{- if .labels.app }}}}_{{{{ .labels.app }}}}{{{{ end }}}}[{{{{ .elapsedTimeSeconds }}}}s])\n  jqExpression: .data.result[0].value[1] | tonumber\n"
    );
    let template = page(template.leak(), "200 OK");
    let sets = [
        "tasks={http,custommetrics,assess,slack}".to_owned(),
        format!("http.url=http://{}/", demo.address),
        "http.numRequests=20".to_owned(),
        "http.qps=40".to_owned(),
        format!("custommetrics.templates.prom={template}"),
        "custommetrics.values.labels.app=shop".to_owned(),
        "assess.SLOs.upper.prom/request-count=42".to_owned(),
        "assess.SLOs.lower.prom/nothing=1".to_owned(),
        format!("slack.url={}", page("", "404 Not Found")),
        format!("slack.payloadTemplateURL={}", page("{\"text\": {{ .Report.completed | toJson }}}", "200 OK")),
    ];
    let args: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let done = iter8(&state, &[&["launch"][..], &args].concat()).expect_code(0);
    // A notification that nobody took is said, and fails nothing: softFailure is the default.
    assert!(done.stderr.contains("not delivered") && done.stderr.contains("404"), "{}", done.stderr);
    let report = iter8(&state, &["report"]).stdout;
    assert!(report.contains("prom/request-count <= 42 | true"), "{report}");
    assert!(report.contains("1 <= prom/nothing") && report.contains("| false"), "{report}");
    iter8(&state, &["assert", "-c", "slos"]).expect_code(1);
}
