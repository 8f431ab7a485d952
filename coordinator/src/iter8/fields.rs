//! A map whose keys are matched without regard to case and of which none is passed over in silence; what the keys mean
//! is their reader's business.

use serde_json::{Map, Value};

use super::Iter8Error;
use crate::spec::units;

type Read<T> = Result<Option<T>, Iter8Error>;

/// The keys of one map that are still to be read.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    place: String,
    entries: Map<String, Value>,
}

impl Fields {
    /// Null is an empty map.
    ///
    /// # Errors
    /// What is no map, and two keys that differ in case alone.
    pub(super) fn new(place: impl Into<String>, value: Value) -> Result<Fields, Iter8Error> {
        let place = place.into();
        let entries = match value {
            Value::Null => Map::new(),
            Value::Object(entries) => entries,
            other => {
                return Err(Iter8Error::new(place, format!("expected a map of keys, not {}", kind(&other))));
            }
        };
        let mut seen: Vec<String> = Vec::with_capacity(entries.len());
        for key in entries.keys() {
            let lower = key.to_ascii_lowercase();
            if seen.contains(&lower) {
                return Err(Iter8Error::new(place, format!("the key {key} is there twice, in different cases")));
            }
            seen.push(lower);
        }
        Ok(Fields { place, entries })
    }

    /// The place of a key.
    pub(super) fn at(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> Iter8Error {
        Iter8Error::new(self.at(key), message)
    }

    /// Takes a key; null is as good as absent.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        let name = self.entries.keys().find(|name| name.eq_ignore_ascii_case(key))?.clone();
        self.entries.shift_remove(&name).filter(|value| !value.is_null())
    }

    /// Takes a key whose map is read in turn.
    pub(super) fn map(&mut self, key: &str) -> Read<Fields> {
        let place = self.at(key);
        self.take(key).map(|value| Fields::new(place, value)).transpose()
    }

    /// A string; a number or a boolean, which `--set` makes of what looks like one, is taken as it was written.
    pub(super) fn text(&mut self, key: &str) -> Read<String> {
        let Some(value) = self.take(key) else { return Ok(None) };
        text(&value).map(Some).ok_or_else(|| self.error(key, format!("expected text, not {}", kind(&value))))
    }

    /// A string that says something.
    pub(super) fn filled(&mut self, key: &str) -> Read<String> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    pub(super) fn number(&mut self, key: &str) -> Read<f64> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match number(&value) {
            Some(number) => Ok(Some(number)),
            None => Err(self.error(key, format!("expected a number, not {}", shown(&value)))),
        }
    }

    /// A whole number of at least zero. Large ones that went through a float (`1e+06`) are whole all the same.
    pub(super) fn whole(&mut self, key: &str) -> Read<u64> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match number(&value) {
            Some(number) if number >= 0.0 && number.fract() == 0.0 && number <= 9e15 => Ok(Some(number as u64)),
            _ => Err(self.error(key, format!("expected a whole number, not {}", shown(&value)))),
        }
    }

    pub(super) fn boolean(&mut self, key: &str) -> Read<bool> {
        let Some(value) = self.take(key) else { return Ok(None) };
        match value {
            Value::Bool(value) => Ok(Some(value)),
            Value::String(text) if text == "true" || text == "false" => Ok(Some(text == "true")),
            other => Err(self.error(key, format!("expected true or false, not {}", shown(&other)))),
        }
    }

    /// A duration as Go writes it, ns; zero is as good as absent.
    pub(super) fn duration(&mut self, key: &str) -> Read<u64> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if text == "0" || text.is_empty() {
            return Ok(None);
        }
        let ns = units::duration_ns(&text).map_err(|message| self.error(key, message))?;
        Ok(Some(ns).filter(|ns| *ns > 0))
    }

    /// A map of strings.
    pub(super) fn strings(&mut self, key: &str) -> Result<Vec<(String, String)>, Iter8Error> {
        let Some(fields) = self.map(key)? else { return Ok(Vec::new()) };
        let mut found = Vec::with_capacity(fields.entries.len());
        for (name, value) in &fields.entries {
            match text(value) {
                Some(text) => found.push((name.clone(), text)),
                None => return Err(fields.error(name, format!("expected text, not {}", kind(value)))),
            }
        }
        Ok(found)
    }

    /// A list; a single value is a list of one.
    pub(super) fn list(&mut self, key: &str) -> Vec<Value> {
        match self.take(key) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(single) => vec![single],
        }
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>, Iter8Error> {
        let place = self.at(key);
        let of = |value: &Value| text(value).ok_or_else(|| Iter8Error::new(place.clone(), "expected a list of texts"));
        self.list(key).iter().map(of).collect()
    }

    /// The keys that are left, as they were written.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.entries
    }

    /// The names of the keys that are left.
    pub(super) fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// # Errors
    /// A key that nobody took, with the nearest one that there is.
    pub(super) fn finish(self, known: &[&str]) -> Result<(), Iter8Error> {
        match self.entries.keys().next() {
            None => Ok(()),
            Some(key) => Err(unknown(self.at(key), key, known)),
        }
    }
}

