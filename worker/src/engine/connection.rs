//! One connection to the target and what is in flight on it.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker, ready};

use loadgrid_proto::ErrorKind;

use super::flight::{Answer, Flight, Traffic};
use super::io::Io;
use crate::client::http1::{Done, HEAD_BYTES_MAX, ResponseReader, Violation};
use crate::client::http2::{self, Broken, End, Http2};
use crate::client::kept::Kept;
use crate::clock;

/// What is read at once, bytes. For HTTP/1.1 it grows to [`HEAD_BYTES_MAX`] only for a head that does not fit; for
/// HTTP/2 it holds the largest frame.
const BUFFER_BYTES: usize = 16 * 1024;
const HTTP2_BUFFER_BYTES: usize = 32 * 1024;

/// What may wait to be written to an HTTP/2 connection that still takes requests, bytes.
const UNSENT_BYTES_MAX: usize = 64 * 1024;

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum Event {
    /// A response is complete. Without `keep` the connection is of no more use; with `left_over` the target sent more
    /// than was asked for.
    Answered { flight: Flight, answer: Answer, traffic: Traffic, at: u64, keep: bool, left_over: bool },
    /// One request failed, and the connection goes on.
    Failed { flight: Flight, kind: ErrorKind, traffic: Traffic, at: u64 },
    /// The server did not take a request up.
    NotTakenUp { flight: Flight, at: u64 },
    /// A message of a stream came.
    Message { slot: usize, at: u64 },
    /// The connection failed, and everything on it.
    Broken { kind: ErrorKind, at: u64 },
    /// Closed by the target while nothing was in flight: its right (RFC 9112 §9.5).
    ClosedIdle,
    /// Bytes that no request asked for.
    Unsolicited,
}

pub(super) struct Connection {
    io: Io,
    pub pool: usize,
    pub address: SocketAddr,
    /// Tells this connection from an earlier one with the same key.
    pub generation: u64,
    pub opened_at: u64,
    /// Requests that it was given.
    pub carried: u64,
    /// It takes no more requests.
    pub retired: bool,
    /// It has given its place up, see [`super::core::Core::drain`].
    pub drained: bool,
    /// Writing failed: what has come is still read.
    write_error: Option<ErrorKind>,
    /// It stands among its pool's free ones.
    pub listed: bool,
    /// Its server's going away was counted.
    pub leaving_counted: bool,
    pub speaks: Speaks,
    buffer: Vec<u8>,
    /// What was read and not used yet: `start..filled` of the buffer.
    start: usize,
    filled: usize,
    /// How much of what is to be written is.
    written: usize,
    /// Of its task; set at its first poll.
    waker: Option<Waker>,
}

pub(super) enum Speaks {
    Http1(Box<Http1>),
    Http2(Box<Http2<Flight>>),
}

pub(super) struct Http1 {
    pub flight: Option<Flight>,
    reader: ResponseReader,
    /// The current request's bytes, if they are its own.
    pub own: Vec<u8>,
    head_request: bool,
    first_byte: Option<u64>,
    bytes_received: u64,
    kept: Option<Box<Kept>>,
}

impl Http1 {
    pub(super) fn new(max_body_bytes: u64) -> Self {
        Http1 {
            flight: None,
            reader: ResponseReader::new(max_body_bytes),
            own: Vec::new(),
            head_request: false,
            first_byte: None,
            bytes_received: 0,
            kept: None,
        }
    }

    fn traffic(&self, bytes_sent: usize) -> Traffic {
        Traffic {
            first_byte: self.first_byte,
            bytes_sent: bytes_sent as u64,
            bytes_received: self.bytes_received,
            messages_received: 0,
        }
    }
}

impl Connection {
    pub(super) fn new(io: Io, speaks: Speaks, pool: usize, address: SocketAddr, generation: u64, now: u64) -> Self {
        let bytes = if matches!(speaks, Speaks::Http2(_)) { HTTP2_BUFFER_BYTES } else { BUFFER_BYTES };
        Connection {
            io,
            pool,
            address,
            generation,
            opened_at: now,
            carried: 0,
            retired: false,
            drained: false,
            write_error: None,
            listed: false,
            leaving_counted: false,
            speaks,
            buffer: vec![0; bytes],
            start: 0,
            filled: 0,
            written: 0,
            waker: None,
        }
    }

    /// Whether it can take a request now.
    pub(super) fn has_room(&self) -> bool {
        !self.retired
            && match &self.speaks {
                Speaks::Http1(http1) => http1.flight.is_none(),
                // Behind a server that does not read nothing more is piled up.
                Speaks::Http2(http2) => http2.room() > 0 && http2.out.len() - self.written < UNSENT_BYTES_MAX,
            }
    }

    /// Whether nothing is in flight on it.
    pub(super) fn is_idle(&self) -> bool {
        match &self.speaks {
            Speaks::Http1(http1) => http1.flight.is_none(),
            Speaks::Http2(http2) => http2.open_streams() == 0,
        }
    }

