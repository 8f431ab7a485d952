//! Iter8's provider specs: YAML that a Go template makes of the values of a `custommetrics` task. Where template and
//! values come from is not known here.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{MetricKind, Provider, ProviderMetric};
use crate::outside::gotemplate;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    url: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metric {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    units: Option<String>,
    #[serde(default)]
    params: Vec<Param>,
    #[serde(default)]
    body: Option<String>,
    jq_expression: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Gauge,
    Counter,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Param {
    name: String,
    value: Value,
}

/// Fills in a template and reads what it makes. The values hold `elapsedTimeSeconds` beside the task's own; the name
/// is the spec's `provider`, and empty if it has none.
///
/// # Errors
/// A sentence: what of the template or of the spec it makes is not understood, and where.
pub fn iter8_provider(template_text: &str, values: &Value) -> Result<Provider, String> {
    let yaml = gotemplate::render(template_text, values)?;
    let spec: Spec = serde_saphyr::from_str(&yaml)
        .map_err(|error| format!("what the template makes is no provider spec: {error}"))?;
    let metrics = spec.metrics.into_iter().map(metric).collect::<Result<_, _>>()?;
    Ok(Provider {
        name: spec.provider,
        url: spec.url.trim().to_owned(),
        method: spec.method.unwrap_or_else(|| "GET".to_owned()),
        headers: spec.headers.into_iter().map(|(name, value)| pair(name, &value)).collect::<Result<_, _>>()?,
        params: Vec::new(),
        body: None,
        metrics,
    })
}

fn metric(metric: Metric) -> Result<ProviderMetric, String> {
    let params = metric.params.into_iter().map(|param| pair(param.name, &param.value)).collect::<Result<_, _>>()?;
    Ok(ProviderMetric {
        name: metric.name,
        params,
        body: metric.body,
        jq: metric.jq_expression,
        kind: match metric.kind {
            Kind::Gauge => MetricKind::Gauge,
            Kind::Counter => MetricKind::Counter,
        },
        unit: metric.units,
        description: metric.description.trim().to_owned(),
    })
}

/// A name and the text of its value.
fn pair(name: String, value: &Value) -> Result<(String, String), String> {
    match value {
        Value::String(text) => Ok((name, text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
        _ => Err(format!("the value of '{name}' is no text: put quotes around it")),
    }
}
