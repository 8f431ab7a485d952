//! Requests as bytes, written before the load starts; of those with templates everything but the values.

use std::sync::Arc;

use super::grpc::Payload;
use super::hpack;
use super::http2::Reading;
use super::request::{Request, USER_AGENT};
use super::template::{Draw, Escape, Names, Template};

/// A request in the forms that its connections may need.
#[derive(Debug)]
pub struct Prepared {
    pub http1: Http1,
    pub http2: Http2,
    /// How its response is to be read.
    pub reading: Reading,
    /// Of a gRPC call; [`Http2`] has no content of its own then.
    pub payloads: Vec<Payload>,
}

/// For HTTP/1.1.
#[derive(Debug)]
pub enum Http1 {
    Fixed(Vec<u8>),
    Template {
        /// Everything up to the length of the content.
        head: Template,
        body: Template,
        /// Whether the length is named even if it is 0.
        anticipates: bool,
    },
}

/// For HTTP/2.
#[derive(Debug)]
pub enum Http2 {
    Fixed { block: Vec<u8>, content: Arc<[u8]> },
    Template { fields: Vec<Field>, body: Template, anticipates: bool },
}

/// A piece of a block of fields.
#[derive(Debug)]
pub enum Field {
    Encoded(Vec<u8>),
    Template(Vec<u8>, Template),
}

impl Prepared {
    /// Compiles a request. With `close` its connection ends with it.
    ///
    /// # Errors
    /// A template that does not compile, and where it stands.
    pub fn new(request: &Request, names: Names, close: bool) -> Result<Self, String> {
        let grpc = request.grpc.as_ref();
        let streams = grpc.is_some_and(|grpc| grpc.kind != super::grpc::Kind::Unary);
        let payload = |message| Payload::compile(message, names).map_err(|error| format!("data: {error}"));
        let needs_content = request.checks.iter().any(super::check::Check::needs_content);
        Ok(Prepared {
            http1: Http1::new(request, names, close)?,
            http2: Http2::new(request, names)?,
            reading: Reading {
                keep: needs_content || !request.captures.is_empty(),
                messages: grpc.is_some(),
                announce: streams,
                head_request: request.method == "HEAD",
            },
            payloads: grpc.map_or(Ok(vec![]), |grpc| grpc.messages.iter().map(payload).collect())?,
        })
    }
}

/// All templates of a request, compiled.
///
/// # Errors
/// As [`Prepared::new`].
pub fn templates(request: &Request, names: Names) -> Result<Vec<Template>, String> {
    let texts = Texts::new(request, names)?;
    let mut all = vec![texts.target, texts.body];
    all.extend(texts.headers.into_iter().map(|(_, value)| value));
    let messages = request.grpc.iter().flat_map(|grpc| &grpc.messages);
    for message in messages {
        message.templates(names, &mut all).map_err(|error| format!("data: {error}"))?;
    }
    Ok(all)
}

/// The templates of a request's parts, whether or not they have values.
struct Texts {
    target: Template,
    headers: Vec<(String, Template)>,
    body: Template,
}

impl Texts {
    fn new(request: &Request, names: Names) -> Result<Self, String> {
        let compile = |text: &str, escape, place: &str| {
            let text = if request.templated { text.to_owned() } else { text.replace("{{", "{{{{") };
            Template::compile(&text, escape, names).map_err(|error| format!("{place}: {error}"))
        };
        let header = |(name, value): &(String, String)| {
            let template = compile(value, Escape::None, &format!("header {name}"))?;
            // A line's end in a value would become one in the head.
            for feed in template.feeds().filter_map(|feed| names.feeds.get(feed)) {
                if feed.values.iter().any(|value| value.bytes().any(|byte| byte < 0x20)) {
                    let feed = &feed.name;
                    return Err(format!(
                        "header {name}: the feed '{feed}' has values of several lines, which no header can carry"
                    ));
                }
            }
            Ok((name.clone(), template))
        };
        let escape = if request.json { Escape::Json } else { Escape::None };
        let body = match std::str::from_utf8(&request.body) {
            Ok(text) if request.body_templated => {
                Template::compile(text, escape, names).map_err(|error| format!("body: {error}"))?
            }
            _ => Template::compile("", escape, names)?,
        };
        Ok(Texts {
            target: compile(&request.target, Escape::Url, "url")?,
            headers: request.headers.iter().map(header).collect::<Result<_, String>>()?,
            body,
        })
    }

