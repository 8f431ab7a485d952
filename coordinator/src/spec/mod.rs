//! The LoadTest file and the flags that override it, turned into a checked [`LoadTest`].
//!
//! Whatever is wrong gives one error with its place and what to write instead; nothing runs on a half-understood test.

mod check;
mod draft;
mod file;
pub mod secret;
pub mod units;

use std::fmt;

pub use self::draft::{Draft, DraftRequest, Sourced};
use crate::slo::Slo;
use loadgrid_worker::client::request::Request;
use loadgrid_worker::schedule::Load;

/// The API version and kind of the file that this version reads.
pub const API_VERSION: &str = "loadgrid.dev/v1alpha1";
pub const KIND: &str = "LoadTest";

/// A test that was understood completely.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadTest {
    pub name: String,
    pub requests: Vec<Request>,
    /// For each request its URL as it was written, without resolved secrets: what reports show.
    pub urls: Vec<String>,
    /// Whether the metrics of the only request have a name of their own.
    pub named: bool,
    pub load: Load,
    /// `None`: as many as are needed, up to [`CONNECTIONS_AUTO`] per worker.
    pub connections: Option<u32>,
    pub timeout_ns: u64,
    pub max_wait_ns: u64,
    pub max_body_bytes: u64,
    pub seed: Option<u64>,
    pub spin: bool,
    pub slos: Vec<Slo>,
}

/// Connections over the grid of a closed loop that does not say how many.
pub const CONNECTIONS_CLOSED: u32 = 50;

/// Connections of a worker when the test leaves it to loadgrid.
pub const CONNECTIONS_AUTO: u32 = 1024;

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Line and column of the file, counted from 1.
    File { line: u64, column: u64 },
    /// A flag of the command line.
    Flag(String),
    /// Something that is missing altogether.
    Test,
}

/// A mistake in a test: place, what is wrong, and its mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// The file as it was named, if there is one.
    pub file: Option<String>,
    pub place: Place,
    pub message: String,
}

impl SpecError {
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        SpecError { file: None, place, message: message.into() }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().unwrap_or("the test");
        match &self.place {
            Place::File { line, column } => write!(f, "{file}:{line}:{column}: {}", self.message),
            Place::Flag(flag) => write!(f, "{flag}: {}", self.message),
            Place::Test => write!(f, "{file}: {}", self.message),
        }
    }
}

impl std::error::Error for SpecError {}

/// Reads a test from a file's text (if there is one) and flags, which win.
///
/// # Errors
/// The first mistake.
pub fn load(file: Option<(&str, &str)>, flags: Draft) -> Result<LoadTest, SpecError> {
    let named = |mut error: SpecError| {
        error.file = file.map(|(name, _)| name.to_owned());
        error
    };
    let draft = match file {
        Some((_, text)) => file::parse(text).map_err(named)?,
        None => Draft::default(),
    };
    check::check(draft.overridden_by(flags)).map_err(named)
}

#[cfg(test)]
mod tests;
