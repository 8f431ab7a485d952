//! What Knative says of a service: where it is, and whether anything of it runs. How it is waited for and what warms it
//! is not known here.

use std::collections::BTreeSet;

use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::discovery::ApiResource;
use kube::core::gvk::GroupVersionKind;
use serde_json::Value;

use super::client::refusal::{Ask, code, explain};

const GROUP: &str = "serving.knative.dev";

/// A Knative service, of its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ksvc {
    /// Where the world reaches it: `http://hello.default.example.com`.
    pub url: Option<String>,
    /// Where the cluster reaches it: `http://hello.default.svc.cluster.local`.
    pub address: Option<String>,
    pub ready_revision: Option<String>,
    /// Whether a revision that takes traffic has no replica: the next request has to wait for one. None: not known,
    /// and `unknown` says why.
    pub scaled_to_zero: Option<bool>,
    pub unknown: Option<String>,
}

impl Ksvc {
    /// The URL to send to: in the cluster the address, outside the URL.
    pub fn target(&self, inside: bool) -> Option<&str> {
        let (url, address) = (self.url.as_deref(), self.address.as_deref());
        if inside { address.or(url) } else { url.or(address) }
    }
}

/// Reads a service and the revisions that take its traffic.
///
/// # Errors
/// A sentence: no such service, no Knative, a missing rule. Revisions that can't be read are no error.
pub async fn ksvc(client: &Client, namespace: &str, name: &str) -> Result<Ksvc, String> {
    let services = api(client, namespace, "Service", "services");
    let ask = Ask::new(&["get"], GROUP, "services", Some(namespace));
    let service = services.get(name).await.map_err(|error| match code(&error) {
        // A kind that is not served is answered without a word about the object.
        Some(404) if error.to_string().contains(name) => format!("there is no ksvc {namespace}/{name}"),
        Some(404) => format!("the cluster has no kind Service in {GROUP}/v1; is Knative Serving installed?"),
        _ => explain(&error, &ask),
    })?;
    let at = |place: &str| service.data.pointer(place).and_then(Value::as_str).map(str::to_owned);
    let ready_revision = at("/status/latestReadyRevisionName");
    let mut found =
        Ksvc { url: at("/status/url"), address: at("/status/address/url"), ready_revision, ..Ksvc::default() };
    match at_zero(client, namespace, &routed(&service, found.ready_revision.as_deref())).await {
        Ok(zero) => found.scaled_to_zero = Some(zero),
        Err(why) => found.unknown = Some(why),
    }
    Ok(found)
}

fn api(client: &Client, namespace: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(GROUP, "v1", kind);
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, plural))
}

/// The revisions that requests come to.
fn routed(service: &DynamicObject, ready: Option<&str>) -> BTreeSet<String> {
    let traffic = service.data.pointer("/status/traffic").and_then(Value::as_array).into_iter().flatten();
    let routed: BTreeSet<String> = traffic
        .filter(|part| part.get("percent").and_then(Value::as_i64).unwrap_or(0) > 0)
        .filter_map(|part| part.get("revisionName")?.as_str().map(str::to_owned))
        .collect();
    if routed.is_empty() { ready.map(str::to_owned).into_iter().collect() } else { routed }
}

async fn at_zero(client: &Client, namespace: &str, names: &BTreeSet<String>) -> Result<bool, String> {
    if names.is_empty() {
        return Err("it has no ready revision".to_owned());
    }
    let revisions = api(client, namespace, "Revision", "revisions");
    let ask = Ask::new(&["get"], GROUP, "revisions", Some(namespace));
    let (mut zero, mut unsaid) = (false, None);
    for name in names {
        let revision = revisions.get(name).await.map_err(|error| explain(&error, &ask))?;
        match idle(&revision) {
            Some(idle) => zero |= idle,
            None => unsaid = Some(format!("revision {name} does not say whether it is active")),
        }
    }
    // One that is known to be at zero is enough to know that something has to be warmed.
    match unsaid {
        Some(why) if !zero => Err(why),
        _ => Ok(zero),
    }
}

/// Whether a revision has no replica. `Active` is false from the last pod's end to the next pod's readiness, and unknown
/// while the number of pods is on its way; then their number says it.
fn idle(revision: &DynamicObject) -> Option<bool> {
    let conditions = revision.data.pointer("/status/conditions").and_then(Value::as_array);
    let active = conditions.into_iter().flatten().find(|one| one.get("type").and_then(Value::as_str) == Some("Active"));
    match active.and_then(|active| active.get("status")).and_then(Value::as_str) {
        Some("True") => Some(false),
        Some("False") => Some(true),
        _ => revision.data.pointer("/status/actualReplicas").and_then(Value::as_i64).map(|count| count == 0),
    }
}

#[cfg(test)]
mod tests;
