//! Header compression (RFC 7541) as a client needs it: blocks of requests written once, those of responses decoded.
//!
//! Pure. Decoding allocates only when the peer adds an entry to its table.

mod tables;

use std::collections::VecDeque;
use std::sync::LazyLock;

use self::tables::{HUFFMAN, STATIC};

/// The size of the table that the peer may fill (RFC 9113 §6.5.2: the default of SETTINGS_HEADER_TABLE_SIZE).
pub const TABLE_BYTES_MAX: usize = 4096;

/// What an entry costs beyond its name and value (RFC 7541 §4.1).
const ENTRY_BYTES: usize = 32;

/// Why a block can't be decoded. Either way the connection's compression is out of step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HpackError {
    /// Not RFC 7541.
    Malformed,
    /// The fields together are larger than the bound.
    TooLarge,
}

/// Decodes the blocks of one connection, in order.
#[derive(Debug)]
pub struct Decoder {
    /// Newest first.
    dynamic: VecDeque<Entry>,
    size: usize,
    /// As the peer chose, up to [`TABLE_BYTES_MAX`].
    size_max: usize,
    list_bytes_max: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    bytes: Box<[u8]>,
    name_length: usize,
}

impl Entry {
    fn size(&self) -> usize {
        self.bytes.len() + ENTRY_BYTES
    }
}

impl Decoder {
    /// A decoder that refuses lists of fields larger than `list_bytes_max`.
    pub fn new(list_bytes_max: usize) -> Self {
        Decoder {
            dynamic: VecDeque::new(),
            size: 0,
            size_max: TABLE_BYTES_MAX,
            list_bytes_max,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Decodes a whole block; `field` is given each name and value in order.
    ///
    /// # Errors
    /// [`HpackError`]; what was decoded before it has been given out.
    pub fn decode(&mut self, mut block: &[u8], mut field: impl FnMut(&[u8], &[u8])) -> Result<(), HpackError> {
        let mut bytes = 0;
        let mut fields_seen = false;
        while let Some(first) = block.first().copied() {
            if first & 0xe0 == 0x20 {
                // RFC 7541 §4.2: a change of size comes before any field.
                let size = integer(&mut block, 5)?;
                if fields_seen || size > TABLE_BYTES_MAX {
                    return Err(HpackError::Malformed);
                }
                self.size_max = size;
                self.evict(0);
                continue;
            }
            fields_seen = true;
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7)?;
                let (name, value) = self.entry(index).ok_or(HpackError::Malformed)?;
                bytes += name.len() + value.len() + ENTRY_BYTES;
                if bytes > self.list_bytes_max {
                    return Err(HpackError::TooLarge);
                }
                field(name, value);
                continue;
            }
            let indexed = first & 0x40 != 0;
            self.literal(&mut block, if indexed { 6 } else { 4 })?;
            bytes += self.name.len() + self.value.len() + ENTRY_BYTES;
            if bytes > self.list_bytes_max {
                return Err(HpackError::TooLarge);
            }
            field(&self.name, &self.value);
            if indexed {
                self.insert();
            }
        }
        Ok(())
    }

    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Result<(), HpackError> {
        let index = integer(block, prefix)?;
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        let named = if index == 0 {
            string(block, &mut name, self.list_bytes_max)
        } else {
            self.entry(index).map(|(known, _)| name.extend_from_slice(known)).ok_or(HpackError::Malformed)
        };
        self.name = name;
        named?;
        self.value.clear();
        string(block, &mut self.value, self.list_bytes_max)
    }

    /// The entry at an index of the one address space (RFC 7541 §2.3.3).
    fn entry(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let index = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(index) {
            return Some((name.as_bytes(), value.as_bytes()));
        }
        let entry = self.dynamic.get(index - STATIC.len())?;
        Some(entry.bytes.split_at(entry.name_length))
    }

    fn insert(&mut self) {
        let size = self.name.len() + self.value.len() + ENTRY_BYTES;
        self.evict(size);
        // RFC 7541 §4.4: one that is larger than the table empties it, and that is no error.
        if size <= self.size_max {
            let bytes = [self.name.as_slice(), &self.value].concat().into_boxed_slice();
            self.dynamic.push_front(Entry { bytes, name_length: self.name.len() });
            self.size += size;
        }
    }

