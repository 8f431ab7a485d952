//! The grid: workers join over sessions, get their shards, start together, and are accounted for to the end.
//!
//! One dispatcher owns the state of a run; everything that happens reaches it as an event, in one line.

pub mod certs;
mod dispatcher;
mod embedded;
mod run;
mod server;
mod session;

use std::time::Duration;

use tokio::sync::{mpsc, watch};

pub use self::embedded::embed;
pub use self::run::{Command, Member, MemberState, Policy, RunError, RunState, StopReason};
pub use self::server::{Event, KEEP_ALIVE, Listener, Outgoing, Security, listen, sessions};
pub use self::session::Heard;
use crate::plan::Plan;

/// Events that may wait for the dispatcher. Sessions beyond it wait, and their workers' windows fill.
pub const EVENTS_MAX: usize = 1024;

/// Messages that may wait on their way to one worker.
pub const OUTGOING_MAX: usize = 64;

/// A worker that is silent for so long counts as gone.
pub const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Between two looks of a checkpoint.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// Where sessions take their events to.
pub type Events = mpsc::Sender<server::Event>;

/// How a run is to be carried out.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many workers to wait for, and for how long.
    pub workers: usize,
    pub join_timeout: Duration,
    pub on_worker_loss: Policy,
    /// How long a worker that is gone may take to come back.
    pub rejoin: Duration,
    pub abort_on_fail: bool,
}

/// What a run looks like at a moment, for people.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub phase: PhaseName,
    pub joined: usize,
    pub wanted: usize,
    /// Since the start of the warm-up; `None` before it.
    pub elapsed: Option<Duration>,
    /// What was to be sent in the newest whole second, requests per second; `None` in a closed loop.
    pub planned_rate: Option<f64>,
    pub planned: u64,
    pub sent: u64,
    pub errors: u64,
    pub last_second: LastSecond,
    /// Workers that are away now.
    pub away: Vec<String>,
}

/// The newest second that all workers have reported.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastSecond {
    pub achieved: u64,
    pub errors: u64,
    pub in_flight: u64,
    pub waiting: u64,
    pub p50_ns: Option<u64>,
    pub p99_ns: Option<u64>,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhaseName {
    #[default]
    Gathering,
    Preparing,
    Running,
    Ending,
}

impl PhaseName {
    /// By its name; what is not known is the first.
    pub fn of(name: &str) -> Self {
        let all = [PhaseName::Gathering, PhaseName::Preparing, PhaseName::Running, PhaseName::Ending];
        all.into_iter().find(|phase| phase.name() == name).unwrap_or_default()
    }

    pub fn name(self) -> &'static str {
        match self {
            PhaseName::Gathering => "gathering",
            PhaseName::Preparing => "preparing",
            PhaseName::Running => "running",
            PhaseName::Ending => "ending",
        }
    }
}

/// Is shown the state of a run from time to time.
pub type Checkpoint = Box<dyn FnMut(&RunState) + Send>;

/// Carries a run out with the workers that join through `events`. `stop` ends it early, `snapshots` follow it,
/// and `checkpoint` sees it every [`CHECKPOINT_EVERY`].
///
/// # Errors
/// Whatever keeps the run from being carried out at all; see [`RunError`].
pub async fn carry_out(
    plan: Plan,
    options: Options,
    events: mpsc::Receiver<server::Event>,
    stop: watch::Receiver<Option<StopReason>>,
    snapshots: watch::Sender<Snapshot>,
    checkpoint: Option<Checkpoint>,
) -> Result<RunState, RunError> {
    dispatcher::Dispatcher::new(plan, options, events, stop, snapshots, checkpoint).run().await
}

/// A channel for [`carry_out`].
pub fn events() -> (Events, mpsc::Receiver<server::Event>) {
    mpsc::channel(EVENTS_MAX)
}
