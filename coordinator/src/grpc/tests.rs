//! Reflection and health against servers in this process.

use std::time::Duration;

use loadgrid_worker::client::secure::Tls;
use prost_types::FileDescriptorSet;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::RoutesBuilder;
use tonic::transport::server::Router;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic_reflection::server::Builder;

use super::*;

const SHOP: &str = "syntax = 'proto3'; package shop; import 'parts.proto'; import 'google/protobuf/timestamp.proto'; \
                    message Order { Part part = 1; google.protobuf.Timestamp at = 2; } \
                    service Orders { rpc Place(Order) returns (Order); }";
const PARTS: &str = "syntax = 'proto3'; package shop; message Part { string name = 1; }";

/// Both files, without Google's.
fn shop() -> FileDescriptorSet {
    let parts = protox::file::File::from_source("parts.proto", PARTS).unwrap();
    let shop = protox::file::File::from_source("shop.proto", SHOP).unwrap();
    FileDescriptorSet { file: vec![parts.into(), shop.into()] }
}

fn reflection(set: FileDescriptorSet) -> Builder<'static> {
    Builder::configure().register_file_descriptor_set(set)
}

fn plain(routes: RoutesBuilder) -> Router {
    tonic::transport::Server::builder().add_routes(routes.routes())
}

/// Serves, and how to reach it.
async fn serve(router: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    at(port)
}

fn at(port: u16) -> Server {
    Server {
        connect: ("127.0.0.1".into(), port),
        authority: "shop.test".into(),
        host: "shop.test".into(),
        tls: None,
        metadata: vec![],
        timeout: Duration::from_secs(10),
    }
}

#[track_caller]
fn refused<T>(result: Result<T, String>, expected: &str) {
    let error = result.err().unwrap();
    assert!(error.starts_with("127.0.0.1:") && error.contains(expected), "{error}");
}

#[tokio::test]
async fn either_version_of_reflection_tells_the_schema() {
    let (mut new, mut old, mut both) = (RoutesBuilder::default(), RoutesBuilder::default(), RoutesBuilder::default());
    new.add_service(reflection(shop()).build_v1().unwrap());
    old.add_service(reflection(shop()).build_v1alpha().unwrap());
    both.add_service(reflection(shop()).build_v1().unwrap()).add_service(reflection(shop()).build_v1alpha().unwrap());
    for routes in [new, old, both] {
        let server = serve(plain(routes)).await;
        let pool = reflected_pool(&server, "shop.Orders").await.unwrap();
        let place = method(&pool, "shop.Orders/Place").unwrap();
        let data = serde_json::json!({"part": {"name": "{{uuid}}"}, "at": "2026-01-02T03:04:05Z"});
        assert_eq!(messages(&place, &data, true).unwrap().len(), 1);
        refused(reflected_pool(&server, "shop.Order").await, "it has no service 'shop.Order': it has shop.Orders");
        refused(reflected_pool(&server, "shop.Nothing").await, "it has shop.Orders");
        refused(reflected_pool(&server, "Orders").await, "it has shop.Orders");
    }
}

#[tokio::test]
async fn the_demo_service_tells_its_own() {
    let mut routes = RoutesBuilder::default();
    let builder = Builder::configure().register_encoded_file_descriptor_set(loadgrid_proto::demo::DESCRIPTORS);
    routes.add_service(builder.build_v1().unwrap());
    let pool = reflected_pool(&serve(plain(routes)).await, "helloworld.Greeter").await.unwrap();
    assert_eq!(path(&method(&pool, "helloworld.Greeter.SayHello").unwrap()), "/helloworld.Greeter/SayHello");
}

