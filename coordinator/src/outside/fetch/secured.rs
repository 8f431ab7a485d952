//! TLS under ureq with the trust, identity and names of the load's own client, so that both agree on every server.
//! HTTP, proxies and names are ureq's.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

use loadgrid_worker::client::secure::{Secure, Tls, Version};
use rustls::{ClientConnection, StreamOwned};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

/// Wraps connections of `https://` URLs. ureq's own connector ends the program where certificate and key do not fit,
/// and can't ask for another name.
#[derive(Debug)]
pub(super) struct Secured {
    tls: Arc<Tls>,
}

impl Secured {
    pub(super) fn new(tls: &Tls) -> Self {
        Secured { tls: Arc::new(tls.clone()) }
    }

    fn connection(&self, details: &ConnectionDetails) -> Result<ClientConnection, String> {
        let host = details.uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let secure = Secure::new(&self.tls, Version::Http1, host)?;
        ClientConnection::new(secure.config, secure.name).map_err(|error| error.to_string())
    }
}

impl<In: Transport> Connector<In> for Secured {
    type Out = Either<In, Stream>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let mut connection = self.connection(details).map_err(|why| Error::Io(io::Error::other(why)))?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Stream { buffers, stream: StreamOwned::new(connection, socket) })))
    }
}

/// An encrypted connection.
pub(super) struct Stream {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl Transport for Stream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output)?;
        // What rustls still holds would wait for the next write, which may never come.
        self.stream.flush()?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let count = match self.stream.read(self.buffers.input_append_buf()) {
            // Many servers close without saying so; HTTP's own framing tells whether something is missing.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        self.buffers.input_appended(count);
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
