//! A gRPC call as a request sends it: messages encoded but for their templates, and the names of the status codes.

use std::sync::Arc;

use loadgrid_proto::v1;

use super::template::{Draw, Escape, Names, Template};

/// The names of the status codes, by number (the gRPC documentation's statuscodes page).
pub const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

pub const UNKNOWN: u16 = 2;
pub const DEADLINE_EXCEEDED: u16 = 4;

/// A code's name, or its number if it has none.
pub fn code_name(code: u16) -> String {
    CODES.get(usize::from(code)).map_or_else(|| code.to_string(), |name| (*name).to_owned())
}

/// The code of a name; case does not matter.
pub fn code_number(name: &str) -> Option<u16> {
    CODES.iter().position(|own| own.eq_ignore_ascii_case(name)).map(|number| number as u16)
}

/// The code of a response that names none (the gRPC documentation's http-grpc-status-mapping page).
pub fn code_of_status(status: u16) -> u16 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => UNKNOWN,
    }
}

/// Who sends how many messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidirectional,
}

impl Kind {
    pub fn new(client_streams: bool, server_streams: bool) -> Self {
        match (client_streams, server_streams) {
            (false, false) => Kind::Unary,
            (false, true) => Kind::ServerStreaming,
            (true, false) => Kind::ClientStreaming,
            (true, true) => Kind::Bidirectional,
        }
    }

    /// Whether all messages go out in each call, and not one of them.
    pub fn sends_all(self) -> bool {
        matches!(self, Kind::ClientStreaming | Kind::Bidirectional)
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Unary => "unary",
            Kind::ServerStreaming => "server streaming",
            Kind::ClientStreaming => "client streaming",
            Kind::Bidirectional => "bidirectional streaming",
        }
    }
}

/// What makes a request a gRPC call.
#[derive(Clone, Debug, PartialEq)]
pub struct Grpc {
    pub kind: Kind,
    pub messages: Vec<Message>,
    /// For the server to know and for us to keep, ns.
    pub deadline_ns: Option<u64>,
    pub message_interval_ns: u64,
}

/// A protobuf message, encoded but for its templates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub pieces: Vec<Piece>,
}

impl Message {
    /// Adds its templates, compiled, to `all`.
    ///
    /// # Errors
    /// One that does not compile.
    pub fn templates(&self, names: Names, all: &mut Vec<Template>) -> Result<(), String> {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(_) => {}
                Piece::Nested(message) => message.templates(names, all)?,
                Piece::Text(text) | Piece::Number(text, _) => {
                    all.push(Template::compile(text, Escape::None, names)?);
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Literal(Vec<u8>),
    /// A template whose value comes with its length.
    Text(String),
    /// A message that comes with its length.
    Nested(Message),
    Number(String, Encoding),
}

/// How a number goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Varint,
    Zigzag,
    Fixed32,
    Fixed64,
    Float,
    Double,
    Bool,
}

/// A message ready to be sent, with gRPC's prefix of five octets.
#[derive(Debug)]
pub enum Payload {
    Fixed(Arc<[u8]>),
    Template(Vec<Part>),
}

/// A piece with its template compiled.
#[derive(Debug)]
pub enum Part {
    Literal(Vec<u8>),
    Text(Template),
    Nested(Vec<Part>),
    Number(Template, Encoding),
}

impl Payload {
    /// Compiles a message.
    ///
    /// # Errors
    /// A template that does not compile.
    pub fn compile(message: &Message, names: Names) -> Result<Self, String> {
        let parts = compile(&message.pieces, names)?;
        if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
            let mut out = vec![0; 5];
            write_parts(&parts, &mut out, &mut Draw::new(0, 0, 0, 0, &[], None), &mut Vec::new());
            prefix(&mut out, 0);
            return Ok(Payload::Fixed(out.into()));
        }
        Ok(Payload::Template(parts))
    }

    /// Appends the message with its prefix.
    pub fn write(&self, out: &mut Vec<u8>, draw: &mut Draw) {
        match self {
            Payload::Fixed(bytes) => out.extend_from_slice(bytes),
            Payload::Template(parts) => {
                let start = out.len();
                out.extend_from_slice(&[0; 5]);
                write_parts(parts, out, draw, &mut Vec::new());
                prefix(out, start);
            }
        }
    }
}