    fn evict(&mut self, room: usize) {
        while self.size + room > self.size_max {
            let Some(oldest) = self.dynamic.pop_back() else { return };
            self.size -= oldest.size();
        }
    }
}

/// An integer with a prefix of so many bits (RFC 7541 §5.1).
fn integer(input: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let malformed = HpackError::Malformed;
    let mask = (1usize << prefix) - 1;
    let (first, mut rest) = input.split_first().ok_or(malformed)?;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (byte, after) = rest.split_first().ok_or(malformed)?;
            rest = after;
            // Four octets hold more than any length or index that is sensible here.
            if shift > 21 {
                return Err(malformed);
            }
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *input = rest;
    Ok(value)
}

/// A string literal (RFC 7541 §5.2), appended to `out`.
fn string(input: &mut &[u8], out: &mut Vec<u8>, bytes_max: usize) -> Result<(), HpackError> {
    let huffman = input.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(input, 7)?;
    let (text, rest) = input.split_at_checked(length).ok_or(HpackError::Malformed)?;
    *input = rest;
    if huffman {
        huffman_decode(text, out, bytes_max)
    } else if text.len() > bytes_max {
        Err(HpackError::TooLarge)
    } else {
        out.extend_from_slice(text);
        Ok(())
    }
}

/// The code as a binary tree: a positive entry is the next node, a negative one −1 − the octet that it ends in.
static TREE: LazyLock<Vec<[i16; 2]>> = LazyLock::new(|| {
    let mut tree: Vec<[i16; 2]> = vec![[0, 0]];
    for (octet, (code, bits)) in HUFFMAN.iter().enumerate() {
        let mut node = 0usize;
        for bit in (0..*bits).rev() {
            let side = usize::from(code >> bit & 1 == 1);
            if bit == 0 {
                tree[node][side] = -1 - octet as i16;
            } else {
                if tree[node][side] == 0 {
                    tree[node][side] = tree.len() as i16;
                    tree.push([0, 0]);
                }
                node = tree[node][side] as usize;
            }
        }
    }
    tree
});

fn huffman_decode(text: &[u8], out: &mut Vec<u8>, bytes_max: usize) -> Result<(), HpackError> {
    let tree = &*TREE;
    let (mut node, mut depth, mut ones) = (0usize, 0u32, true);
    for byte in text {
        for bit in (0..8).rev() {
            let side = usize::from(byte >> bit & 1 == 1);
            let next = tree[node][side];
            depth += 1;
            ones &= side == 1;
            if next >= 0 {
                node = next as usize;
                continue;
            }
            let octet = -1 - next;
            // RFC 7541 §5.2: the end of a string within it is an error.
            if octet > 255 {
                return Err(HpackError::Malformed);
            }
            if out.len() >= bytes_max {
                return Err(HpackError::TooLarge);
            }
            out.push(octet as u8);
            (node, depth, ones) = (0, 0, true);
        }
    }
    // What is left over is the beginning of the end's code, shorter than an octet.
    if depth < 8 && ones { Ok(()) } else { Err(HpackError::Malformed) }
}

/// Appends a field to a block, as one that no table remembers: the block means the same on every connection, so it is
/// written once and sent often. The name has to be in lower case.
pub fn encode(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let known = |with_value: bool| {
        STATIC.iter().position(|(own, known)| {
            own.as_bytes() == name && (!with_value || (known.as_bytes() == value && !known.is_empty()))
        })
    };
    if let Some(index) = known(true) {
        encode_integer(block, 0x80, 7, index + 1);
        return;
    }
    match known(false) {
        Some(index) => encode_integer(block, 0, 4, index + 1),
        None => {
            block.push(0);
            encode_string(block, name);
        }
    }
    encode_string(block, value);
}

fn encode_string(block: &mut Vec<u8>, text: &[u8]) {
    encode_integer(block, 0, 7, text.len());
    block.extend_from_slice(text);
}

fn encode_integer(block: &mut Vec<u8>, pattern: u8, prefix: u32, value: usize) {
    let mask = (1usize << prefix) - 1;
    if value < mask {
        block.push(pattern | value as u8);
        return;
    }
    block.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}

#[cfg(test)]
mod tests;
