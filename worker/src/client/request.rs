//! A request of the test as it travels from the test's file to the lanes: texts, not yet bytes.

use loadgrid_proto::v1;

use super::check::{Capture, Check};
use super::grpc::Grpc;
use super::secure::{Tls, Version};

/// The product token that goes out unless the test sets a User-Agent of its own.
pub const USER_AGENT: &str = concat!("loadgrid/", env!("CARGO_PKG_VERSION"));

/// A named HTTP request or gRPC call of the test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub name: String,
    /// 0: never drawn, but the step that follows another one.
    pub weight: u32,
    pub method: String,
    pub host: String,
    pub port: u16,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Inclusive ranges of statuses that count as errors.
    pub error_ranges: Vec<(u16, u16)>,
    pub version: Version,
    /// `None`: cleartext.
    pub tls: Option<Tls>,
    /// Where the socket goes, if not to host and port.
    pub connect_to: Option<(String, u16)>,
    /// What Host and :authority say, if not host and port.
    pub authority: Option<String>,
    /// Whether target, headers and messages are templates.
    pub templated: bool,
    pub body_templated: bool,
    /// The body is JSON.
    pub json: bool,
    pub checks: Vec<Check>,
    pub captures: Vec<Capture>,
    /// The request that follows with what this one captured.
    pub next: Option<u32>,
    pub grpc: Option<Grpc>,
}

impl Request {
    /// Whether a response with this status is an error.
    pub fn is_error(&self, status: u16) -> bool {
        self.error_ranges.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// Whether a header field is set by the test.
    pub fn sets(&self, name: &str) -> bool {
        self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }

    /// Whether the request says how long its content is, even when there is none (RFC 9110 §8.6).
    pub fn anticipates_content(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PUT" | "PATCH")
    }

    /// Host and port as in a Host header: without the default port, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if let Some(authority) = &self.authority {
            return authority.clone();
        }
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.tls.is_some() { 443 } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }

    /// Where the socket goes.
    pub fn connects_to(&self) -> (&str, u16) {
        self.connect_to.as_ref().map_or((self.host.as_str(), self.port), |(host, port)| (host.as_str(), *port))
    }
}

impl TryFrom<v1::Request> for Request {
    type Error = String;

    fn try_from(message: v1::Request) -> Result<Self, String> {
        let version = match message.version() {
            v1::request::Version::Http11 => Version::Http1,
            v1::request::Version::Http2 => Version::Http2,
            v1::request::Version::Auto => Version::Auto,
        };
        let filled = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Request {
            name: message.name,
            weight: message.weight,
            method: message.method,
            host: message.host,
            port: message.port as u16,
            target: message.target,
            headers: message.headers.into_iter().map(|header| (header.name, header.value)).collect(),
            body: message.body,
            error_ranges: message.error_ranges.iter().map(|range| (range.first as u16, range.last as u16)).collect(),
            version,
            tls: message.tls.map(Tls::from),
            connect_to: filled(message.connect_host).map(|host| (host, message.connect_port as u16)),
            authority: filled(message.authority),
            templated: message.templated,
            body_templated: message.body_templated,
            json: message.json,
            checks: message.checks.into_iter().map(Check::try_from).collect::<Result<_, _>>()?,
            captures: message.captures.into_iter().map(Capture::try_from).collect::<Result<_, _>>()?,
            next: message.next.checked_sub(1),
            grpc: message.grpc.map(Grpc::from),
        })
    }
}

impl From<&Request> for v1::Request {
    fn from(request: &Request) -> Self {
        let version = match request.version {
            Version::Http1 => v1::request::Version::Http11,
            Version::Http2 => v1::request::Version::Http2,
            Version::Auto => v1::request::Version::Auto,
        };
        let (connect_host, connect_port) = request.connect_to.clone().unwrap_or_default();
        let range = |(first, last): &(u16, u16)| v1::StatusRange { first: u32::from(*first), last: u32::from(*last) };
        let header = |(name, value): &(String, String)| v1::Header { name: name.clone(), value: value.clone() };
        v1::Request {
            name: request.name.clone(),
            weight: request.weight,
            method: request.method.clone(),
            host: request.host.clone(),
            port: u32::from(request.port),
            target: request.target.clone(),
            headers: request.headers.iter().map(header).collect(),
            body: request.body.clone(),
            error_ranges: request.error_ranges.iter().map(range).collect(),
            version: version as i32,
            tls: request.tls.as_ref().map(v1::Tls::from),
            connect_host,
            connect_port: u32::from(connect_port),
            authority: request.authority.clone().unwrap_or_default(),
            templated: request.templated,
            body_templated: request.body_templated,
            json: request.json,
            checks: request.checks.iter().map(v1::Check::from).collect(),
            captures: request.captures.iter().map(v1::Capture::from).collect(),
            next: request.next.map_or(0, |next| next + 1),
            grpc: request.grpc.as_ref().map(v1::Grpc::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::check::Source;

    #[test]
    fn authorities_leave_out_the_default_port() {
        let to = |host: &str, port| Request { host: host.into(), port, ..Request::default() };
        assert_eq!(to("hello.test", 80).authority(), "hello.test");
        assert_eq!(to("::1", 81).authority(), "[::1]:81");
        let secure = Request { tls: Some(Tls::default()), ..to("hello.test", 443) };
        assert_eq!(secure.authority(), "hello.test");
        assert_eq!(Request { authority: Some("other".into()), ..secure }.authority(), "other");
    }

    #[test]
    fn statuses_fall_into_inclusive_ranges() {
        let request = Request { error_ranges: vec![(400, 599)], ..Request::default() };
        assert!(request.is_error(400) && request.is_error(599));
        assert!(!request.is_error(399) && !request.is_error(600));
    }

    #[test]
    fn survives_the_wire() {
        let request = Request {
            headers: vec![("A".into(), "b".into())],
            body: vec![1, 2],
            version: Version::Auto,
            tls: Some(Tls { server_name: Some("x".into()), identity: Some((vec![1], vec![2])), ..Tls::default() }),
            connect_to: Some(("c".into(), 7)),
            next: Some(0),
            checks: vec![Check::Status(200, 299)],
            captures: vec![Capture { into: 0, from: Source::Json("/a".into()) }],
            templated: true,
            body_templated: true,
            ..Request::default()
        };
        assert_eq!(Request::try_from(v1::Request::from(&request)), Ok(request));
    }
}
