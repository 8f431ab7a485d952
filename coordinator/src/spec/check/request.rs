//! One HTTP request of a draft, and what it has in common with a gRPC call.

use loadgrid_worker::client::check::{Capture, Check, Rule, Source};
use loadgrid_worker::client::grpc::code_number;
use loadgrid_worker::client::request::Request;
use loadgrid_worker::client::secure::{Secure, Tls, Version};
use url::Url;

use super::{Base, Checked, optional, required};
use crate::spec::complete::Pending;
use crate::spec::draft::{BodySource, DraftBody, DraftCheck, DraftRequest, DraftTls, Sourced};
use crate::spec::{Place, SpecError};

const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A request, its URL as written, and what is still to be fetched.
pub(super) struct Checkup {
    pub request: Request,
    pub url: String,
    pub pending: Option<Pending>,
}

/// Checks an HTTP request. `number` is where it will stand among the test's.
pub(super) fn http(draft: &DraftRequest, number: usize, base: Base) -> Checked<Checkup> {
    let place = || draft.place.clone().unwrap_or(Place::Test);
    let Some(url_text) = &draft.url else { return Err(SpecError::new(place(), "the request has no url")) };
    let (url, target) = required(url_text, |text| check_url(text, base))?;
    let secure = url.scheme() == "https";
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let version = version(draft, secure)?;
    let tls = match (secure, &draft.tls) {
        (true, tls) => Some(self::tls(tls.as_ref(), version, &host, base)?),
        (false, None) => None,
        (false, Some(tls)) => {
            return Err(SpecError::new(
                tls.place.clone(),
                format!("tls needs https: write {}", url_text.value.replacen("http:", "https:", 1)),
            ));
        }
    };
    let body = draft.body.as_ref().map(|body| self::body(body, number, base)).transpose()?.unwrap_or_default();
    let mut headers = headers(draft, base)?;
    if let Some(content_type) = body.content_type.filter(|_| !has(&headers, "content-type")) {
        headers.push(("Content-Type".to_owned(), content_type));
    }
    let has_body = !body.bytes.is_empty() || body.pending.is_some();
    let checks = checks(draft, false)?;
    let request = Request {
        method: method(draft, has_body)?,
        host,
        port: url.port_or_known_default().unwrap_or(80),
        templated: target.contains("{{") || headers.iter().any(|(_, value)| value.contains("{{")),
        target,
        headers,
        body: body.bytes,
        body_templated: body.templated,
        json: body.json,
        error_ranges: error_ranges(draft, &checks)?,
        version,
        tls,
        connect_to: optional(&draft.connect_to, host_port)?,
        checks,
        ..Request::default()
    };
    Ok(Checkup { request, url: url_text.value.clone(), pending: body.pending })
}

fn has(headers: &[(String, String)], name: &str) -> bool {
    headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
}

/// `host:port`, an IPv6 address in brackets.
pub(super) fn host_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("'{text}' is not host:port: write such as 127.0.0.1:8080 or [::1]:8080");
    let (host, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bracketed.unwrap_or(host);
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if host.is_empty() || port == 0 || host.contains('/') || (bracketed.is_none() && host.contains(':')) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

fn version(draft: &DraftRequest, secure: bool) -> Checked<Version> {
    let parse = |text: &str| match text.trim() {
        "1.1" | "1" => Ok(Version::Http1),
        "2" | "2.0" => Ok(Version::Http2),
        "auto" => Ok(Version::Auto),
        _ => Err(format!("version '{text}' is not known: write 1.1, 2 or auto")),
    };
    let default = if secure { Version::Auto } else { Version::Http1 };
    Ok(optional(&draft.version, parse)?.unwrap_or(default))
}

/// Reads the files that TLS names, and sees whether they fit together.
pub(super) fn tls(draft: Option<&Sourced<DraftTls>>, version: Version, host: &str, base: Base) -> Checked<Tls> {
    let Some(Sourced { value: draft, place }) = draft else { return Ok(Tls::default()) };
    let identity = match (&draft.cert, &draft.key) {
        (Some(cert), Some(key)) => Some((base.read(cert)?, base.read(key)?)),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            return Err(SpecError::new(one.place.clone(), "a client certificate needs both cert and key"));
        }
    };
    let tls = Tls {
        ca: draft.ca.as_ref().map(|ca| base.read(ca)).transpose()?.unwrap_or_default(),
        identity,
        server_name: draft.server_name.as_ref().map(|name| name.value.clone()),
        insecure_skip_verify: draft.insecure_skip_verify,
    };
    if draft.ca.is_some() || tls.identity.is_some() || tls.server_name.is_some() {
        Secure::new(&tls, version, host).map_err(|error| SpecError::new(place.clone(), error))?;
    }
    Ok(tls)
}

#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    templated: bool,
    json: bool,
    content_type: Option<String>,
    pending: Option<Pending>,
}

