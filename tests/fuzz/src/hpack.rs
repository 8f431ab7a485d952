//! Header compression: lists and table keep their bounds, and what was decoded can be encoded and decoded again.

use loadgrid_worker::client::hpack::{Decoder, TABLE_BYTES_MAX, encode};

/// Small, so that a short input reaches it.
const LIST_BYTES_MAX: usize = 1000;

/// What a field costs beyond its name and value (RFC 7541 §4.1).
const FIELD_BYTES: usize = 32;

/// Blocks of one connection, each with a byte of its length in front.
pub fn hpack(data: &[u8]) {
    let mut decoder = Decoder::new(LIST_BYTES_MAX);
    let mut rest = data;
    while let Some((length, after)) = rest.split_first() {
        let (block, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let mut fields = Vec::new();
        let decoded = decoder.decode(block, |name, value| fields.push((name.to_vec(), value.to_vec())));
        let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len() + FIELD_BYTES).sum();
        assert!(bytes <= LIST_BYTES_MAX, "a list of {bytes} bytes was given out");
        assert_table_is_bounded(&mut decoder);
        if decoded.is_err() {
            return;
        }
        assert_comes_back(&fields);
    }
}

/// Asks for one entry after the other of the table that the peer filled: that changes nothing in it.
fn assert_table_is_bounded(decoder: &mut Decoder) {
    let mut bytes = 0;
    for index in 62.. {
        let mut block = vec![0x80 | index as u8];
        if index >= 127 {
            let beyond = index - 127;
            block = vec![0xff, beyond as u8 & 0x7f | 0x80, (beyond >> 7) as u8];
        }
        let asked = decoder.decode(&block, |name, value| bytes += name.len() + value.len() + FIELD_BYTES);
        assert!(bytes <= TABLE_BYTES_MAX, "the table holds {bytes} bytes");
        if asked.is_err() {
            return;
        }
    }
}

fn assert_comes_back(fields: &[(Vec<u8>, Vec<u8>)]) {
    let mut block = Vec::new();
    fields.iter().for_each(|(name, value)| encode(&mut block, name, value));
    let mut again = Vec::new();
    let decoded =
        Decoder::new(LIST_BYTES_MAX).decode(&block, |name, value| again.push((name.to_vec(), value.to_vec())));
    assert_eq!(decoded, Ok(()));
    assert_eq!(again, fields);
}
