//! Names to addresses, before the load starts, and whether anything listens there.

use std::net::SocketAddr;
use std::time::Duration;

use loadgrid_proto::ErrorKind;
use tokio::net::{TcpStream, lookup_host};

use super::request::Request;

/// How long a name may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a request goes. Requests to one host and port share connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub host: String,
    pub port: u16,
    pub addresses: Vec<SocketAddr>,
}

/// The targets of a test's requests, each once, and for each request the number of its target.
///
/// # Errors
/// A sentence for people: which name has no address.
pub async fn targets(requests: &[Request]) -> Result<(Vec<Target>, Vec<usize>), String> {
    let mut targets: Vec<Target> = Vec::new();
    let mut of_request = Vec::with_capacity(requests.len());
    for request in requests {
        let known = targets.iter().position(|target| target.host == request.host && target.port == request.port);
        let number = match known {
            Some(number) => number,
            None => {
                let addresses = lookup(&request.host, request.port).await?;
                targets.push(Target { host: request.host.clone(), port: request.port, addresses });
                targets.len() - 1
            }
        };
        of_request.push(number);
    }
    Ok((targets, of_request))
}

async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
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

/// Opens and closes one connection to each target, and keeps only the addresses that took one. Sends nothing.
///
/// # Errors
/// A sentence for people: which target can't be reached and why.
pub async fn reachable(targets: &mut [Target], timeout: Duration) -> Result<(), String> {
    for target in targets {
        let mut refusal = None;
        let mut taken = Vec::new();
        for address in &target.addresses {
            match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
                Ok(Ok(_)) => taken.push(*address),
                Ok(Err(error)) => refusal = Some((*address, error.to_string())),
                Err(_) => refusal = Some((*address, format!("no answer in {} s", timeout.as_secs_f64()))),
            }
        }
        if let (true, Some((address, why))) = (taken.is_empty(), refusal) {
            return Err(format!(
                "{}:{} ({address}) takes no connection: {why}. Start the service, or mend the URL",
                target.host, target.port
            ));
        }
        target.addresses = taken;
    }
    Ok(())
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
