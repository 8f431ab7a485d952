//! The state of a lane: what is due, what waits, what is in flight, on which connection.
//!
//! Everything happens in one thread, in few calls: [`Core::dispatch_due`] and [`Core::sweep`] by the clock,
//! [`super::drive`] by a socket, and what comes of an attempt to connect. Whichever runs first dispatches what is due,
//! so a busy lane does not depend on its timer.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use loadgrid_proto::ErrorKind;

use super::Job;
use super::connection::{Connection, Speaks, traffic};
use super::feed::{Due, Feed};
use super::flight::{Flight, Traffic, Waiting};
use super::pool::Pool;
use crate::client::template::Session;
use crate::interval::Health;
use crate::recorder::{Outcome, Recorder};

/// After an order to stop, what is in flight may still end for so long.
pub(super) const STOP_GRACE_NS: u64 = 400_000_000;

/// How often timeouts and orders to stop are looked at.
pub(super) const SWEEP_NS: u64 = 10_000_000;

/// What waits for a connection in one lane, at the most; what is due beyond it is dropped and counted.
const WAITING_MAX: usize = 1_000_000;

/// A target's requests wait so long before they take a connection's place from another target: a new connection
/// costs more than a moment's patience.
const HANDOVER_NS: u64 = 20_000_000;

/// How often a request is sent before a server that does not take it up (RFC 9113 §8.7) has refused it for good.
const TRIES_MAX: u8 = 4;

/// A lane's state. See the module.
pub(super) struct Core {
    pub me: Weak<RefCell<Core>>,
    pub job: Arc<Job>,
    /// Its place in the grid.
    pub lane: u32,
    pub feed: Feed,
    pub pools: Vec<Pool>,
    pub connections: slab::Slab<Connection>,
    pub generations: u64,
    pub serials: u64,
    /// Open and opening connections, and their bound.
    pub open: usize,
    pub limit: usize,
    /// Connections that take no more requests and still carry some; not among the open ones.
    pub draining: usize,
    /// Of a closed loop: what may be in flight.
    places: usize,
    pub in_flight: usize,
    /// Places of a closed loop that failed to connect: they try again at the next sweep, not at once.
    parked: usize,
    /// Connections with something to be written.
    pub dirty: Vec<usize>,
    /// Messages of streams that are to be sent: (when, flight, connection, slot).
    pub timers: BinaryHeap<Reverse<(u64, u64, usize, usize)>>,
    pub block: Vec<u8>,
    pub content: Vec<u8>,
    pub recorder: Recorder,
    pub health: Health,
    first_intended: u64,
    /// When what is in flight is cancelled, once there is an order to stop.
    pub stop_at: Option<u64>,
}

impl Core {
    pub(super) fn new(job: Arc<Job>, index: u32, start_ns: u64) -> Rc<RefCell<Core>> {
        let feed = Feed::new(&job, index, start_ns);
        let lane = job.first_lane + index;
        let pools: Vec<Pool> = job.targets.iter().map(|target| Pool::new(target, lane as usize)).collect();
        let connections = job.connections_of(index);
        let streams = if pools.iter().any(|pool| pool.http2) { job.streams.max(1) as usize } else { 1 };
        Rc::new_cyclic(|me| {
            RefCell::new(Core {
                me: me.clone(),
                lane,
                places: connections * streams,
                // In a closed loop the places bound what is in flight; each target keeps its connections.
                limit: connections * if feed.is_closed() { pools.len() } else { 1 },
                pools,
                connections: slab::Slab::new(),
                generations: 0,
                serials: 0,
                open: 0,
                draining: 0,
                in_flight: 0,
                parked: 0,
                dirty: Vec::new(),
                timers: BinaryHeap::new(),
                block: Vec::new(),
                content: Vec::new(),
                recorder: Recorder::new(job.requests.len()),
                health: Health::default(),
                first_intended: feed.next_due().unwrap_or(start_ns),
                stop_at: None,
                feed,
                job: job.clone(),
            })
        })
    }

