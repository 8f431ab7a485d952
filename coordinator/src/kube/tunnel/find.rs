//! Which release is meant, and the Secret with its operator's certificate.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};

use super::{Material, Release};
use crate::kube::client::Cluster;
use crate::kube::client::refusal::{Ask, code, explain};
use crate::near::listed;

/// Where the chart writes which Secret the operator's certificate is in.
const SECRET: &str = "loadgrid.dev/operator-secret";

const INSTANCE: &str = "app.kubernetes.io/instance";

/// How the chart names the coordinator after its full name.
const SUFFIX: &str = "-coordinator";

/// Finds the release that is `wanted`: `NAMESPACE/RELEASE`, `RELEASE` in the context's namespace, or with `NAMESPACE/` or
/// none the only one that there is.
///
/// # Errors
/// A sentence: none, several and which, a missing rule and the Role that has it, a Secret without a certificate.
pub async fn find(cluster: &Cluster, wanted: Option<&str>) -> Result<Release, String> {
    let (namespace, name) = parted(wanted, &cluster.namespace)?;
    let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), namespace);
    let listed = sets.list(&ListParams::default().labels(&labels(name))).await;
    let full = name.map(full_name);
    let ask = ask(&["get", "list"], "apps", "statefulsets", namespace, full.as_deref());
    let mut found = listed.map_err(|error| explain(&error, &ask))?.items;
    let Some(set) = found.pop() else { return Err(none(cluster, namespace, name).await) };
    if !found.is_empty() {
        found.push(set);
        let names = found.iter().map(|set| format!("--kube {namespace}/{}", instance(set)));
        let mut names: Vec<String> = names.collect();
        names.sort();
        return Err(format!("namespace {namespace} has several releases of loadgrid; say which: {}", names.join(", ")));
    }
    let server_name = set.name_any();
    let full = server_name.strip_suffix(SUFFIX).unwrap_or(&server_name).to_owned();
    let secret = set.annotations().get(SECRET).cloned().unwrap_or_else(|| format!("{full}-operator-tls"));
    let material = material(cluster.client.clone(), namespace, &secret, &full).await?;
    let (namespace, name) = (namespace.to_owned(), instance(&set));
    Ok(Release { namespace, name, server_name, material, cluster: cluster.clone(), full })
}

/// Namespace and name of what is wanted.
fn parted<'a>(wanted: Option<&'a str>, default: &'a str) -> Result<(&'a str, Option<&'a str>), String> {
    let (namespace, name) = match wanted.unwrap_or_default().split_once('/') {
        Some((namespace, name)) => (namespace, name),
        None => (default, wanted.unwrap_or_default()),
    };
    let word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    if namespace.is_empty() || !word(namespace) || !word(name) {
        let wanted = wanted.unwrap_or_default();
        return Err(format!("--kube '{wanted}' names no release: write NAMESPACE/RELEASE, or RELEASE alone"));
    }
    Ok((namespace, (!name.is_empty()).then_some(name)))
}

pub(super) fn labels(release: Option<&str>) -> String {
    let instance = release.map(|name| format!(",{INSTANCE}={name}")).unwrap_or_default();
    format!("app.kubernetes.io/name=loadgrid,app.kubernetes.io/component=coordinator{instance}")
}

/// What the chart calls a release's objects, unless its values say otherwise.
fn full_name(release: &str) -> String {
    if release.contains("loadgrid") { release.to_owned() } else { format!("{release}-loadgrid") }
}

/// An ask whose refusal says which Role of the chart has the rule.
pub(super) fn ask(
    verbs: &'static [&'static str],
    group: &str,
    plural: &str,
    namespace: &str,
    full: Option<&str>,
) -> Ask {
    let role = full.map_or_else(|| "RELEASE-loadgrid-operator".to_owned(), |full| format!("{full}-operator"));
    let hint = format!("the chart's Role {role} has it: name the user in the chart's operator.subjects");
    Ask::new(verbs, group, plural, Some(namespace)).hint(hint)
}

fn instance(set: &StatefulSet) -> String {
    set.labels().get(INSTANCE).cloned().unwrap_or_default()
}

/// Why there is none, with those that there are elsewhere, as far as this user may see them.
async fn none(cluster: &Cluster, namespace: &str, name: Option<&str>) -> String {
    let what = match name {
        Some(name) => format!("no release '{name}' of loadgrid"),
        None => "no release of loadgrid".to_owned(),
    };
    let sets: Api<StatefulSet> = Api::all(cluster.client.clone());
    let all = sets.list(&ListParams::default().labels(&labels(None))).await.map(|all| all.items).unwrap_or_default();
    let names: Vec<String> =
        all.iter().map(|set| format!("{}/{}", set.namespace().unwrap_or_default(), instance(set))).collect();
    let mend = if names.is_empty() {
        "install one with helm install, or say where it is: --kube NAMESPACE/RELEASE".to_owned()
    } else {
        format!("there are: {}; say which: --kube NAMESPACE/RELEASE", listed(name.unwrap_or(namespace), names))
    };
    format!("namespace {namespace} of {} has {what}: {mend}", cluster.server)
}

async fn material(client: Client, namespace: &str, name: &str, full: &str) -> Result<Material, String> {
    let secrets: Api<Secret> = Api::namespaced(client, namespace);
    let ask = ask(&["get"], "", "secrets", namespace, Some(full));
    let mut secret = secrets.get(name).await.map_err(|error| match code(&error) {
        Some(404) => format!("there is no Secret {namespace}/{name}, where the operator's certificate should be"),
        _ => format!("Secret {name} with the operator's certificate: {}", explain(&error, &ask)),
    })?;
    let mut data = secret.data.take().unwrap_or_default();
    let mut part = |key: &str| part(&mut data, key, namespace, name);
    Ok(Material { ca: part("ca.crt")?, certificate: part("tls.crt")?, key: part("tls.key")? })
}

fn part(data: &mut BTreeMap<String, ByteString>, key: &str, namespace: &str, secret: &str) -> Result<Vec<u8>, String> {
    let part = data.remove(key).map(|ByteString(bytes)| bytes).filter(|bytes| !bytes.is_empty());
    part.ok_or_else(|| {
        format!("Secret {namespace}/{secret} has no {key}: the operator's certificate is ca.crt, tls.crt and tls.key")
    })
}
