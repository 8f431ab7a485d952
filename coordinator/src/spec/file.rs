//! The LoadTest file's text to a draft: YAML with every value's line and column.

mod around;
mod request;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::draft::{Draft, DraftConnections, DraftStage, Sourced};
use super::{API_VERSION, KIND, Place, SpecError, versions};

type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    api_version: Text,
    kind: Text,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Metadata {
    name: Text,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted so that the same file can be a resource in a cluster")]
    namespace: Option<Text>,
    #[serde(default)]
    #[allow(dead_code, reason = "as namespace")]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    #[allow(dead_code, reason = "as namespace")]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    requests: Spanned<Vec<Spanned<request::Request>>>,
    /// May come from flags.
    #[serde(default)]
    load: Load,
    #[serde(default)]
    slos: Vec<Text>,
    #[serde(default)]
    ready: Vec<Spanned<around::Ready>>,
    #[serde(default)]
    feeds: BTreeMap<String, Spanned<around::Feed>>,
    #[serde(default)]
    metrics: Vec<Spanned<around::Provider>>,
    #[serde(default)]
    notify: Vec<Spanned<around::Notice>>,
    #[serde(default)]
    versions: BTreeMap<String, Spanned<around::Version>>,
    #[serde(default)]
    rewards: around::Rewards,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Load {
    arrivals: Option<Text>,
    warmup: Option<Text>,
    stages: Option<Spanned<Vec<Spanned<Stage>>>>,
    rate: Option<Text>,
    duration: Option<Text>,
    /// Exactly so many over all workers.
    requests: Option<Text>,
    closed_loop: Option<Spanned<bool>>,
    connections: Option<Text>,
    /// At once on one HTTP/2 connection.
    streams: Option<Text>,
    keep_alive: Option<Spanned<bool>>,
    requests_per_connection: Option<Text>,
    connection_age: Option<Text>,
    resolve_every: Option<Text>,
    timeout: Option<Text>,
    max_wait: Option<Text>,
    max_body: Option<Text>,
    seed: Option<Text>,
    #[serde(default)]
    spin: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Stage {
    rate: Option<Text>,
    to: Option<Text>,
    duration: Option<Text>,
}

/// Reads a file's text.
///
/// # Errors
/// What is not YAML, not a LoadTest of this version, or a key that there is not.
pub(super) fn parse(text: &str) -> Result<Draft, SpecError> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let place = match error.location() {
            Some(at) => Place::File { line: at.line(), column: at.column() },
            None => Place::Test,
        };
        let message = error.without_snippet().to_string();
        // The place is said once, in front.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(before, _)| before);
        let foreign = !text.contains("apiVersion");
        let hint = if foreign { ". It has no apiVersion: if it is Iter8's, see `loadgrid iter8 run -f`" } else { "" };
        SpecError::new(place, plain(message) + hint)
    })?;
    if file.api_version.value != API_VERSION {
        let message = format!("apiVersion '{}' is not known here: write {API_VERSION}", file.api_version.value);
        return Err(SpecError::new(place(&file.api_version), message));
    }
    if file.kind.value != KIND {
        let message = format!("kind '{}' is not known here: write {KIND}", file.kind.value);
        return Err(SpecError::new(place(&file.kind), message));
    }
    let load = file.spec.load;
    let requests_place = place(&file.spec.requests);
    let requests = file.spec.requests.value.into_iter().map(request::request).collect::<Result<_, _>>()?;
    Ok(Draft {
        name: Some(sourced(file.metadata.name)),
        requests,
        requests_place: Some(requests_place),
        arrivals: load.arrivals.map(sourced),
        warmup: load.warmup.map(sourced),
        stages: load
            .stages
            .map(|stages| Sourced { place: place(&stages), value: stages.value.into_iter().map(stage).collect() }),
        rate: load.rate.map(sourced),
        duration: load.duration.map(sourced),
        count: load.requests.map(sourced),
        closed_loop: load.closed_loop.filter(|closed| closed.value).map(|closed| place(&closed)),
        connections: DraftConnections {
            count: load.connections.map(sourced),
            streams: load.streams.map(sourced),
            keep_alive: load.keep_alive.map(|keep| Sourced { place: place(&keep), value: keep.value }),
            requests_per_connection: load.requests_per_connection.map(sourced),
            age: load.connection_age.map(sourced),
            resolve_every: load.resolve_every.map(sourced),
        },
        timeout: load.timeout.map(sourced),
        max_wait: load.max_wait.map(sourced),
        max_body: load.max_body.map(sourced),
        seed: load.seed.map(sourced),
        spin: load.spin,
        slos: file.spec.slos.into_iter().map(sourced).collect(),
        ready: file.spec.ready.into_iter().map(around::ready).collect(),
        feeds: file.spec.feeds.into_iter().map(around::feed).collect(),
        providers: file.spec.metrics.into_iter().map(around::provider).collect(),
        notices: file.spec.notify.into_iter().map(around::notice).collect(),
        versions: versions::in_order(file.spec.versions.into_iter().map(around::version).collect()),
        rewards: around::rewards(file.spec.rewards),
    })
}

/// The parser's own hints speak of its settings; ours of the file.
fn plain(message: &str) -> String {
    if let Some((duplicate, _)) = message.split_once(", set DuplicateKeyPolicy") {
        return format!("{duplicate}: write it once");
    }
    if message.starts_with("multiple YAML documents") {
        return "more than one document: a test is one; put the others into files of their own".to_owned();
    }
    message.replace("expected string scalar", "expected a single value here, not a list or a map")
}

fn stage(stage: Spanned<Stage>) -> DraftStage {
    let place = place(&stage);
    let Stage { rate, to, duration } = stage.value;
    DraftStage { place, rate: rate.map(sourced), to: to.map(sourced), duration: duration.map(sourced) }
}

fn sourced(text: Text) -> Sourced {
    Sourced { place: place(&text), value: text.value }
}

fn place<T>(spanned: &Spanned<T>) -> Place {
    Place::File { line: spanned.referenced.line(), column: spanned.referenced.column() }
}
