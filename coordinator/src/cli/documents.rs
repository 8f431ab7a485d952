//! What is kept and rendered: runs, capacity searches, comparisons and trends, told apart by their schema.

use std::path::PathBuf;

use super::{Outcome, output};
use crate::capacity::{self, model::CapacityReport};
use crate::compare::{self, Comparison};
use crate::report::{self, Format, Report, pages};
use crate::spec::units::show_ns;
use crate::trend::{self, model::Trend};
use crate::verdict::RunVerdict;

/// Any of them.
pub(super) enum Document {
    Run(Box<Report>),
    Capacity(Box<CapacityReport>),
    Comparison(Box<Comparison>),
    Trend(Box<Trend>),
}

/// Formats that every document has.
const PLAIN: [Format; 4] = [Format::Text, Format::Json, Format::Html, Format::Markdown];

/// A format of something that is no run.
pub(super) fn parse_plain(name: &str) -> Result<Format, String> {
    let known = || PLAIN.map(Format::name).join(", ");
    let found = PLAIN.into_iter().find(|format| format.name() == name);
    found.ok_or_else(|| format!("'{name}' is no format of it: write one of {}", known()))
}

/// `FORMAT=PATH` of something that is no run.
pub(super) fn parse_plain_file(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, path) = super::run::split_report(text)?;
    Ok((parse_plain(format)?, path))
}

impl Document {
    /// Reads one.
    ///
    /// # Errors
    /// A sentence for people: not JSON, torn, or of a schema that is not known here.
    pub(super) fn parse(text: &str) -> Result<Document, String> {
        #[derive(serde::Deserialize)]
        struct Versioned {
            schema: Option<String>,
        }
        let versioned: Versioned =
            serde_json::from_str(text).map_err(|error| format!("not a stored run (JSON): {error}"))?;
        let read = |error: serde_json::Error, schema: &str| format!("it does not fit {schema}: {error}");
        match versioned.schema.as_deref() {
            Some(capacity::model::SCHEMA) => serde_json::from_str(text)
                .map(|report| Document::Capacity(Box::new(report)))
                .map_err(|error| read(error, capacity::model::SCHEMA)),
            Some(compare::model::SCHEMA) => serde_json::from_str(text)
                .map(|comparison| Document::Comparison(Box::new(comparison)))
                .map_err(|error| read(error, compare::model::SCHEMA)),
            Some(trend::model::SCHEMA) => trend::parse(text).map(|trend| Document::Trend(Box::new(trend))),
            // What is of no schema that is known here, it names.
            _ => report::parse(text).map(|report| Document::Run(Box::new(report))),
        }
    }

    /// What it is, in a sentence.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Document::Run(_) => "a run",
            Document::Capacity(_) => "a capacity search",
            Document::Comparison(_) => "a comparison",
            Document::Trend(_) => "a trend",
        }
    }

    /// What its command ended with, and would end with again.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Document::Run(report) => report.exit_code,
            Document::Capacity(report) => report.exit_code,
            Document::Comparison(_) | Document::Trend(_) => super::exit::PASS,
        }
    }

    /// What it says, in a line.
    pub(super) fn sentence(&self) -> String {
        let rate = |rate: Option<f64>| rate.map_or_else(|| "no rate".to_owned(), |rate| format!("{rate:.0}/s"));
        match self {
            Document::Run(report) => {
                let p99 = report.total.latency.p99.map(|p99| format!(", p99 {}", show_ns(p99 * 1e9)));
                let (achieved, p99) = (rate(Some(report.load.achieved_rate)), p99.unwrap_or_default());
                let reasons = report.reasons.first().map(|reason| format!(" ({reason})")).unwrap_or_default();
                format!("{} at {achieved}{p99}{reasons}", word(report))
            }
            Document::Capacity(report) => format!("capacity: {}", report.summary),
            Document::Comparison(_) | Document::Trend(_) => self.name().to_owned(),
        }
    }

    /// Renders it. `colour` is for text on a terminal.
    ///
    /// # Errors
    /// A format that it does not have, or a sentence for people.
    pub(super) fn render(&self, format: Format, colour: bool) -> Result<String, String> {
        match self {
            Document::Run(report) => report::render(report, format, colour),
            Document::Capacity(report) => match format {
                Format::Text => Ok(capacity::text(report, colour)),
                Format::Markdown => Ok(capacity::markdown(report)),
                Format::Html => pages::capacity(report).map_err(|error| error.to_string()),
                other => json(report.as_ref(), other, "a capacity search"),
            },
            Document::Comparison(comparison) => match format {
                Format::Text => compare::render(comparison, compare::Format::Text, colour),
                Format::Markdown => compare::render(comparison, compare::Format::Markdown, false),
                Format::Html => pages::compare(comparison).map_err(|error| error.to_string()),
                other => json(comparison.as_ref(), other, "a comparison"),
            },
            Document::Trend(trend) => match format {
                Format::Text => trend::render(trend, trend::Format::Text, colour),
                Format::Json => trend::render(trend, trend::Format::Json, false),
                Format::Markdown => trend::render(trend, trend::Format::Markdown, false),
                Format::Html => pages::trend(trend).map_err(|error| error.to_string()),
                other => json(trend.as_ref(), other, "a trend"),
            },
        }
    }

    /// Writes what was asked for; the exit code is `code`, unless something can't be written.
    pub(super) fn deliver(&self, to_stdout: Format, files: &[(Format, PathBuf)], code: u8) -> Outcome {
        output::deliver(|format, colour| self.render(format, colour), to_stdout, files)?;
        Ok(code)
    }
}

fn word(report: &Report) -> &'static str {
    match report.verdict {
        RunVerdict::Pass => "pass",
        RunVerdict::Fail => "FAIL",
        RunVerdict::Inconclusive => "inconclusive",
        RunVerdict::Invalid => "invalid",
    }
}

/// JSON, or that there is no such format.
fn json<T: serde::Serialize>(document: &T, format: Format, what: &str) -> Result<String, String> {
    if format != Format::Json {
        let known = PLAIN.map(Format::name).join(", ");
        return Err(format!("{what} can't be rendered as {format}: write one of {known}"));
    }
    let mut text = serde_json::to_string_pretty(document).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}
