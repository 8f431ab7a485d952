//! Names to addresses, before the load starts, and whether anything listens there.

use std::net::SocketAddr;
use std::time::Duration;

use loadgrid_proto::ErrorKind;
use tokio::net::lookup_host;

use super::request::Request;
use super::secure::{Secure, Version};

/// How long a name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where requests go. Requests to the same place over the same protocol share connections.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the socket goes.
    pub host: String,
    pub port: u16,
    pub addresses: Vec<SocketAddr>,
    pub version: Version,
    /// `None`: cleartext.
    pub secure: Option<Secure>,
    /// What its connections are expected to speak; with [`Version::Auto`] known once it was reached.
    pub http2: bool,
}

/// The targets of a test's requests, each once, and for each request the number of its target.
///
/// # Errors
/// A sentence for people: which name has no address, or what is wrong with certificates.
pub async fn targets(requests: &[Request]) -> Result<(Vec<Target>, Vec<usize>), String> {
    let mut targets: Vec<Target> = Vec::new();
    let mut firsts: Vec<&Request> = Vec::new();
    let mut of_request = Vec::with_capacity(requests.len());
    for request in requests {
        let same = |first: &&Request| {
            first.connects_to() == request.connects_to()
                && first.version == request.version
                && first.tls == request.tls
                && (request.tls.is_none() || first.host == request.host)
        };
        let number = match firsts.iter().position(same) {
            Some(number) => number,
            None => {
                let (host, port) = request.connects_to();
                let secure = request.tls.as_ref().map(|tls| Secure::new(tls, request.version, &request.host));
                targets.push(Target {
                    host: host.to_owned(),
                    port,
                    addresses: lookup(host, port).await?,
                    version: request.version,
                    secure: secure.transpose().map_err(|error| format!("request {}: {error}", request.name))?,
                    http2: request.version == Version::Http2,
                });
                firsts.push(request);
                targets.len() - 1
            }
        };
        of_request.push(number);
    }
    Ok((targets, of_request))
}

/// The addresses of a name.
///
/// # Errors
/// A sentence for people.
pub async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::time::timeout(LOOKUP_TIMEOUT, lookup_host((host, port))).await;
    let mend = "check the name in the test's URL, and that this machine's DNS knows it";
    match found {
        Err(_) => Err(format!("the name {host} was not resolved in {} s: {mend}", LOOKUP_TIMEOUT.as_secs())),
        Ok(Err(error)) => Err(format!("the name {host} has no address ({error}): {mend}")),
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<SocketAddr> = addresses.collect();
            addresses.dedup();
            if addresses.is_empty() {
                return Err(format!("the name {host} has no address: {mend}"));
            }
            // A name such as localhost has one address a family; a service often listens on IPv4 alone.
            addresses.sort_by_key(SocketAddr::is_ipv6);
            Ok(addresses)
        }
    }
}

/// The kind of a failure to connect.
pub fn connect_error(error: &std::io::Error) -> ErrorKind {
    use std::io::ErrorKind as Io;
    match error.kind() {
        Io::ConnectionRefused => ErrorKind::ConnectRefused,
        Io::TimedOut => ErrorKind::ConnectTimeout,
        Io::AddrNotAvailable => ErrorKind::Exhausted,
        _ => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => ErrorKind::Exhausted,
            _ => ErrorKind::ConnectFailed,
        },
    }
}
