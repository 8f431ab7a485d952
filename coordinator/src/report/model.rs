//! The report: one model from which every format is rendered, and the JSON that a run is stored as.
//!
//! Durations are seconds, as numbers. The shape is versioned: `schema` names it, `coordinator/schema/report-v1.json`
//! describes it, and a sample of every version is kept under `tests/golden`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::model::Versions;
pub use crate::verdict::{RunVerdict, Validity};

/// The version of this shape.
pub const SCHEMA: &str = "loadgrid.dev/report/v1";

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Report {
    pub schema: String,
    /// The program's version that made it.
    pub loadgrid: String,
    pub run: String,
    /// Name of the test.
    pub test: String,
    /// RFC 3339.
    pub started_at: String,
    pub verdict: RunVerdict,
    /// Why, and what to know beside it, in sentences for people; empty for a plain pass.
    pub reasons: Vec<String>,
    pub validity: Validity,
    pub exit_code: u8,
    /// Whether quantiles were judged by their intervals; else by point estimates (`--confidence off`).
    pub confidence: bool,
    pub load: Load,
    /// By name.
    pub requests: BTreeMap<String, Request>,
    /// All requests together.
    pub total: Request,
    pub slos: Vec<Slo>,
    pub audit: Vec<Gate>,
    pub workers: Vec<Worker>,
    pub timeline: Vec<Second>,
    /// What the time to the first byte, connecting and the rest of the target's side looked like.
    pub connections: Connections,
    pub histograms: Histograms,
    /// What was waited for before the load started.
    #[serde(default)]
    pub ready: Vec<Ready>,
    /// Metrics of providers, as they were asked for after the load.
    #[serde(default)]
    pub outside: Vec<Outside>,
    /// What whoever reads the figures has to know beside them, such as certificates that nobody verified.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Where several versions of the target were measured side by side.
    #[serde(default)]
    pub versions: Option<Versions>,
}

/// A condition that held, and how long that took; s.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Ready {
    pub condition: String,
    pub waited: f64,
    pub attempts: u32,
}

/// A metric from outside the load.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Outside {
    /// PROVIDER/METRIC.
    pub metric: String,
    /// Null: it could not be had, and `error` says why.
    pub value: Option<f64>,
    pub unit: Option<String>,
    pub error: Option<String>,
}

/// What was to be sent and what was. Counts are of the main phase; planned = sent + dropped + lost.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Load {
    /// `open loop` or `closed loop`: never compare across the two.
    pub model: String,
    /// `uniform`, `poisson`, or `closed`.
    pub arrivals: String,
    /// What the profile is, for people.
    pub profile: String,
    /// With it the same arrivals can be drawn again.
    pub seed: u64,
    pub planned: u64,
    /// completed + errors + cancelled.
    pub sent: u64,
    pub completed: u64,
    pub errors: u64,
    /// In flight when the run was stopped, and given up: no error of the target, in no histogram.
    pub cancelled: u64,
    /// dropped_waited + dropped_not_started.
    pub dropped: u64,
    /// Waited for a connection longer than `max_wait`.
    pub dropped_waited: u64,
    /// Not due any more when the run was stopped.
    pub dropped_not_started: u64,
    /// Owed by workers that are gone.
    pub lost: u64,
    /// Dispatched more than 1 ms after the intended start.
    pub late: u64,
    /// sent / planned.
    pub coverage: f64,
    /// Of the whole main phase, requests per second; null in a closed loop.
    pub target_rate: Option<f64>,
    pub achieved_rate: f64,
    /// Length of the main phase as planned, and as it was; s.
    pub planned_duration: Option<f64>,
    pub duration: f64,
    pub warmup: f64,
    pub warmup_requests: u64,
    pub timeout: f64,
    pub max_wait: f64,
    /// Over the grid; null for as many as are needed.
    pub connections: Option<u32>,
    /// Why the run ended early, if it did.
    pub stopped: Option<String>,
    /// Steps that followed others and ended: sent beside the plan, in no count above.
    #[serde(default)]
    pub follow_ups: u64,
    /// Streams at once on one HTTP/2 connection; null if no request speaks HTTP/2.
    #[serde(default)]
    pub streams: Option<u32>,
}

/// One request's figures in the main phase.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Request {
    pub method: String,
    /// As written in the test: secrets stay references.
    pub url: String,
    pub weight: u32,
    pub count: u64,
    pub errors: u64,
    pub error_rate: f64,
    /// Sent, and given up when the run was stopped: not in `count`.
    pub cancelled: u64,
    /// Waited for a connection too long: never sent.
    pub dropped: u64,
    /// By status code.
    pub statuses: BTreeMap<String, u64>,
    /// By kind.
    pub error_kinds: BTreeMap<String, u64>,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// From the intended start to the end: dispatch_lag + connection_wait + service_time.
    pub latency: Distribution,
    /// The generator's own lateness; of dropped requests too.
    pub dispatch_lag: Distribution,
    /// No connection was free.
    pub connection_wait: Distribution,
    /// From the first byte sent to the end: what a tool without correction reports.
    pub service_time: Distribution,
    pub time_to_first_byte: Distribution,
    /// 95 % interval of quantiles of `latency`, by name; bounds are null where the sample is too small.
    pub latency_intervals: BTreeMap<String, Interval>,
    /// `http/1.1`, `http/2`, `http/auto` or the kind of a gRPC call.
    #[serde(default)]
    pub protocol: String,
    /// `http` or `grpc`: how the names of its metrics begin.
    #[serde(default)]
    pub group: String,
    /// gRPC status codes by name.
    #[serde(default)]
    pub grpc_codes: BTreeMap<String, u64>,
    /// The test's checks of this request, and how often each was the first that did not hold.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// gRPC messages.
    #[serde(default)]
    pub messages_sent: u64,
    #[serde(default)]
    pub messages_received: u64,
    /// Of calls with streams of messages: from the first byte sent to the first message, and between messages.
    #[serde(default)]
    pub time_to_first_message: Distribution,
    #[serde(default)]
    pub message_gap: Distribution,
}

