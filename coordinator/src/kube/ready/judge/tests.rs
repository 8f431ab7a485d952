use serde_json::json;

use super::*;

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("an object")
}

fn seen(value: Value) -> Seen {
    Seen { object: Some(object(value)), parts: Vec::new() }
}

fn name() -> String {
    "x".to_owned()
}

fn ksvc(status: Value) -> Judgement {
    let value = json!({"metadata": {"name": "x", "generation": 3}, "status": status});
    judge(&Condition::Ksvc { name: name() }, "ksvc ns/x", &seen(value), false)
}

fn why(judgement: Judgement) -> String {
    match judgement {
        Judgement::Not { why, .. } => why,
        Judgement::Ready { .. } => "ready".to_owned(),
    }
}

#[test]
fn knative_services_are_ready_in_their_present_generation() {
    let ready = json!([{"type": "Ready", "status": "True"}]);
    let url = json!({"url": "http://x.example.com", "address": {"url": "http://x.ns.svc.cluster.local"},
        "observedGeneration": 3, "conditions": ready});
    assert_eq!(ksvc(url), Judgement::Ready { url: Some("http://x.example.com".to_owned()) });
    let old = why(ksvc(json!({"observedGeneration": 2, "conditions": ready})));
    assert_eq!(old, "its status is about generation 2, and it is at 3: its controller has not come to it yet");
    assert_eq!(why(ksvc(json!({}))), "it has no status yet; is its controller running?");
    assert_eq!(why(ksvc(json!({"observedGeneration": 3}))), "it has no conditions yet");
}

#[test]
fn reasons_are_told_with_the_other_conditions() {
    let judged = ksvc(json!({"observedGeneration": 3, "conditions": [
        {"type": "ConfigurationsReady", "status": "False", "reason": "RevisionFailed", "message": "no such image"},
        {"type": "Ready", "status": "False", "reason": "RevisionFailed", "message": "Revision failed:\n no such image"},
        {"type": "RoutesReady", "status": "Unknown"}]}));
    let rest = "ConfigurationsReady=False RevisionFailed: no such image, RoutesReady=Unknown".to_owned();
    let why = "Ready=False RevisionFailed: Revision failed: no such image".to_owned();
    assert_eq!(judged, Judgement::Not { why, rest: Some(rest) });
}

#[test]
fn pods_use_the_address_within_the_cluster() {
    let value = json!({"metadata": {"name": "x"}, "status": {"url": "http://x.example.com", "observedGeneration": 0,
        "address": {"url": "http://x.ns.svc.cluster.local"}, "conditions": [{"type": "Ready", "status": "True"}]}});
    let url = |inside| judge(&Condition::Isvc { name: name() }, "isvc ns/x", &seen(value.clone()), inside);
    assert_eq!(url(true), Judgement::Ready { url: Some("http://x.ns.svc.cluster.local".to_owned()) });
    assert_eq!(url(false), Judgement::Ready { url: Some("http://x.example.com".to_owned()) });
}

#[test]
fn what_is_not_there_or_on_its_way_out_is_not_ready() {
    let condition = Condition::Deploy { name: name() };
    assert_eq!(why(judge(&condition, "deploy ns/x", &Seen::default(), false)), "there is no deploy ns/x");
    let ending = json!({"metadata": {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(why(judge(&condition, "deploy ns/x", &seen(ending), false)), "it is being deleted");
}

#[test]
fn deployments_are_ready_when_all_replicas_are_new_and_available() {
    let judged = |replicas: i64, status: Value| {
        let value =
            json!({"metadata": {"name": "x", "generation": 2}, "spec": {"replicas": replicas}, "status": status});
        why(judge(&Condition::Deploy { name: name() }, "deploy ns/x", &seen(value), false))
    };
    let available = json!([{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}]);
    let status = |observed, all, updated, available_replicas| {
        json!({"observedGeneration": observed, "replicas": all, "updatedReplicas": updated,
            "availableReplicas": available_replicas, "conditions": available})
    };
    assert_eq!(judged(2, status(2, 2, 2, 2)), "ready");
    assert!(judged(2, status(1, 2, 2, 2)).contains("about generation 1"));
    assert_eq!(judged(2, status(2, 2, 1, 2)), "1 of 2 replicas are of its present generation");
    assert_eq!(judged(2, status(2, 3, 2, 2)), "1 replicas of an older generation are still there");
    assert_eq!(judged(2, status(2, 2, 2, 1)), "1 of 2 replicas are available");
    assert_eq!(judged(0, status(2, 0, 0, 0)), "it is scaled to 0 replicas");
    assert!(judged(2, json!({})).contains("is its controller running?"));
    let unavailable = json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1,
        "conditions": [{"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"}]});
    assert_eq!(judged(1, unavailable), "Available=False MinimumReplicasUnavailable");
}

#[test]
fn services_are_ready_with_an_endpoint_that_is() {
    let judged = |spec: Value, slices: Value| {
        let mut seen = seen(json!({"metadata": {"name": "x"}, "spec": spec}));
        let slices = slices.as_array().expect("slices");
        seen.parts =
            slices.iter().map(|ends| object(json!({"metadata": {"name": "x-1"}, "endpoints": ends}))).collect();
        why(judge(&Condition::Service { name: name() }, "service ns/x", &seen, false))
    };
    let selects = json!({"selector": {"app": "x"}, "clusterIP": "None"});
    let (ready, unready) = (json!({"conditions": {"ready": true}}), json!({"conditions": {"ready": false}}));
    assert_eq!(judged(selects.clone(), json!([[unready, ready]])), "ready");
    assert_eq!(judged(selects.clone(), json!([[unready], [{"addresses": ["10.0.0.1"]}]])), "ready");
    assert_eq!(judged(selects.clone(), json!([[unready]])), "its one endpoint is not ready");
    assert_eq!(judged(selects.clone(), json!([[unready], [unready]])), "none of its 2 endpoints is ready");
    assert_eq!(judged(selects.clone(), json!([null])), "it has no endpoints: its selector finds no pods that run");
    assert_eq!(judged(json!({}), json!([])), "it has no endpoints, and no selector to find any by");
    assert_eq!(judged(json!({"type": "ExternalName", "externalName": "example.com"}), json!([])), "ready");
}

#[test]
fn objects_of_any_kind_have_the_condition_that_is_asked_for() {
    let judged = |status: Value| {
        let api_version = "batch/v1".to_owned();
        let (kind, condition) = ("Job".to_owned(), "Complete".to_owned());
        let condition = Condition::Object { api_version, kind, name: name(), condition };
        let value = json!({"metadata": {"name": "x", "generation": 2}, "status": status});
        why(judge(&condition, "Job ns/x", &seen(value), false))
    };
    assert_eq!(judged(json!({"conditions": [{"type": "Complete", "status": "True"}]})), "ready");
    assert_eq!(judged(json!({"conditions": [{"type": "Failed", "status": "True"}]})), "it has no condition Complete");
    let old = json!({"conditions": [{"type": "Complete", "status": "True", "observedGeneration": 1}]});
    assert_eq!(judged(old), "its condition Complete is about generation 1, and it is at 2");
    let behind = json!({"observedGeneration": 1, "conditions": [{"type": "Complete", "status": "True"}]});
    assert!(judged(behind).contains("about generation 1"));
}
