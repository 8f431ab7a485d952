//! The coordinator's end of the sessions: who may come in, and what they say, handed to the dispatcher.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loadgrid_proto::v1::control_server::{Control, ControlServer};
use loadgrid_proto::v1::coordinator_message::Kind as ToWorker;
use loadgrid_proto::v1::grid_server::{Grid, GridServer};
use loadgrid_proto::v1::worker_message::Kind as FromWorker;
use loadgrid_proto::{MESSAGE_BYTES_MAX, PROTOCOL_VERSION, v1};
use loadgrid_worker::clock;
use loadgrid_worker::limits::LANES_MAX;
use loadgrid_worker::tls::Material;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::{Connected, TcpIncoming};
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use super::certs::{Role, require_role};
use super::run::StopReason;
use super::session::Heard;
use super::{Events, OUTGOING_MAX, Snapshot};

/// HTTP/2 pings tell a dead peer from a quiet one.
pub const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// A TLS handshake may take so long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Of a worker: it goes into logs, tables and pages.
const NAME_MAX: usize = 253;

/// A stream has to say hello within this time.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// The way to one worker, as long as its session holds.
pub type Outgoing = mpsc::Sender<Result<v1::CoordinatorMessage, Status>>;

/// What sessions tell the dispatcher.
#[derive(Debug)]
pub enum Event {
    Joined { session: u64, hello: v1::Hello, outgoing: Outgoing, heard: Heard },
    Said { session: u64, worker: String, kind: Box<FromWorker> },
    Left { session: u64, worker: String },
}

/// How the listener is secured.
#[derive(Clone)]
pub enum Security {
    Tls(Material),
    /// Plaintext, asked for in so many words.
    Insecure,
}

/// A coordinator that listens.
pub struct Listener {
    pub address: SocketAddr,
}

/// The gRPC services.
#[derive(Clone)]
pub(super) struct Service {
    events: Events,
    sessions: std::sync::Arc<AtomicU64>,
    /// Who asks, must show the role's certificate.
    roles: bool,
    control: Option<ControlHandle>,
}

#[derive(Clone)]
struct ControlHandle {
    stop: watch::Sender<Option<StopReason>>,
    snapshots: watch::Receiver<Snapshot>,
    run: String,
}

impl Service {
    pub(super) fn in_process(events: Events) -> Self {
        Service { events, sessions: Default::default(), roles: false, control: None }
    }

    /// Serves sessions on connections from a stream until that ends.
    pub(super) async fn serve<I, S>(self, incoming: I) -> Result<(), tonic::transport::Error>
    where
        I: Stream<Item = Result<S, std::io::Error>> + Send + 'static,
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Connected + Unpin + Send + 'static,
    {
        Server::builder().add_service(self.grid()).serve_with_incoming(incoming).await
    }

    fn grid(&self) -> GridServer<Service> {
        GridServer::new(self.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }
}

/// The sessions of workers, for a server of one's own. With `roles` who comes must show a worker's certificate.
pub fn sessions(events: Events, roles: bool) -> GridServer<impl Grid> {
    Service { events, sessions: Default::default(), roles, control: None }.grid()
}

/// Listens for workers, and for operators who look or stop.
///
/// # Errors
/// A sentence for people: the address is taken, or the certificates can't be used.
pub async fn listen(
    address: SocketAddr,
    security: Security,
    run: String,
    events: Events,
    stop: watch::Sender<Option<StopReason>>,
    snapshots: watch::Receiver<Snapshot>,
) -> Result<Listener, String> {
    let socket = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| format!("{address} can't be listened on ({error}): choose another with --listen"))?;
    let address = socket.local_addr().map_err(|error| error.to_string())?;
    let mut server =
        Server::builder().http2_keepalive_interval(Some(KEEP_ALIVE)).http2_keepalive_timeout(Some(2 * KEEP_ALIVE));
    let roles = matches!(security, Security::Tls(_));
    if let Security::Tls(material) = security {
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(material.certificate, material.key))
            .client_ca_root(Certificate::from_pem(material.ca))
            .timeout(HANDSHAKE_TIMEOUT);
        server = server.tls_config(tls).map_err(|error| {
            format!("the certificates can't be used: {}", loadgrid_worker::session::error_chain(&error))
        })?;
    }
    let control = ControlHandle { stop, snapshots, run };
    let service = Service { events, sessions: Default::default(), roles, control: Some(control) };
    let router = server.add_service(service.grid()).add_service(ControlServer::new(service));
    let incoming = TcpIncoming::from(socket).with_nodelay(Some(true));
    tokio::spawn(async move {
        // A listener that ends early is noticed by the workers that are missing.
        if let Err(error) = router.serve_with_incoming(incoming.chain(tokio_stream::pending())).await {
            tracing::error!("the listener ended: {error}");
        }
    });
    Ok(Listener { address })
}