/// # Errors
/// A key that is not among those known.
pub(super) fn check(place: &str, entries: &Map<String, Value>, known: &[&str]) -> Result<(), Iter8Error> {
    match entries.keys().find(|key| !known.iter().any(|known| known.eq_ignore_ascii_case(key))) {
        Some(key) => Err(unknown(format!("{place}.{key}"), key, known)),
        None => Ok(()),
    }
}

/// The error for a key that there is not.
pub(super) fn unknown(place: impl Into<String>, key: &str, known: &[&str]) -> Iter8Error {
    Iter8Error::new(
        place,
        match nearest(key, known) {
            Some(near) => format!("there is no key '{key}': did you mean {near}?"),
            None => format!("there is no key '{key}': there are {}", known.join(", ")),
        },
    )
}

/// The known word that a misspelt one was most likely meant to be.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let far = |other: &str| distance(&word, &other.to_ascii_lowercase());
    let near = known.iter().copied().min_by_key(|other| far(other))?;
    (far(near) <= (word.chars().count() / 3).max(1)).then_some(near)
}

/// Insertions, deletions, replacements and swaps of neighbours from one word to the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let mut above = None;
    for (row, a) in left.chars().enumerate() {
        let mut next = vec![row + 1];
        let mut beside = None;
        for (column, b) in right.iter().copied().enumerate() {
            let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let replaced = cell(&last, column) + usize::from(a != b);
            let mut least = replaced.min(cell(&last, column + 1) + 1).min(cell(&next, column) + 1);
            if above == Some(b) && beside == Some(a) {
                least = least.min(cell(&before_last, column.saturating_sub(1)) + 1);
            }
            next.push(least);
            beside = Some(b);
        }
        before_last = std::mem::replace(&mut last, next);
        above = Some(a);
    }
    last.last().copied().unwrap_or(0)
}

/// A scalar as it was written.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A finite number, also one that came as text: `--set` leaves fractions as text.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn shown(value: &Value) -> String {
    text(value).map_or_else(|| kind(value).to_owned(), |text| format!("'{text}'"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_matched_without_regard_to_case_and_none_is_forgotten() {
        let mut fields = Fields::new("http", json!({"URL": "x", "numrequests": "1e+02", "qsp": 1})).unwrap();
        assert_eq!(fields.text("url").unwrap().as_deref(), Some("x"));
        assert_eq!(fields.whole("numRequests").unwrap(), Some(100));
        let error = fields.finish(&["url", "numRequests", "qps"]).unwrap_err().to_string();
        assert_eq!(error, "http.qsp: there is no key 'qsp': did you mean qps?");
        assert!(Fields::new("http", json!({"url": 1, "URL": 2})).is_err());
        assert!(Fields::new("http", json!([1])).unwrap_err().to_string().contains("a list"));
    }

    #[test]
    fn types_are_named() {
        let mut fields = Fields::new("", json!({"a": {}, "b": -1, "c": "maybe", "d": "3 parsecs", "e": "0s"})).unwrap();
        assert!(fields.text("a").unwrap_err().to_string().starts_with("a: expected text"));
        assert!(fields.whole("b").unwrap_err().to_string().contains("'-1'"));
        assert!(fields.boolean("c").unwrap_err().to_string().contains("true or false"));
        assert!(fields.duration("d").is_err());
        assert_eq!(fields.duration("e").unwrap(), None);
    }

    #[test]
    fn distances() {
        for (left, right, far) in
            [("", "", 0), ("abc", "abc", 0), ("abc", "axc", 1), ("kitten", "sitting", 3), ("qsp", "qps", 1)]
        {
            assert_eq!(distance(left, right), far, "{left} {right}");
            assert_eq!(distance(right, left), far, "{right} {left}");
        }
        assert_eq!(nearest("xyzzy", &["url"]), None);
    }
}
