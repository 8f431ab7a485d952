//! An experiment's items as tasks whose every input is understood; how a task is done is not known here.

use serde_json::{Map, Value};

use super::assess::Assess;
use super::experiment::TaskSpec;
use super::fields::{self, Fields, number};
use super::insights::{Extremes, Limit, Sides};
use super::load::{self, LoadTask, Protocol};
use super::{Iter8Error, metrics};

/// Names of tasks in a spec.
const NAMES: [&str; 6] = ["ready", "http", "grpc", "assess", "custommetrics", "notify"];

/// How long a readiness task waits where nothing is said, ns: what Iter8's documents say, not its code's 10 s.
pub const READY_TIMEOUT_NS: u64 = 60_000_000_000;

/// What an item asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    Ready(Ready),
    Http(LoadTask),
    Grpc(LoadTask),
    Assess(Assess),
    CustomMetrics(CustomMetrics),
    Notify(Notify),
    /// A script for `/bin/bash -c`.
    Run(String),
}

/// An object of a cluster that must be there, and perhaps have a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub name: String,
    /// `None`: the core group.
    pub group: Option<String>,
    pub version: String,
    /// Such as `deployments`.
    pub resource: String,
    /// `None`: the experiment's.
    pub namespace: Option<String>,
    /// The type of the condition whose status must be True, both without regard to case.
    pub condition: Option<String>,
    pub timeout_ns: u64,
}

/// Metrics that are asked for elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomMetrics {
    /// Provider and URL of the template of its queries, sorted by provider.
    pub templates: Vec<(String, String)>,
    /// The values of each version, at least one; those of the task are filled in.
    pub versions: Vec<Map<String, Value>>,
}

/// What a notification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    None,
    /// Iter8's template for a repository's dispatch: `event_type: iter8`, and the report as `client_payload`.
    Github,
    /// Iter8's template for Slack: a `text` with the report.
    Slack,
    /// The URL of a template.
    Template(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    pub url: String,
    pub method: String,
    pub params: Vec<(String, String)>,
    /// May hold secrets, or references to them.
    pub headers: Vec<(String, String)>,
    pub payload: Payload,
    /// Whether the experiment goes on when nobody could be notified.
    pub soft_failure: bool,
}

/// Iter8's own templates, which need not be fetched.
pub(super) const GITHUB_TEMPLATE: &str =
    "https://raw.githubusercontent.com/iter8-tools/iter8/v0.13.0/templates/notify/_payload-github.tpl";
pub(super) const SLACK_TEMPLATE: &str =
    "https://raw.githubusercontent.com/iter8-tools/iter8/v0.13.0/templates/notify/_payload-slack.tpl";

/// Understands an item; `wanted` are percentiles to measure besides the task's own.
pub(super) fn read(place: &str, item: &TaskSpec, wanted: &[f64]) -> Result<Task, Iter8Error> {
    if let Some(script) = &item.run {
        return Ok(Task::Run(script.clone()));
    }
    let name = item.name();
    let inputs = format!("{place}.{name}");
    let with = item.with.clone().unwrap_or_default();
    match name {
        "ready" => ready(&mut Fields::new(inputs, with)?).map(Task::Ready),
        "http" => load::read(Protocol::Http, &inputs, with, wanted).map(Task::Http),
        "grpc" => load::read(Protocol::Grpc, &inputs, with, wanted).map(Task::Grpc),
        "assess" => assess(Fields::new(inputs, with)?).map(Task::Assess),
        "custommetrics" => custom_metrics(Fields::new(inputs, with)?).map(Task::CustomMetrics),
        "notify" => notify(Fields::new(inputs, with)?).map(Task::Notify),
        "abnmetrics" => Err(Iter8Error::new(
            inputs,
            "metrics of Iter8's A/B/n service are not read here: query them with custommetrics",
        )),
        other => {
            let near = fields::nearest(other, &NAMES);
            let mend =
                near.map_or_else(|| format!("there are {}", NAMES.join(", ")), |near| format!("did you mean {near}?"));
            Err(Iter8Error::new(place, format!("unknown task: {other}; {mend}")))
        }
    }
}

fn ready(fields: &mut Fields) -> Result<Ready, Iter8Error> {
    let mut required = |key: &str| {
        fields
            .filled(key)?
            .ok_or_else(|| fields.error(key, "it is missing: name, version and resource say what must be ready"))
    };
    let (name, version, resource) = (required("name")?, required("version")?, required("resource")?);
    let at = fields.at("timeout");
    let timeout = fields
        .duration("timeout")
        .map_err(|error| Iter8Error::new(at, format!("invalid format for timeout: {}", error.message)))?;
    let found = Ready {
        name,
        version,
        resource,
        group: fields.filled("group")?,
        namespace: fields.filled("namespace")?,
        condition: fields.filled("condition")?,
        timeout_ns: timeout.unwrap_or(READY_TIMEOUT_NS),
    };
    fields.clone().finish(&["name", "group", "version", "resource", "namespace", "condition", "timeout"])?;
    Ok(found)
}

