//! `--fail-if 'http/latency-p99 worse by 5%'`: read, and judged by a comparison's intervals. Runs nothing.

use std::fmt;
use std::str::FromStr;

use super::model::{Comparison, Outcome, OutcomeState, Row, Scale, Verdict};
use super::rows::is_compared;
use super::show;
use crate::slo::{Metric, Statistic};
use crate::spec::units;

/// A condition under which a pipeline fails.
#[derive(Clone, Debug, PartialEq)]
pub struct FailIf {
    /// As it was written.
    pub text: String,
    pub metric: Metric,
    pub direction: Direction,
    /// `None`: any difference that is shown.
    pub limit: Option<Limit>,
}

/// Which way must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Worse,
    /// As where an answer is too fast to be true.
    Better,
}

/// By how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Share of A; of error rates percentage points, as a share of 1.
    Share(f64),
    /// s, or per second.
    Value(f64),
}

/// Why a condition was not understood, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

impl FromStr for FailIf {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (metric, direction, limit) = match words.as_slice() {
            [metric, direction] => (*metric, *direction, None),
            [metric, direction, "by", limit @ ..] if !limit.is_empty() => (*metric, *direction, Some(limit.concat())),
            _ => {
                return Err(ParseError(format!(
                    "'{text}' is not a condition: write METRIC worse, or METRIC worse by LIMIT, such as \
                     'http/latency-p99 worse by 5%'"
                )));
            }
        };
        let metric: Metric = metric.parse().map_err(|error: crate::slo::ParseError| ParseError(error.to_string()))?;
        if !is_compared(&metric.statistic) {
            return Err(ParseError(format!(
                "'{metric}' is not compared: write a percentile or the mean of latency or service-time, error-rate, or \
                 rate"
            )));
        }
        let direction = match direction {
            "worse" => Direction::Worse,
            "better" => Direction::Better,
            _ => return Err(ParseError(format!("'{direction}' in '{text}' is neither worse nor better"))),
        };
        let limit = limit.map(|limit| read_limit(&limit, &metric.statistic)).transpose()?;
        Ok(FailIf { text: text.trim().to_owned(), metric, direction, limit })
    }
}

fn read_limit(text: &str, statistic: &Statistic) -> Result<Limit, ParseError> {
    let mend = match statistic {
        Statistic::ErrorRate => "percentage points such as 0.1%",
        Statistic::Rate => "a share such as 5% or a rate such as 50/s",
        _ => "a share such as 5% or a time such as 5ms",
    };
    let wrong = || ParseError(format!("the limit '{text}' does not fit the metric: write {mend}"));
    let positive = |value: f64| Some(value).filter(|value| value.is_finite() && *value >= 0.0).ok_or_else(wrong);
    if let Some(percent) = text.strip_suffix('%') {
        return Ok(Limit::Share(positive(percent.parse::<f64>().map_err(|_| wrong())? / 100.0)?));
    }
    match statistic {
        Statistic::ErrorRate => Err(wrong()),
        Statistic::Rate => Ok(Limit::Value(positive(units::rate(text).map_err(|_| wrong())?)?)),
        _ => Ok(Limit::Value(units::duration_ns(text).map_err(|_| wrong())? as f64 / 1e9)),
    }
}

impl fmt::Display for FailIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.direction == Direction::Worse { "worse" } else { "better" };
        write!(f, "{} {direction}", self.metric)?;
        match self.limit {
            None => Ok(()),
            Some(Limit::Share(share)) => write!(f, " by {}%", share * 100.0),
            Some(Limit::Value(value)) if self.metric.statistic == Statistic::Rate => write!(f, " by {value}/s"),
            Some(Limit::Value(seconds)) => {
                write!(f, " by {}", Statistic::Mean(crate::slo::Part::Latency).show(seconds * 1e9))
            }
        }
    }
}

