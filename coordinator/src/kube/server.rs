//! An API server for tests: what it answers is what a test says.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::BoxError;

use super::client::Cluster;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub method: String,
    pub path: String,
    /// With `%3D` and the like.
    pub query: String,
    pub body: Value,
}

impl Asked {
    pub fn watches(&self) -> bool {
        self.query.contains("watch=true")
    }
}

pub(crate) enum Answer {
    Json(u16, Value),
    /// The events of a watch, until the sender is dropped.
    Events(mpsc::UnboundedReceiver<Value>),
    /// No connection comes about.
    Broken(&'static str),
    /// None ever.
    Silence,
}

/// A client of a server that answers so.
pub(crate) fn client(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Client {
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = Arc::clone(&answer);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(BoxError::from)?.to_bytes();
            let asked = Asked {
                method: parts.method.to_string(),
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
            };
            let (status, body): (u16, UnsyncBoxBody<Bytes, BoxError>) = match answer(&asked) {
                Answer::Json(status, value) => {
                    let full = Full::new(Bytes::from(value.to_string()));
                    (status, full.map_err(|never| match never {}).boxed_unsync())
                }
                Answer::Events(events) => {
                    let lines = UnboundedReceiverStream::new(events).map(|event| Bytes::from(format!("{event}\n")));
                    (200, StreamBody::new(lines.map(|line| Ok(Frame::data(line)))).boxed_unsync())
                }
                Answer::Broken(why) => return Err(BoxError::from(why)),
                Answer::Silence => std::future::pending().await,
            };
            Response::builder().status(status).body(body).map_err(BoxError::from)
        }
    });
    Client::new(service, "default")
}

/// As [`client`], as a cluster.
pub(crate) fn cluster(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Cluster {
    let (server, namespace) = ("https://cluster.test:6443".to_owned(), "default".to_owned());
    Cluster { client: client(answer), server, namespace, inside: false }
}

pub(crate) fn status(code: u16, message: &str) -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code});
    Answer::Json(code, status)
}

pub(crate) fn forbidden(verb: &str, resource: &str) -> Answer {
    let message = format!("x is forbidden: User \"jo\" cannot {verb} resource \"{resource}\" in API group \"\"");
    status(403, &message)
}

/// A listing; its version is 7.
pub(crate) fn list(items: &[Value]) -> Answer {
    let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "7"}, "items": items});
    Answer::Json(200, list)
}

/// Notes that tests and answers share.
#[derive(Clone, Default)]
pub(crate) struct Notes<T>(Arc<Mutex<T>>);

impl<T> Notes<T> {
    pub fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
