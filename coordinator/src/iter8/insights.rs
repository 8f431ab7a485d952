//! What an experiment measured, in the shape of Iter8's result file; how it was measured is not known here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Iter8Error;

/// Requests whose latency lay in `lower..upper`, ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    pub lower: f64,
    pub upper: f64,
    pub count: u64,
}

/// What a metric's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricType {
    Counter,
    Gauge,
    Histogram,
    Sample,
    Summary,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricMeta {
    #[serde(default)]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    #[serde(rename = "type")]
    pub kind: MetricType,
}

/// How a version is called, if it has names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionName {
    #[serde(default)]
    pub version: String,
    #[serde(default)]
    pub track: String,
}

/// A limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    pub metric: String,
    pub limit: f64,
}

/// `upper` holds what must not be passed from below, `lower` from above.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sides<T> {
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub upper: Vec<T>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub lower: Vec<T>,
}

impl<T> Default for Sides<T> {
    fn default() -> Self {
        Sides { upper: Vec::new(), lower: Vec::new() }
    }
}

impl<T> Sides<T> {
    pub fn is_empty(&self) -> bool {
        self.upper.is_empty() && self.lower.is_empty()
    }
}

/// For each metric of a reward: its name, or the version that is best at it (-1: none has data).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extremes<T> {
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub max: Vec<T>,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub min: Vec<T>,
}

impl<T> Default for Extremes<T> {
    fn default() -> Self {
        Extremes { max: Vec::new(), min: Vec::new() }
    }
}

impl<T> Extremes<T> {
    pub fn is_empty(&self) -> bool {
        self.max.is_empty() && self.min.is_empty()
    }
}

/// Count, sum, minimum, maximum and sum of squares.
pub type Summary = [f64; 5];

/// Metrics of each version, and what was judged by them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Insights {
    pub num_versions: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_names: Option<Vec<VersionName>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics_info: BTreeMap<String, MetricMeta>,
    /// One map a version: the values in the order of the runs, or a sample, ms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_hist_metric_values: Vec<BTreeMap<String, Vec<f64>>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hist_metric_values: Vec<BTreeMap<String, Vec<Bucket>>>,
    #[serde(default, rename = "SummaryMetricValues", skip_serializing_if = "Vec::is_empty")]
    pub summary_metric_values: Vec<BTreeMap<String, Summary>>,
    #[serde(default, rename = "SLOs", skip_serializing_if = "Option::is_none")]
    pub slos: Option<Sides<Limit>>,
    /// For each objective whether each version keeps it.
    #[serde(default, rename = "SLOsSatisfied", skip_serializing_if = "Option::is_none")]
    pub slos_satisfied: Option<Sides<Vec<bool>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewards: Option<Extremes<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewards_winners: Option<Extremes<i64>>,
}

impl Insights {
    /// Takes what an HTTP load measured. `prefix` is `http` or `http-ENDPOINT`; `values` are named as in
    /// `request-count`, `error-rate` or `latency-p99` (ms); `histogram` is that of latency. Values of runs before are
    /// kept, the histogram is the last run's.
    ///
    /// # Errors
    /// Metrics of several versions are there already.
    pub fn record_http(
        &mut self,
        prefix: &str,
        values: &[(&str, f64)],
        histogram: &[Bucket],
    ) -> Result<(), Iter8Error> {
        self.record(prefix, values, histogram)
    }

    /// Takes what a gRPC load measured; as [`Insights::record_http`], with latencies named as in `latency/mean` or
    /// `latency/p99`. No samples are kept, so that a result's size does not grow with its requests.
    ///
    /// # Errors
    /// Metrics of several versions are there already.
    pub fn record_grpc(
        &mut self,
        prefix: &str,
        values: &[(&str, f64)],
        histogram: &[Bucket],
    ) -> Result<(), Iter8Error> {
        self.record(prefix, values, histogram)
    }

    fn record(&mut self, prefix: &str, values: &[(&str, f64)], histogram: &[Bucket]) -> Result<(), Iter8Error> {
        self.versions(1)?;
        for (name, value) in values {
            // An error rate of no requests, say, is no figure.
            if value.is_finite() {
                self.record_scalar(0, &format!("{prefix}/{name}"), meta(name), *value)?;
            }
        }
        let name = format!("{prefix}/latency");
        if let Some(scalars) = self.non_hist_metric_values.first_mut() {
            // Samples of an Iter8 that ran before would be taken for this run's.
            scalars.remove(&name);
        }
        if let Some(histograms) = self.hist_metric_values.first_mut() {
            histograms.insert(name.clone(), histogram.to_vec());
        }
        let description = "latency histogram".to_owned();
        let units = Some("msec".to_owned());
        self.metrics_info.insert(name, MetricMeta { description, units, kind: MetricType::Histogram });
        Ok(())
    }