impl Request {
    /// Whether its calls are streams: more messages than one each way.
    pub fn has_streams(&self) -> bool {
        self.messages_sent + self.messages_received > 2 * self.count
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Check {
    pub check: String,
    pub failed: u64,
}

/// A distribution in seconds. All but the count are null without a sample.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Distribution {
    pub count: u64,
    pub min: Option<f64>,
    pub mean: Option<f64>,
    pub stddev: Option<f64>,
    pub p50: Option<f64>,
    pub p75: Option<f64>,
    pub p90: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub p99_9: Option<f64>,
    pub p99_99: Option<f64>,
    pub max: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Interval {
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// A judged objective. Values in seconds, shares of 1, counts, or requests per second.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Slo {
    pub expr: String,
    pub metric: String,
    /// `<=` or `>=`.
    pub comparison: String,
    pub limit: f64,
    /// Null: the metric is missing, and the objective failed.
    pub observed: Option<f64>,
    /// 95 %, for quantiles.
    pub interval: Option<Interval>,
    pub effective_samples: Option<u64>,
    pub verdict: RunVerdict,
    pub note: Option<String>,
    /// The same for people: limit, observed, interval.
    pub shown: Shown,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Shown {
    pub limit: String,
    pub observed: String,
    pub interval: String,
}

/// A gate of the self-audit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Gate {
    pub gate: String,
    /// `ok`, `degraded` or `invalid`.
    pub state: String,
    pub saw: String,
    pub means: String,
    pub todo: String,
}

/// One worker's part. Counts are of the main phase.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Worker {
    pub id: String,
    pub lanes: u32,
    /// Null in a closed loop without a count.
    pub planned: Option<u64>,
    pub sent: u64,
    pub errors: u64,
    pub dropped: u64,
    pub lost: u64,
    /// Whether everything it measured arrived.
    pub complete: bool,
    /// First dispatch after its intended start, s.
    pub start_skew: Option<f64>,
    /// What the skew may be off by, s.
    pub clock_bound: f64,
    /// Share of a core, busiest lane.
    pub busy: f64,
    /// The most that were open at once.
    pub connections: u64,
    /// `ok`, `degraded` or `invalid`, by the gates that are a worker's own.
    pub audit: String,
    pub latency: Distribution,
    pub service_time: Distribution,
}

/// One step of the timeline, usually a second.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Second {
    /// Start after the start of the warm-up, and length; s.
    pub t: f64,
    pub length: f64,
    pub warmup: bool,
    /// Requests per second: by the profile (null in a closed loop), taken up by connections.
    pub planned_rate: Option<f64>,
    pub achieved_rate: f64,
    pub completed: u64,
    pub errors: u64,
    pub dropped: u64,
    pub in_flight: u64,
    pub waiting: u64,
    pub connections: u64,
    /// Latency, s.
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p99: Option<f64>,
    pub max: Option<f64>,
    pub service_p50: Option<f64>,
    pub service_p99: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Connections {
    pub opened: u64,
    /// Bytes came that no request had asked for.
    pub unsolicited: u64,
    pub connect_time: Distribution,
    /// TLS handshakes, beside the time to connect; each is a full one.
    #[serde(default)]
    pub handshake_time: Distribution,
    /// Requests sent again because the server had not taken them up (RFC 9113 §8.7).
    #[serde(default)]
    pub retried: u64,
    /// Connections that a server ended by GOAWAY.
    #[serde(default)]
    pub goaways: u64,
}

/// HdrHistogram's own encoding (V2, deflate, base64), nanoseconds, 3 digits: any HdrHistogram library reads it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Histograms {
    pub encoding: String,
    /// By request.
    pub requests: BTreeMap<String, RequestHistograms>,
    /// Latency of all requests in the main phase, one a step of the timeline.
    pub latency_by_second: Vec<SecondHistogram>,
    /// (share of requests at or below, seconds) of latency and service time, for plots.
    pub latency_spectrum: Vec<(f64, f64)>,
    pub service_time_spectrum: Vec<(f64, f64)>,
    /// By request, step by step of the main phase: what comparisons take as blocks.
    #[serde(default)]
    pub blocks: BTreeMap<String, Vec<Block>>,
}

/// One request in one step of the main phase: a second, a quarter of one in a short run, more in a long one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct Block {
    /// Start after the start of the warm-up, and length; s.
    pub t: f64,
    pub length: f64,
    pub ended: u64,
    pub errors: u64,
    /// Waited too long for a connection: never sent.
    pub dropped: u64,
    /// Encoded as the others; empty without a sample.
    pub latency: String,
    pub service_time: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct RequestHistograms {
    pub latency: String,
    pub dispatch_lag: String,
    pub connection_wait: String,
    pub service_time: String,
    pub time_to_first_byte: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
pub struct SecondHistogram {
    /// After the start of the warm-up; s.
    pub t: f64,
    pub length: f64,
    pub latency: String,
}
