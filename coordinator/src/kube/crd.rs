//! The CustomResourceDefinition of LoadTest, made of the types that read the file and of those of the resource. Who
//! installs it is not known here.

mod structural;

use serde_json::{Map, Value, json};

use self::structural::Texts;
use super::resource::{GROUP, KIND, Only, PLURAL, Status, VERSION};
use crate::spec;

/// How it gets into a cluster, for messages.
pub const INSTALL: &str = "loadgrid crd | kubectl apply --server-side -f -";

/// The definition.
pub fn crd() -> Value {
    let text = |name: &str, path: &str, description: &str| json!({ "name": name, "type": "string", "jsonPath": path, "description": description });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{PLURAL}.{GROUP}") },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": "loadtest",
                "shortNames": ["lt"]
            },
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": schema() },
                "subresources": { "status": {} },
                "additionalPrinterColumns": [
                    text("Rate", ".status.rate", "Achieved, requests per second"),
                    text("P99", ".status.p99", "99th percentile of the latency"),
                    text("Verdict", ".status.verdict", "pass, fail, inconclusive or invalid"),
                    text("Phase", ".status.phase", "Where it is"),
                    { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
                    {
                        "name": "Message", "type": "string", "jsonPath": ".status.message", "priority": 1,
                        "description": "Why it is as it is"
                    }
                ]
            }]
        }
    })
}

/// The definition as YAML.
///
/// # Errors
/// A value that YAML has no way to write; there is none in it.
pub fn yaml() -> Result<String, String> {
    serde_saphyr::to_string(&crd()).map_err(|error| error.to_string())
}

/// What a whole LoadTest looks like to the API server.
pub fn schema() -> Value {
    let mut spec = structural::of(&spec::schema(), Texts::OrNumbers);
    let only = structural::of(&schemars::schema_for!(Only), Texts::OrNumbers);
    if let (Some(Value::Object(all)), Some(Value::Object(only))) = (spec.get_mut("properties"), only.get("properties"))
    {
        all.extend(only.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    rules(&mut spec);
    let mut status = structural::of(&schemars::schema_for!(Status), Texts::Plain);
    if let Some(Value::Object(conditions)) = status.pointer_mut("/properties/conditions") {
        conditions.extend(map(json!({
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"]
        })));
    }
    json!({
        "type": "object",
        "description": "A load test: what is sent to a target, how much of it, and what has to hold. \
                        The same file runs with `loadgrid run`.",
        "required": ["spec"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string" },
            "metadata": { "type": "object" },
            "spec": spec,
            "status": status
        }
    })
}

/// What the API server can refuse at once, in the words of the file's reader.
fn rules(spec: &mut Value) {
    let one_of = |keys: &[&str]| {
        let each: Vec<String> = keys.iter().map(|key| format!("(has(self.{key}) ? 1 : 0)")).collect();
        format!("{} == 1", each.join(" + "))
    };
    let rule = |rule: String, message: &str| json!([{ "rule": rule, "message": message }]);
    let load = "!has(self.stages) || !(has(self.rate) || has(self.duration) || has(self.requests))";
    let baseline = "size(self) == 0 || self.exists_one(name, has(self[name].baseline) && self[name].baseline)";
    for (place, rules) in [
        (
            "/properties/requests/items",
            rule(one_of(&["http", "grpc", "steps"]), "a request is one of http, grpc or steps"),
        ),
        (
            "/properties/requests/items/properties/steps/items",
            rule(one_of(&["http", "grpc"]), "a step is one of http or grpc"),
        ),
        ("/properties/load", rule(load.to_owned(), "stages have their own rates and durations: leave out either")),
        (
            "/properties/versions",
            rule(baseline.to_owned(), "write baseline: true to the version that the others are compared with"),
        ),
    ] {
        if let Some(Value::Object(schema)) = spec.pointer_mut(place) {
            schema.insert("x-kubernetes-validations".to_owned(), rules);
        }
    }
    if let Some(Value::Object(versions)) = spec.pointer_mut("/properties/versions") {
        versions.insert("maxProperties".to_owned(), 8.into());
    }
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
