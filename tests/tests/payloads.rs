//! Feeds, templates, checks, mixes and steps, as the target saw them.

use std::collections::BTreeMap;

use loadgrid_tests::peers::{Nginx, NginxOptions};
use loadgrid_tests::program::{Demo, Done, loadgrid};
use loadgrid_tests::{alone, scratch};
use serde_json::Value;

fn run(args: &[&str]) -> Done {
    loadgrid(&["run", "-q", "-o", "json"].iter().chain(args).copied().collect::<Vec<_>>())
}

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Folder(scratch(name))
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// A test's file of these lines under spec.
    fn test(&self, spec: &str) -> String {
        let head = "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {name: t}\nspec:\n";
        self.write("test.yaml", &format!("{head}{spec}"))
    }
}

/// The path of each request in nginx's log.
fn paths(nginx: &Nginx) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in nginx.log() {
        let path = line.split(' ').find(|word| word.starts_with('/')).unwrap_or_else(|| panic!("no path in {line}"));
        *counts.entry(path.to_owned()).or_default() += 1;
    }
    counts
}

/// Weights are exact over the whole run, however many workers deal it out among them.
#[test]
fn weighted_mixes_are_exact_for_any_number_of_workers() {
    let _alone = alone();
    let Some(nginx) = Nginx::start(&NginxOptions::default()) else { return };
    let folder = Folder::new("mix");
    let request = |name: &str, weight: u32| {
        format!("    - {{name: {name}, weight: {weight}, http: {{url: 'http://{}/?{name}'}}}}\n", nginx.http1)
    };
    let requests = [request("a", 5), request("b", 2), request("c", 1)].concat();
    let test = folder.test(&format!("  requests:\n{requests}  load: {{rate: 400/s, duration: 2s}}\n"));
    let mut before = BTreeMap::new();
    for workers in ["1", "2", "3", "7", "64"] {
        let report = run(&[&test, "--workers", workers, "--lanes", "1"]).report();
        let counts = ["a", "b", "c"].map(|name| report["requests"][name]["count"].as_u64().unwrap());
        assert_eq!(counts, [500, 200, 100], "{workers} workers");
        let now = paths(&nginx);
        for (path, count) in [("/?a", 500), ("/?b", 200), ("/?c", 100)] {
            let key = path.to_owned();
            assert_eq!(now[&key] - before.get(&key).copied().unwrap_or(0), count, "{workers} workers, {path}");
        }
        before = now;
    }
    // Whatever the warm-up took, and where nobody plans when.
    let load = "closedLoop: true, requests: 800, warmup: 300ms, connections: 6";
    let test = folder.test(&format!("  requests:\n{requests}  load: {{{load}}}\n"));
    for workers in ["1", "3"] {
        let report = run(&[&test, "--workers", workers, "--lanes", "2"]).report();
        let counts = ["a", "b", "c"].map(|name| report["requests"][name]["count"].as_u64().unwrap());
        assert_eq!(counts, [500, 200, 100], "closed loop, {workers} workers");
    }
}

#[test]
fn each_row_of_a_feed_goes_out_once_over_all_workers() {
    let _alone = alone();
    let Some(nginx) = Nginx::start(&NginxOptions::default()) else { return };
    let folder = Folder::new("once");
    let rows: String = (0..400).map(|row| format!("r{row}\n")).collect();
    folder.write("rows.csv", &format!("id\n{rows}"));
    let spec = |order: &str, load: &str| {
        format!(
            "  feeds: {{rows: {{csv: rows.csv, order: {order}}}}}\n  requests:\n    - http: {{url: 'http://{}/{{{{rows.id}}}}', errorStatuses: [500-599]}}\n  load: {{{load}}}\n",
            nginx.http1
        )
    };
    for (lap, load) in [
        "rate: 200/s, duration: 2s",
        "rate: 200/s, duration: 1s, warmup: 1s",
        "rate: 200/s, requests: 400, arrivals: poisson",
    ]
    .into_iter()
    .enumerate()
    {
        run(&[&folder.test(&spec("once", load)), "--workers", "3"]).expect_code(0);
        let seen = paths(&nginx);
        assert_eq!(seen.len(), 400, "{load}");
        assert!(seen.values().all(|count| *count == lap as u64 + 1), "{load}");
    }
    // One row too few, or nobody knows how many are needed.
    for (load, words) in [
        ("rate: 201/s, duration: 2s", ["400 rows", "402"]),
        ("rate: 200/s, duration: 1s, arrivals: poisson", ["known number", "requests"]),
        ("closedLoop: true, duration: 1s", ["known number", "requests"]),
    ] {
        run(&[&folder.test(&spec("once", load))]).expect_code(2).expect_words(&words).expect_words(&["test.yaml:5:"]);
    }
    run(&[&folder.test(&spec("random", "rate: 400/s, duration: 1s"))]).expect_code(0);
}

