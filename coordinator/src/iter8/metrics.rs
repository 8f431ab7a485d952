//! Names of metrics and their values in insights; where the values came from is not known here.

use super::insights::{Bucket, Insights, MetricType, Summary};

/// A metric's name with its percentile written in one way: `http/latency-p95.0` is `http/latency-p95`, with an endpoint
/// as without. Other names stay as they are.
pub fn normalize(name: &str) -> String {
    let Some((stem, text)) = split(name) else { return name.to_owned() };
    match text.parse::<f64>() {
        Ok(percent) if is_decimal(text) => format!("{stem}{percent}"),
        _ => name.to_owned(),
    }
}

/// The percentile that a name asks for, if it is one between 0 and 100.
pub fn percentile(name: &str) -> Option<f64> {
    let (_, text) = split(name)?;
    text.parse::<f64>().ok().filter(|percent| is_decimal(text) && *percent > 0.0 && *percent < 100.0)
}

fn is_decimal(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}

/// `http-get/latency-p` and `99.9`.
fn split(name: &str) -> Option<(&str, &str)> {
    let (group, _) = name.split_once('/')?;
    let protocol = group.split_once('-').map_or(group, |(protocol, _)| protocol);
    let stem = match protocol {
        "http" => "/latency-p",
        "grpc" => "/latency/p",
        _ => return None,
    };
    let length = group.len() + stem.len();
    let (before, text) = (name.get(..length)?, name.get(length..)?);
    before.ends_with(stem).then_some((before, text))
}

/// Whether a name has the two or three parts of `provider/metric` and `provider/metric/aggregation`.
pub fn is_name(name: &str) -> bool {
    let parts = name.split('/');
    matches!(parts.clone().count(), 2 | 3) && parts.into_iter().all(|part| !part.is_empty())
}

/// The latest value of a metric of a version: a scalar's last one, or an aggregation (`grpc/latency/p97.5`, `/mean`,
/// `/stddev`, `/min`, `/max`, `/count`) over a sample, a summary or a histogram.
pub fn value(insights: &Insights, version: usize, metric: &str) -> Option<f64> {
    let name = normalize(metric);
    let scalars = insights.non_hist_metric_values.get(version);
    let kind = |name: &str| insights.metrics_info.get(name).map(|meta| meta.kind);
    if kind(&name) != Some(MetricType::Sample)
        && let Some(values) = scalars.and_then(|scalars| find(scalars.iter(), &name))
    {
        return values.last().copied().filter(|value| value.is_finite());
    }
    let (base, aggregation) = name.rsplit_once('/').filter(|(base, _)| base.contains('/'))?;
    match kind(base)? {
        MetricType::Sample => of_sample(scalars?.get(base)?, aggregation),
        MetricType::Summary => of_summary(insights.summary_metric_values.get(version)?.get(base)?, aggregation),
        MetricType::Histogram => of_histogram(insights.hist_metric_values.get(version)?.get(base)?, aggregation),
        MetricType::Counter | MetricType::Gauge => None,
    }
}

/// A file's names need not be normal ones.
fn find<'a, T>(mut entries: impl Iterator<Item = (&'a String, &'a T)>, name: &str) -> Option<&'a T> {
    entries.find(|(other, _)| *other == name || normalize(other) == name).map(|(_, value)| value)
}

fn percent(aggregation: &str) -> Option<f64> {
    let text = aggregation.strip_prefix('p').filter(|text| is_decimal(text))?;
    text.parse().ok().filter(|percent| *percent > 0.0 && *percent <= 100.0)
}

