//! Judges objectives against results.

use std::collections::{BTreeMap, BTreeSet};

use super::confidence::{self, QuantileInterval, samples_to_settle, smallest_sample};
use super::{Comparison, Group, Metric, Slo, Statistic};
use crate::results::{Results, Totals, Which};
use crate::spec::units::show_ns;
use crate::spec::versions::split;
use loadgrid_proto::histogram::{Histogram, Recorder};

/// An objective's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
    /// The sample is too small, or too close to the limit, to tell.
    Inconclusive,
}

/// A judged objective. Values in the metric's unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub slo: Slo,
    /// `None`: the metric is missing.
    pub observed: Option<f64>,
    /// A bound is `None` where the sample is too small for it.
    pub interval: Option<(Option<f64>, Option<f64>)>,
    pub effective_samples: Option<u64>,
    pub verdict: Verdict,
    /// Why, where the figures do not say it by themselves.
    pub note: Option<String>,
}

/// What judging needs beside the results.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The test's requests, by number.
    pub requests: Vec<(Group, &'a str)>,
    /// What providers said of their metrics, by the metric's whole name.
    pub outside: &'a BTreeMap<String, Result<f64, String>>,
    /// Length of the main phase as it ran, s.
    pub seconds: f64,
    /// `false` judges point estimates.
    pub confidence: bool,
    /// What waited so long was dropped; ns.
    pub max_wait_ns: u64,
}

impl Context<'_> {
    fn which(&self, metric: &Metric) -> Which {
        which(metric, &self.requests)
    }
}

/// The requests that a metric is of, among a test's by number; none if it has no such request.
pub fn which(metric: &Metric, requests: &[(Group, &str)]) -> Which {
    let of = |(group, name): &(Group, &str)| {
        let (name, version) = split(name);
        *group == metric.group
            && metric.request().is_none_or(|wanted| wanted == name)
            && metric.version().is_none_or(|wanted| Some(wanted) == version)
    };
    let numbered = requests.iter().enumerate();
    Which::Of(numbered.filter(|(_, request)| of(request)).map(|(number, _)| number as u32).collect())
}

/// Judges all objectives.
pub fn judge(slos: &[Slo], results: &Results, context: &Context) -> Vec<Judgement> {
    slos.iter().map(|slo| judge_one(slo, results, context)).collect()
}

fn judge_one(slo: &Slo, results: &Results, context: &Context) -> Judgement {
    let missing = |why: String| Judgement {
        slo: slo.clone(),
        observed: None,
        interval: None,
        effective_samples: None,
        verdict: Verdict::Fail,
        note: Some(why),
    };
    if slo.metric.statistic == Statistic::Outside {
        return match context.outside.get(&slo.metric.to_string()) {
            Some(Ok(value)) => at_face_value(slo, *value),
            Some(Err(why)) => missing(why.clone()),
            None => missing("its provider was not asked".to_owned()),
        };
    }
    let which = context.which(&slo.metric);
    if which == Which::Of(BTreeSet::new()) {
        return missing("the test has no such request".to_owned());
    }
    let mut totals = results.totals(&which, false);
    // What was dropped waited for max_wait and got no answer: a latency of at least that.
    if totals.dropped > 0 {
        totals.latency = with_dropped(&totals, context.max_wait_ns);
    }
    if let Statistic::Quantile(part, quantile) = slo.metric.statistic {
        let blocks = results.timeline.blocks(part, &which);
        let sample = totals.part(part);
        let dropped = if part == super::Part::Latency { totals.dropped } else { 0 };
        return match confidence::quantile_interval(sample, &blocks, quantile) {
            None => missing("no sample: nothing was measured".to_owned()),
            Some(interval) => {
                let at_most = slo.comparison == Comparison::AtMost && slo.limit >= 0.0 && dropped == 0;
                let within = at_most && confidence::within_limit(&blocks, quantile, slo.limit as u64);
                judge_quantile(slo, quantile, sample, interval, Shown { dropped, within }, context)
            }
        };
    }
    match value(&slo.metric.statistic, &totals, context.seconds) {
        None => missing("no sample: nothing was measured".to_owned()),
        Some(observed) => at_face_value(slo, observed),
    }
}

fn at_face_value(slo: &Slo, observed: f64) -> Judgement {
    Judgement {
        slo: slo.clone(),
        observed: Some(observed),
        interval: None,
        effective_samples: None,
        verdict: face_value(slo, observed),
        note: None,
    }
}

