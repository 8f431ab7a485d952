//! What happens around the load: readiness before it, metrics of others and notices after it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread;

use loadgrid_tests::program::{Demo, Running, loadgrid};
use loadgrid_tests::targets::nowhere;
use loadgrid_tests::{alone, scratch};
use serde_json::Value;

fn test(name: &str, spec: &str) -> String {
    let path = scratch(name).join("test.yaml");
    let head = "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {name: t}\nspec:\n";
    std::fs::write(&path, format!("{head}{spec}")).unwrap();
    path.display().to_string()
}

/// Answers every request with this JSON, and hands on (head, body) of each.
fn listener(answer: &'static str) -> (SocketAddr, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|length| length > 0) {}
            let length = head.to_ascii_lowercase();
            let length =
                length.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            let _ = reader.read_exact(&mut body);
            let head_out = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all((head_out + answer).as_bytes());
            let _ = sender.send((head, String::from_utf8_lossy(&body).into_owned()));
        }
    });
    (address, receiver)
}

fn load(url: &str) -> String {
    format!("  requests: [{{http: {{url: '{url}'}}}}]\n  load: {{rate: 50/s, duration: 1s}}\n")
}

/// The load starts once the service is there, and the report says how long that took.
#[test]
fn the_load_waits_for_its_conditions() {
    let _alone = alone();
    let address = nowhere();
    let spec = format!(
        "  ready:\n    - {{http: 'http://{address}/status/204', status: 204, timeout: 30s}}\n    - {{tcp: '{address}'}}\n    - {{grpcHealth: '{address}'}}\n{}",
        load(&format!("http://{address}/"))
    );
    let file = test("ready", &spec);
    let mut run = Running::start("loadgrid", ["run", &file, "-o", "json"]);
    run.await_stderr("refused");
    let demo = Running::start("loadgrid", ["demo-service", "--listen", &address.to_string(), "--latency", "fixed:1ms"]);
    let report = run.wait().expect_code(0).report();
    drop(demo);
    let ready = report["ready"].as_array().unwrap();
    assert_eq!(ready.len(), 3);
    assert!(ready.iter().all(|ready| ready["waited"].as_f64().unwrap() > 0.0), "{ready:?}");
    assert!(ready[0]["attempts"].as_u64().unwrap() > 1, "{ready:?}");
    assert_eq!(report["load"]["completed"], 50);
}

#[test]
fn what_is_not_ready_in_its_time_sends_nothing() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:0ms"]);
    let url = demo.url();
    for (ready, words) in [
        (format!("{{http: '{url}status/503', timeout: 1s}}"), ["status 503", "1s"]),
        (format!("{{tcp: '{}', timeout: 1s}}", nowhere()), ["refused", "1s"]),
        (format!("{{grpcHealth: '{}', service: no.Such, timeout: 1s}}", demo.address), ["no.Such", "1s"]),
    ] {
        let file = test("not-ready", &format!("  ready: [{ready}]\n{}", load(&url)));
        let before = demo.requests();
        loadgrid(&["run", &file, "-q"]).expect_code(4).expect_words(&words);
        // What asked whether it is ready was counted; the load's fifty were not.
        assert!(demo.requests() - before < 20);
    }
    for (ready, words) in [
        ("{http: 'x'}", ["'x' is not a URL", "http://"]),
        ("{tcp: localhost}", ["host:port", "localhost"]),
        ("{}", ["http", "grpcHealth"]),
        ("{tcp: 'a:1', status: 200}", ["status", "http"]),
    ] {
        let file = test("bad-ready", &format!("  ready: [{ready}]\n{}", load(&url)));
        loadgrid(&["run", &file]).expect_code(2).expect_words(&words).expect_words(&["test.yaml:5:"]);
    }
}

