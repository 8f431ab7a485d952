//! HTTP/2, TLS and gRPC against servers that others wrote: what loadgrid reports is what they counted.

use std::collections::BTreeSet;
use std::path::Path;

use loadgrid_tests::peers::{Certificates, Nghttpd, Nginx, NginxOptions, RouteGuide, RouteGuideOptions, targets};
use loadgrid_tests::program::{Done, loadgrid};
use loadgrid_tests::{alone, scratch};
use serde_json::Value;

fn run(args: &[&str]) -> Done {
    loadgrid(&["run", "--lanes", "1", "-q", "-o", "json"].iter().chain(args).copied().collect::<Vec<_>>())
}

fn sent(report: &Value) -> u64 {
    report["load"]["sent"].as_u64().unwrap()
}

/// Everything that was planned was sent and answered well.
#[track_caller]
fn assert_all_well(report: &Value) {
    let load = &report["load"];
    let figures = ["planned", "completed", "errors", "dropped", "lost"].map(|field| load[field].as_u64().unwrap());
    assert_eq!(figures, [figures[0], figures[0], 0, 0, 0], "{load} {}", report["total"]["error_kinds"]);
}

fn write_test(dir: &Path, name: &str, requests: &str, load: &str) -> String {
    let text = format!(
        "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: {name}}}\nspec:\n  requests:\n{requests}\n  load: {{{load}}}\n"
    );
    let path = dir.join(format!("{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn http_2_in_the_clear_is_counted_as_nginx_counts_it() {
    let _alone = alone();
    let Some(nginx) = Nginx::start(&NginxOptions::default()) else { return };
    let url = format!("http://{}/", nginx.h2c);
    let load = ["--http", "2", "--rate", "500/s", "--duration", "2s", "--connections", "3", "--workers", "2"];
    let report = run(&[&["--url", &url][..], &load].concat()).expect_code(0).report();
    assert_all_well(&report);
    assert_eq!((sent(&report), nginx.requests()), (1000, 1000));
    assert!(nginx.log().iter().all(|line| line.contains("HTTP/2")), "{:?}", nginx.log().first());
    assert_eq!(report["connections"]["opened"], 3);
    assert_eq!(report["requests"]["http"]["protocol"], "HTTP/2");
    // As nginx saw it, the load is spread over the connections.
    let connection = |line: &String| line.split(' ').rev().nth(1).map(str::to_owned);
    let connections: BTreeSet<_> = nginx.log().iter().map(connection).collect();
    assert_eq!(connections.len(), 3, "{connections:?}");
}

/// nginx ends a connection by GOAWAY after so many requests: what it did not take up goes elsewhere, none is lost.
#[test]
fn going_away_costs_no_request() {
    let _alone = alone();
    let options = NginxOptions { keepalive_requests: Some(20), ..NginxOptions::default() };
    let Some(nginx) = Nginx::start(&options) else { return };
    let url = format!("http://{}/", nginx.h2c);
    let report = run(&["--url", &url, "--http", "2", "--rate", "1000/s", "--duration", "2s"]).expect_code(0).report();
    assert_all_well(&report);
    assert_eq!((sent(&report), nginx.requests()), (2000, 2000));
    let goaways = report["connections"]["goaways"].as_u64().unwrap();
    let opened = report["connections"]["opened"].as_u64().unwrap();
    assert!(goaways >= 90 && opened >= goaways, "{goaways} of {opened} connections of at most 20 requests");
}

#[test]
fn a_server_that_allows_few_streams_gets_no_more() {
    let _alone = alone();
    let Some(server) = Nghttpd::start(5) else { return };
    let url = format!("http://{}/large", server.address);
    let load = ["--http", "2", "--closed-loop", "--connections", "2", "--streams", "50", "--requests", "200"];
    let report = run(&[&["--url", &url][..], &load].concat()).expect_code(0).report();
    assert_all_well(&report);
    assert_eq!(report["connections"]["opened"], 2);
    // Bodies of 1 MiB over windows of 4 MiB: flow control gave way each time.
    let received = report["total"]["bytes_received"].as_u64().unwrap();
    assert!((200 << 20..220 << 20).contains(&received), "{received}");
}

#[test]
fn large_bodies_are_sent_as_the_windows_allow() {
    let _alone = alone();
    let Some(server) = Nghttpd::start(10) else { return };
    let dir = scratch("upload");
    std::fs::write(dir.join("body.bin"), vec![7; 3 << 20]).unwrap();
    let requests =
        format!("    - http: {{url: 'http://{}/echo', version: '2', body: {{file: body.bin}}}}", server.address);
    let test = write_test(&dir, "upload", &requests, "closedLoop: true, connections: 2, streams: 2, requests: 20");
    let report = run(&[&test]).expect_code(0).report();
    assert_all_well(&report);
    assert!(report["total"]["bytes_sent"].as_u64().unwrap() >= 20 * (3 << 20));
}

#[test]
fn tls_is_negotiated_verified_and_timed_apart() {
    let _alone = alone();
    let dir = scratch("tls");
    let certificates = Certificates::make(&dir);
    let options = NginxOptions { certificates: Some(certificates), ..NginxOptions::default() };
    let Some(nginx) = Nginx::start(&options) else { return };
    let url = format!("https://{}/", nginx.tls.unwrap());
    let ca = dir.join("ca.pem").display().to_string();
    let load = ["--rate", "200/s", "--duration", "1s", "--connections", "4"];
    for (version, expected) in [("auto", "HTTP/2"), ("2", "HTTP/2"), ("1.1", "HTTP/1.1")] {
        let before = nginx.log().len();
        let own = ["--url", &url, "--ca", &ca, "--http", version];
        let report = run(&[&own[..], &load].concat()).expect_code(0).report();
        assert_all_well(&report);
        assert!(nginx.log()[before..].iter().all(|line| line.contains(expected)), "{version}");
        let handshakes = &report["connections"]["handshake_time"];
        assert_eq!(handshakes["count"], report["connections"]["opened"], "{version}");
        assert!(handshakes["p50"].as_f64().unwrap() > 0.0);
        assert_eq!(report["notes"].as_array().unwrap().len(), 0);
    }
    // Nobody vouches for it: no request is sent, and the message says what to do.
    run(&[&["--url", &url][..], &load].concat()).expect_code(4).expect_words(&["certificate", "tls.ca"]);
    // Unless that is wanted; then the report repeats it.
    let report = run(&[&["--url", &url, "--insecure-skip-verify"][..], &load].concat()).expect_code(0).report();
    assert!(report["notes"][0].as_str().unwrap().contains("not verified"));
    // The socket goes elsewhere, the name stays the URL's: as to an ingress from outside.
    let elsewhere = nginx.tls.unwrap().to_string();
    let own = ["--url", "https://localhost/", "--connect-to", &elsewhere, "--ca", &ca];
    assert_all_well(&run(&[&own[..], &load].concat()).expect_code(0).report());
    let own = ["--url", "https://shop.example/", "--connect-to", &elsewhere, "--ca", &ca];
    run(&[&own[..], &load].concat()).expect_code(4).expect_words(&["shop.example", "localhost", "tls.serverName"]);
}

#[test]
fn client_certificates_are_shown() {
    let _alone = alone();
    let dir = scratch("mtls");
    let certificates = Certificates::make(&dir).with_client_ca(dir.join("ca.pem"));
    let options = NginxOptions { certificates: Some(certificates), ..NginxOptions::default() };
    let Some(nginx) = Nginx::start(&options) else { return };
    let url = format!("https://{}/", nginx.tls.unwrap());
    let path = |name: &str| dir.join(name).display().to_string();
    let (ca, cert, key) = (path("ca.pem"), path("worker.pem"), path("worker.key"));
    let load = ["--rate", "100/s", "--duration", "1s"];
    let shown = ["--url", &url, "--ca", &ca, "--cert", &cert, "--key", &key];
    assert_all_well(&run(&[&shown[..], &load].concat()).expect_code(0).report());
    let report = run(&[&["--url", &url, "--ca", &ca][..], &load].concat()).report();
    assert_eq!(report["total"]["statuses"]["400"], 100);
}

#[test]
fn a_target_that_does_not_speak_what_is_asked_says_so_before_the_load() {
    let _alone = alone();
    let Some(nginx) = Nginx::start(&NginxOptions::default()) else { return };
    let load = ["--rate", "50/s", "--duration", "1s"];
    let h1 = format!("http://{}/", nginx.http1);
    run(&[&["--url", &h1, "--http", "2"][..], &load].concat()).expect_code(4).expect_words(&["http.version", "1.1"]);
    let plain = format!("https://{}/", nginx.http1);
    run(&[&["--url", &plain][..], &load].concat()).expect_code(4).expect_words(&["does not speak TLS"]);
    assert_eq!(nginx.log().iter().filter(|line| line.contains(" 200 ")).count(), 0);
}

#[test]
fn connections_are_bounded_as_the_test_says() {
    let _alone = alone();
    let Some(nginx) = Nginx::start(&NginxOptions::default()) else { return };
    let dir = scratch("bounded");
    for (number, (port, version, load, connections)) in [
        (nginx.http1, "1.1", "keepAlive: false", 200..=200),
        (nginx.h2c, "2", "keepAlive: false", 200..=200),
        (nginx.http1, "1.1", "requestsPerConnection: 10, connections: 2", 20..=22),
        (nginx.h2c, "2", "requestsPerConnection: 10, connections: 2", 20..=22),
        (nginx.http1, "1.1", "connectionAge: 100ms, connections: 1", 5..=25),
    ]
    .into_iter()
    .enumerate()
    {
        let before = nginx.connections();
        let requests = format!("    - http: {{url: 'http://{port}/', version: '{version}'}}");
        let test = write_test(&dir, &format!("t{number}"), &requests, &format!("rate: 100/s, duration: 2s, {load}"));
        let report = run(&[&test]).expect_code(0).report();
        assert_all_well(&report);
        // One more is opened before the load, to see whether the target is there.
        let opened = nginx.connections() - before - 1;
        assert!(connections.contains(&opened), "{load} over HTTP/{version}: {opened} connections");
        assert_eq!(report["connections"]["opened"], opened, "{load}");
    }
}

fn grpc_test(dir: &Path, address: std::net::SocketAddr, schema: &str) -> String {
    let call = |name: &str, method: &str, data: &str, more: &str| {
        format!(
            "    - {{name: {name}, grpc: {{target: '{address}', call: routeguide.RouteGuide/{method}, data: {data}{schema}{more}}}}}\n"
        )
    };
    let requests = [
        call("unary", "GetFeature", "{latitude: '{{=request}}', longitude: -5}", ""),
        call("server", "ListFeatures", "{count: 7}", ""),
        call("client", "RecordRoute", "[{latitude: 1}, {latitude: 2}, {latitude: 3}]", ", messageInterval: 3ms"),
        call("bidi", "RouteChat", "[{message: a}, {message: 'b {{uuid}}'}]", ""),
        call("fails", "Fail", "{code: NOT_FOUND}", ""),
        call("late", "Slow", "{ms: 2000}", ", deadline: 100ms"),
    ];
    write_test(dir, "calls", &requests.concat(), "rate: 120/s, duration: 2s")
}

/// All four kinds, by three ways to the schema, over two workers: calls and messages are those that the server counted.
#[test]
fn grpc_calls_and_messages_are_those_that_the_server_counted() {
    let _alone = alone();
    let dir = scratch("grpc");
    let protos = targets().display().to_string();
    let proto = format!(", proto: '{protos}/route_guide.proto', importPaths: ['{protos}']");
    for (reflection, schema) in [("v1", ""), ("v1alpha", ""), ("none", proto.as_str())] {
        let options = RouteGuideOptions { reflection, ..RouteGuideOptions::default() };
        let Some(server) = RouteGuide::start(&options) else { return };
        let test = grpc_test(&dir, server.address, schema);
        let report = run(&[&test, "--workers", "2"]).report();
        let counted = server.stop();
        assert_eq!(report["load"]["coverage"], 1.0, "{reflection}");
        for (name, method, sent, received) in [
            ("unary", "GetFeature", 40, 40),
            ("server", "ListFeatures", 40, 280),
            ("client", "RecordRoute", 120, 40),
            ("bidi", "RouteChat", 80, 120),
        ] {
            let request = &report["requests"][name];
            let figures =
                ["count", "errors", "messages_sent", "messages_received"].map(|field| request[field].as_u64());
            assert_eq!(figures, [Some(40), Some(0), Some(sent), Some(received)], "{reflection} {name}");
            let theirs = ["calls", "received", "sent"].map(|field| counted[field][method].as_u64());
            assert_eq!(theirs, [Some(40), Some(sent), Some(received)], "{reflection} {name}");
            assert_eq!(request["grpc_codes"]["OK"], 40);
        }
        assert_eq!(report["requests"]["fails"]["grpc_codes"]["NOT_FOUND"], 40);
        assert_eq!(report["requests"]["late"]["grpc_codes"]["DEADLINE_EXCEEDED"], 40);
        assert_eq!(report["total"]["error_kinds"]["grpc-status"], 80);
        // Three messages 3 ms apart take 6 ms; of seven answers six have one before them.
        assert!(report["requests"]["client"]["latency"]["p50"].as_f64().unwrap() >= 0.006);
        assert_eq!(report["requests"]["server"]["message_gap"]["count"], 240);
        assert_eq!(report["requests"]["server"]["time_to_first_message"]["count"], 40);
    }
}

#[test]
fn grpc_over_tls() {
    let _alone = alone();
    let dir = scratch("grpc-tls");
    let certificates = Certificates::make(&dir);
    let options = RouteGuideOptions { certificates: Some(certificates), ..RouteGuideOptions::default() };
    let Some(server) = RouteGuide::start(&options) else { return };
    let target = server.address;
    let requests = format!(
        "    - grpc: {{target: '{target}', call: helloworld.Greeter.SayHello, data: {{name: x}}, tls: {{ca: ca.pem}}}}"
    );
    let test = write_test(&dir, "secure", &requests, "rate: 50/s, duration: 1s");
    let report = run(&[&test, "--slo", "grpc/latency/mean <= 1000"]).expect_code(0).report();
    assert_all_well(&report);
    assert_eq!(report["requests"]["grpc"]["protocol"], "gRPC unary over TLS");
    assert_eq!(server.stop()["calls"]["SayHello"], 50);
}

#[test]
fn what_is_wrong_with_a_call_is_said_before_the_load() {
    let _alone = alone();
    let dir = scratch("grpc-wrong");
    let options = RouteGuideOptions { reflection: "none", ..RouteGuideOptions::default() };
    let Some(server) = RouteGuide::start(&options) else { return };
    let protos = targets().display().to_string();
    let guide = format!("proto: '{protos}/route_guide.proto'");
    std::fs::write(dir.join("broken.proto"), "syntax = \"proto3\";\nmessage A {\n  strin x = 1;\n}\n").unwrap();
    for (call, code, words) in [
        ("call: routeguide.RouteGuide/GetFeature".to_owned(), 4, &["reflection", "proto"][..]),
        ("call: routeguide.RouteGuide/GetFeature, proto: broken.proto".to_owned(), 2, &["broken.proto:3:"]),
        ("call: routeguide.RouteGuide/GetFeature, proto: none.proto".to_owned(), 2, &["none.proto"]),
        (format!("call: routeguide.Guide/GetFeature, {guide}"), 2, &["routeguide.RouteGuide"]),
        (format!("call: routeguide.RouteGuide/GetFeatures, {guide}"), 2, &["GetFeature"]),
        (format!("call: routeguide.RouteGuide/GetFeature, {guide}, data: {{latitude: north}}"), 2, &["latitude"]),
        (format!("call: routeguide.RouteGuide/GetFeature, {guide}, data: {{lat: 1}}"), 2, &["lat", "latitude"]),
        (
            format!("call: routeguide.RouteGuide/GetFeature, {guide}, messageInterval: 1s"),
            2,
            &["messageInterval", "unary"],
        ),
    ] {
        let requests = format!("    - grpc: {{target: '{}', {call}}}", server.address);
        let test = write_test(&dir, "wrong", &requests, "rate: 50/s, duration: 1s");
        let done = run(&[&test]).expect_code(code).expect_words(words);
        assert!(done.stderr.contains("wrong.yaml:6:") || code == 4, "{call}: {}", done.stderr);
    }
    assert_eq!(server.stop()["calls"], serde_json::json!({}));
}
