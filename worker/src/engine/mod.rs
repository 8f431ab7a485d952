//! Drives a worker's share of the load: one thread and one current-thread runtime per lane, nothing shared between
//! them but the order to stop.
//!
//! It knows neither coordinator nor session: it takes a [`Job`] and a start instant, and gives [`LaneReport`]s.

mod connection;
mod core;
mod drive;
mod feed;
mod flight;
mod health;
mod io;
mod lane;
mod open;
mod pool;
mod send;

use std::io::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tokio::sync::mpsc;

use crate::client::feed::Feed;
use crate::client::prepared::Prepared;
use crate::client::request::Request;
use crate::client::resolve::Target;
use crate::client::template::Names;
use crate::interval::Interval;
use crate::mix::Mix;
use crate::schedule::{Load, Stripe};

pub use health::CgroupCpu;

/// Intervals that may wait in the channel from the lanes to the session, per lane. When it is full a lane goes on
/// recording into the same interval.
pub const REPORTS_PER_LANE_MAX: usize = 16;

/// A worker's part of a run, complete: nothing in it has to be looked up while the load runs.
#[derive(Debug)]
pub struct Job {
    pub load: Load,
    pub seed: u64,
    /// (warm-up, main) arrivals of each lane.
    pub planned: Vec<(u64, u64)>,
    pub first_lane: u32,
    pub lanes: u32,
    pub total_lanes: u32,
    pub requests: Vec<Request>,
    /// The same as bytes, see [`prepare`].
    pub prepared: Vec<Prepared>,
    pub feeds: Vec<Feed>,
    /// Added to the numbers of main arrivals, so that no two of a run have the same.
    pub main_offset: u64,
    /// Versions of the target that are measured side by side, at least 1; see [`Mix::side_by_side`].
    pub versions: u32,
    pub targets: Vec<Target>,
    /// For each request the number of its target.
    pub target_of: Vec<usize>,
    /// Sockets over all lanes of this worker.
    pub connections: u32,
    /// Whether the test says how many; else it is a bound.
    pub connections_fixed: bool,
    /// Streams at once on one HTTP/2 connection.
    pub streams: u32,
    /// 0 for no bound, as in the next two.
    pub requests_per_connection: u64,
    pub connection_age_ns: u64,
    pub resolve_every_ns: u64,
    pub timeout_ns: u64,
    pub max_wait_ns: u64,
    pub interval_ns: u64,
    /// Wake early and spin until the intended start: for machines with a core to spare.
    pub spin: bool,
    pub max_body_bytes: u64,
}

/// A test's requests as bytes. With `close` each is the only one of its connection.
///
/// # Errors
/// A template that does not compile: which request, where, and what there is.
pub fn prepare(requests: &[Request], names: Names, close: bool) -> std::result::Result<Vec<Prepared>, String> {
    let prepare = |request: &Request| {
        Prepared::new(request, names, close).map_err(|error| format!("request {}: {error}", request.name))
    };
    requests.iter().map(prepare).collect()
}

impl Job {
    /// When a request is given up, counted from when it was sent; ns.
    fn timeout_of(&self, request: u32) -> u64 {
        let deadline = self.requests[request as usize].grpc.as_ref().and_then(|grpc| grpc.deadline_ns);
        deadline.map_or(self.timeout_ns, |deadline| deadline.min(self.timeout_ns))
    }

    /// Whether what gives a request up is its own deadline.
    fn has_deadline(&self, request: u32) -> bool {
        let deadline = self.requests[request as usize].grpc.as_ref().and_then(|grpc| grpc.deadline_ns);
        deadline.is_some_and(|deadline| deadline <= self.timeout_ns)
    }

    /// Which arrival is which request.
    pub fn mix(&self) -> Mix {
        let weights: Vec<u32> = self.requests.iter().map(|request| request.weight).collect();
        Mix::side_by_side(&weights, self.versions, self.seed)
    }

    /// The number of a request among those of its version: what its values are drawn by, so that versions get the same.
    fn in_version(&self, request: u32) -> u32 {
        let each = (self.requests.len() as u32 / self.versions.max(1)).max(1);
        request % each
    }

    /// The place of this worker's `index`-th lane in the grid.
    pub fn stripe(&self, index: u32) -> Stripe {
        Stripe { lane: self.first_lane + index, lanes: self.total_lanes }
    }

    /// The connections of this worker's `index`-th lane.
    pub fn connections_of(&self, index: u32) -> usize {
        Stripe { lane: index, lanes: self.lanes }.share(u64::from(self.connections)) as usize
    }
}

/// What a lane tells the session.
#[derive(Debug)]
pub enum LaneReport {
    /// Results up to and including the interval with this number, counted from 0.
    Interval { lane: u32, number: u64, interval: Box<Interval> },
    /// All is sent and ended; arrivals that were never due because of a stop, by phase.
    Finished { lane: u32, not_started_warmup: u64, not_started: u64 },
}

/// The running lanes. Dropping it stops them.
#[derive(Debug)]
pub struct Engine {
    stop: Arc<AtomicBool>,
    pub reports: mpsc::Receiver<LaneReport>,
}

impl Engine {
    /// Starts the lanes; the first arrival is due at `start_ns` of this machine's monotonic clock.
    ///
    /// # Errors
    /// The machine gives no thread, timer or poll instance.
    pub fn start(job: Arc<Job>, start_ns: u64) -> Result<Engine> {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, reports) = mpsc::channel(REPORTS_PER_LANE_MAX * job.lanes as usize);
        let engine = Engine { stop: stop.clone(), reports };
        for index in 0..job.lanes {
            let lane = lane::Lane::new(job.clone(), index, start_ns, stop.clone(), sender.clone())?;
            thread::Builder::new().name(format!("lane-{index}")).spawn(move || lane.run())?;
        }
        Ok(engine)
    }

    /// Sends nothing more. What is in flight may end within [`core::STOP_GRACE_NS`], then it is cancelled.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}
