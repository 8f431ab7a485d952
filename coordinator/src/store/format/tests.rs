use proptest::prelude::*;

use super::*;
use crate::store::Kind;
use crate::store::tests::entry;

const ID: &str = "01JA0000000000000000000000";

fn head_of(bytes: &[u8]) -> Result<Head, Fault> {
    head(&Beginning::of(bytes).unwrap_or_else(|| Beginning::of_all(bytes)), bytes.len() as u64)
}

/// `tests/golden/stored.py` makes the sample by itself; what it wrote is read, and would be written here to the byte.
#[test]
fn the_golden_sample_of_version_1_is_still_read() {
    let sample = include_str!("../../../../tests/golden/stored-v1.jsonl");
    let stored = decode(sample.as_bytes().to_vec()).unwrap();
    let entry = &stored.entry;
    assert_eq!((entry.id.as_str(), entry.test.as_str()), ("01JBCDEFGH0123456789ABCDEF", "checkout"));
    assert_eq!((entry.kind, entry.started_at.to_string().as_str()), (Kind::Run, "2024-10-29T12:34:56.789Z"));
    assert_eq!((entry.duration, entry.target_rate), (60.0, Some(1000.0)));
    assert_eq!(entry.metrics["http/latency-p99"], 0.012345);
    assert_eq!(entry.metrics.len(), 3);
    let document: serde_json::Value = serde_json::from_str(&stored.document).unwrap();
    assert_eq!(document["schema"], "loadgrid.dev/report/v1");
    assert_eq!(encode(&stored.entry, &stored.document).unwrap(), sample.as_bytes());
}

#[test]
fn a_file_cut_off_anywhere_is_torn() {
    let bytes = encode(&entry(ID), "{\"a\":\"b\"}").unwrap();
    assert!(head_of(&bytes).is_ok());
    for length in 0..bytes.len() {
        let torn = &bytes[..length];
        assert_eq!(decode(torn.to_vec()), Err(Fault::Torn), "{length}");
        assert_eq!(head_of(torn), Err(Fault::Torn), "{length}");
    }
    let longer = [bytes.as_slice(), b"\n"].concat();
    assert_eq!(decode(longer), Err(Fault::Torn));
}

#[test]
fn a_file_with_another_byte_anywhere_is_not_read() {
    let bytes = encode(&entry(ID), "{\"a\":\"b\"}").unwrap();
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[place] ^= 1 << bit;
            assert!(decode(altered.clone()).is_err(), "{place} {bit}");
            // A list sees what its first line says, whole or not at all.
            assert_eq!(head_of(&altered).is_ok(), place > line, "{place} {bit}");
        }
    }
}

#[test]
fn strangers_are_told_apart() {
    let of = |text: &str| head_of(text.as_bytes()).unwrap_err();
    let newer = |schema: &str| Fault::Newer { schema: schema.to_owned() };
    assert_eq!(of("{\"schema\":\"loadgrid.dev/stored/v2\",\"x\":1}\n{}\n"), newer("loadgrid.dev/stored/v2"));
    assert_eq!(of("{ \"x\": 1, \"schema\" : \"loadgrid.dev/stored/v17\" }"), newer("loadgrid.dev/stored/v17"));
    let long = format!("{{\"schema\":\"loadgrid.dev/stored/v2\",\"x\":\"{}\"}}\n", "y".repeat(100_000));
    assert_eq!(of(&long), newer("loadgrid.dev/stored/v2"));
    // Written again by somebody with a liking for blanks.
    assert_eq!(of("{\"schema\": \"loadgrid.dev/stored/v1\"}\n{}\n"), Fault::Altered);
    for text in [
        "{\"schema\":\"loadgrid.dev/report/v1\"}\n",
        "hello\n",
        "\n",
        "{\"schema\":\"loadgrid.dev/stored/vx\"}",
        "PK\x03\x04",
    ] {
        assert_eq!(of(text), Fault::Foreign, "{text}");
    }
    assert_eq!(head_of(&[0xff, 0xfe, b'\n']), Err(Fault::Foreign));
    assert_eq!(of(""), Fault::Torn);
}