#[tokio::test]
async fn a_server_that_does_not_tell_is_no_riddle() {
    let (_, health) = tonic_health::server::health_reporter();
    let mut routes = RoutesBuilder::default();
    routes.add_service(health);
    let silent = serve(plain(routes)).await;
    refused(
        reflected_pool(&silent, "shop.Orders").await,
        "its reflection is switched off: give the schema with proto or protoset",
    );
    let mut half = shop();
    half.file.retain(|file| file.name() == "shop.proto");
    let mut routes = RoutesBuilder::default();
    routes.add_service(reflection(half).build_v1().unwrap());
    let half = serve(plain(routes)).await;
    refused(reflected_pool(&half, "shop.Orders").await, "does not tell the file parts.proto that its schema imports");
    let mut edition = shop();
    edition.file[0].syntax = Some("editions".into());
    let mut routes = RoutesBuilder::default();
    routes.add_service(reflection(edition).build_v1().unwrap());
    let edition = serve(plain(routes)).await;
    refused(
        reflected_pool(&edition, "shop.Orders").await,
        "parts.proto is written in protobuf editions, which is not supported",
    );
}

#[tokio::test]
async fn what_is_no_grpc_server_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut mute = at(listener.local_addr().unwrap().port());
    mute.timeout = Duration::from_millis(30);
    refused(reflected_pool(&mute, "shop.Orders").await, "no answer in 0.03 s");
    mute.timeout = Duration::from_secs(10);
    drop(listener);
    refused(healthy(&mute, "").await, "refused");
    mute.authority = "not an authority".into();
    assert!(healthy(&mute, "").await.unwrap_err().contains("write host:port"));
    mute.metadata = vec![("authorization".into(), "s3cret\n".into())];
    let error = healthy(&mute, "").await.unwrap_err();
    assert!(error.starts_with("metadata.authorization: ") && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_server_of_the_old_http_is_said_to_be_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = at(listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    refused(healthy(&server, "").await, "HTTP/2");
    refused(reflected_pool(&server, "shop.Orders").await, "HTTP/2");
}

#[tokio::test]
async fn metadata_goes_along() {
    let (_, health) = tonic_health::server::health_reporter();
    let guarded = tonic::service::interceptor::InterceptedService::new(health, |request: tonic::Request<()>| {
        match request.metadata().get("x-key") {
            Some(_) => Ok(request),
            None => Err(tonic::Status::unauthenticated("who are you?")),
        }
    });
    let mut routes = RoutesBuilder::default();
    routes.add_service(guarded);
    let mut server = serve(plain(routes)).await;
    refused(healthy(&server, "").await, "(UNAUTHENTICATED: who are you?). Give it what it wants with metadata");
    server.metadata = vec![("x-key".into(), "k".into())];
    assert_eq!(healthy(&server, "").await, Ok(true));
}

#[tokio::test]
async fn health_is_asked_by_service() {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status("shop.Orders", tonic_health::ServingStatus::NotServing).await;
    let mut routes = RoutesBuilder::default();
    routes.add_service(health);
    let server = serve(plain(routes)).await;
    assert_eq!(healthy(&server, "").await, Ok(true));
    assert_eq!(healthy(&server, "shop.Orders").await, Ok(false));
    reporter.set_service_status("shop.Orders", tonic_health::ServingStatus::Serving).await;
    assert_eq!(healthy(&server, "shop.Orders").await, Ok(true));
    refused(healthy(&server, "shop.Users").await, "it knows nothing of the health of 'shop.Users'");
    let mut routes = RoutesBuilder::default();
    routes.add_service(reflection(shop()).build_v1().unwrap());
    refused(healthy(&serve(plain(routes)).await, "").await, "it has no grpc.health.v1: wait for it with tcp");
}

#[tokio::test]
async fn tls_trusts_what_it_is_told_to() {
    let key = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    let (certificate, key) = (key.cert.pem(), key.signing_key.serialize_pem());
    let (_, health) = tonic_health::server::health_reporter();
    let mut routes = RoutesBuilder::default();
    routes.add_service(health);
    let identity = ServerTlsConfig::new().identity(Identity::from_pem(&certificate, &key));
    let router = tonic::transport::Server::builder().tls_config(identity).unwrap().add_routes(routes.routes());
    let mut server = serve(router).await;
    server.tls = Some(Tls { ca: certificate.into_bytes(), ..Tls::default() });
    assert_eq!(healthy(&server, "").await, Ok(true));
    server.host = "other.test".into();
    refused(healthy(&server, "").await, "its certificate is not for other.test but for shop.test: set tls.serverName");
    server.tls = Some(Tls { insecure_skip_verify: true, ..Tls::default() });
    assert_eq!(healthy(&server, "").await, Ok(true));
}