    /// Opens what is to be open from the start. Call once.
    pub(super) fn begin(&mut self, now: u64) {
        self.look_up_again();
        // HTTP/2 needs few connections, and who asks for a number of them wants that number.
        if self.feed.is_closed() || self.job.connections_fixed {
            let each = self.limit / self.pools.len().max(1);
            for number in (0..self.pools.len()).filter(|number| self.pools[*number].http2).collect::<Vec<_>>() {
                (0..each).for_each(|_| self.open(number));
            }
        }
        if self.feed.is_closed() {
            for _ in 0..self.places {
                self.refill(now);
            }
        }
        self.flush_dirty();
    }

    /// Dispatches what is due.
    pub(super) fn dispatch_due(&mut self, now: u64) {
        if self.stop_at.is_some() {
            return;
        }
        if !self.timers.is_empty() {
            self.send_messages(now);
        }
        if !self.feed.is_closed() {
            while let Some(due) = self.feed.take(now) {
                self.dispatch(due, now, None);
            }
        }
    }

    /// When the next arrival or message is due.
    pub(super) fn next_due(&self) -> Option<u64> {
        if self.stop_at.is_some() {
            return None;
        }
        let message = self.timers.peek().map(|Reverse((at, ..))| *at);
        self.feed.next_due().into_iter().chain(message).min()
    }

    /// Ends what took or waited too long.
    pub(super) fn sweep(&mut self, now: u64, stop: bool) {
        if stop && self.stop_at.is_none() {
            self.stop_at = Some(now + STOP_GRACE_NS);
            self.drop_waiting();
        }
        let cancel = self.stop_at.is_some_and(|at| now >= at);
        self.expire(now, cancel);
        if self.job.connection_age_ns > 0 {
            self.retire_aged(now);
        }
        for pool in 0..self.pools.len() {
            self.serve(pool, now);
        }
        for _ in 0..std::mem::take(&mut self.parked) {
            self.refill(now);
        }
        self.flush_dirty();
    }

