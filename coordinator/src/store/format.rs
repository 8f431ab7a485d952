//! A run as bytes: one line that says what it is, one line that is the document. Whether the document is a report it
//! does not know. `tests/golden/stored-v1.jsonl` is a sample, made by `tests/golden/stored.py`.
//!
//! ```text
//! {"schema":"loadgrid.dev/stored/v1","head":"CRC-32 of the rest of this line","bytes":N,"crc32":"…","entry":{…}}
//! the document: N bytes with that CRC-32
//! ```

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entry::Entry;

/// The version of this shape.
pub const SCHEMA: &str = "loadgrid.dev/stored/v1";
const FAMILY: &str = "loadgrid.dev/stored/v";

/// How every file of this version begins, to the byte.
const PREFIX: &str = "{\"schema\":\"loadgrid.dev/stored/v1\",\"head\":\"";
const CRC_DIGITS: usize = 8;

/// The longest first line: tens of thousands of metrics.
pub(super) const HEAD_MAX: usize = 4 << 20;

/// So much of a first line that is not ours tells what it is.
const FOREIGN_KEPT: usize = 256;

/// Why a file is no run that can be read here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Its length is not the one it was written with.
    Torn,
    /// Its bytes are not those that were written.
    Altered,
    /// Of a later version of the format.
    Newer { schema: String },
    /// Something else.
    Foreign,
    /// It holds another run than its name says.
    Misnamed,
    /// It may not be read.
    Closed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Torn => {
                f.write_str("torn (its length is not the one it was written with): copy it again or remove it")
            }
            Fault::Altered => {
                f.write_str("altered since it was written (a checksum differs): copy it again or remove it")
            }
            Fault::Newer { schema } => write!(f, "written by a newer loadgrid (schema {schema}): use that version"),
            Fault::Foreign => f.write_str("not a stored run: move it elsewhere"),
            Fault::Misnamed => f.write_str("not the run that its name says: give it its name back"),
            Fault::Closed => f.write_str("not open to you: give yourself access to it"),
        }
    }
}

/// A run as it was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub entry: Entry,
    pub document: String,
}

/// The beginning of a file: its first line, or as much of it as tells what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Without the newline.
    pub line: Bytes,
    /// Whether there was one.
    pub ended: bool,
}

impl Beginning {
    /// Of a file that begins with these bytes; none if more of them have to be read.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let ours = bytes.iter().zip(PREFIX.as_bytes()).all(|(read, expected)| read == expected);
        let enough = !ours && bytes.len() >= FOREIGN_KEPT || bytes.len() >= HEAD_MAX;
        match bytes.iter().position(|byte| *byte == b'\n') {
            None if !enough => None,
            end => Some(Beginning::kept(bytes, end)),
        }
    }

    /// Of a file that is these bytes.
    pub(super) fn of_all(bytes: &[u8]) -> Self {
        Beginning::kept(bytes, bytes.iter().position(|byte| *byte == b'\n'))
    }

    fn kept(bytes: &[u8], end: Option<usize>) -> Self {
        let line = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
        let most = if line.starts_with(PREFIX.as_bytes()) { HEAD_MAX } else { FOREIGN_KEPT };
        Beginning { line: Bytes::copy_from_slice(line.get(..most).unwrap_or(line)), ended: end.is_some() }
    }
}

/// The first line, read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Head {
    pub entry: Entry,
    /// Of the document.
    bytes: u64,
    crc32: u32,
}

/// What follows the first line's own checksum.
#[derive(Serialize)]
struct Written<'a> {
    bytes: usize,
    crc32: String,
    entry: &'a Entry,
}

#[derive(Deserialize)]
struct Read {
    bytes: u64,
    crc32: String,
    entry: Entry,
}

fn hex(crc32: u32) -> String {
    format!("{crc32:08x}")
}

