//! Texts with `{{values}}` in them: compiled to segments once, written out for each request.

use std::io::Write;

use super::feed::Feed;
use crate::mix::split_mix;

/// How values are made to fit where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// As they are.
    None,
    /// Within a JSON string (RFC 8259 §7). A string that is `{{=VALUE}}` as a whole gives way to the bare value.
    Json,
    /// Percent-encoded but for unreserved characters (RFC 3986 §2.3).
    Url,
}

/// A compiled text.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq)]
enum Segment {
    Literal(Box<[u8]>),
    Value(Value, Escape),
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Request,
    Worker,
    Uuid,
    Timestamp,
    Unix,
    UnixMilli,
    UnixNano,
    RandomInt(i64, i64),
    RandomString(u32),
    Feed { feed: usize, column: usize },
    Capture(usize),
}

/// The names that a test defines.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    pub feeds: &'a [Feed],
    pub captures: &'a [String],
}

/// The values that steps hand on, by number of the capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    values: Vec<Box<[u8]>>,
}

impl Session {
    /// Keeps a value.
    pub fn set(&mut self, capture: usize, value: &[u8]) {
        if self.values.len() <= capture {
            self.values.resize_with(capture + 1, Box::default);
        }
        self.values[capture] = value.into();
    }

    fn get(&self, capture: usize) -> &[u8] {
        self.values.get(capture).map_or(&[], |value| value)
    }
}

/// What a request's values are drawn from. All randomness comes from the seed and the request's number.
pub struct Draw<'a> {
    number: u64,
    lane: u32,
    seed: u64,
    feeds: &'a [Feed],
    session: Option<&'a Session>,
    state: u64,
}

/// The longest `randomString`.
const RANDOM_STRING_MAX: u32 = 65_536;

const KNOWN: &str = "request, worker, uuid, timestamp, timestampUnix, timestampUnixMilli, timestampUnixNano, \
                     randomInt MIN MAX, randomString LENGTH";

impl<'a> Draw<'a> {
    /// Of arrival `number` of the grid, as request `request` of the test, in lane `lane` of the grid.
    pub fn new(
        number: u64,
        request: u32,
        lane: u32,
        seed: u64,
        feeds: &'a [Feed],
        session: Option<&'a Session>,
    ) -> Self {
        let state = split_mix(seed ^ split_mix(number ^ split_mix(u64::from(request))));
        Draw { number, lane, seed, feeds, session, state }
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        split_mix(self.state)
    }
}

