//! What a test asks of a response beyond its arrival, and the values that a step takes from it for those that follow.

use loadgrid_proto::v1;
use serde_json::Value;

use super::kept::Kept;
use super::template::Session;

/// The longest value that is captured, bytes.
const CAPTURE_BYTES_MAX: usize = 64 * 1024;

/// One thing asked of a response.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// An inclusive range.
    Status(u16, u16),
    Header {
        name: String,
        rule: Rule,
    },
    BodyContains(String),
    /// What a JSON body holds at a pointer (RFC 6901).
    Json {
        pointer: String,
        equals: Value,
    },
    GrpcCode(u16),
}

/// What a header field has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    Present,
    Equals(String),
    Contains(String),
}

/// A value to take from a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// By number of the test's captures.
    pub into: usize,
    pub from: Source,
}

/// As a test's author would write it.
impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Json(pointer) => write!(f, "json {pointer}"),
            Source::Header(name) => write!(f, "header {name}"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A string, number or boolean of a JSON body, at a pointer (RFC 6901).
    Json(String),
    Header(String),
}

/// A response as checks see it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub status: u16,
    pub grpc_code: Option<u16>,
    pub kept: Option<&'a Kept>,
}

impl Check {
    /// Whether it needs the response's fields or content.
    pub fn needs_content(&self) -> bool {
        !matches!(self, Check::Status(..) | Check::GrpcCode(_))
    }

    fn holds(&self, seen: Seen, json: &mut Parsed) -> bool {
        match self {
            Check::Status(first, last) => (*first..=*last).contains(&seen.status),
            Check::GrpcCode(code) => seen.grpc_code == Some(*code),
            Check::Header { name, rule } => {
                let value = seen.kept.and_then(|kept| kept.header(name));
                value.is_some_and(|value| match rule {
                    Rule::Present => true,
                    Rule::Equals(wanted) => value == wanted.as_bytes(),
                    Rule::Contains(wanted) => contains(value, wanted.as_bytes()),
                })
            }
            Check::BodyContains(wanted) => seen.kept.is_some_and(|kept| contains(&kept.body, wanted.as_bytes())),
            Check::Json { pointer, equals } => json.at(seen, pointer).is_some_and(|found| same(found, equals)),
        }
    }
}

/// As a test's author would write it.
impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Check::Status(first, last) if first == last => write!(f, "status {first}"),
            Check::Status(first, last) => write!(f, "status {first}-{last}"),
            Check::Header { name, rule: Rule::Present } => write!(f, "header {name}"),
            Check::Header { name, rule: Rule::Equals(value) } => write!(f, "header {name} equals '{value}'"),
            Check::Header { name, rule: Rule::Contains(value) } => write!(f, "header {name} contains '{value}'"),
            Check::BodyContains(text) => write!(f, "body contains '{text}'"),
            Check::Json { pointer, equals } => write!(f, "json {pointer} equals {equals}"),
            Check::GrpcCode(code) => write!(f, "grpc code {}", super::grpc::code_name(*code)),
        }
    }
}

/// The number of the first check that does not hold.
pub fn first_failed(checks: &[Check], seen: Seen) -> Option<usize> {
    let mut json = Parsed::default();
    checks.iter().position(|check| !check.holds(seen, &mut json))
}

/// Takes all values into the session; the number of the first that is not there.
pub fn first_missed(captures: &[Capture], seen: Seen, session: &mut Session) -> Option<usize> {
    let mut json = Parsed::default();
    captures.iter().position(|capture| {
        let value = match &capture.from {
            Source::Header(name) => seen.kept.and_then(|kept| kept.header(name)).map(<[u8]>::to_vec),
            Source::Json(pointer) => json.at(seen, pointer).and_then(text).map(String::into_bytes),
        };
        // A line's end in a value would become one in the next request's head.
        let fits = |value: &Vec<u8>| value.len() <= CAPTURE_BYTES_MAX && !value.iter().any(|byte| *byte < 0x20);
        value.filter(fits).map(|value| session.set(capture.into, &value)).is_none()
    })
}

/// The body as JSON, parsed when it is first asked for.
#[derive(Default)]
struct Parsed(Option<Value>);

impl Parsed {
    fn at(&mut self, seen: Seen, pointer: &str) -> Option<&Value> {
        if self.0.is_none() {
            self.0 = Some(serde_json::from_slice(&seen.kept?.body).unwrap_or(Value::Null));
        }
        self.0.as_ref()?.pointer(pointer)
    }
}

/// 7 and 7.0 are the same number.
fn same(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some_and(|a| b.as_f64() == Some(a))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    wanted.is_empty() || text.windows(wanted.len()).any(|window| window == wanted)
}

impl TryFrom<v1::Check> for Check {
    type Error = String;

    fn try_from(message: v1::Check) -> Result<Self, String> {
        use v1::check::Rule as Wire;
        Ok(match message.rule.ok_or("a check of a kind that this worker does not know")? {
            Wire::Status(range) => Check::Status(range.first as u16, range.last as u16),
            Wire::GrpcCode(code) => Check::GrpcCode(code as u16),
            Wire::BodyContains(text) => Check::BodyContains(text),
            Wire::Json(rule) => Check::Json {
                pointer: rule.pointer,
                equals: serde_json::from_str(&rule.equals).map_err(|error| error.to_string())?,
            },
            Wire::Header(rule) => Check::Header {
                name: rule.name,
                rule: match (rule.equals.is_empty(), rule.contains.is_empty()) {
                    (true, true) => Rule::Present,
                    (false, _) => Rule::Equals(rule.equals),
                    (true, false) => Rule::Contains(rule.contains),
                },
            },
        })
    }
}

