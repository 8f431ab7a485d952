//! What a worker says of itself over HTTP to whoever runs it: that it lives, and whether it is in a session. It knows
//! neither loads nor runs.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Connections that are answered at a time; more wait to be taken up.
const CONNECTIONS_MAX: usize = 8;

/// A connection may take so long from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(5);

/// After a connection could not be taken up: descriptors come back when others close theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Answers `GET /healthz` (200 as long as the process gets round to it) and `GET /readyz` (200 while `ready` is true,
/// 503 otherwise) until the runtime ends. Returns where it listens.
///
/// # Errors
/// A sentence for people: the address can't be listened on.
pub async fn listen(address: SocketAddr, ready: watch::Receiver<bool>) -> Result<SocketAddr, String> {
    let wrong = |error| format!("{address} can't be listened on ({error}): choose another with --health");
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    tokio::spawn(serve(listener, ready, PATIENCE));
    Ok(address)
}

async fn serve(listener: TcpListener, ready: watch::Receiver<bool>, patience: Duration) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let ready = ready.clone();
                tokio::spawn(async move {
                    // Who is slower has gone away or means no good; either way there is nobody to tell.
                    let _ = tokio::time::timeout(patience, connection(stream, ready)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!("no connection to the health address: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, ready: watch::Receiver<bool>) -> hyper::Result<()> {
    let service = service_fn(|request| {
        let response = answer(&request, *ready.borrow());
        async move { Ok::<_, Infallible>(response) }
    });
    // One request a connection, as probes have it: an idle worker holds nothing.
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer<B>(request: &Request<B>, ready: bool) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = says(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD alone\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match (request.uri().path(), ready) {
        ("/healthz", _) => says(StatusCode::OK, "it lives\n"),
        ("/readyz", true) => says(StatusCode::OK, "in session with the coordinator\n"),
        ("/readyz", false) => says(StatusCode::SERVICE_UNAVAILABLE, "no session with the coordinator\n"),
        _ => says(StatusCode::NOT_FOUND, "there are /healthz and /readyz\n"),
    }
}

fn says(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn ask(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: worker\r\n\r\n")).await
    }

    #[tokio::test]
    async fn it_is_ready_while_it_is_in_session() {
        let (ready, seen) = watch::channel(false);
        let address = listen(([127, 0, 0, 1], 0).into(), seen).await.unwrap();
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
        let answer = get(address, "/readyz").await;
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("no session with the coordinator\n"),
            "{answer}"
        );
        ready.send(true).unwrap();
        assert!(get(address, "/readyz?verbose").await.starts_with("HTTP/1.1 200 "));
        ready.send(false).unwrap();
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 503 "));
        drop(ready);
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn what_it_does_not_know_it_says() {
        let (_ready, seen) = watch::channel(true);
        let address = listen(([127, 0, 0, 1], 0).into(), seen).await.unwrap();
        assert!(get(address, "/metrics").await.starts_with("HTTP/1.1 404 "));
        let answer = ask(address, "POST /healthz HTTP/1.1\r\nHost: worker\r\nContent-Length: 0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"), "{answer}");
        let answer = ask(address, "HEAD /readyz HTTP/1.1\r\nHost: worker\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(ask(address, "nonsense\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
        let error = listen(address, watch::channel(true).1).await.unwrap_err();
        assert!(error.contains("choose another with --health"), "{error}");
    }

    #[tokio::test]
    async fn who_says_nothing_makes_room_for_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_ready, seen) = watch::channel(true);
        tokio::spawn(serve(listener, seen, Duration::from_millis(50)));
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
        for mut stream in silent {
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        }
    }
}