impl Template {
    /// Compiles a text. `{{{{` stands for a literal `{{`.
    ///
    /// # Errors
    /// A sentence: the value that does not exist or is not closed, and what there is.
    pub fn compile(text: &str, escape: Escape, names: Names) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            literal.push_str(&rest[..at]);
            rest = &rest[at + 2..];
            if let Some(after) = rest.strip_prefix("{{") {
                literal.push_str("{{");
                rest = after;
                continue;
            }
            let end = rest.find("}}").ok_or_else(|| {
                format!("'{{{{{}' is not closed: write }}}} after it, or {{{{{{{{ for a literal {{{{", clip(rest))
            })?;
            let (expression, after) = (rest[..end].trim(), &rest[end + 2..]);
            rest = after;
            let mut own_escape = escape;
            let bare = expression.strip_prefix('=').filter(|_| escape == Escape::Json);
            if bare.is_some() {
                // The quotes around it go.
                if literal.pop() != Some('"') || !rest.starts_with('"') {
                    return Err(format!(
                        "'{{{{{expression}}}}}' has to be the whole of a JSON string: it takes its place"
                    ));
                }
                rest = &rest[1..];
                own_escape = Escape::None;
            }
            let value = value(bare.unwrap_or(expression).trim(), names)?;
            if !literal.is_empty() {
                segments.push(Segment::Literal(std::mem::take(&mut literal).into_bytes().into()));
            }
            segments.push(Segment::Value(value, own_escape));
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal.into_bytes().into()));
        }
        Ok(Template { segments })
    }

    /// A text that is no template.
    pub fn literal(text: String) -> Self {
        Template::bytes(text.into_bytes())
    }

    /// As [`Template::literal`], of bytes that may be no text.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        let segments = if bytes.is_empty() { vec![] } else { vec![Segment::Literal(bytes.into())] };
        Template { segments }
    }

    /// This one and another one after it.
    pub fn followed_by(mut self, other: Template) -> Self {
        for segment in other.segments {
            match (self.segments.last_mut(), segment) {
                (Some(Segment::Literal(last)), Segment::Literal(next)) => {
                    *last = [&last[..], &next[..]].concat().into()
                }
                (_, segment) => self.segments.push(segment),
            }
        }
        self
    }

    /// The text, if it has no values.
    pub fn fixed(&self) -> Option<&[u8]> {
        match self.segments.as_slice() {
            [] => Some(&[]),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The captures it uses, by number.
    pub fn captures(&self) -> impl Iterator<Item = usize> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Value(Value::Capture(number), _) => Some(*number),
            _ => None,
        })
    }

    /// The feeds it draws from, by number.
    pub fn feeds(&self) -> impl Iterator<Item = usize> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Value(Value::Feed { feed, .. }, _) => Some(*feed),
            _ => None,
        })
    }

    /// Appends the text for one request.
    pub fn write(&self, out: &mut Vec<u8>, draw: &mut Draw) {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => out.extend_from_slice(text),
                Segment::Value(value, escape) => value.write(out, *escape, draw),
            }
        }
    }
}

impl Value {
    fn write(&self, out: &mut Vec<u8>, escape: Escape, draw: &mut Draw) {
        // Writing to a vector can't fail.
        let _ = match self {
            Value::Request => write!(out, "{}", draw.number),
            Value::Worker => write!(out, "{}", draw.lane),
            Value::Uuid => uuid(out, draw.random(), draw.random()),
            Value::Timestamp => write_text(out, escape, jiff::Timestamp::now().to_string().as_bytes()),
            Value::Unix => write!(out, "{}", jiff::Timestamp::now().as_second()),
            Value::UnixMilli => write!(out, "{}", jiff::Timestamp::now().as_millisecond()),
            Value::UnixNano => write!(out, "{}", jiff::Timestamp::now().as_nanosecond()),
            Value::RandomInt(low, high) => {
                let span = (i128::from(*high) - i128::from(*low) + 1) as u128;
                let offset = (u128::from(draw.random()) * span) >> 64;
                write!(out, "{}", i128::from(*low) + offset as i128)
            }
            Value::RandomString(length) => {
                const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
                out.extend((0..*length).map(|_| LETTERS[((u128::from(draw.random()) * 62) >> 64) as usize]));
                Ok(())
            }
            Value::Feed { feed, column } => {
                let value = draw.feeds.get(*feed).map_or("", |feed| feed.value(*column, draw.number, draw.seed));
                write_text(out, escape, value.as_bytes())
            }
            Value::Capture(number) => {
                let value = draw.session.map_or(&[][..], |session| session.get(*number));
                write_text(out, escape, value)
            }
        };
    }
}

