//! The history of one test: one model from which text, Markdown, JSON and HTML are rendered. It knows nothing of how
//! the change points were found.
//!
//! Values are as in the store: times in seconds, shares of 1, rates per second. Every `shown` is the value beside it,
//! for people. Indexes count from 0 and are of `points`, `levels` or `changes` of the same metric.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of this shape.
pub const SCHEMA: &str = "loadgrid.dev/trend/v1";

/// A whole history.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Trend {
    pub schema: String,
    /// The program's version that made it.
    pub loadgrid: String,
    /// Name of the test.
    pub test: String,
    pub verdict: TrendVerdict,
    /// 0 steady, better or changed; 1 the newest run belongs to a new, worse level; 3 it can't be told.
    pub exit_code: u8,
    /// Why, in sentences for people; empty where nothing changed.
    pub reasons: Vec<String>,
    /// The newest run of the test, used or not.
    pub newest: Option<RunRef>,
    /// The run whose level is accepted; `None` without one, or where it is not among the runs used.
    pub baseline: Option<RunRef>,
    /// How many runs were used, of how many.
    pub used: usize,
    pub runs: usize,
    pub left_out: Vec<LeftOut>,
    /// The chance of a change point in a history without one, over all metrics together.
    pub significance: f64,
    /// Changes of less are no change, as a share of the level before.
    pub smallest_change: f64,
    /// With it the same permutations can be drawn again.
    pub seed: u64,
    /// Those with a verdict of worse first, then better, changed, steady, and those that can't be told.
    pub metrics: Vec<MetricTrend>,
    /// What whoever reads the figures has to know beside them.
    pub notes: Vec<String>,
}

/// What is said of the newest run, for a metric or for all of them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum TrendVerdict {
    Steady,
    Better,
    Worse,
    /// Of a metric whose better side is not known.
    Changed,
    TooFew,
}

/// A run, for a table or a link.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct RunRef {
    pub run: String,
    /// RFC 3339.
    pub started_at: String,
}

/// Runs that are not in the series, and why.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct LeftOut {
    /// A clause for people, such as `invalid` or `other target rate (500/s)`.
    pub why: String,
    pub count: usize,
    /// Oldest first; at most the newest ten.
    pub runs: Vec<String>,
}

/// One metric over the runs that have it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct MetricTrend {
    /// As in objectives, such as `http/latency-p99`, or `capacity`.
    pub metric: String,
    /// `run` or `capacity`: what the values were measured by.
    pub kind: String,
    pub worse_when: WorseWhen,
    /// How sizes are meant.
    pub scale: Scale,
    pub verdict: TrendVerdict,
    /// The verdict in a sentence.
    pub sentence: String,
    /// Whether the newest run has this metric; else it has no part in the verdict of the whole.
    pub current: bool,
    /// Oldest first.
    pub points: Vec<TrendPoint>,
    /// Oldest first; they cover all points. Empty where there are too few.
    pub levels: Vec<Level>,
    /// Oldest first; one fewer than levels.
    pub changes: Vec<Change>,
    /// The level that the newest one is held against: the baseline's, else the one before. `None`: there is none.
    pub compared_with: Option<usize>,
    /// The newest level against that one; see `scale`.
    pub difference: Option<f64>,
    pub shown_difference: String,
    /// The smallest step that the three newest runs could have shown, beside this noise; see `scale`.
    pub smallest_step: Option<f64>,
    pub shown_smallest_step: String,
    /// So many runs at least are needed, if there are too few.
    pub needed: Option<usize>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum WorseWhen {
    Higher,
    Lower,
    Unknown,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// 0.05 is 5 % of the level before.
    Ratio,
    /// After minus before, in the metric's own unit: shares, and series with values of zero or less.
    Difference,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct TrendPoint {
    pub run: String,
    /// RFC 3339.
    pub started_at: String,
    pub value: f64,
    pub shown: String,
    /// Far from the runs on both sides: no level of its own.
    pub outlier: bool,
    /// `None` where there are too few points for levels.
    pub level: Option<usize>,
}

/// Runs in a row between which no change is shown.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Level {
    /// Its first and last point.
    pub from: usize,
    pub to: usize,
    pub from_run: RunRef,
    pub to_run: RunRef,
    pub runs: usize,
    /// The geometric mean where the scale is a ratio. An outlier counts as the runs beside it.
    pub mean: f64,
    pub median: f64,
    /// Standard deviation between runs, likewise; in the metric's unit. `None` for a single run.
    pub spread: Option<f64>,
    /// The mean.
    pub shown: String,
    /// `±1.2%`, or in the metric's unit; empty without one.
    pub shown_spread: String,
}

/// A step from one level to the next.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Change {
    /// The first point after it.
    pub at: usize,
    /// The last run before it and the first after it: what changed lies between these two, give or take a few runs.
    pub before: RunRef,
    pub after: RunRef,
    /// From the mean before to the mean after; see `scale`.
    pub size: f64,
    /// Such as `+5.1%`.
    pub shown: String,
    /// The chance of as large a step in a series without one, wherever it be (not corrected for the number of metrics).
    pub p: f64,
    pub direction: Direction,
    /// Up to the baseline: does not count any more.
    pub accepted: bool,
    /// Three runs before and three after, oldest first.
    pub around: Vec<Around>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Better,
    Worse,
    Changed,
}

/// A run beside a change.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Around {
    /// Of `points`.
    pub point: usize,
    pub run: String,
    pub started_at: String,
    pub value: f64,
    pub shown: String,
    /// −3 … −1 before, 1 … 3 after.
    pub offset: i32,
    pub outlier: bool,
}
