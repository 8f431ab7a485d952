//! What a served coordinator shows over HTTP: its health, its metrics, the live page and the reports. Nothing can be
//! changed here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use futures_util::stream::{Stream, unfold};
use tokio::sync::watch;
use tokio::time::Instant;

use super::control::Api;
use super::page;
use super::view::KEPT_MAX;
use crate::store::{Entry, Filter};

/// News are sent at most so often.
const NEWS_EVERY: Duration = Duration::from_secs(1);

/// A store that others write to as well is looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A report carries its style within itself, and no script.
const REPORT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                             form-action 'none'; frame-ancestors 'none'";

/// Renders a kept document as HTML.
pub type Render = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// The metrics in the format that an Accept header asks for: content type and body.
pub type Metrics = Arc<dyn Fn(Option<&str>) -> (String, Vec<u8>) + Send + Sync>;

/// What the pages are made of.
#[derive(Clone)]
pub struct Web {
    api: Api,
    kept: watch::Receiver<Arc<Vec<Entry>>>,
    render: Render,
    metrics: Metrics,
}

impl Web {
    /// Starts to look after the list of results; needs a runtime.
    pub fn new(api: Api, render: Render, metrics: Metrics) -> Self {
        let (seen, kept) = watch::channel(Arc::new(Vec::new()));
        tokio::spawn(look(api.clone(), seen));
        Web { api, kept, render, metrics }
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(file))
            .route("/page/{name}", get(file))
            .route("/api/state", get(state))
            .route("/api/events", get(events))
            .route("/runs/{run}", get(report))
            .route("/metrics", get(metrics))
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self)
    }

    fn state(&self) -> Result<String, serde_json::Error> {
        let kept = Arc::clone(&self.kept.borrow());
        serde_json::to_string(&self.api.service.view(&kept))
    }
}

/// Keeps the newest results at hand.
async fn look(api: Api, seen: watch::Sender<Arc<Vec<Entry>>>) {
    let mut endings = api.service.endings();
    loop {
        match api.store.list(&Filter::default()).await {
            Ok(listing) => {
                let newest: Vec<Entry> = listing.entries.into_iter().rev().take(KEPT_MAX).collect();
                if **seen.borrow() != newest {
                    seen.send_replace(Arc::new(newest));
                }
            }
            Err(error) => tracing::warn!("the store can't be listed: {error}"),
        }
        tokio::select! {
            changed = endings.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = seen.closed() => return,
        }
    }
}

async fn file(uri: Uri) -> Response {
    let Some((media, text)) = page::file(uri.path()) else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (CONTENT_TYPE, media),
        (CONTENT_SECURITY_POLICY, page::POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

fn failed(error: impl std::fmt::Display) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
}

async fn state(State(web): State<Web>) -> Response {
    match web.state() {
        Ok(text) => ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], text).into_response(),
        Err(error) => failed(error),
    }
}

async fn events(State(web): State<Web>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (changes, kept) = (web.api.service.changes(), web.kept.clone());
    // The first news go out at once.
    let begin = (web, changes, kept, None::<Instant>);
    let stream = unfold(begin, |(web, mut changes, mut kept, last)| async move {
        if let Some(last) = last {
            tokio::select! {
                changed = changes.changed() => changed.ok()?,
                changed = kept.changed() => changed.ok()?,
            }
            tokio::time::sleep_until(last + NEWS_EVERY).await;
        }
        changes.mark_unchanged();
        kept.mark_unchanged();
        let event = Event::default().data(web.state().unwrap_or_default());
        Some((Ok(event), (web, changes, kept, Some(Instant::now()))))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

async fn report(State(web): State<Web>, Path(run): Path<String>) -> Response {
    let not_found = |why: &str| {
        let text = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>No such report</title><h1>No such report</h1><p>{}</p>\
             <p><a href=\"../\">The running tests and the reports that there are</a></p></html>",
            escape(why)
        );
        (StatusCode::NOT_FOUND, Html(text)).into_response()
    };
    let document = match web.api.document(&run).await {
        Ok(document) => document,
        // Where the store is, is not for whoever reads pages.
        Err(_) => return not_found(&format!("No report of {run} is kept here.")),
    };
    let render = Arc::clone(&web.render);
    match tokio::task::spawn_blocking(move || render(&document)).await {
        Ok(Ok(html)) => ([(CONTENT_SECURITY_POLICY, REPORT_POLICY), (X_CONTENT_TYPE_OPTIONS, "nosniff")], Html(html))
            .into_response(),
        Ok(Err(error)) => failed(error),
        Err(error) => failed(error),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

async fn metrics(State(web): State<Web>, headers: HeaderMap) -> Response {
    let accept = headers.get("accept").and_then(|accept| accept.to_str().ok());
    let (kind, body) = (web.metrics)(accept);
    ([(CONTENT_TYPE, kind)], body).into_response()
}

/// Whether tests could be taken and kept now.
async fn ready(State(web): State<Web>) -> Response {
    // A disk that stalls is to hold up this answer alone.
    let looked = tokio::task::spawn_blocking(move || web.api.service.trouble()).await;
    match looked.unwrap_or_else(|_| Some("the coordinator is ending".to_owned())) {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}
