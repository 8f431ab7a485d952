use serde_json::json;

use super::*;
use crate::kube::server::{Answer, client, forbidden, status};

const SERVICE: &str = "/apis/serving.knative.dev/v1/namespaces/ns/services/hello";
const REVISIONS: &str = "/apis/serving.knative.dev/v1/namespaces/ns/revisions/";

fn service() -> Value {
    json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "hello"}, "status": {
        "url": "http://hello.example.com", "address": {"url": "http://hello.ns.svc.cluster.local"},
        "latestReadyRevisionName": "hello-2", "traffic": [
            {"revisionName": "hello-1", "percent": 90}, {"revisionName": "hello-2", "percent": 10},
            {"revisionName": "hello-0", "tag": "old"}]}})
}

fn revision(status: Value) -> Value {
    json!({"apiVersion": "serving.knative.dev/v1", "kind": "Revision", "metadata": {"name": "r"}, "status": status})
}

fn active(status: &str) -> Value {
    json!({"conditions": [{"type": "Active", "status": status, "reason": "NoTraffic"}]})
}

async fn read(one: Value, two: Value) -> Ksvc {
    let client = client(move |asked| match asked.path.strip_prefix(REVISIONS) {
        Some("hello-1") => Answer::Json(200, revision(one.clone())),
        Some("hello-2") => Answer::Json(200, revision(two.clone())),
        Some(other) => panic!("{other}"),
        None => Answer::Json(200, service()),
    });
    ksvc(&client, "ns", "hello").await.expect("a service")
}

#[tokio::test]
async fn revisions_with_traffic_say_whether_something_runs() {
    let found = read(active("True"), active("True")).await;
    assert_eq!((found.scaled_to_zero, found.ready_revision.as_deref()), (Some(false), Some("hello-2")));
    assert_eq!(found.target(true), Some("http://hello.ns.svc.cluster.local"));
    assert_eq!(found.target(false), Some("http://hello.example.com"));
    assert_eq!(read(active("True"), active("False")).await.scaled_to_zero, Some(true));
    assert_eq!(read(active("True"), json!({"actualReplicas": 0})).await.scaled_to_zero, Some(true));
    assert_eq!(read(active("True"), json!({"actualReplicas": 2})).await.scaled_to_zero, Some(false));
    let unsaid = read(active("True"), active("Unknown")).await;
    assert_eq!(unsaid.scaled_to_zero, None);
    assert_eq!(unsaid.unknown.as_deref(), Some("revision hello-2 does not say whether it is active"));
    assert_eq!(read(active("False"), json!({})).await.scaled_to_zero, Some(true));
}

#[tokio::test]
async fn unreadable_revisions_are_no_error() {
    let client = client(|asked| match asked.path.as_str() {
        SERVICE => Answer::Json(200, service()),
        _ => forbidden("get", "revisions"),
    });
    let found = ksvc(&client, "ns", "hello").await.expect("a service");
    let unknown = found.unknown.expect("why it is not known");
    assert!(unknown.starts_with("jo may not get revisions.serving.knative.dev in namespace ns"), "{unknown}");
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let absent = client(|_| status(404, "services.serving.knative.dev \"hello\" not found"));
    assert_eq!(ksvc(&absent, "ns", "hello").await, Err("there is no ksvc ns/hello".to_owned()));
    let unserved = client(|_| status(404, "404 page not found"));
    let why = ksvc(&unserved, "ns", "hello").await.expect_err("no Knative");
    assert!(why.ends_with("is Knative Serving installed?"), "{why}");
}
