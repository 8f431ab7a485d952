//! `loadgrid serve`: a coordinator that stays. It keeps a pool of workers, runs what is submitted, and keeps the results.

mod execute;
mod hold;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use loadgrid_proto::MESSAGE_BYTES_MAX;
use loadgrid_proto::v1::control_server::ControlServer;
use loadgrid_worker::allow::AllowList;
use loadgrid_worker::limits;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use self::execute::Executor;
use super::documents::Document;
use super::store::KeepFlags;
use super::{Failure, Outcome, exit, output, runtime};
use crate::grid;
use crate::kube::client::{self, Cluster};
use crate::kube::controller::{self, Scope};
use crate::kube::lease::Leases;
use crate::outside::fetch;
use crate::report::Format;
use crate::serve::control::Api;
use crate::serve::secure::{self, Certificates};
use crate::serve::web::Web;
use crate::serve::{Service, Settings, pool};
use crate::store::{Environment, Location};

#[derive(Args)]
pub(super) struct Arguments {
    /// Where workers and operators come to (gRPC).
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7400")]
    listen: SocketAddr,
    /// Where health, metrics and the live page are (HTTP, for reading alone).
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7480")]
    http: SocketAddr,
    /// The folder with ca.pem, coordinator.pem and coordinator.key, or ca.crt, tls.crt and tls.key; read again when they
    /// change.
    #[arg(long, value_name = "DIR", default_value = "certs", env = "LOADGRID_TLS_DIR")]
    tls_dir: PathBuf,
    /// Speak plaintext. Whoever reaches the port can aim the grid at anything on the allow-list.
    #[arg(long)]
    insecure: bool,
    /// Targets that may be tested: *.svc.cluster.local, HOST, HOST:PORT, 10.0.0.0/8, or * for all (repeatable).
    #[arg(
        long,
        value_name = "PATTERN",
        value_delimiter = ',',
        env = "LOADGRID_ALLOW",
        default_value = "*.svc.cluster.local,*.svc"
    )]
    allow: Vec<String>,
    /// Where the queue is remembered, and what running tests have measured so far [default: serve in the store's folder].
    #[arg(long, value_name = "DIR", env = "LOADGRID_STATE")]
    state: Option<PathBuf>,
    /// Where `${file:NAME/KEY}` and files of LoadTest resources are looked up (mounted Secrets).
    #[arg(long, value_name = "DIR", default_value = "/etc/loadgrid/secrets")]
    secrets_dir: PathBuf,
    /// Run the LoadTest resources of the cluster.
    #[arg(long, help_heading = "Cluster")]
    controller: bool,
    /// Whose LoadTests (repeatable) [default: the pod's, or the kubeconfig's].
    #[arg(long, value_name = "NAMESPACE", requires = "controller", help_heading = "Cluster")]
    namespace: Vec<String>,
    /// LoadTests of every namespace.
    #[arg(long, requires = "controller", conflicts_with = "namespace", help_heading = "Cluster")]
    all_namespaces: bool,
    /// Hold a Lease in this namespace for each target under test, so that no two coordinators test the same one.
    #[arg(long, value_name = "NAMESPACE", help_heading = "Cluster")]
    lease_namespace: Option<String>,
    /// Of the kubeconfig [default: its current one; in a pod its ServiceAccount].
    #[arg(long, value_name = "CONTEXT", help_heading = "Cluster")]
    context: Option<String>,
    /// How people reach the live page, for links to reports.
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    #[command(flatten)]
    keep: KeepFlags,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let allow = AllowList::parse(&arguments.allow).map_err(|error| Failure::usage(format!("--allow: {error}")))?;
    let keeper = arguments.keep.served()?;
    let state = state(arguments, keeper.store().location())?;
    let secure = match arguments.insecure {
        true => {
            output::complain("warning: --insecure: whoever reaches the port can aim this grid at its allowed targets");
            None
        }
        false => Some(Certificates::open(&arguments.tls_dir).map_err(Failure::usage)?),
    };
    runtime()?.block_on(async {
        let store = keeper.store();
        let cluster = match arguments.controller || arguments.lease_namespace.is_some() {
            true => Some(client::cluster(arguments.context.as_deref()).await.map_err(Failure::usage)?),
            false => None,
        };
        if arguments.controller && cluster.as_ref().is_some_and(|cluster| cluster.inside) {
            fetch::refuse_loopback();
        }
        let (events, received) = grid::events();
        let pool = pool::start(received);
        let executor = Arc::new(Executor {
            allow,
            mounted: arguments.secrets_dir.clone(),
            scratch: std::env::temp_dir(),
            keeper,
            context: arguments.context.clone(),
            namespace: client::namespace(arguments.context.as_deref()).await,
            leases: arguments.lease_namespace.as_ref().zip(cluster.as_ref()).map(|(namespace, cluster)| {
                // A pod of a StatefulSet takes its own leases up again after a restart.
                Leases::new(cluster.client.clone(), namespace, &holder(cluster))
            }),
            runtime: tokio::runtime::Handle::current(),
        });
        let service = Service::start(Settings { state: Some(state), pool, executor });
        let service = service.map_err(Failure::not_carried_out)?;
        let api = Api { service: service.clone(), store, roles: secure.is_some(), link: arguments.link.clone() };
        let sessions = grid::sessions(events, secure.is_some());
        let resource_api = Arc::new(api.clone());
        web(arguments.http, api.clone()).await?;
        listen(arguments.listen, secure, Routes::new(sessions).add_service(control(api))).await?;
        let controller = arguments.controller.then_some(cluster).flatten();
        let (end, ended) = watch::channel(false);
        let controller = controller.map(|cluster| resources(arguments, cluster, resource_api, ended));
        limits::asked_to_end().await;
        output::complain("stopping; once more to leave at once");
        let all_ended = async {
            service.end().await;
            // Resources say how their runs ended before nobody is there to write it.
            end.send_replace(true);
            if let Some(controller) = controller {
                let _ = controller.await;
            }
        };
        tokio::select! {
            () = all_ended => {}
            () = limits::asked_to_end() => {}
        }
        Ok(exit::PASS)
    })
}

