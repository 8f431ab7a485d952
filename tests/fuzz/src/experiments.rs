//! Iter8's values and experiments.

use loadgrid::iter8::set::{Sources, merge};
use loadgrid::iter8::{Experiment, html, text, values};
use serde_json::Value;

/// The most values that flags may make of few bytes.
const FILLED_MAX: usize = 1 << 20;

/// A flag a line, given as each of the three kinds.
pub fn set_paths(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let only = |kind: fn(Vec<String>) -> Sources| kind(lines.clone());
    for (flag, sources) in [
        ("--set ", only(|set| Sources { set, ..Sources::default() })),
        ("--set-string ", only(|set_string| Sources { set_string, ..Sources::default() })),
        ("--set-file ", only(|set_file| Sources { set_file, ..Sources::default() })),
    ] {
        let read =
            |path: &str| if path.len() < 8 { Ok(path.to_owned()) } else { Err("there is no such file".to_owned()) };
        match merge(&sources, &read) {
            Ok(merged) => {
                assert!(merged.is_object());
                // A list is filled up to its index, but lists in lists and beside lists have a bound too.
                let values = size(&merged);
                assert!(values <= FILLED_MAX + text.len(), "{values} values of {} bytes", text.len());
                if let Err(error) = values::read(&merged) {
                    assert!(!error.message.is_empty());
                }
            }
            Err(error) => {
                let column = error.place.strip_prefix(flag).and_then(|place| place.strip_prefix("column "));
                let column: usize = column.and_then(|column| column.parse().ok()).expect("a flag and a column");
                let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
                assert!((1..=longest + 1).contains(&column) && !error.message.is_empty(), "{error}");
            }
        }
    }
}

/// How many values there are in a value, itself included.
fn size(value: &Value) -> usize {
    let (mut open, mut count) = (vec![value], 0);
    while let Some(value) = open.pop() {
        count += 1;
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => open.extend(map.values()),
            _ => {}
        }
    }
    count
}

/// An experiment's file: its tasks, its reports, and the file that is written back.
pub fn iter8_experiment(data: &[u8]) {
    let Ok(file) = std::str::from_utf8(data) else { return };
    let experiment = match Experiment::read("experiment.yaml", file) {
        Ok(experiment) => experiment,
        Err(error) => {
            assert!(!error.place.is_empty() && !error.message.is_empty(), "{error:?}");
            return;
        }
    };
    for index in 0..experiment.spec.len() {
        // Whether they are understood is the task's own affair.
        let _ = (experiment.task(index), experiment.is_due(index));
    }
    text::render(&experiment);
    html::render(&experiment).expect("no experiment breaks the page");
    let written = experiment.write().expect("every experiment can be written");
    let again = Experiment::read("again", &written);
    assert_eq!(again.as_ref(), Ok(&experiment), "{written}");
}
