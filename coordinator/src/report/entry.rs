//! A run in a list: the figures of a report that are known without opening it.

use std::collections::BTreeMap;

use super::model::{Distribution, Report, Request, RunVerdict, Validity};
use crate::store::{Entry, Kind};

/// Requests whose description is longer than this are described by their beginning and a checksum.
const REQUESTS_MAX: usize = 160;

/// The entry of a run.
///
/// # Errors
/// The report's start is no time.
pub fn of_run(report: &Report) -> Result<Entry, String> {
    let started_at = report
        .started_at
        .parse()
        .map_err(|error| format!("the report's start '{}' can't be read: {error}", report.started_at))?;
    let validity = match report.validity {
        _ if report.load.stopped.is_some() => "stopped",
        Validity::Valid => "valid",
        Validity::Degraded => "degraded",
        Validity::Invalid => "invalid",
    };
    let requests = report
        .requests
        .iter()
        .map(|(name, request)| format!("{name} {} {} ({})", request.method, path(&request.url), request.weight));
    Ok(Entry {
        id: report.run.clone(),
        kind: Kind::Run,
        test: report.test.clone(),
        started_at,
        duration: report.load.duration,
        model: report.load.model.clone(),
        arrivals: report.load.arrivals.clone(),
        target_rate: report.load.target_rate,
        requests: key(requests.chain(course(&report.load.profile).map(str::to_owned))),
        verdict: verdict(report.verdict).to_owned(),
        validity: validity.to_owned(),
        metrics: metrics(report),
        loadgrid: report.loadgrid.clone(),
    })
}

/// A profile that is more than one rate for some time: its mean rate says little of it.
pub fn course(profile: &str) -> Option<&str> {
    (profile.contains(" to ") || profile.contains(", then ")).then_some(profile)
}

fn verdict(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Pass => "pass",
        RunVerdict::Fail => "fail",
        RunVerdict::Inconclusive => "inconclusive",
        RunVerdict::Invalid => "invalid",
    }
}

/// What is sent, in a line: the same for runs whose figures can be set side by side. Hosts are not in it.
pub fn key(requests: impl Iterator<Item = String>) -> String {
    let whole = requests.collect::<Vec<_>>().join(", ");
    if whole.len() <= REQUESTS_MAX {
        return whole;
    }
    let sum = crc32fast::hash(whole.as_bytes());
    let beginning: String = whole.chars().take(REQUESTS_MAX - 12).collect();
    format!("{beginning}… {sum:08x}")
}

/// A URL without scheme and host; of a gRPC call, its method.
pub fn path(url: &str) -> &str {
    match url.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        None => url.rsplit_once(' ').map_or(url, |(_, method)| method),
    }
}

fn metrics(report: &Report) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let seconds = report.load.duration;
    let groups: Vec<&str> = report.requests.values().map(|request| request.group.as_str()).collect();
    let group = groups.first().copied().filter(|group| !group.is_empty()).unwrap_or("http");
    if groups.iter().all(|other| *other == group) {
        add(&mut metrics, group, &report.total, seconds);
    }
    // The only request of a test has its own name only if somebody gave it one.
    let unnamed = report.requests.len() == 1 && report.requests.contains_key(group);
    for (name, request) in report.requests.iter().filter(|_| !unnamed) {
        let group = if request.group.is_empty() { "http" } else { request.group.as_str() };
        add(&mut metrics, &format!("{group}-{name}"), request, seconds);
    }
    metrics.extend(report.outside.iter().filter_map(|outside| Some((outside.metric.clone(), outside.value?))));
    metrics.extend(report.slos.iter().filter_map(|slo| Some((slo.metric.clone(), slo.observed?))));
    metrics
}

fn add(metrics: &mut BTreeMap<String, f64>, of: &str, request: &Request, seconds: f64) {
    let Distribution { mean, p50, p90, p95, p99, p99_9, .. } = request.latency;
    let times = [("mean", mean), ("p50", p50), ("p90", p90), ("p95", p95), ("p99", p99), ("p99.9", p99_9)];
    metrics.extend(times.into_iter().filter_map(|(name, value)| Some((format!("{of}/latency-{name}"), value?))));
    let service = request.service_time.p99;
    metrics.extend(service.map(|value| (format!("{of}/service-time-p99"), value)));
    metrics.insert(format!("{of}/error-rate"), request.error_rate);
    if seconds > 0.0 {
        metrics.insert(format!("{of}/rate"), request.count as f64 / seconds);
    }
}
