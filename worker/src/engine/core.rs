//! The state of a lane: what is due, what waits, what is in flight, on which connection.
//!
//! Everything happens in one thread, in few calls: [`Core::dispatch_due`] and [`Core::sweep`] by the clock, [`drive`] by a socket, and what
//! comes of an attempt to connect. Whichever runs first dispatches what is due, so a busy lane does not depend on its
//! timer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use loadgrid_proto::ErrorKind;
use tokio::net::TcpStream;

use super::Job;
use super::connection::{Connection, Event, Flight};
use super::feed::{Due, Feed};
use crate::client::resolve::connect_error;
use crate::clock;
use crate::interval::Health;
use crate::recorder::{Outcome, Recorder, Sample};

/// After an order to stop, what is in flight may still end for so long.
pub(super) const STOP_GRACE_NS: u64 = 400_000_000;

/// How often timeouts and orders to stop are looked at.
pub(super) const SWEEP_NS: u64 = 10_000_000;

/// What waits for a connection in one lane, at the most; what is due beyond it is dropped and counted.
const WAITING_MAX: usize = 1_000_000;

/// A target's requests wait so long before they take a connection's place from another target: a new connection
/// costs more than a moment's patience.
const HANDOVER_NS: u64 = 20_000_000;

struct Prepared {
    bytes: Vec<u8>,
    pool: usize,
    is_head: bool,
}

/// The connections to one target.
struct Pool {
    addresses: Vec<SocketAddr>,
    next_address: usize,
    /// Last in, first out: the fewest connections carry the load.
    idle: Vec<usize>,
    waiting: VecDeque<Waiting>,
    opening: usize,
}

#[derive(Clone, Copy)]
struct Waiting {
    due: Due,
    dispatched: u64,
}

/// A lane's state. See the module.
pub(super) struct Core {
    me: Weak<RefCell<Core>>,
    job: Arc<Job>,
    feed: Feed,
    prepared: Vec<Prepared>,
    pools: Vec<Pool>,
    connections: slab::Slab<Connection>,
    generations: u64,
    /// Open and opening connections, and their bound.
    open: usize,
    limit: usize,
    /// Of a closed loop: what may be in flight.
    places: usize,
    in_flight: usize,
    /// Places of a closed loop that failed to connect: they try again at the next sweep, not at once.
    parked: usize,
    pub recorder: Recorder,
    pub health: Health,
    first_intended: u64,
    /// When what is in flight is cancelled, once there is an order to stop.
    stop_at: Option<u64>,
}

impl Core {
    pub(super) fn new(job: Arc<Job>, index: u32, start_ns: u64) -> Rc<RefCell<Core>> {
        let feed = Feed::new(&job, index, start_ns);
        let prepared = job.requests.iter().zip(&job.target_of).map(|(request, pool)| Prepared {
            bytes: request.encode(),
            pool: *pool,
            is_head: request.method == "HEAD",
        });
        let pools = job.targets.iter().map(|target| Pool {
            addresses: target.addresses.clone(),
            // Lanes begin at different addresses of a name.
            next_address: (job.first_lane + index) as usize,
            idle: Vec::new(),
            waiting: VecDeque::new(),
            opening: 0,
        });
        Rc::new_cyclic(|me| {
            RefCell::new(Core {
                me: me.clone(),
                prepared: prepared.collect(),
                pools: pools.collect(),
                connections: slab::Slab::new(),
                generations: 0,
                open: 0,
                places: job.connections_of(index),
                // In a closed loop the places bound what is in flight; each target keeps its connections.
                limit: job.connections_of(index) * if feed.is_closed() { job.targets.len() } else { 1 },
                in_flight: 0,
                parked: 0,
                recorder: Recorder::new(job.requests.len()),
                health: Health::default(),
                first_intended: feed.next_due().unwrap_or(start_ns),
                stop_at: None,
                feed,
                job: job.clone(),
            })
        })
    }

    /// Opens the places of a closed loop. Call once, at the start.
    pub(super) fn begin(&mut self, now: u64) {
        if self.feed.is_closed() {
            for _ in 0..self.places {
                self.refill(now);
            }
        }
    }