/// Judges a condition by the rows of a comparison.
pub fn judge(condition: &FailIf, comparison: &Comparison) -> Outcome {
    let (state, because) = match row(condition, comparison) {
        None => (OutcomeState::Inconclusive, "the comparison has no such row".to_owned()),
        Some(row) => judge_row(condition, row, comparison.a.duration.min(comparison.b.duration)),
    };
    Outcome { condition: condition.text.clone(), metric: condition.metric.to_string(), state, because }
}

/// Its row: of a group that is one request, that request's.
fn row<'a>(condition: &FailIf, comparison: &'a Comparison) -> Option<&'a Row> {
    let named =
        |metric: &str| comparison.sections.iter().flat_map(|section| &section.rows).find(|row| row.metric == metric);
    named(&condition.metric.to_string()).or_else(|| {
        let group = condition.metric.group.name();
        let mut own = comparison.sections.iter().filter(|section| section.group == group);
        let (only, None) = (own.next()?, own.next()) else { return None };
        let request = only.request.clone().filter(|_| condition.metric.request().is_none())?;
        named(&Metric::new(condition.metric.group.clone(), Some(request), condition.metric.statistic).to_string())
    })
}

/// The metric whose row is to be compared for this condition, where `requests` are the group's.
pub fn wanted(condition: &FailIf, requests: &[&str]) -> Metric {
    let metric = &condition.metric;
    match (metric.request(), requests) {
        (None, [only]) => Metric::new(metric.group.clone(), Some((*only).to_owned()), metric.statistic),
        _ => metric.clone(),
    }
}

fn judge_row(condition: &FailIf, row: &Row, seconds: f64) -> (OutcomeState, String) {
    let (Some(difference), Some(low)) = (row.difference, row.low) else {
        let why = row.note.clone().unwrap_or_else(|| "nothing was measured".to_owned());
        return (OutcomeState::Inconclusive, why);
    };
    let high = row.high.unwrap_or(f64::INFINITY);
    let seen = format!("{}, 95% {}", row.shown.difference, row.shown.interval);
    let unwanted = if condition.direction == Direction::Worse { Verdict::Worse } else { Verdict::Better };
    let Some(limit) = condition.limit else {
        return match row.verdict == unwanted {
            true => (OutcomeState::Violated, format!("shown: {seen}")),
            false => (OutcomeState::Holds, format!("not shown: {seen}; {} would have been", row.shown.smallest)),
        };
    };
    let limit = match limit {
        Limit::Share(share) => share,
        Limit::Value(value) => value / row.value_a.unwrap_or(0.0).max(f64::MIN_POSITIVE),
    };
    // Turned so that more is what must not be.
    let upward = row.higher_is_better == (condition.direction == Direction::Better);
    let (at, from, to) = if upward { (difference, low, high) } else { (-difference, -high, -low) };
    if from > limit {
        return (OutcomeState::Violated, format!("shown: {seen}"));
    }
    if to <= limit {
        return (OutcomeState::Holds, format!("shown not to be: {seen}"));
    }
    (OutcomeState::Inconclusive, format!("{seen}: {}", to_settle(row.scale, at, (from, to), limit, seconds)))
}

/// How long runs would have to be for the interval to leave the limit on one side: its width falls with their root.
fn to_settle(scale: Scale, at: f64, (from, to): (f64, f64), limit: f64, seconds: f64) -> String {
    // Where the interval is even: in logarithms.
    let even = |value: f64| if scale == Scale::Relative { value.max(-0.999_999).ln_1p() } else { value };
    let (at, limit) = (even(at), even(limit));
    let half = if at > limit { at - even(from) } else { even(to) - at };
    let needed = seconds * (half / (at - limit).abs().max(f64::MIN_POSITIVE)).powi(2);
    match needed {
        needed if needed < DURATION_MAX => {
            format!("runs of about {} each would settle it", show::long(needed.max(seconds * 1.1)))
        }
        _ => "it lies too close to the limit for runs of any length to settle it".to_owned(),
    }
}

/// Nobody runs two tests of more than a day to settle one figure; s.
const DURATION_MAX: f64 = 86_400.0;

#[cfg(test)]
mod tests;
