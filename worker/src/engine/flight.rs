//! A request on its way through a lane: due, waiting, in flight, ended.

use super::feed::Due;
use crate::client::kept::Kept;
use crate::client::template::Session;

/// An arrival without a connection.
#[derive(Debug)]
pub(super) struct Waiting {
    pub due: Due,
    pub dispatched: u64,
    /// What the steps before it captured.
    pub session: Option<Box<Session>>,
    /// How often it has been sent and not taken up.
    pub tries: u8,
}

/// A request that was sent.
#[derive(Debug)]
pub(super) struct Flight {
    pub due: Due,
    pub dispatched: u64,
    pub sent: u64,
    /// When it is given up.
    pub expires: u64,
    pub session: Option<Box<Session>>,
    pub tries: u8,
    /// Tells it from others in the same place.
    pub serial: u64,
    pub messages_sent: u64,
    /// When the last message of a stream came; 0 before the first.
    pub last_message: u64,
}

impl Flight {
    pub(super) fn new(waiting: Waiting, sent: u64, expires: u64, serial: u64) -> Self {
        Flight {
            due: waiting.due,
            dispatched: waiting.dispatched,
            sent,
            expires,
            session: waiting.session,
            tries: waiting.tries + 1,
            serial,
            messages_sent: 0,
            last_message: 0,
        }
    }

    /// Back among those that wait, as if it had not been sent.
    pub(super) fn back(self) -> Waiting {
        Waiting { due: self.due, dispatched: self.dispatched, session: self.session, tries: self.tries }
    }
}

/// What was counted of a request, whatever became of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub first_byte: Option<u64>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub messages_received: u64,
}

/// A complete response.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub grpc_status: Option<u16>,
    pub kept: Option<Box<Kept>>,
}