/// Runs LoadTests until the end.
fn resources(
    arguments: &Arguments,
    cluster: Cluster,
    api: Arc<Api>,
    mut ended: watch::Receiver<bool>,
) -> JoinHandle<()> {
    let scope = match (arguments.all_namespaces, arguments.namespace.is_empty()) {
        (true, _) => Scope::All,
        (false, false) => Scope::Namespaces(arguments.namespace.clone()),
        (false, true) => Scope::Namespaces(vec![cluster.namespace.clone()]),
    };
    let of = match &scope {
        Scope::All => "all namespaces".to_owned(),
        Scope::Namespaces(names) => names.join(", "),
    };
    output::complain(&format!("LoadTests of {of} on {}", cluster.server));
    tokio::spawn(async move {
        let stop = async move { drop(ended.wait_for(|ended| *ended).await) };
        let holder = holder(&cluster);
        if let Err(error) = controller::run(cluster.client, scope, api, &holder, stop).await {
            tracing::error!("no LoadTest is run any more: {error}");
        }
    })
}

/// Which coordinator this is in the cluster. A pod of a StatefulSet is the same one after a restart, and others of its
/// name are in other namespaces.
fn holder(cluster: &Cluster) -> String {
    let pod = std::env::var("POD_NAME").unwrap_or_else(|_| limits::default_name());
    format!("{}/{pod}", cluster.namespace)
}

fn control(api: Api) -> ControlServer<Api> {
    ControlServer::new(api).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}

/// Where the service remembers: beside its results, or with a bucket where it is told.
fn state(arguments: &Arguments, store: &Location) -> Result<PathBuf, Failure> {
    match (&arguments.state, store) {
        (Some(state), _) => Ok(state.clone()),
        (None, Location::Folder(folder)) => Ok(folder.join("serve")),
        (None, Location::S3 { .. } | Location::Served(_)) => {
            let environment = Environment::of_process();
            match Location::of(None, &environment)? {
                Location::Folder(folder) => Ok(folder.join("serve")),
                _ => Err(Failure::usage("--state DIR: name the folder where the queue is remembered")),
            }
        }
    }
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::not_carried_out(format!("{address} can't be listened on ({error}): choose another with {flag}"))
    })
}

async fn web(address: SocketAddr, api: Api) -> Result<(), Failure> {
    let socket = bind("--http", address).await?;
    let address = socket.local_addr().map_err(Failure::not_carried_out)?;
    let service = api.service.clone();
    let metrics = Arc::new(move |accept: Option<&str>| {
        let exposition = service.metrics(accept);
        (exposition.content_type.to_owned(), exposition.body)
    });
    let render = Arc::new(|document: &str| Document::parse(document)?.render(Format::Html, false));
    let router = Web::new(api, render, metrics).router();
    output::complain(&format!("live page, metrics and health on http://{address}"));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(socket, router).await {
            tracing::error!("the HTTP side ended: {error}");
        }
    });
    Ok(())
}

async fn listen(address: SocketAddr, secure: Option<Certificates>, routes: Routes) -> Result<(), Failure> {
    let socket = bind("--listen", address).await?;
    let address = socket.local_addr().map_err(Failure::not_carried_out)?;
    let server = Server::builder()
        .http2_keepalive_interval(Some(grid::KEEP_ALIVE))
        .http2_keepalive_timeout(Some(2 * grid::KEEP_ALIVE))
        .add_routes(routes);
    let scheme = if secure.is_some() { "https" } else { "http" };
    tokio::spawn(async move {
        let ended = match secure {
            Some(certificates) => server.serve_with_incoming(secure::accept(socket, certificates)).await,
            None => server.serve_with_incoming(TcpIncoming::from(socket).with_nodelay(Some(true))).await,
        };
        if let Err(error) = ended {
            tracing::error!("the listener ended: {error}");
        }
    });
    output::complain(&format!("waiting for workers and submissions on {scheme}://{address}"));
    Ok(())
}
