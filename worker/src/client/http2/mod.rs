//! HTTP/2 as a client speaks it (RFC 9113): what came goes in, streams that ended come out, and what is to be written
//! gathers in [`Http2::out`].
//!
//! Pure: no socket and no clock. In the steady state it allocates nothing. Each stream carries a tag of its owner's.

mod control;
pub mod frame;
mod stream;

use self::frame::{Head, code, setting};
use self::stream::Stream;
pub use self::stream::{Content, End, Lost, Reading, Response};
use super::hpack::{Decoder, HpackError};

/// The largest list of fields in one response, bytes as RFC 7541 §4.1 counts them.
pub const LIST_BYTES_MAX: usize = 64 * 1024;

/// What a server may send on one stream, and on all of them, before we have to allow more; bytes.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 64 * 1024 * 1024;

/// What a connection begins with (RFC 9113 §6.9.2).
const FIRST_WINDOW: u32 = 65_535;

/// Past this number a connection takes no more streams: another one is opened (RFC 9113 §5.1.1).
const STREAM_ID_MAX: u32 = 1 << 30;

/// How many of its PINGs and SETTINGS a server may have us answer before it takes up what we wrote.
const UNSENT_ANSWERS_MAX: usize = 1000;

/// Why a connection can't go on. All its streams are lost with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer broke a rule; the code that we name it in our GOAWAY.
    Violation(u32),
    /// A list of fields larger than [`LIST_BYTES_MAX`].
    HeadTooLarge,
}

/// What happened.
#[derive(Debug)]
pub enum Event<T> {
    /// A stream is over.
    Ended { tag: T, end: End, response: Response },
    /// A message of a stream of messages is complete; the stream's slot.
    Message { slot: usize },
}

/// How a connection is to behave.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Streams that may be open at once, whatever the server allows.
    pub streams_max: u32,
    pub body_bytes_max: u64,
}

/// One connection.
#[derive(Debug)]
pub struct Http2<T> {
    /// To be written, in order; the owner takes it.
    pub out: Vec<u8>,
    /// When what is being taken up came, by the owner's clock.
    pub now: u64,
    config: Config,
    decoder: Decoder,
    streams: Vec<Option<Stream<T>>>,
    /// The stream in each slot; 0 for none. Apart from the streams so that looking one up is a walk over few bytes.
    ids: Vec<u32>,
    free: Vec<usize>,
    next_id: u32,
    peer: Peer,
    /// What we may still send on the whole connection.
    send_window: i64,
    /// What came since we last allowed more.
    received: u32,
    /// Last stream that the server will take up, once it is going away.
    going_away: Option<u32>,
    /// Streams that the server will not take up, to be given out.
    orphans: Vec<usize>,
    /// A block of fields in pieces: (stream, ends it).
    block_of: Option<(u32, bool)>,
    block: Vec<u8>,
    /// Rest of a DATA frame: (stream, content left, padding left, ends the stream).
    data: Option<(u32, usize, usize, bool)>,
    settled: bool,
    /// PINGs and SETTINGS answered since `out` was last empty.
    answers: usize,
    /// The next block has to say that our table is empty: the server's is smaller than the default.
    shrink: Shrink,
}

/// RFC 7541 §4.2: a smaller table has to be acknowledged at the beginning of the next block. Ours is always empty, so
/// once is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shrink {
    NotAsked,
    Due,
    Said,
}

/// What the server allows.
#[derive(Clone, Copy, Debug)]
struct Peer {
    streams_max: u32,
    stream_window: u32,
    frame_bytes_max: usize,
}

