use super::*;

fn test(requests: &str, load: &str, slos: &str) -> String {
    format!(
        "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: t}}\nspec:\n  requests:\n{requests}\n  load:\n{load}\n  slos:\n{slos}\n"
    )
}

const REQUESTS: &str = "    - http: {url: \"http://a/\"}";
const LOAD: &str = "    rate: 5/s\n    duration: 1s";
const SLOS: &str = "    - http/latency-p99 <= 50ms";

fn error(text: &str) -> String {
    load(Some(("t.yaml", text)), Draft::default()).expect_err(text).to_string()
}

/// The error names line and column, and says all of these words.
fn check(text: &str, line: u64, words: &[&str]) {
    let found = error(text);
    assert!(found.starts_with(&format!("t.yaml:{line}:")), "{found}\n{text}");
    words.iter().for_each(|word| assert!(found.contains(word), "'{word}' is missing: {found}"));
}

#[test]
fn the_design_example_is_understood() {
    let text = r#"
apiVersion: loadgrid.dev/v1alpha1
kind: LoadTest
metadata:
  name: hello
spec:
  requests:
    - name: home
      weight: 3
      http: {url: "http://hello.default.svc.cluster.local/", headers: {Accept: text/html}}
    - name: order
      weight: 1
      http: {url: "http://hello.default.svc.cluster.local/orders", method: POST, body: {json: {sku: 7}}}
  load:
    arrivals: poisson
    warmup: 5s
    stages:
      - {rate: 500/s, duration: 30s}
      - {rate: 500/s, to: 5000/s, duration: 60s}
  slos:
    - http/latency-p99 <= 50ms
    - http-order/error-rate <= 0.1%
"#;
    let test = load(Some(("t.yaml", text)), Draft::default()).unwrap();
    assert_eq!(test.name, "hello");
    assert_eq!(test.requests[1].body, br#"{"sku":7}"#);
    assert_eq!(test.requests[1].headers, vec![("Content-Type".to_owned(), "application/json".to_owned())]);
    assert_eq!(test.load.main().count(), 15_000 + 165_000);
    assert_eq!(test.load.warmup().count(), 2500);
    assert_eq!(test.slos.len(), 2);
}

#[test]
fn mistakes_name_their_place_and_mend() {
    check(&test(REQUESTS, "    rate: 5/s\n    duratoin: 1s", SLOS), 9, &["unknown field `duratoin`", "duration"]);
    check(&test(REQUESTS, "    rate: 500\n    duration: 1s", SLOS), 8, &["500/s"]);
    check(&test(REQUESTS, "    rate: 5/s\n    duration: 30", SLOS), 9, &["30s"]);
    check(&test(REQUESTS, "    rate: -5/s\n    duration: 1s", SLOS), 8, &["above zero"]);
    check(&test(REQUESTS, "    rate: 0/s\n    duration: 1s", SLOS), 8, &["above zero"]);
    check(&test(REQUESTS, "    stages: []", SLOS), 8, &["at least one"]);
    check(&test(REQUESTS, "    stages:\n      - {rate: 5/s, to: 9/s}", SLOS), 9, &["duration"]);
    check(&test("    - weight: 0\n      http: {url: \"http://a/\"}", LOAD, SLOS), 6, &["weight 0"]);
    check(&test(REQUESTS, LOAD, "    - http/speed <= 5"), 11, &["speed", "latency-p99"]);
    check(&test(REQUESTS, LOAD, "    - http/latency-p99 < 5ms"), 11, &["<="]);
    check(&test(REQUESTS, LOAD, "    - http-x/latency-p99 <= 5ms"), 11, &["no request 'x'"]);
    let twins = "    - {name: a, http: {url: \"http://a/\"}}\n    - {name: a, http: {url: \"http://b/\"}}";
    check(&test(twins, LOAD, SLOS), 7, &["both named 'a'"]);
    check(&test("    - http: {url: \"http:///x\"}", LOAD, SLOS), 6, &["http://HOST"]);
    check(&test("    - http: {url: \"ftp://a/\"}", LOAD, SLOS), 6, &["ftp", "not supported"]);
    check(&test("    - http: {url: \"hello/\"}", LOAD, SLOS), 6, &["http://hello/"]);
    check(&test("    - http: {url: \"http://a/\", headers: {\"a b\": c}}", LOAD, SLOS), 6, &["header's name"]);
    check(&test(REQUESTS, "    rate: 5/s\n    duration: 1s\n    requests: 5", SLOS), 10, &["not both"]);
    check(&test(REQUESTS, "    rate: 5/s", SLOS), 8, &["how long"]);
    check(&test(REQUESTS, "    closedLoop: true\n    rate: 5/s\n    duration: 1s", SLOS), 9, &["no rate"]);
    check(&test(REQUESTS, &format!("{LOAD}\n    timeout: 1h"), SLOS), 10, &["600s"]);
    check(&test(REQUESTS, &format!("{LOAD}\n    connections: many"), SLOS), 10, &["auto"]);
    check(
        "apiVersion: loadgrid.dev/v2\nkind: LoadTest\nmetadata: {name: t}\nspec: {requests: [], load: {}}",
        1,
        &["v1alpha1"],
    );
    check("a: [", 1, &[]);
}

#[test]
fn a_test_without_file_needs_url_and_load() {
    let without = load(None, Draft::default()).unwrap_err().to_string();
    assert!(without.contains("--url"), "{without}");
    let flags = Draft {
        requests: vec![draft::DraftRequest { url: Some(Sourced::flag("--url", "http://a/")), ..Default::default() }],
        ..Draft::default()
    };
    let without = load(None, flags.clone()).unwrap_err().to_string();
    assert!(without.contains("--rate"), "{without}");
    let bad = Draft { rate: Some(Sourced::flag("--rate", "5")), ..flags };
    assert!(load(None, bad).unwrap_err().to_string().starts_with("--rate: "));
}

#[test]
fn flags_override_the_file() {
    let text = test(
        "    - http: {url: \"http://a/\", headers: {X: \"1\", Y: \"2\"}}",
        "    stages: [{rate: 5/s, duration: 1s}]",
        SLOS,
    );
    let flags = Draft {
        requests: vec![draft::DraftRequest {
            url: Some(Sourced::flag("--url", "http://b:81/q?z")),
            headers: vec![("x".to_owned(), Sourced::flag("--header", "3"))],
            ..Default::default()
        }],
        rate: Some(Sourced::flag("--rate", "100/s")),
        duration: Some(Sourced::flag("--duration", "2s")),
        slos: vec![Sourced::flag("--slo", "http/error-count <= 0")],
        ..Draft::default()
    };
    let test = load(Some(("t.yaml", &text)), flags).unwrap();
    let request = &test.requests[0];
    assert_eq!((request.host.as_str(), request.port, request.target.as_str()), ("b", 81, "/q?z"));
    assert_eq!(request.headers, vec![("Y".to_owned(), "2".to_owned()), ("x".to_owned(), "3".to_owned())]);
    assert_eq!(test.load.main().count(), 200);
    assert_eq!(test.slos.len(), 2);
}

#[test]
fn a_profile_from_flags_replaces_the_file_s_whole() {
    let request = || draft::DraftRequest { url: Some(Sourced::flag("--url", "http://b/")), ..Default::default() };
    let closed = Draft {
        closed_loop: Some(Place::Flag("--closed-loop".to_owned())),
        duration: Some(Sourced::flag("--duration", "2s")),
        requests: vec![request()],
        ..Draft::default()
    };
    let open = Draft { rate: Some(Sourced::flag("--rate", "7/s")), ..closed.clone() };
    let open = Draft { closed_loop: None, ..open };
    for load_text in
        [LOAD, "    closedLoop: true\n    duration: 1s", "    stages: [{rate: 5/s, duration: 1s}]", "    {}"]
    {
        let text = test(REQUESTS, load_text, SLOS);
        let closed = load(Some(("t.yaml", &text)), closed.clone()).unwrap();
        assert_eq!(closed.load.arrivals, loadgrid_worker::schedule::Arrivals::Closed);
        assert_eq!(load(Some(("t.yaml", &text)), open.clone()).unwrap().load.main().count(), 14);
    }
    let without = test(REQUESTS, LOAD, SLOS).replace("  load:\n    rate: 5/s\n    duration: 1s\n", "");
    assert_eq!(load(Some(("t.yaml", &without)), open).unwrap().load.duration_ns(), 2_000_000_000);
}

#[test]
fn a_count_sets_the_length() {
    let text = test(REQUESTS, "    rate: 50/s\n    requests: 101", SLOS);
    let test = load(Some(("t.yaml", &text)), Draft::default()).unwrap();
    assert_eq!(test.load.requests, Some(101));
    assert_eq!(test.load.duration_ns(), 2_020_000_000);
}

const VERSIONS: &str = "  versions:
    current: {url: \"http://a:8080\"}
    candidate: {url: \"http://b:8081/v2\", headers: {x: \"1\"}}
";

#[test]
fn versions_multiply_requests_rates_and_objectives() {
    let requests =
        "    - {name: home, weight: 3, http: {url: \"/\"}}\n    - {name: order, http: {url: \"http://x/o?p=1\"}}";
    let slos = "    - http/latency-p99 <= 50ms\n    - http-home@candidate/error-rate <= 1%";
    let text = test(requests, LOAD, slos) + VERSIONS + "  rewards: {min: [http/latency-mean]}\n";
    let test = load(Some(("t.yaml", &text)), Draft::default()).unwrap();
    let names: Vec<&str> = test.requests.iter().map(|request| request.name.as_str()).collect();
    assert_eq!(names, ["home@current", "order@current", "home@candidate", "order@candidate"]);
    let to: Vec<(&str, u16, &str)> =
        test.requests.iter().map(|request| (request.host.as_str(), request.port, request.target.as_str())).collect();
    assert_eq!(to, [("a", 8080, "/"), ("a", 8080, "/o?p=1"), ("b", 8081, "/v2/"), ("b", 8081, "/v2/o?p=1")]);
    assert_eq!(test.requests[2].headers, vec![("x".to_owned(), "1".to_owned())]);
    assert_eq!(test.versions, ["current", "candidate"]);
    let slos: Vec<&str> = test.slos.iter().map(|slo| slo.text.as_str()).collect();
    assert_eq!(
        slos,
        [
            "http@current/latency-p99 <= 50ms",
            "http@candidate/latency-p99 <= 50ms",
            "http-home@candidate/error-rate <= 1%"
        ]
    );
    // 5/s for 1 s, twice.
    assert_eq!(test.load.main().count(), 10);
    assert!(crate::report::build::profile_text(&test).contains("5/s for 1s"));
}

#[test]
fn a_baseline_goes_first_wherever_it_is_written() {
    let versions = VERSIONS.replace("candidate: {", "candidate: {baseline: true, ");
    let test = load(Some(("t.yaml", &(test(REQUESTS, LOAD, SLOS) + &versions))), Draft::default()).unwrap();
    assert_eq!(test.versions, ["candidate", "current"]);
}

#[test]
fn mistakes_of_versions_name_their_place_and_mend() {
    let whole = |slos: &str, rest: &str| test(REQUESTS, LOAD, slos) + rest;
    let one = "  versions:\n    current: {url: \"http://a\"}\n";
    for (text, words) in [
        (whole(SLOS, one), "name at least two"),
        (
            whole(SLOS, &VERSIONS.replace("candidate: {url: \"http://b:8081/v2\", headers: {x: \"1\"}}", "b: {}")),
            "differs in nothing",
        ),
        (whole(SLOS, "  rewards: {min: [http/latency-p99]}\n"), "spec.versions"),
        (whole("    - http@other/latency-p99 <= 50ms", VERSIONS), "no version 'other'"),
        (whole(SLOS, &(VERSIONS.to_owned() + "  rewards: {max: [http@current/rate]}\n")), "leave it out"),
        (test(REQUESTS, "    closedLoop: true\n    duration: 1s", SLOS) + VERSIONS, "open loop"),
        (whole("    - http@current/latency-p99 <= 50ms", ""), "it has none"),
        (whole(SLOS, &VERSIONS.replace("url:", "baseline: true, url:")), "two baselines"),
    ] {
        let error = error(&text);
        assert!(error.contains(words), "{error}");
        assert!(error.starts_with("t.yaml:"), "{error}");
    }
}
