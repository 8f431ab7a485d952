use serde_json::{Value, json};

use super::super::Iter8Error;
use super::super::load::{Length, LoadPlan, MetadataSource, Protocol, read};
use super::KEYS;

fn task(with: Value) -> Result<LoadPlan, Iter8Error> {
    read(Protocol::Grpc, "grpc", with, &[97.5]).map(|mut task| task.loads.remove(0))
}

/// A task with a host and a call besides.
fn with(more: Value) -> Result<LoadPlan, Iter8Error> {
    let mut all = json!({"host": "hello:80", "call": "helloworld.Greeter.SayHello"});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    task(all)
}

fn load(more: Value) -> Value {
    with(more).unwrap().document["spec"]["load"].clone()
}

fn request(more: Value) -> Value {
    with(more).unwrap().document["spec"]["requests"][0]["grpc"].clone()
}

#[test]
fn defaults_are_ghzs() {
    let expected = json!({"closedLoop": true, "requests": 200, "connections": 1, "streams": 50, "timeout": "20s"});
    assert_eq!(load(json!({})), expected);
    let expected = json!({"target": "hello:80", "call": "helloworld.Greeter.SayHello", "deadline": "20s"});
    assert_eq!(request(json!({})), expected);
    assert!(with(json!({})).unwrap().percentiles.contains(&97.5));
}

#[test]
fn a_rate_makes_an_open_loop_and_duration_wins_over_total() {
    let expected = json!({"arrivals": "uniform", "rate": "20/s", "requests": 100, "connections": 4, "streams": 3,
        "maxWait": "1h", "timeout": "20s"});
    assert_eq!(load(json!({"rps": 20, "total": 100, "concurrency": 10, "connections": 4})), expected);
    let plan = with(json!({"rps": "20", "total": 100, "duration": "5s", "duration-stop": "close"})).unwrap();
    assert_eq!(plan.length, Length::Duration(5_000_000_000));
    assert!(plan.warnings[0].contains("grpc.duration-stop: calls in flight"));
    assert_eq!(with(json!({"duration": "5s", "max-duration": "7s"})).unwrap().length, Length::Duration(7_000_000_000));
    assert!(load(json!({"rps": 20, "async": true})).get("streams").is_none());
}

#[test]
fn messages_and_metadata_are_translated() {
    let expected = json!({
        "target": "hello:80", "call": "helloworld.Greeter.SayHello", "proto": "https://x/hello.proto",
        "importPaths": ["a"],
        "data": [{"name": "n{{request}}", "n": 1}], "metadata": {"id": "{{uuid}}", "n": "5"}, "deadline": "500ms",
        "authority": "a", "messageInterval": "10ms",
    });
    let given = json!({
        "protoURL": "https://x/hello.proto", "import-paths": ["a"], "data": [{"name": "n{{.RequestNumber}}", "n": 1}],
        "metadata": {"id": "{{newUUID}}", "n": 5}, "timeout": "0.5s", "authority": "a", "stream-interval": "10ms",
    });
    assert_eq!(request(given), expected);
    let plain =
        request(json!({"data": {"a": "{{.X}}"}, "disable-template-functions": true, "disable-template-data": true}));
    assert_eq!(plain["data"], json!({"a": "{{{{.X}}"}));
    assert_eq!(request(json!({"dataURL": "https://x/d.json"}))["dataUrl"], "https://x/d.json");
    assert_eq!(request(json!({"data-file": "d.json"}))["dataFile"], "d.json");
}

#[test]
fn metadata_may_come_later() {
    let mut plan = with(json!({"metadataURL": "https://x/m.json"})).unwrap();
    assert_eq!(plan.metadata, Some(MetadataSource::Url("https://x/m.json".into())));
    assert!(plan.set_metadata("[1]").is_err());
    assert!(plan.set_metadata("{").is_err());
    plan.set_metadata("{\"a\": \"{{.UUID}}\"}").unwrap();
    assert_eq!(plan.document["spec"]["requests"][0]["grpc"]["metadata"], json!({"a": "{{uuid}}"}));
    assert_eq!(plan.metadata, None);
}