    /// Takes one value of one version; [`Insights::versions`] comes first.
    ///
    /// # Errors
    /// There is no such version.
    pub fn record_scalar(
        &mut self,
        version: usize,
        name: &str,
        meta: MetricMeta,
        value: f64,
    ) -> Result<(), Iter8Error> {
        let Some(values) = self.non_hist_metric_values.get_mut(version) else {
            let message = format!("there is no version {version} among {}", self.num_versions);
            return Err(Iter8Error::new(name, message));
        };
        values.entry(name.to_owned()).or_default().push(value);
        self.metrics_info.insert(name.to_owned(), meta);
        Ok(())
    }

    /// Says how many versions there are, which holds for the whole experiment.
    ///
    /// # Errors
    /// Another number was said before.
    pub fn versions(&mut self, count: usize) -> Result<(), Iter8Error> {
        if self.num_versions != 0 && self.num_versions != count {
            let message = format!(
                "inconsistent number for app versions; old ({}); new ({count}): http and grpc tasks measure one",
                self.num_versions
            );
            return Err(Iter8Error::new("insights", message));
        }
        self.num_versions = count;
        self.non_hist_metric_values.resize_with(count, BTreeMap::new);
        self.hist_metric_values.resize_with(count, BTreeMap::new);
        self.summary_metric_values.resize_with(count, BTreeMap::new);
        Ok(())
    }

    /// A version's name: `track (version)`, or `version 0`.
    pub fn version_name(&self, version: usize) -> String {
        let named = self.version_names.as_ref().and_then(|names| names.get(version));
        match named.map(|name| (name.track.as_str(), name.version.as_str())) {
            None | Some(("", "")) => format!("version {version}"),
            Some((only, "")) | Some(("", only)) => only.to_owned(),
            Some((track, name)) => format!("{track} ({name})"),
        }
    }
}

/// What is known of a metric by its name.
fn meta(name: &str) -> MetricMeta {
    let counter = |description: &str| (description.to_owned(), None, MetricType::Counter);
    let (description, units, kind) = match name {
        "request-count" => counter("number of requests sent"),
        "error-count" => counter("number of responses that were errors"),
        "error-rate" => ("fraction of responses that were errors".to_owned(), None, MetricType::Gauge),
        _ => match name.strip_prefix("latency").map(|rest| rest.trim_start_matches(['-', '/'])) {
            Some(part) => (format!("{part} of latency"), Some("msec".to_owned()), MetricType::Gauge),
            None => (name.to_owned(), None, MetricType::Gauge),
        },
    };
    MetricMeta { description, units, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_append_values_and_replace_the_histogram() {
        let mut insights = Insights::default();
        let bucket = |count| Bucket { lower: 1.0, upper: 2.0, count };
        insights.record_http("http", &[("request-count", 5.0), ("error-rate", f64::NAN)], &[bucket(5)]).unwrap();
        insights.record_http("http", &[("request-count", 7.0)], &[bucket(7)]).unwrap();
        assert_eq!(insights.non_hist_metric_values[0]["http/request-count"], [5.0, 7.0]);
        assert!(!insights.metrics_info.contains_key("http/error-rate"));
        assert_eq!(insights.hist_metric_values[0]["http/latency"], [bucket(7)]);
        assert!(insights.versions(2).unwrap_err().to_string().contains("inconsistent number for app versions"));
        assert!(insights.record_scalar(1, "x/y", meta("y"), 1.0).is_err());
    }

    #[test]
    fn versions_have_names() {
        let name = |version: &str, track: &str| VersionName { version: version.into(), track: track.into() };
        let names = vec![name("v1", "blue"), name("v2", ""), name("", "green")];
        let insights = Insights { version_names: Some(names), ..Insights::default() };
        let shown: Vec<_> = (0..4).map(|version| insights.version_name(version)).collect();
        assert_eq!(shown, ["blue (v1)", "v2", "green", "version 3"]);
    }
}
