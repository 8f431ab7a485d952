//! Readiness against a real API server.

use std::cell::RefCell;
use std::time::Duration;

use crate::common::Place;
use loadgrid::kube::client::Cluster;
use loadgrid::kube::ksvc::ksvc;
use loadgrid::kube::ready::{Condition, Found, Met, Ready, wait};
use serde_json::{Value, json};

const LONG_NS: u64 = 60_000_000_000;
const SHORT_NS: u64 = 300_000_000;

fn ready(condition: Condition, timeout_ns: u64) -> Ready {
    Ready { condition, namespace: None, timeout_ns }
}

fn named(name: &str) -> Condition {
    Condition::Ksvc { name: name.to_owned() }
}

fn hello(name: &str) -> Value {
    json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": name}, "spec": {"template": {}}})
}

fn conditions(status: &str) -> Value {
    json!([{"type": "Ready", "status": status, "reason": "RevisionMissing", "message": "no revision yet"}])
}

/// Waits, and does one step after each line that is told.
async fn stepwise<F: Future<Output = ()>>(
    cluster: &Cluster,
    ready: Ready,
    mut step: impl FnMut(usize) -> F,
) -> (Result<Vec<Met>, String>, Vec<String>) {
    let (send, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let lines = RefCell::new(Vec::new());
    let ready = [ready];
    let waiting = wait(cluster, &ready, |line| {
        lines.borrow_mut().push(line.to_owned());
        let _ = send.send(lines.borrow().len());
    });
    tokio::pin!(waiting);
    let result = loop {
        tokio::select! {
            result = &mut waiting => break result,
            Some(count) = heard.recv() => step(count).await,
        }
    };
    (result, lines.take())
}

#[tokio::test]
async fn a_knative_service_is_watched_through_its_life() {
    let Some(place) = Place::new("ksvc").await else { return };
    let (met, lines) = stepwise(&place.admin, ready(named("hello"), LONG_NS), |count| {
        let place = &place;
        async move {
            match count {
                1 => place.create(hello("hello")).await,
                2 => {
                    let status = json!({"observedGeneration": 1, "conditions": conditions("False")});
                    place.status(hello("hello"), status).await;
                }
                3 => place.delete(hello("hello")).await,
                4 => place.create(hello("hello")).await,
                5 => {
                    place.patch(hello("hello"), json!({"spec": {"template": {"a": 1}}})).await;
                    let status = json!({"observedGeneration": 1, "conditions": conditions("True")});
                    place.status(hello("hello"), status).await;
                }
                6 => {
                    let status = json!({"observedGeneration": 2, "url": "http://hello.example.com",
                        "address": {"url": "http://hello.local"}, "latestReadyRevisionName": "hello-2"});
                    place.status(hello("hello"), status).await;
                }
                _ => {}
            }
        }
    })
    .await;
    let met = met.expect("ready");
    assert_eq!(met[0].found, Some(Found { url: "http://hello.example.com".to_owned() }));
    let title = format!("ksvc {}/hello", place.namespace);
    let told = [
        format!("{title} is not ready yet: there is no {title}"),
        format!("{title} is not ready yet: it has no status yet; is its controller running?"),
        format!("{title} is not ready yet: Ready=False RevisionMissing: no revision yet"),
        format!("{title} is not ready yet: there is no {title}"),
        format!("{title} is not ready yet: it has no status yet; is its controller running?"),
        format!(
            "{title} is not ready yet: its status is about generation 1, and it is at 2: its controller has not come to it yet"
        ),
    ];
    assert_eq!(lines[..6], told);
    let found = ksvc(&place.admin.client, &place.namespace, "hello").await.expect("a service");
    assert_eq!(found.address.as_deref(), Some("http://hello.local"));
    assert!(
        ksvc(&place.admin.client, &place.namespace, "nope").await.expect_err("none").starts_with("there is no ksvc")
    );
}

#[tokio::test]
async fn time_runs_out() {
    let Some(place) = Place::new("late").await else { return };
    place.create(hello("slow")).await;
    place.status(hello("slow"), json!({"observedGeneration": 1, "conditions": conditions("Unknown")})).await;
    let why = wait(&place.admin, &[ready(named("slow"), SHORT_NS)], |_| ()).await.expect_err("not ready");
    let title = format!("ksvc {}/slow", place.namespace);
    assert_eq!(why, format!("{title} was not ready in 300ms: Ready=Unknown RevisionMissing: no revision yet"));
    let why = wait(&place.admin, &[ready(named("none"), SHORT_NS)], |_| ()).await.expect_err("not there");
    assert!(why.ends_with("/none"), "{why}");
    let api_version = "example.com/v1".to_owned();
    let object =
        Condition::Object { api_version, kind: "A".to_owned(), name: "a".to_owned(), condition: "B".to_owned() };
    let why = wait(&place.admin, &[ready(object, SHORT_NS)], |_| ()).await.expect_err("no kind");
    assert!(why.ends_with("the cluster has no example.com/v1; is its CustomResourceDefinition installed?"), "{why}");
}

#[tokio::test]
async fn a_kind_may_come_while_it_is_waited_for() {
    let Some(place) = Place::new("isvc").await else { return };
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "inferenceservices.serving.kserve.io"}, "spec": {"group": "serving.kserve.io",
            "scope": "Namespaced", "names": {"kind": "InferenceService", "plural": "inferenceservices",
                "singular": "inferenceservice"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    let model =
        json!({"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": {"name": "m"}});
    let condition = Condition::Isvc { name: "m".to_owned() };
    let (met, lines) = stepwise(&place.admin, ready(condition, LONG_NS), |count| {
        let (place, definition, model) = (&place, definition.clone(), model.clone());
        async move {
            match count {
                1 => place.create(definition).await,
                2 => {
                    place.create(model.clone()).await;
                    place
                        .status(model, json!({"url": "http://m", "conditions": [{"type": "Ready", "status": "True"}]}))
                        .await;
                }
                _ => {}
            }
        }
    })
    .await;
    place.delete(definition).await;
    assert_eq!(met.expect("ready")[0].found, Some(Found { url: "http://m".to_owned() }), "{lines:?}");
    let expected = "the cluster has no kind InferenceService in serving.kserve.io/v1beta1; is KServe installed?";
    assert!(lines[0].ends_with(expected), "{lines:?}");
}

#[tokio::test]
async fn deployments_services_and_other_objects() {
    let Some(place) = Place::new("mixed").await else { return };
    let labels = json!({"app": "web"});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2,
        "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": labels, "ports": [{"port": 80}]}});
    let slice = |ready: bool| {
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": ready}}]})
    };
    place.create(deployment.clone()).await;
    place.create(service).await;
    place.create(slice(false)).await;
    let (met, lines) = stepwise(&place.admin, ready(Condition::Deploy { name: "web".to_owned() }, LONG_NS), |count| {
        let (place, deployment) = (&place, deployment.clone());
        async move {
            let available = json!([{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}]);
            let replicas = match count {
                1 => json!({"observedGeneration": 1, "replicas": 3, "updatedReplicas": 1, "conditions": available}),
                2 => json!({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}),
                _ => return,
            };
            place.status(deployment, replicas).await;
        }
    })
    .await;
    assert!(met.is_ok(), "{met:?}");
    assert!(lines[1].ends_with("1 of 2 replicas are of its present generation"), "{lines:?}");
    let (met, lines) = stepwise(&place.admin, ready(Condition::Service { name: "web".to_owned() }, LONG_NS), |count| {
        let (place, slice) = (&place, slice(true));
        async move {
            if count == 1 {
                place.patch(slice.clone(), json!({"endpoints": slice["endpoints"]})).await;
            }
        }
    })
    .await;
    assert!(met.is_ok(), "{met:?}");
    assert!(lines[0].ends_with("its one endpoint is not ready"), "{lines:?}");
    let established = Condition::Object {
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: "CustomResourceDefinition".to_owned(),
        name: "services.serving.knative.dev".to_owned(),
        condition: "Established".to_owned(),
    };
    let met = wait(&place.admin, &[ready(established, LONG_NS)], |_| ()).await;
    assert!(met.is_ok(), "{met:?}");
}

