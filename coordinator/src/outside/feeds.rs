//! Tables that requests draw from, read from CSV and JSON lines. How a template names them, and which row a request
//! gets, is not known here.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use loadgrid_worker::client::feed::{Feed, Order};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The values of a feed, together: every worker keeps them in memory.
pub const VALUES_BYTES_MAX: u64 = 16 << 20;

/// How many values there may be, whatever their length.
pub const VALUES_MAX: usize = 4 << 20;

/// Whole numbers from here on are no longer kept exactly by JSON's numbers.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Where the rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The first line names the columns.
    Csv(PathBuf),
    /// An object a line; the first one names the columns.
    Jsonl(PathBuf),
}

/// Reads a feed. JSON's texts are taken as they are, `null` as an empty text, other scalars as JSON writes them, and
/// lists and objects as compact JSON. Keys that the first object does not have are left out.
///
/// # Errors
/// A sentence: file, line and column, and what to write instead.
pub fn read(name: &str, source: Source, order: Order) -> Result<Feed, String> {
    let table = match &source {
        Source::Csv(path) => csv_table(path),
        Source::Jsonl(path) => json_table(path),
    }?;
    Ok(Feed { name: name.to_owned(), columns: table.columns, order, values: table.values })
}

/// What has been read of a file.
struct Table<'a> {
    path: &'a Path,
    columns: Vec<String>,
    values: Vec<String>,
    bytes: u64,
}

impl<'a> Table<'a> {
    fn new(path: &'a Path, line: u64, columns: Vec<String>) -> Result<Self, String> {
        for (place, column) in columns.iter().enumerate() {
            let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if column.is_empty() || !column.chars().all(named) {
                return Err(at(
                    path,
                    line,
                    &format!("a template can't name the column '{column}': use letters, digits, _ and - alone"),
                ));
            }
            if columns.iter().take(place).any(|other| other == column) {
                return Err(at(path, line, &format!("the column '{column}' is there twice: rename one")));
            }
        }
        Ok(Table { path, columns, values: Vec::new(), bytes: 0 })
    }

    fn push(&mut self, line: u64, value: String) -> Result<(), String> {
        self.bytes += value.len() as u64;
        if self.bytes > VALUES_BYTES_MAX {
            let mib = VALUES_BYTES_MAX >> 20;
            return Err(at(self.path, line, &format!("a feed holds at most {mib} MiB of values: use fewer rows")));
        }
        if self.values.len() >= VALUES_MAX {
            return Err(at(self.path, line, &format!("a feed holds at most {VALUES_MAX} values: use fewer rows")));
        }
        self.values.push(value);
        Ok(())
    }

    fn with_rows(self) -> Result<Self, String> {
        if self.values.is_empty() {
            return Err(format!("{} has columns but no rows: add at least one", self.path.display()));
        }
        Ok(self)
    }
}

fn at(path: &Path, line: u64, what: &str) -> String {
    format!("{}:{line}: {what}", path.display())
}

fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("{} can't be read ({error})", path.display())
}

fn csv_table(path: &Path) -> Result<Table<'_>, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(open(path)?);
    let header = reader.headers().map_err(|error| csv_error(path, &error))?;
    if header.is_empty() {
        return Err(format!("{} is empty: its first line names the columns, as in id,email", path.display()));
    }
    let columns = header.iter().map(str::to_owned).collect();
    let mut table = Table::new(path, 1, columns)?;
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(|error| csv_error(path, &error))? {
        let line = row.position().map_or(0, csv::Position::line);
        for value in &row {
            table.push(line, value.to_owned())?;
        }
    }
    table.with_rows()
}

fn csv_error(path: &Path, error: &csv::Error) -> String {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Io(error) => unreadable(path, error),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => at(
            path,
            line,
            &format!("{len} values, but the first line names {expected_len} columns: quote values that hold commas"),
        ),
        csv::ErrorKind::Utf8 { err, .. } => {
            at(path, line, &format!("the value {} of the line is not UTF-8: save the file as UTF-8", err.field() + 1))
        }
        _ => at(path, line, &error.to_string()),
    }
}

fn json_table(path: &Path) -> Result<Table<'_>, String> {
    let mut reader = BufReader::new(open(path)?);
    let (mut line, mut text, mut table) = (0, Vec::new(), None);
    loop {
        text.clear();
        line += 1;
        // A line that is longer than all values may be is cut off here, and refused as JSON.
        let read = reader.by_ref().take(2 * VALUES_BYTES_MAX).read_until(b'\n', &mut text);
        if read.map_err(|error| unreadable(path, &error))? == 0 {
            break;
        }
        // Some editors begin files with a mark that JSON does not have.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        if text.trim_ascii().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_slice(text).map_err(|error| json_error(path, line, &error))?;
        if table.is_none() {
            let columns: Vec<String> = row.0.iter().map(|(key, _)| key.clone()).collect();
            if columns.is_empty() {
                return Err(at(path, line, "the first object names the columns, and is empty: give it keys"));
            }
            table = Some(Table::new(path, line, columns)?);
        }
        if let Some(table) = &mut table {
            add(table, line, row)?;
        }
    }
    match table {
        Some(table) => table.with_rows(),
        None => Err(format!("{} is empty: write an object a line, as in {{\"id\": 1}}", path.display())),
    }
}

fn add(table: &mut Table<'_>, line: u64, mut row: Row) -> Result<(), String> {
    for column in 0..table.columns.len() {
        let Some(name) = table.columns.get(column) else { continue };
        let mut found = row.0.iter_mut().filter(|(key, _)| key == name);
        let value = match (found.next(), found.next()) {
            (Some((_, value)), None) => std::mem::take(value),
            (Some(_), Some(_)) => {
                return Err(at(table.path, line, &format!("the key '{name}' is there twice: leave one out")));
            }
            (None, _) => {
                return Err(at(
                    table.path,
                    line,
                    &format!("the column '{name}' of the first object is missing: give it, with null for no value"),
                ));
            }
        };
        let text = json_text(value).map_err(|what| at(table.path, line, &format!("the column '{name}' {what}")))?;
        table.push(line, text)?;
    }
    Ok(())
}

fn json_text(value: Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text),
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(exact) if exact.fract() != 0.0 || exact.abs() < EXACT_MAX => Ok(number.to_string()),
            _ => Err("has more digits than JSON's numbers keep: put quotes around it".to_owned()),
        },
        other => Ok(other.to_string()),
    }
}

fn json_error(path: &Path, line: u64, error: &serde_json::Error) -> String {
    // Each line is a document of its own, so its line in the error is always the first.
    let what = error.to_string();
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
    format!("{}:{line}:{}: {what}: write one JSON object a line", path.display(), error.column().max(1))
}

/// An object with its keys as they were written, twice or not.
struct Row(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Row(pairs))
    }
}

#[cfg(test)]
mod tests;