#[test]
fn values_stand_where_the_target_sees_them() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:0ms"]);
    let folder = Folder::new("values");
    folder.write("users.jsonl", "{\"name\": \"a \\\"b\\\"\", \"n\": 7}\n");
    let spec = format!(
        r#"  feeds: {{users: {{jsonl: users.jsonl}}}}
  requests:
    - name: echo
      http:
        url: "{}echo?u={{{{users.name}}}}&r={{{{randomInt 5 5}}}}"
        version: "VERSION"
        headers: {{X-Who: "w{{{{worker}}}}", X-When: "{{{{timestamp}}}}"}}
        body: {{json: {{name: "{{{{users.name}}}}", n: "{{{{=users.n}}}}", id: "{{{{uuid}}}}"}}}}
      checks:
        - {{status: 200}}
        - {{json: /query, equals: "u=a%20%22b%22&r=5"}}
        - {{json: /headers/x-who, equals: w0}}
        - {{json: /headers/content-type, equals: application/json}}
        - {{bodyContains: '\"n\":7'}}
  load: {{rate: 100/s, duration: 1s}}
"#,
        demo.url()
    );
    for version in ["1.1", "2"] {
        let report = run(&[&folder.test(&spec.replace("VERSION", version)), "--lanes", "1"]).expect_code(0).report();
        let echo = &report["requests"]["echo"];
        assert_eq!(
            (&echo["count"], &echo["errors"]),
            (&Value::from(100), &Value::from(0)),
            "{version}: {}",
            echo["checks"]
        );
    }
}

#[test]
fn a_failed_check_is_counted_by_itself() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:0ms"]);
    let folder = Folder::new("checks");
    let spec = format!(
        "  requests:\n    - http: {{url: '{}'}}\n      checks: [{{status: 200}}, {{bodyContains: nowhere}}]\n  load: {{rate: 50/s, duration: 1s}}\n",
        demo.url()
    );
    let report = run(&[&folder.test(&spec)]).expect_code(1).report();
    let request = &report["requests"]["http"];
    assert_eq!(request["error_kinds"], serde_json::json!({"check": 50}));
    assert_eq!(request["statuses"], serde_json::json!({"200": 50}));
    let failed: Vec<_> = request["checks"].as_array().unwrap().iter().map(|check| check["failed"].as_u64()).collect();
    assert_eq!(failed, [Some(0), Some(50)]);
    // A status that is asked for is no error, whatever it is.
    let spec =
        spec.replace("{status: 200}, {bodyContains: nowhere}", "{status: 404}").replace("'}\n", "status/404'}\n");
    let report = run(&[&folder.test(&spec)]).expect_code(0).report();
    assert_eq!(report["requests"]["http"]["statuses"], serde_json::json!({"404": 50}));
}

