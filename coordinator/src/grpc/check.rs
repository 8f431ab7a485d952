//! Whether data has the shape of a message, before it is encoded: what the JSON mapping lets pass or says less clearly.
//! It does not know how scalars are read.

use std::collections::HashMap;

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

use super::values::marked;
use crate::near;

/// How a message is written in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// An object with a key for each field.
    Fields,
    /// What its field 1 would be.
    First,
    /// Any JSON: `google.protobuf.Value`.
    Any,
    /// A form of its own, which is read before the load.
    Own,
}

/// The form of a message (protobuf's ProtoJSON page).
pub(super) fn form(message: &MessageDescriptor) -> Form {
    let Some(name) = message.full_name().strip_prefix("google.protobuf.") else { return Form::Fields };
    match name {
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" | "BoolValue"
        | "StringValue" | "BytesValue" | "Struct" | "ListValue" => Form::First,
        "Value" => Form::Any,
        "Any" | "Timestamp" | "Duration" | "FieldMask" | "Empty" => Form::Own,
        _ => Form::Fields,
    }
}

/// A field by its JSON name or its name in the schema.
pub(super) fn field(message: &MessageDescriptor, key: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(key).or_else(|| message.get_field_by_name(key))
}

/// A place within a place.
pub(super) fn within(place: &str, key: &str) -> String {
    format!("{place}.{key}")
}

/// What a value is, for people.
pub(super) fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Whether the value can be the message.
///
/// # Errors
/// The place and what to write there.
pub(super) fn check(message: &MessageDescriptor, value: &Value, place: &str) -> Result<(), String> {
    if form(message) != Form::Fields {
        return Ok(());
    }
    let Value::Object(entries) = value else {
        return Err(format!("{place}: {} takes an object, not {}", message.full_name(), noun(value)));
    };
    let mut set: HashMap<u32, &str> = HashMap::new();
    let mut chosen: HashMap<String, &str> = HashMap::new();
    for (key, value) in entries {
        // An extension; the encoder knows them.
        if key.starts_with('[') {
            continue;
        }
        let field = field(message, key).ok_or_else(|| unknown(message, key, place))?;
        if value.is_null() && !takes_null(&field) {
            continue;
        }
        if let Some(other) = set.insert(field.number(), key) {
            return Err(format!("{place}: '{other}' and '{key}' are the same field: leave one out"));
        }
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        if let Some(oneof) = oneof
            && let Some(other) = chosen.insert(oneof.name().to_owned(), key)
        {
            return Err(format!(
                "{place}: only one of '{other}' and '{key}' can be set (oneof {}): leave one out",
                oneof.name()
            ));
        }
        check_field(&field, value, &within(place, key))?;
    }
    let absent = message
        .fields()
        .find(|field| field.cardinality() == Cardinality::Required && !set.contains_key(&field.number()));
    absent.map_or(Ok(()), |field| Err(format!("{place}: {} needs the field '{}'", message.full_name(), field.name())))
}

fn unknown(message: &MessageDescriptor, key: &str, place: &str) -> String {
    let known = near::listed(key, message.fields().map(|field| field.name().to_owned()));
    format!("{place}: {} has no field '{key}': it has {known}", message.full_name())
}

/// Null is a value of these, and not the absence of one.
fn takes_null(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(message) => message.full_name() == "google.protobuf.Value",
        Kind::Enum(values) => values.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn check_field(field: &FieldDescriptor, value: &Value, place: &str) -> Result<(), String> {
    let wrong = |wanted: &str| format!("{place}: it takes {wanted}, not {}", noun(value));
    if field.is_map() {
        let Value::Object(entries) = value else { return Err(wrong("an object, for it is a map")) };
        let Kind::Message(entry) = field.kind() else { return Ok(()) };
        let of = entry.map_entry_value_field();
        return entries.iter().try_for_each(|(key, value)| check_member(&of, value, &within(place, key)));
    }
    if field.is_list() {
        let Value::Array(list) = value else { return Err(wrong("a list, for it is repeated")) };
        let mut elements = list.iter().enumerate();
        return elements.try_for_each(|(number, value)| check_member(field, value, &format!("{place}[{number}]")));
    }
    check_value(field, value, place)
}

fn check_member(field: &FieldDescriptor, value: &Value, place: &str) -> Result<(), String> {
    if value.is_null() && !takes_null(field) {
        return Err(format!("{place}: null can't stand in a list or map: leave it out"));
    }
    check_value(field, value, place)
}

fn check_value(field: &FieldDescriptor, value: &Value, place: &str) -> Result<(), String> {
    match (field.kind(), value) {
        (Kind::Message(message), _) => check(&message, value, place),
        (Kind::Enum(values), Value::String(name)) => check_name(&values, name, place),
        _ => Ok(()),
    }
}

fn check_name(values: &EnumDescriptor, name: &str, place: &str) -> Result<(), String> {
    if marked(name) || values.get_value_by_name(name).is_some() {
        return Ok(());
    }
    let known = near::listed(name, values.values().map(|value| value.name().to_owned()));
    Err(format!("{place}: {} has no value '{name}': it has {known}", values.full_name()))
}
