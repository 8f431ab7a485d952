//! A JSON schema to one that a cluster takes as structural: every key at its place, no references, no alternatives. What
//! the schema is of is not known here.

use schemars::Schema;
use serde_json::{Map, Value};

use crate::spec::schema::PLAIN;

const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const ANYTHING: &str = "x-kubernetes-preserve-unknown-fields";

/// Keys of a schema that the API server knows and that say something to it.
const KEPT: [&str; 12] = [
    "description",
    "type",
    "format",
    "enum",
    "properties",
    "required",
    "items",
    "minItems",
    "maxItems",
    "minLength",
    "minimum",
    "additionalProperties",
];

/// How texts may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    Plain,
    /// As numbers too, unless they are marked as plain: the file's reader takes both.
    OrNumbers,
}

/// The structural schema.
pub(super) fn of(schema: &Schema, texts: Texts) -> Value {
    let whole = schema.clone().to_value();
    Value::Object(Structural { whole: &whole, texts }.node(&whole, false))
}

struct Structural<'a> {
    /// Where references lead.
    whole: &'a Value,
    texts: Texts,
}

impl Structural<'_> {
    /// One node. Within a definition that refers to itself the reference is left out: structural schemas have an end.
    fn node(&self, schema: &Value, within: bool) -> Map<String, Value> {
        let empty = Map::new();
        let schema = schema.as_object().unwrap_or(&empty);
        let referred = referred(schema, self.whole);
        if let Some(other) = referred.or(optional(schema)) {
            let mut made = self.node(other, within || referred.is_some());
            made.extend(schema.get("description").map(|text| ("description".to_owned(), text.clone())));
            return made;
        }
        let mut made = Map::new();
        for key in KEPT {
            if let Some(value) = schema.get(key).and_then(|value| self.value(key, value, within)) {
                made.insert(key.to_owned(), value);
            }
        }
        self.text(&mut made, schema);
        made
    }

    /// What a key of a schema says here; nothing where that is nothing to the API server.
    fn value(&self, key: &str, value: &Value, within: bool) -> Option<Value> {
        match (key, value) {
            ("properties", Value::Object(properties)) => Some(self.properties(properties, within)),
            ("items", items) => Some(self.node(items, within).into()),
            ("additionalProperties", Value::Object(_)) => Some(self.node(value, within).into()),
            // Keys that a schema does not name are pruned anyway.
            ("additionalProperties", _) => None,
            ("format", format) if format != "date-time" => None,
            ("type", Value::Array(types)) => {
                let mut others = types.iter().filter(|kind| *kind != "null");
                // More than one is no type at all.
                others.next().filter(|_| others.next().is_none()).cloned()
            }
            _ => Some(value.clone()),
        }
    }

    fn properties(&self, properties: &Map<String, Value>, within: bool) -> Value {
        let own = properties.iter().filter(|(_, schema)| !(within && refers(schema)));
        own.map(|(name, schema)| (name.clone(), self.node(schema, within).into())).collect::<Map<_, _>>().into()
    }

    /// What has no type may be anything. A text may be written as a number.
    fn text(&self, made: &mut Map<String, Value>, schema: &Map<String, Value>) {
        let marked = ["enum", "format", PLAIN].iter().any(|key| schema.contains_key(*key));
        match made.get("type").and_then(Value::as_str) {
            None => {
                made.insert(ANYTHING.to_owned(), true.into());
            }
            Some("string") if self.texts == Texts::OrNumbers && !marked => {
                made.remove("type");
                made.insert(INT_OR_STRING.to_owned(), true.into());
            }
            Some(_) => {}
        }
    }
}

/// The one that is not null of two alternatives.
fn optional(schema: &Map<String, Value>) -> Option<&Value> {
    let any = schema.get("anyOf")?.as_array()?;
    any.iter().find(|each| each.get("type").is_none_or(|kind| kind != "null"))
}

fn referred<'a>(schema: &Map<String, Value>, whole: &'a Value) -> Option<&'a Value> {
    whole.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}

/// Whether a reference is anywhere in it.
fn refers(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key("$ref") || map.values().any(refers),
        Value::Array(list) => list.iter().any(refers),
        _ => false,
    }
}
