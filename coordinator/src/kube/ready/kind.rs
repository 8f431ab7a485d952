//! Which resource of the API a kind is, and which others belong to it. It does not know what makes an object ready.

use kube::Client;
use kube::core::discovery::ApiResource;
use kube::core::gvk::GroupVersionKind;

use super::Condition;
use crate::kube::client::refusal::{Ask, code, explain};
use crate::near::listed;

/// What an API server is asked of an object.
pub(super) const VERBS: &[&str] = &["get", "list", "watch"];

/// A kind as the API serves it.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub resource: ApiResource,
    pub namespaced: bool,
}

/// How a kind was not found.
#[derive(Debug)]
pub(super) enum Unknown {
    /// It may come to be there.
    Yet(String),
    /// Waiting does not help.
    Refused(String),
}

fn namespaced(group: &str, version: &str, kind: &str, plural: &str) -> Kind {
    let kind = GroupVersionKind::gvk(group, version, kind);
    Kind { resource: ApiResource::from_gvk_with_plural(&kind, plural), namespaced: true }
}

/// The endpoints of Services.
pub(super) fn slices() -> Kind {
    namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
}

/// The kind of a condition's object; none where the server has to be asked for it.
pub(super) fn known(condition: &Condition) -> Option<Kind> {
    Some(match condition {
        Condition::Ksvc { .. } => namespaced("serving.knative.dev", "v1", "Service", "services"),
        Condition::Deploy { .. } => namespaced("apps", "v1", "Deployment", "deployments"),
        Condition::Service { .. } => namespaced("", "v1", "Service", "services"),
        Condition::Isvc { .. } => namespaced("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices"),
        Condition::Object { .. } => return None,
    })
}

/// What to say where the server does not serve a kind.
pub(super) fn unserved(resource: &ApiResource) -> String {
    let from = match resource.group.as_str() {
        "serving.knative.dev" => "; is Knative Serving installed?",
        "serving.kserve.io" => "; is KServe installed?",
        _ => "; is its CustomResourceDefinition installed?",
    };
    format!("the cluster has no kind {} in {}{from}", resource.kind, resource.api_version)
}

/// A group and a version: `batch/v1`, `v1`.
///
/// # Errors
/// A sentence: it is neither.
pub(super) fn group_version(api_version: &str) -> Result<(&str, &str), String> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let fine =
        plain(group) && plain(version) && !version.is_empty() && (!group.is_empty() || !api_version.contains('/'));
    if fine {
        return Ok((group, version));
    }
    Err(format!("apiVersion '{api_version}' is not one: write it as the object does, GROUP/VERSION or v1"))
}

/// Asks the server which resource a kind is.
pub(super) async fn discover(client: &Client, api_version: &str, kind: &str) -> Result<Kind, Unknown> {
    let (group, version) = group_version(api_version).map_err(Unknown::Refused)?;
    let asked = if group.is_empty() {
        client.list_core_api_resources(version).await
    } else {
        client.list_api_group_resources(api_version).await
    };
    let ask = Ask::new(&["get"], "", &format!("the kinds of {api_version}"), None);
    let resources = asked.map_err(|error| match code(&error) {
        Some(404) => {
            Unknown::Yet(format!("the cluster has no {api_version}; is its CustomResourceDefinition installed?"))
        }
        Some(401 | 403) => Unknown::Refused(explain(&error, &ask)),
        _ => Unknown::Yet(explain(&error, &ask)),
    })?;
    // Subresources are listed among the resources: `deployments/scale`.
    let mut served = resources.resources.iter().filter(|resource| !resource.name.contains('/'));
    match served.clone().find(|resource| resource.kind == kind) {
        Some(found) => {
            let kind = GroupVersionKind::gvk(group, version, kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, &found.name);
            Ok(Kind { resource, namespaced: found.namespaced })
        }
        None => {
            let kinds = listed(kind, served.by_ref().map(|resource| resource.kind.clone()));
            Err(Unknown::Yet(format!("the cluster has no kind {kind} in {api_version}; there are: {kinds}")))
        }
    }
}
