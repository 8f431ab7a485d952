//! The LoadTest file and the flags that override it, turned into a checked [`LoadTest`].
//!
//! Whatever is wrong gives one error with its place and what to write instead; nothing runs on a half-understood test.

pub mod bundle;
mod check;
pub mod complete;
mod draft;
mod file;
mod knative;
pub mod schema;
pub mod secret;
pub mod units;
pub mod versions;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use self::complete::Pending;
pub use self::draft::{BodySource, Draft, DraftBody, DraftConnections, DraftRequest, DraftTls, Goal, Sourced};
use self::secret::References;
use crate::kube;
use crate::outside::provider::Provider;
use crate::outside::ready::Ready;
use crate::slo::{Group, Metric, Slo};
use loadgrid_worker::client::feed::Feed;
use loadgrid_worker::client::request::Request;
use loadgrid_worker::schedule::Load;

/// The API version and kind of the file that this version reads.
pub const API_VERSION: &str = "loadgrid.dev/v1alpha1";
pub const KIND: &str = "LoadTest";

/// The JSON schema of a file's `spec`.
pub fn schema() -> schemars::Schema {
    file::schema()
}

/// A test that was understood completely.
#[derive(Clone, Debug)]
pub struct LoadTest {
    pub name: String,
    pub requests: Vec<Request>,
    /// For each request its URL as it was written, without resolved secrets: what reports show.
    pub urls: Vec<String>,
    /// For each request where it stands.
    pub places: Vec<Place>,
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
    /// Streams at once on one HTTP/2 connection.
    pub streams: u32,
    /// 0 for no bound, as in the next two.
    pub requests_per_connection: u64,
    pub connection_age_ns: u64,
    pub resolve_every_ns: u64,
    pub feeds: Vec<Feed>,
    /// Names of the values that steps hand on.
    pub captures: Vec<String>,
    /// What has to hold before the load starts.
    pub ready: Vec<Ready>,
    /// Objects of the cluster that have to be ready before it.
    pub objects: Vec<kube::ready::Ready>,
    /// Requests that go to the Knative service among them, wherever that says it is.
    pub to_ksvc: Vec<usize>,
    /// Where metrics come from that are not the load's own.
    pub providers: Vec<Provider>,
    pub notices: Vec<Notice>,
    /// Versions of the target that are measured side by side, the one that others are compared with first; none in a
    /// test of one. Rates of `load` are those of all together.
    pub versions: Vec<String>,
    pub rewards: Vec<Reward>,
    /// What has to be fetched before the test can be sent; see [`complete::complete`].
    pub pending: Vec<Pending>,
    /// As it was named, for messages.
    pub file: Option<String>,
}

/// By what the better version is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Reward {
    pub goal: Goal,
    /// Of no version in particular.
    pub metric: Metric,
}

/// Who is told of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub url: String,
    pub method: String,
    pub headers: Vec<(String, String)>,
    /// Of the message; without one it is a summary in JSON.
    pub template: Option<String>,
    pub when: When,
    /// A notice that can't be delivered is said and no more.
    pub soft_failure: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    /// Whenever the run is not a pass.
    Failure,
}

impl LoadTest {
    /// For each request its group and name.
    pub fn groups(&self) -> Vec<(Group, &str)> {
        let group = |request: &Request| if request.grpc.is_some() { Group::Grpc } else { Group::Http };
        self.requests.iter().map(|request| (group(request), request.name.as_str())).collect()
    }

    /// The requests that follow others: no arrivals of the plan.
    pub fn follow_ups(&self) -> BTreeSet<u32> {
        self.requests.iter().filter_map(|request| request.next).collect()
    }

    /// The weight of a request, or of the steps that it is one of.
    pub fn drawn_weight(&self, number: usize) -> u64 {
        let mut head = number;
        while let Some(before) = self.requests.iter().position(|request| request.next == Some(head as u32)) {
            head = before;
        }
        self.requests.get(head).map_or(0, |request| u64::from(request.weight))
    }
}

/// Connections over the grid of a closed loop that does not say how many.
pub const CONNECTIONS_CLOSED: u32 = 50;

/// Connections of a worker when the test leaves it to loadgrid.
pub const CONNECTIONS_AUTO: u32 = 1024;

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The test may be right: what it takes from elsewhere could not be had.
    pub elsewhere: bool,
}

impl SpecError {
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        SpecError { file: None, place, message: message.into(), elsewhere: false }
    }

    /// Something that could not be had from elsewhere.
    pub fn elsewhere(place: Place, message: impl Into<String>) -> Self {
        SpecError { elsewhere: true, ..SpecError::new(place, message) }
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

/// Flags for HTTP requests in a test that has none.
fn flags_that_nothing_takes(draft: &Draft, flags: &Draft) -> Result<(), SpecError> {
    let http = |request: &DraftRequest| {
        request
            .steps
            .as_ref()
            .map_or(request.grpc.is_none(), |steps| steps.value.iter().any(|step| step.grpc.is_none()))
    };
    let Some(flag) = flags.requests.first().filter(|_| !draft.requests.is_empty() && !draft.requests.iter().any(http))
    else {
        return Ok(());
    };
    let sourced =
        [&flag.url, &flag.method, &flag.version].into_iter().flatten().map(|given| given.place.clone()).next();
    let place = sourced.or(flag.body.as_ref().map(|body| body.place.clone()));
    let place = place.or(flag.headers.first().map(|(_, value)| value.place.clone()));
    match place {
        Some(place) => Err(SpecError::new(place, "it is for HTTP requests, and the test has gRPC calls alone")),
        None => Ok(()),
    }
}

/// Reads a test from a file's text (if there is one) and flags, which win.
///
/// # Errors
/// The first mistake.
pub fn load(file: Option<(&str, &str)>, flags: Draft) -> Result<LoadTest, SpecError> {
    let draft = written(file, flags)?;
    let name = file.map(|(name, _)| name);
    checked(draft, name, check::folder(name), &References::Here)
}

/// The name in a file's text, if it can be read as far as that.
pub fn name_of(text: &str) -> Option<String> {
    file::parse(text).ok()?.name.map(|name| name.value)
}

/// What file and flags say together.
fn written(file: Option<(&str, &str)>, flags: Draft) -> Result<Draft, SpecError> {
    let named = |error: SpecError| SpecError { file: file.map(|(name, _)| name.to_owned()), ..error };
    let draft = match file {
        Some((_, text)) => file::parse(text).map_err(named)?,
        None => Draft::default(),
    };
    flags_that_nothing_takes(&draft, &flags).map_err(named)?;
    Ok(draft.overridden_by(flags))
}

fn checked(draft: Draft, file: Option<&str>, folder: &Path, references: &References) -> Result<LoadTest, SpecError> {
    let named = |error: SpecError| SpecError { file: file.map(str::to_owned), ..error };
    let mut draft = draft;
    knative::fill(&mut draft);
    let draft = versions::expand(draft).map_err(named)?;
    let mut test = check::check(draft, check::Base { folder, references }).map_err(named)?;
    test.file = file.map(str::to_owned);
    Ok(test)
}

#[cfg(test)]
mod tests;
