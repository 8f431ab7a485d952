//! The service as clients see it: a real one on a free port, and hyper's and tonic's clients.

mod grpc;
mod http;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Behaviour, Latency, Service};

/// Nothing here takes so long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

const MILLISECOND_NS: u64 = 1_000_000;

/// A service on a free port that takes so many milliseconds, with a body of five bytes.
async fn start(latency_ms: u64, error_share: f64) -> Service {
    let latency = Latency::Fixed(latency_ms * MILLISECOND_NS);
    let behaviour = Behaviour { latency, error_share, body_bytes: 5, ..Behaviour::default() };
    Service::start(SocketAddr::from(([127, 0, 0, 1], 0)), behaviour).await.unwrap()
}

/// A connection.
enum Client {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>, SocketAddr),
}

struct Said {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Client {
    async fn one(address: SocketAddr) -> Self {
        Client::one_over(TcpStream::connect(address).await.unwrap()).await
    }

    async fn two(address: SocketAddr) -> Self {
        Client::two_over(TcpStream::connect(address).await.unwrap(), address).await
    }

    /// One of each, as both are to get the same answers.
    async fn both(address: SocketAddr) -> [Self; 2] {
        [Client::one(address).await, Client::two(address).await]
    }

    async fn one_over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client::One(sender)
    }

    async fn two_over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, to: SocketAddr) -> Self {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Client::Two(sender, to)
    }

    /// `headers` is one of `name: value` or empty.
    async fn send(&mut self, method: &str, path: &str, header: &str, body: &str) -> Said {
        let request = Request::builder().method(method);
        let request = match self {
            Client::One(_) => request.uri(path).header("host", "demo"),
            Client::Two(_, to) => request.uri(format!("http://{to}{path}")),
        };
        let request = match header.split_once(": ") {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let answered = async {
            let response: Response<Incoming> = match self {
                Client::One(sender) => {
                    sender.ready().await.unwrap();
                    sender.send_request(request).await.unwrap()
                }
                Client::Two(sender, _) => sender.send_request(request).await.unwrap(),
            };
            let (parts, body) = response.into_parts();
            Said { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
        };
        tokio::time::timeout(PATIENCE, answered).await.unwrap()
    }

    async fn get(&mut self, path: &str) -> Said {
        self.send("GET", path, "", "").await
    }

    async fn stats(&mut self) -> Value {
        self.get("/stats").await.json()
    }
}
