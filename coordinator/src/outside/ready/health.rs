//! One question of gRPC's health protocol, on a connection of its own. When it is asked again is not known here.

use std::error::Error as _;
use std::io;

use hyper_util::rt::TokioIo;
use loadgrid_worker::client::secure::{Secure, Tls, Version, handshake_error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{authority, io_reason};

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Whether the service says SERVING.
///
/// # Errors
/// Why not: no connection, no health protocol, no such service, or another state.
pub(super) async fn check(host: &str, port: u16, service: &str, tls: Option<&Tls>) -> Result<(), String> {
    let socket = open(host, port, tls).await?;
    let channel = channel(socket, &authority(host, port), tls.is_some()).await?;
    let asked = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(asked).await.map_err(|status| refusal(&status, service))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(format!("health {}, wanted SERVING", other.as_str_name())),
    }
}

async fn open(host: &str, port: u16, tls: Option<&Tls>) -> Result<Box<dyn Socket>, String> {
    let socket = TcpStream::connect((host, port)).await.map_err(|error| io_reason(&error))?;
    let Some(tls) = tls else { return Ok(Box::new(socket)) };
    let secure = Secure::new(tls, Version::Http2, host)?;
    let connected = TlsConnector::from(secure.config).connect(secure.name, socket).await;
    let stream = connected.map_err(|error| handshake_error(&error).1)?;
    // Servers that know nothing of ALPN finish the handshake, and speak HTTP/1.1.
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err("it does not speak HTTP/2 over TLS (ALPN)".to_owned());
    }
    Ok(Box::new(stream))
}

/// A channel over an open connection; there is no second one.
async fn channel(socket: Box<dyn Socket>, authority: &str, tls: bool) -> Result<Channel, String> {
    let scheme = if tls { "https" } else { "http" };
    let origin: Uri = format!("{scheme}://{authority}").parse().map_err(|_| format!("'{authority}' is no host"))?;
    let mut socket = Some(TokioIo::new(socket));
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        async move { socket }
    });
    // The endpoint's own URI stays one of cleartext: with https, tonic would want to add a TLS of its own.
    let endpoint = Endpoint::from_static("http://unused.invalid").origin(origin);
    endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| format!("it does not speak HTTP/2 ({})", cause(&error)))
}

fn refusal(status: &Status, service: &str) -> String {
    match status.code() {
        Code::Unimplemented => "it has no gRPC health service: wait for tcp instead".to_owned(),
        Code::NotFound => format!("its health service does not know '{service}'"),
        _ if status.source().is_some() => format!("it does not answer as a gRPC server does ({})", cause(status)),
        code => format!("status {code:?} ({})", status.message()),
    }
}

/// The innermost text of an error, for tonic's own says nothing.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
