//! The LoadTest resource as a cluster holds it. What its `spec` means, beyond the keys that only a resource has, is the
//! file's to know; what becomes of it is the controller's.

use std::borrow::Cow;

use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::NamespaceResourceScope;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::client::refusal::{Ask, code, explain};

pub const GROUP: &str = "loadgrid.dev";
pub const VERSION: &str = "v1alpha1";
pub const KIND: &str = "LoadTest";
pub const PLURAL: &str = "loadtests";

/// Its presence holds a deletion up until the run is stopped.
pub const FINALIZER: &str = "loadgrid.dev/stop";

/// Which coordinator sees to it, while one does: several may watch the same namespace.
pub const COORDINATOR: &str = "loadgrid.dev/coordinator";

/// What a LoadTest wants to be run, outside the controller.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The test as a file would have it.
    pub text: String,
    pub workers: Option<u32>,
    /// Then it is a search.
    pub capacity: Option<Capacity>,
}

/// Reads a LoadTest. Whether it is suspended, or waits for a trigger, is the controller's affair.
///
/// # Errors
/// A sentence: there is none, a missing rule, what else the API server says, or the key that can't be read.
pub async fn written(client: &kube::Client, namespace: &str, name: &str) -> Result<Written, String> {
    let tests: kube::Api<LoadTest> = kube::Api::namespaced(client.clone(), namespace);
    let ask = Ask::new(&["get"], GROUP, PLURAL, Some(namespace));
    let test = match tests.get(name).await {
        Ok(test) => test,
        Err(error) if code(&error) == Some(404) => return Err(format!("there is no LoadTest {namespace}/{name}")),
        Err(error) => return Err(explain(&error, &ask)),
    };
    of(&test).map_err(|why| format!("LoadTest {namespace}/{name}: {why}"))
}

fn of(test: &LoadTest) -> Result<Written, String> {
    let Only { workers, capacity, .. } = super::controller::only(test).map_err(|refused| {
        let field = refused.field.map(|field| format!("{field}: ")).unwrap_or_default();
        format!("{field}{}", refused.message)
    })?;
    Ok(Written { text: super::controller::text(test), workers, capacity })
}

/// A LoadTest.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct LoadTest {
    #[serde(default)]
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: Map<String, Value>,
    /// Nothing where another version has written one that is not like this.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "status")]
    pub status: Option<Status>,
}

impl Resource for LoadTest {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(&(): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group(&(): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version(&(): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural(&(): &()) -> Cow<'_, str> {
        PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The keys of `spec` that a resource has and a file has not.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Only {
    /// Runs the test again whenever there is something new.
    pub trigger: Option<Trigger>,
    /// How many workers carry it out; by default all that are there.
    #[schemars(range(min = 1))]
    pub workers: Option<u32>,
    /// Nothing runs while this is true, and what runs is stopped.
    #[serde(default)]
    pub suspend: bool,
    /// Makes it a search for the highest rate at which the objectives hold.
    pub capacity: Option<Capacity>,
    /// Any text. Another one than before runs the test again.
    #[serde(default, deserialize_with = "text")]
    pub rerun: Option<String>,
}

/// What a test waits for anew.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Trigger {
    /// A Knative Service of the same namespace: each new ready revision of it, the first one too.
    #[schemars(length(min = 1), extend("x-loadgrid-plain" = true))]
    pub ksvc: String,
}

/// How the highest rate is searched for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Capacity {
    /// No probe above this rate, such as 5k/s.
    #[serde(default, deserialize_with = "text")]
    pub max: Option<String>,
    /// How narrow the answer is to be, on either side; 3% by default.
    #[serde(default, deserialize_with = "text")]
    pub precision: Option<String>,
    /// For the whole search; 10m by default.
    #[serde(default, deserialize_with = "text")]
    pub budget: Option<String>,
}

/// One that can't be read must not hide all the others of a list.
fn status<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Status>, D::Error> {
    Value::deserialize(from).map(|status| serde_json::from_value(status).ok())
}

/// A text that may be written as a number.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(serde::de::Error::custom("expected a single value here, not a list or a map")),
    }
}

/// How it goes, or how it ended.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// The generation of the spec that all of this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The run's id, in the store and on the live page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The revision that the trigger saw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What tells its Service from another of the same name: the first part of its uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub completed_at: Option<String>,
    /// pass, fail, inconclusive or invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What `loadgrid run` would have ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Achieved, requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// 99th percentile of the latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<String>,
    /// Share of the requests that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<String>,
    /// Where the report is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// For people: why it is as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Ready, Complete and Passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Phase {
    Pending,
    Queued,
    WaitingForTarget,
    Running,
    Done,
    Failed,
}

impl Phase {
    /// Nothing more comes of it.
    pub fn is_over(self) -> bool {
        matches!(self, Phase::Done | Phase::Failed)
    }
}

/// As Kubernetes' own conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[schemars(extend("format" = "date-time"))]
    pub last_transition_time: String,
    pub reason: String,
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_of_another_version_hides_no_test() {
        let read =
            |status: Value| serde_json::from_value::<LoadTest>(json!({"metadata": {}, "spec": {}, "status": status}));
        let status = Status { phase: Some(Phase::Running), run: Some("r".to_owned()), ..Status::default() };
        assert_eq!(read(json!(status)).unwrap().status, Some(status));
        assert_eq!(read(json!({"phase": "Pondering"})).unwrap().status, None);
    }
}
