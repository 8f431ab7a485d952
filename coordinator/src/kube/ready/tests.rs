use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::*;
use crate::kube::server::{self, Answer, Asked, Notes, forbidden, list, status};

const SERVICES: &str = "/apis/serving.knative.dev/v1/namespaces/default/services";

fn ksvc(timeout: Duration) -> Ready {
    let timeout_ns = u64::try_from(timeout.as_nanos()).expect("a timeout");
    Ready { condition: Condition::Ksvc { name: "hello".to_owned() }, namespace: None, timeout_ns }
}

/// hello, with this status of `Ready`.
fn hello(version: u32, ready: &str) -> Value {
    json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "hello", "namespace": "default", "generation": 1, "resourceVersion": version.to_string()},
        "status": {"observedGeneration": 1, "url": "http://hello.example.com",
            "conditions": [{"type": "Ready", "status": ready, "reason": "RevisionMissing"}]}})
}

type Watches = Notes<Vec<UnboundedSender<Value>>>;

/// Answers with these listings, one after the other and then the last for ever; watches get what a test sends to them.
fn script(lists: Vec<fn() -> Answer>) -> (Cluster, Watches, Notes<Vec<Asked>>) {
    let (watches, asked) = (Watches::default(), Notes::<Vec<Asked>>::default());
    let (opened, noted) = (watches.clone(), asked.clone());
    let cluster = server::cluster(move |request| {
        let before = noted.with(|asked| {
            asked.push(request.clone());
            asked.iter().filter(|asked| !asked.watches()).count()
        });
        if request.watches() {
            let (send, events) = tokio::sync::mpsc::unbounded_channel();
            opened.with(|watches| watches.push(send));
            return Answer::Events(events);
        }
        lists.get(before - 1).or(lists.last()).map_or(Answer::Silence, |answer| answer())
    });
    (cluster, watches, asked)
}

/// Sends an event to the youngest watch.
fn event(watches: &Watches, kind: &str, object: Value) {
    let event = json!({"type": kind, "object": object});
    watches.with(|watches| watches.last().expect("a watch").send(event).expect("a watch that is heard"));
}

/// What is told while one is waited for, with something that is done after each line.
async fn told(cluster: &Cluster, ready: Ready, mut then: impl FnMut(usize)) -> (Result<Vec<Met>, String>, Vec<String>) {
    let mut lines = Vec::new();
    let result = wait(cluster, &[ready], |line| {
        lines.push(line.to_owned());
        then(lines.len());
    })
    .await;
    (result, lines)
}

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(1);

#[tokio::test]
async fn a_change_is_seen_without_asking_again() {
    let (cluster, watches, asked) = script(vec![|| list(&[hello(7, "Unknown")])]);
    let (met, lines) = told(&cluster, ksvc(LONG), |line| match line {
        1 => {
            // The watch has not begun: the first line is told on the listing.
            let watches = watches.clone();
            tokio::spawn(async move {
                while watches.with(|watches| watches.is_empty()) {
                    tokio::task::yield_now().await;
                }
                event(&watches, "MODIFIED", hello(8, "False"));
            });
        }
        2 => event(&watches, "DELETED", hello(9, "False")),
        3 => event(&watches, "ADDED", hello(10, "True")),
        _ => {}
    })
    .await;
    let met = met.expect("ready");
    assert_eq!(met[0].found, Some(Found { url: "http://hello.example.com".to_owned() }));
    assert_eq!((met[0].waited.condition.as_str(), met[0].waited.attempts), ("ksvc default/hello", 4));
    let told: Vec<&str> = lines.iter().take(3).map(String::as_str).collect();
    let expected = [
        "ksvc default/hello is not ready yet: Ready=Unknown RevisionMissing",
        "ksvc default/hello is not ready yet: Ready=False RevisionMissing",
        "ksvc default/hello is not ready yet: there is no ksvc default/hello",
    ];
    assert_eq!(told, expected);
    assert!(lines[3].starts_with("ksvc default/hello is ready after "), "{}", lines[3]);
    let asked = asked.with(|asked| asked.clone());
    assert_eq!(asked.len(), 2, "a listing and a watch: {asked:?}");
    assert!(asked.iter().all(|asked| asked.path == SERVICES && asked.query.contains("metadata.name%3Dhello")));
}

#[tokio::test]
async fn a_version_that_is_gone_is_listed_again() {
    let (cluster, watches, asked) = script(vec![|| list(&[hello(7, "False")]), || list(&[hello(90, "True")])]);
    let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version"});
    let (met, lines) = told(&cluster, ksvc(LONG), |line| {
        if line == 1 {
            let (watches, gone) = (watches.clone(), gone.clone());
            tokio::spawn(async move {
                while watches.with(|watches| watches.is_empty()) {
                    tokio::task::yield_now().await;
                }
                event(&watches, "ERROR", gone);
            });
        }
    })
    .await;
    assert!(met.is_ok(), "{met:?}");
    assert_eq!(lines.len(), 2, "that it was gone is nobody's news: {lines:?}");
    assert_eq!(asked.with(|asked| asked.iter().filter(|asked| !asked.watches()).count()), 2);
}

