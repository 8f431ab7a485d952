//! Objectives and rewards of a draft: metrics that the test has, and no two that contradict each other.

use super::{Checked, required};
use crate::slo::{Comparison, Group, Metric, Part, Slo, Statistic};
use crate::spec::draft::{Goal, Sourced};
use crate::spec::versions::{of_version, split};
use crate::spec::{LoadTest, Reward, SpecError};

/// An objective as it was written; one for every version, if the test has versions and it names none.
pub(super) fn objective(slo: &Sourced, test: &LoadTest) -> Checked<Vec<Slo>> {
    let parsed = required(slo, |text| text.parse::<Slo>().map_err(|error| error.to_string()))?;
    let metrics = metrics(&parsed.metric, slo, test)?;
    if metrics.len() == 1 && metrics.first() == Some(&parsed.metric) {
        return Ok(vec![parsed]);
    }
    // As it was written, but for the metric.
    let limit = slo.value.find(['<', '>']).map_or("", |at| &slo.value[at..]);
    Ok(metrics.into_iter().map(|metric| Slo { text: format!("{metric} {limit}"), metric, ..parsed.clone() }).collect())
}

/// A reward; its metric names no version.
pub(super) fn reward(goal: Goal, text: &Sourced, test: &LoadTest) -> Checked<Reward> {
    let metric: Metric = required(text, |text| text.trim().parse::<Metric>().map_err(|error| error.to_string()))?;
    if metric.version().is_some() {
        let message = format!("'{}' names a version: a reward compares all of them; leave it out", text.value);
        return Err(SpecError::new(text.place.clone(), message));
    }
    let compared = match metric.statistic {
        Statistic::Quantile(part, _) | Statistic::Mean(part) => matches!(part, Part::Latency | Part::ServiceTime),
        Statistic::ErrorRate | Statistic::Rate | Statistic::Outside => true,
        _ => false,
    };
    if !compared {
        let message = format!(
            "'{metric}' has no interval to compare versions by: write a percentile or the mean of latency or service-time, \
             error-rate, rate, or a provider's metric"
        );
        return Err(SpecError::new(text.place.clone(), message));
    }
    let of_each = metrics(&metric, text, test)?;
    if of_each.len() < test.versions.len() {
        let message = format!(
            "the provider of '{metric}' is asked once for all versions: write {{{{version}}}} where its queries differ"
        );
        return Err(SpecError::new(text.place.clone(), message));
    }
    Ok(Reward { goal, metric })
}

/// The metric, or the metrics of the versions that it stands for; all of them are there.
fn metrics(metric: &Metric, written: &Sourced, test: &LoadTest) -> Checked<Vec<Metric>> {
    let wrong = |message: String| SpecError::new(written.place.clone(), message);
    if let Some(version) = metric.version().filter(|version| !test.versions.iter().any(|own| own == version)) {
        let known = match test.versions.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", test.versions.join(", ")),
        };
        return Err(wrong(format!("the test has no version '{version}': {known}")));
    }
    if let Group::Provider(name) = &metric.group {
        return of_provider(metric, name, test).map_err(wrong);
    }
    of_requests(metric, test).map_err(wrong)?;
    match metric.version() {
        None if !test.versions.is_empty() => Ok(test.versions.iter().map(|name| metric.of_version(name)).collect()),
        _ => Ok(vec![metric.clone()]),
    }
}

fn of_provider(metric: &Metric, name: &str, test: &LoadTest) -> Result<Vec<Metric>, String> {
    let of_each = test.versions.iter().any(|version| {
        let wanted = of_version(name, version);
        test.providers.iter().any(|provider| provider.name == wanted)
    });
    let metrics: Vec<Metric> = match of_each {
        true => test.versions.iter().map(|version| metric.of_version(version)).collect(),
        false => vec![metric.clone()],
    };
    let whole = metrics.first().map_or(name, |metric| metric.group.name());
    match test.providers.iter().find(|provider| provider.name == whole) {
        Some(provider) if provider.metrics.iter().any(|own| Some(own.name.as_str()) == metric.request()) => Ok(metrics),
        Some(_) => Err(format!("the provider '{name}' has no such metric: see spec.metrics")),
        None => Err(format!(
            "the metric '{metric}' is not known: write http/…, http-REQUEST/…, grpc/…, grpc-REQUEST/…, or name a provider \
             under spec.metrics"
        )),
    }
}

fn of_requests(metric: &Metric, test: &LoadTest) -> Result<(), String> {
    let group = &metric.group;
    let of_messages = match metric.statistic {
        Statistic::MessageRate => true,
        Statistic::Quantile(part, _)
        | Statistic::Mean(part)
        | Statistic::Stddev(part)
        | Statistic::Min(part)
        | Statistic::Max(part) => matches!(part, Part::TimeToFirstMessage | Part::MessageGap),
        _ => false,
    };
    if of_messages && *group == Group::Http {
        return Err("messages are gRPC's: write grpc/…".to_owned());
    }
    let groups = test.groups();
    let each = groups.len() / test.versions.len().max(1);
    let own = groups.iter().take(each).filter(|(own, _)| own == group);
    let names: Vec<&str> = own.map(|(_, name)| split(name).0).collect();
    if names.is_empty() {
        return Err(format!("the test has no {} request", group.name()));
    }
    let has_names = test.named || each > 1;
    match metric.request() {
        Some(request) if !has_names || !names.contains(&request) => {
            let known = match has_names {
                false => format!("the test's only request has no name: write {}/…", group.name()),
                true => format!("its requests are {}", names.join(", ")),
            };
            Err(format!("the test has no request '{request}': {known}"))
        }
        _ => Ok(()),
    }
}

/// Two objectives that no value meets. `written` has each one's text.
pub(super) fn check_conflicts(written: &[&Sourced], slos: &[Slo]) -> Checked<()> {
    for (number, (slo, written)) in slos.iter().zip(written).enumerate() {
        let conflicts = |other: &&Slo| {
            let (low, high) = match (other.comparison, slo.comparison) {
                (Comparison::AtLeast, Comparison::AtMost) => (other.limit, slo.limit),
                (Comparison::AtMost, Comparison::AtLeast) => (slo.limit, other.limit),
                _ => return false,
            };
            other.metric == slo.metric && low > high
        };
        if let Some(other) = slos[..number].iter().find(conflicts) {
            let message = format!("'{}' conflicts with '{}': no value meets both", slo.text, other.text);
            return Err(SpecError::new(written.place.clone(), message));
        }
    }
    Ok(())
}