/// Iter8's rule: where the rank is whole, that element; else the mean of its two neighbours.
fn of_sample(sample: &[f64], aggregation: &str) -> Option<f64> {
    if let [only] = sample {
        return Some(*only);
    }
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let mean = (count > 0.0).then(|| sorted.iter().sum::<f64>() / count);
    match aggregation {
        "mean" => mean,
        "stddev" => mean.map(|mean| (sorted.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt()),
        "min" => sorted.first().copied(),
        "max" => sorted.last().copied(),
        _ => {
            let rank = percent(aggregation)? / 100.0 * count;
            let whole = rank.trunc() as usize;
            let below = sorted.get(whole.checked_sub(1)?).copied()?;
            if rank.fract() == 0.0 { Some(below) } else { sorted.get(whole).map(|above| f64::midpoint(below, *above)) }
        }
    }
}

fn of_summary(summary: &Summary, aggregation: &str) -> Option<f64> {
    let [count, sum, min, max, squares] = *summary;
    if aggregation == "count" {
        return Some(count);
    }
    if count <= 0.0 {
        return None;
    }
    let mean = sum / count;
    match aggregation {
        "mean" => Some(mean),
        "stddev" => Some((squares / count - mean * mean).max(0.0).sqrt()),
        "min" => Some(min),
        "max" => Some(max),
        "sum" => Some(sum),
        _ => None,
    }
}

/// Where a run left a histogram alone, percentiles lie on the line through their bucket.
fn of_histogram(buckets: &[Bucket], aggregation: &str) -> Option<f64> {
    let filled = || buckets.iter().filter(|bucket| bucket.count > 0);
    let count: f64 = filled().map(|bucket| bucket.count as f64).sum();
    match aggregation {
        "count" => return Some(count),
        "min" => return filled().map(|bucket| bucket.lower).min_by(f64::total_cmp),
        "max" => return filled().map(|bucket| bucket.upper).max_by(f64::total_cmp),
        _ => {}
    }
    let rank = percent(aggregation)? / 100.0 * count;
    let mut sorted: Vec<&Bucket> = filled().collect();
    sorted.sort_by(|a, b| a.lower.total_cmp(&b.lower));
    let mut before = 0.0;
    for bucket in &sorted {
        let here = bucket.count as f64;
        if before + here >= rank {
            return Some(bucket.lower + (bucket.upper - bucket.lower) * ((rank - before) / here).clamp(0.0, 1.0));
        }
        before += here;
    }
    sorted.last().map(|bucket| bucket.upper)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::insights::MetricMeta;
    use super::*;

    #[test]
    fn names_are_normalized() {
        for (name, normal) in [
            ("http/latency-p95.0", "http/latency-p95"),
            ("http-get/latency-p99.90", "http-get/latency-p99.9"),
            ("grpc/latency/p50.0", "grpc/latency/p50"),
            ("grpc-a-b/latency/p97.5", "grpc-a-b/latency/p97.5"),
            ("http/latency-pinf", "http/latency-pinf"),
            ("http/latency-p", "http/latency-p"),
            ("prom/latency-p95.0", "prom/latency-p95.0"),
            ("http-é", "http-é"),
        ] {
            assert_eq!(normalize(name), normal);
        }
        assert_eq!(percentile("http-get/latency-p99.90"), Some(99.9));
        assert_eq!(percentile("http/latency-p100"), None);
        assert_eq!(percentile("http/latency-mean"), None);
        assert!(is_name("a/b") && is_name("a/b/c") && !is_name("a") && !is_name("a/b/c/d") && !is_name("a//b"));
    }

    fn with(name: &str, kind: MetricType) -> Insights {
        let mut insights = Insights::default();
        insights.versions(1).unwrap();
        insights.metrics_info.insert(name.into(), MetricMeta { description: String::new(), units: None, kind });
        insights
    }

    #[test]
    fn samples_follow_iter8s_rule() {
        let mut insights = with("grpc/latency", MetricType::Sample);
        let sample = [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0];
        insights.non_hist_metric_values = vec![BTreeMap::from([("grpc/latency".into(), sample.to_vec())])];
        for (aggregation, expected) in [
            ("p78.3", Some(15.0)),
            ("p50.0", Some(10.0)),
            ("p100", Some(20.0)),
            ("p5", None),
            ("p0", None),
            ("p101", None),
            ("mean", Some(11.0)),
            ("min", Some(2.0)),
            ("max", Some(20.0)),
            ("stddev", Some(33f64.sqrt())),
            ("count", None),
        ] {
            assert_eq!(value(&insights, 0, &format!("grpc/latency/{aggregation}")), expected, "{aggregation}");
        }
        assert_eq!(value(&insights, 0, "grpc/latency"), None);
        assert_eq!(value(&insights, 1, "grpc/latency/mean"), None);
        insights.non_hist_metric_values[0].insert("grpc/latency".into(), vec![7.0]);
        assert_eq!(value(&insights, 0, "grpc/latency/stddev"), Some(7.0));
    }

    #[test]
    fn scalars_are_the_last_and_summaries_are_aggregated() {
        let mut insights = with("http/latency-p95", MetricType::Gauge);
        insights.non_hist_metric_values[0].insert("http/latency-p95.0".into(), vec![1.0, 2.0]);
        assert_eq!(value(&insights, 0, "http/latency-p95"), Some(2.0));
        let mut insights = with("abn/profit", MetricType::Summary);
        insights.summary_metric_values[0].insert("abn/profit".into(), [4.0, 8.0, 1.0, 3.0, 20.0]);
        for (aggregation, expected) in [("count", 4.0), ("mean", 2.0), ("stddev", 1.0), ("min", 1.0), ("max", 3.0)] {
            assert_eq!(value(&insights, 0, &format!("abn/profit/{aggregation}")), Some(expected), "{aggregation}");
        }
        assert_eq!(value(&insights, 0, "abn/profit/p50"), None);
    }

    #[test]
    fn a_run_of_ours_answers_for_what_it_precomputed_and_else_from_its_histogram() {
        let mut insights = Insights::default();
        let buckets = [Bucket { lower: 0.0, upper: 10.0, count: 10 }, Bucket { lower: 10.0, upper: 20.0, count: 10 }];
        insights.record_grpc("grpc", &[("latency/p97.5", 17.3)], &buckets).unwrap();
        assert_eq!(value(&insights, 0, "grpc/latency/p97.50"), Some(17.3));
        assert_eq!(value(&insights, 0, "grpc/latency/p75"), Some(15.0));
        assert_eq!(value(&insights, 0, "grpc/latency/count"), Some(20.0));
        assert_eq!(value(&insights, 0, "grpc/latency/max"), Some(20.0));
    }

    proptest! {
        #[test]
        fn percentiles_rise_and_lie_within(
            mut sample in prop::collection::vec(0f64..1e6, 2..50),
            low in 1f64..100.0,
            high in 1f64..100.0,
        ) {
            let (low, high) = (low.min(high), low.max(high));
            let at = |p: f64| of_sample(&sample, &format!("p{p}"));
            if let (Some(low), Some(high)) = (at(low), at(high)) {
                prop_assert!(low <= high);
            }
            let found = at(high);
            sample.sort_by(f64::total_cmp);
            prop_assert!(found.is_none_or(|found| sample[0] <= found && found <= sample[sample.len() - 1]));
        }

        #[test]
        fn normalizing_twice_changes_nothing(name in "(http|grpc)(-x)?/latency[-/]p[0-9.]{0,6}") {
            prop_assert_eq!(normalize(&normalize(&name)), normalize(&name));
        }
    }
}
