//! What is known of a run without opening it: enough to list, to pick and to plot. What the figures mean it does not
//! know.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Run,
    /// A search for the capacity.
    Capacity,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Run => "run",
            Kind::Capacity => "capacity search",
        })
    }
}

/// A run in a list. Fields may be added within a version of the format, each with a default.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Entry {
    /// The run's ULID.
    pub id: String,
    pub kind: Kind,
    /// Name of the test.
    pub test: String,
    pub started_at: Timestamp,
    /// Of the main phase; s.
    pub duration: f64,
    /// `open loop` or `closed loop`.
    pub model: String,
    /// `uniform`, `poisson`, or `closed`.
    pub arrivals: String,
    /// Requests per second; null in a closed loop.
    pub target_rate: Option<f64>,
    /// The same for runs that send the same requests.
    pub requests: String,
    pub verdict: String,
    pub validity: String,
    /// By name, such as `http/latency-p99`; s, shares of 1, or requests per second.
    pub metrics: BTreeMap<String, f64>,
    /// The program's version that measured it.
    pub loadgrid: String,
}

impl Entry {
    /// Without numbers that JSON can't write.
    pub(super) fn finite(&self) -> Entry {
        let mut entry = self.clone();
        entry.metrics.retain(|_, value| value.is_finite());
        entry.target_rate = entry.target_rate.filter(|rate| rate.is_finite());
        if !entry.duration.is_finite() {
            entry.duration = 0.0;
        }
        entry
    }
}

/// Which runs are wanted; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub test: Option<String>,
    pub kind: Option<Kind>,
}

impl Filter {
    pub fn has(&self, entry: &Entry) -> bool {
        self.test.as_ref().is_none_or(|test| *test == entry.test) && self.kind.is_none_or(|kind| kind == entry.kind)
    }
}
