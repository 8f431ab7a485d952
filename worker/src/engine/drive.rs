//! What a connection's task does whenever its socket is ready, and what becomes of a request that ends.

use std::task::{Context, Poll};

use loadgrid_proto::ErrorKind;

use super::connection::{Event, Speaks};
use super::core::Core;
use super::feed::Due;
use super::flight::{Answer, Flight, Traffic};
use crate::client::check::{self, Check, Seen};
use crate::client::grpc;
use crate::client::prepared;
use crate::client::template::Session;
use crate::recorder::{Outcome, Sample};

/// How a request was judged, and which check failed.
type Judgement = (Outcome, Option<u32>);

/// Ends when the connection is gone.
pub(super) fn drive(core: &mut Core, key: usize, generation: u64, cx: &mut Context<'_>) -> Poll<()> {
    let polled = loop {
        let Core { connections, job, .. } = &mut *core;
        let Some(connection) = connections.get_mut(key).filter(|c| c.generation == generation) else {
            break Poll::Ready(());
        };
        let fixed = match &connection.speaks {
            Speaks::Http1(http1) => {
                http1.flight.as_ref().and_then(|flight| match &job.prepared[flight.due.request as usize].http1 {
                    prepared::Http1::Fixed(bytes) => Some(&bytes[..]),
                    prepared::Http1::Template { .. } => None,
                })
            }
            Speaks::Http2(_) => None,
        };
        let Poll::Ready(event) = connection.poll_event(cx, fixed) else {
            // What was written made room, or what the server said.
            if !connection.listed && matches!(connection.speaks, Speaks::Http2(_)) && connection.has_room() {
                let pool = connection.pool;
                core.list(key);
                core.serve(pool, crate::clock::now_ns());
            }
            break Poll::Pending;
        };
        if !core.happened(key, event) {
            break Poll::Ready(());
        }
    };
    core.flush_dirty();
    polled
}

impl Core {
    /// Takes up what happened on a connection; whether there still is one.
    fn happened(&mut self, key: usize, event: Event) -> bool {
        let pool = self.connections[key].pool;
        match event {
            Event::Answered { flight, answer, traffic, at, keep, left_over } => {
                self.health.unsolicited += u64::from(left_over);
                if keep {
                    self.release(key);
                } else {
                    self.close(key);
                }
                self.answered(flight, &answer, traffic, pool, at);
            }
            Event::Failed { flight, kind, traffic, at } => {
                self.in_flight -= 1;
                self.release(key);
                self.give_up(flight, kind, traffic, pool, |_| at);
            }
            Event::NotTakenUp { flight, at } => {
                self.release(key);
                self.send_again(flight, pool, at);
            }
            Event::Message { slot, at } => self.message(key, slot, at),
            Event::Broken { kind, at } => {
                for (flight, traffic) in self.close(key) {
                    self.in_flight -= 1;
                    self.give_up(flight, kind, traffic, pool, |_| at);
                }
                self.serve_all(pool, at);
                return false;
            }
            Event::ClosedIdle | Event::Unsolicited => {
                self.health.unsolicited += u64::from(matches!(event, Event::Unsolicited));
                self.close(key);
                self.serve_all(pool, crate::clock::now_ns());
                return false;
            }
        }
        self.connections.contains(key)
    }

    fn message(&mut self, key: usize, slot: usize, at: u64) {
        let Speaks::Http2(http2) = &mut self.connections[key].speaks else { return };
        let Some(flight) = http2.tag_mut(slot) else { return };
        let first = flight.last_message == 0;
        let since = if first { flight.sent } else { flight.last_message };
        flight.last_message = at;
        self.recorder.message(flight.due.warmup, flight.due.request, first, at.saturating_sub(since));
    }

    /// A response is complete.
    fn answered(&mut self, mut flight: Flight, answer: &Answer, traffic: Traffic, pool: usize, at: u64) {
        self.in_flight -= 1;
        let request = &self.job.requests[flight.due.request as usize];
        if request.next.is_none() {
            // The next request goes out before this one is recorded: recording is not to be in its latency.
            self.go_on(pool, at);
            let judgement = self.judge(&flight, answer, None);
            self.record(&flight, traffic, at, judgement);
        } else {
            let mut session = flight.session.take().unwrap_or_default();
            let judgement = self.judge(&flight, answer, Some(&mut session));
            self.record(&flight, traffic, at, judgement);
            match judgement.0 {
                Outcome::Response { error: None, .. } | Outcome::Call { error: None, .. } => {
                    self.follow(&flight, session, at);
                    self.serve_all(pool, at);
                }
                _ => self.go_on(pool, at),
            }
        }
        self.dispatch_due(at);
    }

