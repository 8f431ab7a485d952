//! Frames HTTP/1.1 responses (RFC 9112): says where each ends and what it was, and keeps of it only what is asked for.
//!
//! Pure: takes bytes, returns how many it used. It allocates nothing and never panics on what a target sends.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Response, Status};

use super::kept::Kept;

/// The largest head of a response, bytes; many servers' own bound for a request is 8 KiB.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The most header lines in one head.
const HEADERS_MAX: usize = 128;

/// The most interim (1xx) responses before a final one.
const INTERIM_MAX: u32 = 16;

/// The longest line of a chunk's size with its extensions, and of a trailer section, bytes.
const CHUNK_LINE_MAX: u32 = 4096;

/// Why what came can't be a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Not HTTP/1.x as of RFC 9112.
    Malformed,
    /// The head is larger than [`HEAD_BYTES_MAX`] or has too many lines.
    HeadTooLarge,
    /// The body is larger than the test allows.
    BodyTooLarge,
}

/// A complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub status: u16,
    /// Whether the connection can carry another request.
    pub keep_alive: bool,
}

/// Reads one response after the other from a connection's bytes.
#[derive(Debug)]
pub struct ResponseReader {
    state: State,
    status: u16,
    keep_alive: bool,
    interim: u32,
    body_bytes: u64,
    body_bytes_max: u64,
    last: LastHead,
}

/// The last final head and what it was found to mean: the same bytes mean the same again. Most targets change a head
/// once a second, with its Date, and comparing costs a tenth of parsing.
#[derive(Debug)]
struct LastHead {
    bytes: Vec<u8>,
    head_request: bool,
    status: u16,
    keep_alive: bool,
    state: State,
}

/// Larger heads are parsed each time.
const LAST_HEAD_BYTES_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Length(u64),
    Chunk(Chunk),
    UntilClose,
}

/// Within a chunked body (RFC 9112 §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size { value: u64, digits: u32 },
    Extension { value: u64, length: u32 },
    SizeEnd { value: u64 },
    Data(u64),
    DataCr,
    DataLf,
    TrailerStart { length: u32 },
    Trailer { length: u32 },
    TrailerEnd,
}

impl ResponseReader {
    /// A reader that refuses bodies above `body_bytes_max`.
    pub fn new(body_bytes_max: u64) -> Self {
        let last = LastHead {
            bytes: Vec::with_capacity(LAST_HEAD_BYTES_MAX),
            head_request: false,
            status: 0,
            keep_alive: false,
            state: State::Head,
        };
        ResponseReader {
            state: State::Head,
            status: 0,
            keep_alive: true,
            interim: 0,
            body_bytes: 0,
            body_bytes_max,
            last,
        }
    }

    /// Readies it for the response to the next request.
    pub fn reset(&mut self) {
        (self.state, self.status, self.keep_alive) = (State::Head, 0, true);
        (self.interim, self.body_bytes) = (0, 0);
    }

