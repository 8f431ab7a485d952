//! One stream through the API server. What it carries is not known here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use kube::api::Portforwarder;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

type Failure = Pin<Box<dyn Future<Output = Option<String>> + Send + Sync>>;

/// A connection to a port of a pod. Where the pod's end could not be reached, reading says why once it has ended.
pub struct Tunnelled {
    stream: DuplexStream,
    /// What the node says of the port; none once it has been asked.
    failure: Option<Failure>,
    pod: String,
    port: u16,
}

impl Tunnelled {
    pub(super) fn new(mut forward: Portforwarder, port: u16, pod: &str) -> Result<Tunnelled, String> {
        let stream = forward.take_stream(port).ok_or_else(|| format!("no tunnel to port {port} of pod {pod}"))?;
        let failure = forward.take_error(port).map(|failure| Box::pin(failure) as Failure);
        // The forwarder's task goes on by itself, and ends with the stream.
        Ok(Tunnelled { stream, failure, pod: pod.to_owned(), port })
    }

    /// What the node has said of the port, once.
    fn failed(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let Some(Poll::Ready(said)) = self.failure.as_mut().map(|failure| failure.as_mut().poll(context)) else {
            return Ok(());
        };
        self.failure = None;
        match said {
            Some(said) => Err(io::Error::other(format!("port {} of pod {}: {}", self.port, self.pod, said.trim()))),
            None => Ok(()),
        }
    }
}

impl AsyncRead for Tunnelled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer)?;
        // Nothing has come, or nothing will: the node may have said why, and does so before it ends the stream.
        if read.is_pending() || buffer.filled().len() == before {
            self.failed(context)?;
        }
        read.map(Ok)
    }
}

impl AsyncWrite for Tunnelled {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