    /// Dispatches what is due.
    pub(super) fn dispatch_due(&mut self, now: u64) {
        if self.feed.is_closed() || self.stop_at.is_some() {
            return;
        }
        while let Some(due) = self.feed.take(now) {
            self.dispatch(due, now);
        }
    }

    /// When the next arrival is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        if self.stop_at.is_some() { None } else { self.feed.next_due() }
    }

    /// Ends what took or waited too long.
    pub(super) fn sweep(&mut self, now: u64, stop: bool) {
        if stop && self.stop_at.is_none() {
            self.stop_at = Some(now + STOP_GRACE_NS);
            self.drop_waiting();
        }
        let cancel = self.stop_at.is_some_and(|at| now >= at);
        let expired: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, connection)| {
                let late = |flight: &Flight| cancel || now.saturating_sub(flight.sent) > self.job.timeout_ns;
                connection.flight.as_ref().is_some_and(late)
            })
            .map(|(key, _)| key)
            .collect();
        for key in expired {
            match self.connections[key].flight {
                Some(flight) if !cancel => {
                    // What was given up for its time was given up at its time, not when the sweep came by.
                    self.fail(key, ErrorKind::Timeout, now.min(flight.sent + self.job.timeout_ns));
                }
                flight => {
                    self.close(key);
                    if let Some(flight) = flight {
                        self.in_flight -= 1;
                        self.recorder.cancelled(flight.due.warmup, flight.due.request);
                    }
                }
            }
        }
        for pool in 0..self.pools.len() {
            self.serve(pool, now);
        }
        for _ in 0..std::mem::take(&mut self.parked) {
            self.refill(now);
        }
    }

    /// Nothing more is to be sent, waits or is in flight.
    pub(super) fn finished(&self, now: u64) -> bool {
        let idle = self.in_flight == 0 && self.pools.iter().all(|pool| pool.waiting.is_empty());
        idle && (self.stop_at.is_some() || self.feed.exhausted(now))
    }

    /// Arrivals never taken: (warm-up, main).
    pub(super) fn left(&self) -> (u64, u64) {
        self.feed.left()
    }

    /// Fills in what is true at this moment.
    pub(super) fn gauges(&self, health: &mut Health) {
        health.connections_open = self.connections.len() as u64;
        health.in_flight = self.in_flight as u64;
        health.waiting = self.pools.iter().map(|pool| pool.waiting.len() as u64).sum();
    }

    fn dispatch(&mut self, due: Due, now: u64) {
        if due.intended <= self.first_intended && self.health.start_skew_ns.is_none() && !self.feed.is_closed() {
            self.health.start_skew_ns = Some(now as i64 - due.intended as i64);
        }
        self.recorder.due(due.warmup, due.request);
        let number = self.prepared[due.request as usize].pool;
        let pool = &mut self.pools[number];
        let waiting = Waiting { due, dispatched: now };
        if pool.waiting.is_empty()
            && let Some(key) = pool.idle.pop()
        {
            self.send(key, waiting, now);
            return;
        }
        if pool.waiting.len() >= WAITING_MAX {
            self.drop(waiting);
            return;
        }
        pool.waiting.push_back(waiting);
        self.serve(number, now);
    }

    /// Gives waiting arrivals a connection, or opens one, or leaves them waiting.
    fn serve(&mut self, number: usize, now: u64) {
        loop {
            let pool = &mut self.pools[number];
            let Some(first) = pool.waiting.front().copied() else { return };
            // Counted from the dispatch: the generator's own lateness is no wait for a connection.
            if now.saturating_sub(first.dispatched) > self.job.max_wait_ns {
                pool.waiting.pop_front();
                self.drop(first);
                self.place_free();
            } else if let Some(key) = pool.idle.pop() {
                pool.waiting.pop_front();
                self.send(key, first, now);
            } else if pool.opening >= pool.waiting.len() || !self.make_room() {
                return;
            } else {
                self.open(number);
            }
        }
    }

    /// Whether another connection may be opened; an idle one to another target gives way.
    fn make_room(&mut self) -> bool {
        if self.open < self.limit {
            return true;
        }
        let Some(key) = self.pools.iter_mut().find_map(|pool| pool.idle.pop()) else { return false };
        self.close(key);
        true
    }

    fn open(&mut self, number: usize) {
        let Some(me) = self.me.upgrade() else { return };
        let pool = &mut self.pools[number];
        pool.opening += 1;
        self.open += 1;
        let address = pool.addresses[pool.next_address % pool.addresses.len()];
        pool.next_address = pool.next_address.wrapping_add(1);
        let timeout = Duration::from_nanos(self.job.timeout_ns);
        tokio::task::spawn_local(async move {
            let began = clock::now_ns();
            let connected = tokio::time::timeout(timeout, TcpStream::connect(address)).await;
            let opened = match connected {
                Ok(Ok(stream)) => me.borrow_mut().opened(number, stream, began),
                Ok(Err(error)) => return me.borrow_mut().refused(number, connect_error(&error), &error),
                Err(elapsed) => {
                    return me.borrow_mut().refused(number, ErrorKind::ConnectTimeout, &elapsed.into());
                }
            };
            let (key, generation) = opened;
            std::future::poll_fn(|cx| drive(&mut me.borrow_mut(), key, generation, cx)).await;
        });
    }

    fn opened(&mut self, number: usize, stream: TcpStream, began: u64) -> (usize, u64) {
        let now = clock::now_ns();
        // A target that can't do without Nagle's algorithm is as fast as it is.
        let _ = stream.set_nodelay(true);
        self.recorder.connect_time.record(now.saturating_sub(began));
        self.health.connections_opened += 1;
        self.generations += 1;
        let generation = self.generations;
        let key = self.connections.insert(Connection::new(stream, number, generation, self.job.max_body_bytes));
        let pool = &mut self.pools[number];
        pool.opening -= 1;
        pool.idle.push(key);
        self.serve(number, now);
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
            self.recorder.started(first.due.warmup, first.due.request);
            self.recorder.record(&Sample {
                request: first.due.request,
                warmup: first.due.warmup,
                intended: first.due.intended,
                dispatched: first.dispatched,
                sent: None,
                first_byte: None,
                end: now,
                bytes_sent: 0,
                bytes_received: 0,
                outcome: Outcome::Failure(kind),
            });
            self.place_free();
        }
        self.serve(number, now);
    }

    /// A place of a closed loop is free for want of a connection: it tries again at the next sweep.
    fn place_free(&mut self) {
        if self.feed.is_closed() {
            self.parked += 1;
        }
    }

    fn send(&mut self, key: usize, waiting: Waiting, now: u64) {
        let prepared = &self.prepared[waiting.due.request as usize];
        let flight =
            Flight { due: waiting.due, dispatched: waiting.dispatched, sent: now, first_byte: None, bytes_received: 0 };
        self.in_flight += 1;
        self.connections[key].send(flight, &prepared.bytes);
        self.recorder.started(waiting.due.warmup, waiting.due.request);
    }

    fn refill(&mut self, now: u64) {
        if self.stop_at.is_none()
            && let Some(due) = self.feed.take(now)
        {
            self.dispatch(due, now);
        }
    }

    fn close(&mut self, key: usize) {
        let mut connection = self.connections.remove(key);
        self.open -= 1;
        // Its task finds it gone and ends.
        connection.wake();
    }

    /// The pool whose front has waited for [`HANDOVER_NS`] and longer than that of `than`, and that can't help itself.
    fn neediest(&self, than: usize, now: u64) -> Option<usize> {
        let since = |pool: &Pool| pool.waiting.front().map_or(u64::MAX, |waiting| waiting.dispatched);
        let own = since(&self.pools[than]);
        let (number, pool) = self.pools.iter().enumerate().min_by_key(|(_, pool)| since(pool))?;
        let waited = since(pool);
        let needs = number != than && waited < own && pool.opening == 0 && pool.idle.is_empty();
        (needs && now.saturating_sub(waited) >= HANDOVER_NS).then_some(number)
    }

    fn fail(&mut self, key: usize, kind: ErrorKind, at: u64) {
        let connection = &self.connections[key];
        let (flight, bytes_sent, pool) = (connection.flight, connection.written, connection.pool);
        self.close(key);
        if let Some(flight) = flight {
            self.in_flight -= 1;
            self.record(&flight, bytes_sent, at, Outcome::Failure(kind));
            if self.feed.is_closed() {
                self.refill(at);
            }
        }
        self.serve_all(pool, at);
    }

    /// Serves the pool that has a connection more, or the room for one, and then the others. Where all places are
    /// taken, a target whose requests have waited for long gets the place of one whose have not.
    fn serve_all(&mut self, first: usize, now: u64) {
        if self.pools.len() > 1
            && self.open >= self.limit
            && let Some(needy) = self.neediest(first, now)
            && let Some(key) = self.pools[first].idle.pop()
        {
            self.close(key);
            self.serve(needy, now);
        }
        self.serve(first, now);
        for other in (0..self.pools.len()).filter(|other| *other != first) {
            self.serve(other, now);
        }
    }

    fn done(&mut self, key: usize, done: crate::client::http1::Done, at: u64, left_over: bool) {
        let connection = &mut self.connections[key];
        let (written, pool) = (connection.written, connection.pool);
        let Some(flight) = connection.flight.take() else { return };
        self.in_flight -= 1;
        if done.keep_alive && !left_over {
            self.pools[pool].idle.push(key);
        } else {
            self.health.unsolicited += u64::from(left_over);
            self.close(key);
        }
        // The next request goes out before this one is recorded: recording is not to be in its latency.
        if self.feed.is_closed() {
            self.refill(at);
        } else {
            self.serve_all(pool, at);
        }
        let is_error = self.job.requests[flight.due.request as usize].is_error(done.status);
        self.record(&flight, written, at, Outcome::Response { status: done.status, is_error });
        self.dispatch_due(at);
    }

    fn record(&mut self, flight: &Flight, bytes_sent: usize, end: u64, outcome: Outcome) {
        self.recorder.record(&Sample {
            request: flight.due.request,
            warmup: flight.due.warmup,
            intended: flight.due.intended,
            dispatched: flight.dispatched,
            sent: Some(flight.sent),
            first_byte: flight.first_byte,
            end,
            bytes_sent: bytes_sent as u64,
            bytes_received: flight.bytes_received,
            outcome,
        });
    }

    /// After an order to stop: what waits is not sent any more.
    fn drop_waiting(&mut self) {
        for pool in 0..self.pools.len() {
            while let Some(waiting) = self.pools[pool].waiting.pop_front() {
                self.drop(waiting);
            }
        }
    }

    fn drop(&mut self, waiting: Waiting) {
        let lag = waiting.dispatched.saturating_sub(waiting.due.intended);
        self.recorder.dropped(waiting.due.warmup, waiting.due.request, lag);
    }
}

/// What a connection's task does whenever its socket is ready. Ends when the connection is gone.
fn drive(core: &mut Core, key: usize, generation: u64, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        let Some(connection) = core.connections.get_mut(key).filter(|c| c.generation == generation) else {
            return Poll::Ready(());
        };
        let request = connection.flight.as_ref().map(|flight| &core.prepared[flight.due.request as usize]);
        let (bytes, is_head) = request.map_or((&[][..], false), |prepared| (&prepared.bytes[..], prepared.is_head));
        match std::task::ready!(connection.poll_event(cx, bytes, is_head)) {
            Event::Done { done, at, left_over } => core.done(key, done, at, left_over),
            Event::Failed { kind, at } => core.fail(key, kind, at),
            event => {
                core.health.unsolicited += u64::from(matches!(event, Event::Unsolicited));
                let pool = core.connections[key].pool;
                core.pools[pool].idle.retain(|idle| *idle != key);
                core.close(key);
                return Poll::Ready(());
            }
        }
    }
}
