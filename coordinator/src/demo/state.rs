//! What an answer costs: a place, the time it takes, a stall, and the chance that it is an error. Knows no protocol.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use loadgrid_worker::clock;
use tokio::sync::{Mutex, Semaphore};

use super::behaviour::{Behaviour, Dice};
use super::clockwork::Clockwork;
use super::stats::Stats;

pub(super) struct State {
    pub(super) stats: Stats,
    /// Of a plain answer.
    pub(super) body: Bytes,
    /// Orders taken so far.
    pub(super) orders: AtomicU64,
    behaviour: Behaviour,
    clockwork: Clockwork,
    dice: Mutex<Dice>,
    places: Option<Semaphore>,
    /// When the first request came, ns; 0 before it. The stall counts from there.
    first_ns: AtomicU64,
}

impl State {
    pub(super) fn new(behaviour: Behaviour) -> io::Result<Self> {
        Ok(State {
            stats: Stats::default(),
            body: Bytes::from(vec![b'x'; behaviour.body_bytes]),
            orders: AtomicU64::new(0),
            clockwork: Clockwork::start()?,
            dice: Mutex::new(Dice::new(behaviour.seed)),
            places: behaviour.workers.map(Semaphore::new),
            first_ns: AtomicU64::new(0),
            behaviour,
        })
    }

    pub(super) fn seed(&self) -> u64 {
        self.behaviour.seed
    }

    /// Counts a request. Returns when it came, ns.
    pub(super) fn arrival(&self) -> u64 {
        let now = clock::now_ns();
        let _ = self.first_ns.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        self.stats.request();
        now
    }

    /// Takes the time of an answer. Returns whether it is one of those that fail, which is counted here.
    pub(super) async fn take_turn(&self, came_ns: u64) -> bool {
        let (latency_ns, fails) = {
            let mut dice = self.dice.lock().await;
            (dice.latency_ns(&self.behaviour.latency), dice.fails(self.behaviour.error_share))
        };
        self.work(latency_ns, came_ns).await;
        if fails {
            self.stats.error();
        }
        fails
    }

    /// Takes the time of an answer that never fails by chance.
    pub(super) async fn take_time(&self, came_ns: u64) {
        let latency_ns = self.dice.lock().await.latency_ns(&self.behaviour.latency);
        self.work(latency_ns, came_ns).await;
    }

    /// Sleeps until an instant of the monotonic clock, ns, whatever the model says.
    pub(super) async fn sleep_until(&self, at_ns: u64) {
        self.clockwork.sleep_until(at_ns).await;
    }

    /// Takes a place if they are limited, and the time that it takes.
    async fn work(&self, latency_ns: u64, came_ns: u64) {
        let place = match &self.places {
            // Never closed.
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        let began = if place.is_some() { clock::now_ns() } else { came_ns };
        if latency_ns > 0 {
            self.clockwork.sleep_until(began.saturating_add(latency_ns)).await;
        }
        if let Some(stall) = self.behaviour.stall {
            let first = self.first_ns.load(Ordering::Relaxed);
            let (from, to) = (first + stall.at_ns, first + stall.at_ns + stall.length_ns);
            if (from..to).contains(&clock::now_ns()) {
                self.clockwork.sleep_until(to).await;
            }
        }
    }
}
