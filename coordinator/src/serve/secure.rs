//! The way in over TLS: connections whose client has shown a certificate of the coordinator's CA, with certificates that
//! may be renewed at any time. It does not know what is said on a connection, nor which role may say it.

mod certificates;
#[cfg(test)]
mod tests;
mod verifier;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::{AlertDescription, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;

pub use self::certificates::Certificates;

/// A handshake may take so long.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Handshakes at a time. Who comes when there are so many waits in the listener's queue.
const HANDSHAKES_MAX: usize = 512;

/// Connections that wait to be served.
const READY_MAX: usize = 16;

/// A client that is sent away may take so long to read why, and say so much more meanwhile.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(1);
const FAREWELL_BYTES_MAX: u64 = 64 * 1024;

/// After a connection could not be taken up: descriptors come back when others close theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The same is said of the same address once in this time, and of so many addresses.
const SAY_EVERY: Duration = Duration::from_secs(60);
const SAID_MAX: usize = 256;

/// A connection on which the client has shown its certificate. With it `tonic::Request::peer_certs` works as usual.
pub type Connection = TlsStream<TcpStream>;

/// Connections as they become ready, for `serve_with_incoming`. The listener closes when this is dropped.
pub struct Incoming {
    ready: mpsc::Receiver<Connection>,
}

/// What keeps one client from another.
#[derive(Clone, Copy)]
struct Limits {
    handshakes: usize,
    handshake: Duration,
}

/// Takes up connections from a listener. Handshakes go on beside each other; one that fails ends with an alert for the
/// client and a line in the log, and is no matter for the others.
pub fn accept(listener: TcpListener, certificates: Certificates) -> Incoming {
    start(listener, certificates, Limits { handshakes: HANDSHAKES_MAX, handshake: HANDSHAKE_TIMEOUT })
}

fn start(listener: TcpListener, certificates: Certificates, limits: Limits) -> Incoming {
    let (ready, incoming) = mpsc::channel(READY_MAX);
    tokio::spawn(async move {
        let gone = ready.clone();
        tokio::select! {
            () = gone.closed() => {}
            () = take_up(listener, certificates, limits, ready) => {}
        }
    });
    Incoming { ready: incoming }
}

async fn take_up(
    listener: TcpListener,
    mut certificates: Certificates,
    limits: Limits,
    ready: mpsc::Sender<Connection>,
) {
    let room = Arc::new(Semaphore::new(limits.handshakes));
    let said = Arc::new(Mutex::new(Said::default()));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection could not be taken up: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let acceptor = TlsAcceptor::from(certificates.config(Instant::now()));
        let (ready, said) = (ready.clone(), said.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = ready.closed() => {}
                shaken = shake_hands(acceptor, stream, limits.handshake) => match shaken {
                    // Where nobody takes it, the service is ending.
                    Ok(connection) => drop(ready.send(connection).await),
                    Err(Some(why)) => {
                        said.lock().unwrap_or_else(PoisonError::into_inner).say(address, why, Instant::now());
                    }
                    Err(None) => tracing::debug!("a connection from {address} ended before it began"),
                },
            }
            drop(permit);
        });
    }
}

/// One handshake.
///
/// # Errors
/// Why it did not come about, in words; `None` if the client left without a word, as those do who only look whether
/// somebody listens.
async fn shake_hands(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    patience: Duration,
) -> Result<Connection, Option<String>> {
    // A stream that is broken already says so below.
    let _ = stream.set_nodelay(true);
    let shaking = verifier::noting(acceptor.accept(stream).into_fallible());
    let Ok((shaken, refused)) = tokio::time::timeout(patience, shaking).await else {
        return Err(Some(format!("it made no TLS handshake in {} s", patience.as_secs_f64())));
    };
    let (error, stream) = match shaken {
        Ok(connection) => return Ok(connection),
        Err(failed) => failed,
    };
    // The alert is on its way. To close with something unread would take it back.
    let _ = tokio::time::timeout(FAREWELL_TIMEOUT, see_off(stream)).await;
    Err(refused.or_else(|| in_words(&error)))
}

async fn see_off(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let _ = tokio::io::copy(&mut stream.take(FAREWELL_BYTES_MAX), &mut tokio::io::sink()).await;
}

fn in_words(error: &io::Error) -> Option<String> {
    let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        let left = matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset);
        return (!left).then(|| error.to_string());
    };
    Some(match inner {
        Error::NoCertificatesPresented => "it showed no certificate: it needs --tls-dir".to_owned(),
        // A CA of the same name has another key: then it is the signature that it can't make out.
        Error::AlertReceived(
            AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::DecryptError,
        ) => "it does not trust the coordinator's certificate: its CA is another one".to_owned(),
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "it found the coordinator's certificate expired: renew that, or set the clocks".to_owned()
        }
        Error::InvalidMessage(_) => "it does not speak TLS: write https://".to_owned(),
        Error::NoApplicationProtocol => "it does not offer HTTP/2".to_owned(),
        other => other.to_string(),
    })
}

/// What was said lately, so that a worker that dials on and on does not fill the log.
#[derive(Default)]
struct Said {
    when: HashMap<(IpAddr, String), Instant>,
}

impl Said {
    /// Says it, unless that was done a moment ago; whether it was said now.
    fn say(&mut self, address: SocketAddr, why: String, now: Instant) -> bool {
        let recent = |when: &Instant| now.saturating_duration_since(*when) < SAY_EVERY;
        let key = (address.ip(), why);
        if self.when.get(&key).is_some_and(recent) {
            return false;
        }
        if self.when.len() >= SAID_MAX {
            self.when.retain(|_, when| recent(when));
        }
        tracing::warn!("a connection from {address} was refused: {}", key.1);
        if self.when.len() < SAID_MAX {
            self.when.insert(key, now);
        }
        true
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(context).map(|connection| connection.map(Ok))
    }
}
