//! The same over TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use loadgrid_proto::demo::v1::HelloRequest;
use loadgrid_proto::demo::v1::demo_client::DemoClient;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use super::*;

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("loadgrid-demo-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    dir
}

async fn start_tls(service: &Service, dir: &Path) -> Result<SocketAddr, String> {
    service.start_tls(SocketAddr::from(([127, 0, 0, 1], 0)), dir).await
}

/// A client's end that trusts the folder's CA and offers one protocol, or none.
async fn handshake(
    address: SocketAddr,
    dir: &Path,
    version: &'static SupportedProtocolVersion,
    offered: Option<&str>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[tokio::test]
async fn both_protocols_are_negotiated_in_both_versions() {
    let dir = folder("alpn");
    let service = start(0, 0.0).await;
    let address = start_tls(&service, &dir).await.unwrap();
    for (version, number) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        for offered in [Some("http/1.1"), Some("h2"), None] {
            let stream = handshake(address, &dir, version, offered).await.unwrap();
            let session = stream.get_ref().1;
            assert_eq!(session.protocol_version(), Some(number));
            assert_eq!(session.alpn_protocol(), offered.map(str::as_bytes));
            let mut client = match offered {
                Some("h2") => Client::two_over(stream, address).await,
                _ => Client::one_over(stream).await,
            };
            assert_eq!(client.get("/").await.body.as_ref(), b"xxxxx");
        }
    }
    // The port in plaintext counts for both.
    let stats = Client::one(service.address()).await.stats().await;
    assert_eq!((&stats["requests"], &stats["connections"]["http1"]), (&6.into(), &4.into()));
    assert_eq!(stats["connections"]["http2"], 2);
    fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn grpc_goes_over_tls() {
    let dir = folder("grpc");
    let service = start(0, 0.0).await;
    let address = start_tls(&service, &dir).await.unwrap();
    let trusted = Certificate::from_pem(fs::read(dir.join("ca.pem")).unwrap());
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    // By its address: that is in the certificate too.
    let endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(trusted)).unwrap();
    let mut demo = DemoClient::new(endpoint.connect().await.unwrap());
    let asked = HelloRequest { name: "Ann".to_owned(), language: String::new() };
    assert_eq!(demo.say_hello(asked).await.unwrap().into_inner().message, "Hello Ann");
    fs::remove_dir_all(&dir).unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_there_is_used_and_half_of_one_refused() {
    let dir = folder("files");
    let service = start(0, 0.0).await;
    start_tls(&service, &dir).await.unwrap();
    let ca = fs::read(dir.join("ca.pem")).unwrap();
    let address = start_tls(&service, &dir).await.unwrap();
    assert_eq!(fs::read(dir.join("ca.pem")).unwrap(), ca);
    handshake(address, &dir, &TLS13, Some("h2")).await.unwrap();

    let other = folder("other");
    start_tls(&service, &other).await.unwrap();
    assert!(handshake(address, &other, &TLS13, Some("h2")).await.is_err(), "another CA");
    fs::copy(other.join("server.key"), dir.join("server.key")).unwrap();
    assert!(start_tls(&service, &dir).await.unwrap_err().contains("can't be used"), "another's key");
    fs::write(dir.join("server.key"), "no key").unwrap();
    assert!(start_tls(&service, &dir).await.unwrap_err().contains("server.key is no PEM file"));
    fs::remove_file(dir.join("server.key")).unwrap();
    assert!(start_tls(&service, &dir).await.unwrap_err().contains("has server.pem and no server.key"));
    fs::remove_file(dir.join("server.pem")).unwrap();
    assert!(start_tls(&service, &dir).await.unwrap_err().contains("ca.pem is there already"));
    for dir in [dir, other] {
        fs::remove_dir_all(&dir).unwrap();
    }
}

#[tokio::test]
async fn a_client_without_tls_disturbs_nobody() {
    let dir = folder("plain");
    let service = start(0, 0.0).await;
    let address = start_tls(&service, &dir).await.unwrap();
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(TcpStream::connect(address).await.unwrap())).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().uri("/").header("host", "demo").body(Full::<Bytes>::default()).unwrap();
    let answered = tokio::time::timeout(PATIENCE, sender.send_request(request)).await.unwrap();
    assert!(answered.is_err());
    let stream = handshake(address, &dir, &TLS13, None).await.unwrap();
    assert_eq!(Client::one_over(stream).await.get("/").await.status, 200);
    fs::remove_dir_all(&dir).unwrap();
}
