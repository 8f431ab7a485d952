//! LoadTests of a cluster become runs: what has to be done about each of them, and what its status says. How a run is
//! carried out is not known here; see [`Runs`].

mod asked;
mod events;
mod field;
mod order;
mod reconcile;
mod refused;
mod status;
mod step;
mod watch;

pub use self::field::at as field_at;
pub(super) use self::order::{only, text};
pub(super) use self::refused::of_any_watch;
pub use self::watch::{Scope, run};

use tokio::sync::watch::Receiver;

/// Who writes a resource's status, and who tells its events.
pub const MANAGER: &str = "loadgrid";

/// A run that a LoadTest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// `LoadTest NAMESPACE/NAME`.
    pub by: String,
    pub name: String,
    /// The test as a file says it: JSON, a key a line, without what only a resource has.
    pub text: String,
    pub workers: Option<u32>,
    /// Then it is a search.
    pub capacity: Option<CapacityOrder>,
    /// The same key is the same run.
    pub key: String,
}

/// How the highest rate is searched for, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapacityOrder {
    pub max: Option<String>,
    pub precision: Option<String>,
    pub budget: Option<String>,
}

/// Why a test is not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub message: String,
    /// Such as `spec.requests[0].http.url`.
    pub field: Option<String>,
}

/// Why an order is not taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declined {
    Refused(Refused),
    /// Not now: it is to be given again.
    Busy(String),
}

/// A run that is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub key: String,
    pub run: String,
    pub by: String,
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    Queued {
        why: String,
    },
    /// It waits for its target.
    Ready,
    Running {
        /// Achieved, requests per second.
        rate: Option<f64>,
        sent: u64,
        errors: u64,
        p99_s: Option<f64>,
    },
    Done(Done),
    /// Not carried out, or refused.
    Failed {
        message: String,
        field: Option<String>,
        exit_code: u8,
    },
}

/// How a run ended. Instants are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Done {
    pub verdict: String,
    pub exit_code: u8,
    pub rate: Option<f64>,
    pub p99_s: Option<f64>,
    pub error_rate: Option<f64>,
    pub started_at: String,
    pub completed_at: String,
    /// One sentence.
    pub summary: String,
}

/// What carries runs out.
pub trait Runs: Send + Sync + 'static {
    /// Takes an order on and names its run. An order whose key has a run gets that one. It may wait for a disk.
    ///
    /// # Errors
    /// What is wrong with the test, or why it is not taken now.
    fn submit(&self, order: Order) -> Result<String, Declined>;

    /// Why no order would be taken now.
    fn busy(&self) -> Option<String>;

    /// All runs of orders that are not over.
    fn open(&self) -> Vec<Open>;

    /// Nothing of a run that is not known.
    fn progress(&self, run: &str) -> Option<Progress>;

    /// The run that a key has, also one that is over.
    fn by_key(&self, key: &str) -> Option<String>;

    fn stop(&self, run: &str, reason: &str);

    /// Changes whenever the progress of any run may have.
    fn changes(&self) -> Receiver<u64>;

    /// Where people see the run.
    fn link(&self, run: &str) -> Option<String>;
}

#[cfg(test)]
mod fake;