    /// Gives up what is past its time, or with `cancel` everything.
    fn expire(&mut self, now: u64, cancel: bool) {
        let mut expired = Vec::new();
        let (mut has_room_again, mut leaving) = (Vec::new(), Vec::new());
        for (key, connection) in &self.connections {
            let is_late = |flight: &Flight| cancel || now > flight.expires;
            match &connection.speaks {
                Speaks::Http1(http1) if http1.flight.as_ref().is_some_and(is_late) => expired.push((key, 0)),
                Speaks::Http1(_) => {}
                Speaks::Http2(http2) => {
                    expired.extend(http2.tags().filter(|(_, flight)| is_late(flight)).map(|(slot, _)| (key, slot)));
                    // A server may allow more streams without one having ended.
                    if !connection.listed && connection.has_room() {
                        has_room_again.push(key);
                    }
                    if connection.is_leaving() && !connection.drained {
                        leaving.push(key);
                    }
                }
            }
        }
        has_room_again.into_iter().for_each(|key| self.list(key));
        leaving.into_iter().for_each(|key| self.drain(key));
        for (key, slot) in expired {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let pool = connection.pool;
            let given_up = match &mut connection.speaks {
                Speaks::Http1(_) => self.close(key),
                Speaks::Http2(http2) => {
                    let cancelled = http2.cancel(slot).map(|(flight, response)| (flight, traffic(&response)));
                    self.dirty.push(key);
                    self.release(key);
                    cancelled.into_iter().collect()
                }
            };
            for (flight, traffic) in given_up {
                self.in_flight -= 1;
                if cancel && now <= flight.expires {
                    self.recorder.cancelled(flight.due.warmup, flight.due.request);
                } else {
                    // What was given up for its time was given up at its time, not when the sweep came by.
                    self.give_up(flight, ErrorKind::Timeout, traffic, pool, |flight| now.min(flight.expires));
                }
            }
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

    /// Takes up an arrival, or the step that follows a request.
    pub(super) fn dispatch(&mut self, due: Due, now: u64, session: Option<Box<Session>>) {
        if due.intended <= self.first_intended && self.health.start_skew_ns.is_none() && !self.feed.is_closed() {
            self.health.start_skew_ns = Some(now as i64 - due.intended as i64);
        }
        self.recorder.due(due.warmup, due.request);
        let number = self.job.target_of[due.request as usize];
        let waiting = Waiting { due, dispatched: now, session, tries: 0 };
        if self.pools[number].waiting.is_empty()
            && let Some(key) = self.free_connection(number)
        {
            self.send(key, waiting, now);
            return;
        }
        let pool = &mut self.pools[number];
        if pool.waiting.len() >= WAITING_MAX {
            self.drop(waiting, now);
            return;
        }
        pool.waiting.push_back(waiting);
        self.serve(number, now);
    }

    /// A connection of a pool that can take a request. It is off the list until it was given one.
    fn free_connection(&mut self, number: usize) -> Option<usize> {
        while let Some(key) = self.pools[number].take_free() {
            let connection = &mut self.connections[key];
            connection.listed = false;
            if connection.has_room() {
                return Some(key);
            }
        }
        None
    }

    /// Gives waiting arrivals a connection, or opens one, or leaves them waiting.
    pub(super) fn serve(&mut self, number: usize, now: u64) {
        loop {
            let pool = &self.pools[number];
            let Some(first) = pool.waiting.front() else { return };
            // Counted from the dispatch: the generator's own lateness is no wait for a connection.
            if now.saturating_sub(first.dispatched) > self.job.max_wait_ns {
                if let Some(first) = self.pools[number].waiting.pop_front() {
                    self.drop(first, now);
                    self.place_free();
                }
            } else if let Some(key) = self.free_connection(number) {
                if let Some(first) = self.pools[number].waiting.pop_front() {
                    self.send(key, first, now);
                }
            } else {
                let pool = &self.pools[number];
                let streams = if pool.http2 { self.job.streams.max(1) as usize } else { 1 };
                if pool.opening * streams >= pool.waiting.len() || !self.make_room() {
                    return;
                }
                self.open(number);
            }
        }
    }

    /// Whether another connection may be opened; an idle one to another target gives way.
    fn make_room(&mut self) -> bool {
        if self.open < self.limit {
            return true;
        }
        let idle = (0..self.pools.len()).find_map(|number| self.idle_connection(number));
        let Some(key) = idle.or_else(|| self.useless_connection()) else { return false };
        self.close(key);
        true
    }

    /// An HTTP/2 connection with nothing in flight that takes nothing either: its server allows no stream.
    fn useless_connection(&self) -> Option<usize> {
        if !self.pools.iter().any(|pool| pool.http2) {
            return None;
        }
        let useless = |connection: &Connection| connection.is_idle() && !connection.has_room();
        self.connections.iter().find(|(_, connection)| useless(connection)).map(|(key, _)| key)
    }

    /// A free connection with nothing in flight on it.
    fn idle_connection(&self, number: usize) -> Option<usize> {
        self.pools[number].free.iter().rev().copied().find(|key| self.connections[*key].is_idle())
    }

    /// A place of a closed loop is free for want of a connection: it tries again at the next sweep.
    pub(super) fn place_free(&mut self) {
        if self.feed.is_closed() {
            self.parked += 1;
        }
    }

    /// A place of a closed loop takes up the next request.
    pub(super) fn refill(&mut self, now: u64) {
        if self.stop_at.is_none()
            && let Some(due) = self.feed.take(now)
        {
            self.dispatch(due, now, None);
        }
    }

    /// A request of a closed loop is over, or a connection of an open one has room.
    pub(super) fn go_on(&mut self, pool: usize, now: u64) {
        if self.feed.is_closed() {
            self.refill(now);
        }
        self.serve_all(pool, now);
    }

    /// The pool whose front has waited for [`HANDOVER_NS`] and longer than that of `than`, and that can't help itself.
    fn neediest(&self, than: usize, now: u64) -> Option<usize> {
        let own = self.pools[than].waits_since();
        let (number, pool) = self.pools.iter().enumerate().min_by_key(|(_, pool)| pool.waits_since())?;
        let waited = pool.waits_since();
        let needs = number != than && waited < own && pool.opening == 0 && pool.free.is_empty();
        (needs && now.saturating_sub(waited) >= HANDOVER_NS).then_some(number)
    }

    /// Serves the pool that has a connection more, or the room for one, and then the others. Where all places are
    /// taken, a target whose requests have waited for long gets the place of one whose have not.
    pub(super) fn serve_all(&mut self, first: usize, now: u64) {
        if self.pools.len() > 1
            && self.open >= self.limit
            && let Some(needy) = self.neediest(first, now)
            && let Some(key) = self.idle_connection(first)
        {
            self.close(key);
            self.serve(needy, now);
        }
        self.serve(first, now);
        for other in (0..self.pools.len()).filter(|other| *other != first) {
            self.serve(other, now);
        }
    }

    /// A request that the server did not take up goes to another connection, or fails if that was often enough.
    pub(super) fn send_again(&mut self, flight: Flight, pool: usize, at: u64) {
        self.in_flight -= 1;
        if flight.tries >= TRIES_MAX {
            self.give_up(flight, ErrorKind::StreamRefused, Traffic::default(), pool, |_| at);
            return;
        }
        if self.stop_at.is_some() {
            self.recorder.cancelled(flight.due.warmup, flight.due.request);
            return;
        }
        self.health.retried += 1;
        self.pools[pool].waiting.push_front(flight.back());
        self.serve(pool, at);
    }

    /// A request failed for good. Its place in a closed loop, or the room it leaves, goes to the next.
    pub(super) fn give_up(
        &mut self,
        flight: Flight,
        kind: ErrorKind,
        traffic: Traffic,
        pool: usize,
        at: impl Fn(&Flight) -> u64,
    ) {
        let at = at(&flight);
        let past_deadline = kind == ErrorKind::Timeout && self.job.has_deadline(flight.due.request);
        let outcome = if past_deadline {
            // The code that a gRPC client gives such a call itself.
            let code = crate::client::grpc::DEADLINE_EXCEEDED;
            self.judge_code(flight.due.request, code)
        } else {
            (Outcome::Failure(kind), None)
        };
        self.record(&flight, traffic, at, outcome);
        self.go_on(pool, at);
    }

    /// After an order to stop: what waits is not sent any more.
    fn drop_waiting(&mut self) {
        for pool in 0..self.pools.len() {
            while let Some(waiting) = self.pools[pool].waiting.pop_front() {
                self.drop(waiting, 0);
            }
        }
    }

    /// What was sent before and came back has started already: with a stop it is cancelled, and otherwise refused.
    fn drop(&mut self, waiting: Waiting, now: u64) {
        let due = waiting.due;
        if waiting.tries > 0 && self.stop_at.is_some() {
            self.recorder.cancelled(due.warmup, due.request);
            return;
        }
        if waiting.tries > 0 {
            let flight = Flight::new(waiting, now, now, 0);
            self.record_unsent(&flight, now, Outcome::Failure(ErrorKind::StreamRefused));
            return;
        }
        self.recorder.dropped(due.warmup, due.request, waiting.dispatched.saturating_sub(due.intended));
    }

    /// Writes what was gathered for HTTP/2 connections since the last time.
    pub(super) fn flush_dirty(&mut self) {
        while let Some(key) = self.dirty.pop() {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.flush_now();
                self.list(key);
            }
        }
    }
}
