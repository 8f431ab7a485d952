//! What a draft says around the load: readiness, feeds, metrics from outside, notices.

use std::path::Path;

use loadgrid_worker::client::feed::{Feed, Order};
use loadgrid_worker::client::secure::{Tls, Version};
use loadgrid_worker::schedule::Arrivals;

use super::request::{host_port, status_range, tls};
use super::{Base, Checked, is_name, optional, required};
use crate::outside::feeds;
use crate::outside::provider::{MetricKind, Provider, ProviderMetric};
use crate::outside::ready::{Condition, Ready};
use crate::spec::draft::{Draft, DraftFeed, DraftNotice, DraftProvider, DraftReady, Sourced};
use crate::spec::versions::of_version;
use crate::spec::{LoadTest, Notice, SpecError, When, units};

const READY_TIMEOUT_NS: u64 = 60_000_000_000;

pub(super) fn ready(draft: &Sourced<DraftReady>, base: Base) -> Checked<Ready> {
    let Sourced { value: ready, place } = draft;
    let timeout_ns = optional(&ready.timeout, units::duration_ns)?.unwrap_or(READY_TIMEOUT_NS);
    let wrong = |message: &str| Err(SpecError::new(place.clone(), message));
    let condition = match (&ready.http, &ready.tcp, &ready.grpc_health) {
        (Some(url), None, None) => {
            let status = optional(&ready.status, status_range)?;
            let url = required(url, |text| {
                let url = base.resolve(text)?;
                if url.starts_with("http://") || url.starts_with("https://") {
                    Ok(url)
                } else {
                    Err(format!("'{text}' is not a URL: write http://HOST/PATH"))
                }
            })?;
            let tls = tls(ready.tls.as_ref(), Version::Auto, "localhost", base)?;
            Condition::Http { url, status: status.unwrap_or((200, 299)), tls }
        }
        (None, Some(address), None) => {
            let (host, port) = required(address, host_port)?;
            Condition::Tcp { host, port }
        }
        (None, None, Some(address)) => {
            let secure = address.value.strip_prefix("https://");
            let (host, port) = required(address, |text| host_port(secure.unwrap_or(text)))?;
            let service = ready.service.as_ref().map(|service| service.value.clone()).unwrap_or_default();
            let given = ready.tls.as_ref().map(|given| tls(Some(given), Version::Http2, &host, base)).transpose()?;
            Condition::GrpcHealth { host, port, service, tls: given.or(secure.map(|_| Tls::default())) }
        }
        _ => {
            return wrong(
                "a condition is one of http: URL, tcp: host:port, grpcHealth: host:port, or in a cluster one of ksvc, \
                 deploy, service, isvc: NAME and object: {apiVersion, kind, name}",
            );
        }
    };
    let over_tls = match &ready.http {
        Some(url) => url.value.starts_with("https://"),
        None => ready.grpc_health.is_some(),
    };
    if ready.tls.is_some() && !over_tls {
        return wrong("tls belongs to an https URL or to grpcHealth");
    }
    if let Some(of_objects) = ready.namespace.as_ref().or(ready.condition.as_ref()) {
        return Err(SpecError::new(of_objects.place.clone(), "namespace and condition belong to objects of a cluster"));
    }
    if ready.status.is_some() && ready.http.is_none() {
        return wrong("status belongs to http");
    }
    if ready.service.is_some() && ready.grpc_health.is_none() {
        return wrong("service belongs to grpcHealth");
    }
    Ok(Ready { condition, timeout_ns })
}

pub(super) fn feed(name: &str, draft: &Sourced<DraftFeed>, base: Base) -> Checked<Feed> {
    if !is_name(name) || name.contains('.') {
        let message = format!("'{name}' is no name for a feed: write letters, digits, '-' or '_'");
        return Err(SpecError::new(draft.place.clone(), message));
    }
    let order = optional(&draft.value.order, |text| match text {
        "sequential" => Ok(Order::Sequential),
        "random" => Ok(Order::Random),
        "once" => Ok(Order::Once),
        _ => Err(format!("order '{text}' is not known: write sequential, random or once")),
    })?;
    let order = order.unwrap_or(Order::Sequential);
    let (path, source): (&Sourced, fn(std::path::PathBuf) -> feeds::Source) =
        match (&draft.value.csv, &draft.value.jsonl) {
            (Some(path), None) => (path, feeds::Source::Csv),
            (None, Some(path)) => (path, feeds::Source::Jsonl),
            _ => return Err(SpecError::new(draft.place.clone(), "a feed is either csv: FILE or jsonl: FILE")),
        };
    feeds::read(name, source(base.path(&path.value)), order)
        .map_err(|message| SpecError::new(path.place.clone(), message))
}

