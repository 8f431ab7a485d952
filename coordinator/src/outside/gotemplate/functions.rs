//! The functions of templates: Go's own, and those of the library around them that Iter8's templates use. `and` and
//! `or` are not among them, for they decide what is looked at.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::OUTPUT_MAX;

/// All that there are, in the order that errors list them.
pub(super) const NAMES: [&str; 27] = [
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "printf",
    "len",
    "index",
    "default",
    "empty",
    "quote",
    "squote",
    "lower",
    "upper",
    "trim",
    "replace",
    "toString",
    "toJson",
    "toPrettyJson",
    "kindOf",
    "fail",
    "regexReplaceAll",
    "int",
];

/// Calls a function.
///
/// # Errors
/// What it can't do with what it is given.
pub(super) fn call(name: &str, given: Vec<Value>) -> Result<Value, String> {
    match (name, given.as_slice()) {
        ("not", [value]) => Ok(is_empty(value).into()),
        ("empty", [value]) => Ok(is_empty(value).into()),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            for other in others {
                if compare(first, other)? == Ordering::Equal {
                    return Ok(true.into());
                }
            }
            Ok(false.into())
        }
        ("ne", [a, b]) => Ok((compare(a, b)? != Ordering::Equal).into()),
        ("lt", [a, b]) => Ok(ordered(a, b)?.is_lt().into()),
        ("le", [a, b]) => Ok(ordered(a, b)?.is_le().into()),
        ("gt", [a, b]) => Ok(ordered(a, b)?.is_gt().into()),
        ("ge", [a, b]) => Ok(ordered(a, b)?.is_ge().into()),
        ("printf", [Value::String(format), values @ ..]) => printf(format, values).map(Value::String),
        ("len", [value]) => match value {
            Value::String(text) => Ok(text.len().into()),
            Value::Array(list) => Ok(list.len().into()),
            Value::Object(map) => Ok(map.len().into()),
            other => Err(format!("{} has no length", kind(other))),
        },
        ("index", [value, keys @ ..]) => index(value, keys),
        ("default", [fallback, value]) => Ok(if is_empty(value) { fallback.clone() } else { value.clone() }),
        ("quote", [value]) => Ok(Value::String(text(value)).to_string().into()),
        ("squote", [value]) => Ok(format!("'{}'", text(value)).into()),
        ("lower", [Value::String(text)]) => Ok(text.to_lowercase().into()),
        ("upper", [Value::String(text)]) => Ok(text.to_uppercase().into()),
        ("trim", [Value::String(text)]) => Ok(text.trim().into()),
        ("replace", [Value::String(old), Value::String(new), Value::String(text)]) => replaced(text, old, new),
        ("regexReplaceAll", [Value::String(pattern), Value::String(text), Value::String(new)]) => {
            replace_all(pattern, text, new)
        }
        ("toString", [value]) => Ok(text(value).into()),
        ("toJson", [value]) => Ok(value.to_string().into()),
        ("toPrettyJson", [value]) => Ok(format!("{value:#}").into()),
        ("kindOf", [value]) => Ok(kind(value).into()),
        ("int", [value]) => {
            whole(value).map(Value::from).ok_or_else(|| format!("'{}' is no whole number", text(value)))
        }
        ("fail", [why]) => Err(format!("the template fails: {}", text(why))),
        (name, given) => {
            let kinds: Vec<&str> = given.iter().map(kind).collect();
            let kinds = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
            Err(format!("'{name}' can't be given {kinds}"))
        }
    }
}

/// What is false in a condition, and replaced by `default`.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Go's name for what a value is.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

/// A value as it is printed: scalars as Go does, lists and maps as JSON, for nobody reads Go's form.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number_text(number),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The shortest digits that mean the number, with an exponent where Go writes one.
fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    if float == 0.0 || (1e-4..1e21).contains(&float.abs()) {
        return float.to_string();
    }
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((digits, power)) => {
            let (sign, power) = power.strip_prefix('-').map_or(('+', power), |power| ('-', power));
            format!("{digits}e{sign}{power:0>2}")
        }
        None => text,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => {
            let float = || number.as_f64().filter(|float| float.abs() < 9e18).map(|float| float as i64);
            number.as_i64().or_else(float)
        }
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Like [`ordered`], and for whatever can be equal or not.
fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a.cmp(b)),
        (Value::Null, Value::Null) => Ok(Ordering::Equal),
        // Equal to nothing, and no order that anybody asks for.
        (Value::Null, _) => Ok(Ordering::Less),
        (_, Value::Null) => Ok(Ordering::Greater),
        _ => ordered(a, b),
    }
}

