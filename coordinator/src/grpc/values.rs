//! Where templates stand in data. It does not know which values there are: the worker's templates do.

use serde_json::Value;

/// A stretch of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment<'a> {
    /// As it is written: a literal `{{` is still doubled.
    Literal(&'a str),
    /// What stands between the braces.
    Value(&'a str),
}

/// Whether a template stands somewhere in the value, keys included.
pub(super) fn templated(value: &Value) -> bool {
    match value {
        Value::String(text) => marked(text),
        Value::Array(list) => list.iter().any(templated),
        Value::Object(entries) => entries.iter().any(|(key, value)| marked(key) || templated(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether a template, or a literal `{{`, stands in the text.
pub(super) fn marked(text: &str) -> bool {
    text.contains("{{")
}

/// Takes a text apart as the worker's templates do. What is not closed counts as literal: compiling it gives the error.
pub(super) fn segments(text: &str) -> Vec<Segment<'_>> {
    let mut segments = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        if !before.is_empty() {
            segments.push(Segment::Literal(before));
        }
        if let Some(next) = after.strip_prefix("{{") {
            segments.push(Segment::Literal("{{{{"));
            rest = next;
        } else if let Some((expression, next)) = after.split_once("}}") {
            segments.push(Segment::Value(expression));
            rest = next;
        } else {
            rest = rest.strip_prefix(before).unwrap_or(rest);
            break;
        }
    }
    if !rest.is_empty() {
        segments.push(Segment::Literal(rest));
    }
    segments
}

/// The text without the `=` of `{{=VALUE}}`: a field's type says by itself what has quotes in JSON.
pub(super) fn without_equals(text: &str) -> String {
    let plain = |segment| match segment {
        Segment::Literal(text) => text.to_owned(),
        Segment::Value(expression) => match expression.trim_start().strip_prefix('=') {
            // The space: `{{={{` is not to become a literal.
            Some(bare) => format!("{{{{ {bare}}}}}"),
            None => format!("{{{{{expression}}}}}"),
        },
    };
    segments(text).into_iter().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn texts_come_apart_as_the_templates_do() {
        use Segment::{Literal, Value};
        assert_eq!(segments("a{{ b }}c{{=d}}"), [Literal("a"), Value(" b "), Literal("c"), Value("=d")]);
        assert_eq!(segments("{{{{a}}"), [Literal("{{{{"), Literal("a}}")]);
        assert_eq!(segments("a{{b"), [Literal("a"), Literal("{{b")]);
        assert_eq!(segments(""), []);
    }

    #[test]
    fn the_equals_sign_goes() {
        assert_eq!(without_equals("{{=request}} {{{{=a}} {{ uuid }}"), "{{ request}} {{{{=a}} {{ uuid }}");
        assert_eq!(without_equals("{{=request"), "{{=request");
    }

    #[test]
    fn templates_are_found_wherever_they_are() {
        assert!(templated(&json!({"a": [1, {"b": "x{{y}}"}]})));
        assert!(templated(&json!({"{{k}}": 1})));
        assert!(!templated(&json!({"a": ["{ {", 1, null, true]})));
    }

    proptest! {
        #[test]
        fn texts_without_equals_stay_as_they_are(text in "[{} a]{0,24}") {
            prop_assert_eq!(without_equals(&text), text);
        }
    }
}
