//! A worker's session as a run sees it: the way to the worker, and when it was last heard.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use loadgrid_proto::v1;
use loadgrid_proto::v1::coordinator_message::Kind as ToWorker;

use super::SILENCE_MAX;
use super::server::Outgoing;

/// When a worker last said anything, pings included, on the monotonic clock, ns. The stream's own task writes it: pings
/// are answered there, and go no further.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<AtomicU64>);

impl Heard {
    pub(super) fn now(&self, now_ns: u64) {
        self.0.store(now_ns, Ordering::Relaxed);
    }

    fn at_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What became of a session since the last look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing was heard for too long; the last time at this instant, ns.
    Silent(u64),
    /// It speaks again, on the same stream.
    Back,
}

pub(super) struct Session {
    pub number: u64,
    pub hello: v1::Hello,
    outgoing: Outgoing,
    heard: Heard,
    silent: bool,
    /// A message was not taken, and has to be told again.
    missed: Cell<bool>,
}

impl Session {
    pub(super) fn new(number: u64, hello: v1::Hello, outgoing: Outgoing, heard: Heard) -> Self {
        Session { number, hello, outgoing, heard, silent: false, missed: Cell::new(false) }
    }

    /// The stream is not given up for its silence: on a slow line, or after a stall of either machine, it goes on, and
    /// nothing on it is lost.
    pub(super) fn look(&mut self, now_ns: u64) -> Option<Change> {
        let heard_ns = self.heard.at_ns();
        let silent = Duration::from_nanos(now_ns.saturating_sub(heard_ns)) > SILENCE_MAX;
        match (std::mem::replace(&mut self.silent, silent), silent) {
            (false, true) => Some(Change::Silent(heard_ns)),
            (true, false) => Some(Change::Back),
            _ => None,
        }
    }

    pub(super) fn send(&self, kind: ToWorker) {
        if self.outgoing.try_send(Ok(v1::CoordinatorMessage { kind: Some(kind) })).is_err() {
            self.missed.set(true);
            tracing::debug!("a message to worker {} was not taken", self.hello.name);
        }
    }

    /// Whether it has to be told again how things stand, now that it reads again.
    pub(super) fn takes_up(&self) -> bool {
        self.outgoing.capacity() > 0 && self.missed.replace(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn silence_is_told_once_and_its_end_on_the_same_stream_too() {
        let (heard, (outgoing, _kept)) = (Heard::default(), tokio::sync::mpsc::channel(1));
        let mut session = Session::new(1, v1::Hello::default(), outgoing, heard.clone());
        heard.now(10 * S);
        assert_eq!(session.look(13 * S), None);
        assert_eq!(session.look(14 * S), Some(Change::Silent(10 * S)));
        assert_eq!(session.look(15 * S), None);
        heard.now(15 * S);
        assert_eq!(session.look(15 * S), Some(Change::Back));
        assert_eq!(session.look(16 * S), None);
    }

    #[test]
    fn who_does_not_read_is_told_again_when_it_does() {
        let (outgoing, mut incoming) = tokio::sync::mpsc::channel(1);
        let session = Session::new(1, v1::Hello::default(), outgoing, Heard::default());
        session.send(ToWorker::Ack(v1::Ack::default()));
        assert!(!session.takes_up());
        session.send(ToWorker::Ack(v1::Ack::default()));
        assert!(!session.takes_up(), "there is still no room");
        assert!(incoming.try_recv().is_ok());
        assert!(session.takes_up());
        assert!(!session.takes_up());
    }
}