    /// Whether its server is going away.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(&self.speaks, Speaks::Http2(http2) if http2.is_leaving())
    }

    /// Sends a request of HTTP/1.1, as far as the socket takes it at once; its task sends the rest and meets any error.
    /// `fixed` are its bytes, unless they are the connection's own.
    pub(super) fn send_http1(&mut self, flight: Flight, fixed: Option<&[u8]>, head_request: bool, keep: bool) {
        let Speaks::Http1(http1) = &mut self.speaks else { return };
        debug_assert!(http1.flight.is_none());
        http1.flight = Some(flight);
        http1.reader.reset();
        (http1.head_request, http1.first_byte, http1.bytes_received) = (head_request, None, 0);
        http1.kept = keep.then(Box::default);
        let (written, rest) = self.io.write_now(fixed.unwrap_or(&http1.own));
        self.written = written;
        if rest {
            self.wake();
        }
    }

    /// Writes what HTTP/2 has gathered, as far as the socket takes it at once.
    pub(super) fn flush_now(&mut self) {
        let Speaks::Http2(http2) = &mut self.speaks else { return };
        if self.written == http2.out.len() {
            return;
        }
        let (written, rest) = self.io.write_now(&http2.out[self.written..]);
        self.written += written;
        forget_written(http2, &mut self.written);
        if rest {
            self.wake();
        }
    }

    /// Has the connection's task look again.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Goes on with writing and reading until something happened. `fixed` are the current request's bytes in HTTP/1.1,
    /// unless they are the connection's own.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>, fixed: Option<&[u8]>) -> Poll<Event> {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        match self.speaks {
            Speaks::Http1(_) => self.poll_http1(cx, fixed),
            Speaks::Http2(_) => self.poll_http2(cx),
        }
    }

    fn poll_http1(&mut self, cx: &mut Context<'_>, fixed: Option<&[u8]>) -> Poll<Event> {
        let Connection { io, speaks: Speaks::Http1(http1), buffer, filled, written, write_error, .. } = self else {
            return Poll::Pending;
        };
        let length = if http1.flight.is_some() {
            let bytes = fixed.unwrap_or(&http1.own);
            // A server may have answered, and closed, before it read everything.
            if write_error.is_none()
                && let Err(error) = write_all(io, cx, bytes, written)
            {
                *write_error = Some(io_kind(&error));
            }
            bytes.len()
        } else {
            0
        };
        loop {
            if *filled == buffer.len() {
                let larger = (buffer.len() * 2).min(HEAD_BYTES_MAX + BUFFER_BYTES);
                buffer.resize(larger, 0);
            }
            let received = match ready!(io.poll_read(cx, &mut buffer[*filled..])) {
                Ok(received) => received,
                Err(_) if http1.flight.is_none() => return Poll::Ready(Event::ClosedIdle),
                Err(error) => {
                    let kind = write_error.unwrap_or(io_kind(&error));
                    return Poll::Ready(Event::Broken { kind, at: clock::now_ns() });
                }
            };
            let at = clock::now_ns();
            if http1.flight.is_none() {
                return Poll::Ready(if received == 0 { Event::ClosedIdle } else { Event::Unsolicited });
            }
            if received == 0 {
                return Poll::Ready(match http1.reader.end_of_stream() {
                    Some(done) => answered(http1, done, *written, at, false),
                    None => Event::Broken { kind: write_error.unwrap_or(ErrorKind::EarlyClose), at },
                });
            }
            http1.first_byte.get_or_insert(at);
            http1.bytes_received += received as u64;
            *filled += received;
            match http1.reader.advance(&buffer[..*filled], http1.head_request, http1.kept.as_deref_mut()) {
                Ok((used, Some(done))) => {
                    let left_over = used < *filled;
                    *filled = 0;
                    // An answer to half a request: the other half would be taken for the next one.
                    let keep_alive = done.keep_alive && *written >= length;
                    return Poll::Ready(answered(http1, Done { keep_alive, ..done }, *written, at, left_over));
                }
                Ok((used, None)) => {
                    buffer.copy_within(used..*filled, 0);
                    *filled -= used;
                }
                Err(violation) => return Poll::Ready(Event::Broken { kind: violation_kind(violation), at }),
            }
        }
    }

    fn poll_http2(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Connection {
            io, speaks: Speaks::Http2(http2), buffer, start, filled, written, write_error, retired, ..
        } = self
        else {
            return Poll::Pending;
        };
        loop {
            match http2.advance(&buffer[*start..*filled]) {
                Ok((used, event)) => {
                    *start += used;
                    if let Some(event) = event {
                        return Poll::Ready(stream_event(event, http2.now));
                    }
                }
                Err(broken) => {
                    // The peer may want to know why; it is not waited for.
                    let _ = write_all(io, cx, &http2.out, written);
                    let kind = match broken {
                        Broken::Violation(_) => ErrorKind::Malformed,
                        Broken::HeadTooLarge => ErrorKind::HeadTooLarge,
                    };
                    return Poll::Ready(Event::Broken { kind, at: http2.now });
                }
            }
            if http2.is_leaving() && http2.open_streams() == 0 {
                return Poll::Ready(Event::ClosedIdle);
            }
            buffer.copy_within(*start..*filled, 0);
            (*filled, *start) = (*filled - *start, 0);
            // What the server said before it closed is still to be read: answers, and what it did not take up.
            if write_error.is_none()
                && let Err(error) = write_all(io, cx, &http2.out, written)
            {
                *write_error = Some(io_kind(&error));
                *retired = true;
            }
            forget_written(http2, written);
            let received = ready!(io.poll_read(cx, &mut buffer[*filled..]));
            let at = clock::now_ns();
            http2.now = at;
            match received {
                Ok(received @ 1..) => *filled += received,
                _ if http2.open_streams() == 0 => return Poll::Ready(Event::ClosedIdle),
                Ok(0) => {
                    let kind = write_error.unwrap_or(ErrorKind::EarlyClose);
                    return Poll::Ready(Event::Broken { kind, at });
                }
                Err(error) => {
                    let kind = write_error.unwrap_or(io_kind(&error));
                    return Poll::Ready(Event::Broken { kind, at });
                }
            }
        }
    }

    /// Takes apart a connection that is gone: what was in flight on it.
    pub(super) fn into_flights(self) -> Vec<(Flight, Traffic)> {
        match self.speaks {
            Speaks::Http1(mut http1) => {
                let traffic = http1.traffic(self.written);
                http1.flight.take().map(|flight| (flight, traffic)).into_iter().collect()
            }
            Speaks::Http2(http2) => {
                http2.into_streams().map(|(flight, response)| (flight, traffic(&response))).collect()
            }
        }
    }
}

