//! A test as it was written, each value with its place: what a file and flags have in common before it is checked.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Place;

/// A value as text, and where it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sourced<T = String> {
    pub value: T,
    pub place: Place,
}

impl Sourced {
    /// A flag's value.
    pub fn flag(name: &str, value: impl Into<String>) -> Self {
        Sourced { value: value.into(), place: Place::Flag(name.to_owned()) }
    }
}

/// One request as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DraftRequest {
    pub place: Option<Place>,
    pub name: Option<Sourced>,
    pub weight: Option<Sourced>,
    pub url: Option<Sourced>,
    pub method: Option<Sourced>,
    pub headers: Vec<(String, Sourced)>,
    pub body: Option<DraftBody>,
    pub error_statuses: Option<Vec<Sourced>>,
    pub version: Option<Sourced>,
    pub connect_to: Option<Sourced>,
    pub tls: Option<Sourced<DraftTls>>,
    pub grpc: Option<DraftGrpc>,
    pub checks: Vec<Sourced<DraftCheck>>,
    pub captures: Vec<(String, Sourced)>,
    pub steps: Option<Sourced<Vec<DraftRequest>>>,
    /// The version of the target that it goes to, where there are several.
    pub side: Option<String>,
    /// Its URL is that of the Knative service that is waited for.
    #[serde(default)]
    pub to_ksvc: bool,
}

/// A version of the target, as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftVersion {
    pub name: String,
    pub place: Place,
    pub url: Option<Sourced>,
    /// Of gRPC calls.
    pub target: Option<Sourced>,
    /// Of gRPC calls: metadata.
    pub headers: Vec<(String, Sourced)>,
    /// The one that others are compared with.
    pub baseline: bool,
}

/// A body as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftBody {
    pub place: Place,
    pub source: BodySource,
    /// Whether what a file or URL brings is a template.
    pub template: bool,
    pub content_type: Option<Sourced>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BodySource {
    Text(String),
    Json(Value),
    File(String),
    Url(String),
}

/// TLS as written: paths, not yet their content.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DraftTls {
    pub ca: Option<Sourced>,
    pub cert: Option<Sourced>,
    pub key: Option<Sourced>,
    pub server_name: Option<Sourced>,
    pub insecure_skip_verify: bool,
}

/// A gRPC call as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftGrpc {
    pub target: Sourced,
    pub call: Sourced,
    pub proto: Option<Sourced>,
    pub import_paths: Vec<Sourced>,
    pub protoset: Option<Sourced>,
    pub data: Option<Sourced<Value>>,
    pub data_file: Option<Sourced>,
    pub data_url: Option<Sourced>,
    pub metadata: Vec<(String, Sourced)>,
    pub deadline: Option<Sourced>,
    pub authority: Option<Sourced>,
    pub message_interval: Option<Sourced>,
}

/// A check as written: which of these belong together is found out later.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DraftCheck {
    pub status: Option<String>,
    pub header: Option<String>,
    pub equals: Option<Value>,
    pub contains: Option<String>,
    pub body_contains: Option<String>,
    pub json: Option<String>,
    pub grpc_code: Option<String>,
}

/// A condition to wait for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DraftReady {
    pub http: Option<Sourced>,
    pub status: Option<Sourced>,
    pub tcp: Option<Sourced>,
    pub grpc_health: Option<Sourced>,
    pub service: Option<Sourced>,
    pub tls: Option<Sourced<DraftTls>>,
    pub ksvc: Option<Sourced>,
    pub deploy: Option<Sourced>,
    pub isvc: Option<Sourced>,
    pub object: Option<Sourced<DraftObject>>,
    /// Of the object.
    pub condition: Option<Sourced>,
    pub namespace: Option<Sourced>,
    pub timeout: Option<Sourced>,
}

/// An object of the cluster, as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftObject {
    pub api_version: String,
    pub kind: String,
    pub name: String,
}

/// A feed as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DraftFeed {
    pub csv: Option<Sourced>,
    pub jsonl: Option<Sourced>,
    pub order: Option<Sourced>,
}

/// A provider of metrics as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DraftProvider {
    pub name: String,
    /// The version that it is asked for, where it is asked for each.
    pub side: Option<String>,
    pub url: String,
    pub method: Option<String>,
    pub headers: Vec<(String, String)>,
    pub params: Vec<(String, String)>,
    pub body: Option<String>,
    pub metrics: Vec<Sourced<DraftProviderMetric>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DraftProviderMetric {
    pub name: String,
    pub params: Vec<(String, String)>,
    pub body: Option<String>,
    pub jq: String,
    pub unit: Option<String>,
    pub description: Option<String>,
}

/// A notice as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DraftNotice {
    pub url: String,
    pub method: Option<String>,
    pub headers: Vec<(String, String)>,
    pub template: Option<Sourced>,
    pub when: Option<Sourced>,
    pub soft_failure: Option<bool>,
}

/// One stage as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DraftStage {
    pub place: Place,
    pub rate: Option<Sourced>,
    pub to: Option<Sourced>,
    pub duration: Option<Sourced>,
}

