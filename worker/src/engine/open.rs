//! Connections come and go: opened, secured, given back, retired, moved to other addresses.

use std::net::SocketAddr;
use std::time::Duration;

use loadgrid_proto::ErrorKind;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Http1, Speaks};
use super::core::Core;
use super::drive::drive;
use super::flight::{Flight, Traffic, Waiting};
use super::io::Io;
use crate::client::http2::{Config, Http2};
use crate::client::resolve::{Target, connect_error, lookup};
use crate::client::secure::{Version, handshake_error};
use crate::clock;
use crate::recorder::Outcome;

/// A new address may take so long to take a connection.
const TRY_TIMEOUT: Duration = Duration::from_secs(1);

/// A new connection, and how long its parts took; ns.
struct Opened {
    io: Io,
    http2: bool,
    address: SocketAddr,
    connect_ns: u64,
    handshake_ns: Option<u64>,
}

impl Core {
    pub(super) fn open(&mut self, number: usize) {
        let Some(me) = self.me.upgrade() else { return };
        let pool = &mut self.pools[number];
        let Some(address) = pool.next_address() else { return };
        pool.opening += 1;
        self.open += 1;
        let job = self.job.clone();
        tokio::task::spawn_local(async move {
            let timeout = Duration::from_nanos(job.timeout_ns);
            let connected = tokio::time::timeout(timeout, connect(&job.targets[number], address)).await;
            let (key, generation) = match connected {
                Ok(Ok(opened)) => me.borrow_mut().opened(number, opened),
                Ok(Err((kind, error))) => return me.borrow_mut().refused(number, kind, &error),
                Err(elapsed) => {
                    return me.borrow_mut().refused(number, ErrorKind::ConnectTimeout, &elapsed.into());
                }
            };
            std::future::poll_fn(|cx| drive(&mut me.borrow_mut(), key, generation, cx)).await;
        });
    }

    fn opened(&mut self, number: usize, opened: Opened) -> (usize, u64) {
        let now = clock::now_ns();
        self.recorder.connect_time.record(opened.connect_ns);
        if let Some(ns) = opened.handshake_ns {
            self.recorder.handshake_time.record(ns);
        }
        self.health.connections_opened += 1;
        self.generations += 1;
        let generation = self.generations;
        let body_bytes_max = self.job.max_body_bytes;
        let speaks = if opened.http2 {
            let config = Config { streams_max: self.job.streams.max(1), body_bytes_max };
            Speaks::Http2(Box::new(Http2::new(config)))
        } else {
            Speaks::Http1(Box::new(Http1::new(body_bytes_max)))
        };
        let connection = Connection::new(opened.io, speaks, number, opened.address, generation, now);
        let key = self.connections.insert(connection);
        self.dirty.push(key);
        self.pools[number].opening -= 1;
        self.list(key);
        self.serve(number, now);
        self.flush_dirty();
        (key, generation)
    }

    /// An attempt to connect failed: so has the request that has waited longest.
    fn refused(&mut self, number: usize, kind: ErrorKind, error: &std::io::Error) {
        let now = clock::now_ns();
        self.open -= 1;
        self.pools[number].opening -= 1;
        if kind == ErrorKind::Exhausted {
            match error.kind() {
                std::io::ErrorKind::AddrNotAvailable => self.health.ports_exhausted += 1,
                _ => self.health.descriptors_exhausted += 1,
            }
        }
        if let Some(first) = self.pools[number].waiting.pop_front() {
            self.not_sent(first, kind, now);
            self.place_free();
        }
        self.serve(number, now);
        self.flush_dirty();
    }

    /// Records a request that found no connection.
    fn not_sent(&mut self, waiting: Waiting, kind: ErrorKind, now: u64) {
        if waiting.tries == 0 {
            self.recorder.started(waiting.due.warmup, waiting.due.request);
        }
        let flight = Flight::new(waiting, now, now, 0);
        self.record_unsent(&flight, now, Outcome::Failure(kind));
    }

    /// Puts a connection among its pool's free ones, if it can take a request and is not there.
    pub(super) fn list(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if !connection.listed && connection.has_room() {
            connection.listed = true;
            self.pools[connection.pool].free.push_back(key);
        }
    }

    /// A connection has carried a request to its end: it goes back, or away.
    pub(super) fn release(&mut self, key: usize) {
        let age_max = self.job.connection_age_ns;
        let Some(connection) = self.connections.get_mut(key) else { return };
        if age_max > 0 && clock::now_ns().saturating_sub(connection.opened_at) >= age_max {
            connection.retired = true;
        }
        if connection.is_leaving() && !connection.leaving_counted {
            connection.leaving_counted = true;
            self.health.goaways += 1;
        }
        if (connection.retired || connection.is_leaving()) && connection.is_idle() {
            self.close(key);
        } else if connection.retired || connection.is_leaving() {
            self.drain(key);
        } else {
            self.list(key);
        }
    }

