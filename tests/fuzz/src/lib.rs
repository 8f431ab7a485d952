//! What each fuzz target does with its bytes: a plain function that panics where a promise of a parser is broken. It
//! knows no fuzzer, so that the main workspace's tests feed it with what was found.

#![allow(clippy::missing_panics_doc)]

mod experiments;
mod feeds;
mod hpack;
mod http1;
mod http2;
mod pieces;
mod schemas;
mod templates;
mod tests_and_slos;
mod wire;

pub use self::experiments::{iter8_experiment, set_paths};
pub use self::feeds::{csv_feed, jsonl_feed};
pub use self::hpack::hpack;
pub use self::http1::{chunked_body, response_head};
pub use self::http2::http2_frames;
pub use self::schemas::{proto_source, protoset};
pub use self::templates::{go_template, template};
pub use self::tests_and_slos::{load_test, slo};
pub use self::wire::histogram_payload;

/// Takes any bytes, and panics if a promise is broken.
pub type Target = fn(&[u8]);

/// All targets, by the name of their folders.
pub const TARGETS: [(&str, Target); 15] = [
    ("response_head", response_head),
    ("chunked_body", chunked_body),
    ("http2_frames", http2_frames),
    ("hpack", hpack),
    ("load_test", load_test),
    ("slo", slo),
    ("set_paths", set_paths),
    ("histogram_payload", histogram_payload),
    ("csv_feed", csv_feed),
    ("jsonl_feed", jsonl_feed),
    ("template", template),
    ("go_template", go_template),
    ("iter8_experiment", iter8_experiment),
    ("protoset", protoset),
    ("proto_source", proto_source),
];

/// The place of an error, `LINE:COLUMN: …`, lies within the text or just behind it. YAML ends lines at a bare `\r` too.
fn assert_placed(error: &str, text: &str) {
    let mut parts = error.splitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok()).unwrap_or(0);
    let (line, column) = (number(), number());
    let lines = text.split(['\n', '\r']).count();
    assert!((1..=lines + 1).contains(&line) && column >= 1, "no place within {lines} lines: {error}");
    assert!(parts.next().is_some_and(|message| !message.trim().is_empty()), "no message: {error}");
}