/// A feed of which each row goes out once has a row for each arrival.
pub(super) fn check_once(draft: &Draft, test: &LoadTest) -> Checked<()> {
    for ((_, source), feed) in draft.feeds.iter().zip(&test.feeds) {
        if feed.order != Order::Once {
            continue;
        }
        let wrong = |message: String| Err(SpecError::new(source.place.clone(), message));
        let load = &test.load;
        let count = match (load.arrivals, load.requests) {
            (Arrivals::Closed | Arrivals::Poisson, _) if load.warmup_ns > 0 => {
                return wrong("order once with a warm-up needs uniform arrivals: how many rows a warm-up takes is not known otherwise".to_owned());
            }
            (Arrivals::Closed | Arrivals::Poisson, None) => {
                return wrong(
                    "order once needs a known number of requests: give requests: N, or uniform arrivals".to_owned(),
                );
            }
            (_, Some(count)) => load.warmup().count() + count,
            (Arrivals::Uniform, None) => load.warmup().count() + load.main().count(),
        };
        // Each version of a pair has the same row.
        let count = count.div_ceil(test.versions.len().max(1) as u64);
        if feed.rows() < count {
            return wrong(format!(
                "the feed '{}' has {} rows and the test sends {count} requests: add rows, send less, or write order: sequential",
                feed.name,
                feed.rows()
            ));
        }
    }
    Ok(())
}

pub(super) fn provider(draft: &Sourced<DraftProvider>, base: Base) -> Checked<Provider> {
    let Sourced { value: provider, place } = draft;
    let resolve = |text: &String| base.resolve(text).map_err(|error| SpecError::new(place.clone(), error));
    let taken = ["http", "grpc"].contains(&provider.name.as_str())
        || provider.name.starts_with("http-")
        || provider.name.starts_with("grpc-");
    if !is_name(&provider.name) || taken {
        let message = format!(
            "'{}' is no name for a provider: write letters, digits, '-' or '_', and not http or grpc",
            provider.name
        );
        return Err(SpecError::new(place.clone(), message));
    }
    let pairs = |pairs: &[(String, String)]| -> Checked<Vec<(String, String)>> {
        pairs.iter().map(|(name, value)| Ok((name.clone(), resolve(value)?))).collect()
    };
    let metric = |metric: &Sourced<crate::spec::draft::DraftProviderMetric>| -> Checked<ProviderMetric> {
        let Sourced { value: metric, place } = metric;
        if !is_name(&metric.name) {
            return Err(SpecError::new(place.clone(), format!("'{}' is no name for a metric", metric.name)));
        }
        Ok(ProviderMetric {
            name: metric.name.clone(),
            params: pairs(&metric.params)?,
            body: metric.body.as_ref().map(resolve).transpose()?,
            jq: metric.jq.clone(),
            kind: MetricKind::Gauge,
            unit: metric.unit.clone(),
            description: metric.description.clone().unwrap_or_default(),
        })
    };
    if provider.metrics.is_empty() {
        return Err(SpecError::new(place.clone(), "a provider without metrics: name at least one"));
    }
    let checked = Provider {
        name: match &provider.side {
            Some(version) => of_version(&provider.name, version),
            None => provider.name.clone(),
        },
        url: resolve(&provider.url)?,
        method: provider.method.clone().unwrap_or_else(|| "GET".to_owned()),
        headers: pairs(&provider.headers)?,
        params: pairs(&provider.params)?,
        body: provider.body.as_ref().map(resolve).transpose()?,
        metrics: provider.metrics.iter().map(metric).collect::<Checked<_>>()?,
    };
    checked.check().map_err(|error| SpecError::new(place.clone(), error))?;
    Ok(checked)
}

pub(super) fn notice(draft: &Sourced<DraftNotice>, base: Base) -> Checked<Notice> {
    let Sourced { value: notice, place } = draft;
    let resolve = |text: &String| base.resolve(text).map_err(|error| SpecError::new(place.clone(), error));
    let when = optional(&notice.when, |text| match text {
        "always" => Ok(When::Always),
        "failure" => Ok(When::Failure),
        _ => Err(format!("when '{text}' is not known: write always or failure")),
    })?;
    let template = match &notice.template {
        Some(path) => {
            let text = String::from_utf8(base.read(path)?);
            Some(text.map_err(|_| SpecError::new(path.place.clone(), "the template is no UTF-8 text"))?)
        }
        None => None,
    };
    let url = resolve(&notice.url)?;
    crate::outside::fetch::parsed(&url).map_err(|error| SpecError::new(place.clone(), error))?;
    if let (Some(path), Some(text)) = (&notice.template, &template) {
        crate::outside::notify::check_own(text)
            .map_err(|error| SpecError::new(path.place.clone(), format!("{}:{error}", path.value)))?;
    }
    Ok(Notice {
        url,
        method: notice.method.clone().unwrap_or_else(|| "POST".to_owned()),
        headers: notice
            .headers
            .iter()
            .map(|(name, value)| Ok((name.clone(), resolve(value)?)))
            .collect::<Checked<_>>()?,
        template,
        when: when.unwrap_or(When::Always),
        soft_failure: notice.soft_failure.unwrap_or(true),
    })
}

/// The folder of a test's file; the current one without a file.
pub(in crate::spec) fn folder(file: Option<&str>) -> &Path {
    file.and_then(|name| Path::new(name).parent()).unwrap_or(Path::new(""))
}