fn value(expression: &str, names: Names) -> Result<Value, String> {
    let mut words = expression.split_whitespace();
    let (name, arguments) = (words.next().unwrap_or(""), words.collect::<Vec<_>>());
    let plain = |value: Value| match arguments.as_slice() {
        [] => Ok(value),
        _ => Err(format!("'{name}' takes nothing after it")),
    };
    match (name, arguments.as_slice()) {
        ("request", _) => plain(Value::Request),
        ("worker", _) => plain(Value::Worker),
        ("uuid", _) => plain(Value::Uuid),
        ("timestamp", _) => plain(Value::Timestamp),
        ("timestampUnix", _) => plain(Value::Unix),
        ("timestampUnixMilli", _) => plain(Value::UnixMilli),
        ("timestampUnixNano", _) => plain(Value::UnixNano),
        ("randomInt", [low, high]) => match (low.parse::<i64>(), high.parse::<i64>()) {
            (Ok(low), Ok(high)) if low <= high => Ok(Value::RandomInt(low, high)),
            _ => Err(format!("'{expression}': write randomInt MIN MAX, two whole numbers in order")),
        },
        ("randomString", [length]) => match length.parse::<u32>() {
            Ok(length @ 1..=RANDOM_STRING_MAX) => Ok(Value::RandomString(length)),
            _ => Err(format!("'{expression}': write randomString LENGTH, from 1 to {RANDOM_STRING_MAX}")),
        },
        ("randomInt" | "randomString", _) => {
            Err(format!("'{expression}': write randomInt MIN MAX or randomString LENGTH"))
        }
        _ => named(name, names).ok_or_else(|| unknown(name, names)).and_then(plain),
    }
}

/// A feed's column, or a capture.
fn named(name: &str, names: Names) -> Option<Value> {
    if let Some((feed, column)) = name.split_once('.') {
        let number = names.feeds.iter().position(|own| own.name == feed)?;
        let column = names.feeds[number].columns.iter().position(|own| own == column)?;
        return Some(Value::Feed { feed: number, column });
    }
    names.captures.iter().position(|own| own == name).map(Value::Capture)
}

fn unknown(name: &str, names: Names) -> String {
    let feed = name.split_once('.').and_then(|(feed, _)| names.feeds.iter().find(|own| own.name == feed));
    if let Some(feed) = feed {
        return format!(
            "the feed '{}' has no column '{}': it has {}",
            feed.name,
            &name[feed.name.len() + 1..],
            feed.columns.join(", ")
        );
    }
    let mut known = KNOWN.to_owned();
    for feed in names.feeds {
        feed.columns.iter().for_each(|column| known += &format!(", {}.{column}", feed.name));
    }
    names.captures.iter().for_each(|capture| known += &format!(", {capture}"));
    format!("the template value '{name}' does not exist: there are {known}")
}

fn clip(text: &str) -> &str {
    text.char_indices().nth(20).map_or(text, |(at, _)| &text[..at])
}