    /// The step after a request; its intended start is the end of the one before.
    fn follow(&mut self, flight: &Flight, session: Box<Session>, at: u64) {
        let Some(next) = self.job.requests[flight.due.request as usize].next.filter(|_| self.stop_at.is_none()) else {
            return;
        };
        self.dispatch(Due { intended: at, request: next, ..flight.due }, at, Some(session));
    }

    /// Why a response is an error, if it is: its status, a check, or a value that is missing.
    fn judge(&self, flight: &Flight, answer: &Answer, session: Option<&mut Session>) -> Judgement {
        let request = &self.job.requests[flight.due.request as usize];
        let grpc_code = request.grpc.as_ref().map(|_| {
            let code = answer.grpc_status.unwrap_or_else(|| grpc::code_of_status(answer.status));
            // Whatever a proxy's error page names, it is not the service's OK.
            if answer.status == 200 || code != 0 { code } else { grpc::UNKNOWN }
        });
        let mut failed = None;
        let mut error = match grpc_code {
            Some(code) => self.code_error(flight.due.request, code),
            None => request.is_error(answer.status).then_some(ErrorKind::Status),
        };
        let seen = Seen { status: answer.status, grpc_code, kept: answer.kept.as_deref() };
        if error.is_none() && !request.checks.is_empty() {
            failed = check::first_failed(&request.checks, seen).map(|number| number as u32);
            error = failed.map(|_| ErrorKind::Check);
        }
        if error.is_none() && !request.captures.is_empty() {
            let mut unused = Session::default();
            // Captures are numbered on from the checks.
            let missed = check::first_missed(&request.captures, seen, session.unwrap_or(&mut unused));
            failed = missed.map(|number| (request.checks.len() + number) as u32);
            error = missed.map(|_| ErrorKind::Capture);
        }
        let outcome = match grpc_code {
            Some(code) => Outcome::Call { code, error },
            None => Outcome::Response { status: answer.status, error },
        };
        (outcome, failed)
    }

    /// A call that ended with a code and without a response.
    pub(super) fn judge_code(&self, request: u32, code: u16) -> Judgement {
        let checks = &self.job.requests[request as usize].checks;
        let seen = Seen { status: 0, grpc_code: Some(code), kept: None };
        let failed = check::first_failed(checks, seen).map(|number| number as u32);
        let error = self.code_error(request, code).or(failed.map(|_| ErrorKind::Check));
        (Outcome::Call { code, error }, failed)
    }

    /// A code other than OK is an error, unless a check says which is wanted.
    fn code_error(&self, request: u32, code: u16) -> Option<ErrorKind> {
        let wanted = self.job.requests[request as usize].checks.iter().any(|check| matches!(check, Check::GrpcCode(_)));
        (code != 0 && !wanted).then_some(ErrorKind::GrpcStatus)
    }

    pub(super) fn record(&mut self, flight: &Flight, traffic: Traffic, end: u64, judgement: Judgement) {
        self.record_sample(flight, Some(flight.sent), traffic, end, judgement);
    }

    pub(super) fn record_unsent(&mut self, flight: &Flight, end: u64, outcome: Outcome) {
        self.record_sample(flight, None, Traffic::default(), end, (outcome, None));
    }

    fn record_sample(
        &mut self,
        flight: &Flight,
        sent: Option<u64>,
        traffic: Traffic,
        end: u64,
        (outcome, failed_check): Judgement,
    ) {
        self.recorder.record(&Sample {
            request: flight.due.request,
            warmup: flight.due.warmup,
            intended: flight.due.intended,
            dispatched: flight.dispatched,
            sent,
            first_byte: traffic.first_byte,
            end,
            bytes_sent: traffic.bytes_sent,
            bytes_received: traffic.bytes_received,
            messages_sent: flight.messages_sent,
            messages_received: traffic.messages_received,
            failed_check,
            outcome,
        });
    }
}
