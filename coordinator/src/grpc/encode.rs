//! Data made protobuf messages by the JSON mapping, the templates in it left for the worker to fill in. It does not know
//! which template values there are.

use loadgrid_worker::client::grpc::{Encoding, Message, Piece, varint};
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value};

use super::check::{Form, check, field, form, noun, within};
use super::values::{Segment, marked, segments, templated, without_equals};

#[cfg(test)]
mod tests;

/// The messages of a call: of an object one, of a list one each, of null one without fields.
///
/// If `may_be_templated`, texts and the keys of maps may hold `{{…}}`. What such a text becomes is the field's content as
/// it is, also of a `bytes` field; in the place of a number, bool or enum it has to become a number (or `true`).
///
/// # Errors
/// A sentence with the place, such as `data[1].user.tags[2]`.
pub fn messages(method: &MethodDescriptor, data: &Value, may_be_templated: bool) -> Result<Vec<Message>, String> {
    let input = method.input();
    let one = |value: &Value, place: &str| message(&input, value, place, may_be_templated);
    let Value::Array(list) = data else { return Ok(vec![one(data, "data")?]) };
    if list.is_empty() && !method.is_client_streaming() {
        return Err(format!("data: {} takes one message a call, and the list is empty", method.full_name()));
    }
    list.iter().enumerate().map(|(number, value)| one(value, &format!("data[{number}]"))).collect()
}

fn message(input: &MessageDescriptor, value: &Value, place: &str, may_be_templated: bool) -> Result<Message, String> {
    if value.is_null() {
        let empty = Value::Object(Map::new());
        return check(input, &empty, place).map(|()| Message::default());
    }
    check(input, value, place)?;
    let mut out = Pieces::default();
    if may_be_templated {
        body(input, value, place, &mut out)?;
    } else {
        out.literal(&plain(input, value, place, "")?);
    }
    Ok(out.message())
}

/// Pieces with literals joined.
#[derive(Default)]
struct Pieces(Vec<Piece>);

impl Pieces {
    fn literal(&mut self, bytes: &[u8]) {
        match self.0.last_mut() {
            Some(Piece::Literal(last)) => last.extend_from_slice(bytes),
            _ if bytes.is_empty() => {}
            _ => self.0.push(Piece::Literal(bytes.to_vec())),
        }
    }

    /// What comes before a field's value on the wire.
    fn tag(&mut self, field: &FieldDescriptor, wire: Wire) {
        let mut tag = Vec::new();
        varint(&mut tag, u64::from(field.number()) << 3 | wire as u64);
        self.literal(&tag);
    }

    /// A message with its length, which is known if there is no template in it.
    fn nested(&mut self, inner: Pieces) {
        let bytes: &[u8] = match inner.0.as_slice() {
            [] => &[],
            [Piece::Literal(bytes)] => bytes,
            _ => return self.0.push(Piece::Nested(inner.message())),
        };
        let mut length = Vec::new();
        varint(&mut length, bytes.len() as u64);
        self.literal(&length);
        self.literal(bytes);
    }

    fn message(self) -> Message {
        Message { pieces: self.0 }
    }
}

/// The wire types (protobuf's encoding page).
#[derive(Clone, Copy)]
enum Wire {
    Varint = 0,
    Bits64 = 1,
    Length = 2,
    GroupStart = 3,
    GroupEnd = 4,
    Bits32 = 5,
}

/// A message without what comes before it.
fn body(message: &MessageDescriptor, value: &Value, place: &str, out: &mut Pieces) -> Result<(), String> {
    if !templated(value) {
        out.literal(&plain(message, value, place, "")?);
        return Ok(());
    }
    let number = match (form(message), value) {
        (Form::Fields, Value::Object(entries)) => return fields(message, entries, place, out),
        (Form::First, _) => 1,
        // The fields of google.protobuf.Value.
        (Form::Any, Value::String(text)) => match segments(text).as_slice() {
            [Segment::Value(expression)] if expression.trim_start().starts_with('=') => 2,
            _ => 3,
        },
        (Form::Any, Value::Object(_)) => 5,
        (Form::Any, _) => 6,
        (Form::Fields | Form::Own, _) => {
            return Err(format!(
                "{place}: a template can't stand in a {}, which is read before the load: write the value itself",
                message.full_name()
            ));
        }
    };
    let own = message.get_field(number);
    let own =
        own.ok_or_else(|| format!("{place}: the schema's {} is not the one it should be", message.full_name()))?;
    whole_field(&own, value, place, out)
}

fn fields(
    message: &MessageDescriptor,
    entries: &Map<String, Value>,
    place: &str,
    out: &mut Pieces,
) -> Result<(), String> {
    let (with, without): (Vec<_>, Vec<_>) = entries.iter().partition(|(_, value)| templated(value));
    let without: Map<String, Value> = without.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    out.literal(&plain(message, &Value::Object(without), place, "")?);
    for (key, value) in with {
        let place = within(place, key);
        match field(message, key) {
            Some(field) => whole_field(&field, value, &place, out)?,
            None => return Err(format!("{place}: a template can't stand in an extension: write the value itself")),
        }
    }
    Ok(())
}

