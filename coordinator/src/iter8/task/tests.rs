use serde_json::{Value, json};

use super::*;

fn of(task: &str, with: Value) -> Result<Task, Iter8Error> {
    read("spec[0]", &TaskSpec { task: Some(task.into()), with: Some(with), ..TaskSpec::default() }, &[])
}

#[test]
fn readiness() {
    let Task::Ready(ready) = of("ready", json!({"name": "a", "VERSION": "v1", "resource": "services"})).unwrap() else {
        panic!("no readiness")
    };
    assert_eq!((ready.timeout_ns, ready.group, ready.condition), (READY_TIMEOUT_NS, None, None));
    let error = of("ready", json!({"name": "a", "version": "v1", "resource": "r", "timeout": "soon"})).unwrap_err();
    assert!(error.to_string().starts_with("spec[0].ready.timeout: invalid format for timeout"), "{error}");
    assert!(of("ready", json!({"name": "a"})).is_err());
}

#[test]
fn objectives_in_either_case() {
    let with =
        json!({"slos": {"Upper": [{"metric": "http/latency-mean", "limit": "50.5"}]}, "rewards": {"max": ["a/b"]}});
    let Task::Assess(assess) = of("assess", with).unwrap() else { panic!("no assessment") };
    assert_eq!(assess.slos.upper, [Limit { metric: "http/latency-mean".into(), limit: 50.5 }]);
    assert_eq!(assess.rewards.max, ["a/b"]);
    for (with, place) in [
        (json!({"SLOs": {"upper": {"a/b": 1}}}), "spec[0].assess.SLOs.upper"),
        (json!({"SLOs": {"uper": []}}), "spec[0].assess.SLOs.uper"),
        (json!({"SLOs": {"upper": [{"metric": "ab", "limit": 1}]}}), "spec[0].assess.SLOs.upper[0].metric"),
        (json!({"SLOs": {"upper": [{"metric": "a/b"}]}}), "spec[0].assess.SLOs.upper[0].limit"),
        (json!({"rewards": {"max": ["a"]}}), "spec[0].assess.rewards.max"),
    ] {
        assert_eq!(of("assess", with).unwrap_err().place, place);
    }
}

#[test]
fn maps_of_limits_become_sorted_lists() {
    let given = json!({"http/latency-mean": 50, "http/error-rate": "0.05"});
    let expected = json!([{"metric": "http/error-rate", "limit": 0.05}, {"metric": "http/latency-mean", "limit": 50}]);
    assert_eq!(limits_of_map("x", given).unwrap(), expected);
    let error = limits_of_map("x", json!({"http/latency-p99": {"9": 5}})).unwrap_err().to_string();
    assert!(error.contains("write http/latency-p99\\.9=LIMIT"), "{error}");
    assert!(limits_of_map("x", json!({"http/latency-p99": "fast"})).is_err());
}

#[test]
fn custom_metrics_of_versions() {
    let with =
        json!({"templates": {"b": "u2", "a": "u1"}, "values": {"x": 1, "y": 2}, "versionValues": [{"y": 3}, {}]});
    let Task::CustomMetrics(task) = of("custommetrics", with).unwrap() else { panic!("no metrics") };
    assert_eq!(task.templates, [("a".to_owned(), "u1".to_owned()), ("b".to_owned(), "u2".to_owned())]);
    assert_eq!(json!(task.versions), json!([{"x": 1, "y": 3}, {"x": 1, "y": 2}]));
    assert!(of("custommetrics", json!({})).is_err());
}

#[test]
fn notifications() {
    let notify = |with| match of("notify", with).unwrap() {
        Task::Notify(notify) => notify,
        other => panic!("{other:?}"),
    };
    let plain = notify(json!({"url": "https://x"}));
    assert_eq!((plain.method.as_str(), &plain.payload, plain.soft_failure), ("GET", &Payload::None, true));
    let github = "https://raw.githubusercontent.com/iter8-tools/iter8/v0.14.0/templates/notify/_payload-github.tpl";
    let github = notify(json!({"url": "https://x", "payloadTemplateURL": github, "softFailure": false}));
    assert_eq!((github.method.as_str(), &github.payload, github.soft_failure), ("POST", &Payload::Github, false));
    assert_eq!(notify(json!({"url": "u", "payloadTemplateURL": "t"})).payload, Payload::Template("t".into()));
    assert!(of("notify", json!({"url": "u", "method": "PUT"})).is_err());
}

#[test]
fn unknown_tasks_are_named() {
    let error = of("asess", json!({})).unwrap_err().to_string();
    assert_eq!(error, "spec[0]: unknown task: asess; did you mean assess?");
    assert!(of("abnmetrics", json!({})).unwrap_err().to_string().contains("custommetrics"));
}