/// RFC 9562 §5.4.
fn uuid(out: &mut Vec<u8>, high: u64, low: u64) -> std::io::Result<()> {
    let (high, low) = (high & !0xf000 | 0x4000, low & !(0b11 << 62) | 0b10 << 62);
    let (a, b, c, d, e) = (high >> 32, high >> 16 & 0xffff, high & 0xffff, low >> 48, low & 0xffff_ffff_ffff);
    write!(out, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
}

fn write_text(out: &mut Vec<u8>, escape: Escape, text: &[u8]) -> std::io::Result<()> {
    match escape {
        Escape::None => out.extend_from_slice(text),
        Escape::Url => {
            for byte in text {
                match byte {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(*byte),
                    _ => write!(out, "%{byte:02X}")?,
                }
            }
        }
        Escape::Json => {
            for byte in text {
                match byte {
                    b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                    0..=0x1f => write!(out, "\\u{byte:04x}")?,
                    _ => out.push(*byte),
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::feed::Order;
    use super::*;
    use proptest::prelude::*;

    fn feeds() -> Vec<Feed> {
        let values = vec!["ann \"a\"/1".into(), "bob".into()];
        vec![Feed { name: "users".into(), columns: vec!["name".into()], order: Order::Sequential, values }]
    }

    fn write(text: &str, escape: Escape, number: u64) -> Result<String, String> {
        let (feeds, captures) = (feeds(), vec!["token".to_owned()]);
        let template = Template::compile(text, escape, Names { feeds: &feeds, captures: &captures })?;
        let mut session = Session::default();
        session.set(0, b"s3 cret");
        let mut out = Vec::new();
        template.write(&mut out, &mut Draw::new(number, 0, 3, 7, &feeds, Some(&session)));
        Ok(String::from_utf8(out).unwrap())
    }

    #[track_caller]
    fn check(text: &str, escape: Escape, expected: &str) {
        assert_eq!(write(text, escape, 4).unwrap(), expected, "{text}");
    }

    #[test]
    fn values_stand_where_they_are_named() {
        check("a{{request}}b{{ worker }}", Escape::None, "a4b3");
        check("{{users.name}}|{{token}}", Escape::None, "ann \"a\"/1|s3 cret");
        check("{{{{literal}} }}", Escape::None, "{{literal}} }}");
        check("", Escape::None, "");
    }

    #[test]
    fn values_are_made_to_fit() {
        check("/x?u={{users.name}}", Escape::Url, "/x?u=ann%20%22a%22%2F1");
        check(r#"{"u":"{{users.name}}"}"#, Escape::Json, r#"{"u":"ann \"a\"/1"}"#);
        check(r#"{"n":"{{=request}}","m":"{{request}}"}"#, Escape::Json, r#"{"n":4,"m":"4"}"#);
    }

    #[test]
    fn random_values_have_their_form_and_come_again() {
        let uuid = write("{{uuid}}", Escape::None, 1).unwrap();
        let (version, variant) = (uuid.as_bytes()[14], uuid.as_bytes()[19]);
        assert!(uuid.len() == 36 && version == b'4' && b"89ab".contains(&variant), "{uuid}");
        assert_eq!(write("{{uuid}}", Escape::None, 1).unwrap(), uuid);
        assert_ne!(write("{{uuid}}", Escape::None, 2).unwrap(), uuid);
        let numbers: Vec<i64> =
            (0..500).map(|n| write("{{randomInt -2 2}}", Escape::None, n).unwrap().parse().unwrap()).collect();
        assert!((-2..=2).all(|wanted| numbers.contains(&wanted)) && numbers.iter().all(|n| (-2..=2).contains(n)));
        assert_eq!(write("{{randomString 12}}", Escape::None, 1).unwrap().len(), 12);
        assert!(write("{{timestamp}}", Escape::None, 1).unwrap().ends_with('Z'));
        assert!(write("{{timestampUnixMilli}}", Escape::None, 1).unwrap().len() >= 13);
    }

    #[test]
    fn what_does_not_exist_is_named_with_what_does() {
        for (text, mend) in [
            ("{{nonsense}}", "users.name, token"),
            ("{{users.email}}", "it has name"),
            ("{{request", "not closed"),
            ("{{randomInt 3}}", "MIN MAX"),
            ("{{randomInt 3 2}}", "in order"),
            ("{{randomString 0}}", "from 1"),
            ("{{uuid 3}}", "nothing after"),
            ("{{}}", "does not exist"),
        ] {
            let error = write(text, Escape::None, 0).unwrap_err();
            assert!(error.contains(mend), "{text}: {error}");
        }
        assert!(write(r#"{"a":"x{{=request}}"}"#, Escape::Json, 0).unwrap_err().contains("whole"));
    }

    proptest! {
        #[test]
        fn texts_without_values_stay_as_they_are(text in "[^{]{0,40}") {
            let names = Names { feeds: &[], captures: &[] };
            let template = Template::compile(&text, Escape::Json, names).unwrap();
            prop_assert_eq!(template.fixed(), Some(text.as_bytes()));
        }

        #[test]
        fn json_stays_json(name in "\\PC{0,20}") {
            let feeds = [Feed { name: "f".into(), columns: vec!["c".into()], order: Order::Once, values: vec![name.clone()] }];
            let names = Names { feeds: &feeds, captures: &[] };
            let template = Template::compile(r#"{"a":"{{f.c}}"}"#, Escape::Json, names).unwrap();
            let mut out = Vec::new();
            template.write(&mut out, &mut Draw::new(0, 0, 0, 0, &feeds, None));
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(value["a"].as_str(), Some(name.as_str()));
        }
    }
}
