//! Many sleepers on one precise timer: a service's latency is to be known to some ten microseconds, and the runtime's
//! own timer rounds to milliseconds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use loadgrid_worker::clock;
use loadgrid_worker::timer::Timer;
use tokio::sync::{mpsc, oneshot};

/// Sleepers that may wait to be taken up.
const SLEEPERS_MAX: usize = 4096;

/// A far deadline, ns: a timer has to have one.
const IDLE_NS: u64 = 3_600_000_000_000;

type Sleeper = (u64, oneshot::Sender<()>);

/// The way to the task that owns the timer.
#[derive(Clone)]
pub(super) struct Clockwork {
    sleepers: mpsc::Sender<Sleeper>,
}

struct Entry {
    at_ns: u64,
    wake: oneshot::Sender<()>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at_ns == other.at_ns
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at_ns.cmp(&other.at_ns)
    }
}

impl Clockwork {
    pub(super) fn start() -> io::Result<Self> {
        let (sleepers, received) = mpsc::channel(SLEEPERS_MAX);
        tokio::spawn(keep(Timer::new()?, received));
        Ok(Clockwork { sleepers })
    }

    /// Sleeps until an instant of the monotonic clock, ns.
    pub(super) async fn sleep_until(&self, at_ns: u64) {
        let (wake, woken) = oneshot::channel();
        if self.sleepers.send((at_ns, wake)).await.is_ok() {
            let _ = woken.await;
        }
    }
}

async fn keep(timer: Timer, mut received: mpsc::Receiver<Sleeper>) {
    let mut heap: BinaryHeap<Reverse<Entry>> = BinaryHeap::new();
    loop {
        let now = clock::now_ns();
        while heap.peek().is_some_and(|Reverse(entry)| entry.at_ns <= now) {
            if let Some(Reverse(entry)) = heap.pop() {
                // A request whose client has gone is not waited for.
                let _ = entry.wake.send(());
            }
        }
        let next = heap.peek().map_or(now + IDLE_NS, |Reverse(entry)| entry.at_ns);
        tokio::select! {
            biased;
            sleeper = received.recv() => match sleeper {
                Some((at_ns, wake)) => heap.push(Reverse(Entry { at_ns, wake })),
                None => return,
            },
            waited = timer.wait_until(next) => if let Err(error) = waited {
                tracing::error!("the demo service's timer failed: {error}");
                return;
            }
        }
    }
}
