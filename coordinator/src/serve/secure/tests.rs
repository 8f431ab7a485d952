use std::fs;
use std::path::PathBuf;

use loadgrid_worker::tls::{Material, connect, endpoint};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsConnector, client};
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::grid::certs::{Role, authority, named, require_role, valid_for};

/// A CA of its own, and what it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        // All have the same name, as those that `loadgrid certs` makes have.
        let (pem, issuer) = authority("loadgrid CA").unwrap();
        Authority { pem, issuer }
    }

    /// Certificate and key of a role, for so many days from now.
    fn leaf(&self, role: Role, days: i64) -> (String, String) {
        let names = if role == Role::Coordinator { vec!["localhost".to_owned()] } else { Vec::new() };
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = named(&format!("loadgrid {}", role.name()));
        let uri = format!("{}{}", loadgrid_proto::ROLE_URI_PREFIX, role.name());
        params.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
        params.extended_key_usages = vec![match role {
            Role::Coordinator => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Worker | Role::Operator => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        valid_for(&mut params, days);
        params.not_before = params.not_before.min(params.not_after - time::Duration::days(1));
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn client(&self, days: i64) -> Material {
        let (certificate, key) = self.leaf(Role::Worker, days);
        Material { ca: self.pem.clone().into(), certificate: certificate.into(), key: key.into() }
    }
}

/// A coordinator's folder, laid out as a Secret is.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, ca: &str, leaf: &(String, String)) -> Self {
        let dir = std::env::temp_dir().join(format!("loadgrid-secure-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let folder = Folder(dir);
        folder.put(ca, leaf);
        folder
    }

    fn put(&self, ca: &str, leaf: &(String, String)) {
        for (name, text) in [("ca.crt", ca), ("tls.crt", &leaf.0), ("tls.key", &leaf.1)] {
            fs::write(self.0.join(name), text).unwrap();
        }
    }

    /// Looked at for every connection.
    fn open(&self) -> Certificates {
        Certificates::looking(&self.0, Duration::ZERO).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn listening(folder: &Folder, limits: Limits) -> (Incoming, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (start(listener, folder.open(), limits), address)
}

const LIMITS: Limits = Limits { handshakes: HANDSHAKES_MAX, handshake: Duration::from_secs(60) };

/// A gRPC service that is for workers alone.
async fn serving(folder: &Folder) -> SocketAddr {
    let (incoming, address) = listening(folder, LIMITS).await;
    let (_, health) = tonic_health::server::health_reporter();
    let health = tonic::service::interceptor::InterceptedService::new(health, |request: Request<()>| {
        require_role(request.peer_certs().as_deref().map(Vec::as_slice), Role::Worker)?;
        Ok::<_, Status>(request)
    });
    tokio::spawn(Server::builder().add_service(health).serve_with_incoming(incoming));
    address
}

async fn dial(address: SocketAddr, material: &Material) -> Result<Channel, String> {
    connect(endpoint(&format!("https://localhost:{}", address.port()), Some(material.clone())).unwrap()).await
}

async fn ask(channel: &Channel) -> Result<(), Status> {
    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.map(|_| ())
}

/// A TLS client without gRPC.
async fn shake(stream: TcpStream, material: &Material) -> io::Result<client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&material.ca).map(Result::unwrap));
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match material.certificate.as_slice() {
        [] => builder.with_no_client_auth(),
        pem => {
            let chain = CertificateDer::pem_slice_iter(pem).map(Result::unwrap).collect();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&material.key).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// What the coordinator says of a client, and what that one hears.
async fn refusal(folder: &Folder, material: &Material) -> (String, String) {
    let (near, far) = pair().await;
    let acceptor = TlsAcceptor::from(folder.open().config(Instant::now()));
    let hear = async {
        let mut stream = match shake(near, material).await {
            Ok(stream) => stream,
            Err(error) => return error.to_string(),
        };
        // As a client of HTTP/2 does, without waiting: this is what would take the alert back.
        let _ = stream.write_all(&[0; 4096]).await;
        stream.read_u8().await.unwrap_err().to_string()
    };
    let (said, heard) = tokio::join!(shake_hands(acceptor, far, Duration::from_secs(60)), hear);
    (said.map(|_| ()).unwrap_err().unwrap_or_default(), heard)
}

#[tokio::test]
async fn who_is_in_shows_which_role_it_has() {
    let ca = Authority::new();
    let folder = Folder::new("roles", &ca.pem, &ca.leaf(Role::Coordinator, 1));
    let address = serving(&folder).await;
    ask(&dial(address, &ca.client(1)).await.unwrap()).await.unwrap();
    let (certificate, key) = ca.leaf(Role::Operator, 1);
    let operator = Material { ca: ca.pem.clone().into(), certificate: certificate.into(), key: key.into() };
    let status = ask(&dial(address, &operator).await.unwrap()).await.unwrap_err();
    assert!(status.message().contains("the operator's certificate was shown"), "{status}");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_sessions_stay() {
    let ca = Authority::new();
    let leaves = [ca.leaf(Role::Coordinator, 1), ca.leaf(Role::Coordinator, 2)];
    let folder = Folder::new("leaf", &ca.pem, &leaves[0]);
    let (mut incoming, address) = listening(&folder, LIMITS).await;
    let client = ca.client(1);
    let mut sessions = Vec::new();
    for leaf in &leaves {
        folder.put(&ca.pem, leaf);
        let near = shake(TcpStream::connect(address).await.unwrap(), &client).await.unwrap();
        let far = incoming.next().await.unwrap().unwrap();
        let shown = near.get_ref().1.peer_certificates().unwrap()[0].clone();
        assert_eq!(shown, CertificateDer::from_pem_slice(leaf.0.as_bytes()).unwrap());
        assert!(far.get_ref().0.nodelay().unwrap());
        sessions.push((near, far));
    }
    for (near, far) in &mut sessions {
        far.write_all(b"still here").await.unwrap();
        far.flush().await.unwrap();
        let mut heard = [0; 10];
        near.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"still here");
    }
}

#[tokio::test]
async fn a_ca_is_replaced_with_both_trusted_in_between() {
    let (old, new) = (Authority::new(), Authority::new());
    let both = old.pem.clone() + &new.pem;
    let folder = Folder::new("ca", &old.pem, &old.leaf(Role::Coordinator, 1));
    let address = serving(&folder).await;
    let trusting = |material: Material| Material { ca: both.clone().into(), ..material };
    let (before, after) = (trusting(old.client(1)), trusting(new.client(1)));
    let session = dial(address, &before).await.unwrap();
    ask(&session).await.unwrap();
    assert!(is_refused(address, &after).await);
    folder.put(&both, &new.leaf(Role::Coordinator, 1));
    for client in [&before, &after] {
        ask(&dial(address, client).await.unwrap()).await.unwrap();
    }
    folder.put(&new.pem, &new.leaf(Role::Coordinator, 1));
    ask(&dial(address, &after).await.unwrap()).await.unwrap();
    assert!(is_refused(address, &before).await);
    // It was let in when it was trusted.
    ask(&session).await.unwrap();
}

/// In TLS 1.3 a client hears of it at its first request, or in the dial, whichever is sooner.
async fn is_refused(address: SocketAddr, material: &Material) -> bool {
    match dial(address, material).await {
        Ok(channel) => ask(&channel).await.is_err(),
        Err(_) => true,
    }
}

#[tokio::test]
async fn who_is_refused_hears_why_and_the_log_says_who() {
    let ca = Authority::new();
    let folder = Folder::new("refused", &ca.pem, &ca.leaf(Role::Coordinator, 1));
    let (said, heard) = refusal(&folder, &ca.client(-2)).await;
    assert!(
        said.contains("(CN=loadgrid worker) expired on ") && heard.contains("CertificateExpired"),
        "{said}; {heard}"
    );
    let foreign = Material { ca: ca.pem.clone().into(), ..Authority::new().client(1) };
    let (said, heard) = refusal(&folder, &foreign).await;
    assert!(said.contains("of another CA") && heard.contains("received fatal alert"), "{said}; {heard}");
    let nobody = Material { certificate: Vec::new(), key: Vec::new(), ..ca.client(1) };
    let (said, heard) = refusal(&folder, &nobody).await;
    assert!(said.contains("showed no certificate") && heard.contains("CertificateRequired"), "{said}; {heard}");
    let (certificate, key) = ca.leaf(Role::Coordinator, 1);
    let server = Material { ca: ca.pem.clone().into(), certificate: certificate.into(), key: key.into() };
    let (said, _) = refusal(&folder, &server).await;
    assert!(said.contains("it lacks the usage clientAuth"), "{said}");
    let (said, heard) = refusal(&folder, &Authority::new().client(1)).await;
    assert!(
        said.contains("does not trust the coordinator's certificate") && heard.contains("invalid peer certificate"),
        "{said}; {heard}"
    );
    let acceptor = || TlsAcceptor::from(folder.open().config(Instant::now()));
    let (mut near, far) = pair().await;
    near.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    near.shutdown().await.unwrap();
    let said = shake_hands(acceptor(), far, Duration::from_secs(60)).await.map(|_| ()).unwrap_err();
    assert!(said.as_deref().is_some_and(|said| said.contains("does not speak TLS")), "{said:?}");
    let (near, far) = pair().await;
    drop(near);
    assert_eq!(shake_hands(acceptor(), far, Duration::from_secs(60)).await.map(|_| ()).unwrap_err(), None);
}

#[test]
fn what_can_not_be_used_changes_nothing() {
    let (ca, other) = (Authority::new(), Authority::new());
    let good = ca.leaf(Role::Coordinator, 1);
    let folder = Folder::new("broken", &ca.pem, &good);
    let mut certificates = folder.open();
    let first = certificates.config(Instant::now());
    let next = ca.leaf(Role::Coordinator, 2);
    let half = |text: &str| text[..text.len() / 2].to_owned();
    for (ca, leaf) in [
        (ca.pem.clone(), (next.0.clone(), good.1.clone())),
        (ca.pem.clone(), (half(&next.0), next.1.clone())),
        (ca.pem.clone(), (next.0.clone(), half(&next.1))),
        (ca.pem.clone() + &half(&other.pem), next.clone()),
        (String::new(), next.clone()),
    ] {
        folder.put(&ca, &leaf);
        assert!(Arc::ptr_eq(&first, &certificates.config(Instant::now())));
        let why = Certificates::open(&folder.0).map(|_| ()).unwrap_err();
        assert!(why.contains("can't be used") || why.contains("holds no certificate"), "{why}");
    }
    fs::remove_file(folder.0.join("tls.key")).unwrap();
    assert!(Arc::ptr_eq(&first, &certificates.config(Instant::now())));
    folder.put(&ca.pem, &next);
    let second = certificates.config(Instant::now());
    assert!(!Arc::ptr_eq(&first, &second));
    // What has not changed is not read in again.
    folder.put(&ca.pem, &next);
    assert!(Arc::ptr_eq(&second, &certificates.config(Instant::now())));
}

#[test]
fn a_look_is_taken_once_a_second_and_follows_links() {
    let ca = Authority::new();
    let folder = Folder::new("links", &ca.pem, &ca.leaf(Role::Coordinator, 1));
    // As a Secret's volume has it: files are links into a folder that is itself a link, and that one is swapped.
    let mounted = Folder::new("mounted", "", &Default::default());
    let next = Folder::new("links-next", &ca.pem, &ca.leaf(Role::Coordinator, 2));
    std::os::unix::fs::symlink(&folder.0, mounted.0.join("..data")).unwrap();
    for name in ["ca.crt", "tls.crt", "tls.key"] {
        fs::remove_file(mounted.0.join(name)).unwrap();
        std::os::unix::fs::symlink(PathBuf::from("..data").join(name), mounted.0.join(name)).unwrap();
    }
    let mut certificates = Certificates::open(&mounted.0).unwrap();
    let began = Instant::now();
    let first = certificates.config(began);
    std::os::unix::fs::symlink(&next.0, mounted.0.join("..data_tmp")).unwrap();
    fs::rename(mounted.0.join("..data_tmp"), mounted.0.join("..data")).unwrap();
    assert!(Arc::ptr_eq(&first, &certificates.config(began)));
    assert!(!Arc::ptr_eq(&first, &certificates.config(began + 2 * Duration::from_secs(1))));
}

#[tokio::test]
async fn who_is_slow_holds_nobody_up() {
    let ca = Authority::new();
    let folder = Folder::new("slow", &ca.pem, &ca.leaf(Role::Coordinator, 1));
    let (mut incoming, address) = listening(&folder, LIMITS).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The beginning of a handshake.
        stream.write_all(&[22, 3, 1, 2]).await.unwrap();
        slow.push(stream);
    }
    let client = ca.client(1);
    let (near, far) = tokio::join!(async { shake(TcpStream::connect(address).await?, &client).await }, incoming.next());
    assert!(near.is_ok() && far.unwrap().is_ok());
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let ca = Authority::new();
    let folder = Folder::new("time", &ca.pem, &ca.leaf(Role::Coordinator, 1));
    let acceptor = TlsAcceptor::from(folder.open().config(Instant::now()));
    let (mut near, far) = pair().await;
    let said = shake_hands(acceptor, far, Duration::from_millis(5)).await.map(|_| ()).unwrap_err();
    assert_eq!(said.as_deref(), Some("it made no TLS handshake in 0.005 s"));
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn who_leaves_makes_room() {
    let ca = Authority::new();
    let folder = Folder::new("room", &ca.pem, &ca.leaf(Role::Coordinator, 1));
    let (mut incoming, address) = listening(&folder, Limits { handshakes: 1, ..LIMITS }).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let client = ca.client(1);
    let shaken = async { shake(TcpStream::connect(address).await?, &client).await };
    // The first has the only place, and gives it back.
    let leaves = async { drop(silent) };
    let (near, (), far) = tokio::join!(shaken, leaves, incoming.next());
    assert!(near.is_ok() && far.unwrap().is_ok());
    drop(incoming);
    // The listener closes behind it.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn the_same_is_said_once_a_minute() {
    let mut said = Said::default();
    let (began, here) = (Instant::now(), SocketAddr::from(([10, 0, 0, 1], 5000)));
    assert!(said.say(here, "a".to_owned(), began));
    let other_port = SocketAddr::from(([10, 0, 0, 1], 5001));
    assert!(!said.say(other_port, "a".to_owned(), began + SAY_EVERY / 2));
    assert!(said.say(here, "b".to_owned(), began) && said.say(([10, 0, 0, 2], 5000).into(), "a".to_owned(), began));
    assert!(said.say(here, "a".to_owned(), began + SAY_EVERY));
    for number in 0..2 * SAID_MAX {
        said.say(here, number.to_string(), began + SAY_EVERY);
    }
    assert!(said.when.len() <= SAID_MAX);
}