    fn are_fixed(&self) -> bool {
        self.target.fixed().is_some()
            && self.body.fixed().is_some()
            && self.headers.iter().all(|(_, value)| value.fixed().is_some())
    }
}

impl Http1 {
    /// RFC 9112 §3. Headers of the test come last and win over ours.
    fn new(request: &Request, names: Names, close: bool) -> Result<Self, String> {
        let texts = Texts::new(request, names)?;
        // Texts without values have to survive being compiled once more.
        let own = |text: &str| if request.templated { text.to_owned() } else { text.replace("{{", "{{{{") };
        let mut head = format!("{} ", request.method);
        // The target's values are percent-encoded, the others' are not: it is compiled apart.
        let target = texts.target;
        let mut rest = " HTTP/1.1\r\n".to_owned();
        if !request.sets("host") {
            rest += &format!("Host: {}\r\n", request.authority());
        }
        if !request.sets("user-agent") {
            rest += &format!("User-Agent: {USER_AGENT}\r\n");
        }
        for (name, value) in &request.headers {
            rest += &format!("{name}: {}\r\n", own(value));
        }
        if close && !request.sets("connection") {
            rest += "Connection: close\r\n";
        }
        let rest = Template::compile(&rest, Escape::None, names)?;
        let head_template = Template::literal(std::mem::take(&mut head)).followed_by(target).followed_by(rest);
        let anticipates = request.anticipates_content();
        if !request.body_templated && !request.body.is_empty() {
            // Content without values, maybe no text at all, is taken as it is.
            let body = Template::bytes(request.body.clone());
            return Ok(Http1::settled(head_template, body, anticipates));
        }
        Ok(Http1::settled(head_template, texts.body, anticipates))
    }

    fn settled(head: Template, body: Template, anticipates: bool) -> Self {
        let template = Http1::Template { head, body, anticipates };
        let Http1::Template { head, body, .. } = &template else { return template };
        if head.fixed().is_none() || body.fixed().is_none() {
            return template;
        }
        let mut bytes = Vec::new();
        template.write(&mut bytes, &mut Draw::new(0, 0, 0, 0, &[], None), &mut Vec::new());
        Http1::Fixed(bytes)
    }

    /// Appends the request. `scratch` is empty, and is so again afterwards.
    pub fn write(&self, out: &mut Vec<u8>, draw: &mut Draw, scratch: &mut Vec<u8>) {
        match self {
            Http1::Fixed(bytes) => out.extend_from_slice(bytes),
            Http1::Template { head, body, anticipates } => {
                head.write(out, draw);
                body.write(scratch, draw);
                if *anticipates || !scratch.is_empty() {
                    out.extend_from_slice(b"Content-Length: ");
                    decimal(out, scratch.len());
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(b"\r\n");
                out.append(scratch);
            }
        }
    }
}

impl Http2 {
    /// RFC 9113 §8.3.1.
    fn new(request: &Request, names: Names) -> Result<Self, String> {
        let texts = Texts::new(request, names)?;
        let scheme = if request.tls.is_some() { "https" } else { "http" };
        let host = texts.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let authority = host.map_or_else(|| Template::literal(request.authority()), |(_, value)| value.clone());
        let literal = |name: &str, value: &str| (name.to_owned(), Template::literal(value.to_owned()));
        let mut fields = vec![
            literal(":method", &request.method),
            literal(":scheme", scheme),
            (":path".to_owned(), texts.target.clone()),
            (":authority".to_owned(), authority),
        ];
        if !request.sets("user-agent") {
            fields.push(literal("user-agent", USER_AGENT));
        }
        if let Some(grpc) = &request.grpc {
            fields.push(literal("te", "trailers"));
            fields.push(literal("content-type", "application/grpc"));
            if let Some(deadline) = grpc.deadline_ns {
                fields.push(literal("grpc-timeout", &timeout(deadline)));
            }
        }
        for (name, value) in &texts.headers {
            let name = name.to_ascii_lowercase();
            // RFC 9113 §8.2.2: fields of HTTP/1.1's connections have no place here.
            if !matches!(name.as_str(), "host" | "connection" | "keep-alive" | "proxy-connection" | "upgrade") {
                fields.push((name, value.clone()));
            }
        }
        let anticipates = request.anticipates_content() && request.grpc.is_none();
        let content: Arc<[u8]> = match texts.body.fixed() {
            Some(_) if !request.body_templated => request.body.as_slice().into(),
            Some(fixed) => fixed.into(),
            None => Arc::default(),
        };
        if texts.are_fixed() {
            let mut block = Vec::new();
            for (name, value) in &fields {
                hpack::encode(&mut block, name.as_bytes(), value.fixed().unwrap_or_default());
            }
            content_length(&mut block, content.len(), anticipates);
            return Ok(Http2::Fixed { block, content });
        }
        let field = |(name, value): (String, Template)| match value.fixed() {
            Some(fixed) => {
                let mut encoded = Vec::new();
                hpack::encode(&mut encoded, name.as_bytes(), fixed);
                Field::Encoded(encoded)
            }
            None => Field::Template(name.into_bytes(), value),
        };
        let body = if content.is_empty() { texts.body } else { Template::bytes(content.to_vec()) };
        Ok(Http2::Template { fields: fields.into_iter().map(field).collect(), body, anticipates })
    }

