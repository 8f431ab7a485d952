//! The examples of RFC 7541 appendix C, and what a peer must not send.

use super::*;
use proptest::prelude::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn fields(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, HpackError> {
    let mut found = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    decoder.decode(block, |name, value| found.push((text(name), text(value))))?;
    Ok(found)
}

#[track_caller]
fn check(decoder: &mut Decoder, block: &str, expected: &[(&str, &str)], size: usize) {
    let found = fields(decoder, &hex(block)).unwrap();
    let found: Vec<(&str, &str)> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected);
    assert_eq!(decoder.size, size);
}

#[test]
fn rfc_7541_c_1_integers() {
    assert_eq!(integer(&mut &hex("0a")[..], 5), Ok(10));
    assert_eq!(integer(&mut &hex("1f9a0a")[..], 5), Ok(1337));
    assert_eq!(integer(&mut &hex("2a")[..], 8), Ok(42));
    let mut written = Vec::new();
    encode_integer(&mut written, 0, 5, 1337);
    assert_eq!(written, hex("1f9a0a"));
}

#[test]
fn rfc_7541_c_4_requests_with_huffman_codes() {
    let mut decoder = Decoder::new(1 << 16);
    let get = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
    check(&mut decoder, "828684418cf1e3c2e5f23a6ba0ab90f4ff", &get, 57);
    let mut second = get.to_vec();
    second.push(("cache-control", "no-cache"));
    check(&mut decoder, "828684be5886a8eb10649cbf", &second, 110);
}

#[test]
fn rfc_7541_c_6_responses_with_eviction() {
    let mut decoder = Decoder::new(1 << 16);
    // The example's table has 256 octets; this peer says so itself.
    let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
    let location = ("location", "https://www.example.com");
    check(
        &mut decoder,
        "3fe101 488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        &[(":status", "302"), ("cache-control", "private"), date, location],
        222,
    );
    let fields = [(":status", "307"), ("cache-control", "private"), date, location];
    check(&mut decoder, "4883640effc1c0bf", &fields, 222);
    assert_eq!(decoder.dynamic.len(), 4, "the first status was evicted");
}

#[test]
fn rfc_7541_4_2_a_table_larger_than_ours_is_refused() {
    assert_eq!(fields(&mut Decoder::new(100), &hex("3fe21f")), Err(HpackError::Malformed));
    // And a change of size after a field.
    assert_eq!(fields(&mut Decoder::new(100), &hex("8820")), Err(HpackError::Malformed));
}

#[test]
fn rfc_7541_5_2_padding_is_short_and_of_ones() {
    for wrong in ["0081 ff 00", "0081 1c 00", "0082 ffff 00", "0084 ffffffff 00"] {
        assert_eq!(fields(&mut Decoder::new(100), &hex(wrong)), Err(HpackError::Malformed), "{wrong}");
    }
}

#[test]
fn indices_that_there_are_not_and_strings_cut_short_are_refused() {
    for wrong in ["80", "be", "ff", "ffffffffffff01", "0085", "400161", "0f"] {
        assert_eq!(fields(&mut Decoder::new(100), &hex(wrong)), Err(HpackError::Malformed), "{wrong}");
    }
}

#[test]
fn a_list_has_a_bound() {
    let mut block = Vec::new();
    (0..10).for_each(|_| encode(&mut block, b"name", b"value"));
    assert_eq!(fields(&mut Decoder::new(409), &block), Err(HpackError::TooLarge));
    assert_eq!(fields(&mut Decoder::new(410), &block).unwrap().len(), 10);
}

proptest! {
    #[test]
    fn reads_what_it_writes(list in prop::collection::vec(("[a-z-]{1,20}", "[ -~]{0,200}"), 0..20)) {
        let mut block = Vec::new();
        list.iter().for_each(|(name, value)| encode(&mut block, name.as_bytes(), value.as_bytes()));
        prop_assert_eq!(fields(&mut Decoder::new(1 << 20), &block).unwrap(), list);
    }

    #[test]
    fn nothing_that_comes_makes_it_panic(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..5)) {
        let mut decoder = Decoder::new(1000);
        for block in blocks {
            let _ = fields(&mut decoder, &block);
            prop_assert!(decoder.size <= TABLE_BYTES_MAX);
        }
    }
}
