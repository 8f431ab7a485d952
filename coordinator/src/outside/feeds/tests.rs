use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;

/// Reads a text as if from a file.
fn of(text: &[u8], source: fn(PathBuf) -> Source) -> Result<Feed, String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("loadgrid-feed-{}-{number}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    let feed = read("users", source(path.clone()), Order::Once);
    std::fs::remove_file(&path).unwrap();
    feed.map_err(|error| error.replace(&path.display().to_string(), "FILE"))
}

fn csv(text: &str) -> Result<Feed, String> {
    of(text.as_bytes(), Source::Csv)
}

fn jsonl(text: &str) -> Result<Feed, String> {
    of(text.as_bytes(), Source::Jsonl)
}

#[test]
fn csv_rows_are_values_under_columns() {
    let feed = csv("\u{feff}id, e-mail\n1,\" a,\"\"b\"\n\n2,#c d \n").unwrap();
    assert_eq!((feed.name.as_str(), feed.order, feed.rows()), ("users", Order::Once, 2));
    assert_eq!(feed.columns, ["id", "e-mail"]);
    assert_eq!(feed.values, ["1", " a,\"b", "2", "#c d "]);
}

#[test]
fn json_values_become_text() {
    let feed = jsonl(
        "\u{feff}{\"a\": \"x\", \"b\": 1.50, \"c\": null}\n\n{\"c\": [1, {\"d\": 2}], \"b\": true, \"a\": 7, \"e\": 0}",
    )
    .unwrap();
    assert_eq!(feed.columns, ["a", "b", "c"]);
    assert_eq!(feed.values, ["x", "1.5", "", "7", "true", "[1,{\"d\":2}]"]);
}

#[test]
fn csv_mistakes_have_a_place_and_a_mend() {
    for (text, expected) in [
        ("", "FILE is empty: its first line names the columns"),
        ("id\n", "FILE has columns but no rows"),
        ("id,id\n1,2\n", "FILE:1: the column 'id' is there twice"),
        ("id,my name\n1,2\n", "FILE:1: a template can't name the column 'my name'"),
        ("id,\n1,2\n", "FILE:1: a template can't name the column ''"),
        ("id,n\n1,2\n3\n", "FILE:3: 1 values, but the first line names 2 columns"),
    ] {
        let error = csv(text).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
    assert!(of(b"id\na\xff\n", Source::Csv).unwrap_err().starts_with("FILE:2: the value 1 of the line is not UTF-8"));
    assert!(
        read("x", Source::Csv("/no/such/feed".into()), Order::Once).unwrap_err().contains("/no/such/feed can't be")
    );
}

#[test]
fn json_mistakes_have_a_place_and_a_mend() {
    for (text, expected) in [
        ("\n \n", "FILE is empty: write an object a line"),
        ("{}", "FILE:1: the first object names the columns"),
        ("{\"a\": 1}\n[1]", "FILE:2:"),
        ("{\"a\": 1}\n{\"a\": 1", "FILE:2:7: EOF while parsing an object"),
        ("{\"a\": 1, \"b\": 1}\n\n{\"a\": 1}", "FILE:3: the column 'b' of the first object is missing"),
        ("{\"a\": 1, \"a\": 2}", "FILE:1: the column 'a' is there twice"),
        ("{\"a\": 1}\n{\"a\": 1, \"a\": 2}", "FILE:2: the key 'a' is there twice"),
        ("{\"a.b\": 1}", "FILE:1: a template can't name the column 'a.b'"),
        ("{\"a\": 123456789012345678901234}", "FILE:1: the column 'a' has more digits"),
    ] {
        let error = jsonl(text).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let mib = "x".repeat(1 << 20);
    let fits = format!("v\n{}", format!("{mib}\n").repeat(16));
    assert_eq!(csv(&fits).unwrap().rows(), 16);
    assert!(csv(&format!("{fits}y\n")).unwrap_err().starts_with("FILE:18: a feed holds at most 16 MiB"));
}

proptest! {
    #[test]
    fn whatever_a_table_holds_comes_back(rows in prop::collection::vec(prop::array::uniform2(any::<String>()), 1..20)) {
        let lines: Vec<String> = rows.iter().map(|[a, b]| serde_json::json!({"a": a, "b": b}).to_string()).collect();
        let expected: Vec<String> = rows.concat();
        prop_assert_eq!(&jsonl(&lines.join("\n")).unwrap().values, &expected);
        let quoted = |text: &String| format!("\"{}\"", text.replace('"', "\"\""));
        let lines: Vec<String> = rows.iter().map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(",")).collect();
        prop_assert_eq!(&csv(&format!("a,b\n{}", lines.join("\n"))).unwrap().values, &expected);
    }
}
