//! A connection's bytes, in the clear or through TLS.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    /// Writes what the socket takes at once, from outside the connection's task. Whatever error there is, the task
    /// meets it again. Returns how much it took and whether the task has to look after the rest.
    pub(super) fn write_now(&mut self, bytes: &[u8]) -> (usize, bool) {
        match self {
            Io::Plain(stream) => {
                let written = stream.try_write(bytes).unwrap_or(0);
                (written, written < bytes.len())
            }
            Io::Tls(stream) => {
                // Nobody is woken by this attempt: the task is, if something is left.
                let mut cx = Context::from_waker(Waker::noop());
                let mut stream = Pin::new(stream);
                let mut written = 0;
                while written < bytes.len() {
                    match stream.as_mut().poll_write(&mut cx, &bytes[written..]) {
                        Poll::Ready(Ok(taken @ 1..)) => written += taken,
                        _ => return (written, true),
                    }
                }
                let flushed = matches!(stream.poll_flush(&mut cx), Poll::Ready(Ok(())));
                (written, !flushed)
            }
        }
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    /// Gets out what TLS still holds back.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Io::Plain(_) => Poll::Ready(Ok(())),
            Io::Tls(stream) if !stream.get_ref().1.wants_write() => Poll::Ready(Ok(())),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Reads into `space`; 0 at the end. A peer that ends TLS without saying so has ended it all the same.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut space = ReadBuf::new(space);
        let read = match self {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, &mut space),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, &mut space),
        };
        match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            Poll::Ready(read) => Poll::Ready(read.map(|()| space.filled().len())),
        }
    }
}
