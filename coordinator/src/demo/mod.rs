//! A target whose behaviour is known: what loadgrid's accuracy is tested against, and what a newcomer loads first.

mod behaviour;
mod clockwork;
mod grpc;
mod http;
mod login;
mod state;
mod stats;
#[cfg(test)]
mod tests;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;

pub(crate) use self::behaviour::share;
pub use self::behaviour::{Behaviour, Latency, Stall};
use self::state::State;

/// Requests at once on an HTTP/2 connection.
const STREAMS_MAX: u32 = 250;

/// A TLS handshake may take so long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// A running service: HTTP/1.1, HTTP/2 and gRPC on each of its ports. It lives as long as its runtime.
pub struct Service {
    address: SocketAddr,
    site: Arc<Site>,
}

struct Site {
    state: Arc<State>,
    grpc: Routes,
}

impl Service {
    /// Listens and serves from then on, in the runtime of the caller, in plaintext.
    ///
    /// # Errors
    /// The address is taken, or the machine has no timer.
    pub async fn start(address: SocketAddr, behaviour: Behaviour) -> io::Result<Service> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(behaviour)?);
        let site = Arc::new(Site { grpc: grpc::routes(state.clone()).await?, state });
        tokio::spawn(accept(listener, site.clone(), None));
        Ok(Service { address, site })
    }

    /// Serves the same over TLS on a second port, with `server.pem` and `server.key` of a folder, or with a
    /// certificate for localhost that is made there together with its `ca.pem`. Returns where it listens.
    ///
    /// # Errors
    /// A sentence for people: the address is taken, or the files can't be used.
    pub async fn start_tls(&self, address: SocketAddr, dir: &Path) -> Result<SocketAddr, String> {
        let taken = |error| format!("{address} can't be listened on ({error}): choose another with --tls");
        let listener = TcpListener::bind(address).await.map_err(taken)?;
        let listening = listener.local_addr().map_err(taken)?;
        tokio::spawn(accept(listener, self.site.clone(), Some(tls::acceptor(dir)?)));
        Ok(listening)
    }

    /// Where it listens for plaintext.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>, tls: Option<TlsAcceptor>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: connections that end make room.
                tracing::warn!("the demo service can't accept: {error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (site, tls) = (site.clone(), tls.clone());
        site.state.stats.accepted();
        tokio::spawn(async move {
            let Some(tls) = tls else { return serve(stream, site).await };
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                Ok(Ok(stream)) => serve(stream, site).await,
                Ok(Err(error)) => tracing::debug!("a TLS handshake with the demo service failed: {error}"),
                Err(_) => tracing::debug!("a TLS handshake with the demo service took too long"),
            }
        });
    }
}

/// Serves a connection in whichever protocol its first bytes are.
async fn serve<S>(stream: S, site: Arc<Site>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let known = AtomicBool::new(false);
    let answer = service_fn(move |request: Request<Incoming>| {
        if request.uri().path() != stats::PATH && !known.swap(true, Ordering::Relaxed) {
            site.state.stats.speaks(request.version());
        }
        let site = site.clone();
        async move { Ok::<_, Infallible>(site.answer(request).await) }
    });
    let mut protocols = auto::Builder::new(TokioExecutor::new());
    protocols.http2().max_concurrent_streams(STREAMS_MAX);
    // A client that goes away in mid-request is no event.
    let _ = protocols.serve_connection(TokioIo::new(stream), answer).await;
}

impl Site {
    async fn answer(&self, request: Request<Incoming>) -> Response<Either<Full<Bytes>, tonic::body::Body>> {
        if !grpc::is_call(request.headers()) {
            return http::answer(request, &self.state).await.map(Either::Left);
        }
        self.state.stats.call(request.uri().path());
        if request.version() != Version::HTTP_2 {
            let refused = http::text(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "gRPC needs HTTP/2");
            return refused.map(Either::Left);
        }
        grpc::call(request, &self.grpc).await.map(Either::Right)
    }
}