/// The bytes of a run. Newlines are taken out of the document: outside strings they mean nothing in JSON, and inside
/// they are escaped.
///
/// # Errors
/// What stands in its way, without the run's name.
pub(super) fn encode(entry: &Entry, document: &str) -> Result<Vec<u8>, String> {
    let document: String = document.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    let entry = entry.finite();
    let written = Written { bytes: document.len(), crc32: hex(crc32fast::hash(document.as_bytes())), entry: &entry };
    let rest = serde_json::to_string(&written).map_err(|error| error.to_string())?;
    let rest = format!("\",{}", rest.strip_prefix('{').unwrap_or(&rest));
    let length = PREFIX.len() + CRC_DIGITS + rest.len();
    if length > HEAD_MAX {
        return Err(format!("its summary takes {length} bytes and may take {HEAD_MAX}: test fewer requests at once"));
    }
    let mut bytes = Vec::with_capacity(length + document.len() + 2);
    bytes.extend_from_slice(PREFIX.as_bytes());
    bytes.extend_from_slice(hex(crc32fast::hash(rest.as_bytes())).as_bytes());
    bytes.extend_from_slice(rest.as_bytes());
    bytes.push(b'\n');
    bytes.extend_from_slice(document.as_bytes());
    bytes.push(b'\n');
    Ok(bytes)
}

/// What a file of `size` bytes holds by its beginning. The document's own checksum is not looked at.
pub(super) fn head(beginning: &Beginning, size: u64) -> Result<Head, Fault> {
    let line = beginning.line.as_ref();
    let Some(behind) = line.strip_prefix(PREFIX.as_bytes()) else { return Err(stranger(beginning)) };
    if !beginning.ended {
        return Err(Fault::Torn);
    }
    let (Some(crc32), Some(rest)) = (behind.get(..CRC_DIGITS), behind.get(CRC_DIGITS..)) else {
        return Err(Fault::Altered);
    };
    if crc32 != hex(crc32fast::hash(rest)).as_bytes() {
        return Err(Fault::Altered);
    }
    // It is as it was written: what does not fit then was written by someone who knows more.
    let newer = || Fault::Newer { schema: SCHEMA.to_owned() };
    let read: Read = serde_json::from_slice(line).map_err(|_| newer())?;
    let crc32 = u32::from_str_radix(&read.crc32, 16).map_err(|_| newer())?;
    let expected = (line.len() as u64 + 2).checked_add(read.bytes);
    if expected != Some(size) {
        return Err(Fault::Torn);
    }
    Ok(Head { entry: read.entry, bytes: read.bytes, crc32 })
}

/// What a file is that does not begin as ours do.
fn stranger(beginning: &Beginning) -> Fault {
    if !beginning.ended && PREFIX.as_bytes().starts_with(&beginning.line) {
        return Fault::Torn;
    }
    let text = String::from_utf8_lossy(&beginning.line);
    let schema = text.split_once("\"schema\"").and_then(|(_, rest)| {
        let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
        value.split_once('"').map(|(schema, _)| schema.to_owned())
    });
    match schema {
        Some(schema) if schema == SCHEMA => Fault::Altered,
        Some(schema) if schema.strip_prefix(FAMILY).is_some_and(is_number) => Fault::Newer { schema },
        _ => Fault::Foreign,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A whole file, checked to the byte.
pub(super) fn decode(bytes: Vec<u8>) -> Result<Stored, Fault> {
    let beginning = Beginning::of_all(&bytes);
    let head = head(&beginning, bytes.len() as u64)?;
    let mut document = bytes;
    document.drain(..=beginning.line.len());
    // The length was right, so this is the newline at the end.
    if document.pop() != Some(b'\n') || crc32fast::hash(&document) != head.crc32 {
        return Err(Fault::Altered);
    }
    debug_assert_eq!(document.len() as u64, head.bytes);
    let document = String::from_utf8(document).map_err(|_| Fault::Altered)?;
    Ok(Stored { entry: head.entry, document })
}

#[cfg(test)]
mod tests;
