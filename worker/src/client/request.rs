//! A request of the test, and its bytes on the wire, written once before the load starts.

use loadgrid_proto::v1;

/// The product token that goes out unless the test sets a User-Agent of its own.
pub const USER_AGENT: &str = concat!("loadgrid/", env!("CARGO_PKG_VERSION"));

/// A named HTTP request of the test.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub name: String,
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
}

impl Request {
    /// Whether a response with this status is an error.
    pub fn is_error(&self, status: u16) -> bool {
        self.error_ranges.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// The request's bytes, HTTP/1.1 (RFC 9112 §3). Headers of the test come last and win over ours.
    pub fn encode(&self) -> Vec<u8> {
        let sets = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !sets("host") {
            head += &format!("Host: {}\r\n", self.authority());
        }
        if !sets("user-agent") {
            head += &format!("User-Agent: {USER_AGENT}\r\n");
        }
        // RFC 9110 §8.6: a method that anticipates content says so even when there is none.
        let anticipates = matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        if !sets("content-length") && (!self.body.is_empty() || anticipates) {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Host and port as in a Host header: without the default port, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }
}

impl From<v1::Request> for Request {
    fn from(message: v1::Request) -> Self {
        Request {
            name: message.name,
            weight: message.weight,
            method: message.method,
            host: message.host,
            port: message.port as u16,
            target: message.target,
            headers: message.headers.into_iter().map(|header| (header.name, header.value)).collect(),
            body: message.body,
            error_ranges: message.error_ranges.iter().map(|range| (range.first as u16, range.last as u16)).collect(),
        }
    }
}

impl From<&Request> for v1::Request {
    fn from(request: &Request) -> Self {
        v1::Request {
            name: request.name.clone(),
            weight: request.weight,
            method: request.method.clone(),
            host: request.host.clone(),
            port: u32::from(request.port),
            target: request.target.clone(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| v1::Header { name: name.clone(), value: value.clone() })
                .collect(),
            body: request.body.clone(),
            error_ranges: request
                .error_ranges
                .iter()
                .map(|(first, last)| v1::StatusRange { first: u32::from(*first), last: u32::from(*last) })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(port: u16) -> Request {
        Request {
            name: "home".into(),
            weight: 1,
            method: "GET".into(),
            host: "hello.test".into(),
            port,
            target: "/a?b=1".into(),
            headers: vec![],
            body: vec![],
            error_ranges: vec![(400, 599)],
        }
    }

    #[test]
    fn a_get_names_its_host_and_has_no_length() {
        let expected = format!("GET /a?b=1 HTTP/1.1\r\nHost: hello.test:8080\r\nUser-Agent: {USER_AGENT}\r\n\r\n");
        assert_eq!(String::from_utf8(get(8080).encode()).unwrap(), expected);
        assert_eq!(get(80).authority(), "hello.test");
        assert_eq!(Request { host: "::1".into(), ..get(81) }.authority(), "[::1]:81");
    }

    #[test]
    fn own_headers_replace_ours() {
        let headers = vec![("HOST".into(), "other".into()), ("user-agent".into(), "me".into())];
        let text = String::from_utf8(Request { headers, ..get(80) }.encode()).unwrap();
        assert_eq!(text, "GET /a?b=1 HTTP/1.1\r\nHOST: other\r\nuser-agent: me\r\n\r\n");
    }

    #[test]
    fn content_has_a_length_even_when_empty() {
        let post = Request { method: "POST".into(), ..get(80) };
        assert!(String::from_utf8(post.encode()).unwrap().contains("Content-Length: 0\r\n"));
        let with_body = Request { body: b"hey".to_vec(), ..post };
        assert!(String::from_utf8(with_body.encode()).unwrap().ends_with("Content-Length: 3\r\n\r\nhey"));
    }

    #[test]
    fn statuses_fall_into_inclusive_ranges() {
        let request = get(80);
        assert!(request.is_error(400) && request.is_error(599));
        assert!(!request.is_error(399) && !request.is_error(600));
    }

    #[test]
    fn survives_the_wire() {
        let request = Request { headers: vec![("A".into(), "b".into())], body: vec![1, 2], ..get(80) };
        assert_eq!(Request::from(v1::Request::from(&request)), request);
    }
}