fn body(draft: &DraftBody, number: usize, base: Base) -> Checked<Body> {
    let resolve = |text: &str| base.resolve(text).map_err(|error| SpecError::new(draft.place.clone(), error));
    let mut body = match &draft.source {
        BodySource::Text(text) => Body { bytes: resolve(text)?.into_bytes(), templated: true, ..Body::default() },
        BodySource::Json(json) => Body {
            bytes: resolve(&json.to_string())?.into_bytes(),
            templated: true,
            json: true,
            content_type: Some("application/json".to_owned()),
            ..Body::default()
        },
        BodySource::File(path) => {
            let path = Sourced { value: path.clone(), place: draft.place.clone() };
            Body { bytes: base.read(&path)?, templated: draft.template, ..Body::default() }
        }
        BodySource::Url(url) => Body {
            pending: Some(Pending::Body { request: number, url: resolve(url)?, place: draft.place.clone() }),
            templated: draft.template,
            ..Body::default()
        },
    };
    if body.pending.is_none() {
        body.templated &= body.bytes.windows(2).any(|pair| pair == b"{{");
    }
    if let Some(content_type) = &draft.content_type {
        body.content_type = Some(content_type.value.clone());
    }
    if body.bytes.len() > BODY_BYTES_MAX {
        let message = format!("a body of {} bytes is over the bound of {BODY_BYTES_MAX}", body.bytes.len());
        return Err(SpecError::new(draft.place.clone(), message));
    }
    Ok(body)
}

/// A URL, and its path and query with their templates as they were written.
fn check_url(text: &str, base: Base) -> Result<(Url, String), String> {
    let resolved = base.resolve(text)?;
    if !resolved.contains("://") {
        return Err(format!("'{text}' has no scheme: write http://{text}"));
    }
    // The parser would take what follows three slashes for the host.
    let rest = resolved.split_once("://").map_or("", |(_, rest)| rest);
    if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
        return Err(format!("'{text}' has no host: write http://HOST/PATH"));
    }
    if rest.split(['/', '?']).next().is_some_and(|authority| authority.contains("{{")) {
        return Err(format!("'{text}': the host can't be a template; name one request for each host"));
    }
    let (plain, templates) = without_templates(&resolved)?;
    let url = Url::parse(&plain)
        .map_err(|error| format!("'{text}' is not a URL ({error}): write http://HOST[:PORT]/PATH"))?;
    match url.scheme() {
        "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
            return Err("a user in the URL is not sent: write a header Authorization instead".to_owned());
        }
        "http" | "https" => {}
        scheme => return Err(format!("'{text}': the scheme {scheme} is not supported: write http:// or https://")),
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut target = format!("{}{query}", url.path());
    for (number, template) in templates.iter().enumerate() {
        target = target.replacen(&stand_in(number), template, 1);
    }
    Ok((url, target))
}

/// What stands for a template while the URL is parsed: letters and digits, which no part of a URL changes.
fn stand_in(number: usize) -> String {
    format!("x0template{number}x0")
}

fn without_templates(text: &str) -> Result<(String, Vec<String>), String> {
    let (mut plain, mut templates, mut rest) = (String::new(), Vec::new(), text);
    while let Some(at) = rest.find("{{") {
        let length = if rest[at..].starts_with("{{{{") {
            4
        } else {
            let end = rest[at..].find("}}");
            end.ok_or_else(|| format!("'{text}': a template is not closed: write }}}} after it"))? + 2
        };
        plain += &rest[..at];
        plain += &stand_in(templates.len());
        templates.push(rest[at..at + length].to_owned());
        rest = &rest[at + length..];
    }
    plain += rest;
    Ok((plain, templates))
}

fn method(draft: &DraftRequest, has_body: bool) -> Checked<String> {
    let Some(method) = &draft.method else { return Ok(if has_body { "POST" } else { "GET" }.to_owned()) };
    let name = method.value.trim().to_ascii_uppercase();
    // RFC 9110 §9.1: a token. CONNECT turns the connection into a tunnel.
    if name.is_empty() || name == "CONNECT" || !name.chars().all(|c| c.is_ascii_alphabetic() || c == '-') {
        let message = format!("'{}' is not a method to test with: write GET, POST, PUT, DELETE, …", method.value);
        return Err(SpecError::new(method.place.clone(), message));
    }
    Ok(name)
}

fn headers(draft: &DraftRequest, base: Base) -> Checked<Vec<(String, String)>> {
    let mut headers = Vec::with_capacity(draft.headers.len());
    for (name, value) in &draft.headers {
        // Framing is ours: a length that does not fit the body would be the end of the connection.
        if ["content-length", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
            let message = format!("the header {name} follows from the body: leave it out");
            return Err(SpecError::new(value.place.clone(), message));
        }
        headers.push((name.clone(), header_value(name, value, base)?));
    }
    Ok(headers)
}