#[tonic::async_trait]
impl Grid for Service {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<v1::CoordinatorMessage, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        if self.roles {
            require_role(request.peer_certs().as_deref().map(Vec::as_slice), Role::Worker)?;
        }
        let mut incoming = request.into_inner();
        let first = tokio::time::timeout(HELLO_TIMEOUT, incoming.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no hello came"))??;
        let Some(FromWorker::Hello(hello)) = first.and_then(|message| message.kind) else {
            return Err(Status::invalid_argument("a session begins with a hello"));
        };
        if hello.protocol_version != PROTOCOL_VERSION {
            return Err(Status::failed_precondition(format!(
                "worker {} (version {}) speaks session protocol {}, this coordinator (version {}) speaks {PROTOCOL_VERSION}: \
                 install the same version on both sides",
                hello.name,
                hello.version,
                hello.protocol_version,
                env!("CARGO_PKG_VERSION"),
            )));
        }
        if hello.name.len() > NAME_MAX || hello.name.chars().any(char::is_control) {
            return Err(Status::invalid_argument(format!(
                "a worker's name has at most {NAME_MAX} bytes and no control characters: choose another with --name"
            )));
        }
        if hello.lanes == 0 || hello.lanes > LANES_MAX {
            return Err(Status::invalid_argument(format!(
                "a worker has 1 to {LANES_MAX} lanes, {} offers {}",
                hello.name, hello.lanes
            )));
        }
        let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
        let session = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let worker = hello.worker.clone();
        let events = self.events.clone();
        let heard = Heard::default();
        heard.now(clock::now_ns());
        let joined = Event::Joined { session, hello, outgoing: outgoing.clone(), heard: heard.clone() };
        events.send(joined).await.map_err(|_| Status::unavailable("the run is over"))?;
        tokio::spawn(async move {
            while let Ok(Some(message)) = incoming.message().await {
                heard.now(clock::now_ns());
                let event = match message.kind {
                    // Answered here and at once: what waits for the dispatcher would count as distance.
                    Some(FromWorker::Ping(ping)) => {
                        let coordinator_ns = clock::now_ns();
                        let pong = v1::ClockPong { worker_ns: ping.worker_ns, coordinator_ns };
                        let _ = outgoing.try_send(Ok(v1::CoordinatorMessage { kind: Some(ToWorker::Pong(pong)) }));
                        continue;
                    }
                    Some(kind) => Event::Said { session, worker: worker.clone(), kind: Box::new(kind) },
                    None => continue,
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
            let _ = events.send(Event::Left { session, worker }).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}

/// A coordinator of one run is told what to do by its own command line.
fn not_served<T>() -> Result<T, Status> {
    Err(Status::unimplemented("this coordinator carries out one run (--listen): `loadgrid serve` takes submissions"))
}

#[tonic::async_trait]
impl Control for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::Watched, Status>> + Send>>;

    async fn submit(&self, _: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        not_served()
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        not_served()
    }

    async fn list(&self, _: Request<v1::ListRequest>) -> Result<Response<v1::ListReply>, Status> {
        not_served()
    }

    async fn report(&self, _: Request<v1::ReportRequest>) -> Result<Response<v1::ReportReply>, Status> {
        not_served()
    }

    async fn files(&self, _: Request<v1::FilesRequest>) -> Result<Response<v1::FilesReply>, Status> {
        not_served()
    }

    async fn status(&self, request: Request<v1::StatusRequest>) -> Result<Response<v1::StatusReply>, Status> {
        let control = self.operator(&request)?;
        let snapshot = control.snapshots.borrow().clone();
        Ok(Response::new(v1::StatusReply {
            run: control.run.clone(),
            phase: snapshot.phase.name().to_owned(),
            workers: snapshot.joined as u32,
            planned: snapshot.planned,
            sent: snapshot.sent,
            errors: snapshot.errors,
        }))
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Result<Response<v1::StopReply>, Status> {
        let control = self.operator(&request)?;
        let reason = StopReason::Operator(request.get_ref().reason.clone());
        control.stop.send_if_modified(|stop| stop.is_none() && stop.replace(reason).is_none());
        Ok(Response::new(v1::StopReply { run: control.run.clone() }))
    }
}

impl Service {
    fn operator<T>(&self, request: &Request<T>) -> Result<&ControlHandle, Status> {
        if self.roles {
            require_role(request.peer_certs().as_deref().map(Vec::as_slice), Role::Operator)?;
        }
        self.control.as_ref().ok_or_else(|| Status::unimplemented("an embedded grid is not controlled from outside"))
    }
}
