//! A gRPC server asked before the load, not under it: the connection, the metadata, whether it calls itself healthy.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper::http::uri::Uri;
use hyper::http::{HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use loadgrid_worker::client::grpc::code_name;
use loadgrid_worker::client::secure::{Secure, Tls, Version, handshake_error};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// How to reach a server.
#[derive(Clone)]
pub struct Server {
    /// Where the socket goes.
    pub connect: (String, u16),
    /// What `:authority` says.
    pub authority: String,
    /// The name that its certificate is verified against, unless `tls` has another.
    pub host: String,
    /// None for plaintext.
    pub tls: Option<Tls>,
    /// Values of `-bin` keys are in base64, as on the wire.
    pub metadata: Vec<(String, String)>,
    /// For everything that is asked of it at one time.
    pub timeout: Duration,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Server {
    /// For people.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.connect.0, self.connect.1)
    }

    /// Waits no longer than the timeout.
    pub(super) async fn within<T>(&self, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        tokio::time::timeout(self.timeout, work)
            .await
            .unwrap_or_else(|_| Err(format!("{}: no answer in {} s", self.name(), self.timeout.as_secs_f64())))
    }

    pub(super) fn metadata(&self) -> Result<MetadataMap, String> {
        let mut headers = HeaderMap::new();
        for (key, value) in &self.metadata {
            let name: HeaderName = key.parse().map_err(|_| format!("metadata: '{key}' is no name of a header"))?;
            // The value may be a secret.
            let value: HeaderValue = value
                .parse()
                .map_err(|_| format!("metadata.{key}: the value has characters that no header can have"))?;
            headers.append(name, value);
        }
        Ok(MetadataMap::from_headers(headers))
    }

    pub(super) async fn channel(&self) -> Result<Channel, String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let origin: Uri = format!("{scheme}://{}", self.authority)
            .parse()
            .map_err(|_| format!("'{}' is no authority: write host:port", self.authority))?;
        let secure = self.tls.as_ref().map(|tls| Secure::new(tls, Version::Http2, &self.host)).transpose()?;
        let (host, port) = self.connect.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let (host, secure) = (host.trim_matches(['[', ']']).to_owned(), secure.clone());
            async move { connect(&host, port, secure).await.map(TokioIo::new) }
        });
        // With https here tonic would want to add TLS of its own.
        Endpoint::from_static("http://server")
            .origin(origin)
            .connect_with_connector(connector)
            .await
            .map_err(|error| format!("{}: {}", self.name(), cause(&error)))
    }

    /// What a refusal means.
    pub(super) fn refusal(&self, what: &str, status: &Status) -> String {
        let why = match status.source() {
            Some(source) => cause(source),
            None if status.message().is_empty() => code_name(status.code() as u16),
            None => format!("{}: {}", code_name(status.code() as u16), status.message()),
        };
        let mend = match (status.code(), status.source()) {
            (Code::Unauthenticated | Code::PermissionDenied, _) => ". Give it what it wants with metadata",
            // The connection broke: that is what servers of HTTP/1.1, or with TLS where none is expected, do.
            (_, Some(_)) => ". See that it speaks gRPC (HTTP/2), and TLS where the test says so",
            _ => "",
        };
        format!("{}: {what} failed ({why}){mend}", self.name())
    }
}

async fn connect(host: &str, port: u16, secure: Option<Secure>) -> io::Result<Box<dyn Io>> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let Some(secure) = secure else { return Ok(Box::new(stream)) };
    let stream = TlsConnector::from(secure.config).connect(secure.name, stream).await?;
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(io::Error::other("it does not offer HTTP/2, which gRPC needs (no ALPN answer)"));
    }
    Ok(Box::new(stream))
}

/// The innermost reason: the outer ones say no more than that something failed.
fn cause(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    loop {
        if let Some(error) = innermost.downcast_ref::<io::Error>()
            && error.get_ref().is_some_and(|inner| inner.is::<tokio_rustls::rustls::Error>())
        {
            return handshake_error(error).1;
        }
        match innermost.source() {
            Some(source) => innermost = source,
            None => return innermost.to_string(),
        }
    }
}

/// Whether a service calls itself healthy (`grpc.health.v1`); `""` is the whole server.
///
/// # Errors
/// A sentence: the server is not there, does not know the service, or says nothing of its health.
pub async fn healthy(server: &Server, service: &str) -> Result<bool, String> {
    server.within(ask_health(server, service)).await
}

async fn ask_health(server: &Server, service: &str) -> Result<bool, String> {
    let mut request = Request::new(HealthCheckRequest { service: service.to_owned() });
    *request.metadata_mut() = server.metadata()?;
    let answer = HealthClient::new(server.channel().await?).check(request).await;
    let name = server.name();
    match answer {
        Ok(answer) => Ok(answer.into_inner().status() == ServingStatus::Serving),
        Err(status) if status.code() == Code::NotFound => {
            Err(format!("{name}: it knows nothing of the health of '{service}': mend the name, or leave service out"))
        }
        Err(status) if status.code() == Code::Unimplemented => {
            Err(format!("{name}: it has no grpc.health.v1: wait for it with tcp: \"{name}\" instead"))
        }
        Err(status) => Err(server.refusal("the health check", &status)),
    }
}
