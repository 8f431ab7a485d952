//! gRPC on the same port.

use loadgrid_proto::demo::helloworld;
use loadgrid_proto::demo::helloworld::greeter_client::GreeterClient;
use loadgrid_proto::demo::v1::demo_client::DemoClient;
use loadgrid_proto::demo::v1::{HelloRequest, ListRequest, Note, Point};
use loadgrid_worker::clock;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

use super::*;

async fn connect(service: &Service) -> Channel {
    Endpoint::from_shared(format!("http://{}", service.address())).unwrap().timeout(PATIENCE).connect().await.unwrap()
}

#[tokio::test]
async fn a_unary_call_takes_its_time_and_counts_as_a_request() {
    let service = start(20, 0.0).await;
    let channel = connect(&service).await;
    let mut demo = DemoClient::new(channel.clone());
    let began = clock::now_ns();
    let asked = HelloRequest { name: "Ann".to_owned(), language: "de".to_owned() };
    assert_eq!(demo.say_hello(asked).await.unwrap().into_inner().message, "Hallo Ann");
    let asked = helloworld::HelloRequest { name: "Ann".to_owned() };
    assert_eq!(GreeterClient::new(channel).say_hello(asked).await.unwrap().into_inner().message, "Hello Ann");
    assert!(clock::now_ns() - began >= 40 * MILLISECOND_NS);

    let stats = Client::one(service.address()).await.stats().await;
    assert_eq!((&stats["requests"], &stats["connections"]["http2"]), (&2.into(), &1.into()));
    assert_eq!(stats["grpc"]["loadgrid.demo.v1.Demo/SayHello"], 1);
    assert_eq!(stats["grpc"]["helloworld.Greeter/SayHello"], 1);
}

#[tokio::test]
async fn unary_calls_fail_in_the_share_of_errors() {
    let service = start(0, 1.0).await;
    let channel = connect(&service).await;
    let refused = DemoClient::new(channel.clone()).say_hello(HelloRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    let refused = GreeterClient::new(channel).say_hello(helloworld::HelloRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert_eq!(Client::two(service.address()).await.stats().await["errors"], 2);
}

#[tokio::test]
async fn a_server_stream_has_the_length_and_the_pace_asked_for() {
    let service = start(0, 0.0).await;
    let mut demo = DemoClient::new(connect(&service).await);
    let mut length = async |count, interval_us| {
        let listed = demo.list_features(ListRequest { count, interval_us }).await?;
        listed.into_inner().collect::<Result<Vec<_>, _>>().await.map(|features| features.len())
    };
    assert_eq!(length(None, 0).await.unwrap(), 10);
    assert_eq!(length(Some(0), 0).await.unwrap(), 0);
    assert_eq!(length(Some(5_000), 0).await.unwrap(), 5_000);
    let began = clock::now_ns();
    assert_eq!(length(Some(4), 10_000).await.unwrap(), 4);
    assert!(clock::now_ns() - began >= 30 * MILLISECOND_NS);
    assert_eq!(length(Some(1_000_001), 0).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(length(Some(1), 60_000_001).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_client_stream_is_measured_when_it_ends() {
    let service = start(0, 0.0).await;
    let mut demo = DemoClient::new(connect(&service).await);
    let at = |longitude| Point { latitude: 0.0, longitude };
    let summary = demo.record_route(tokio_stream::iter([at(0.0), at(1.0), at(0.0)])).await.unwrap().into_inner();
    assert_eq!(summary.points, 3);
    // A degree of the equator is 111.2 km.
    assert!((summary.metres - 222_390.0).abs() < 100.0, "{}", summary.metres);
    assert!(summary.elapsed_ns > 0);
    let summary = demo.record_route(tokio_stream::empty()).await.unwrap().into_inner();
    assert_eq!((summary.points, summary.metres), (0, 0.0));
}

#[tokio::test]
async fn a_chat_answers_each_note_before_the_next_is_sent() {
    let service = start(0, 0.0).await;
    let mut demo = DemoClient::new(connect(&service).await);
    let (sender, notes) = tokio::sync::mpsc::channel(1);
    let mut answers = demo.chat(tokio_stream::wrappers::ReceiverStream::new(notes)).await.unwrap().into_inner();
    for number in 1..=3 {
        let text = format!("note {number}");
        sender.send(Note { text: text.clone(), number: 0 }).await.unwrap();
        assert_eq!(answers.message().await.unwrap(), Some(Note { text, number }));
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap(), None);
}

/// The services that one version of reflection lists.
macro_rules! listed {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;
        let asked = tonic_reflection::pb::$version::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut client = ServerReflectionClient::new($channel);
        let mut told = client.server_reflection_info(tokio_stream::once(asked)).await.unwrap().into_inner();
        match told.message().await.unwrap().unwrap().message_response {
            Some(MessageResponse::ListServicesResponse(list)) => {
                list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    }};
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions() {
    let service = start(0, 0.0).await;
    let channel = connect(&service).await;
    for listed in [listed!(v1, channel.clone()), listed!(v1alpha, channel.clone())] {
        for name in ["loadgrid.demo.v1.Demo", "helloworld.Greeter", "grpc.health.v1.Health"] {
            assert!(listed.iter().any(|service| service == name), "{name} in {listed:?}");
        }
    }
    // Whoever asks what there is does not load the service yet.
    assert_eq!(Client::one(service.address()).await.stats().await["requests"], 0);
}

#[tokio::test]
async fn health_is_serving_for_what_there_is() {
    let service = start(0, 0.0).await;
    let mut health = HealthClient::new(connect(&service).await);
    for name in ["", "loadgrid.demo.v1.Demo", "helloworld.Greeter"] {
        let told = health.check(HealthCheckRequest { service: name.to_owned() }).await.unwrap().into_inner();
        assert_eq!(told.status(), ServingStatus::Serving, "{name}");
    }
    let refused = health.check(HealthCheckRequest { service: "a.B".to_owned() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
}

#[tokio::test]
async fn strangers_are_unimplemented_and_http1_is_too_old() {
    let service = start(0, 0.0).await;
    let mut client = Client::two(service.address()).await;
    let said = client.send("POST", "/a.B/C", "content-type: application/grpc", "").await;
    assert_eq!((said.status, said.headers["grpc-status"].as_bytes()), (StatusCode::OK, b"12".as_slice()));
    let mut old = Client::one(service.address()).await;
    let said = old.send("POST", "/helloworld.Greeter/SayHello", "content-type: application/grpc", "").await;
    assert_eq!(said.status, 505);
}
