//! Metrics that a system beside the target keeps: one query over HTTP each, and the number that a jq filter finds in
//! its answer. What the numbers are compared with is not known here.

mod iter8;

use std::fmt;

use serde_json::Value;
use url::Url;

pub use self::iter8::iter8_provider;
use super::fetch::{Fetch, fetch, off_thread, parsed, shown};
use super::jq::Jq;

/// The largest answer to a query.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// How much of an answer of failure is shown.
const EXCERPT_MAX: usize = 200;

/// A system that is asked for metrics.
#[derive(Clone, PartialEq, Eq)]
pub struct Provider {
    /// Metrics are called `NAME/METRIC`.
    pub name: String,
    /// Secrets are resolved. Here, in parameters and in bodies `{{elapsedSeconds}}`, `{{startUnix}}` and `{{endUnix}}`
    /// stand for the run's times in whole seconds.
    pub url: String,
    pub method: String,
    pub headers: Vec<(String, String)>,
    /// Of every query, before its own.
    pub params: Vec<(String, String)>,
    /// Of every query that has none of its own.
    pub body: Option<String>,
    pub metrics: Vec<ProviderMetric>,
}

impl fmt::Debug for Provider {
    /// Without what may be secret.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Provider").field("name", &self.name).field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

/// One query and the number in its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderMetric {
    pub name: String,
    pub params: Vec<(String, String)>,
    pub body: Option<String>,
    /// Makes one finite number of the answer.
    pub jq: String,
    pub kind: MetricKind,
    pub unit: Option<String>,
    pub description: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Gauge,
    Counter,
}

/// When the load was, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    pub start_unix: u64,
    pub end_unix: u64,
}

impl Times {
    /// Whole seconds, at least one: ranges of zero are refused by most systems.
    pub fn elapsed_seconds(self) -> u64 {
        self.end_unix.saturating_sub(self.start_unix).max(1)
    }
}

impl Provider {
    /// Looks for every mistake that can be found before a load: URL, placeholders, filters.
    ///
    /// # Errors
    /// A sentence: provider, metric, and what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let times = Times { start_unix: 0, end_unix: 1 };
        let whose = |why| format!("metrics provider '{}': {why}", self.name);
        if self.metrics.is_empty() {
            return Err(whose("it has no metrics".to_owned()));
        }
        for (place, metric) in self.metrics.iter().enumerate() {
            let of = |why| whose(format!("metric '{}': {why}", metric.name));
            if self.metrics.iter().take(place).any(|other| other.name == metric.name) {
                return Err(of("it is there twice: rename one".to_owned()));
            }
            self.exchange(metric, times).map_err(of)?;
            Jq::new(&metric.jq).map_err(|why| of(format!("jq: {why}")))?;
        }
        Ok(())
    }

    /// The exchange that asks for a metric.
    fn exchange(&self, metric: &ProviderMetric, times: Times) -> Result<Fetch, String> {
        let fill = |text: &str| fill(text, times);
        let mut url: Url = parsed(&fill(&self.url)?)?;
        for (name, value) in self.params.iter().chain(&metric.params) {
            url.query_pairs_mut().append_pair(name, &fill(value)?);
        }
        let body = metric.body.as_ref().or(self.body.as_ref()).map(|body| fill(body)).transpose()?;
        Ok(Fetch {
            method: self.method.clone(),
            headers: self.headers.clone(),
            body: body.map(String::into_bytes),
            bytes_max: ANSWER_BYTES_MAX,
            ..Fetch::get(url)
        })
    }

    fn ask(&self, metric: &ProviderMetric, times: Times) -> Result<f64, String> {
        let whose = |why: String| format!("{}/{}: {why}", self.name, metric.name);
        let filter = Jq::new(&metric.jq).map_err(|why| whose(format!("jq: {why}")))?;
        let answer = fetch(&self.exchange(metric, times).map_err(whose)?).map_err(whose)?;
        if !answer.is_success() {
            let excerpt = excerpt(&answer.body);
            return Err(whose(format!("{}: {}{excerpt}", shown(&self.url), answer.status_text())));
        }
        filter.number(&answer.body).map_err(|why| whose(format!("jq: {why}")))
    }
}

/// Asks for every metric, one after the other, each within 30 s. The name is the metric's alone; a query that fails
/// says so in its place.
pub async fn query(provider: &Provider, times: Times) -> Vec<(String, Result<f64, String>)> {
    let mut answers = Vec::with_capacity(provider.metrics.len());
    for metric in &provider.metrics {
        let (provider, asked) = (provider.clone(), metric.clone());
        let answer = off_thread(move || provider.ask(&asked, times)).await;
        answers.push((metric.name.clone(), answer));
    }
    answers
}

/// Fills in the times of the run.
fn fill(text: &str, times: Times) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((inside, behind)) = after.split_once("}}") else {
            return Err("'{{' has no closing '}}'".to_owned());
        };
        let value = match inside.trim() {
            "elapsedSeconds" => times.elapsed_seconds(),
            "startUnix" => times.start_unix,
            "endUnix" => times.end_unix,
            other => {
                return Err(format!(
                    "'{{{{{other}}}}}' is not known in a query: there are {{{{elapsedSeconds}}}}, {{{{startUnix}}}} and \
                     {{{{endUnix}}}}"
                ));
            }
        };
        filled.push_str(&value.to_string());
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// What a system says about its failure, on one line: its `error` or `message` if the answer is JSON.
fn excerpt(body: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(body).ok().and_then(|answer| {
        let said = ["error", "message"].iter().find_map(|key| answer.get(*key)?.as_str());
        said.map(str::to_owned)
    });
    let text = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).take(EXCERPT_MAX).collect();
    if line.is_empty() { line } else { format!(" ({line})") }
}

#[cfg(test)]
mod tests;
