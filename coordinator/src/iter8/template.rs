//! Iter8's placeholders as loadgrid's: Fortio's `{uuid}`, and the Go templates that ghz fills in. Which keys hold them
//! is not known here.

use serde_json::Value;

/// What of Go's templates there is.
const KNOWN: &str = "there are {{.RequestNumber}}, {{.WorkerID}}, {{.UUID}}, {{.Timestamp}}, {{.TimestampUnix}}, \
                     {{.TimestampUnixMilli}}, {{.TimestampUnixNano}}, {{newUUID}}, {{randomString N}} and \
                     {{randomInt MIN MAX}}";

/// Text of an HTTP task: `{uuid}` is filled in, everything else is meant as it stands.
pub(super) fn fortio(text: &str) -> String {
    // Who writes {{uuid}} knows loadgrid's form, and means no braces around it.
    let pieces = text.split("{{uuid}}").flat_map(|piece| piece.split("{uuid}"));
    pieces.map(|piece| secrets(&literal(piece))).collect::<Vec<_>>().join("{{uuid}}")
}

/// Text in which nothing is filled in.
pub(super) fn literal(text: &str) -> String {
    text.replace("{{", "{{{{")
}

/// Text in which `${` is meant as it stands, but for loadgrid's references to secrets.
pub(super) fn secrets(text: &str) -> String {
    let mut pieces = text.split("${");
    let mut out = pieces.next().unwrap_or("").to_owned();
    for piece in pieces {
        let is_reference = piece.starts_with("env:") || piece.starts_with("file:");
        out.push_str(if is_reference { "${" } else { "$${" });
        out.push_str(piece);
    }
    out
}

/// Text of a gRPC task, whose placeholders are Go's.
///
/// # Errors
/// A placeholder that loadgrid has nothing for.
pub(super) fn go(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inside, behind)) = after.split_once("}}") else {
            return Err("a template has no closing braces".to_owned());
        };
        out.push_str(before);
        out.push_str(&placeholder(inside.trim_matches('-').trim())?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

fn placeholder(inside: &str) -> Result<String, String> {
    let words: Vec<&str> = inside.split_whitespace().collect();
    let number = |text: &str| text.parse::<i64>().ok();
    let name = match *words.as_slice() {
        [".RequestNumber"] => "request".to_owned(),
        [".WorkerID"] => "worker".to_owned(),
        [".UUID"] | ["newUUID"] | ["uuidv4"] => "uuid".to_owned(),
        [".Timestamp"] => "timestamp".to_owned(),
        [".TimestampUnix"] => "timestampUnix".to_owned(),
        [".TimestampUnixMilli"] => "timestampUnixMilli".to_owned(),
        [".TimestampUnixNano"] => "timestampUnixNano".to_owned(),
        ["randomString", length] if number(length).is_some_and(|length| length > 0) => format!("randomString {length}"),
        ["randomInt", min, max] => match (number(min), number(max)) {
            // ghz's upper end is never drawn, loadgrid's is.
            (Some(min), Some(max)) if min < max => format!("randomInt {min} {}", max - 1),
            _ => return Err(format!("'{{{{{inside}}}}}' needs two numbers, the second above the first")),
        },
        _ => return Err(format!("the template '{{{{{inside}}}}}' is not known here: {KNOWN}")),
    };
    Ok(format!("{{{{{name}}}}}"))
}

/// Every text of a value, through `translate`.
///
/// # Errors
/// The first one of `translate`.
pub(super) fn deep(value: Value, translate: &dyn Fn(&str) -> Result<String, String>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(translate(&text)?),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| deep(item, translate)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => Value::Object(
            map.into_iter().map(|(key, value)| Ok((key, deep(value, translate)?))).collect::<Result<_, String>>()?,
        ),
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn fortios_uuid_is_filled_in_and_braces_are_kept() {
        for (text, expected) in [
            ("/x?id={uuid}&n=1", "/x?id={{uuid}}&n=1"),
            ("{{uuid}}{uuid}", "{{uuid}}{{uuid}}"),
            ("{{.Name}}", "{{{{.Name}}"),
            ("Bearer ${env:TOKEN} ${HOME}", "Bearer ${env:TOKEN} $${HOME}"),
        ] {
            assert_eq!(fortio(text), expected);
        }
    }

    #[test]
    fn gos_templates_are_translated_or_refused() {
        for (text, expected) in [
            ("n{{.RequestNumber}}-{{ .WorkerID }}", "n{{request}}-{{worker}}"),
            ("{{newUUID}}{{- .UUID -}}", "{{uuid}}{{uuid}}"),
            ("{{randomInt 1 10}} {{randomString 8}}", "{{randomInt 1 9}} {{randomString 8}}"),
            ("plain", "plain"),
        ] {
            assert_eq!(go(text).unwrap(), expected);
        }
        for text in ["{{.Foo}}", "{{upper \"x\"}}", "{{randomInt 5 5}}", "{{randomString 0}}", "{{.UUID"] {
            assert!(go(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_are_translated_all_the_way_down() {
        let value = json!({"a": ["{{.UUID}}", 1], "b": {"c": "{{.Timestamp}}"}});
        assert_eq!(deep(value, &go).unwrap(), json!({"a": ["{{uuid}}", 1], "b": {"c": "{{timestamp}}"}}));
        assert!(deep(json!({"a": {"b": ["{{x}}"]}}), &go).is_err());
    }

    proptest! {
        #[test]
        fn text_without_placeholders_stays(text in "[a-z ${}]{0,20}") {
            prop_assume!(!text.contains("{{") && !text.contains("${") && !text.contains("{uuid}"));
            prop_assert_eq!(fortio(&text), text.clone());
            prop_assert_eq!(go(&text).unwrap(), text);
        }
    }
}
