//! The gRPC half of the service: a method of each kind, the tutorials' greeter, reflection and health.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::http;
use loadgrid_proto::demo::helloworld::greeter_server::{Greeter, GreeterServer};
use loadgrid_proto::demo::v1::demo_server::{Demo, DemoServer};
use loadgrid_proto::demo::v1::{Feature, HelloReply, HelloRequest, ListRequest, Note, Point, RouteSummary};
use loadgrid_proto::demo::{DESCRIPTORS, helloworld};
use loadgrid_worker::clock;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tonic_reflection::server::Builder as Reflection;
use tower::ServiceExt;

use super::state::State;

/// The longest list, and how long it is where nobody says.
const FEATURES_MAX: u32 = 1_000_000;
const FEATURES_DEFAULT: u32 = 10;

/// The longest time between two of a list, µs.
const INTERVAL_MAX_US: u64 = 60_000_000;

/// Mean radius, m.
const EARTH_M: f64 = 6_371_008.8;

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone)]
struct Speaker {
    state: Arc<State>,
}

/// All services.
pub(super) async fn routes(state: Arc<State>) -> io::Result<Routes> {
    let speaker = Speaker { state };
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<DemoServer<Speaker>>().await;
    reporter.set_serving::<GreeterServer<Speaker>>().await;
    let reflection = || {
        Reflection::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Routes::new(DemoServer::new(speaker.clone()))
        .add_service(GreeterServer::new(speaker))
        .add_service(health)
        .add_service(reflection().build_v1().map_err(io::Error::other)?)
        .add_service(reflection().build_v1alpha().map_err(io::Error::other)?)
        .prepare())
}

/// Whether the headers are a gRPC call's; gRPC-Web's are not.
pub(super) fn is_call(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.strip_prefix("application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

pub(super) async fn call(request: http::Request<Incoming>, routes: &Routes) -> http::Response<Body> {
    match routes.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

impl Speaker {
    async fn greet(&self, name: &str, language: &str) -> Result<String, Status> {
        let came_ns = self.state.arrival();
        if self.state.take_turn(came_ns).await {
            return Err(Status::internal("one of the share of errors that this service was started with"));
        }
        let hello = match language {
            "de" => "Hallo",
            "es" => "Hola",
            "fr" => "Bonjour",
            "it" => "Ciao",
            _ => "Hello",
        };
        Ok(format!("{hello} {name}"))
    }
}

#[tonic::async_trait]
impl Greeter for Speaker {
    async fn say_hello(
        &self,
        request: Request<helloworld::HelloRequest>,
    ) -> Result<Response<helloworld::HelloReply>, Status> {
        let message = self.greet(&request.get_ref().name, "en").await?;
        Ok(Response::new(helloworld::HelloReply { message }))
    }
}

#[tonic::async_trait]
impl Demo for Speaker {
    type ListFeaturesStream = Outgoing<Feature>;
    type ChatStream = Outgoing<Note>;

    async fn say_hello(&self, request: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> {
        let HelloRequest { name, language } = request.get_ref();
        let message = self.greet(name, language).await?;
        Ok(Response::new(HelloReply { message }))
    }

    async fn list_features(&self, request: Request<ListRequest>) -> Result<Response<Self::ListFeaturesStream>, Status> {
        let began_ns = self.state.arrival();
        let ListRequest { count, interval_us } = *request.get_ref();
        let count = count.unwrap_or(FEATURES_DEFAULT);
        if count > FEATURES_MAX || interval_us > INTERVAL_MAX_US {
            return Err(Status::invalid_argument(format!(
                "count {count}, interval_us {interval_us}: ask for at most {FEATURES_MAX}, {INTERVAL_MAX_US} µs apart"
            )));
        }
        let state = self.state.clone();
        let features = tokio_stream::iter(0..count).then(move |number| {
            let state = state.clone();
            async move {
                if number > 0 && interval_us > 0 {
                    state.sleep_until(began_ns + u64::from(number) * interval_us * 1000).await;
                }
                Ok(feature(number))
            }
        });
        Ok(Response::new(Box::pin(features)))
    }

    async fn record_route(&self, request: Request<Streaming<Point>>) -> Result<Response<RouteSummary>, Status> {
        let began_ns = self.state.arrival();
        let mut points = request.into_inner();
        let mut summary = RouteSummary::default();
        let mut last: Option<Point> = None;
        while let Some(point) = points.message().await? {
            summary.points += 1;
            summary.metres += last.map_or(0.0, |last| metres(&last, &point));
            last = Some(point);
        }
        summary.elapsed_ns = clock::now_ns().saturating_sub(began_ns);
        Ok(Response::new(summary))
    }

    async fn chat(&self, request: Request<Streaming<Note>>) -> Result<Response<Self::ChatStream>, Status> {
        self.state.arrival();
        let mut number = 0;
        let answers = request.into_inner().map(move |note| {
            number += 1;
            note.map(|note| Note { text: note.text, number })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Somewhere between the polar circles, never twice in a row at the same place.
fn feature(number: u32) -> Feature {
    let location =
        Point { latitude: f64::from(number * 37 % 133) - 66.0, longitude: f64::from(number * 61 % 360) - 180.0 };
    Feature { name: format!("feature {}", number + 1), location: Some(location) }
}

/// Along the great circle, by the haversine formula.
fn metres(from: &Point, to: &Point) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let (north, east) = (half(from.latitude, to.latitude), half(from.longitude, to.longitude));
    let chord = north + from.latitude.to_radians().cos() * to.latitude.to_radians().cos() * east;
    2.0 * EARTH_M * chord.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn calls_are_told_by_their_content_type() {
        let is = |kind| is_call(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]));
        assert!(is("application/grpc") && is("application/grpc+proto") && is("application/grpc; x=y"));
        assert!(!is("application/grpc-web") && !is("application/json"));
        assert!(!is_call(&HeaderMap::new()));
    }

    #[test]
    fn a_quarter_of_the_equator_is_ten_thousand_kilometres() {
        let at = |latitude, longitude| Point { latitude, longitude };
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_M;
        assert!((metres(&at(0.0, 0.0), &at(0.0, 90.0)) - quarter).abs() < 1e-6);
        assert!((metres(&at(0.0, 13.0), &at(90.0, 0.0)) - quarter).abs() < 1e-6);
        assert_eq!(metres(&at(48.0, 11.0), &at(48.0, 11.0)), 0.0);
        assert!((metres(&at(0.0, 0.0), &at(0.0, 180.0)) - 2.0 * quarter).abs() < 1e-6);
    }
}
