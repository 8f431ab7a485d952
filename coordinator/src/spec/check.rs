//! A draft to a test: every value understood, every contradiction named.

mod around;
mod grpc;
mod load;
mod objects;
mod request;
mod slo;
mod steps;

use std::path::{Path, PathBuf};

pub(super) use self::around::folder;
pub(super) use self::grpc::parse_data as grpc_data;
pub(super) use self::steps::captured_before;

use super::draft::{Draft, DraftConnections, DraftProvider, Sourced};
use super::secret::References;
use super::{LoadTest, Place, SpecError, units};

/// Defaults of what a test may leave out.
const TIMEOUT_NS: u64 = 10_000_000_000;
const MAX_WAIT_NS: u64 = 10_000_000_000;
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;
const STREAMS_OPEN_LOOP: u32 = 100;

/// Bounds of what a test may ask for.
const TIMEOUT_NS_MAX: u64 = 600_000_000_000;
const STREAMS_MAX: u64 = 10_000;

pub(super) type Checked<T> = Result<T, SpecError>;

/// Where the paths of a test start from, and what its references are looked up in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base<'a> {
    pub folder: &'a Path,
    pub references: &'a References,
}

impl Base<'_> {
    /// A path as it is written, seen from the test's folder.
    pub(super) fn path(self, written: &str) -> PathBuf {
        self.folder.join(written)
    }

    /// A text with what its references stand for.
    fn resolve(self, text: &str) -> Result<String, String> {
        self.references.resolve(text)
    }

    /// A file's content.
    fn read(self, path: &Sourced) -> Checked<Vec<u8>> {
        std::fs::read(self.path(&path.value)).map_err(|error| {
            SpecError::new(path.place.clone(), format!("the file {} can't be read ({error})", path.value))
        })
    }
}

pub(super) fn check(draft: Draft, base: Base) -> Checked<LoadTest> {
    let requests = steps::requests(&draft, base)?;
    let timeout_ns = optional(&draft.timeout, units::duration_ns)?.unwrap_or(TIMEOUT_NS);
    if timeout_ns == 0 || timeout_ns > TIMEOUT_NS_MAX {
        return Err(at(&draft.timeout, "a timeout is more than 0 and at most 600s"));
    }
    let closed = draft.closed_loop.is_some();
    let streams = optional(&draft.connections.streams, |text| match units::whole(text, "a number of streams")? {
        count @ 1..=STREAMS_MAX => Ok(count as u32),
        _ => Err(format!("write a number of streams from 1 to {STREAMS_MAX}")),
    })?;
    let feeds = draft.feeds.iter().map(|(name, feed)| around::feed(name, feed, base)).collect::<Checked<Vec<_>>>()?;
    let providers =
        draft.providers.iter().map(|provider| around::provider(provider, base)).collect::<Checked<Vec<_>>>()?;
    for (number, provider) in draft.providers.iter().enumerate() {
        let twin = |other: &&Sourced<DraftProvider>| {
            (&other.value.name, &other.value.side) == (&provider.value.name, &provider.value.side)
        };
        if draft.providers[..number].iter().any(|other| twin(&other)) {
            let message = format!("two providers are named '{}': names must differ", provider.value.name);
            return Err(SpecError::new(provider.place.clone(), message));
        }
    }
    let (inside, outside): (Vec<_>, Vec<_>) = draft.ready.iter().partition(|ready| objects::is_one(&ready.value));
    let mut test = LoadTest {
        name: name(&draft)?,
        named: requests.named,
        load: load::load(&draft)?.times(draft.versions.len().max(1) as u32),
        connections: connections(&draft.connections)?,
        streams: streams.unwrap_or(if closed { 1 } else { STREAMS_OPEN_LOOP }),
        requests_per_connection: requests_per_connection(&draft.connections)?,
        connection_age_ns: optional(&draft.connections.age, units::duration_ns)?.unwrap_or(0),
        resolve_every_ns: optional(&draft.connections.resolve_every, units::duration_ns)?.unwrap_or(0),
        timeout_ns,
        max_wait_ns: optional(&draft.max_wait, units::duration_ns)?.unwrap_or(MAX_WAIT_NS),
        max_body_bytes: optional(&draft.max_body, |text| units::whole(text, "a size in bytes"))?
            .unwrap_or(MAX_BODY_BYTES),
        seed: optional(&draft.seed, |text| units::whole(text, "a seed"))?,
        spin: draft.spin,
        slos: Vec::new(),
        versions: draft.versions.iter().map(|version| version.name.clone()).collect(),
        rewards: Vec::new(),
        requests: requests.requests,
        urls: requests.urls,
        to_ksvc: requests.to_ksvc,
        places: requests.places,
        captures: requests.captures,
        pending: requests.pending,
        file: None,
        feeds,
        ready: outside.iter().map(|ready| around::ready(ready, base)).collect::<Checked<_>>()?,
        objects: inside.iter().map(|ready| objects::ready(ready, &draft)).collect::<Checked<_>>()?,
        providers,
        notices: draft.notices.iter().map(|notice| around::notice(notice, base)).collect::<Checked<_>>()?,
    };
    super::complete::finish_local(&mut test)?;
    super::complete::check_templates(&test)?;
    around::check_once(&draft, &test)?;
    let mut written = Vec::new();
    for slo in &draft.slos {
        let parsed = slo::objective(slo, &test)?;
        written.extend(std::iter::repeat_n(slo, parsed.len()));
        test.slos.extend(parsed);
    }
    slo::check_conflicts(&written, &test.slos)?;
    test.rewards = draft.rewards.iter().map(|(goal, text)| slo::reward(*goal, text, &test)).collect::<Checked<_>>()?;
    Ok(test)
}

