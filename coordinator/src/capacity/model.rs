//! The report of a capacity search: the model that every format is rendered from, and the JSON that it is stored as.
//!
//! Times are seconds, shares of 1, rates requests per second. The shape is versioned: `schema` names it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::model::{Distribution, Interval, Slo, Validity};

/// The version of this shape.
pub const SCHEMA: &str = "loadgrid.dev/capacity/v1";

/// A whole search.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct CapacityReport {
    pub schema: String,
    /// The program's version that made it.
    pub loadgrid: String,
    pub run: String,
    /// Name of the test.
    pub test: String,
    /// RFC 3339.
    pub started_at: String,
    /// Of the whole search, s.
    pub duration: f64,
    pub verdict: CapacityVerdict,
    /// The answer in one sentence.
    pub summary: String,
    /// Why, and what to know beside it, in sentences for people.
    pub reasons: Vec<String>,
    /// 0 found or at least; 3 no answer, or one that was cut short; 1 the objectives fail at the lowest rate; 4 the target was gone; 130 interrupted.
    pub exit_code: u8,
    /// The highest rate at which all objectives hold; null without an answer, and where it is only known to be at least
    /// `low`.
    pub estimate: Option<f64>,
    /// It held here, and broke at `high`.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Of the interval from `low` to `high`.
    pub confidence: Option<f64>,
    /// Such as `held in 2 of 2 probes at 1220/s, broke in 2 of 3 at 1260/s`; empty without an answer.
    pub evidence: String,
    /// How the estimate was made, for people.
    pub method: String,
    /// The objective that broke first above the capacity, or what else did.
    pub limited_by: Option<String>,
    /// The rate that the target has to go to (`--require`): exit code 0 if `low` reaches it, 1 if `high` does not, else 3.
    pub required: Option<f64>,
    pub settings: Settings,
    /// In the order in which they ran.
    pub probes: Vec<Probe>,
    /// The rate at which latency begins to bend; null where it does not.
    pub knee: Option<f64>,
    /// The Universal Scalability Law fitted to the probes: a comment on them, not the capacity.
    pub scalability: Option<Scalability>,
    /// What whoever reads the figures has to know beside them.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityVerdict {
    /// An interval: the target's capacity lies in it.
    Found,
    /// It held up to here, and something else than the target ended the search: `--max`, the generator, the budget.
    AtLeast,
    /// The objectives fail at the lowest rate that was tried.
    Fails,
    /// No answer: the probes contradict each other, or say nothing.
    Refused,
    /// The search ended before it had an answer: the target was gone, or it was interrupted.
    BrokenOff,
}

/// How it was searched.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Settings {
    pub slos: Vec<String>,
    pub start: f64,
    pub min: f64,
    pub max: f64,
    /// 0.03 is 3 % on either side of the estimate.
    pub precision: f64,
    /// For the whole search, s.
    pub budget: f64,
    pub probes_max: usize,
    /// Main phases of a probe: while the capacity is bracketed, and at its boundary; s.
    pub short_probe: f64,
    pub long_probe: f64,
    /// Driven before each main phase and not judged; s.
    pub warmup: f64,
    /// Between two probes at least; s.
    pub cool_down: f64,
    /// `uniform` or `poisson`.
    pub arrivals: String,
    pub seed: u64,
    pub workers: usize,
    /// Over the grid; null for as many as are needed.
    pub connections: Option<u32>,
    /// Each request: name and URL, as written.
    pub requests: BTreeMap<String, String>,
}

/// One run at one rate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Probe {
    /// From 1.
    pub number: usize,
    pub run: String,
    /// `bracket`, `bisect` or `repeat`.
    pub purpose: String,
    /// Start after the start of the search, s.
    pub t: f64,
    /// As asked for.
    pub rate: f64,
    /// Requests per second that were sent.
    pub achieved: f64,
    /// Of the main phase, s.
    pub duration: f64,
    pub outcome: ProbeOutcome,
    /// Why, for people.
    pub because: String,
    pub latency: Distribution,
    /// 95 % interval of quantiles of `latency`, by name; bounds are null where the sample is too small.
    pub latency_intervals: BTreeMap<String, Interval>,
    pub service_time: Distribution,
    pub sent: u64,
    pub errors: u64,
    pub error_rate: f64,
    pub dropped: u64,
    /// Requests in flight or waiting: mean, and growth per second where there is any.
    pub backlog: f64,
    pub backlog_growth: Option<f64>,
    pub validity: Validity,
    pub slos: Vec<Slo>,
    /// ln(observed / limit) of the objective nearest to breaking, with its standard error; above 0 is broken.
    pub margin: Option<(f64, f64)>,
    /// Waited for the target to be idle before it, s.
    pub settled_after: f64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ProbeOutcome {
    Held,
    Broke,
    /// Too close to the limit for its sample.
    Unclear,
    /// The generator, not the target, was the limit: says nothing of the target.
    Limited,
}

/// X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), Gunther.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Scalability {
    /// Requests per second of one that is alone.
    pub lambda: f64,
    /// Contention.
    pub sigma: f64,
    /// Coherency.
    pub kappa: f64,
    pub r2: f64,
    /// The most that the fit allows: (concurrency, requests per second); null where it has none near the probes.
    pub peak: Option<(f64, f64)>,
}