#[tokio::test]
async fn rules_are_enough_or_named() {
    let Some(place) = Place::new("rules").await else { return };
    place.create(hello("hello")).await;
    place.status(hello("hello"), json!({"observedGeneration": 1, "conditions": conditions("True")})).await;
    let rule = |resources: Value, verbs: Value| json!({"apiGroups": ["serving.knative.dev"], "resources": resources, "verbs": verbs});
    let rules = json!([{"apiGroups": ["serving.knative.dev"], "resources": ["services"], "resourceNames": ["hello"],
        "verbs": ["list", "watch"]}]);
    let one = place.user("one", rules).await;
    let met = wait(&one, &[ready(named("hello"), LONG_NS)], |_| ()).await;
    assert!(met.is_ok(), "a rule for one object is enough: {met:?}");
    let blind = place.user("blind", json!([rule(json!(["services"]), json!(["get"]))])).await;
    let start = std::time::Instant::now();
    let why = wait(&blind, &[ready(named("hello"), LONG_NS)], |_| ()).await.expect_err("refused");
    let namespace = &place.namespace;
    let expected = format!(
        "ksvc {namespace}/hello: blind may not list services.serving.knative.dev in namespace {namespace}: needs a rule with \
         the verbs get, list, watch"
    );
    assert_eq!(why, expected);
    assert!(start.elapsed() < Duration::from_secs(30), "it does not wait");
    place.create(hello("other")).await;
    let halfway = place.user("halfway", json!([rule(json!(["services"]), json!(["list"]))])).await;
    let why = wait(&halfway, &[ready(named("other"), LONG_NS)], |_| ()).await.expect_err("refused");
    assert!(why.contains("halfway may not watch services.serving.knative.dev"), "{why}");
    let found = ksvc(&blind.client, namespace, "hello").await.expect("a service");
    assert_eq!(found.unknown.as_deref(), Some("it has no ready revision"));
}
