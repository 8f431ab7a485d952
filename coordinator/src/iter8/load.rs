//! What a load task comes to: one LoadTest document for each endpoint, and what its runner must know besides. How a
//! document is run is not known here.

use serde_json::{Map, Value, json};

use super::fields::{self, Fields};
use super::{Iter8Error, grpc, http};
use crate::spec::{API_VERSION, KIND};

/// What is always measured of an HTTP load.
pub const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9];

/// Waiting for a connection drops no request: Iter8 sends every one, however late.
pub(super) const MAX_WAIT: &str = "1h";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http,
    Grpc,
}

impl Protocol {
    /// The provider's name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::Grpc => "grpc",
        }
    }

    /// What the metric of a statistic of latency is called after its prefix: `latency-p99`, or `latency/p99`.
    pub fn latency(self, statistic: &str) -> String {
        match self {
            Protocol::Http => format!("latency-{statistic}"),
            Protocol::Grpc => format!("latency/{statistic}"),
        }
    }
}

/// How much is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Requests(u64),
    /// ns.
    Duration(u64),
}

/// Where metadata is to be read from before the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataSource {
    File(String),
    Url(String),
}

/// A load of one endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadPlan {
    /// Of its metrics: `http`, `http-ENDPOINT`, `grpc` or `grpc-ENDPOINT`.
    pub prefix: String,
    pub protocol: Protocol,
    /// The LoadTest, ready for YAML. Its only request has no name.
    pub document: Value,
    /// Between 0 and 100, ascending: what to measure, and to give to the insights by [`Protocol::latency`].
    pub percentiles: Vec<f64>,
    /// HTTP statuses that are errors, inclusive.
    pub error_ranges: Vec<(u16, u16)>,
    pub length: Length,
    /// One unmeasured request comes first; the task fails if its status is neither 2xx nor 418.
    pub initial_check: bool,
    /// To be put in by [`LoadPlan::set_metadata`].
    pub metadata: Option<MetadataSource>,
    /// What is not quite as Iter8 did it, a sentence each.
    pub warnings: Vec<String>,
}

impl LoadPlan {
    /// Puts in the metadata that a file or a URL gave as a JSON map.
    ///
    /// # Errors
    /// It is no map of texts.
    pub fn set_metadata(&mut self, text: &str) -> Result<(), Iter8Error> {
        let place = format!("{}.metadata", self.prefix);
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Iter8Error::new(place.as_str(), format!("the metadata is no JSON ({error})")))?;
        let metadata = Fields::new(self.prefix.as_str(), json!({"metadata": value}))?.strings("metadata")?;
        let metadata = grpc::metadata(&place, metadata, true)?;
        if let Some(call) = self.document.pointer_mut("/spec/requests/0/grpc").and_then(Value::as_object_mut) {
            call.insert("metadata".to_owned(), Value::Object(metadata));
        }
        self.metadata = None;
        Ok(())
    }
}

/// An `http` or a `grpc` task.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadTask {
    /// One after another, endpoints sorted by name.
    pub loads: Vec<LoadPlan>,
    /// The results are dropped.
    pub warmup: bool,
}