/// How connections are kept, as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DraftConnections {
    pub count: Option<Sourced>,
    pub streams: Option<Sourced>,
    pub keep_alive: Option<Sourced<bool>>,
    pub requests_per_connection: Option<Sourced>,
    pub age: Option<Sourced>,
    pub resolve_every: Option<Sourced>,
}

/// A whole test as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub name: Option<Sourced>,
    /// Of objects that do not say theirs.
    pub namespace: Option<Sourced>,
    pub requests: Vec<DraftRequest>,
    /// Where the list of requests stands, if it is there but empty.
    pub requests_place: Option<Place>,
    pub arrivals: Option<Sourced>,
    pub warmup: Option<Sourced>,
    pub stages: Option<Sourced<Vec<DraftStage>>>,
    pub rate: Option<Sourced>,
    pub duration: Option<Sourced>,
    pub count: Option<Sourced>,
    pub closed_loop: Option<Place>,
    pub connections: DraftConnections,
    pub timeout: Option<Sourced>,
    pub max_wait: Option<Sourced>,
    pub max_body: Option<Sourced>,
    pub seed: Option<Sourced>,
    pub spin: bool,
    pub slos: Vec<Sourced>,
    pub ready: Vec<Sourced<DraftReady>>,
    pub feeds: Vec<(String, Sourced<DraftFeed>)>,
    pub providers: Vec<Sourced<DraftProvider>>,
    pub notices: Vec<Sourced<DraftNotice>>,
    /// In the order in which they are written.
    pub versions: Vec<DraftVersion>,
    /// By what the better version is known.
    pub rewards: Vec<(Goal, Sourced)>,
}

/// Which way a reward is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    Min,
    Max,
}

impl Draft {
    /// This draft with the other one's values where it has any.
    ///
    /// A profile is overridden whole: `--rate` or `--duration` against a file's stages would mean half of each.
    /// Flags for a request (URL, headers, …) go to every request of the file.
    pub fn overridden_by(mut self, flags: Draft) -> Draft {
        let profile = flags.rate.is_some() || flags.stages.is_some() || flags.closed_loop.is_some();
        if profile {
            let duration = self.duration.take().filter(|_| self.stages.is_none() && flags.count.is_none());
            (self.stages, self.rate, self.closed_loop) = (flags.stages, flags.rate, flags.closed_loop);
            self.duration = flags.duration.or(duration);
            self.count = flags.count.or(self.count.take().filter(|_| self.duration.is_none()));
            if self.closed_loop.is_some() {
                self.arrivals = None;
            }
        } else if flags.duration.is_some() || flags.count.is_some() {
            (self.duration, self.count) = (flags.duration, flags.count);
        }
        for flag in flags.requests {
            if self.requests.is_empty() {
                self.requests.push(DraftRequest::default());
            }
            self.requests.iter_mut().for_each(|request| request.override_by(&flag));
        }
        self.slos.extend(flags.slos);
        self.spin |= flags.spin;
        Draft {
            name: flags.name.or(self.name),
            namespace: flags.namespace.or(self.namespace),
            arrivals: flags.arrivals.or(self.arrivals),
            warmup: flags.warmup.or(self.warmup),
            connections: self.connections.overridden_by(flags.connections),
            timeout: flags.timeout.or(self.timeout),
            max_wait: flags.max_wait.or(self.max_wait),
            max_body: flags.max_body.or(self.max_body),
            seed: flags.seed.or(self.seed),
            ..self
        }
    }
}

impl DraftConnections {
    fn overridden_by(self, flags: DraftConnections) -> Self {
        DraftConnections {
            count: flags.count.or(self.count),
            streams: flags.streams.or(self.streams),
            keep_alive: flags.keep_alive.or(self.keep_alive),
            requests_per_connection: flags.requests_per_connection.or(self.requests_per_connection),
            age: flags.age.or(self.age),
            resolve_every: flags.resolve_every.or(self.resolve_every),
        }
    }
}

impl DraftRequest {
    fn override_by(&mut self, flag: &DraftRequest) {
        fn replace<T: Clone>(old: &mut Option<T>, new: &Option<T>) {
            if new.is_some() {
                old.clone_from(new);
            }
        }
        if let Some(steps) = &mut self.steps {
            steps.value.iter_mut().for_each(|step| step.override_by(flag));
            return;
        }
        replace(&mut self.connect_to, &flag.connect_to);
        if let Some(tls) = &flag.tls {
            let place = tls.place.clone();
            let own = self.tls.get_or_insert(Sourced { value: DraftTls::default(), place });
            replace(&mut own.value.ca, &tls.value.ca);
            replace(&mut own.value.cert, &tls.value.cert);
            replace(&mut own.value.key, &tls.value.key);
            replace(&mut own.value.server_name, &tls.value.server_name);
            own.value.insecure_skip_verify |= tls.value.insecure_skip_verify;
            own.place = tls.place.clone();
        }
        if self.grpc.is_some() {
            return;
        }
        replace(&mut self.url, &flag.url);
        replace(&mut self.method, &flag.method);
        replace(&mut self.body, &flag.body);
        replace(&mut self.version, &flag.version);
        for (name, value) in &flag.headers {
            self.headers.retain(|(old, _)| !old.eq_ignore_ascii_case(name));
            self.headers.push((name.clone(), value.clone()));
        }
    }
}