fn ordered(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Number(x), Value::Number(y)) => {
            let exact = x.as_i64().zip(y.as_i64()).map(|(x, y)| x.cmp(&y));
            let near = || x.as_f64().zip(y.as_f64()).and_then(|(x, y)| x.partial_cmp(&y));
            exact.or_else(near).ok_or_else(|| "numbers that can't be compared".to_owned())
        }
        _ => Err(format!("{} can't be compared with {}", kind(a), kind(b))),
    }
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, String> {
    let mut value = value;
    for key in keys {
        value = match (value, key) {
            (Value::Object(map), Value::String(key)) => map.get(key).unwrap_or(&Value::Null),
            (Value::Array(list), Value::Number(number)) => {
                let place = number.as_u64().and_then(|place| list.get(usize::try_from(place).ok()?));
                place.ok_or_else(|| format!("a list of {} has no item {number}", list.len()))?
            }
            (value, key) => return Err(format!("'index' can't look {} up in {}", kind(key), kind(value))),
        };
    }
    Ok(value.clone())
}

/// `%s %v %d %q %t %f %.Nf %g %%`.
fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::with_capacity(format.len());
    let mut values = values.iter();
    let mut pieces = format.split('%');
    out.push_str(pieces.next().unwrap_or_default());
    while let Some(piece) = pieces.next() {
        if piece.is_empty() {
            // `%%`: the text behind the second one is as it stands.
            out.push('%');
            out.push_str(pieces.next().ok_or("printf: the format ends in a single %")?);
            continue;
        }
        let verb_at = piece.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(piece.len());
        let (precision, rest) = piece.split_at(verb_at);
        let verb = rest.chars().next().ok_or("printf: the format ends in a single %")?;
        let value = values.next().ok_or_else(|| format!("printf: '%{precision}{verb}' has no value"))?;
        out.push_str(&formatted(precision, verb, value)?);
        out.push_str(rest.get(verb.len_utf8()..).unwrap_or_default());
    }
    match values.next() {
        None => Ok(out),
        Some(_) => Err("printf: there are more values than verbs".to_owned()),
    }
}

fn formatted(precision: &str, verb: char, value: &Value) -> Result<String, String> {
    let wrong = || format!("printf: '%{precision}{verb}' can't show {}", kind(value));
    match (precision, verb, value) {
        ("", 's' | 'v', value) => Ok(text(value)),
        ("", 'q', Value::String(_)) => Ok(value.to_string()),
        ("", 't', Value::Bool(truth)) => Ok(truth.to_string()),
        ("", 'd', Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        ("", 'g', Value::Number(number)) => Ok(number_text(number)),
        (precision, 'f', Value::Number(number)) => {
            let digits = match precision.strip_prefix('.') {
                Some(digits) => digits.parse::<usize>().ok().filter(|digits| *digits <= 20).ok_or_else(wrong)?,
                None if precision.is_empty() => 6,
                None => return Err(wrong()),
            };
            Ok(format!("{:.digits$}", number.as_f64().ok_or_else(wrong)?))
        }
        ("", 'q' | 't' | 'd' | 'g', _) => Err(wrong()),
        _ => Err(format!("printf: '%{precision}{verb}' is not supported: there are %s %v %d %q %t %f %.2f %g and %%")),
    }
}

/// Replaces a pattern that means itself, which is what payloads escape quotes and line ends with.
fn replace_all(pattern: &str, text: &str, new: &str) -> Result<Value, String> {
    const MEANING: [char; 14] = ['.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$', '\\'];
    if pattern.is_empty() || pattern.contains(MEANING) || new.contains('$') {
        return Err(
            "regexReplaceAll takes plain text only, without . + * ? ( ) | [ ] { } ^ $ and \\: write replace OLD \
                    NEW TEXT, or toJson"
                .to_owned(),
        );
    }
    replaced(text, pattern, new)
}

fn replaced(text: &str, old: &str, new: &str) -> Result<Value, String> {
    // What it makes can be far longer than what it is given.
    let grown = text.matches(old).count().saturating_mul(new.len());
    if text.len().saturating_add(grown) > OUTPUT_MAX {
        return Err(too_long());
    }
    Ok(text.replace(old, new).into())
}

/// What a text says that has grown beyond what a template may make.
pub(super) fn too_long() -> String {
    format!("the template makes more than {} MiB of text", OUTPUT_MAX >> 20)
}
