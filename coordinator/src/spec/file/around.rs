//! What a file says around the load: readiness, feeds, metrics from outside, notices.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::request::{self, Tls};
use super::{Text, place, sourced};
use crate::spec::draft::{
    DraftFeed, DraftNotice, DraftProvider, DraftProviderMetric, DraftReady, DraftVersion, Goal, Sourced,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Ready {
    http: Option<Text>,
    status: Option<Text>,
    tcp: Option<Text>,
    grpc_health: Option<Text>,
    service: Option<Text>,
    tls: Option<Spanned<Tls>>,
    timeout: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Feed {
    csv: Option<Text>,
    jsonl: Option<Text>,
    order: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Provider {
    name: String,
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    params: BTreeMap<String, String>,
    body: Option<String>,
    metrics: Vec<Spanned<ProviderMetric>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProviderMetric {
    name: String,
    #[serde(default)]
    params: BTreeMap<String, String>,
    body: Option<String>,
    jq: String,
    unit: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Notice {
    url: String,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    template: Option<Text>,
    when: Option<Text>,
    soft_failure: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Version {
    url: Option<Text>,
    target: Option<Text>,
    #[serde(default)]
    headers: BTreeMap<String, Text>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rewards {
    #[serde(default)]
    max: Vec<Text>,
    #[serde(default)]
    min: Vec<Text>,
}

pub(super) fn version((name, version): (String, Spanned<Version>)) -> DraftVersion {
    let place = place(&version);
    let Version { url, target, headers } = version.value;
    let headers = headers.into_iter().map(|(name, value)| (name, sourced(value))).collect();
    DraftVersion { name, place, url: url.map(sourced), target: target.map(sourced), headers }
}

pub(super) fn rewards(rewards: Rewards) -> Vec<(Goal, Sourced)> {
    let of = |goal: Goal, texts: Vec<Text>| texts.into_iter().map(move |text| (goal, sourced(text)));
    of(Goal::Max, rewards.max).chain(of(Goal::Min, rewards.min)).collect()
}

pub(super) fn ready(ready: Spanned<Ready>) -> Sourced<DraftReady> {
    let place = place(&ready);
    let Ready { http, status, tcp, grpc_health, service, tls, timeout } = ready.value;
    let value = DraftReady {
        http: http.map(sourced),
        status: status.map(sourced),
        tcp: tcp.map(sourced),
        grpc_health: grpc_health.map(sourced),
        service: service.map(sourced),
        tls: tls.map(request::tls),
        timeout: timeout.map(sourced),
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