fn answered(http1: &mut Http1, done: Done, written: usize, at: u64, left_over: bool) -> Event {
    let traffic = http1.traffic(written);
    match http1.flight.take() {
        Some(flight) => {
            let answer = Answer { status: done.status, grpc_status: None, kept: http1.kept.take() };
            Event::Answered { flight, answer, traffic, at, keep: done.keep_alive && !left_over, left_over }
        }
        None => Event::Unsolicited,
    }
}

/// What a stream's response counts.
pub(super) fn traffic(response: &http2::Response) -> Traffic {
    Traffic {
        first_byte: response.first_byte,
        bytes_sent: response.bytes_sent,
        bytes_received: response.bytes_received,
        messages_received: response.messages,
    }
}

fn stream_event(event: http2::Event<Flight>, at: u64) -> Event {
    let (flight, end, response) = match event {
        http2::Event::Message { slot } => return Event::Message { slot, at },
        http2::Event::Ended { tag, end, response } => (tag, end, response),
    };
    let traffic = traffic(&response);
    let failed = |kind| (kind, traffic);
    let (kind, traffic) = match end {
        End::Complete => {
            let answer = Answer { status: response.status, grpc_status: response.grpc_status, kept: response.kept };
            return Event::Answered { flight, answer, traffic, at, keep: true, left_over: false };
        }
        End::NotTakenUp => return Event::NotTakenUp { flight, at },
        End::Reset(_) => failed(ErrorKind::StreamReset),
        End::Lost(http2::Lost::Malformed) => failed(ErrorKind::Malformed),
        End::Lost(http2::Lost::BodyTooLarge) => failed(ErrorKind::BodyTooLarge),
    };
    Event::Failed { flight, kind, traffic, at }
}

/// Lets go of what is written.
fn forget_written(http2: &mut Http2<Flight>, written: &mut usize) {
    if *written == http2.out.len() {
        http2.flushed();
        *written = 0;
    } else if *written >= UNSENT_BYTES_MAX {
        http2.out.drain(..*written);
        *written = 0;
    }
}

/// Writes what the socket takes; the rest waits for its being ready.
fn write_all(io: &mut Io, cx: &mut Context<'_>, bytes: &[u8], written: &mut usize) -> io::Result<()> {
    while *written < bytes.len() {
        match io.poll_write(cx, &bytes[*written..]) {
            Poll::Pending => return Ok(()),
            Poll::Ready(taken) => *written += taken?,
        }
    }
    match io.poll_flush(cx) {
        Poll::Pending => Ok(()),
        Poll::Ready(flushed) => flushed,
    }
}

fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => ErrorKind::EarlyClose,
        io::ErrorKind::TimedOut => ErrorKind::Timeout,
        // TLS that can't be understood, or that the target broke off: a client certificate is refused that late.
        io::ErrorKind::InvalidData => crate::client::secure::handshake_error(error).0,
        _ => ErrorKind::Reset,
    }
}

fn violation_kind(violation: Violation) -> ErrorKind {
    match violation {
        Violation::Malformed => ErrorKind::Malformed,
        Violation::HeadTooLarge => ErrorKind::HeadTooLarge,
        Violation::BodyTooLarge => ErrorKind::BodyTooLarge,
    }
}
