//! One connection to the target and the request that is in flight on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use loadgrid_proto::ErrorKind;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::feed::Due;
use crate::client::http1::{Done, HEAD_BYTES_MAX, ResponseReader, Violation};
use crate::clock;

/// What is read at once, bytes. It grows to [`HEAD_BYTES_MAX`] only for a head that does not fit.
const BUFFER_BYTES: usize = 16 * 1024;

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub due: Due,
    pub dispatched: u64,
    pub sent: u64,
    pub first_byte: Option<u64>,
    pub bytes_received: u64,
}

/// What happened on a connection.
#[derive(Debug)]
pub(super) enum Event {
    /// The response is complete. With `left_over` the target sent more than was asked for.
    Done { done: Done, at: u64, left_over: bool },
    /// The request failed, and the connection with it.
    Failed { kind: ErrorKind, at: u64 },
    /// Closed by the target between two requests: its right (RFC 9112 §9.5).
    ClosedIdle,
    /// Bytes that no request asked for.
    Unsolicited,
}

pub(super) struct Connection {
    stream: TcpStream,
    pub pool: usize,
    /// Tells this connection from an earlier one with the same key.
    pub generation: u64,
    pub flight: Option<Flight>,
    /// Of the current request.
    pub written: usize,
    reader: ResponseReader,
    buffer: Vec<u8>,
    filled: usize,
    /// Of its task; set at its first poll.
    waker: Option<Waker>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, pool: usize, generation: u64, max_body_bytes: u64) -> Self {
        Connection {
            stream,
            pool,
            generation,
            flight: None,
            written: 0,
            reader: ResponseReader::new(max_body_bytes),
            buffer: vec![0; BUFFER_BYTES],
            filled: 0,
            waker: None,
        }
    }

    /// Sends a request from outside the connection's task, as far as the socket takes it at once. Its task sends the
    /// rest and meets any error.
    pub(super) fn send(&mut self, flight: Flight, bytes: &[u8]) {
        debug_assert!(self.flight.is_none());
        self.flight = Some(flight);
        self.reader.reset();
        self.written = self.stream.try_write(bytes).unwrap_or(0);
        if self.written < bytes.len() {
            self.wake();
        }
    }

    /// Has the connection's task look again.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Goes on with writing and reading until something happened. `bytes` is the current request.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>, bytes: &[u8], head_request: bool) -> Poll<Event> {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        if self.flight.is_some()
            && self.written < bytes.len()
            && let Err(error) = self.write(cx, bytes)
        {
            // A target may answer and close before it has read everything: the answer counts, if there is one.
            if io_kind(&error) != ErrorKind::EarlyClose {
                return Poll::Ready(Event::Failed { kind: io_kind(&error), at: clock::now_ns() });
            }
        }
        loop {
            let received = match ready!(self.read(cx)) {
                Ok(received) => received,
                Err(_) if self.flight.is_none() => return Poll::Ready(Event::ClosedIdle),
                Err(error) => return Poll::Ready(Event::Failed { kind: io_kind(&error), at: clock::now_ns() }),
            };
            let at = clock::now_ns();
            let Some(flight) = &mut self.flight else {
                return Poll::Ready(if received == 0 { Event::ClosedIdle } else { Event::Unsolicited });
            };
            if received == 0 {
                return Poll::Ready(match self.reader.end_of_stream() {
                    Some(done) => Event::Done { done, at, left_over: false },
                    None => Event::Failed { kind: ErrorKind::EarlyClose, at },
                });
            }
            flight.first_byte.get_or_insert(at);
            flight.bytes_received += received as u64;
            self.filled += received;
            match self.reader.advance(&self.buffer[..self.filled], head_request) {
                Ok((used, Some(done))) => {
                    let left_over = used < self.filled;
                    self.filled = 0;
                    // An answer to half a request: the other half would be taken for the next one.
                    let keep_alive = done.keep_alive && self.written >= bytes.len();
                    return Poll::Ready(Event::Done { done: Done { keep_alive, ..done }, at, left_over });
                }
                Ok((used, None)) => {
                    self.buffer.copy_within(used..self.filled, 0);
                    self.filled -= used;
                }
                Err(violation) => return Poll::Ready(Event::Failed { kind: violation_kind(violation), at }),
            }
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        while self.written < bytes.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &bytes[self.written..]) {
                Poll::Pending => break,
                Poll::Ready(written) => self.written += written?,
            }
        }
        Ok(())
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.filled == self.buffer.len() {
            let larger = (self.buffer.len() * 2).min(HEAD_BYTES_MAX + BUFFER_BYTES);
            self.buffer.resize(larger, 0);
        }
        let mut space = ReadBuf::new(&mut self.buffer[self.filled..]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
        Poll::Ready(Ok(space.filled().len()))
    }
}

fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => ErrorKind::EarlyClose,
        io::ErrorKind::TimedOut => ErrorKind::Timeout,
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