    /// Of a templated request: its block of fields into `block`, its content into `content`; both empty before.
    pub fn write(&self, block: &mut Vec<u8>, content: &mut Vec<u8>, draw: &mut Draw) {
        let Http2::Template { fields, body, anticipates } = self else { return };
        for field in fields {
            match field {
                Field::Encoded(bytes) => block.extend_from_slice(bytes),
                Field::Template(name, value) => {
                    // The value is written where the content will be, for want of another place.
                    value.write(content, draw);
                    hpack::encode(block, name, content);
                    content.clear();
                }
            }
        }
        body.write(content, draw);
        content_length(block, content.len(), *anticipates);
    }
}

fn content_length(block: &mut Vec<u8>, length: usize, anticipates: bool) {
    if length > 0 || anticipates {
        let mut text = Vec::with_capacity(20);
        decimal(&mut text, length);
        hpack::encode(block, b"content-length", &text);
    }
}

fn decimal(out: &mut Vec<u8>, mut value: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// gRPC's timeout: at most eight digits and a unit (the gRPC documentation's PROTOCOL-HTTP2 page).
fn timeout(ns: u64) -> String {
    const UNITS: [(u64, char); 4] = [(1, 'n'), (1_000, 'u'), (1_000_000, 'm'), (1_000_000_000, 'S')];
    let fits = UNITS.iter().find(|(unit, _)| ns.div_ceil(*unit) < 100_000_000);
    let (unit, letter) = fits.copied().unwrap_or((1_000_000_000, 'S'));
    format!("{}{letter}", ns.div_ceil(unit).min(99_999_999))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::feed::{Feed, Order};

    fn get(port: u16) -> Request {
        Request { method: "GET".into(), host: "hello.test".into(), port, target: "/a?b=1".into(), ..Request::default() }
    }

    fn feeds() -> Vec<Feed> {
        vec![Feed { name: "f".into(), columns: vec!["c".into()], order: Order::Sequential, values: vec!["a b".into()] }]
    }

    fn http1(request: &Request) -> String {
        let feeds = feeds();
        let prepared = Prepared::new(request, Names { feeds: &feeds, captures: &[] }, false).unwrap();
        let mut out = Vec::new();
        prepared.http1.write(&mut out, &mut Draw::new(5, 0, 0, 0, &feeds, None), &mut Vec::new());
        String::from_utf8(out).unwrap()
    }

    fn http2(request: &Request) -> (Vec<(String, String)>, Vec<u8>) {
        let feeds = feeds();
        let prepared = Prepared::new(request, Names { feeds: &feeds, captures: &[] }, false).unwrap();
        let (mut own_block, mut own_content) = (Vec::new(), Vec::new());
        prepared.http2.write(&mut own_block, &mut own_content, &mut Draw::new(5, 0, 0, 0, &feeds, None));
        if let Http2::Fixed { block, content } = &prepared.http2 {
            (own_block, own_content) = (block.clone(), content.to_vec());
        }
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        hpack::Decoder::new(10_000).decode(&own_block, |name, value| fields.push((text(name), text(value)))).unwrap();
        (fields, own_content)
    }

    fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
        fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_get_names_its_host_and_has_no_length() {
        let expected = format!("GET /a?b=1 HTTP/1.1\r\nHost: hello.test:8080\r\nUser-Agent: {USER_AGENT}\r\n\r\n");
        assert_eq!(http1(&get(8080)), expected);
        let (fields, content) = http2(&get(8080));
        let first: Vec<&str> = fields.iter().take(4).map(|(_, value)| value.as_str()).collect();
        assert_eq!(first, ["GET", "http", "/a?b=1", "hello.test:8080"]);
        assert_eq!((field(&fields, "content-length"), content.len()), (None, 0));
    }

    #[test]
    fn own_headers_replace_ours() {
        let headers = vec![
            ("HOST".into(), "other".into()),
            ("user-agent".into(), "me".into()),
            ("Connection".into(), "x".into()),
        ];
        let request = Request { headers, ..get(80) };
        assert_eq!(http1(&request), "GET /a?b=1 HTTP/1.1\r\nHOST: other\r\nuser-agent: me\r\nConnection: x\r\n\r\n");
        let (fields, _) = http2(&request);
        assert_eq!((field(&fields, ":authority"), field(&fields, "host")), (Some("other"), None));
        assert_eq!((field(&fields, "user-agent"), field(&fields, "connection")), (Some("me"), None));
    }

    #[test]
    fn content_has_a_length_even_when_empty() {
        let post = Request { method: "POST".into(), ..get(80) };
        assert!(http1(&post).contains("Content-Length: 0\r\n"));
        assert_eq!(field(&http2(&post).0, "content-length"), Some("0"));
        // Bytes that are no text, and braces that are no template.
        for body in [&b"\xff{{xy"[..], b"{{hey"] {
            let request = Request { body: body.to_vec(), ..post.clone() };
            let prepared = Prepared::new(&request, Names { feeds: &[], captures: &[] }, false).unwrap();
            let Http1::Fixed(bytes) = &prepared.http1 else { panic!() };
            assert!(bytes.ends_with(&[b"Content-Length: 5\r\n\r\n", body].concat()));
            assert_eq!(http2(&request).1, body);
        }
    }

    #[test]
    fn values_stand_in_every_part_and_the_length_follows() {
        let request = Request {
            method: "POST".into(),
            target: "/{{f.c}}/{{request}}".into(),
            headers: vec![("X-N".into(), "n{{request}}".into())],
            body: br#"{"v":"{{f.c}}"}"#.to_vec(),
            templated: true,
            body_templated: true,
            json: true,
            ..get(80)
        };
        let text = http1(&request);
        assert!(text.starts_with("POST /a%20b/5 HTTP/1.1\r\n") && text.contains("X-N: n5\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 11\r\n\r\n{\"v\":\"a b\"}"), "{text}");
        let (fields, content) = http2(&request);
        assert_eq!((field(&fields, ":path"), field(&fields, "x-n")), (Some("/a%20b/5"), Some("n5")));
        assert_eq!((field(&fields, "content-length"), content), (Some("11"), b"{\"v\":\"a b\"}".to_vec()));
    }

    #[test]
    fn a_template_names_where_it_does_not_compile() {
        let request = Request { headers: vec![("A".into(), "{{no}}".into())], templated: true, ..get(80) };
        let error = Prepared::new(&request, Names { feeds: &[], captures: &[] }, false).unwrap_err();
        assert!(error.starts_with("header A: "), "{error}");
    }

    #[test]
    fn timeouts_of_calls_have_eight_digits_at_most() {
        assert_eq!(timeout(50_000_000), "50000000n");
        assert_eq!(timeout(1_000_000_000), "1000000u");
        assert_eq!(timeout(600_000_000_000), "600000m");
    }
}
