//! What this machine and process allow: cores, descriptors, and the order to end.

use rustix::process::{Resource, Rlimit, getpid, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Lanes of one worker, at the most: each is a thread, and no machine has more cores.
pub const LANES_MAX: u32 = 1024;

/// Descriptors that are kept for everything but connections to targets.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Taken for "unlimited": no machine has more ports for one target anyway.
const DESCRIPTORS_MAX: u64 = 1 << 20;

/// Cores that this process may use, cgroup quota included.
pub fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// Raises the soft limit of open files to the hard one; how many connections that leaves room for.
pub fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Without the right to raise it the soft limit stays, and is what is reported.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let open = getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS_MAX).min(DESCRIPTORS_MAX);
    open.saturating_sub(RESERVED_DESCRIPTORS).max(1)
}

/// Whether stderr is a terminal that takes colours (NO_COLOR, no-color.org).
pub fn stderr_has_colour() -> bool {
    use std::io::IsTerminal;
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Host name and process number.
pub fn default_name() -> String {
    let uname = rustix::system::uname();
    format!("{}-{}", uname.nodename().to_string_lossy(), getpid().as_raw_nonzero())
}

/// Resolves at the first SIGINT or SIGTERM.
pub async fn asked_to_end() {
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    match (interrupt, terminate) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        // Signals that can't be caught end the process in their own way.
        _ => std::future::pending().await,
    }
}