fn assess(mut fields: Fields) -> Result<Assess, Iter8Error> {
    let mut slos = Sides::default();
    if let Some(mut sides) = fields.map("SLOs")? {
        slos = Sides { upper: limits(&mut sides, "upper")?, lower: limits(&mut sides, "lower")? };
        sides.finish(&["upper", "lower"])?;
    }
    let mut rewards = Extremes::default();
    if let Some(mut extremes) = fields.map("rewards")? {
        rewards = Extremes { max: extremes.texts("max")?, min: extremes.texts("min")? };
        for name in rewards.max.iter().chain(&rewards.min) {
            check_name(&extremes.at("max"), name)?;
        }
        extremes.finish(&["max", "min"])?;
    }
    fields.finish(&["SLOs", "rewards"])?;
    Ok(Assess { slos, rewards })
}

fn limits(sides: &mut Fields, side: &str) -> Result<Vec<Limit>, Iter8Error> {
    let place = sides.at(side);
    let Some(value) = sides.take(side) else { return Ok(Vec::new()) };
    let Value::Array(items) = value else {
        return Err(Iter8Error::new(place, "expected a list, such as - {metric: http/latency-mean, limit: 50}"));
    };
    let read = |(index, item): (usize, Value)| {
        let mut fields = Fields::new(format!("{place}[{index}]"), item)?;
        let metric = fields.filled("metric")?.ok_or_else(|| fields.error("metric", "the objective names no metric"))?;
        check_name(&fields.at("metric"), &metric)?;
        let limit = fields.number("limit")?.ok_or_else(|| fields.error("limit", "the objective has no limit"))?;
        fields.finish(&["metric", "limit"])?;
        Ok(Limit { metric, limit })
    };
    items.into_iter().enumerate().map(read).collect()
}

fn check_name(place: &str, name: &str) -> Result<(), Iter8Error> {
    if metrics::is_name(name) {
        return Ok(());
    }
    Err(Iter8Error::new(place, format!("'{name}' is no metric: write such as http/latency-p99 or grpc/latency/p99")))
}

/// Chart and spec form are one: maps of limits become sorted lists of them.
pub(super) fn limits_of_map(place: &str, value: Value) -> Result<Value, Iter8Error> {
    let mut metrics: Vec<(String, Value)> = match value {
        // Who knows the spec's form may use it.
        Value::Array(items) => return Ok(Value::Array(items)),
        other => Fields::new(place, other)?.rest().into_iter().collect(),
    };
    metrics.sort_by(|a, b| a.0.cmp(&b.0));
    let entry = |(metric, value): (String, Value)| {
        let place = format!("{place}.{metric}");
        if let Value::Object(inner) = &value {
            let inner = inner.keys().next().map_or("…", String::as_str);
            let message =
                format!("a limit is a number; a dot of a metric's name is escaped: write {metric}\\.{inner}=LIMIT");
            return Err(Iter8Error::new(place, message));
        }
        // Limits are numbers to whoever reads the file, and --set leaves fractions as text.
        let limit =
            number(&value).ok_or_else(|| Iter8Error::new(place, format!("a limit is a number, not {value}")))?;
        let limit = if value.is_number() { value } else { Value::from(limit) };
        Ok(serde_json::json!({"metric": metric, "limit": limit}))
    };
    Ok(Value::Array(metrics.into_iter().map(entry).collect::<Result<_, _>>()?))
}

fn custom_metrics(mut fields: Fields) -> Result<CustomMetrics, Iter8Error> {
    let mut templates = fields.strings("templates")?;
    templates.sort();
    if templates.is_empty() {
        return Err(fields.error(
            "templates",
            "there is none: give a provider's template by its URL, such as templates.istio-prom=URL",
        ));
    }
    let values = fields.map("values")?.map(Fields::rest).unwrap_or_default();
    let place = fields.at("versionValues");
    let mut versions = Vec::new();
    for (index, version) in fields.list("versionValues").into_iter().enumerate() {
        let mut filled = values.clone();
        filled.extend(Fields::new(format!("{place}[{index}]"), version)?.rest());
        versions.push(filled);
    }
    if versions.is_empty() {
        versions.push(values);
    }
    fields.finish(&["templates", "values", "versionValues"])?;
    Ok(CustomMetrics { templates, versions })
}

fn notify(mut fields: Fields) -> Result<Notify, Iter8Error> {
    let url = fields.filled("url")?.ok_or_else(|| fields.error("url", "there is no url to notify"))?;
    let payload = match fields.filled("payloadTemplateURL")? {
        None => Payload::None,
        Some(url) if url == GITHUB_TEMPLATE || own(&url, "github") => Payload::Github,
        Some(url) if url == SLACK_TEMPLATE || own(&url, "slack") => Payload::Slack,
        Some(url) => Payload::Template(url),
    };
    let default = if payload == Payload::None { "GET" } else { "POST" };
    let method = fields.filled("method")?.unwrap_or_else(|| default.to_owned()).to_ascii_uppercase();
    if method != "GET" && method != "POST" {
        return Err(fields.error("method", format!("'{method}' is not a notification's method: write GET or POST")));
    }
    let found = Notify {
        url,
        method,
        params: fields.strings("params")?,
        headers: fields.strings("headers")?,
        payload,
        soft_failure: fields.boolean("softFailure")?.unwrap_or(true),
    };
    fields.finish(&["url", "method", "params", "headers", "payloadTemplateURL", "softFailure"])?;
    Ok(found)
}

/// Whether a URL is that of one of Iter8's own templates, of whatever version.
fn own(url: &str, kind: &str) -> bool {
    url.starts_with("https://raw.githubusercontent.com/iter8-tools/") && url.ends_with(&format!("/_payload-{kind}.tpl"))
}

#[cfg(test)]
mod tests;
