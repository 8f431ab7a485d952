//! The coordinator as a service: a pool of workers, a queue of tests, what became of them, and who may ask.
//!
//! It knows neither the command line nor how a test is carried out: that is an [`Execute`], which is given to it.

mod attendance;
pub mod control;
mod job;
pub mod metrics;
mod page;
pub mod pool;
pub mod queue;
mod records;
mod recovery;
mod resources;
pub mod secure;
mod service;
pub mod view;
pub mod web;
mod writer;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::attendance::{About, Attendance};
pub use self::job::{Figures, Outcome};
pub use self::service::{Service, Settings, Submitted, Unstopped};
use crate::spec::bundle::Bundle;
use crate::store::{Entry, Kind};

/// What somebody wants to be run. On the wire and on disk it is JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    pub test: Source,
    /// A search for the capacity instead of one run.
    #[serde(default)]
    pub search: Option<Search>,
    /// `None`: all that are free when it begins.
    #[serde(default)]
    pub workers: Option<usize>,
    #[serde(default)]
    pub how: How,
    /// The same key is the same run, whatever happened in between; empty for none.
    #[serde(default)]
    pub key: String,
    /// Who wants it, for people.
    #[serde(default)]
    pub by: String,
}

/// Where the test comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Bundle(Box<Bundle>),
    /// A resource of the cluster: `namespace/name` and its text.
    Resource {
        name: String,
        text: String,
    },
}

impl Submission {
    /// What it brings with it, bytes.
    pub fn size(&self) -> usize {
        match &self.test {
            Source::Bundle(bundle) => bundle.size(),
            Source::Resource { text, .. } => text.len(),
        }
    }
}

/// How it is to be run, as flags say it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct How {
    pub confidence: bool,
    pub abort_on_fail: bool,
    pub fail_on_worker_loss: bool,
    pub join_timeout: String,
    pub rejoin: String,
}

impl Default for How {
    fn default() -> Self {
        How {
            confidence: true,
            abort_on_fail: false,
            fail_on_worker_loss: false,
            join_timeout: "60s".to_owned(),
            rejoin: "10s".to_owned(),
        }
    }
}

/// Flags of a search, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    pub from: Option<String>,
    pub max: Option<String>,
    pub min: Option<String>,
    pub precision: Option<String>,
    pub budget: Option<String>,
    pub probe: Option<String>,
    pub cool_down: Option<String>,
    pub require: Option<String>,
}

/// What of a submission is known before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub test: String,
    pub kind: Kind,
    /// `host:port` of everything that it sends to.
    pub targets: Vec<String>,
}

/// Why a submission is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A mistake in the test, with its place.
    Mistake(String),
    /// A target outside the allow-list.
    Target(String),
    /// The queue is full, or the coordinator is ending.
    Busy(String),
}

impl Refusal {
    pub fn message(&self) -> &str {
        match self {
            Refusal::Mistake(message) | Refusal::Target(message) | Refusal::Busy(message) => message,
        }
    }
}

/// A result.
#[derive(Clone, Debug)]
pub struct Finished {
    pub entry: Entry,
    pub document: String,
    pub exit_code: u8,
    /// What else is to be known, such as a result that could not be kept.
    pub warning: Option<String>,
    /// Whether it could not be kept.
    pub unkept: bool,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub exit_code: u8,
    pub message: String,
}

/// Understands submissions and carries them out.
pub trait Execute: Send + Sync {
    /// # Errors
    /// Why it is not to be run.
    fn check(&self, submission: &Submission) -> Result<Checked, Refusal>;

    /// Runs it to its end, in a thread of its own; what it is told through `attendance` it obeys.
    ///
    /// # Errors
    /// It was not carried out.
    fn execute(&self, submission: Submission, attendance: Arc<Attendance>) -> Result<Finished, Failed>;

    /// Whether a target that is known only now may be aimed at.
    ///
    /// # Errors
    /// A sentence: it is outside the allow-list.
    fn allowed(&self, host: &str, port: u16) -> Result<(), String>;

    /// Keeps a result that the store does not have: what was merged of a run that was broken off, or what it did not take.
    ///
    /// # Errors
    /// A sentence: it can't be kept.
    fn keep(&self, entry: &Entry, document: &str) -> Result<(), String>;

    /// What the store has of a run.
    ///
    /// # Errors
    /// A sentence: the store can't be asked.
    fn kept(&self, run: &str) -> Result<Option<Finished>, String>;
}