/// Who logs in and then orders: each order bears the token that its own login gave. A login that fails has no order.
#[test]
fn steps_hand_values_on() {
    let _alone = alone();
    let demo = Demo::start(&["--latency", "fixed:1ms"]);
    let folder = Folder::new("steps");
    // Every fourth user has no name: the service answers 401.
    folder.write("users.csv", "user\nann\nbob\ncid\n\"\"\n");
    let url = demo.url();
    let steps = |token: &str| {
        format!(
            r#"  feeds: {{users: {{csv: users.csv}}}}
  requests:
    - steps:
        - name: login
          http: {{url: "{url}login", body: {{json: {{user: "{{{{users.user}}}}", password: x}}}}}}
          capture: {{token: json /{token}}}
        - name: order
          http: {{url: "{url}orders", method: POST, version: "2", headers: {{Authorization: "Bearer {{{{token}}}}"}}}}
          checks: [{{status: 201}}]
  load: {{rate: 100/s, duration: 2s}}
"#
        )
    };
    for workers in ["1", "3"] {
        let report = run(&[&folder.test(&steps("access_token")), "--workers", workers]).report();
        let figures = |name: &str| ["count", "errors"].map(|field| report["requests"][name][field].as_u64().unwrap());
        assert_eq!((figures("login"), figures("order")), ([200, 50], [150, 0]), "{workers} workers");
        // The plan is of arrivals; what follows them is beside it.
        let load = &report["load"];
        assert_eq!((load["planned"].as_u64(), load["sent"].as_u64()), (Some(200), Some(200)));
        assert_eq!((load["errors"].as_u64(), load["follow_ups"].as_u64()), (Some(50), Some(150)));
        assert_eq!(report["requests"]["order"]["dispatch_lag"]["max"], 0.0);
        // Workers are compared by arrivals: a slow second step makes none of them stand out.
        let outliers = report["audit"].as_array().unwrap().iter().find(|gate| gate["gate"] == "worker-outlier");
        assert!(outliers.is_none_or(|gate| gate["state"] == "ok"), "{outliers:?}");
    }
    // A value that is not there is an error of its own.
    let report = run(&[&folder.test(&steps("no_such_key"))]).report();
    assert_eq!(report["requests"]["login"]["error_kinds"], serde_json::json!({"capture": 150, "status": 50}));
    assert_eq!(report["requests"]["order"]["count"], 0);
}

#[test]
fn what_is_wrong_with_values_is_said_with_its_place() {
    let folder = Folder::new("wrong-values");
    folder.write("users.csv", "name\nann\n");
    folder.write("short.csv", "a,b\n1\n");
    let request = |http: &str| {
        format!(
            "  feeds: {{users: {{csv: users.csv}}}}\n  requests:\n    - http: {{url: 'http://127.0.0.1:1/', {http}}}\n  load: {{rate: 1/s, duration: 1s}}\n"
        )
    };
    for (spec, line, words) in [
        (request("headers: {A: '{{nonsense}}'}"), 7, &["header A", "'nonsense' does not exist", "users.name"][..]),
        (request("headers: {A: '{{users.email}}'}"), 7, &["no column 'email'", "it has name"]),
        (request("body: {text: '{{uuid'}"), 7, &["not closed"]),
        (request("body: {file: none.txt}"), 7, &["none.txt", "can't be read"]),
        (request("").replace("users.csv", "none.csv"), 5, &["none.csv"]),
        (request("").replace("users.csv", "short.csv"), 5, &["short.csv", "2"]),
        (request("tls: {}"), 7, &["https"]),
        (request("version: '3'"), 7, &["1.1, 2 or auto"]),
        (request("").replace("'http://127.0.0.1:1/', ", "'http://{{users.name}}/'"), 7, &["host"]),
        (request("").replace("127.0.0.1:1/', }", "127.0.0.1:1/'}\n      capture: {t: json /t}"), 8, &["steps"]),
        (
            "  requests:\n    - steps:\n      - http: {url: 'http://127.0.0.1:1/{{t}}'}\n      - http: {url: 'http://127.0.0.1:1/'}\n        capture: {t: json /t}\n      - http: {url: 'http://127.0.0.1:1/'}\n  load: {rate: 1/s, duration: 1s}\n".to_owned(),
            7,
            &["'{{t}}'", "step before"],
        ),
    ] {
        let test = folder.test(&spec);
        let done = run(&[&test]).expect_code(2).expect_words(words);
        assert!(done.stderr.contains(&format!("test.yaml:{line}:")), "{spec}\n{}", done.stderr);
    }
}