/// A field with a template in it, repeated or not.
fn whole_field(field: &FieldDescriptor, value: &Value, place: &str, out: &mut Pieces) -> Result<(), String> {
    let name = field.json_name();
    match value {
        Value::Object(entries) if field.is_map() => {
            for (key, value) in entries {
                entry(field, key, value, &within(place, key), out)?;
            }
            Ok(())
        }
        // Elements one by one are as good as packed ones: parsers take both.
        Value::Array(list) if field.is_list() => {
            for (number, value) in list.iter().enumerate() {
                let place = format!("{place}[{number}]");
                if templated(value) || matches!(field.kind(), Kind::Message(_)) {
                    single(field, value, &place, out)?;
                } else {
                    let alone = object(name, Value::Array(vec![value.clone()]));
                    out.literal(&plain(field.parent_message(), &alone, &place, &format!("{name}[0]"))?);
                }
            }
            Ok(())
        }
        _ if field.is_map() => Err(format!("{place}: it takes an object, for it is a map, not {}", noun(value))),
        _ if field.is_list() => Err(format!("{place}: it takes a list, for it is repeated, not {}", noun(value))),
        _ => single(field, value, place, out),
    }
}

/// An entry of a map: a message with the key as field 1 and the value as field 2.
fn entry(map: &FieldDescriptor, key: &str, value: &Value, place: &str, out: &mut Pieces) -> Result<(), String> {
    let Kind::Message(entry) = map.kind() else { return Err(format!("{place}: the schema's map has no entries")) };
    let mut inner = Pieces::default();
    let text = Value::String(key.to_owned());
    if marked(key) {
        single(&entry.map_entry_key_field(), &text, place, &mut inner)?;
    } else {
        let key = match (entry.map_entry_key_field().kind(), key) {
            (Kind::Bool, "true" | "false") => Value::Bool(key == "true"),
            _ => text,
        };
        inner.literal(&plain(&entry, &object("key", key), place, "key")?);
    }
    if templated(value) {
        single(&entry.map_entry_value_field(), value, place, &mut inner)?;
    } else {
        inner.literal(&plain(&entry, &object("value", value.clone()), place, "value")?);
    }
    out.tag(map, Wire::Length);
    out.nested(inner);
    Ok(())
}

/// One value, a message or one with a template in it, and what comes before it.
fn single(field: &FieldDescriptor, value: &Value, place: &str, out: &mut Pieces) -> Result<(), String> {
    match (field.kind(), value) {
        (Kind::Message(message), _) if field.is_group() => {
            out.tag(field, Wire::GroupStart);
            body(&message, value, place, out)?;
            out.tag(field, Wire::GroupEnd);
        }
        (Kind::Message(message), _) => {
            let mut inner = Pieces::default();
            body(&message, value, place, &mut inner)?;
            out.tag(field, Wire::Length);
            out.nested(inner);
        }
        (Kind::String | Kind::Bytes, Value::String(text)) => {
            out.tag(field, Wire::Length);
            out.0.push(Piece::Text(without_equals(text)));
        }
        (kind, Value::String(text)) => {
            let (wire, encoding) = number(&kind);
            may_be_number(&kind, text).map_err(|why| format!("{place}: {why}"))?;
            out.tag(field, wire);
            out.0.push(Piece::Number(without_equals(text), encoding));
        }
        (kind, _) => return Err(format!("{place}: it takes {}, not {}", article(&kind), noun(value))),
    }
    Ok(())
}

fn number(kind: &Kind) -> (Wire, Encoding) {
    match kind {
        Kind::Sint32 | Kind::Sint64 => (Wire::Varint, Encoding::Zigzag),
        Kind::Fixed32 | Kind::Sfixed32 => (Wire::Bits32, Encoding::Fixed32),
        Kind::Fixed64 | Kind::Sfixed64 => (Wire::Bits64, Encoding::Fixed64),
        Kind::Float => (Wire::Bits32, Encoding::Float),
        Kind::Double => (Wire::Bits64, Encoding::Double),
        Kind::Bool => (Wire::Varint, Encoding::Bool),
        _ => (Wire::Varint, Encoding::Varint),
    }
}

/// What is no number the worker would send as 0: what can be known to be none is refused here.
fn may_be_number(kind: &Kind, text: &str) -> Result<(), String> {
    for segment in segments(text) {
        match segment {
            Segment::Value(expression) => {
                let bare = expression.trim_start().trim_start_matches('=');
                let name = bare.split_whitespace().next().unwrap_or_default();
                if matches!(name, "uuid" | "timestamp" | "randomString") {
                    return Err(format!("it takes {}, and {{{{{expression}}}}} is none", article(kind)));
                }
            }
            Segment::Literal(literal) => {
                let fits = |c: char| match kind {
                    Kind::Bool => false,
                    Kind::Float | Kind::Double => c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E'),
                    _ => c.is_ascii_digit() || c == '-',
                };
                if !literal.trim().chars().all(fits) {
                    return Err(format!("it takes {}, which '{text}' does not become", article(kind)));
                }
            }
        }
    }
    Ok(())
}

/// A type, for people.
fn article(kind: &Kind) -> String {
    match kind {
        Kind::String => "a text".to_owned(),
        Kind::Bytes => "a text in base64".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Enum(values) => format!("a number of {}", values.full_name()),
        Kind::Message(message) => format!("an object ({})", message.full_name()),
        kind => format!("a number ({kind:?})").to_lowercase(),
    }
}

fn object(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

/// Encodes a message without templates. `place` is what `stripped` names in it: the whole if that is empty.
fn plain(message: &MessageDescriptor, value: &Value, place: &str, stripped: &str) -> Result<Vec<u8>, String> {
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    match DynamicMessage::deserialize(message.clone(), deserializer) {
        Ok(message) => Ok(message.encode_to_vec()),
        Err(error) => {
            let path = track.path().to_string();
            let rest = path.strip_prefix(stripped).unwrap_or(&path).trim_start_matches('.');
            let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
            Err(format!("{place}{dot}{rest}: {error}"))
        }
    }
}
