//! What a file says around the load: readiness, feeds, metrics from outside, notices.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::request::{self, Tls};
use super::{Text, place, sourced};
use crate::spec::draft::{
    DraftFeed, DraftNotice, DraftObject, DraftProvider, DraftProviderMetric, DraftReady, DraftVersion, Goal, Sourced,
};
use crate::spec::schema::{Plain, Scalar, Spanned};

/// A condition that is waited for: one of http, tcp and grpcHealth, or in a cluster one of ksvc, deploy, service, isvc and
/// object.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Ready {
    /// A URL that answers.
    #[schemars(with = "Option<Plain>")]
    http: Option<Text>,
    /// Of the answer to http, such as 200 or 200-399; without it any 2xx.
    status: Option<Text>,
    /// `host:port` that takes connections.
    #[schemars(with = "Option<Plain>")]
    tcp: Option<Text>,
    /// `host:port` whose `grpc.health.v1` says SERVING.
    #[schemars(with = "Option<Plain>")]
    grpc_health: Option<Text>,
    /// A Service with a ready endpoint; with grpcHealth the service that is asked for, without it the server as a whole.
    #[schemars(with = "Option<Plain>")]
    service: Option<Text>,
    tls: Option<Spanned<Tls>>,
    /// A Knative service that is Ready. It is warmed, and gives its URL to requests without one.
    #[schemars(with = "Option<Plain>")]
    ksvc: Option<Text>,
    /// A Deployment that is Available in its present form.
    #[schemars(with = "Option<Plain>")]
    deploy: Option<Text>,
    /// An InferenceService of KServe that is Ready.
    #[schemars(with = "Option<Plain>")]
    isvc: Option<Text>,
    /// Any object, with condition.
    object: Option<Spanned<Object>>,
    /// Of object, such as Ready.
    #[schemars(with = "Option<Plain>")]
    condition: Option<Text>,
    /// Of the cluster's object; the test's own by default.
    #[schemars(with = "Option<Plain>")]
    namespace: Option<Text>,
    /// How long it may take; 60s by default.
    timeout: Option<Text>,
}

/// An object of the cluster.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Object {
    /// Such as batch/v1.
    #[schemars(with = "Plain")]
    api_version: String,
    #[schemars(with = "Plain")]
    kind: String,
    #[schemars(with = "Plain")]
    name: String,
}

/// Rows of data: either csv or jsonl.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Feed {
    /// A file whose first line names the columns.
    csv: Option<Text>,
    /// A file with an object a line; the keys of the first are the columns.
    jsonl: Option<Text>,
    /// `sequential` (the default), `random` or `once`.
    order: Option<Text>,
}

/// A system that keeps numbers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Provider {
    /// Before the slash in objectives.
    name: String,
    #[schemars(with = "Plain")]
    url: String,
    /// GET by default.
    method: Option<String>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    headers: BTreeMap<String, String>,
    /// Of every query's URL.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    params: BTreeMap<String, String>,
    body: Option<String>,
    metrics: Vec<Spanned<ProviderMetric>>,
}

/// A number: one query, and the filter that makes it of the answer.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProviderMetric {
    /// After the slash in objectives.
    name: String,
    /// Of the query's URL, besides the provider's.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    params: BTreeMap<String, String>,
    /// Instead of the provider's.
    body: Option<String>,
    /// A jq filter that makes one number of the JSON answer.
    #[schemars(with = "Plain")]
    jq: String,
    /// For people.
    unit: Option<String>,
    /// For people.
    description: Option<String>,
}

/// A webhook.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Notice {
    #[schemars(with = "Plain")]
    url: String,
    /// POST by default.
    method: Option<String>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    headers: BTreeMap<String, String>,
    /// A file in tera's language, over the keys of the JSON report; without it a summary in JSON.
    template: Option<Text>,
    /// `always` (the default), or `failure`: whenever it is not a pass.
    when: Option<Text>,
    /// `false`: a notice that can't be delivered fails the run.
    soft_failure: Option<bool>,
}

