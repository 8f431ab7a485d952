//! Whether an object is ready, and why not: pure. How it came to be seen, and what it is needed for, is not known here.

use kube::api::DynamicObject;
use serde_json::Value;

use super::Condition;
use super::watch::Seen;
use crate::kube::client::refusal::one_line;

/// What has been made of a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// `url` where the object says one.
    Ready { url: Option<String> },
    /// `rest` tells the object's conditions that `why` does not.
    Not { why: String, rest: Option<String> },
}

/// Whether the condition holds. `inside`: the address local to the cluster is preferred to the URL.
pub(super) fn judge(condition: &Condition, title: &str, seen: &Seen, inside: bool) -> Judgement {
    let Some(object) = &seen.object else {
        return Judgement::Not { why: format!("there is no {title}"), rest: None };
    };
    if object.metadata.deletion_timestamp.is_some() {
        return not(object, "it is being deleted".to_owned(), None);
    }
    let held = match condition {
        Condition::Ksvc { .. } => observed(object, true).and_then(|()| holds(object, "Ready")),
        Condition::Isvc { .. } => observed(object, false).and_then(|()| holds(object, "Ready")),
        Condition::Deploy { .. } => deploy(object),
        Condition::Service { .. } => service(object, &seen.parts),
        Condition::Object { condition, .. } => observed(object, false).and_then(|()| holds(object, condition)),
    };
    match (held, condition) {
        (Err(why), _) => not(object, why.text, why.told),
        (Ok(()), Condition::Ksvc { .. } | Condition::Isvc { .. }) => Judgement::Ready { url: url(object, inside) },
        (Ok(()), _) => Judgement::Ready { url: None },
    }
}

/// Why not.
#[derive(Debug)]
struct Why {
    text: String,
    /// The condition that the text tells.
    told: Option<String>,
}

fn because(text: String) -> Why {
    Why { text, told: None }
}

fn not(object: &DynamicObject, why: String, told: Option<String>) -> Judgement {
    let rest: Vec<String> = conditions(object).filter(|one| told.as_deref() != kind(one)).map(shown).collect();
    Judgement::Not { why, rest: (!rest.is_empty()).then(|| rest.join(", ")) }
}

/// Whether the status is about the present generation. Not every controller says so.
fn observed(object: &DynamicObject, must_be_said: bool) -> Result<(), Why> {
    let Some(generation) = object.metadata.generation else { return Ok(()) };
    match object.data.pointer("/status/observedGeneration").and_then(Value::as_i64) {
        Some(observed) if observed >= generation => Ok(()),
        Some(observed) => Err(because(format!(
            "its status is about generation {observed}, and it is at {generation}: its controller has not come to it yet"
        ))),
        None if must_be_said => Err(because("it has no status yet; is its controller running?".to_owned())),
        None => Ok(()),
    }
}

fn holds(object: &DynamicObject, wanted: &str) -> Result<(), Why> {
    let Some(found) = conditions(object).find(|one| kind(one) == Some(wanted)) else {
        let some = conditions(object).next().is_some();
        let why = if some { format!("it has no condition {wanted}") } else { "it has no conditions yet".to_owned() };
        return Err(because(why));
    };
    let about = found.get("observedGeneration").and_then(Value::as_i64);
    if let (Some(about), Some(generation)) = (about, object.metadata.generation)
        && about < generation
    {
        let text = format!("its condition {wanted} is about generation {about}, and it is at {generation}");
        return Err(because(text));
    }
    match text(found, "status") {
        Some("True") => Ok(()),
        _ => Err(Why { text: shown(found), told: Some(wanted.to_owned()) }),
    }
}

fn deploy(object: &DynamicObject) -> Result<(), Why> {
    observed(object, true)?;
    let count = |place: &str, absent| object.data.pointer(place).and_then(Value::as_i64).unwrap_or(absent);
    let wanted = count("/spec/replicas", 1);
    let (updated, all) = (count("/status/updatedReplicas", 0), count("/status/replicas", 0));
    let available = count("/status/availableReplicas", 0);
    if wanted == 0 {
        return Err(because("it is scaled to 0 replicas".to_owned()));
    }
    if updated < wanted {
        return Err(because(format!("{updated} of {wanted} replicas are of its present generation")));
    }
    if all > updated {
        return Err(because(format!("{} replicas of an older generation are still there", all - updated)));
    }
    holds(object, "Available")?;
    if available < updated {
        return Err(because(format!("{available} of {wanted} replicas are available")));
    }
    Ok(())
}

fn service(object: &DynamicObject, slices: &[DynamicObject]) -> Result<(), Why> {
    // Another name for a host: it has no endpoints.
    if object.data.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName") {
        return Ok(());
    }
    let endpoints = || slices.iter().filter_map(|slice| slice.data.get("endpoints")?.as_array()).flatten();
    // One that does not say whether it is ready is, by definition.
    let ready = |endpoint: &&Value| endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true);
    if endpoints().any(|endpoint| ready(&endpoint)) {
        return Ok(());
    }
    let selects = object.data.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|by| !by.is_empty());
    Err(because(match (endpoints().count(), selects) {
        (0, true) => "it has no endpoints: its selector finds no pods that run".to_owned(),
        (0, false) => "it has no endpoints, and no selector to find any by".to_owned(),
        (1, _) => "its one endpoint is not ready".to_owned(),
        (count, _) => format!("none of its {count} endpoints is ready"),
    }))
}

fn url(object: &DynamicObject, inside: bool) -> Option<String> {
    let at = |place: &str| object.data.pointer(place).and_then(Value::as_str).filter(|url| !url.is_empty());
    let (url, address) = (at("/status/url"), at("/status/address/url"));
    let chosen = if inside { address.or(url) } else { url.or(address) };
    chosen.map(str::to_owned)
}

fn conditions(object: &DynamicObject) -> impl Iterator<Item = &Value> {
    object.data.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

fn kind(condition: &Value) -> Option<&str> {
    text(condition, "type")
}

fn text<'a>(condition: &'a Value, key: &str) -> Option<&'a str> {
    condition.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// `Ready=False RevisionFailed: Revision "hello-00001" failed …`
fn shown(condition: &Value) -> String {
    let (kind, status) = (kind(condition).unwrap_or("?"), text(condition, "status").unwrap_or("?"));
    let reason = text(condition, "reason").map(|reason| format!(" {reason}")).unwrap_or_default();
    let message = text(condition, "message").map(|message| format!(": {}", one_line(message))).unwrap_or_default();
    format!("{kind}={status}{reason}{message}")
}

#[cfg(test)]
mod tests;
