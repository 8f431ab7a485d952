use std::net::TcpListener;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::super::server::{Server, answer};
use super::*;

fn direct(url: &str) -> Fetch {
    Fetch { proxies: false, timeout: Duration::from_secs(10), ..Fetch::get(url) }
}

#[test]
fn an_answer_comes_with_status_type_and_body() {
    let server = Server::start(vec![answer("404 Not Found", "Content-Type: text/plain\r\n", "nothing")]);
    let wanted = Fetch {
        method: "PURGE".into(),
        headers: vec![("X-Key".into(), "k".into())],
        body: Some(b"what".to_vec()),
        ..direct(&format!("{}/a b?c=d", server.url))
    };
    let got = fetch(&wanted).unwrap();
    assert_eq!((got.status, got.content_type.as_deref(), got.body), (404, Some("text/plain"), b"nothing".to_vec()));
    let asked = server.asked();
    assert!(asked.starts_with("PURGE /a%20b?c=d HTTP/1.1\r\n"), "{asked}");
    assert!(asked.to_lowercase().contains("\r\nx-key: k\r\n") && asked.ends_with("\r\n\r\nwhat"), "{asked}");
}

#[test]
fn documents_follow_redirects_and_error_pages_are_none() {
    let end = Server::start(vec![answer("200 OK", "", "proto")]);
    let to = format!("Location: {}/there\r\n", end.url);
    let start = Server::start(vec![answer("302 Found", &to, "")]);
    let document = fetch(&Fetch { redirects: 5, ..direct(&start.url) }).unwrap();
    assert_eq!(document.body, b"proto");
    assert!(end.asked().starts_with("GET /there "));

    let broken = Server::start(vec![answer("503 Service Unavailable", "", "sorry")]);
    let url = format!("{}/x.proto?token=hidden", broken.url.replace("http://", "http://me:hidden@"));
    let error = get_once(&url).unwrap_err();
    assert!(error.contains("/x.proto: status 503") && !error.contains("hidden"), "{error}");
}

#[test]
fn a_redirect_that_is_not_followed_is_an_answer_without_secrets() {
    let server = Server::start(vec![answer("301 Moved Permanently", "Location: https://x.example/y?k=v\r\n", "")]);
    let got = fetch(&direct(&server.url)).unwrap();
    assert!(!got.is_success());
    assert_eq!(got.status_text(), "status 301, a redirect to https://x.example/y");
}

#[test]
fn what_is_too_large_or_endless_is_an_error() {
    let body = "x".repeat(100);
    let server = Server::start(vec![answer("200 OK", "", &body), answer("200 OK", "", &body)]);
    assert_eq!(fetch(&Fetch { bytes_max: 100, ..direct(&server.url) }).unwrap().body.len(), 100);
    let error = fetch(&Fetch { bytes_max: 99, ..direct(&server.url) }).unwrap_err();
    assert!(error.contains("larger than 99 bytes"), "{error}");

    let hop = "Location: /again\r\n";
    let server = Server::start(vec![answer("302 Found", hop, ""); 3]);
    let error = fetch(&Fetch { redirects: 2, ..direct(&server.url) }).unwrap_err();
    assert!(error.contains("redirects more than 2 times"), "{error}");
}

#[test]
fn who_does_not_answer_is_named_with_the_reason() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/?key=hidden", silent.local_addr().unwrap());
    let error = fetch(&Fetch { timeout: Duration::from_millis(50), ..direct(&url) }).unwrap_err();
    assert!(error.ends_with("/: no answer within 50ms"), "{error}");
    drop(silent);
    let error = fetch(&direct(&url)).unwrap_err();
    assert!(error.ends_with("/: connection refused"), "{error}");
    let babble = Server::start(vec!["hello".into()]);
    assert!(fetch(&direct(&babble.url)).unwrap_err().contains("not HTTP"));
}

#[test]
fn urls_are_checked_and_shown_without_secrets() {
    for (url, people) in [
        ("https://me:pw@h.example:8443/p?q=1#f", "https://h.example:8443/p"),
        ("no url ?token=x", "no url "),
        ("me:pw@host/p?x", "…@host/p"),
    ] {
        assert_eq!(shown(url), people);
    }
    assert_eq!(shown_origin("https://me:pw@hooks.example/T/secret"), "https://hooks.example/…");
    assert_eq!(shown_origin("nonsense"), "the URL");
    assert!(fetch(&direct("ftp://h/x")).unwrap_err().contains("http:// or https://"));
    assert!(fetch(&direct("h/x")).unwrap_err().contains("no URL"));
    assert!(fetch(&Fetch { method: "A B".into(), ..direct("http://h") }).unwrap_err().contains("can't be sent"));
    let header = vec![("X-Key".to_owned(), "hid\nden".to_owned())];
    let error = fetch(&Fetch { headers: header, ..direct("http://h") }).unwrap_err();
    assert!(error.contains("can't be sent") && !error.contains("den"), "{error}");
}

/// A CA's certificate, and a TLS server for `localhost` that answers once.
fn tls_server() -> (Vec<u8>, String) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        let config = std::sync::Arc::new(config);
        while let Ok((socket, _)) = listener.accept() {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, socket);
            let mut head = [0; 1024];
            // A client that does not trust the certificate goes away.
            if std::io::Read::read(&mut stream, &mut head).is_ok() {
                let _ = std::io::Write::write_all(&mut stream, answer("200 OK", "", "safe").as_bytes());
                let _ = std::io::Write::flush(&mut stream);
            }
        }
    });
    (ca_pem.into_bytes(), url)
}

#[test]
fn tls_trusts_as_the_load_does() {
    let (ca, url) = tls_server();
    let named = Tls { ca: ca.clone(), server_name: Some("shop.test".into()), ..Tls::default() };
    assert_eq!(fetch(&Fetch { tls: named.clone(), ..direct(&url) }).unwrap().body, b"safe");
    let error = fetch(&Fetch { tls: Tls { ca, ..Tls::default() }, ..direct(&url) }).unwrap_err();
    assert!(error.contains("not for 127.0.0.1 but for shop.test"), "{error}");
    let anybody = Tls { insecure_skip_verify: true, ..Tls::default() };
    assert_eq!(fetch(&Fetch { tls: anybody.clone(), ..direct(&url) }).unwrap().status, 200);

    // Certificate and key of two persons: a sentence, where ureq alone would end the program.
    let (a, b) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&a).unwrap().pem();
    let identity = Some((certificate.into_bytes(), b.serialize_pem().into_bytes()));
    let error = fetch(&Fetch { tls: Tls { identity, ..anybody }, ..direct(&url) }).unwrap_err();
    assert!(error.contains("do not belong together"), "{error}");
}
