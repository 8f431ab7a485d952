//! Texts with values in them, loadgrid's and Go's.

use std::sync::LazyLock;

use loadgrid::outside::gotemplate;
use loadgrid_worker::client::feed::{Feed, Order};
use loadgrid_worker::client::template::{Draw, Escape, Names, Session, Template};
use serde_json::Value;

/// A text with `{{values}}`, as it stands in a URL, in JSON, and elsewhere.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let values = vec!["ann \"a\"/1".to_owned(), "1".to_owned(), "é\n\\".to_owned(), "2".to_owned()];
    let columns = vec!["name".to_owned(), "id".to_owned()];
    let feeds = [Feed { name: "users".to_owned(), columns, order: Order::Sequential, values }];
    let captures = ["token".to_owned()];
    let names = Names { feeds: &feeds, captures: &captures };
    let mut session = Session::default();
    session.set(0, "s3\u{1}\"cret\\".as_bytes());
    for escape in [Escape::None, Escape::Json, Escape::Url] {
        let compiled = match Template::compile(text, escape, names) {
            Ok(compiled) => compiled,
            Err(error) => {
                assert!(!error.is_empty());
                continue;
            }
        };
        let write = || {
            let mut out = Vec::new();
            compiled.write(&mut out, &mut Draw::new(1, 0, 3, 7, &feeds, Some(&session)));
            out
        };
        let written = write();
        if let Some(fixed) = compiled.fixed() {
            assert_eq!(written, fixed);
        } else if !text.contains("timestamp") {
            assert_eq!(write(), written, "the same request twice");
        }
        if !text.contains("{{") {
            assert_eq!(written, data);
        }
        // A bare value may be none of JSON's.
        let is_json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok();
        if escape == Escape::Json && !text.contains("{{=") && is_json(data) {
            assert!(is_json(&written), "no JSON any more: {}", String::from_utf8_lossy(&written));
        }
    }
}

/// What Go's templates are given here.
static VALUES: LazyLock<Value> = LazyLock::new(|| {
    serde_json::json!({
        "name": "a b", "n": 3, "f": 2.5, "yes": true, "no": false, "zero": 0, "empty": "", "list": [1, 2, 3],
        "none": [], "map": {"b": 2, "a": 1}, "deep": {"er": {"x": "y"}}, "big": u64::MAX, "low": i64::MIN, "nul": null
    })
});

/// One of Go's templates.
pub fn go_template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match gotemplate::render(text, &VALUES) {
        Ok(rendered) => {
            assert!(rendered.len() <= (4 << 20) + text.len());
            if !text.contains("{{") {
                assert_eq!(rendered, text);
            }
        }
        Err(error) => super::assert_placed(&error, text),
    }
}
