//! A comparison of two runs, or of two versions in one run: the model that every format is rendered from, and its JSON.
//!
//! Times are seconds, shares are of 1, rates are per second. The shape is versioned: `schema` names it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verdict::{RunVerdict, Validity};

/// The version of this shape.
pub const SCHEMA: &str = "loadgrid.dev/comparison/v1";

/// B against A.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Comparison {
    pub schema: String,
    /// The program's version that compared.
    pub loadgrid: String,
    /// Name of the test.
    pub test: String,
    pub a: Head,
    pub b: Head,
    /// Whether both sides ran at the same time, so that their seconds were drawn together.
    pub paired: bool,
    pub verdict: Verdict,
    /// Of the whole, in one sentence.
    pub summary: String,
    /// Of each interval: 0.95.
    pub confidence: f64,
    /// How many rows were tested: the verdicts are wrong in any of them in at most 5 % of comparisons.
    pub family: u32,
    /// Of the bootstrap: with it the same figures come out again.
    pub seed: u64,
    /// All requests together first, if there are several.
    pub sections: Vec<Section>,
    /// What whoever reads the figures has to know beside them.
    pub notes: Vec<String>,
    pub spectra: Spectra,
    /// The conditions of `--fail-if`, in their order.
    pub fail_if: Vec<Outcome>,
}

impl Comparison {
    /// Of a program that compared: 1 where a condition of `--fail-if` is violated, 3 where one is not settled, else 0.
    pub fn exit_code(&self) -> u8 {
        let any = |state: OutcomeState| self.fail_if.iter().any(|outcome| outcome.state == state);
        match (any(OutcomeState::Violated), any(OutcomeState::Inconclusive)) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        }
    }
}

/// One side.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Head {
    /// `A` or `B`, or the version's name.
    pub label: String,
    pub run: String,
    pub test: String,
    /// RFC 3339.
    pub started_at: String,
    /// The run's own verdict.
    pub verdict: RunVerdict,
    pub validity: Validity,
    /// Of its requests, each once.
    pub urls: Vec<String>,
    /// `open loop` or `closed loop`.
    pub model: String,
    pub arrivals: String,
    pub profile: String,
    /// Of a version its share of the run's. Null in a closed loop.
    pub target_rate: Option<f64>,
    /// Requests that ended per second of the main phase.
    pub rate: f64,
    /// Of the main phase, s.
    pub duration: f64,
    /// Requests that ended.
    pub requests: u64,
    pub errors: u64,
    /// Waited too long: never sent.
    pub dropped: u64,
}

/// What was found, of a row or of the whole.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Better,
    Worse,
    /// Some rows better, some worse: of the whole only.
    Mixed,
    /// No difference shown, which is not the same as none: see `smallest`.
    Same,
    /// The sample is too small to say anything: of a row, or of a whole of such rows.
    Unknown,
}

/// The rows of one request, or of several together.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Section {
    /// For people: the request's name, or `all requests`.
    pub name: String,
    /// `http` or `grpc`.
    pub group: String,
    /// Null for all requests of the group.
    pub request: Option<String>,
    pub rows: Vec<Row>,
}

/// One metric of both sides.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Row {
    /// As objectives name it, e.g. `http-home/latency-p99`.
    pub metric: String,
    /// For people, within its section, e.g. `latency p99`.
    pub name: String,
    /// What `difference`, `low`, `high` and `smallest` are in.
    pub scale: Scale,
    /// Whether more of it is better: rates.
    pub higher_is_better: bool,
    /// s, a share of 1, or per second. Null: nothing was measured.
    pub value_a: Option<f64>,
    pub value_b: Option<f64>,
    /// B against A: of A (0.05 is 5 % more than A) for times and rates, B − A for shares. Null where the sample is too
    /// small, and so are the next four.
    pub difference: Option<f64>,
    /// 95 % interval, of this row by itself. A null `high` of a relative difference is beyond all measure.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// That a pair without a difference would look so different, in this row by itself.
    pub p: Option<f64>,
    /// The smallest worsening that this pair would have shown in 4 of 5 cases; in the scale of `difference`, positive.
    pub smallest: Option<f64>,
    pub verdict: Verdict,
    /// The interval excludes zero, but among so many rows one such is expected without a difference.
    pub suspected: bool,
    /// Why, where the figures do not say it by themselves.
    pub note: Option<String>,
    pub shown: Shown,
}

/// What differences are in.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Share of A.
    Relative,
    /// Difference of two shares.
    Absolute,
}

/// The figures of a row for people; empty where there is none.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Shown {
    pub a: String,
    pub b: String,
    /// Such as `+4.8%` or `+0.02 points`.
    pub difference: String,
    /// Such as `[+2.1%, +7.6%]`.
    pub interval: String,
    /// Such as `3.2%`.
    pub smallest: String,
    /// Such as `0.003` or `< 0.0001`.
    pub p: String,
}

/// (share of requests at or below, seconds), of all requests: for plots.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Spectra {
    pub latency_a: Vec<(f64, f64)>,
    pub latency_b: Vec<(f64, f64)>,
    pub service_time_a: Vec<(f64, f64)>,
    pub service_time_b: Vec<(f64, f64)>,
}

/// A condition of `--fail-if`, judged.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Outcome {
    /// As it was written.
    pub condition: String,
    pub metric: String,
    pub state: OutcomeState,
    /// Why, for people.
    pub because: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeState {
    /// What must not be was shown.
    Violated,
    /// It was shown not to be.
    Holds,
    /// The sample does not tell.
    Inconclusive,
}

/// Versions of a target that ran side by side in one run.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Versions {
    /// The one that the others are compared with first.
    pub names: Vec<String>,
    /// In one sentence.
    pub summary: String,
    /// Each other version against the first. Empty where they can't be compared, and `summary` says why.
    pub comparisons: Vec<Comparison>,
    pub rewards: Vec<RewardOutcome>,
    /// The version that wins by every reward; null where none does.
    pub winner: Option<String>,
}

/// The versions under one reward.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct RewardOutcome {
    /// `min` or `max`.
    pub goal: String,
    pub metric: String,
    /// (version, value, the value for people).
    pub values: Vec<(String, Option<f64>, String)>,
    pub winner: Option<String>,
    /// Why there is one, or none.
    pub because: String,
}