impl<T> Http2<T> {
    /// A connection that has said nothing yet; its preface is in `out`.
    pub fn new(config: Config) -> Self {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(frame::PREFACE);
        let settings = [
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
            (setting::MAX_HEADER_LIST_SIZE, LIST_BYTES_MAX as u32),
        ];
        frame::settings(&mut out, &settings);
        frame::window_update(&mut out, 0, CONNECTION_WINDOW - FIRST_WINDOW);
        Http2 {
            out,
            now: 0,
            config,
            decoder: Decoder::new(LIST_BYTES_MAX),
            streams: Vec::new(),
            ids: Vec::new(),
            free: Vec::new(),
            next_id: 1,
            // RFC 9113 §6.5.2: without a word there is no limit, and 100 is what it recommends not to go below.
            peer: Peer { streams_max: 100, stream_window: FIRST_WINDOW, frame_bytes_max: frame::PAYLOAD_BYTES_MAX },
            send_window: i64::from(FIRST_WINDOW),
            received: 0,
            going_away: None,
            orphans: Vec::new(),
            block_of: None,
            block: Vec::new(),
            data: None,
            settled: false,
            answers: 0,
            shrink: Shrink::NotAsked,
        }
    }

    /// All of `out` is written: it is emptied.
    pub fn flushed(&mut self) {
        self.out.clear();
        self.answers = 0;
    }

    /// How many streams are open.
    pub fn open_streams(&self) -> usize {
        self.streams.len() - self.free.len()
    }

    /// How many more may be opened now.
    pub fn room(&self) -> usize {
        if self.is_leaving() {
            return 0;
        }
        (self.config.streams_max.min(self.peer.streams_max) as usize).saturating_sub(self.open_streams())
    }

    /// Whether no more streams can be opened: the server is going away, or the numbers are used up.
    pub fn is_leaving(&self) -> bool {
        self.going_away.is_some() || self.next_id > STREAM_ID_MAX
    }

    /// The tags of the open streams, by slot.
    pub fn tags(&self) -> impl Iterator<Item = (usize, &T)> {
        self.streams.iter().enumerate().filter_map(|(slot, stream)| Some((slot, &stream.as_ref()?.tag)))
    }

    /// A stream's tag.
    pub fn tag_mut(&mut self, slot: usize) -> Option<&mut T> {
        Some(&mut self.streams.get_mut(slot)?.as_mut()?.tag)
    }