#[test]
fn tls_is_asked_for() {
    for (keys, tls) in [
        (json!({"cacert": "ca.pem", "cname": "hello"}), json!({"ca": "ca.pem", "serverName": "hello"})),
        (
            json!({"cert": "c", "key": "k", "skipTLS": true}),
            json!({"cert": "c", "key": "k", "insecureSkipVerify": true}),
        ),
        (json!({"insecure": false}), json!({})),
        (json!({"insecure": true, "cacert": "ca.pem"}), Value::Null),
        (json!({"skipTLS": false, "cacert": ""}), Value::Null),
    ] {
        assert_eq!(request(keys.clone()).get("tls").cloned().unwrap_or(Value::Null), tls, "{keys}");
    }
    assert!(with(json!({"cert": "c"})).unwrap_err().to_string().contains("give cert and key"));
}

#[test]
fn schedules_become_stages() {
    let step = load(json!({"load-schedule": "step", "load-start": 50, "load-end": 100, "load-step": 50,
        "load-step-duration": "5s", "duration": "12s"}));
    assert_eq!(step["stages"], json!([{"rate": "50/s", "duration": "5s"}, {"rate": "100/s", "duration": "7s"}]));
    let line =
        load(json!({"load-schedule": "line", "load-start": 5, "load-step": 5, "load-end": 25, "duration": "4s"}));
    assert_eq!(line["stages"], json!([{"rate": "5/s", "to": "25/s", "duration": "4s"}]));
    assert!(with(json!({"load-start": 5})).unwrap_err().to_string().contains("load-schedule=step"));
    assert!(with(json!({"load-schedule": "line"})).unwrap_err().to_string().starts_with("grpc.load-step: "));
    assert!(
        with(json!({"load-schedule": "step", "load-step": 1})).unwrap_err().to_string().contains("load-step-duration")
    );
}

#[test]
fn skipped_calls_are_a_warm_up() {
    let skipping = load(json!({"rps": 10, "total": 100, "skipFirst": 20}));
    assert_eq!((&skipping["warmup"], &skipping["requests"]), (&json!("2s"), &json!(80)));
    assert!(with(json!({"skipFirst": 20})).unwrap_err().to_string().contains("give rps"));
    assert!(with(json!({"rps": 10, "total": 20, "skipFirst": 20})).is_err());
}

#[test]
fn what_a_load_test_has_nothing_for_is_refused_and_empty_keys_are_not() {
    for (key, value) in [
        ("binary-file", json!("x")),
        ("stream-call-count", json!(3)),
        ("enable-compression", json!(true)),
        ("concurrency-schedule", json!("step")),
        ("lb-strategy", json!("round_robin")),
        ("format", json!("csv")),
        ("connections", json!(51)),
        ("async", json!(true)),
        ("rps", json!(-1)),
        ("data", json!("text")),
        ("data", json!({"a": "{{.Nope}}"})),
    ] {
        let error = with(json!({key: value})).unwrap_err();
        assert_eq!(error.place, format!("grpc.{key}"), "{error}");
    }
    // As Iter8 writes a config back.
    let zeros: serde_json::Map<String, Value> = KEYS
        .iter()
        .filter(|key| !["host", "call", "data", "insecure"].contains(key))
        .map(|key| ((*key).to_owned(), json!("")))
        .collect();
    let zeros: serde_json::Map<String, Value> = zeros
        .into_iter()
        .map(|(key, value)| {
            let is_flag = ["skipTLS", "async", "count-errors"].contains(&key.as_str()) || key.starts_with("disable");
            let is_map = ["metadata", "tags"].contains(&key.as_str());
            let is_number =
                ["total", "concurrency", "connections", "rps", "skipFirst", "load-start", "load-end", "load-step"];
            let value = if is_flag {
                json!(false)
            } else if is_map {
                json!({})
            } else {
                value
            };
            let value = if is_number.contains(&key.as_str()) { json!(0) } else { value };
            (key, value)
        })
        .collect();
    assert_eq!(load(Value::Object(zeros)), load(json!({})));
}

#[test]
fn endpoints_take_what_they_leave_out_from_the_task() {
    let task = read(
        Protocol::Grpc,
        "grpc",
        json!({"host": "h:1", "total": 10, "duration": "9s", "endpoints": {
            "b": {"call": "p.S.B", "total": 5, "rps": 0}, "a": {"call": "p.S.A"}}}),
        &[],
    );
    let task = task.unwrap();
    let found: Vec<_> = task.loads.iter().map(|plan| (plan.prefix.as_str(), plan.length)).collect();
    assert_eq!(found, [("grpc-a", Length::Duration(9_000_000_000)), ("grpc-b", Length::Requests(5))]);
    assert!(task.loads.iter().all(|plan| plan.document["spec"]["requests"][0]["grpc"]["target"] == "h:1"));
}
