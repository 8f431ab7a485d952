//! The way to a cluster: which API server, and as whom. What is asked of it is not known here; what its refusals mean
//! for people is in [`refusal`].

pub mod refusal;

use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tower::BoxError;
use tower::util::MapErrLayer;

use crate::near::listed;
use refusal::Unreachable;

/// An API server that answers takes no longer to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Where a pod finds its API server.
const INSIDE: &str = "KUBERNETES_SERVICE_HOST";

/// An API server, and a client for it.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// As it is written in the kubeconfig: `https://127.0.0.1:6443`.
    pub server: String,
    /// The namespace of the context, or of the pod.
    pub namespace: String,
    /// Whether this is one of the cluster's pods, which reaches what is local to the cluster.
    pub inside: bool,
}

/// The cluster of the kubeconfig (`KUBECONFIG`, then `~/.kube/config`), and where there is none, the one this pod runs
/// in. With a `context`, the kubeconfig alone. Nothing has been asked of the server yet.
///
/// # Errors
/// A sentence: no kubeconfig, one that can't be used and why, or no such context and which there are.
pub async fn cluster(context: Option<&str>) -> Result<Cluster, String> {
    let (config, inside) = config(context).await?;
    made(config, inside)
}

/// The namespace that [`cluster`] would have. None where there is no cluster: no token is fetched for it.
pub async fn namespace(context: Option<&str>) -> Option<String> {
    config(context).await.ok().map(|(config, _)| config.default_namespace)
}

async fn config(context: Option<&str>) -> Result<(Config, bool), String> {
    match Kubeconfig::read() {
        Ok(kubeconfig) => {
            let contexts = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
            let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            Ok((config.map_err(|error| unusable(&error, contexts))?, false))
        }
        Err(error) if absent(&error) => {
            // A context is a kubeconfig's.
            if context.is_some() || std::env::var_os(INSIDE).is_none() {
                return Err(none(context));
            }
            Ok((Config::incluster().map_err(|error| no_token(&error))?, true))
        }
        Err(error) => Err(unusable(&error, Vec::new())),
    }
}

/// Whether there is no kubeconfig at all. One that `KUBECONFIG` names has to be there.
fn absent(error: &KubeconfigError) -> bool {
    let named = std::env::var_os("KUBECONFIG").is_some_and(|paths| !paths.is_empty());
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == ErrorKind::NotFound && !named,
        _ => false,
    }
}

fn made(mut config: Config, inside: bool) -> Result<Cluster, String> {
    config.connect_timeout = Some(CONNECT_MAX);
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let namespace = config.default_namespace.clone();
    let at = server.clone();
    let builder = ClientBuilder::try_from(config)
        .map_err(|error| format!("the API server {server} can't be asked: {}", unbuilt(&error)))?;
    let named = MapErrLayer::new(move |error: BoxError| -> BoxError {
        // What kube says itself is kept as it is: it is told apart by its type.
        if error.is::<kube::Error>() { error } else { Box::new(Unreachable::new(&at, error)) }
    });
    Ok(Cluster { client: builder.with_layer(&named).build(), server, namespace, inside })
}

fn none(context: Option<&str>) -> String {
    let wanted = context.map(|context| format!(" for the context '{context}'")).unwrap_or_default();
    format!(
        "there is no kubeconfig{wanted}: set KUBECONFIG to its path, or put it at ~/.kube/config (the cluster's provider \
         has a command that writes it)"
    )
}

fn no_token(error: &InClusterError) -> String {
    format!(
        "this pod can't ask its API server, {}: {}; its ServiceAccount's token has to be mounted \
         (automountServiceAccountToken: true)",
        std::env::var(INSIDE).unwrap_or_default(),
        refusal::last(error)
    )
}

/// Why a kubeconfig can't be used. Its text is not shown: there are tokens in it.
fn unusable(error: &KubeconfigError, contexts: Vec<String>) -> String {
    match error {
        KubeconfigError::ReadConfig(error, path) if error.kind() == ErrorKind::NotFound => {
            format!("there is no kubeconfig {}, which KUBECONFIG names", path.display())
        }
        KubeconfigError::ReadConfig(error, path) => format!("kubeconfig {} can't be read: {error}", path.display()),
        KubeconfigError::Parse(error) => {
            let place = error.location().map(|place| format!(", line {} column {}", place.line(), place.column()));
            format!("the kubeconfig is not one{}: its YAML can't be read", place.unwrap_or_default())
        }
        KubeconfigError::CurrentContextNotSet => format!(
            "the kubeconfig has no current context: choose one with --context; there are: {}",
            listed("", contexts)
        ),
        KubeconfigError::LoadContext(name) => {
            format!("the kubeconfig has no context '{name}'; there are: {}", listed(name, contexts))
        }
        KubeconfigError::LoadClusterOfContext(name) => {
            format!("the kubeconfig has no cluster '{name}', which its context names")
        }
        other => format!("the kubeconfig can't be used: {}", refusal::one_line(&other.to_string())),
    }
}

fn unbuilt(error: &kube::Error) -> String {
    match error {
        kube::Error::Auth(error) => refusal::credentials(error),
        // Causes have their own causes' words in theirs, and say what they are about.
        other => refusal::one_line(&other.source().map_or_else(|| other.to_string(), ToString::to_string)),
    }
}

#[cfg(test)]
mod tests;