    /// Takes up `input`, what came and was not used yet. Returns how many bytes it used and, once the response is
    /// complete, what it was. An incomplete head is not used: it has to be given again with what follows. Fields and content
    /// go into `kept` if there is one.
    ///
    /// # Errors
    /// A [`Violation`]: the connection can't be trusted any more.
    pub fn advance(
        &mut self,
        input: &[u8],
        head_request: bool,
        mut kept: Option<&mut Kept>,
    ) -> Result<(usize, Option<Done>), Violation> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.state {
                State::Head => {
                    let Some(length) = self.head(rest, head_request)? else { return Ok((used, None)) };
                    if let Some(kept) = kept.as_deref_mut().filter(|_| self.state != State::Head) {
                        keep_fields(&rest[..length], kept);
                    }
                    used += length;
                }
                State::Length(0) => return Ok((used, Some(self.done()))),
                State::Length(left) => {
                    if rest.is_empty() {
                        return Ok((used, None));
                    }
                    let taken = left.min(rest.len() as u64);
                    self.state = State::Length(left - taken);
                    keep_content(&rest[..taken as usize], kept.as_deref_mut());
                    used += taken as usize;
                }
                State::Chunk(chunk) => {
                    let Some((byte, _)) = rest.split_first() else { return Ok((used, None)) };
                    if let Chunk::Data(left) = chunk {
                        let taken = left.min(rest.len() as u64);
                        self.state =
                            State::Chunk(if taken == left { Chunk::DataCr } else { Chunk::Data(left - taken) });
                        keep_content(&rest[..taken as usize], kept.as_deref_mut());
                        used += taken as usize;
                        continue;
                    }
                    used += 1;
                    match self.chunk_byte(chunk, *byte)? {
                        Some(next) => self.state = State::Chunk(next),
                        None => return Ok((used, Some(self.done()))),
                    }
                }
                State::UntilClose => {
                    self.count_body(rest.len() as u64)?;
                    keep_content(rest, kept.as_deref_mut());
                    return Ok((input.len(), None));
                }
            }
        }
    }

    /// The peer closed the connection: a complete response if its body ends that way (RFC 9112 §6.3 rule 8).
    pub fn end_of_stream(&self) -> Option<Done> {
        (self.state == State::UntilClose).then_some(Done { status: self.status, keep_alive: false })
    }

    fn done(&self) -> Done {
        Done { status: self.status, keep_alive: self.keep_alive }
    }

    fn count_body(&mut self, bytes: u64) -> Result<(), Violation> {
        self.body_bytes = self.body_bytes.saturating_add(bytes);
        if self.body_bytes > self.body_bytes_max { Err(Violation::BodyTooLarge) } else { Ok(()) }
    }

    /// Reads a head; `None` if it is not complete.
    fn head(&mut self, input: &[u8], head_request: bool) -> Result<Option<usize>, Violation> {
        let last = &self.last;
        if !last.bytes.is_empty() && last.head_request == head_request && input.starts_with(&last.bytes) {
            (self.status, self.keep_alive, self.state) = (last.status, last.keep_alive, last.state);
            if let State::Length(length) = self.state {
                self.count_body(length)?;
            }
            return Ok(Some(self.last.bytes.len()));
        }
        let Some(length) = self.parse_head(input, head_request)? else { return Ok(None) };
        if self.state != State::Head && length <= LAST_HEAD_BYTES_MAX {
            self.last.bytes.clear();
            self.last.bytes.extend_from_slice(&input[..length]);
            self.last.head_request = head_request;
            (self.last.status, self.last.keep_alive, self.last.state) = (self.status, self.keep_alive, self.state);
        }
        Ok(Some(length))
    }

    fn parse_head(&mut self, input: &[u8], head_request: bool) -> Result<Option<usize>, Violation> {
        let mut headers: [MaybeUninit<Header>; HEADERS_MAX] = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut response = Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut response, input, &mut headers);
        let length = match parsed {
            Ok(Status::Complete(length)) if length <= HEAD_BYTES_MAX => length,
            Ok(Status::Partial) if input.len() < HEAD_BYTES_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Violation::HeadTooLarge),
            Err(_) => return Err(Violation::Malformed),
        };
        let status = response.code.ok_or(Violation::Malformed)?;
        if (100..200).contains(&status) && status != 101 {
            // RFC 9110 §15.2: a client must be able to parse interim responses before the final one.
            self.interim += 1;
            return if self.interim > INTERIM_MAX { Err(Violation::Malformed) } else { Ok(Some(length)) };
        }
        let framing = Framing::of(response.headers, response.version == Some(1))?;
        self.status = status;
        self.keep_alive = framing.keep_alive;
        self.state = if status == 101 {
            // RFC 9110 §15.2.2: what follows is another protocol.
            self.keep_alive = false;
            State::Length(0)
        } else if head_request || status == 204 || status == 304 {
            // RFC 9112 §6.3 rule 1: no content whatever the headers say.
            State::Length(0)
        } else if framing.chunked {
            State::Chunk(Chunk::Size { value: 0, digits: 0 })
        } else if let Some(length) = framing.length {
            self.count_body(length)?;
            State::Length(length)
        } else {
            self.keep_alive = false;
            State::UntilClose
        };
        Ok(Some(length))
    }

    /// One byte of a chunked body's framing; `None` at its end.
    fn chunk_byte(&mut self, chunk: Chunk, byte: u8) -> Result<Option<Chunk>, Violation> {
        let malformed = Err(Violation::Malformed);
        Ok(Some(match (chunk, byte) {
            (Chunk::Size { value, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                // 15 digits can't overflow 64 bits.
                if digits >= 15 {
                    return malformed;
                }
                Chunk::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Chunk::Size { digits: 0, .. }, _) => return malformed,
            (Chunk::Size { value, .. }, b'\r') => Chunk::SizeEnd { value },
            (Chunk::Size { value, .. }, b';' | b' ' | b'\t') => Chunk::Extension { value, length: 0 },
            (Chunk::Extension { value, .. }, b'\r') => Chunk::SizeEnd { value },
            (Chunk::Extension { value, length }, _) if byte != b'\n' && length < CHUNK_LINE_MAX => {
                Chunk::Extension { value, length: length + 1 }
            }
            (Chunk::SizeEnd { value: 0 }, b'\n') => Chunk::TrailerStart { length: 0 },
            (Chunk::SizeEnd { value }, b'\n') => {
                self.count_body(value)?;
                Chunk::Data(value)
            }
            (Chunk::DataCr, b'\r') => Chunk::DataLf,
            (Chunk::DataLf, b'\n') => Chunk::Size { value: 0, digits: 0 },
            (Chunk::TrailerStart { .. }, b'\r') => Chunk::TrailerEnd,
            (Chunk::TrailerStart { length } | Chunk::Trailer { length }, _) if length < CHUNK_LINE_MAX => {
                if byte == b'\n' {
                    Chunk::TrailerStart { length: length + 1 }
                } else {
                    Chunk::Trailer { length: length + 1 }
                }
            }
            (Chunk::TrailerEnd, b'\n') => return Ok(None),
            _ => return malformed,
        }))
    }
}

