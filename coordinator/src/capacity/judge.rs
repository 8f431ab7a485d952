//! From the figures of one probe to its outcome, and how near to breaking it was.
//!
//! The rule is the one of every run ([`crate::slo::evaluate`]): what passes has its worse bound within the limit, what
//! fails its better bound outside, and what lies between is neither.

use statrs::distribution::{Beta, ContinuousCDF};

use super::backlog::Growth;
use super::search::{BETWEEN, Margin, Outcome};
use crate::slo::Comparison;
use crate::slo::confidence::CONFIDENCE;

/// One objective's figures, in the metric's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    pub limit: f64,
    pub comparison: Comparison,
    /// `None`: nothing was measured.
    pub observed: Option<f64>,
    /// The bounds of the two-sided 95 % interval; `None` where the sample is too small for one. What has no sampling
    /// error has both bounds at the value.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Whether the bounds are wide enough for correlated samples. If not, nothing holds on them.
    pub settled: bool,
}

impl Reading {
    fn keeps(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::AtMost => value <= self.limit,
            Comparison::AtLeast => value >= self.limit,
        }
    }

    fn outcome(&self) -> Outcome {
        let (worse, better) = match self.comparison {
            Comparison::AtMost => (self.high, self.low),
            Comparison::AtLeast => (self.low, self.high),
        };
        match (worse, better) {
            (Some(worse), _) if self.settled && self.keeps(worse) => Outcome::Held,
            (_, Some(better)) if !self.keeps(better) => Outcome::Broke,
            _ => Outcome::Unclear,
        }
    }

    /// `None` where a logarithm has no meaning: a limit or a value of zero, no bounds.
    fn margin(&self) -> Option<Margin> {
        let observed = self.observed.filter(|observed| *observed > 0.0 && self.limit > 0.0)?;
        let sign = match self.comparison {
            Comparison::AtMost => 1.0,
            Comparison::AtLeast => -1.0,
        };
        let distance =
            |bound: Option<f64>| bound.filter(|bound| *bound > 0.0).map(|bound| (bound / observed).ln().abs());
        let widths = [distance(self.low), distance(self.high)];
        let known: Vec<f64> = widths.into_iter().flatten().collect();
        let error = known.iter().sum::<f64>() / (known.len() as f64 * NORMAL);
        let log_ratio = sign * (observed / self.limit).ln();
        // A histogram's buckets alone are wider than nothing.
        (error.is_finite() && log_ratio.is_finite()).then(|| Margin { log_ratio, error: error.max(1e-3) })
    }
}

/// The two-sided 95 % point of the normal distribution.
const NORMAL: f64 = 1.959_964;

/// What a probe says, and the margin of the objective nearest to breaking. Without objectives nothing is clear.
pub fn outcome(readings: &[Reading], growth: Growth, limited: bool) -> (Outcome, Option<Margin>) {
    if limited {
        return (Outcome::Limited, None);
    }
    let outcomes = || readings.iter().map(Reading::outcome);
    let growing = matches!(growth, Growth::Growing { .. });
    let outcome = if growing || outcomes().any(|outcome| outcome == Outcome::Broke) {
        Outcome::Broke
    } else if !readings.is_empty() && outcomes().all(|outcome| outcome == Outcome::Held) {
        Outcome::Held
    } else {
        Outcome::Unclear
    };
    let nearest = readings.iter().filter_map(Reading::margin).max_by(|a, b| a.log_ratio.total_cmp(&b.log_ratio));
    // Where the backlog alone broke it, the objectives' margin is not the one that counts.
    (
        outcome,
        nearest.filter(|margin| {
            // A slim one would leave in doubt what the backlog has settled.
            let clear = margin.log_ratio > NORMAL * margin.error.hypot(BETWEEN);
            if growing { clear } else { outcome != Outcome::Broke || margin.log_ratio > 0.0 }
        }),
    )
}

/// The two-sided 95 % bounds (Clopper, Pearson 1934) of a share, of which `count` of `samples` were seen, that say as
/// much as `effective` independent ones.
pub fn share_bounds(count: u64, samples: u64, effective: f64) -> (f64, f64) {
    if samples == 0 {
        return (0.0, 1.0);
    }
    let n = effective.clamp(1.0, samples as f64);
    let k = n * count.min(samples) as f64 / samples as f64;
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).map(|beta| beta.inverse_cdf(p));
    let low = if k <= 0.0 { 0.0 } else { quantile(k, n - k + 1.0, tail).unwrap_or(0.0) };
    let high = if k >= n { 1.0 } else { quantile(k + 1.0, n - k, 1.0 - tail).unwrap_or(1.0) };
    (low, high)
}

#[cfg(test)]
mod tests;
