//! A target whose behaviour is known: what loadgrid's accuracy is tested against, and what a newcomer loads first.

mod behaviour;
mod clockwork;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use loadgrid_worker::clock;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore};

use self::behaviour::Dice;
pub(crate) use self::behaviour::share;
pub use self::behaviour::{Behaviour, Latency, Stall};
use self::clockwork::Clockwork;

/// Where the service tells what it counted. Asking does not count.
const STATS_PATH: &str = "/stats";

/// A running service. It lives as long as its runtime.
pub struct Service {
    address: SocketAddr,
}

struct State {
    behaviour: Behaviour,
    clockwork: Clockwork,
    dice: Mutex<Dice>,
    places: Option<Semaphore>,
    /// When the first request came, ns; 0 before it. The stall counts from there.
    first_ns: AtomicU64,
    requests: AtomicU64,
    errors: AtomicU64,
    body: Bytes,
}

impl Service {
    /// Listens and serves from then on, in the runtime of the caller.
    ///
    /// # Errors
    /// The address is taken, or the machine has no timer.
    pub async fn start(address: SocketAddr, behaviour: Behaviour) -> io::Result<Service> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            clockwork: Clockwork::start()?,
            dice: Mutex::new(Dice::new(behaviour.seed)),
            places: behaviour.workers.map(Semaphore::new),
            first_ns: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            body: Bytes::from(vec![b'x'; behaviour.body_bytes]),
            behaviour,
        });
        tokio::spawn(accept(listener, state));
        Ok(Service { address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: connections that end make room.
                tracing::warn!("the demo service can't accept: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let state = state.clone();
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(request, &state));
            // A client that goes away in mid-request is no event.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: &State) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == STATS_PATH {
        let counted = format!(
            "{{\"requests\":{},\"errors\":{}}}\n",
            state.requests.load(Ordering::Relaxed),
            state.errors.load(Ordering::Relaxed)
        );
        return Ok(Response::new(Full::new(Bytes::from(counted))));
    }
    let now = clock::now_ns();
    let _ = state.first_ns.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    state.requests.fetch_add(1, Ordering::Relaxed);
    // Whatever was sent is read, so that the connection can carry the next request.
    let _ = request.into_body().collect().await;
    let (latency_ns, fails) = {
        let mut dice = state.dice.lock().await;
        (dice.latency_ns(&state.behaviour.latency), dice.fails(state.behaviour.error_share))
    };
    work(state, latency_ns, now).await;
    let mut response = Response::new(Full::new(state.body.clone()));
    if fails {
        state.errors.fetch_add(1, Ordering::Relaxed);
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    Ok(response)
}

/// Takes a place if they are limited, and the time that it takes.
async fn work(state: &State, latency_ns: u64, came_ns: u64) {
    let place = match &state.places {
        // Never closed.
        Some(places) => places.acquire().await.ok(),
        None => None,
    };
    let began = if place.is_some() { clock::now_ns() } else { came_ns };
    if latency_ns > 0 {
        state.clockwork.sleep_until(began + latency_ns).await;
    }
    if let Some(stall) = state.behaviour.stall {
        let first = state.first_ns.load(Ordering::Relaxed);
        let (from, to) = (first + stall.at_ns, first + stall.at_ns + stall.length_ns);
        if (from..to).contains(&clock::now_ns()) {
            state.clockwork.sleep_until(to).await;
        }
    }
}
