use serde_json::{Value, json};

use super::*;
use crate::kube::server::{Answer, Asked, cluster, forbidden, list, status};

const SETS: &str = "/apis/apps/v1/namespaces/default/statefulsets";
const SECRET: &str = "/api/v1/namespaces/default/secrets/grid-loadgrid-operator-tls";

fn set(namespace: &str, release: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": format!("{release}-loadgrid-coordinator"), "namespace": namespace,
            "labels": {"app.kubernetes.io/instance": release}}})
}

fn secret(keys: &[&str]) -> Answer {
    let data: serde_json::Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), json!("UEVN"))).collect();
    Answer::Json(200, json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}))
}

fn answer(asked: &Asked) -> Answer {
    match asked.path.as_str() {
        SETS => list(&[set("default", "grid")]),
        SECRET => secret(&["ca.crt", "tls.crt", "tls.key"]),
        other => panic!("{other}"),
    }
}

async fn refused(wanted: Option<&str>, answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> String {
    find(&cluster(answer), wanted).await.expect_err("no release")
}

#[tokio::test]
async fn the_only_release_is_found_with_its_certificate() {
    let found = find(&cluster(answer), None).await.expect("a release");
    assert_eq!((found.to_string().as_str(), found.server_name.as_str()), ("default/grid", "grid-loadgrid-coordinator"));
    assert_eq!(found.material.key, b"PEM");
    assert!(!format!("{found:?} {:?}", found.material).contains("PEM"));
}

#[tokio::test]
async fn a_release_is_found_by_its_name_and_the_secret_that_it_names() {
    let cluster = cluster(|asked| match asked.path.as_str() {
        "/apis/apps/v1/namespaces/a/statefulsets" => {
            assert!(asked.query.contains("instance%3Dg"), "{}", asked.query);
            let mut set = set("a", "g");
            set["metadata"]["annotations"] = json!({"loadgrid.dev/operator-secret": "mine"});
            list(&[set])
        }
        "/api/v1/namespaces/a/secrets/mine" => secret(&["ca.crt", "tls.crt", "tls.key"]),
        other => panic!("{other}"),
    });
    assert_eq!(find(&cluster, Some("a/g")).await.expect("a release").to_string(), "a/g");
}

#[tokio::test]
async fn several_and_none_are_listed() {
    let several = refused(None, |_| list(&[set("default", "b"), set("default", "a")])).await;
    let expected = "namespace default has several releases of loadgrid; say which: --kube default/a, --kube default/b";
    assert_eq!(several, expected);
    let elsewhere = |asked: &Asked| match asked.path.as_str() {
        SETS => list(&[]),
        _ => list(&[set("load", "grid"), set("perf", "grid")]),
    };
    let expected = "namespace default of https://cluster.test:6443 has no release 'grid' of loadgrid: there are: \
                    load/grid, perf/grid; say which: --kube NAMESPACE/RELEASE";
    assert_eq!(refused(Some("grid"), elsewhere).await, expected);
    let nowhere = |asked: &Asked| match asked.path.as_str() {
        SETS => list(&[]),
        _ => forbidden("list", "statefulsets"),
    };
    assert!(refused(None, nowhere).await.contains("install one with helm install"));
    for wanted in ["/grid", "a b/c", "a/b/c", "a/b,c=d"] {
        assert!(refused(Some(wanted), answer).await.contains("write NAMESPACE/RELEASE"), "{wanted}");
    }
}

#[tokio::test]
async fn missing_rules_are_named_with_the_role_that_has_them() {
    let expected = "jo may not list statefulsets.apps in namespace default: needs a rule with the verbs get, list; the \
                    chart's Role grid-loadgrid-operator has it: name the user in the chart's operator.subjects";
    assert_eq!(refused(Some("grid"), |_| forbidden("list", "statefulsets")).await, expected);
    let hidden = |asked: &Asked| if asked.path == SECRET { forbidden("get", "secrets") } else { answer(asked) };
    let why = refused(None, hidden).await;
    assert!(why.contains("jo may not get secrets in namespace default") && why.contains("operator.subjects"), "{why}");
}

#[tokio::test]
async fn secrets_without_a_certificate_are_told() {
    let absent = |asked: &Asked| if asked.path == SECRET { status(404, "not found") } else { answer(asked) };
    assert!(refused(None, absent).await.contains("there is no Secret default/grid-loadgrid-operator-tls"));
    let partly = |asked: &Asked| if asked.path == SECRET { secret(&["tls.crt", "tls.key"]) } else { answer(asked) };
    assert!(refused(None, partly).await.contains("Secret default/grid-loadgrid-operator-tls has no ca.crt"));
}

fn pod(status: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c-0"}, "status": status})
}

async fn unconnected(pods: Vec<Value>) -> String {
    let cluster = cluster(move |asked| match asked.path.as_str() {
        "/api/v1/namespaces/default/pods" => list(&pods),
        _ => answer(asked),
    });
    let release = find(&cluster, None).await.expect("a release");
    release.connect().await.err().expect("no tunnel")
}

#[tokio::test]
async fn a_pod_that_is_not_ready_says_its_state() {
    assert!(unconnected(Vec::new()).await.contains("release default/grid has no coordinator pod"));
    let told = |status| async { unconnected(vec![pod(status)]).await };
    let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available"}]});
    let expected = "the coordinator of release default/grid is not ready: pod c-0 is Pending: Unschedulable: 0/1 nodes are \
                    available";
    assert_eq!(told(unscheduled).await, expected);
    let crashed = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [
        {"name": "coordinator", "image": "", "imageID": "", "ready": false, "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}}]});
    assert!(told(crashed).await.ends_with("pod c-0 waits for container coordinator: CrashLoopBackOff: back-off 40s"));
    assert!(told(json!({})).await.ends_with("pod c-0 is Unknown"));
}

#[tokio::test]
async fn a_tunnel_that_is_refused_names_the_rule() {
    let cluster = cluster(|asked| match asked.path.as_str() {
        "/api/v1/namespaces/default/pods" => list(&[pod(json!({"conditions": [{"type": "Ready", "status": "True"}]}))]),
        "/api/v1/namespaces/default/pods/c-0/portforward" => forbidden("create", "pods/portforward"),
        _ => answer(asked),
    });
    let why = find(&cluster, None).await.expect("a release").connect().await.err().expect("no tunnel");
    let expected = "no tunnel to pod default/c-0: jo may not create pods/portforward in namespace default: needs a rule \
                    with the verbs get, create; the chart's Role grid-loadgrid-operator has it";
    assert!(why.starts_with(expected), "{why}");
}
