//! One stream: what of the request is still to be sent, what of the response has come.

use super::frame::code;
use crate::client::kept::Kept;
use std::sync::Arc;

/// A request's content.
#[derive(Debug)]
pub struct Content {
    bytes: Bytes,
    sent: usize,
    complete: bool,
}

#[derive(Debug)]
enum Bytes {
    Shared(Arc<[u8]>),
    Own(Vec<u8>),
}

impl Content {
    /// Content that is the same for many streams.
    pub fn shared(bytes: Arc<[u8]>) -> Self {
        Content { bytes: Bytes::Shared(bytes), sent: 0, complete: true }
    }

    /// Content of this stream alone; unless it is complete, more follows by [`super::Http2::send_more`].
    pub fn own(bytes: Vec<u8>, complete: bool) -> Self {
        Content { bytes: Bytes::Own(bytes), sent: 0, complete }
    }

    pub(super) fn is_complete_and_empty(&self) -> bool {
        self.complete && self.rest().is_empty()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    pub(super) fn rest(&self) -> &[u8] {
        let bytes = match &self.bytes {
            Bytes::Shared(bytes) => &bytes[..],
            Bytes::Own(bytes) => &bytes[..],
        };
        &bytes[self.sent..]
    }

    pub(super) fn used(&mut self, length: usize) {
        self.sent += length;
    }

    pub(super) fn append(&mut self, more: &[u8], complete: bool) {
        let mut rest = self.rest().to_vec();
        rest.extend_from_slice(more);
        (self.bytes, self.sent, self.complete) = (Bytes::Own(rest), 0, complete);
    }
}

/// How a response is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Keep fields and content.
    pub keep: bool,
    /// The content is gRPC's length-prefixed messages: count them.
    pub messages: bool,
    /// And say so when one is complete.
    pub announce: bool,
    /// It is the answer to a HEAD request: its length is not that of its content (RFC 9110 §9.3.2).
    pub head_request: bool,
}

/// What came of a stream.
#[derive(Debug, Default)]
pub struct Response {
    /// 0: none came.
    pub status: u16,
    /// gRPC's status, if the response named one.
    pub grpc_status: Option<u16>,
    /// When its first byte came, by the owner's clock.
    pub first_byte: Option<u64>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Messages that came whole.
    pub messages: u64,
    pub kept: Option<Box<Kept>>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a complete response.
    Complete,
    /// The server reset it, with this code.
    Reset(u32),
    /// The server did not take it up: it may be sent again (RFC 9113 §8.7).
    NotTakenUp,
    /// What came can't be a response, or is too large.
    Lost(Lost),
}

/// Why we gave a stream up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// RFC 9113 §8.1.1.
    Malformed,
    BodyTooLarge,
}

impl Lost {
    pub(super) fn code(self) -> u32 {
        match self {
            Lost::Malformed => code::PROTOCOL_ERROR,
            Lost::BodyTooLarge => code::CANCEL,
        }
    }
}

#[derive(Debug)]
pub(super) struct Stream<T> {
    pub tag: T,
    pub content: Content,
    pub send_window: i64,
    /// We have sent END_STREAM.
    pub closed_here: bool,
    pub response: Response,
    reading: Reading,
    /// The final fields have come.
    has_fields: bool,
    /// The trailers, or fields with END_STREAM, have come.
    has_trailers: bool,
    length: Option<u64>,
    body_bytes: u64,
    /// What came since we last allowed more.
    received: u32,
    /// gRPC: octets of a message's prefix that are here, and content that is still to come.
    prefix: [u8; 5],
    prefix_filled: usize,
    message_left: u64,
}

/// The fields of one block, as far as they matter.
pub(super) struct List {
    status: u16,
    grpc_status: Option<u16>,
    length: Option<u64>,
    regular_seen: bool,
    malformed: bool,
    kept: Option<Box<Kept>>,
}

impl<T> Stream<T> {
    pub fn new(tag: T, content: Content, reading: Reading, send_window: u32) -> Self {
        let response = Response { kept: reading.keep.then(|| Box::new(Kept::default())), ..Response::default() };
        Stream {
            tag,
            content,
            send_window: i64::from(send_window),
            closed_here: false,
            response,
            reading,
            has_fields: false,
            has_trailers: false,
            length: None,
            body_bytes: 0,
            received: 0,
            prefix: [0; 5],
            prefix_filled: 0,
            message_left: 0,
        }
    }

    /// An empty list for the next block.
    pub fn list(&mut self) -> List {
        List {
            status: 0,
            grpc_status: None,
            length: None,
            regular_seen: false,
            malformed: false,
            kept: self.response.kept.take(),
        }
    }

