//! Keys that were asked for and that the API server dropped. It does so without a word where a client lets it, and a test
//! that is half understood must not run.
//!
//! `kubectl apply` (unless told otherwise) and server-side apply refuse such keys before they get here. What a client
//! without that check applied can be seen in the annotation that kubectl leaves.

use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

use super::Refused;
use crate::kube::crd;
use crate::kube::resource::LoadTest;
use crate::near::listed;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

static SCHEMA: LazyLock<Value> = LazyLock::new(crd::schema);

/// # Errors
/// The first key that there is not.
pub(super) fn check(test: &LoadTest) -> Result<(), Refused> {
    let Some(applied) = applied(test) else { return Ok(()) };
    let (Some(spec), Some(schema)) = (applied.get("spec"), SCHEMA.pointer("/properties/spec")) else { return Ok(()) };
    unknown(spec, schema, "spec")
}

/// What was applied, if nobody wrote the spec since.
fn applied(test: &LoadTest) -> Option<Value> {
    let text = test.metadata.annotations.as_ref()?.get(ANNOTATION)?;
    let entries = test.metadata.managed_fields.as_ref()?;
    let wrote = |entry: &&ManagedFieldsEntry, path: &[&str]| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        entry.subresource.is_none() && path.iter().fold(fields, |at, key| at?.get(key)).is_some()
    };
    let annotation = format!("f:{ANNOTATION}");
    let by = entries.iter().find(|entry| wrote(entry, &["f:metadata", "f:annotations", &annotation]))?;
    let time = |entry: &ManagedFieldsEntry| entry.time.as_ref().map(|time| time.0);
    let last = entries.iter().filter(|entry| wrote(entry, &["f:spec"])).map(time).max().flatten();
    if time(by) < last {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn unknown(value: &Value, schema: &Value, place: &str) -> Result<(), Refused> {
    match value {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            let place = format!("{place}.{key}");
            let properties = schema.get("properties").and_then(Value::as_object);
            match (properties, schema.get("additionalProperties")) {
                (Some(known), _) => match known.get(key) {
                    Some(schema) => unknown(value, schema, &place),
                    None => {
                        let names = listed(key, known.keys().cloned());
                        let message = format!("there is no such key, so the API server dropped it; there are: {names}");
                        Err(Refused { message, field: Some(place) })
                    }
                },
                (None, Some(schema)) => unknown(value, schema, &place),
                (None, None) => Ok(()),
            }
        }),
        Value::Array(list) => {
            let Some(schema) = schema.get("items") else { return Ok(()) };
            list.iter().enumerate().try_for_each(|(at, item)| unknown(item, schema, &format!("{place}[{at}]")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::controller::fake::test;
    use serde_json::json;

    fn applied(spec: Value, applied_at: &str, edited_at: &str) -> LoadTest {
        let mut test = test(json!({"load": {}}));
        let text = json!({"spec": spec}).to_string();
        test.metadata.annotations = Some([(ANNOTATION.to_owned(), text)].into());
        let fields =
            json!({"f:metadata": {"f:annotations": {format!("f:{ANNOTATION}"): {}}}, "f:spec": {"f:load": {}}});
        test.metadata.managed_fields = serde_json::from_value(json!([
            {"manager": "kubectl-client-side-apply", "operation": "Update", "time": applied_at, "fieldsV1": fields},
            {"manager": "kubectl-edit", "operation": "Update", "time": edited_at, "fieldsV1": {"f:spec": {"f:load": {}}}},
            {"manager": "loadgrid", "operation": "Apply", "time": "2030-01-01T00:00:00Z", "subresource": "status",
                "fieldsV1": {"f:status": {}}}
        ]))
        .unwrap();
        test
    }

    #[test]
    fn a_dropped_key_is_named_with_what_there_is() {
        let early = "2026-01-01T00:00:00Z";
        let late = "2026-01-01T00:00:10Z";
        let refused = check(&applied(json!({"load": {"raet": "5/s"}}), late, early)).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("spec.load.raet"));
        assert!(refused.message.contains("there are: rate, "), "{}", refused.message);
        let nested = json!({"requests": [{}, {"steps": [{"http": {"body": {"json": {"any": 1}, "txt": ""}}}]}]});
        let refused = check(&applied(nested, late, early)).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("spec.requests[1].steps[0].http.body.txt"));
        let headers = json!({"requests": [{"http": {"headers": {"x-any": "1"}}}], "feeds": {"a": {"csv": "b"}}});
        assert_eq!(check(&applied(headers, late, early)), Ok(()));
        // Somebody mended it since without applying.
        assert_eq!(check(&applied(json!({"load": {"raet": "5/s"}}), early, late)), Ok(()));
        assert_eq!(check(&test(json!({}))), Ok(()));
    }
}
