//! The LoadTest file's text to a draft: YAML with every value's line and column.

mod around;
mod request;

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::Deserialize;

use super::draft::{Draft, DraftConnections, DraftStage, Sourced};
use super::schema::{Plain, Spanned};
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
    /// Of what it waits for, and where it is a resource.
    #[serde(default)]
    namespace: Option<Text>,
    #[serde(default)]
    #[allow(dead_code, reason = "accepted so that the same file can be a resource in a cluster")]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    #[allow(dead_code, reason = "as labels")]
    annotations: BTreeMap<String, String>,
}

/// What is sent, how much of it, and what has to hold.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Spec {
    /// What is sent, each one of http, grpc and steps. With more than one give each a name.
    #[schemars(length(min = 1, max = 100))]
    requests: Spanned<Vec<Spanned<request::Request>>>,
    /// How much is sent, and when.
    // May come from flags.
    #[serde(default)]
    load: Load,
    /// What has to hold, such as `http/latency-p99 <= 100ms` or `http/error-rate <= 0.1%`.
    #[serde(default)]
    #[schemars(with = "Vec<Plain>")]
    slos: Vec<Text>,
    /// What has to be there before the load starts; all of these.
    #[serde(default)]
    ready: Vec<Spanned<around::Ready>>,
    /// Data for the requests, by name: `{{NAME.COLUMN}}` in a request is a value of one row.
    #[serde(default)]
    feeds: BTreeMap<String, Spanned<around::Feed>>,
    /// Numbers that other systems keep, asked for after the load; objectives name them PROVIDER/METRIC.
    #[serde(default)]
    metrics: Vec<Spanned<around::Provider>>,
    /// Who is told how it ended.
    #[serde(default)]
    notify: Vec<Spanned<around::Notice>>,
    /// Versions of the target, measured side by side, by name.
    #[serde(default)]
    versions: BTreeMap<String, Spanned<around::Version>>,
    /// By what the better version is known.
    #[serde(default)]
    rewards: around::Rewards,
}

/// How much is sent, and when: a rate with a duration or a number of requests, stages, or a closed loop.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Load {
    /// `uniform` (the default) or `poisson`.
    arrivals: Option<Text>,
    /// Driven first, measured apart, not judged; such as 10s.
    warmup: Option<Text>,
    /// One after the other, instead of a rate.
    #[schemars(length(max = 1000))]
    stages: Option<Spanned<Vec<Spanned<Stage>>>>,
    /// Such as 500/s, 2.5k/s or 30/m.
    rate: Option<Text>,
    /// Such as 30s, 1m30s or 2h.
    duration: Option<Text>,
    /// Exactly so many over all workers.
    requests: Option<Text>,
    /// Each connection sends its next request when the last is answered.
    closed_loop: Option<Spanned<bool>>,
    /// Over the whole grid at most, or `auto`: as many as are needed.
    connections: Option<Text>,
    /// At once on one HTTP/2 connection.
    streams: Option<Text>,
    /// `false`: a connection for each request.
    keep_alive: Option<Spanned<bool>>,
    /// After so many a connection is closed and another opened.
    requests_per_connection: Option<Text>,
    /// After this time a connection is closed and another opened.
    connection_age: Option<Text>,
    /// How often a name is looked up again.
    resolve_every: Option<Text>,
    /// For one request; 10s by default.
    timeout: Option<Text>,
    /// What waits longer for a connection is dropped and counted; 10s by default.
    max_wait: Option<Text>,
    /// Of an answer, bytes.
    max_body: Option<Text>,
    /// The same seed draws the same arrivals and values.
    seed: Option<Text>,
    /// Lanes wait busily: narrower sending times, for all of a core.
    #[serde(default)]
    spin: bool,
}

/// A part of the load.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Stage {
    /// At its start, such as 500/s.
    rate: Option<Text>,
    /// At its end, for a ramp.
    to: Option<Text>,
    /// Such as 30s.
    duration: Option<Text>,
}

/// The schema of a file's `spec`, without references but for steps, which are requests.
pub(super) fn schema() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<Spec>()
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
        namespace: file.metadata.namespace.map(sourced),
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