#[tokio::test]
async fn time_runs_out_with_the_conditions() {
    let (cluster, _watches, _) = script(vec![|| {
        let mut object = hello(7, "False");
        let others = json!({"type": "RoutesReady", "status": "True"});
        object["status"]["conditions"].as_array_mut().expect("conditions").push(others);
        list(&[object])
    }]);
    let (met, _) = told(&cluster, ksvc(SHORT), |_| ()).await;
    let expected = "ksvc default/hello was not ready in 1ms: Ready=False RevisionMissing; its other conditions: \
                    RoutesReady=True";
    assert_eq!(met, Err(expected.to_owned()));
}

#[tokio::test]
async fn time_runs_out_without_an_object_or_a_kind() {
    let (cluster, _watches, _) = script(vec![|| list(&[])]);
    let (met, _) = told(&cluster, ksvc(SHORT), |_| ()).await;
    assert_eq!(met, Err("ksvc default/hello was not ready in 1ms: there is no ksvc default/hello".to_owned()));
    let (cluster, _watches, _) = script(vec![|| status(404, "404 page not found")]);
    let (met, _) = told(&cluster, ksvc(SHORT), |_| ()).await;
    let expected = "ksvc default/hello was not ready in 1ms: the cluster has no kind Service in serving.knative.dev/v1; \
                    is Knative Serving installed?";
    assert_eq!(met, Err(expected.to_owned()));
}

#[tokio::test]
async fn a_missing_rule_is_named_at_once() {
    let (cluster, _watches, _) = script(vec![|| forbidden("list", "services")]);
    let (met, lines) = told(&cluster, ksvc(LONG), |_| ()).await;
    let expected = "ksvc default/hello: jo may not list services.serving.knative.dev in namespace default: needs a rule \
                    with the verbs get, list, watch";
    assert_eq!((met, lines), (Err(expected.to_owned()), Vec::new()));
}

#[tokio::test]
async fn a_service_is_seen_with_its_endpoints() {
    let cluster = server::cluster(|asked| match (asked.watches(), asked.path.as_str()) {
        (true, _) => Answer::Silence,
        (_, "/api/v1/namespaces/other/services") => list(&[
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"a": "b"}}}),
        ]),
        (_, "/apis/discovery.k8s.io/v1/namespaces/other/endpointslices") => {
            assert!(asked.query.contains("kubernetes.io%2Fservice-name%3Dweb"), "{}", asked.query);
            list(&[json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "web-1"},
                "endpoints": [{"addresses": ["10.0.0.1"]}]})])
        }
        (_, other) => panic!("{other}"),
    });
    let condition = Condition::Service { name: "web".to_owned() };
    let ready = Ready { condition, namespace: Some("other".to_owned()), timeout_ns: 1 };
    let (met, _) = told(&cluster, ready, |_| ()).await;
    assert_eq!(met.expect("ready")[0].waited.condition, "service other/web");
}

fn kinds(asked: &Asked) -> Answer {
    match asked.path.as_str() {
        "/apis/example.com/v1" => Answer::Json(
            200,
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "example.com/v1", "resources": [
                {"name": "databases", "singularName": "database", "namespaced": false, "kind": "Database", "verbs": ["get"]},
                {"name": "databases/status", "singularName": "", "namespaced": false, "kind": "Database", "verbs": ["get"]}]}),
        ),
        "/apis/example.com/v1/databases" if !asked.watches() => {
            let ready = json!([{"type": "Up", "status": "True"}]);
            list(&[json!({"apiVersion": "example.com/v1", "kind": "Database", "metadata": {"name": "db"},
                "status": {"conditions": ready}})])
        }
        "/apis/example.com/v1/databases" => Answer::Silence,
        _ => status(404, "404 page not found"),
    }
}

fn database(api_version: &str, kind: &str) -> Ready {
    let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
    let condition = Condition::Object { api_version, kind, name: "db".to_owned(), condition: "Up".to_owned() };
    Ready { condition, namespace: None, timeout_ns: 1 }
}

#[tokio::test]
async fn kinds_are_found_as_the_server_has_them() {
    let cluster = server::cluster(kinds);
    let (met, _) = told(&cluster, database("example.com/v1", "Database"), |_| ()).await;
    assert!(met.is_ok(), "{met:?}");
    let refused = |ready: Ready| {
        let cluster = cluster.clone();
        async move { told(&cluster, ready, |_| ()).await.0.expect_err("refused") }
    };
    let expected = "the cluster has no kind Databse in example.com/v1; there are: Database";
    assert!(refused(database("example.com/v1", "Databse")).await.ends_with(expected));
    let expected = "the cluster has no example.com/v2; is its CustomResourceDefinition installed?";
    assert!(refused(database("example.com/v2", "Database")).await.ends_with(expected));
    let expected = "apiVersion 'a/b/c' is not one: write it as the object does, GROUP/VERSION or v1";
    assert!(refused(database("a/b/c", "Database")).await.contains(expected));
}

#[tokio::test]
async fn a_server_that_is_away_is_the_reason() {
    let (cluster, _watches, _) = script(vec![|| Answer::Broken("it is away")]);
    let (met, _) = told(&cluster, ksvc(SHORT), |_| ()).await;
    let expected = "ksvc default/hello was not ready in 1ms: the API server can't be reached: it is away";
    assert_eq!(met, Err(expected.to_owned()));
}
