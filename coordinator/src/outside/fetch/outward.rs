//! Where documents, queries and notices may go: of a coordinator in a cluster, not back into its own pod.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

static NO_LOOPBACK: AtomicBool = AtomicBool::new(false);

/// From now on nothing is fetched from this machine itself, whatever name it has: whoever may write a test is not
/// whoever may read the pages of its coordinator, and no NetworkPolicy stands between a pod and itself.
pub fn refuse_loopback() {
    NO_LOOPBACK.store(true, Ordering::Relaxed);
}

/// Looks names up, and refuses the machine's own addresses where that is asked for.
#[derive(Debug)]
pub(super) struct Outward {
    names: DefaultResolver,
    loopback: bool,
}

impl Default for Outward {
    fn default() -> Self {
        Outward { names: DefaultResolver::default(), loopback: !NO_LOOPBACK.load(Ordering::Relaxed) }
    }
}

impl Resolver for Outward {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        if !self.loopback && found.iter().any(|address| is_own(*address)) {
            let why = "it is an address of the coordinator itself, from which it fetches nothing";
            return Err(ureq::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, why)));
        }
        Ok(found)
    }
}

/// Whether an address is one of this machine's (in a cluster: this pod's): what is sent there comes from it, too.
fn is_own(to: SocketAddr) -> bool {
    let ip = to.ip().to_canonical();
    if ip.is_loopback() || ip.is_unspecified() {
        return true;
    }
    source(ip).is_some_and(|from| from == ip)
}

/// Where datagrams to an address would come from. None is sent.
fn source(to: IpAddr) -> Option<IpAddr> {
    let any = if to.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use ureq::unversioned::transport::time::Duration;

    use super::*;

    #[test]
    fn of_the_machine_itself_nothing_is_fetched_where_that_is_refused() {
        let timeout = || NextTimeout {
            after: Duration::NotHappening,
            reason: ureq::Timeout::Global,
            per_read: None,
            per_write: None,
        };
        let resolve = |loopback: bool, uri: &'static str| {
            let outward = Outward { names: DefaultResolver::default(), loopback };
            outward.resolve(&Uri::from_static(uri), &Config::default(), timeout())
        };
        for uri in
            ["http://127.0.0.1:7480/", "http://127.8.9.1/", "http://[::1]/", "http://localhost/", "http://0.0.0.0/"]
        {
            assert!(resolve(true, uri).is_ok(), "{uri}");
            assert!(resolve(false, uri).unwrap_err().to_string().contains("coordinator itself"), "{uri}");
        }
        assert!(resolve(false, "http://192.0.2.1/").is_ok());
        // Its own address on a network, where it has one.
        if let Some(own) = source(IpAddr::from([192, 0, 2, 1])) {
            assert!(is_own((own, 80).into()) && !is_own(([192, 0, 2, 1], 80).into()), "{own}");
        }
    }
}