/// Reads the inputs of a load task.
pub(super) fn read(protocol: Protocol, place: &str, with: Value, wanted: &[f64]) -> Result<LoadTask, Iter8Error> {
    let mut all = Fields::new(place, with)?;
    let warmup = all.boolean("warmup")?.unwrap_or(false);
    let endpoints = all.map("endpoints")?;
    let (known, measures): (&[&str], &[&str]) = match protocol {
        Protocol::Http => (&http::KEYS, &http::MEASURES),
        Protocol::Grpc => (&grpc::KEYS, &grpc::MEASURES),
    };
    let base = all.rest();
    let with_own: Vec<&str> = known.iter().copied().chain(["endpoints", "warmup"]).collect();
    fields::check(place, &base, &with_own)?;
    let plan = |prefix: String, place: String, keys: Map<String, Value>| {
        let fields = Fields::new(place, Value::Object(keys))?;
        match protocol {
            Protocol::Http => http::plan(prefix, fields, wanted),
            Protocol::Grpc => grpc::plan(prefix, fields, wanted),
        }
    };
    let mut loads = Vec::new();
    match endpoints {
        None => loads.push(plan(protocol.name().to_owned(), place.to_owned(), base)?),
        Some(mut endpoints) => {
            let mut names = endpoints.names();
            names.sort();
            for name in names {
                check_name(&endpoints, &name)?;
                let place = endpoints.at(&name);
                let own = endpoints.map(&name)?.map(Fields::rest).unwrap_or_default();
                fields::check(&place, &own, known)?;
                loads.push(plan(
                    format!("{}-{name}", protocol.name()),
                    place,
                    overlay(&base, own, measures, protocol),
                )?);
            }
        }
    }
    if loads.is_empty() {
        return Err(Iter8Error::new(
            format!("{place}.endpoints"),
            "there is no endpoint: name one, or leave the key out",
        ));
    }
    Ok(LoadTask { loads, warmup })
}

fn check_name(endpoints: &Fields, name: &str) -> Result<(), Iter8Error> {
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Ok(());
    }
    Err(endpoints
        .error(name, "an endpoint's name goes into those of its metrics: write letters, digits, '-', '_' or '.'"))
}

/// An endpoint's keys over the task's. One that says how much is sent takes nothing of that from the task; maps of
/// headers and metadata are filled up.
fn overlay(
    base: &Map<String, Value>,
    own: Map<String, Value>,
    measures: &[&str],
    protocol: Protocol,
) -> Map<String, Value> {
    let is = |key: &str, names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(key));
    // A file that Iter8 wrote has every key of ghz, most of them empty.
    let own: Map<String, Value> = own
        .into_iter()
        .filter(|(_, value)| !(value.is_null() || (protocol == Protocol::Grpc && is_zero(value))))
        .collect();
    let measured = own.keys().any(|key| is(key, measures));
    let mut merged: Map<String, Value> = base
        .iter()
        .filter(|(key, _)| !(measured && is(key, measures)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    for (key, value) in own {
        let known = merged.keys().find(|known| known.eq_ignore_ascii_case(&key)).cloned();
        let filled = match (known.and_then(|known| merged.shift_remove(&known)), value) {
            (Some(Value::Object(base)), Value::Object(own)) if is(&key, &["headers", "metadata"]) => {
                let mut filled = base;
                filled.extend(own);
                Value::Object(filled)
            }
            (_, value) => value,
        };
        merged.insert(key, filled);
    }
    merged
}

/// Whether a value is what Go takes for none.
pub(super) fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "0s" || text == "0",
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) => false,
    }
}

/// A LoadTest of one request.
pub(super) fn document(
    prefix: &str,
    protocol: Protocol,
    request: Map<String, Value>,
    load: Map<String, Value>,
) -> Value {
    let name: String = prefix.chars().take(63).collect();
    let mut entry = Map::new();
    entry.insert(protocol.name().to_owned(), Value::Object(request));
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {"requests": [entry], "load": load},
    })
}

/// The fixed percentiles, the task's own, and those that objectives name.
pub(super) fn percentiles(own: &[f64], wanted: &[f64]) -> Vec<f64> {
    let mut all: Vec<f64> = PERCENTILES.iter().chain(own).chain(wanted).copied().collect();
    all.sort_by(f64::total_cmp);
    all.dedup();
    all
}

/// A rate as loadgrid writes it.
pub(super) fn rate(per_s: f64) -> Value {
    Value::String(format!("{per_s}/s"))
}

/// A duration as loadgrid writes it, in the largest unit that it is whole in.
pub(super) fn duration(ns: u64) -> Value {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let found = units.into_iter().find(|(size, _)| ns > 0 && ns.is_multiple_of(*size));
    Value::String(found.map_or_else(|| format!("{ns}ns"), |(size, unit)| format!("{}{unit}", ns / size)))
}
