//! The tunnel through a real API server to a kubelet that is a test's.

use std::net::SocketAddr;

use crate::common::Place;
use crate::kubelet;
use loadgrid::kube::client::Cluster;
use loadgrid::kube::tunnel::find;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers each connection with what it is sent.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = socket.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

fn meta(name: &str, component: &str) -> Value {
    json!({"name": name, "labels": {"app.kubernetes.io/name": "loadgrid", "app.kubernetes.io/instance": "grid",
        "app.kubernetes.io/component": component}})
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta("grid-loadgrid-coordinator-0", "coordinator")})
}

/// What the chart makes, as far as a tunnel needs it, on a node whose kubelet is at this port.
async fn install(place: &Place, kubelet: u16) {
    let (name, labels) = ("grid-loadgrid-coordinator", json!({"app.kubernetes.io/instance": "grid"}));
    let spec = json!({"containers": [{"name": "coordinator", "image": "i"}]});
    place
        .create(json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta(name, "coordinator"),
            "spec": {"serviceName": name, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec}}}))
        .await;
    place
        .create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "grid-loadgrid-operator-tls"},
            "data": {"ca.crt": "Q0E=", "tls.crt": "Q0VSVA==", "tls.key": "S0VZ"}}))
        .await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": place.namespace}});
    place.create(node.clone()).await;
    place
        .status(
            node,
            json!({"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet}}}),
        )
        .await;
    place.create(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})).await;
    let mut pod = pod();
    pod["spec"] = json!({"nodeName": place.namespace, "containers": spec["containers"]});
    place.create(pod).await;
}

async fn ready(place: &Place) {
    let condition = json!([{"type": "Ready", "status": "True"}]);
    place.status(pod(), json!({"phase": "Running", "conditions": condition})).await;
}

/// The chart's Role for people.
async fn operator(place: &Place) -> Cluster {
    let rules = json!([
        {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["grid-loadgrid-operator-tls"], "verbs": ["get"]}]);
    place.user("jo", rules).await
}

#[tokio::test]
async fn streams_go_through_and_come_back() {
    let Some(place) = Place::new("tunnel").await else { return };
    install(&place, kubelet::start(echo().await).await).await;
    let jo = operator(&place).await;
    let release = find(&jo, None).await.expect("a release");
    assert_eq!((release.server_name.as_str(), release.name.as_str()), ("grid-loadgrid-coordinator", "grid"));
    assert_eq!((release.material.ca.as_slice(), release.material.key.as_slice()), (&b"CA"[..], &b"KEY"[..]));
    let why = release.connect().await.err().expect("a pod that is not ready");
    assert!(why.ends_with("pod grid-loadgrid-coordinator-0 is Pending"), "{why}");
    ready(&place).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(release.connect().await.expect("a tunnel"));
    }
    for (number, stream) in streams.iter_mut().enumerate().rev() {
        let sent = format!("hello {number}");
        stream.write_all(sent.as_bytes()).await.expect("written");
        let mut came = vec![0; sent.len()];
        stream.read_exact(&mut came).await.expect("read");
        assert_eq!(came, sent.as_bytes());
    }
    let (mut read, mut write) = tokio::io::split(streams.pop().expect("one"));
    let sent: Vec<u8> = (0..8 << 20).map(|number: u32| number.to_le_bytes()[1]).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move { write.write_all(&sent).await.map(|()| write) });
    let mut came = vec![0; expected.len()];
    read.read_exact(&mut came).await.expect("read");
    assert!(came == expected, "8 MiB come back as they went");
    drop((writing.await.expect("no panic"), read));
}

#[tokio::test]
async fn a_coordinator_that_does_not_listen_says_so() {
    let Some(place) = Place::new("deaf").await else { return };
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = free.local_addr().expect("its address");
    drop(free);
    install(&place, kubelet::start(nobody).await).await;
    ready(&place).await;
    let release = find(&place.admin, Some("grid")).await.expect("a release");
    let mut stream = release.connect().await.expect("a tunnel");
    let error = stream.read_u8().await.expect_err("nothing to read");
    let expected = format!("port 7400 of pod {}/grid-loadgrid-coordinator-0: failed to connect", place.namespace);
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[tokio::test]
async fn nodes_and_rules_that_are_missing_are_told() {
    let Some(place) = Place::new("unruled").await else { return };
    // Nothing listens on port 1.
    install(&place, 1).await;
    ready(&place).await;
    let jo = operator(&place).await;
    let why = find(&jo, None).await.expect("a release").connect().await.err().expect("no kubelet");
    assert!(why.contains("connection refused"), "{why}");
    let nobody = place.user("nobody", json!([])).await;
    let why = find(&nobody, Some("grid")).await.expect_err("refused");
    assert!(
        why.starts_with("nobody may not list statefulsets.apps in namespace")
            && why.contains("Role grid-loadgrid-operator"),
        "{why}"
    );
    let rules = json!([{"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    let watcher = place.user("watcher", rules).await;
    let why = find(&watcher, None).await.expect("a release").connect().await.err().expect("refused");
    assert!(
        why.contains("watcher may not") && why.contains("pods/portforward") && why.contains("get, create"),
        "{why}"
    );
    let elsewhere = find(&place.admin, Some("default/")).await.expect_err("none");
    assert!(elsewhere.contains("there are: ") && elsewhere.contains("/grid"), "{elsewhere}");
}