#[test]
fn objectives_on_metrics_of_others() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:0ms"]);
    let (provider, asked) = listener(r#"{"data":{"result":[{"value":[1700000000,"0.25"]}]}}"#);
    let spec = format!(
        "{}  metrics:\n    - name: prom\n      url: http://{provider}/api/v1/query\n      params: {{start: '{{{{startUnix}}}}'}}\n      metrics:\n        - {{name: cpu, params: {{query: 'rate(cpu[{{{{elapsedSeconds}}}}s])'}}, jq: '.data.result[0].value[1] | tonumber', unit: cores}}\n        - {{name: none, jq: .nothing}}\n  slos:\n    - prom/cpu <= 0.25\n",
        load(&demo.url())
    );
    let report = loadgrid(&["run", &test("metrics", &spec), "-q", "-o", "json"]).expect_code(0).report();
    assert_eq!(report["slos"][0]["observed"], 0.25);
    assert_eq!(report["outside"][0]["metric"], "prom/cpu");
    assert_eq!(report["outside"][0]["unit"], "cores");
    assert!(report["outside"][1]["error"].as_str().unwrap().contains("null"), "{}", report["outside"]);
    let (head, _) = asked.recv().unwrap();
    assert!(head.contains("rate%28cpu%5B1s%5D%29") && !head.contains("startUnix"), "{head}");
    // What is missing is no pass; what does not exist is no objective.
    loadgrid(&["run", &test("metrics", &spec), "-q", "--slo", "prom/none <= 1"]).expect_code(1);
    loadgrid(&["run", &test("metrics", &spec), "-q", "--slo", "prom/mem <= 1"]).expect_code(2).expect_words(&["prom"]);
    loadgrid(&["run", &test("metrics", &spec), "-q", "--slo", "statsd/mem <= 1"])
        .expect_code(2)
        .expect_words(&["statsd"]);
}

#[test]
fn who_wants_to_know_is_told() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:0ms"]);
    let (hook, told) = listener("{}");
    let folder = scratch("notify");
    std::fs::write(folder.join("text.tera"), "{\"text\": \"{{ test }} is {{ verdict }} with {{ load.sent }} sent\"}")
        .unwrap();
    let template = folder.join("text.tera").display().to_string();
    let spec =
        |url: &str, more: &str| format!("{}  notify:\n    - {{url: 'http://{hook}/secret-path'{more}}}\n", load(url));
    let run = |spec: &str| loadgrid(&["run", &test("notify-test", spec), "-q", "-o", "json"]);
    run(&spec(&demo.url(), "")).expect_code(0);
    let (head, body) = told.recv().unwrap();
    let summary: Value = serde_json::from_str(&body).unwrap();
    assert!(head.starts_with("POST /secret-path "), "{head}");
    assert_eq!((&summary["verdict"], &summary["sent"]), (&Value::from("pass"), &Value::from(50)));
    run(&spec(&demo.url(), &format!(", template: '{template}', headers: {{X-A: b}}"))).expect_code(0);
    let (head, body) = told.recv().unwrap();
    assert_eq!(body, "{\"text\": \"t is pass with 50 sent\"}");
    assert!(head.to_ascii_lowercase().contains("x-a: b\r\n"), "{head}");
    // Only failures: nobody is told of a pass, and of a fail once.
    run(&spec(&demo.url(), ", when: failure")).expect_code(0);
    run(&spec(&format!("{}status/500", demo.url()), ", when: failure")).expect_code(1);
    assert!(told.recv().unwrap().1.contains("\"fail\""));
    assert!(told.try_recv().is_err(), "one notice was due");
    // A hook that is not there is said, without its path, and costs the result only if the test wants that.
    let gone = spec(&demo.url(), "").replace(&hook.to_string(), &nowhere().to_string());
    let done = run(&gone).expect_code(0).expect_words(&["not delivered"]);
    assert!(!done.stderr.contains("secret-path"), "{}", done.stderr);
    let done = run(&gone.replace("secret-path'", "secret-path', softFailure: false")).expect_code(4);
    assert_eq!(done.report()["verdict"], "pass", "the report was delivered before");
}
