use std::net::TcpListener;

use tokio_stream::wrappers::TcpListenerStream;

use super::super::server::{Server, answer};
use super::*;

const MINUTE: u64 = 60_000_000_000;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn http(url: &str, status: u16, timeout_ns: u64) -> Ready {
    Ready {
        condition: Condition::Http { url: url.to_owned(), status: (status, status), tls: Tls::default() },
        timeout_ns,
    }
}

/// A port that nobody listens on.
fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn waits_until_all_hold_and_tells_what_is_missing() {
    let busy = answer("503 Service Unavailable", "", "");
    let server = Server::start(vec![busy.clone(), busy, answer("200 OK", "", "")]);
    let there = TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = Condition::Tcp { host: "127.0.0.1".into(), port: there.local_addr().unwrap().port() };
    let ready =
        [http(&format!("{}/x?token=hidden", server.url), 200, MINUTE), Ready { condition: tcp, timeout_ns: MINUTE }];
    let mut news = Vec::new();
    let waited = run(wait(&ready, |line| news.push(line.to_owned()))).unwrap();
    assert_eq!((waited[0].attempts, waited[1].attempts), (3, 1));
    assert!(waited[0].waited_ns >= 250_000_000 && waited[0].waited_ns > waited[1].waited_ns);
    assert_eq!(waited[0].condition, format!("{}/x", server.url));
    // The reason is told once, though it was seen twice.
    let missing: Vec<_> = news.iter().filter(|line| line.contains("not ready yet")).collect();
    assert_eq!(missing.len(), 1, "{news:?}");
    assert!(missing[0].contains("status 503, wanted 200") && !missing[0].contains("hidden"));
    assert_eq!(news.iter().filter(|line| line.contains("is ready after")).count(), 2);
    assert_eq!(run(wait(&[], |_| {})), Ok(Vec::new()));
}

#[test]
fn the_first_time_that_is_over_ends_the_wait_with_its_last_reason() {
    let busy = answer("503 Service Unavailable", "", "");
    let server = Server::start(vec![busy; 2]);
    let never = Ready { condition: Condition::Tcp { host: "127.0.0.1".into(), port: closed() }, timeout_ns: MINUTE };
    let error = run(wait(&[never, http(&server.url, 200, 1)], |_| {})).unwrap_err();
    assert_eq!(error, format!("{}/ was not ready in 1ns: status 503, wanted 200", server.url));

    let condition = Condition::Tcp { host: "127.0.0.1".into(), port: closed() };
    let error = run(wait(&[Ready { condition, timeout_ns: 300_000_000 }], |_| {})).unwrap_err();
    assert!(error.ends_with("was not ready in 300ms: connection refused"), "{error}");
}

#[test]
fn an_endless_body_does_not_keep_the_wait() {
    let server = Server::start(vec!["HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nstart".into()]);
    assert_eq!(run(wait(&[http(&server.url, 200, MINUTE)], |_| {})).unwrap()[0].attempts, 1);
}

#[test]
fn grpc_health_is_asked_for_the_service() {
    run(async {
        let (reporter, service) = tonic_health::server::health_reporter();
        reporter.set_service_status("shop.Cart", tonic_health::ServingStatus::NotServing).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        let ask = |service: &str| {
            let condition =
                Condition::GrpcHealth { host: "127.0.0.1".into(), port, service: service.into(), tls: None };
            [Ready { condition, timeout_ns: 1 }]
        };
        assert_eq!(wait(&ask(""), |_| {}).await.unwrap()[0].attempts, 1);
        let error = wait(&ask("shop.Cart"), |_| {}).await.unwrap_err();
        assert!(error.ends_with("health NOT_SERVING, wanted SERVING"), "{error}");
        let error = wait(&ask("shop.Nope"), |_| {}).await.unwrap_err();
        assert!(error.contains("does not know 'shop.Nope'"), "{error}");
        reporter.set_service_status("shop.Cart", tonic_health::ServingStatus::Serving).await;
        wait(&ask("shop.Cart"), |_| {}).await.unwrap();
    });
}

#[test]
fn grpc_health_is_asked_over_tls_by_the_name_that_is_wanted() {
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["shop.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let identity = tonic::transport::Identity::from_pem(own.pem(), key.serialize_pem());
    let tls = tonic::transport::ServerTlsConfig::new().identity(identity);
    run(async {
        let (_reporter, service) = tonic_health::server::health_reporter();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tonic::transport::Server::builder().tls_config(tls).unwrap().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        let ask = |name: &str| {
            let tls = Tls { ca: own.pem().into_bytes(), server_name: Some(name.into()), ..Tls::default() };
            let service = String::new();
            let condition = Condition::GrpcHealth { host: "127.0.0.1".into(), port, service, tls: Some(tls) };
            [Ready { condition, timeout_ns: 1 }]
        };
        assert_eq!(wait(&ask("shop.test"), |_| {}).await.unwrap()[0].attempts, 1);
        let error = wait(&ask("other.test"), |_| {}).await.unwrap_err();
        assert!(error.contains("not for other.test but for shop.test"), "{error}");
    });
}

#[test]
fn who_speaks_no_http2_is_told_from_who_is_away() {
    let ask = |port, tls| {
        let condition = Condition::GrpcHealth { host: "127.0.0.1".into(), port, service: String::new(), tls };
        run(wait(&[Ready { condition, timeout_ns: 1 }], |_| {})).unwrap_err()
    };
    assert!(ask(closed(), None).ends_with("connection refused"));
    let old = Server::start(vec![answer("200 OK", "", "")]);
    let error = ask(old.port, None);
    assert!(error.contains("does not answer as a gRPC server does"), "{error}");
    let plain = Server::start(vec![answer("200 OK", "", "")]);
    let anybody = Tls { insecure_skip_verify: true, ..Tls::default() };
    let error = ask(plain.port, Some(anybody));
    assert!(error.contains("does not speak TLS") || error.contains("handshake failed"), "{error}");
}

#[test]
fn conditions_are_shown_for_people() {
    let grpc =
        |service: &str| Condition::GrpcHealth { host: "[::1]".into(), port: 50051, service: service.into(), tls: None };
    for (condition, text) in [
        (Condition::Tcp { host: "db".into(), port: 5432 }, "tcp db:5432"),
        (grpc(""), "grpc [::1]:50051"),
        (grpc("a.B"), "grpc [::1]:50051 service a.B"),
    ] {
        assert_eq!(condition.to_string(), text);
    }
    assert_eq!(http("http://a/b?c", 200, MINUTE).to_string(), "http://a/b within 60s");
}
