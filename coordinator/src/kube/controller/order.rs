//! A LoadTest to the order that it gives. Whether the test in it can be run is not known here.

use kube::ResourceExt;
use serde_json::{Map, Value, json};

use super::{CapacityOrder, Order, Refused};
use crate::kube::resource::{Capacity, GROUP, KIND, LoadTest, Only, VERSION};

/// The keys that only a resource has.
const ONLY: [&str; 5] = ["trigger", "workers", "suspend", "capacity", "rerun"];

/// What a LoadTest says beyond a file.
///
/// # Errors
/// The key whose value can't be read.
pub(in crate::kube) fn only(test: &LoadTest) -> Result<Only, Refused> {
    let own = ONLY.iter().filter_map(|key| Some(((*key).to_owned(), test.spec.get(*key)?.clone())));
    let own = Value::Object(own.filter(|(_, value)| !value.is_null()).collect());
    let only: Only = serde_path_to_error::deserialize(own).map_err(|error| Refused {
        field: Some(format!("spec.{}", error.path())),
        message: error.into_inner().to_string(),
    })?;
    match &only {
        Only { workers: Some(0), .. } => Err(refused("spec.workers", "0 workers: nothing would be sent")),
        Only { trigger: Some(trigger), .. } if trigger.ksvc.is_empty() => {
            Err(refused("spec.trigger.ksvc", "write the name of a Knative Service"))
        }
        _ => Ok(only),
    }
}

fn refused(field: &str, message: &str) -> Refused {
    Refused { field: Some(field.to_owned()), message: message.to_owned() }
}

/// `LoadTest NAMESPACE/NAME`.
pub(super) fn by(test: &LoadTest) -> String {
    format!("{KIND} {}/{}", test.namespace().unwrap_or_default(), test.name_any())
}

/// The same for one generation, and one revision where there is a trigger.
pub(super) fn key(test: &LoadTest, revision: Option<&str>) -> String {
    let uid = test.uid().unwrap_or_default();
    let generation = test.metadata.generation.unwrap_or_default();
    match revision {
        Some(revision) => format!("{uid}/{generation}/{revision}"),
        None => format!("{uid}/{generation}"),
    }
}

/// What the keys of all its orders begin with.
pub(super) fn keys_of(uid: &str) -> String {
    format!("{uid}/")
}

/// The order.
pub(super) fn order(test: &LoadTest, only: &Only, revision: Option<&str>) -> Order {
    let capacity =
        only.capacity.clone().map(|Capacity { max, precision, budget }| CapacityOrder { max, precision, budget });
    Order {
        by: by(test),
        name: test.name_any(),
        text: text(test),
        workers: only.workers,
        capacity,
        key: key(test, revision),
    }
}

/// The test as a file.
pub(in crate::kube) fn text(test: &LoadTest) -> String {
    let of_file = |(key, _): &(&String, &Value)| !ONLY.contains(&key.as_str());
    let spec: Map<String, Value> =
        test.spec.iter().filter(of_file).map(|(key, value)| (key.clone(), value.clone())).collect();
    let file = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": { "name": test.name_any(), "namespace": test.namespace() },
        "spec": spec,
    });
    format!("{file:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::controller::fake::test;
    use crate::spec;

    #[test]
    fn an_order_is_the_file_and_what_only_a_resource_has_beside_it() {
        let test = test(json!({
            "requests": [{"http": {"url": "http://a/"}}],
            "load": {"rate": "5/s", "duration": "1s"},
            "workers": 2, "trigger": {"ksvc": "hello"}, "rerun": 7, "suspend": false,
            "capacity": {"max": 500, "budget": "2m"}
        }));
        let only = only(&test).unwrap();
        let order = order(&test, &only, Some("hello-00002"));
        assert_eq!((order.by.as_str(), order.name.as_str()), ("LoadTest apps/hello", "hello"));
        assert_eq!((order.workers, order.key.as_str()), (Some(2), "u-1/3/hello-00002"));
        let capacity = order.capacity.unwrap();
        assert_eq!((capacity.max.as_deref(), capacity.budget.as_deref()), (Some("500"), Some("2m")));
        let file: Value = serde_json::from_str(&order.text).unwrap();
        assert_eq!(file.pointer("/spec/load/rate"), Some(&json!("5/s")));
        assert_eq!(file.get("metadata"), Some(&json!({"name": "hello", "namespace": "apps"})));
        assert_eq!(file.get("spec").and_then(Value::as_object).map(Map::len), Some(2));
        spec::load(Some(("t.yaml", &order.text)), spec::Draft::default()).unwrap();
        assert_eq!(key(&test, None), "u-1/3");
    }

    #[test]
    fn what_only_a_resource_has_is_refused_with_its_key() {
        for (spec, field) in [
            (json!({"workers": 0}), "spec.workers"),
            (json!({"workers": "many"}), "spec.workers"),
            (json!({"trigger": {}}), "spec.trigger"),
            (json!({"trigger": {"ksvc": ""}}), "spec.trigger.ksvc"),
            (json!({"trigger": {"ksvc": "a", "deploy": "b"}}), "spec.trigger.deploy"),
            (json!({"capacity": {"budget": ["2m"]}}), "spec.capacity.budget"),
            (json!({"suspend": "no"}), "spec.suspend"),
        ] {
            let refused = only(&test(spec.clone())).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some(field), "{spec}: {}", refused.message);
        }
    }
}