/// A version of the target.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Version {
    /// Where its requests go; their paths follow.
    #[schemars(with = "Option<Plain>")]
    url: Option<Text>,
    /// `host:port` of its gRPC calls.
    #[schemars(with = "Option<Plain>")]
    target: Option<Text>,
    /// Of its requests; of gRPC calls the metadata.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    headers: BTreeMap<String, Text>,
    /// The one that the others are compared with. Without it that is the first in the file; a resource has to say,
    /// for a cluster keeps no order.
    #[serde(default)]
    baseline: bool,
}

/// Metrics by which the better version is known.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rewards {
    /// More is better.
    #[serde(default)]
    #[schemars(with = "Vec<Plain>")]
    max: Vec<Text>,
    /// Less is better.
    #[serde(default)]
    #[schemars(with = "Vec<Plain>")]
    min: Vec<Text>,
}

pub(super) fn version((name, version): (String, Spanned<Version>)) -> DraftVersion {
    let place = place(&version);
    let Version { url, target, headers, baseline } = version.value;
    let headers = headers.into_iter().map(|(name, value)| (name, sourced(value))).collect();
    DraftVersion { name, place, url: url.map(sourced), target: target.map(sourced), headers, baseline }
}

pub(super) fn rewards(rewards: Rewards) -> Vec<(Goal, Sourced)> {
    let of = |goal: Goal, texts: Vec<Text>| texts.into_iter().map(move |text| (goal, sourced(text)));
    of(Goal::Max, rewards.max).chain(of(Goal::Min, rewards.min)).collect()
}

pub(super) fn ready(ready: Spanned<Ready>) -> Sourced<DraftReady> {
    let place = place(&ready);
    let ready = ready.value;
    let object = ready.object.map(|object| {
        let place = self::place(&object);
        let Object { api_version, kind, name } = object.value;
        Sourced { value: DraftObject { api_version, kind, name }, place }
    });
    let value = DraftReady {
        http: ready.http.map(sourced),
        status: ready.status.map(sourced),
        tcp: ready.tcp.map(sourced),
        grpc_health: ready.grpc_health.map(sourced),
        service: ready.service.map(sourced),
        tls: ready.tls.map(request::tls),
        ksvc: ready.ksvc.map(sourced),
        deploy: ready.deploy.map(sourced),
        isvc: ready.isvc.map(sourced),
        object,
        condition: ready.condition.map(sourced),
        namespace: ready.namespace.map(sourced),
        timeout: ready.timeout.map(sourced),
    };
    Sourced { value, place }
}

pub(super) fn feed((name, feed): (String, Spanned<Feed>)) -> (String, Sourced<DraftFeed>) {
    let place = place(&feed);
    let Feed { csv, jsonl, order } = feed.value;
    let value = DraftFeed { csv: csv.map(sourced), jsonl: jsonl.map(sourced), order: order.map(sourced) };
    (name, Sourced { value, place })
}

pub(super) fn provider(provider: Spanned<Provider>) -> Sourced<DraftProvider> {
    let own_place = place(&provider);
    let Provider { name, url, method, headers, params, body, metrics } = provider.value;
    let metric = |metric: Spanned<ProviderMetric>| {
        let place = place(&metric);
        let ProviderMetric { name, params, body, jq, unit, description } = metric.value;
        let params = params.into_iter().collect();
        Sourced { value: DraftProviderMetric { name, params, body, jq, unit, description }, place }
    };
    let value = DraftProvider {
        name,
        side: None,
        url,
        method,
        headers: headers.into_iter().collect(),
        params: params.into_iter().collect(),
        body,
        metrics: metrics.into_iter().map(metric).collect(),
    };
    Sourced { value, place: own_place }
}

pub(super) fn notice(notice: Spanned<Notice>) -> Sourced<DraftNotice> {
    let place = place(&notice);
    let Notice { url, method, headers, template, when, soft_failure } = notice.value;
    let value = DraftNotice {
        url,
        method,
        headers: headers.into_iter().collect(),
        template: template.map(sourced),
        when: when.map(sourced),
        soft_failure,
    };
    Sourced { value, place }
}