    /// Opens a stream with a block of fields and content. There has to be room. Returns its slot.
    pub fn open(&mut self, block: &[u8], content: Content, reading: Reading, tag: T) -> usize {
        let id = self.next_id;
        self.next_id += 2;
        let ends = content.is_complete_and_empty();
        let written = self.write_block(id, block, ends);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.ids.push(0);
            self.streams.len() - 1
        });
        self.ids[slot] = id;
        let mut stream = Stream::new(tag, content, reading, self.peer.stream_window);
        stream.response.bytes_sent = written as u64;
        stream.closed_here = ends;
        self.streams[slot] = Some(stream);
        if !ends {
            self.pump(slot);
        }
        slot
    }

    /// Adds content to a stream that was opened with content to follow. Nothing happens if it is gone.
    pub fn send_more(&mut self, slot: usize, bytes: &[u8], last: bool) {
        if let Some(stream) = self.streams.get_mut(slot).and_then(Option::as_mut) {
            stream.content.append(bytes, last);
            self.pump(slot);
        }
    }

    /// Gives a stream up (RFC 9113 §5.4.2) and returns its tag and what came of it.
    pub fn cancel(&mut self, slot: usize) -> Option<(T, Response)> {
        let id = *self.ids.get(slot)?;
        let (tag, response) = self.remove(slot)?;
        frame::rst_stream(&mut self.out, id, code::CANCEL);
        Some((tag, response))
    }

    /// Takes all streams out, for a connection that is gone.
    pub fn into_streams(self) -> impl Iterator<Item = (T, Response)> {
        self.streams.into_iter().flatten().map(|stream| (stream.tag, stream.response))
    }

    /// Takes up `input`, what came and was not used yet. Returns how many bytes it used and, if something happened, what.
    /// With an event there may be more: call again with the rest, even if that is empty.
    ///
    /// # Errors
    /// [`Broken`]; a GOAWAY that says so is in `out`.
    pub fn advance(&mut self, input: &[u8]) -> Result<(usize, Option<Event<T>>), Broken> {
        let mut used = 0;
        let result = loop {
            if let Some(slot) = self.orphans.pop() {
                if let Some((tag, response)) = self.remove(slot) {
                    break Ok(Some(Event::Ended { tag, end: End::NotTakenUp, response }));
                }
                continue;
            }
            match self.step(&input[used..]) {
                Ok((0, None)) => break Ok(None),
                Ok((length, None)) => used += length,
                Ok((length, event)) => {
                    used += length;
                    break Ok(event);
                }
                Err(broken) => break Err(broken),
            }
        };
        match result {
            Ok(event) => Ok((used, event)),
            Err(broken) => {
                let code = match broken {
                    Broken::Violation(code) => code,
                    Broken::HeadTooLarge => code::ENHANCE_YOUR_CALM,
                };
                frame::go_away(&mut self.out, code);
                Err(broken)
            }
        }
    }

    /// One frame, or a piece of one; (0, None) if there is too little of it.
    fn step(&mut self, input: &[u8]) -> Result<(usize, Option<Event<T>>), Broken> {
        if self.data.is_some() {
            return self.data_piece(input);
        }
        let Some(bytes) = input.first_chunk::<{ frame::HEAD_BYTES }>() else { return Ok((0, None)) };
        let head = Head::parse(bytes);
        // RFC 9113 §4.2: larger than we announced. It also keeps the buffer bounded.
        if head.length > frame::PAYLOAD_BYTES_MAX {
            return Err(Broken::Violation(code::FRAME_SIZE_ERROR));
        }
        // RFC 9113 §3.4: the server begins with SETTINGS. §6.10: nothing comes between the pieces of a block.
        let in_place = match self.block_of {
            Some((stream, _)) => head.kind == frame::CONTINUATION && head.stream == stream,
            None => head.kind != frame::CONTINUATION && (self.settled || head.kind == frame::SETTINGS),
        };
        if !in_place {
            return Err(Broken::Violation(code::PROTOCOL_ERROR));
        }
        let body = &input[frame::HEAD_BYTES..];
        if head.kind == frame::DATA {
            return self.data_head(&head, body);
        }
        let Some(payload) = body.get(..head.length) else { return Ok((0, None)) };
        let event = match head.kind {
            frame::HEADERS => self.headers(&head, payload)?,
            frame::CONTINUATION => self.continuation(&head, payload)?,
            frame::RST_STREAM => self.reset(&head, payload)?,
            _ => self.control(&head, payload)?,
        };
        Ok((frame::HEAD_BYTES + head.length, event))
    }

    fn reset(&mut self, head: &Head, payload: &[u8]) -> Result<Option<Event<T>>, Broken> {
        let bytes: [u8; 4] = payload.try_into().map_err(|_| Broken::Violation(code::FRAME_SIZE_ERROR))?;
        let Some(slot) = self.slot(head.stream)? else { return Ok(None) };
        let end = match u32::from_be_bytes(bytes) {
            // RFC 9113 §8.7: not processed, safe to send again.
            code::REFUSED_STREAM => End::NotTakenUp,
            code => End::Reset(code),
        };
        Ok(self.remove(slot).map(|(tag, response)| Event::Ended { tag, end, response }))
    }

    fn headers(&mut self, head: &Head, payload: &[u8]) -> Result<Option<Event<T>>, Broken> {
        let violation = Broken::Violation(code::PROTOCOL_ERROR);
        let payload = frame::unpadded(head, payload).ok_or(violation)?;
        let skipped = if head.has(frame::HAS_PRIORITY) { 5 } else { 0 };
        let block = payload.get(skipped..).ok_or(Broken::Violation(code::FRAME_SIZE_ERROR))?;
        // A stream that was never opened has no fields to bring.
        self.slot(head.stream)?;
        let ends = head.has(frame::END_STREAM);
        if head.has(frame::END_HEADERS) {
            return self.fields(head.stream, block, ends);
        }
        self.block.clear();
        self.block.extend_from_slice(block);
        self.block_of = Some((head.stream, ends));
        Ok(None)
    }

    fn continuation(&mut self, head: &Head, payload: &[u8]) -> Result<Option<Event<T>>, Broken> {
        let Some((stream, ends)) = self.block_of else { return Ok(None) };
        self.block.extend_from_slice(payload);
        if self.block.len() > LIST_BYTES_MAX {
            return Err(Broken::HeadTooLarge);
        }
        if !head.has(frame::END_HEADERS) {
            return Ok(None);
        }
        self.block_of = None;
        let block = std::mem::take(&mut self.block);
        let event = self.fields(stream, &block, ends);
        self.block = block;
        event
    }

    /// A complete block of fields: a response's, or its trailers.
    fn fields(&mut self, id: u32, block: &[u8], ends: bool) -> Result<Option<Event<T>>, Broken> {
        let slot = self.slot(id)?;
        let stream = slot.and_then(|slot| self.streams[slot].as_mut());
        let lost = match stream {
            // Decoded all the same: it may change the table (RFC 9113 §4.3).
            None => self.decoder.decode(block, |_, _| {}).map(|()| None),
            Some(stream) => {
                stream.response.first_byte.get_or_insert(self.now);
                let mut list = stream.list();
                let decoded = self.decoder.decode(block, |name, value| list.field(name, value));
                decoded.map(|()| stream.take(list, ends, (block.len() + frame::HEAD_BYTES) as u64).err())
            }
        };
        match lost {
            Ok(lost) => Ok(slot.and_then(|slot| self.settle(slot, lost, ends))),
            Err(HpackError::Malformed) => Err(Broken::Violation(code::COMPRESSION_ERROR)),
            Err(HpackError::TooLarge) => Err(Broken::HeadTooLarge),
        }
    }

    fn data_head(&mut self, head: &Head, body: &[u8]) -> Result<(usize, Option<Event<T>>), Broken> {
        let violation = Broken::Violation(code::PROTOCOL_ERROR);
        let padded = usize::from(head.has(frame::PADDED));
        let padding = match (padded, body.first()) {
            (0, _) => 0,
            (_, None) if head.length > 0 => return Ok((0, None)),
            (_, byte) => usize::from(byte.copied().ok_or(violation)?),
        };
        let content = head.length.checked_sub(padded + padding).ok_or(violation)?;
        let slot = self.slot(head.stream)?;
        self.allow_more(head.length as u32);
        if let Some(stream) = slot.and_then(|slot| self.streams[slot].as_mut()) {
            stream.response.bytes_received += (frame::HEAD_BYTES + head.length) as u64;
            let more = stream.allow_more(head.length as u32, STREAM_WINDOW);
            if let Some(more) = more.filter(|_| !head.has(frame::END_STREAM)) {
                frame::window_update(&mut self.out, head.stream, more);
            }
        }
        self.data = Some((head.stream, content, padding, head.has(frame::END_STREAM)));
        let used = frame::HEAD_BYTES + padded;
        let (more, event) = self.data_piece(&body[padded..])?;
        Ok((used + more, event))
    }

    /// What is here of a DATA frame's rest.
    fn data_piece(&mut self, input: &[u8]) -> Result<(usize, Option<Event<T>>), Broken> {
        let Some((id, content, padding, ends)) = self.data else { return Ok((0, None)) };
        let slot = self.slot(id)?;
        let here = content.min(input.len());
        let mut taken = here;
        let mut lost = None;
        let mut message = false;
        if let Some(stream) = slot.and_then(|slot| self.streams[slot].as_mut()) {
            match stream.content(&input[..here], self.config.body_bytes_max) {
                Ok((used, complete)) => (taken, message) = (used, complete),
                Err(why) => lost = Some(why),
            }
        }
        let content = content - taken;
        let padding_here = if content == 0 { padding.min(input.len() - taken) } else { 0 };
        let padding = padding - padding_here;
        let over = content == 0 && padding == 0;
        self.data = (!over).then_some((id, content, padding, ends));
        let used = taken + padding_here;
        let Some(slot) = slot else { return Ok((used, None)) };
        if message {
            // Whatever is left of the frame, if only its end, is looked at in the next call.
            self.data = (!over || ends).then_some((id, content, padding, ends));
            return Ok((used, Some(Event::Message { slot })));
        }
        if let Some(event) = self.settle(slot, lost, over && ends) {
            return Ok((used, Some(event)));
        }
        Ok((used, None))
    }

    /// Ends a stream that is lost or complete.
    fn settle(&mut self, slot: usize, lost: Option<Lost>, ends: bool) -> Option<Event<T>> {
        let stream = self.streams.get_mut(slot)?.as_mut()?;
        let lost = lost.or_else(|| if ends { stream.incomplete() } else { None });
        if lost.is_none() && !ends {
            return None;
        }
        let id = self.ids[slot];
        if let Some(lost) = lost {
            frame::rst_stream(&mut self.out, id, lost.code());
        } else if !stream.closed_here {
            // RFC 9113 §8.1: it answered without waiting for all of the request.
            frame::rst_stream(&mut self.out, id, code::NO_ERROR);
        }
        let end = lost.map_or(End::Complete, End::Lost);
        self.remove(slot).map(|(tag, response)| Event::Ended { tag, end, response })
    }

    /// The slot of a stream; `None` if it is over.
    ///
    /// # Errors
    /// RFC 9113 §5.1: a stream that was never opened.
    fn slot(&self, id: u32) -> Result<Option<usize>, Broken> {
        if id == 0 || id.is_multiple_of(2) || id >= self.next_id {
            return Err(Broken::Violation(code::PROTOCOL_ERROR));
        }
        Ok(self.ids.iter().position(|own| *own == id))
    }

    fn remove(&mut self, slot: usize) -> Option<(T, Response)> {
        let stream = self.streams.get_mut(slot)?.take()?;
        self.ids[slot] = 0;
        self.free.push(slot);
        Some((stream.tag, stream.response))
    }

    /// Counts what came on the connection, and allows more when half of it is used up.
    fn allow_more(&mut self, bytes: u32) {
        self.received += bytes;
        if self.received >= CONNECTION_WINDOW / 2 {
            frame::window_update(&mut self.out, 0, self.received);
            self.received = 0;
        }
    }

    fn write_block(&mut self, id: u32, block: &[u8], ends: bool) -> usize {
        if self.shrink == Shrink::Due {
            self.shrink = Shrink::Said;
            let announced = [&[0x20], block].concat();
            return self.write_block(id, &announced, ends);
        }
        let before = self.out.len();
        let end_stream = if ends { frame::END_STREAM } else { 0 };
        let mut pieces = block.chunks(self.peer.frame_bytes_max);
        let first = pieces.next().unwrap_or_default();
        let last = if pieces.len() == 0 { frame::END_HEADERS } else { 0 };
        frame::head(&mut self.out, first.len(), frame::HEADERS, end_stream | last, id);
        self.out.extend_from_slice(first);
        while let Some(piece) = pieces.next() {
            let last = if pieces.len() == 0 { frame::END_HEADERS } else { 0 };
            frame::head(&mut self.out, piece.len(), frame::CONTINUATION, last, id);
            self.out.extend_from_slice(piece);
        }
        self.out.len() - before
    }

    fn pump_all(&mut self) {
        for slot in 0..self.streams.len() {
            self.pump(slot);
        }
    }

    /// Sends of a stream's content what the windows allow (RFC 9113 §5.2).
    fn pump(&mut self, slot: usize) {
        let Some(stream) = self.streams[slot].as_mut().filter(|stream| !stream.closed_here) else { return };
        loop {
            let rest = stream.content.rest();
            let window = self.send_window.min(stream.send_window).max(0) as usize;
            let length = rest.len().min(window).min(self.peer.frame_bytes_max);
            let last = length == rest.len() && stream.content.is_complete();
            if length == 0 && !last {
                return;
            }
            let flags = if last { frame::END_STREAM } else { 0 };
            frame::head(&mut self.out, length, frame::DATA, flags, self.ids[slot]);
            self.out.extend_from_slice(&rest[..length]);
            stream.content.used(length);
            stream.send_window -= length as i64;
            self.send_window -= length as i64;
            stream.response.bytes_sent += (frame::HEAD_BYTES + length) as u64;
            if last {
                stream.closed_here = true;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