fn keep_content(piece: &[u8], kept: Option<&mut Kept>) {
    if let Some(kept) = kept {
        kept.content(piece);
    }
}

/// The fields of a head that was found complete.
fn keep_fields(head: &[u8], kept: &mut Kept) {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    for line in lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
        if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            kept.field(&line[..colon], line[colon + 1..].trim_ascii());
        }
    }
}

/// What the header fields say of a message's end (RFC 9112 §6, §9.3).
struct Framing {
    length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
}

impl Framing {
    fn of(headers: &[Header], http_11: bool) -> Result<Self, Violation> {
        let mut framing = Framing { length: None, chunked: false, keep_alive: http_11 };
        let mut coded = false;
        for header in headers {
            // The lengths of the three names differ: most headers are passed over by one comparison.
            match header.name.len() {
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    let length = content_length(header.value)?;
                    // RFC 9112 §6.3 rule 5: differing values make the framing invalid.
                    if framing.length.is_some_and(|other| other != length) {
                        return Err(Violation::Malformed);
                    }
                    framing.length = Some(length);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    coded = true;
                    framing.chunked = tokens(header.value).last().is_some_and(|t| t.eq_ignore_ascii_case(b"chunked"));
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    for token in tokens(header.value) {
                        if token.eq_ignore_ascii_case(b"close") {
                            framing.keep_alive = false;
                        } else if token.eq_ignore_ascii_case(b"keep-alive") && !http_11 {
                            framing.keep_alive = true;
                        }
                    }
                }
                _ => {}
            }
        }
        if coded {
            // RFC 9112 §6.3 rules 3 and 4: Transfer-Encoding overrides the length, and without chunked as the last
            // coding the body ends with the connection. §6.1: such a pair ought to be handled as an error, so the
            // connection is not used again.
            framing.keep_alive &= framing.length.is_none() && framing.chunked;
            framing.length = None;
        }
        Ok(framing)
    }
}

/// A list of identical lengths counts as one (RFC 9110 §8.6).
fn content_length(value: &[u8]) -> Result<u64, Violation> {
    let mut found = None;
    for token in value.split(|byte| *byte == b',') {
        let token = token.trim_ascii();
        if token.is_empty() || token.len() > 19 || !token.iter().all(u8::is_ascii_digit) {
            return Err(Violation::Malformed);
        }
        let length = token.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if found.is_some_and(|other| other != length) {
            return Err(Violation::Malformed);
        }
        found = Some(length);
    }
    found.ok_or(Violation::Malformed)
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
