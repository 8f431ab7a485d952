//! A request onto a connection: its bytes, its values, the messages of its stream.

use std::cmp::Reverse;

use super::Job;
use super::connection::Speaks;
use super::core::Core;
use super::flight::{Flight, Waiting};
use crate::client::grpc::{Grpc, Payload};
use crate::client::http2::Content;
use crate::client::prepared;
use crate::client::template::Draw;

impl Core {
    /// Sends a request on a connection that has room.
    pub(super) fn send(&mut self, key: usize, waiting: Waiting, now: u64) {
        let (due, first_try) = (waiting.due, waiting.tries == 0);
        self.serials += 1;
        let expires = now + self.job.timeout_of(due.request);
        let flight = Flight::new(waiting, now, expires, self.serials);
        let connection = &mut self.connections[key];
        connection.carried += 1;
        if self.job.requests_per_connection > 0 && connection.carried >= self.job.requests_per_connection {
            connection.retired = true;
        }
        match connection.speaks {
            Speaks::Http1(_) => self.send_http1(key, flight),
            Speaks::Http2(_) => self.open_stream(key, flight),
        }
        if self.connections[key].retired {
            self.drain(key);
        }
        self.in_flight += 1;
        if first_try {
            self.recorder.started(due.warmup, due.request);
        }
    }

    fn send_http1(&mut self, key: usize, flight: Flight) {
        let Core { job, connections, content, lane, .. } = self;
        let prepared = &job.prepared[flight.due.request as usize];
        let connection = &mut connections[key];
        let fixed = match (&prepared.http1, &mut connection.speaks) {
            (prepared::Http1::Fixed(bytes), _) => Some(&bytes[..]),
            (template, Speaks::Http1(http1)) => {
                http1.own.clear();
                content.clear();
                template.write(&mut http1.own, &mut draw(job, *lane, &flight), content);
                None
            }
            (_, Speaks::Http2(_)) => None,
        };
        connection.send_http1(flight, fixed, prepared.reading.head_request, prepared.reading.keep);
    }

    fn open_stream(&mut self, key: usize, mut flight: Flight) {
        let Core { job, connections, content: scratch, block: own_block, lane, pools, .. } = self;
        let request = flight.due.request as usize;
        let (prepared, grpc) = (&job.prepared[request], job.requests[request].grpc.as_ref());
        own_block.clear();
        scratch.clear();
        let mut draw = draw(job, *lane, &flight);
        let (block, shared) = match &prepared.http2 {
            prepared::Http2::Fixed { block, content } => (&block[..], Some(content)),
            template => {
                template.write(own_block, scratch, &mut draw);
                (&own_block[..], None)
            }
        };
        let (content, messages) = match (grpc, shared) {
            (Some(grpc), _) => first_content(grpc, &prepared.payloads, flight.due.number, &mut draw),
            (None, Some(content)) if content.is_empty() => (Content::own(Vec::new(), true), 0),
            (None, Some(content)) => (Content::shared(content.clone()), 0),
            (None, None) => (Content::own(scratch.clone(), true), 0),
        };
        flight.messages_sent = messages;
        let (sent, serial) = (flight.sent, flight.serial);
        let connection = &mut connections[key];
        let Speaks::Http2(http2) = &mut connection.speaks else { return };
        let slot = http2.open(block, content, prepared.reading, flight);
        if !connection.listed && connection.has_room() {
            connection.listed = true;
            pools[connection.pool].free.push_back(key);
        }
        self.dirty.push(key);
        if let Some(grpc) = grpc.filter(|grpc| grpc.kind.sends_all() && (messages as usize) < prepared.payloads.len()) {
            self.timers.push(Reverse((sent + grpc.message_interval_ns, serial, key, slot)));
        }
    }

    /// Sends the messages of streams that are due.
    pub(super) fn send_messages(&mut self, now: u64) {
        while let Some(Reverse((at, serial, key, slot))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            let Core { job, connections, content, lane, .. } = self;
            let Some(connection) = connections.get_mut(key) else { continue };
            let Speaks::Http2(http2) = &mut connection.speaks else { continue };
            // The call may have ended, and its place be another's.
            let Some(flight) = http2.tag_mut(slot).filter(|flight| flight.serial == serial) else { continue };
            let due = flight.due;
            let payloads = &job.prepared[due.request as usize].payloads;
            let Some(payload) = payloads.get(flight.messages_sent as usize) else { continue };
            flight.messages_sent += 1;
            let last = flight.messages_sent as usize == payloads.len();
            content.clear();
            payload.write(content, &mut draw(job, *lane, flight));
            http2.send_more(slot, content, last);
            let interval = job.requests[due.request as usize].grpc.as_ref().map_or(0, |grpc| grpc.message_interval_ns);
            self.dirty.push(key);
            if !last {
                self.timers.push(Reverse((at + interval.max(1), serial, key, slot)));
            }
        }
    }
}

/// Where a request's values come from.
fn draw<'a>(job: &'a Job, lane: u32, flight: &'a Flight) -> Draw<'a> {
    let due = flight.due;
    Draw::new(due.number, job.in_version(due.request), lane, job.seed, &job.feeds, flight.session.as_deref())
}

/// What a call sends at once, and how many messages that is.
fn first_content(grpc: &Grpc, payloads: &[Payload], number: u64, draw: &mut Draw) -> (Content, u64) {
    if !grpc.kind.sends_all() {
        return match payloads.get(number as usize % payloads.len().max(1)) {
            Some(Payload::Fixed(bytes)) => (Content::shared(bytes.clone()), 1),
            Some(payload) => {
                let mut bytes = Vec::new();
                payload.write(&mut bytes, draw);
                (Content::own(bytes, true), 1)
            }
            None => (Content::own(Vec::new(), true), 0),
        };
    }
    let at_once = if grpc.message_interval_ns == 0 { payloads.len() } else { payloads.len().min(1) };
    let mut bytes = Vec::new();
    payloads[..at_once].iter().for_each(|payload| payload.write(&mut bytes, draw));
    (Content::own(bytes, at_once == payloads.len()), at_once as u64)
}
