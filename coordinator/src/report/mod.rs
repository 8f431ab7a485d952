//! One report, many formats. All of them are rendered from [`model::Report`], so a stored run can be shown again in
//! any of them.

pub mod build;
mod charts;
pub mod entry;
mod figures;
pub mod hdr;

mod html;
mod json;
mod junit;
mod markdown;
pub mod model;
pub mod pages;
pub(crate) mod text;

use std::fmt;
use std::str::FromStr;

pub use self::json::{parse, schema};
pub use self::model::Report;

/// What a report can be rendered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Html,
    Junit,
    Markdown,
    /// An HdrHistogram interval log.
    Hlog,
}

impl Format {
    pub const ALL: [Format; 6] =
        [Format::Text, Format::Json, Format::Html, Format::Junit, Format::Markdown, Format::Hlog];

    pub fn name(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Json => "json",
            Format::Html => "html",
            Format::Junit => "junit",
            Format::Markdown => "markdown",
            Format::Hlog => "hlog",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Format::ALL.map(Format::name).join(", ");
        Format::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| format!("'{name}' is not a report's format: write one of {}", known()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Renders a report. `colour` is for text on a terminal.
///
/// # Errors
/// A histogram in a stored report that can't be read, or a template that does not fit: a sentence for people.
pub fn render(report: &Report, format: Format, colour: bool) -> Result<String, String> {
    match format {
        Format::Text => Ok(text::render(report, colour)),
        Format::Json => json::render(report),
        Format::Html => html::render(report).map_err(|error| error.to_string()),
        Format::Junit => Ok(junit::render(report)),
        Format::Markdown => Ok(markdown::render(report)),
        Format::Hlog => hdr::log(report),
    }
}

#[cfg(test)]
mod tests;