/// Fills in gRPC's prefix: not compressed, and how long.
fn prefix(out: &mut [u8], start: usize) {
    let length = (out.len() - start - 5) as u32;
    out[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
}

fn compile(pieces: &[Piece], names: Names) -> Result<Vec<Part>, String> {
    let template = |text: &str| Template::compile(text, Escape::None, names);
    pieces
        .iter()
        .map(|piece| {
            Ok(match piece {
                Piece::Literal(bytes) => Part::Literal(bytes.clone()),
                Piece::Text(text) => Part::Text(template(text)?),
                Piece::Nested(message) => Part::Nested(compile(&message.pieces, names)?),
                Piece::Number(text, encoding) => Part::Number(template(text)?, *encoding),
            })
        })
        .collect()
}

/// `scratch` is empty, and is so again afterwards.
fn write_parts(parts: &[Part], out: &mut Vec<u8>, draw: &mut Draw, scratch: &mut Vec<u8>) {
    for part in parts {
        match part {
            Part::Literal(bytes) => out.extend_from_slice(bytes),
            Part::Text(template) => {
                template.write(scratch, draw);
                varint(out, scratch.len() as u64);
                out.append(scratch);
            }
            Part::Nested(parts) => {
                let mut inner = Vec::new();
                write_parts(parts, &mut inner, draw, scratch);
                varint(out, inner.len() as u64);
                out.append(&mut inner);
            }
            Part::Number(template, encoding) => {
                template.write(scratch, draw);
                number(out, std::str::from_utf8(scratch).unwrap_or_default(), *encoding);
                scratch.clear();
            }
        }
    }
}

/// A value that is no number becomes 0: a template's values come from feeds and responses, which the test's author owns.
fn number(out: &mut Vec<u8>, text: &str, encoding: Encoding) {
    let text = text.trim();
    let whole = || text.parse::<i64>().ok().or_else(|| text.parse::<u64>().ok().map(|n| n as i64)).unwrap_or(0);
    let real = || text.parse::<f64>().unwrap_or(0.0);
    match encoding {
        Encoding::Varint => varint(out, whole() as u64),
        Encoding::Zigzag => varint(out, ((whole() << 1) ^ (whole() >> 63)) as u64),
        Encoding::Fixed32 => out.extend_from_slice(&(whole() as u32).to_le_bytes()),
        Encoding::Fixed64 => out.extend_from_slice(&whole().to_le_bytes()),
        Encoding::Float => out.extend_from_slice(&(real() as f32).to_le_bytes()),
        Encoding::Double => out.extend_from_slice(&real().to_le_bytes()),
        Encoding::Bool => out.push(u8::from(text == "true" || text == "1")),
    }
}

/// Appends a base-128 integer as protobuf writes it.
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

impl From<v1::Grpc> for Grpc {
    fn from(message: v1::Grpc) -> Self {
        let kind = match message.kind() {
            v1::grpc::Kind::Unary => Kind::Unary,
            v1::grpc::Kind::ServerStreaming => Kind::ServerStreaming,
            v1::grpc::Kind::ClientStreaming => Kind::ClientStreaming,
            v1::grpc::Kind::Bidirectional => Kind::Bidirectional,
        };
        Grpc {
            kind,
            messages: message.messages.into_iter().map(Message::from).collect(),
            deadline_ns: (message.deadline_ns > 0).then_some(message.deadline_ns),
            message_interval_ns: message.message_interval_ns,
        }
    }
}

impl From<&Grpc> for v1::Grpc {
    fn from(grpc: &Grpc) -> Self {
        let kind = match grpc.kind {
            Kind::Unary => v1::grpc::Kind::Unary,
            Kind::ServerStreaming => v1::grpc::Kind::ServerStreaming,
            Kind::ClientStreaming => v1::grpc::Kind::ClientStreaming,
            Kind::Bidirectional => v1::grpc::Kind::Bidirectional,
        };
        v1::Grpc {
            kind: kind as i32,
            messages: grpc.messages.iter().map(v1::Message::from).collect(),
            deadline_ns: grpc.deadline_ns.unwrap_or(0),
            message_interval_ns: grpc.message_interval_ns,
        }
    }
}

impl From<v1::Message> for Message {
    fn from(message: v1::Message) -> Self {
        use v1::number::Encoding as Wire;
        use v1::piece::Kind;
        let piece = |piece: v1::Piece| {
            Some(match piece.kind? {
                Kind::Literal(bytes) => Piece::Literal(bytes),
                Kind::Text(text) => Piece::Text(text),
                Kind::Nested(message) => Piece::Nested(message.into()),
                Kind::Number(number) => {
                    let encoding = match number.encoding() {
                        Wire::Varint => Encoding::Varint,
                        Wire::Zigzag => Encoding::Zigzag,
                        Wire::Fixed32 => Encoding::Fixed32,
                        Wire::Fixed64 => Encoding::Fixed64,
                        Wire::Float => Encoding::Float,
                        Wire::Double => Encoding::Double,
                        Wire::Bool => Encoding::Bool,
                    };
                    Piece::Number(number.template, encoding)
                }
            })
        };
        Message { pieces: message.pieces.into_iter().filter_map(piece).collect() }
    }
}

impl From<&Message> for v1::Message {
    fn from(message: &Message) -> Self {
        use v1::number::Encoding as Wire;
        use v1::piece::Kind;
        let piece = |piece: &Piece| {
            let kind = match piece {
                Piece::Literal(bytes) => Kind::Literal(bytes.clone()),
                Piece::Text(text) => Kind::Text(text.clone()),
                Piece::Nested(message) => Kind::Nested(message.into()),
                Piece::Number(template, encoding) => {
                    let encoding = match encoding {
                        Encoding::Varint => Wire::Varint,
                        Encoding::Zigzag => Wire::Zigzag,
                        Encoding::Fixed32 => Wire::Fixed32,
                        Encoding::Fixed64 => Wire::Fixed64,
                        Encoding::Float => Wire::Float,
                        Encoding::Double => Wire::Double,
                        Encoding::Bool => Wire::Bool,
                    };
                    Kind::Number(v1::Number { template: template.clone(), encoding: encoding as i32 })
                }
            };
            v1::Piece { kind: Some(kind) }
        };
        v1::Message { pieces: message.pieces.iter().map(piece).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: Vec<Piece>, number: u64) -> Vec<u8> {
        let payload = Payload::compile(&Message { pieces }, Names { feeds: &[], captures: &[] }).unwrap();
        let mut out = Vec::new();
        payload.write(&mut out, &mut Draw::new(number, 0, 0, 0, &[], None));
        out
    }

    #[test]
    fn a_message_has_its_prefix() {
        assert_eq!(written(vec![Piece::Literal(vec![10, 2, 104, 105])], 0), [0, 0, 0, 0, 4, 10, 2, 104, 105]);
        assert_eq!(written(vec![], 0), [0, 0, 0, 0, 0]);
    }

    #[test]
    fn lengths_follow_the_values() {
        let inner = Message { pieces: vec![Piece::Literal(vec![10]), Piece::Text("n{{request}}".into())] };
        let message = || vec![Piece::Literal(vec![0x1a]), Piece::Nested(inner.clone())];
        assert_eq!(written(message(), 7), [0, 0, 0, 0, 6, 0x1a, 4, 10, 2, b'n', b'7']);
        assert_eq!(written(message(), 300)[4..], [8, 0x1a, 6, 10, 4, b'n', b'3', b'0', b'0']);
    }

    #[test]
    fn numbers_have_their_encodings() {
        let one = |encoding, n| written(vec![Piece::Number("{{request}}".into(), encoding)], n)[5..].to_vec();
        assert_eq!(one(Encoding::Varint, 300), [0xac, 2]);
        assert_eq!(one(Encoding::Zigzag, 300), [0xd8, 4]);
        assert_eq!(one(Encoding::Fixed32, 1), [1, 0, 0, 0]);
        assert_eq!(one(Encoding::Double, 1), 1f64.to_le_bytes());
        assert_eq!(one(Encoding::Bool, 1), [1]);
    }

    #[test]
    fn codes_have_names() {
        assert_eq!((code_name(14), code_name(99)), ("UNAVAILABLE".into(), "99".into()));
        assert_eq!((code_number("not_found"), code_number("x")), (Some(5), None));
        assert_eq!((code_of_status(503), code_of_status(200)), (14, UNKNOWN));
    }

    #[test]
    fn survives_the_wire() {
        let message = Message {
            pieces: vec![
                Piece::Literal(vec![1]),
                Piece::Text("a".into()),
                Piece::Nested(Message { pieces: vec![Piece::Number("b".into(), Encoding::Zigzag)] }),
            ],
        };
        let grpc =
            Grpc { kind: Kind::Bidirectional, messages: vec![message], deadline_ns: Some(5), message_interval_ns: 7 };
        assert_eq!(Grpc::from(v1::Grpc::from(&grpc)), grpc);
    }
}