impl From<&Check> for v1::Check {
    fn from(check: &Check) -> Self {
        use v1::check::Rule as Wire;
        let rule = match check {
            Check::Status(first, last) => {
                Wire::Status(v1::StatusRange { first: u32::from(*first), last: u32::from(*last) })
            }
            Check::GrpcCode(code) => Wire::GrpcCode(u32::from(*code)),
            Check::BodyContains(text) => Wire::BodyContains(text.clone()),
            Check::Json { pointer, equals } => {
                Wire::Json(v1::JsonRule { pointer: pointer.clone(), equals: equals.to_string() })
            }
            Check::Header { name, rule } => {
                let (equals, contains) = match rule {
                    Rule::Present => Default::default(),
                    Rule::Equals(text) => (text.clone(), String::new()),
                    Rule::Contains(text) => (String::new(), text.clone()),
                };
                Wire::Header(v1::HeaderRule { name: name.clone(), equals, contains })
            }
        };
        v1::Check { rule: Some(rule) }
    }
}

impl TryFrom<v1::Capture> for Capture {
    type Error = String;

    fn try_from(message: v1::Capture) -> Result<Self, String> {
        let from = match message.from.ok_or("a capture of a kind that this worker does not know")? {
            v1::capture::From::JsonPointer(pointer) => Source::Json(pointer),
            v1::capture::From::Header(name) => Source::Header(name),
        };
        Ok(Capture { into: message.into as usize, from })
    }
}

impl From<&Capture> for v1::Capture {
    fn from(capture: &Capture) -> Self {
        let from = match &capture.from {
            Source::Json(pointer) => v1::capture::From::JsonPointer(pointer.clone()),
            Source::Header(name) => v1::capture::From::Header(name.clone()),
        };
        v1::Capture { into: capture.into as u32, from: Some(from) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kept() -> Kept {
        let mut kept = Kept::default();
        kept.field(b"Content-Type", b"application/json");
        kept.content(br#"{"token":"abc","n":7,"deep":[{"x":true}],"bad":"a\nb"}"#);
        kept
    }

    fn failed(check: Check) -> bool {
        let kept = kept();
        first_failed(&[check], Seen { status: 201, grpc_code: None, kept: Some(&kept) }).is_some()
    }

    #[test]
    fn checks_hold_or_fail() {
        let header = |name: &str, rule| Check::Header { name: name.into(), rule };
        let json = |pointer: &str, equals| Check::Json { pointer: pointer.into(), equals };
        for holds in [
            Check::Status(200, 299),
            header("content-type", Rule::Present),
            header("content-type", Rule::Contains("json".into())),
            header("content-type", Rule::Equals("application/json".into())),
            Check::BodyContains("abc".into()),
            json("/n", json!(7.0)),
            json("/deep/0/x", json!(true)),
        ] {
            assert!(!failed(holds.clone()), "{holds:?}");
        }
        for fails in [
            Check::Status(200, 200),
            header("x", Rule::Present),
            header("content-type", Rule::Equals("json".into())),
            Check::BodyContains("xyz".into()),
            json("/n", json!("7")),
            json("/none", json!(null)),
            Check::GrpcCode(0),
        ] {
            assert!(failed(fails.clone()), "{fails:?}");
        }
    }

    #[test]
    fn values_are_captured_or_missed() {
        let kept = kept();
        let seen = Seen { status: 200, grpc_code: None, kept: Some(&kept) };
        let take = |source: Source| {
            let mut session = Session::default();
            first_missed(&[Capture { into: 2, from: source }], seen, &mut session).is_none().then_some(session)
        };
        let mut expected = Session::default();
        expected.set(2, b"abc");
        assert_eq!(take(Source::Json("/token".into())), Some(expected.clone()));
        expected.set(2, b"7");
        assert_eq!(take(Source::Json("/n".into())), Some(expected));
        assert!(take(Source::Header("CONTENT-TYPE".into())).is_some());
        for missing in ["/none", "/deep", "/bad"] {
            assert_eq!(take(Source::Json(missing.into())), None, "{missing}");
        }
    }

    #[test]
    fn survive_the_wire() {
        for check in [
            Check::Status(1, 2),
            Check::GrpcCode(5),
            Check::BodyContains("x".into()),
            Check::Json { pointer: "/a".into(), equals: json!({"b": 1}) },
            Check::Header { name: "a".into(), rule: Rule::Present },
            Check::Header { name: "a".into(), rule: Rule::Equals("b".into()) },
            Check::Header { name: "a".into(), rule: Rule::Contains("b".into()) },
        ] {
            assert_eq!(Check::try_from(v1::Check::from(&check)), Ok(check));
        }
        for from in [Source::Json("/a".into()), Source::Header("b".into())] {
            let capture = Capture { into: 3, from };
            assert_eq!(Capture::try_from(v1::Capture::from(&capture)), Ok(capture));
        }
        assert!(Check::try_from(v1::Check { rule: None }).is_err());
    }
}