/// A statistic's value; `None` where there is no sample.
pub fn value(statistic: &Statistic, totals: &Totals, seconds: f64) -> Option<f64> {
    let sent = totals.ended();
    match statistic {
        Statistic::Quantile(part, quantile) => totals.part(*part).quantile(*quantile).map(|ns| ns as f64),
        Statistic::Mean(part) => totals.part(*part).summary().mean(),
        Statistic::Stddev(part) => totals.part(*part).summary().stddev(),
        Statistic::Min(part) => (totals.part(*part).count() > 0).then(|| totals.part(*part).summary().min as f64),
        Statistic::Max(part) => (totals.part(*part).count() > 0).then(|| totals.part(*part).summary().max as f64),
        Statistic::ErrorRate => (sent > 0).then(|| totals.errors as f64 / sent as f64),
        Statistic::ErrorCount => Some(totals.errors as f64),
        Statistic::RequestCount => Some(sent as f64),
        Statistic::Rate => (seconds > 0.0).then(|| sent as f64 / seconds),
        Statistic::MessageRate => (seconds > 0.0).then(|| totals.messages_received as f64 / seconds),
        Statistic::Outside => None,
    }
}

fn with_dropped(totals: &Totals, max_wait_ns: u64) -> Histogram {
    let mut sample = totals.latency.clone();
    let mut dropped = Recorder::default();
    (0..totals.dropped).for_each(|_| dropped.record(max_wait_ns));
    sample.merge(&dropped.drain());
    sample
}

fn holds(slo: &Slo, value: f64) -> bool {
    match slo.comparison {
        Comparison::AtMost => value <= slo.limit,
        Comparison::AtLeast => value >= slo.limit,
    }
}

fn face_value(slo: &Slo, observed: f64) -> Verdict {
    if holds(slo, observed) { Verdict::Pass } else { Verdict::Fail }
}

/// What is known of a quantile's sample beside its interval.
struct Shown {
    dropped: u64,
    /// Too few lie above the limit for the quantile to.
    within: bool,
}

fn judge_quantile(
    slo: &Slo,
    quantile: f64,
    sample: &Histogram,
    interval: QuantileInterval,
    Shown { dropped, within }: Shown,
    context: &Context,
) -> Judgement {
    let bound = |ns: Option<u64>| ns.map(|ns| ns as f64);
    let (low, high) = (bound(interval.low), bound(interval.high));
    let estimate = interval.estimate as f64;
    let verdict = if !context.confidence {
        face_value(slo, estimate)
    } else {
        // The bound that would have to hold for a pass, and the one whose breach is a failure.
        let (worst, best) = match slo.comparison {
            Comparison::AtMost => (high, low),
            Comparison::AtLeast => (low, high),
        };
        match (worst, best) {
            (Some(worst), _) if holds(slo, worst) && interval.autocorrelation_measured => Verdict::Pass,
            (_, Some(best)) if !holds(slo, best) => Verdict::Fail,
            // No bound, or one that is too wide; and yet hardly any are above the limit.
            _ if within => Verdict::Pass,
            _ => Verdict::Inconclusive,
        }
    };
    let mut notes = Vec::new();
    if dropped > 0 {
        let waited = show_ns(context.max_wait_ns as f64);
        notes.push(format!("{dropped} dropped requests count as {waited} or more"));
    }
    if verdict == Verdict::Inconclusive && !interval.autocorrelation_measured {
        notes.push("too short to measure autocorrelation: run it for some seconds".to_owned());
    } else if verdict == Verdict::Inconclusive {
        notes.push(to_settle(slo, quantile, sample, &interval, context.seconds));
    }
    Judgement {
        slo: slo.clone(),
        observed: Some(estimate),
        interval: Some((low, high)),
        effective_samples: Some(interval.effective),
        verdict,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}

/// How many more requests, or seconds at this rate, would settle it.
fn to_settle(slo: &Slo, quantile: f64, sample: &Histogram, interval: &QuantileInterval, seconds: f64) -> String {
    let within = 1.0 - sample.to_recorded().count_above(slo.limit.max(0.0) as u64) as f64 / interval.samples as f64;
    let effect = interval.samples as f64 / interval.effective as f64;
    // At least one more: this sample has not settled it.
    let needed = samples_to_settle(within, quantile).map(|needed| needed.max(interval.effective + 1) as f64 * effect);
    match needed {
        Some(needed) => {
            let more = needed - interval.samples as f64;
            let rate = interval.samples as f64 / seconds.max(1e-9);
            let why =
                if interval.effective < smallest_sample(quantile) { "n too small" } else { "too close to the limit" };
            format!(
                "{why}: about {} more requests, or {} at this rate, would settle it",
                people(more),
                show_s(more / rate)
            )
        }
        None => "the limit lies at the quantile itself: no number of requests would settle it".to_owned(),
    }
}

/// A number to two digits, for estimates.
fn people(value: f64) -> String {
    let unit = 10f64.powf(value.max(1.0).log10().floor() - 1.0).max(1.0);
    format!("{:.0}", (value / unit).ceil() * unit)
}

fn show_s(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{:.0}s", s.ceil()),
        s if s < 7200.0 => format!("{:.0} minutes", (s / 60.0).ceil()),
        s => format!("{:.0} hours", (s / 3600.0).ceil()),
    }
}

#[cfg(test)]
mod tests;