/// The value of a header or of a gRPC call's metadata, with its secrets.
pub(super) fn header_value(name: &str, value: &Sourced, base: Base) -> Checked<String> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) {
        let message = format!("'{name}' is not a header's name (RFC 9110 §5.6.2)");
        return Err(SpecError::new(value.place.clone(), message));
    }
    let resolved = required(value, |text| base.resolve(text))?;
    if resolved.chars().any(|c| c.is_control() && c != '\t') {
        let message = format!("the value of header {name} has a control character");
        return Err(SpecError::new(value.place.clone(), message));
    }
    Ok(resolved.trim().to_owned())
}

pub(super) fn status_range(text: &str) -> Result<(u16, u16), String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
        (Ok(first), Ok(last)) if (100..=999).contains(&first) && first <= last => Ok((first, last.min(999))),
        _ => Err(format!("'{text}' is not a range of statuses: write 404 or 400-599")),
    }
}

/// A test that says which status it wants has said which are errors.
fn error_ranges(draft: &DraftRequest, checks: &[Check]) -> Checked<Vec<(u16, u16)>> {
    match &draft.error_statuses {
        Some(ranges) => ranges.iter().map(|range| required(range, status_range)).collect(),
        None if checks.iter().any(|check| matches!(check, Check::Status(..))) => Ok(Vec::new()),
        None => Ok(vec![(400, 999)]),
    }
}

pub(super) fn checks(draft: &DraftRequest, grpc: bool) -> Checked<Vec<Check>> {
    let checked = draft
        .checks
        .iter()
        .map(|check| self::check(&check.value, grpc).map_err(|message| SpecError::new(check.place.clone(), message)));
    checked.collect()
}

fn check(draft: &DraftCheck, grpc: bool) -> Result<Check, String> {
    let DraftCheck { status, header, equals, contains, body_contains, json, grpc_code } = draft;
    if equals.is_some() && contains.is_some() {
        return Err("a check has either equals or contains".to_owned());
    }
    match (status, header, body_contains, json, grpc_code) {
        (None, None, None, None, Some(code)) if grpc => code_number(code)
            .map(Check::GrpcCode)
            .ok_or_else(|| format!("'{code}' is no gRPC status code: write OK, NOT_FOUND, UNAVAILABLE, …")),
        (None, None, None, None, Some(_)) => Err("grpcCode is for gRPC calls; write status".to_owned()),
        (Some(_), None, None, None, None) if grpc => Err("status is for HTTP requests; write grpcCode".to_owned()),
        (_, _, Some(_), _, _) | (_, _, _, Some(_), _) if grpc => {
            Err("a gRPC response is not looked into: check its grpcCode or a header".to_owned())
        }
        (Some(status), None, None, None, None) if equals.is_none() && contains.is_none() => {
            status_range(status).map(|(first, last)| Check::Status(first, last))
        }
        (None, Some(_), None, None, None)
            if equals.as_ref().is_some_and(|v| v == "") || contains.as_deref() == Some("") =>
        {
            Err("an empty text: leave equals and contains out to ask whether the header is there".to_owned())
        }
        (None, Some(name), None, None, None) => {
            let rule = match (equals, contains) {
                (Some(serde_json::Value::String(text)), _) => Rule::Equals(text.clone()),
                (Some(other), _) => Rule::Equals(other.to_string()),
                (None, Some(text)) => Rule::Contains(text.clone()),
                (None, None) => Rule::Present,
            };
            Ok(Check::Header { name: name.clone(), rule })
        }
        (None, None, Some(text), None, None) if text.is_empty() => Err("an empty text is in every body".to_owned()),
        (None, None, Some(text), None, None) if equals.is_none() && contains.is_none() => {
            Ok(Check::BodyContains(text.clone()))
        }
        (None, None, None, Some(pointer), None) => {
            check_pointer(pointer)?;
            let equals = equals.clone().ok_or("a check of json needs equals: what is to be there")?;
            Ok(Check::Json { pointer: pointer.clone(), equals })
        }
        _ => Err("a check is one of status, header (with equals or contains), bodyContains, json with equals, \
                  grpcCode"
            .to_owned()),
    }
}

/// RFC 6901 §3.
fn check_pointer(pointer: &str) -> Result<(), String> {
    if pointer.is_empty() || pointer.starts_with('/') {
        Ok(())
    } else {
        Err(format!("'{pointer}' is no JSON pointer: write /{pointer}"))
    }
}

/// A capture's source, such as `json /access_token`; `into` is its number.
pub(super) fn capture(text: &Sourced, into: usize, grpc: bool) -> Checked<Capture> {
    let parse = |text: &str| match text.trim().split_once(char::is_whitespace) {
        Some(("json", _)) if grpc => {
            Err("a gRPC response is not looked into: capture one of its headers, as header NAME".to_owned())
        }
        Some(("json", pointer)) => {
            check_pointer(pointer.trim())?;
            Ok(Source::Json(pointer.trim().to_owned()))
        }
        Some(("header", name)) => Ok(Source::Header(name.trim().to_owned())),
        _ => Err(format!("'{text}' is no source of a value: write json /POINTER or header NAME")),
    };
    Ok(Capture { into, from: required(text, parse)? })
}
