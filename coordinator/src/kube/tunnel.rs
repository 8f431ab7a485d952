//! The way from a laptop to a coordinator in the cluster: which release, its operator's certificate, and a stream to its
//! pod through the API server. What is said over the stream is not known here.

mod find;
mod stream;

use std::fmt;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use super::client::Cluster;
use super::client::refusal::{Ask, explain};
pub use find::find;
pub use stream::Tunnelled;

/// Where a coordinator listens for workers and operators.
pub const PORT: u16 = 7400;

/// What the operator shows the coordinator, and knows it by; PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Material {
    pub ca: Vec<u8>,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

/// A grid that Helm has installed.
#[derive(Clone)]
pub struct Release {
    pub namespace: String,
    /// Helm's name for it.
    pub name: String,
    /// What the coordinator's certificate says: `FULLNAME-coordinator`.
    pub server_name: String,
    pub material: Material,
    cluster: Cluster,
    /// `FULLNAME`.
    full: String,
}

impl fmt::Debug for Material {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Material")
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Release {self}")
    }
}

/// `NAMESPACE/RELEASE`.
impl fmt::Display for Release {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

impl Release {
    /// A stream to the coordinator, of its own WebSocket; as many as are wanted, also after the pod was replaced. It
    /// ends with the API server's connection; where the pod's side is what failed, a read says how.
    ///
    /// # Errors
    /// A sentence: no pod, its state where it is not ready, a missing rule, what the API server or the node answers.
    pub async fn connect(&self) -> Result<Tunnelled, String> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let pod = self.pod(&pods).await?;
        let ask = self.ask(&["get", "create"], "", "pods/portforward");
        let failed = |error| format!("no tunnel to pod {}/{pod}: {}", self.namespace, explain(&error, &ask));
        let forward = pods.portforward(&pod, &[PORT]).await.map_err(failed)?;
        Tunnelled::new(forward, PORT, &format!("{}/{pod}", self.namespace))
    }

    /// The coordinator's pod that is ready, or else one that runs: with a full volume it takes no tests, and whoever
    /// wants to make room has to reach it.
    async fn pod(&self, pods: &Api<Pod>) -> Result<String, String> {
        let labels = find::labels(Some(&self.name));
        let listed = pods.list(&ListParams::default().labels(&labels)).await;
        let listed = listed.map_err(|error| explain(&error, &self.ask(&["list"], "", "pods")))?;
        let mut states = Vec::new();
        for pod in &listed.items {
            match unready(pod) {
                None => return Ok(pod.name_any()),
                Some(state) => states.push(format!("pod {} {state}", pod.name_any())),
            }
        }
        if let Some(running) = listed.items.iter().find(|pod| runs(pod)) {
            return Ok(running.name_any());
        }
        if states.is_empty() {
            let (namespace, server) = (&self.namespace, &self.server_name);
            return Err(format!(
                "release {self} has no coordinator pod: see why with kubectl -n {namespace} describe statefulset {server}"
            ));
        }
        Err(format!("the coordinator of release {self} is not ready: {}", states.join("; ")))
    }

    fn ask(&self, verbs: &'static [&'static str], group: &str, plural: &str) -> Ask {
        find::ask(verbs, group, plural, &self.namespace, Some(&self.full))
    }
}

/// Whether all containers of a pod that is to stay run, ready or not.
fn runs(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let containers = || status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    let running = |container: &ContainerStatus| container.state.as_ref().is_some_and(|state| state.running.is_some());
    pod.metadata.deletion_timestamp.is_none() && containers().next().is_some() && containers().all(running)
}

/// What a pod lacks: `is Pending: 0/1 nodes are available`.
fn unready(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("is ending".to_owned());
    }
    let status = pod.status.as_ref();
    let conditions = || status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    if conditions().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        return None;
    }
    let containers = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
    for container in containers {
        let state = container.state.as_ref();
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let ended = state.and_then(|state| state.terminated.as_ref());
        let told = match (waiting, ended) {
            (Some(waiting), _) => (waiting.reason.as_deref(), waiting.message.as_deref()),
            (None, Some(ended)) => (ended.reason.as_deref(), ended.message.as_deref()),
            (None, None) => continue,
        };
        return Some(format!("waits for container {}: {}", container.name, words(told)));
    }
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Unknown");
    let lacking = conditions().find(|condition| condition.status != "True");
    let told = lacking.map(|lacking| (lacking.reason.as_deref(), lacking.message.as_deref()));
    let told = told.map(|told| format!(": {}", words(told))).unwrap_or_default();
    Some(format!("is {phase}{told}"))
}

fn words((reason, message): (Option<&str>, Option<&str>)) -> String {
    match (reason, message) {
        (Some(reason), Some(message)) => format!("{reason}: {message}"),
        (Some(word), None) | (None, Some(word)) => word.to_owned(),
        (None, None) => "no reason given".to_owned(),
    }
}

#[cfg(test)]
mod tests;
