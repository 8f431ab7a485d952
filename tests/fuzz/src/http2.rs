//! HTTP/2 as a server might speak it: what happens does not depend on how the bytes were cut, bounds hold, and what is
//! written are frames that a client may send.

use std::sync::{Arc, LazyLock};

use loadgrid_worker::client::http2::frame::{self, Head};
use loadgrid_worker::client::http2::{Broken, Config, Content, End, Event, Http2, Reading, Response};
use loadgrid_worker::client::kept::Kept;

use super::pieces::{Cut, pieces};

const STREAMS_MAX: u32 = 5;
const BODY_BYTES_MAX: u64 = 300;
/// How many streams are opened at the most, those included that follow on others.
const OPENED_MAX: u32 = 12;

/// More content than a connection takes before its server allows more (RFC 9113 §6.9.2).
static LARGE: LazyLock<Arc<[u8]>> = LazyLock::new(|| Arc::from([b'x'; 70_000]));

/// What was seen of a stream at its end; of a lost one only the end is the same however it was cut.
#[derive(Debug, PartialEq)]
enum Seen {
    Ended { tag: u32, end: End, response: Option<(u16, Option<u16>, u64, Option<Kept>)> },
    Message { slot: usize },
    Broken(Broken),
}

struct Driver {
    http2: Http2<u32>,
    opened: u32,
    /// Of messages, over all streams.
    messages: usize,
    written: Vec<u8>,
    seen: Vec<Seen>,
}

/// What a server sends, first of all its SETTINGS.
pub fn http2_frames(data: &[u8]) {
    let whole = drive(data, Cut::Whole);
    for cut in [Cut::Bytes, Cut::Drawn] {
        let other = drive(data, cut);
        assert_eq!(other.seen, whole.seen, "{cut:?}");
        assert_eq!(other.http2.open_streams(), whole.http2.open_streams(), "{cut:?}");
    }
}

fn drive(data: &[u8], cut: Cut) -> Driver {
    let http2 = Http2::new(Config { streams_max: STREAMS_MAX, body_bytes_max: BODY_BYTES_MAX });
    let mut driver = Driver { http2, opened: 0, messages: 0, written: Vec::new(), seen: Vec::new() };
    driver.open_streams();
    let mut pending = Vec::new();
    for piece in pieces(data, cut) {
        pending.extend_from_slice(piece);
        if !driver.take_up(&mut pending) {
            break;
        }
    }
    driver.written.append(&mut driver.http2.out);
    assert_frames(&driver.written, driver.opened);
    driver
}

impl Driver {
    /// Whether the connection goes on.
    fn take_up(&mut self, pending: &mut Vec<u8>) -> bool {
        loop {
            let advanced = self.http2.advance(pending);
            self.written.append(&mut self.http2.out);
            assert!(self.http2.room() <= STREAMS_MAX as usize && self.http2.open_streams() <= STREAMS_MAX as usize);
            assert_eq!(self.http2.tags().count(), self.http2.open_streams());
            let (used, event) = match advanced {
                Ok(progress) => progress,
                Err(broken) => {
                    self.seen.push(Seen::Broken(broken));
                    return false;
                }
            };
            assert!(used <= pending.len(), "used {used} of {}", pending.len());
            pending.drain(..used);
            match event {
                None => return true,
                Some(Event::Ended { tag, end, response }) => {
                    let response = (!matches!(end, End::Lost(_))).then(|| summary(response));
                    self.seen.push(Seen::Ended { tag, end, response });
                    self.open_streams();
                }
                Some(Event::Message { slot }) => {
                    self.seen.push(Seen::Message { slot });
                    self.answer(slot);
                }
            }
        }
    }

    /// Streams of every sort, as long as there is room.
    fn open_streams(&mut self) {
        while self.http2.room() > 0 && self.opened < OPENED_MAX {
            let reading = Reading { keep: true, ..Reading::default() };
            let (content, reading) = match self.opened % 5 {
                0 => (Content::shared(Arc::from([])), reading),
                1 => (Content::shared(LARGE.clone()), reading),
                2 => (
                    Content::own(b"\0\0\0\0\x01m".to_vec(), false),
                    Reading { messages: true, announce: true, ..reading },
                ),
                3 => (Content::own(b"\0\0\0\0\0".to_vec(), true), Reading { messages: true, ..Reading::default() }),
                _ => (Content::shared(Arc::from([])), Reading { head_request: true, ..reading }),
            };
            // `:method: GET` alone: what it says is all one here.
            self.http2.open(&[0x82], content, reading, self.opened);
            self.opened += 1;
        }
    }

    /// Every message is answered by one more, and each fourth ends or cancels its stream.
    fn answer(&mut self, slot: usize) {
        self.messages += 1;
        match self.messages % 8 {
            7 => {
                let given_up = self.http2.cancel(slot);
                assert!(given_up.is_some(), "a message of a stream that is not there");
                self.open_streams();
            }
            count => self.http2.send_more(slot, b"\0\0\0\0\x01n", count == 3),
        }
    }
}

fn summary(response: Response) -> (u16, Option<u16>, u64, Option<Kept>) {
    (response.status, response.grpc_status, response.messages, response.kept.map(|kept| *kept))
}

/// What was written is the preface and then whole frames that a client may send (RFC 9113 §6).
fn assert_frames(written: &[u8], opened: u32) {
    let mut rest = written.strip_prefix(frame::PREFACE).expect("the preface");
    while let Some((head, after)) = rest.split_first_chunk() {
        let head = Head::parse(head);
        let (payload, after) = after.split_at_checked(head.length).expect("a whole frame");
        rest = after;
        assert!(head.length <= frame::PAYLOAD_BYTES_MAX, "{head:?}");
        let own_stream = head.stream % 2 == 1 && head.stream < 2 * opened;
        let fits = match head.kind {
            frame::DATA => own_stream && head.flags & !frame::END_STREAM == 0,
            frame::HEADERS => own_stream && head.has(frame::END_HEADERS),
            frame::RST_STREAM => own_stream && head.length == 4,
            frame::SETTINGS if head.has(frame::ACK) => head.stream == 0 && head.length == 0,
            frame::SETTINGS => head.stream == 0 && head.length.is_multiple_of(6),
            frame::PING => head.stream == 0 && head.length == 8 && head.has(frame::ACK),
            frame::GOAWAY => head.stream == 0 && head.length == 8,
            frame::WINDOW_UPDATE => {
                let increment = payload.try_into().map(u32::from_be_bytes);
                (head.stream == 0 || own_stream) && increment.is_ok_and(|more| (1..=0x7fff_ffff).contains(&more))
            }
            _ => false,
        };
        assert!(fits, "no frame of a client's: {head:?}");
    }
    assert!(rest.is_empty(), "{} bytes that are no frame", rest.len());
}