    /// A connection that takes no more requests gives its place up: what it still carries is not to keep others waiting.
    /// At most as many are drained at once as may be open.
    pub(super) fn drain(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if !connection.drained && self.draining < self.limit && matches!(connection.speaks, Speaks::Http2(_)) {
            connection.drained = true;
            self.draining += 1;
            self.open -= 1;
        }
    }

    /// Connections past their age take no more requests; those without any are closed.
    pub(super) fn retire_aged(&mut self, now: u64) {
        let age_max = self.job.connection_age_ns;
        let aged = |connection: &Connection| now.saturating_sub(connection.opened_at) >= age_max;
        self.retire(aged);
    }

    fn retire(&mut self, goes: impl Fn(&Connection) -> bool) {
        let mut retired = Vec::new();
        for (key, connection) in self.connections.iter_mut().filter(|(_, connection)| goes(connection)) {
            connection.retired = true;
            retired.push((key, connection.is_idle()));
        }
        for (key, idle) in retired {
            if idle {
                self.close(key);
            } else {
                self.drain(key);
            }
        }
    }

    /// Takes a connection away; what was in flight on it.
    pub(super) fn close(&mut self, key: usize) -> Vec<(Flight, Traffic)> {
        let mut connection = self.connections.remove(key);
        if connection.drained {
            self.draining -= 1;
        } else {
            self.open -= 1;
        }
        self.health.goaways += u64::from(connection.is_leaving() && !connection.leaving_counted);
        if connection.listed {
            self.pools[connection.pool].free.retain(|free| *free != key);
        }
        // Its task finds it gone and ends.
        connection.wake();
        connection.into_flights()
    }

    /// Looks the targets' names up again from time to time, so that load follows what comes and goes behind them.
    pub(super) fn look_up_again(&mut self) {
        if self.job.resolve_every_ns == 0 {
            return;
        }
        for number in 0..self.pools.len() {
            let (me, job) = (self.me.clone(), self.job.clone());
            let again = me.clone();
            tokio::task::spawn_local(async move {
                let target = &job.targets[number];
                loop {
                    tokio::time::sleep(Duration::from_nanos(job.resolve_every_ns)).await;
                    // A name that can't be looked up for a while keeps its addresses.
                    let found = lookup(&target.host, target.port).await;
                    let Some(me) = me.upgrade() else { return };
                    let Ok(addresses) = found else { continue };
                    let known = me.borrow().pools[number].addresses.clone();
                    drop(me);
                    let taken = that_take_connections(addresses, &known).await;
                    if let Some(me) = again.upgrade().filter(|_| !taken.is_empty()) {
                        me.borrow_mut().move_to(number, taken);
                    }
                }
            });
        }
    }

    fn move_to(&mut self, number: usize, addresses: Vec<SocketAddr>) {
        if self.pools[number].addresses != addresses {
            let gone = |connection: &Connection| connection.pool == number && !addresses.contains(&connection.address);
            self.retire(gone);
            self.pools[number].addresses = addresses;
        }
    }
}

/// Of new addresses those that take a connection: as before the load, a family that the service does not listen on is
/// none of its addresses. Known ones are not tried, they are in use.
async fn that_take_connections(addresses: Vec<SocketAddr>, known: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut taken = Vec::new();
    for address in addresses {
        let tried = || tokio::time::timeout(TRY_TIMEOUT, TcpStream::connect(address));
        if known.contains(&address) || matches!(tried().await, Ok(Ok(_))) {
            taken.push(address);
        }
    }
    taken
}

/// Connects and secures.
async fn connect(target: &Target, address: SocketAddr) -> Result<Opened, (ErrorKind, std::io::Error)> {
    let began = clock::now_ns();
    let stream = TcpStream::connect(address).await.map_err(|error| (connect_error(&error), error))?;
    // A target that can't do without Nagle's algorithm is as fast as it is.
    let _ = stream.set_nodelay(true);
    let connect_ns = clock::now_ns().saturating_sub(began);
    let Some(secure) = &target.secure else {
        let http2 = target.version == Version::Http2;
        return Ok(Opened { io: Io::Plain(stream), http2, address, connect_ns, handshake_ns: None });
    };
    let began = clock::now_ns();
    let connector = TlsConnector::from(secure.config.clone());
    let stream =
        connector.connect(secure.name.clone(), stream).await.map_err(|error| (handshake_error(&error).0, error))?;
    let handshake_ns = Some(clock::now_ns().saturating_sub(began));
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if target.version == Version::Http2 && !http2 {
        return Err((ErrorKind::Alpn, std::io::Error::other("no HTTP/2 by ALPN")));
    }
    Ok(Opened { io: Io::Tls(Box::new(stream)), http2, address, connect_ns, handshake_ns })
}