    /// Takes up a block (RFC 9113 §8.1, §8.3.2).
    pub fn take(&mut self, list: List, ends: bool, bytes: u64) -> Result<(), Lost> {
        self.response.bytes_received += bytes;
        self.response.kept = list.kept;
        // gRPC's status stands in the block that ends the stream.
        if ends {
            self.response.grpc_status = list.grpc_status;
        }
        if list.malformed || self.has_trailers {
            return Err(Lost::Malformed);
        }
        if self.has_fields {
            // Trailers: without pseudo-fields, and the end of the stream.
            self.has_trailers = true;
            return if list.status == 0 && ends { Ok(()) } else { Err(Lost::Malformed) };
        }
        match list.status {
            // RFC 9110 §15.2: interim responses precede the final one. §8.6 of RFC 9113: there is no 101.
            100..=199 if list.status != 101 && !ends => Ok(()),
            200..=999 => {
                self.response.status = list.status;
                (self.has_fields, self.has_trailers) = (true, ends);
                let without_content = self.reading.head_request || matches!(list.status, 204 | 304);
                self.length = list.length.filter(|_| !without_content);
                Ok(())
            }
            _ => Err(Lost::Malformed),
        }
    }

    /// Takes up a piece of the content, up to the end of a message if messages count. Returns what it used and whether a
    /// message is complete.
    pub fn content(&mut self, piece: &[u8], bytes_max: u64) -> Result<(usize, bool), Lost> {
        if !self.has_fields || self.has_trailers {
            return if piece.is_empty() && self.has_fields { Ok((0, false)) } else { Err(Lost::Malformed) };
        }
        if !self.reading.messages {
            self.count(piece, bytes_max)?;
            return Ok((piece.len(), false));
        }
        let mut used = 0;
        while used < piece.len() {
            if self.prefix_filled < 5 {
                let taken = (5 - self.prefix_filled).min(piece.len() - used);
                self.prefix[self.prefix_filled..][..taken].copy_from_slice(&piece[used..used + taken]);
                self.prefix_filled += taken;
                used += taken;
                if self.prefix_filled < 5 {
                    break;
                }
                let [_, a, b, c, d] = self.prefix;
                self.message_left = u64::from(u32::from_be_bytes([a, b, c, d]));
            }
            let taken = self.message_left.min((piece.len() - used) as u64) as usize;
            self.message_left -= taken as u64;
            used += taken;
            if self.message_left == 0 {
                self.prefix_filled = 0;
                self.response.messages += 1;
                if self.reading.announce {
                    self.count(&piece[..used], bytes_max)?;
                    return Ok((used, true));
                }
            }
        }
        self.count(piece, bytes_max)?;
        Ok((used, false))
    }

    fn count(&mut self, piece: &[u8], bytes_max: u64) -> Result<(), Lost> {
        self.body_bytes += piece.len() as u64;
        if self.body_bytes > bytes_max {
            return Err(Lost::BodyTooLarge);
        }
        // RFC 9113 §8.1.1: content beyond the length that the fields named.
        if self.length.is_some_and(|length| self.body_bytes > length) {
            return Err(Lost::Malformed);
        }
        if let Some(kept) = &mut self.response.kept {
            kept.content(piece);
        }
        Ok(())
    }

    /// What is wrong with a response that ends here.
    pub fn incomplete(&self) -> Option<Lost> {
        let short = self.length.is_some_and(|length| length != self.body_bytes);
        // A call that failed may have been broken off in the middle of a message: its status says more.
        let failed = self.response.grpc_status.is_some_and(|code| code != 0);
        let cut = self.reading.messages && !failed && (self.prefix_filled > 0 || self.message_left > 0);
        (!self.has_fields || short || cut).then_some(Lost::Malformed)
    }

    /// Counts what came; how much more to allow, when half of the window is used up.
    pub fn allow_more(&mut self, bytes: u32, window: u32) -> Option<u32> {
        self.received += bytes;
        (self.received >= window / 2).then(|| std::mem::take(&mut self.received))
    }
}

impl List {
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        if let Some(kept) = &mut self.kept {
            kept.field(name, value);
        }
        let number = |value: &[u8]| -> Option<u64> {
            let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
            digits.then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
        };
        match name {
            b":status" => {
                let fresh = self.status == 0 && !self.regular_seen && value.len() == 3;
                self.status = number(value).filter(|_| fresh).unwrap_or(0) as u16;
                self.malformed |= self.status < 100;
            }
            // RFC 9113 §8.3: no other pseudo-field belongs into a response, and names are in lower case (§8.2.1).
            [b':', ..] => self.malformed = true,
            b"grpc-status" => {
                self.regular_seen = true;
                self.grpc_status = number(value).map(|code| code.min(u64::from(u16::MAX)) as u16);
            }
            b"content-length" => {
                self.regular_seen = true;
                let length = number(value);
                // RFC 9110 §8.6: differing values make it invalid.
                self.malformed |= length.is_none() || self.length.is_some_and(|own| Some(own) != length);
                self.length = length;
            }
            // RFC 9113 §8.2.2: fields of HTTP/1.1's connections.
            b"connection" | b"transfer-encoding" | b"keep-alive" | b"proxy-connection" | b"upgrade" => {
                self.malformed = true;
            }
            _ => {
                self.regular_seen = true;
                self.malformed |= name.is_empty() || name.iter().any(u8::is_ascii_uppercase);
            }
        }
    }
}
