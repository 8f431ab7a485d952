//! What the service answers by path. gRPC calls go their own way; latency and errors are the state's.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use serde_json::{Map, Value, json};

use super::state::State;
use super::{login, stats};

/// The largest body that is looked into, bytes.
const BODY_MAX: usize = 1024 * 1024;

/// The longest answer to /slow, ms.
const SLOW_MAX_MS: u64 = 60_000;

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) async fn answer(request: Request<Incoming>, state: &State) -> Answer {
    // Over HTTP/1 hyper leaves such a body out itself.
    let bare = request.method() == Method::HEAD && request.version() == Version::HTTP_2;
    let answer = match request.uri().path() {
        stats::PATH => json(StatusCode::OK, &state.stats.json()),
        _ => counted(request, state).await,
    };
    if bare { without_body(answer) } else { answer }
}

async fn counted(request: Request<Incoming>, state: &State) -> Answer {
    let came_ns = state.arrival();
    let (parts, mut body) = request.into_parts();
    match parts.uri.path() {
        path @ ("/login" | "/orders" | "/echo") => {
            let body = match Limited::new(body, BODY_MAX).collect().await {
                Ok(body) => body.to_bytes(),
                Err(error) => return unread(&*error),
            };
            state.take_time(came_ns).await;
            match path {
                "/login" => log_in(&parts, &body, state.seed()),
                "/orders" => order(&parts, state),
                _ => echo(&parts, &body),
            }
        }
        path => {
            // Whatever was sent is read, so that the connection can carry the next request.
            while let Some(Ok(_)) = body.frame().await {}
            if let Some(code) = path.strip_prefix("/status/") {
                status(code)
            } else if path == "/slow" {
                slow(parts.uri.query(), state, came_ns).await
            } else {
                plain(state, came_ns).await
            }
        }
    }
}

async fn plain(state: &State, came_ns: u64) -> Answer {
    let fails = state.take_turn(came_ns).await;
    let mut answer = Response::new(Full::new(state.body.clone()));
    if fails {
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    answer
}

fn log_in(parts: &Parts, body: &[u8], seed: u64) -> Answer {
    if parts.method != Method::POST {
        return not_allowed("POST");
    }
    let Ok(Value::Object(told)) = serde_json::from_slice(body) else {
        return text(StatusCode::BAD_REQUEST, r#"/login wants a JSON object such as {"user": "ann", "password": "x"}"#);
    };
    match told.get("user").and_then(Value::as_str) {
        Some(user) if !user.is_empty() => {
            let token = login::token(user, seed);
            json(StatusCode::OK, &json!({ "access_token": token, "expires_in": login::EXPIRES_S }))
        }
        _ => text(StatusCode::UNAUTHORIZED, r#"no user was named: write {"user": "ann", "password": "x"}"#),
    }
}

fn order(parts: &Parts, state: &State) -> Answer {
    if parts.method != Method::POST && parts.method != Method::GET {
        return not_allowed("GET, POST");
    }
    let shown = parts.headers.get(header::AUTHORIZATION).and_then(login::bearer);
    if shown.and_then(|token| login::user_of(token, state.seed())).is_none() {
        let refused = text(StatusCode::UNAUTHORIZED, "no token of /login was shown: send Authorization: Bearer TOKEN");
        return with(refused, header::WWW_AUTHENTICATE, "Bearer");
    }
    let id = state.orders.fetch_add(1, Ordering::Relaxed) + 1;
    json(StatusCode::CREATED, &json!({ "id": id }))
}

fn echo(parts: &Parts, body: &[u8]) -> Answer {
    json(
        StatusCode::OK,
        &json!({
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "query": parts.uri.query().unwrap_or_default(),
            "headers": headers(&parts.headers),
            "body": String::from_utf8_lossy(body),
        }),
    )
}

/// In the order they came; those that came more than once are joined with commas.
fn headers(headers: &HeaderMap) -> Map<String, Value> {
    let joined = |name: &HeaderName| {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        values.join(", ")
    };
    headers.keys().map(|name| (name.as_str().to_owned(), Value::String(joined(name)))).collect()
}

fn status(code: &str) -> Answer {
    let code = code.parse().ok().filter(|code| (200..=599).contains(code));
    match code.and_then(|code| StatusCode::from_u16(code).ok()) {
        // These have no body by what they mean.
        Some(code @ (StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)) => {
            let mut answer = Answer::default();
            *answer.status_mut() = code;
            answer
        }
        Some(code) => text(code, &code.to_string()),
        None => text(StatusCode::BAD_REQUEST, "that is not a status: write /status/200 to /status/599"),
    }
}

async fn slow(query: Option<&str>, state: &State, came_ns: u64) -> Answer {
    let ms = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("ms="));
    match ms.and_then(|ms| ms.parse::<u64>().ok()).filter(|ms| *ms <= SLOW_MAX_MS) {
        Some(ms) => {
            state.sleep_until(came_ns + ms * 1_000_000).await;
            text(StatusCode::OK, &format!("took {ms} ms"))
        }
        None => text(StatusCode::BAD_REQUEST, &format!("how slow? write /slow?ms=250, up to {SLOW_MAX_MS}")),
    }
}

fn unread(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Answer {
    if error.is::<LengthLimitError>() {
        return text(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("a body of more than {BODY_MAX} bytes is not looked into"),
        );
    }
    text(StatusCode::BAD_REQUEST, "the body did not come to its end")
}

fn not_allowed(allowed: &'static str) -> Answer {
    let refused = text(StatusCode::METHOD_NOT_ALLOWED, &format!("send {allowed}"));
    with(refused, header::ALLOW, allowed)
}

fn json(status: StatusCode, value: &Value) -> Answer {
    full(status, "application/json", format!("{value}\n"))
}

/// A line.
pub(super) fn text(status: StatusCode, line: &str) -> Answer {
    full(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

fn full(status: StatusCode, kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    with(answer, header::CONTENT_TYPE, kind)
}

fn with(mut answer: Answer, name: HeaderName, value: &'static str) -> Answer {
    answer.headers_mut().insert(name, HeaderValue::from_static(value));
    answer
}

fn without_body(answer: Answer) -> Answer {
    let length = answer.body().size_hint().exact().unwrap_or_default();
    let mut answer = answer.map(|_| Full::default());
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    answer
}