#[test]
fn what_this_version_does_not_understand_was_written_by_a_newer_one() {
    let bytes = encode(&entry(ID), "{}").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (line, _) = text.split_once('\n').unwrap();
    let signed = |rest: &str| format!("{PREFIX}{:08x}{rest}\n{{}}\n", crc32fast::hash(rest.as_bytes()));
    let rest = &line[PREFIX.len() + CRC_DIGITS..];
    let more = signed(&rest.replace("\"kind\":\"run\"", "\"kind\":\"run\",\"colour\":\"red\""));
    assert_eq!(head_of(more.as_bytes()).unwrap().entry, entry(ID));
    let other = signed(&rest.replace("\"kind\":\"run\"", "\"kind\":\"dance\""));
    assert_eq!(head_of(other.as_bytes()), Err(Fault::Newer { schema: SCHEMA.into() }));
}

#[test]
fn numbers_that_json_has_not_are_left_out() {
    let mut odd = entry(ID);
    odd.metrics.insert("http/latency-p99".into(), f64::NAN);
    odd.metrics.insert("http/rate".into(), f64::INFINITY);
    odd.target_rate = Some(f64::NAN);
    odd.duration = f64::NAN;
    let read = decode(encode(&odd, "{}").unwrap()).unwrap().entry;
    assert_eq!(read, Entry { metrics: read.metrics.clone(), target_rate: None, duration: 0.0, ..entry(ID) });
    assert!(!read.metrics.contains_key("http/rate") && !read.metrics.contains_key("http/latency-p99"));
}

#[test]
fn a_summary_without_end_is_refused_before_it_is_written() {
    let mut large = entry(ID);
    large.test = "x".repeat(HEAD_MAX);
    assert!(encode(&large, "{}").unwrap_err().contains("fewer requests"));
}

#[test]
fn a_beginning_is_read_no_further_than_it_tells() {
    let foreign = vec![b'x'; FOREIGN_KEPT];
    assert_eq!(Beginning::of(&foreign[1..]), None);
    assert_eq!(Beginning::of(&foreign).unwrap().line, foreign);
    let ours = [PREFIX.as_bytes(), &vec![b'x'; 100_000]].concat();
    assert_eq!(Beginning::of(&ours), None);
    let whole = [ours.as_slice(), b"\n"].concat();
    assert_eq!(Beginning::of(&whole), Some(Beginning { line: ours.into(), ended: true }));
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let texts = (any::<String>(), any::<String>(), any::<String>());
    let metrics = prop::collection::btree_map(any::<String>(), prop::num::f64::NORMAL | prop::num::f64::ZERO, 0..8);
    (texts, metrics, any::<u128>(), 0i64..4_000_000_000, prop::option::of(0.0..1e6)).prop_map(
        |((test, requests, verdict), metrics, id, second, target_rate)| Entry {
            id: ulid::Ulid(id).to_string(),
            kind: if id % 2 == 0 { Kind::Run } else { Kind::Capacity },
            started_at: jiff::Timestamp::from_second(second).unwrap(),
            test,
            requests,
            verdict,
            metrics,
            target_rate,
            ..entry(ID)
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(entry in any_entry(), document in any::<String>()) {
        let bytes = encode(&entry, &document).unwrap();
        prop_assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 2);
        prop_assert_eq!(&head_of(&bytes).unwrap().entry, &entry);
        let stored = decode(bytes).unwrap();
        prop_assert_eq!(stored.entry, entry);
        prop_assert_eq!(stored.document, document.replace(['\n', '\r'], ""));
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200), ours in any::<bool>()) {
        let bytes = if ours { [PREFIX.as_bytes(), &bytes].concat() } else { bytes };
        prop_assert!(head_of(&bytes).is_err());
        prop_assert!(decode(bytes).is_err());
    }

    #[test]
    fn json_means_the_same_without_its_newlines(words in prop::collection::vec("[a-z\n\r\"\\\\]{0,5}", 0..5)) {
        let value = serde_json::json!({ "words": words, "more": [1, { "a": null }] });
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let stored = decode(encode(&entry(ID), &pretty).unwrap()).unwrap();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&stored.document).unwrap(), value);
    }
}