pub(super) fn at(value: &Option<Sourced>, message: impl Into<String>) -> SpecError {
    SpecError::new(value.as_ref().map_or(Place::Test, |value| value.place.clone()), message)
}

pub(super) fn optional<T>(value: &Option<Sourced>, parse: impl Fn(&str) -> Result<T, String>) -> Checked<Option<T>> {
    value.as_ref().map(|value| required(value, parse)).transpose()
}

pub(super) fn required<T>(value: &Sourced, parse: impl Fn(&str) -> Result<T, String>) -> Checked<T> {
    parse(&value.value).map_err(|message| SpecError::new(value.place.clone(), message))
}

pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn name(draft: &Draft) -> Checked<String> {
    let Some(name) = &draft.name else { return Ok("adhoc".to_owned()) };
    if !is_name(&name.value) {
        let message = format!("'{}' is not a name: write up to 63 letters, digits, '-', '_' or '.'", name.value);
        return Err(SpecError::new(name.place.clone(), message));
    }
    Ok(name.value.clone())
}

fn connections(draft: &DraftConnections) -> Checked<Option<u32>> {
    let Some(connections) = &draft.count else { return Ok(None) };
    if connections.value.trim() == "auto" {
        return Ok(None);
    }
    let wrong =
        || SpecError::new(connections.place.clone(), "write a number of connections from 1 to 1000000, or auto");
    match units::whole(&connections.value, "a number of connections") {
        Ok(count @ 1..=1_000_000) => Ok(Some(count as u32)),
        _ => Err(wrong()),
    }
}

/// 0 for no bound.
fn requests_per_connection(draft: &DraftConnections) -> Checked<u64> {
    let bound = optional(&draft.requests_per_connection, |text| match units::whole(text, "a number of requests")? {
        0 => Err("0 requests a connection: nothing could be sent".to_owned()),
        count => Ok(count),
    })?;
    match (&draft.keep_alive, bound) {
        (Some(keep), Some(2..)) if !keep.value => Err(SpecError::new(
            keep.place.clone(),
            "keepAlive: false is one request a connection: leave out one of the two",
        )),
        (Some(keep), _) if !keep.value => Ok(1),
        (_, bound) => Ok(bound.unwrap_or(0)),
    }
}
