//! Whether the backlog of a probe grows: above capacity it does without bound, also while a lax objective still holds.
//!
//! It takes what flies and what waits, step by step; it knows no latencies and no objectives.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// One step of a probe's steady part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// s, from any start.
    pub t: f64,
    /// Requests in flight and waiting.
    pub backlog: f64,
}

/// Whether it grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Growth {
    /// Not by so much that it matters, or not for sure.
    None,
    Growing {
        /// Requests more each second.
        per_second: f64,
        /// The same as a share of the rate: how much of it is not served.
        share: f64,
    },
    /// Too few steps to tell.
    Unknown,
}

/// A slower growth than this share of the rate is no sign of overload: a queue may still be settling.
pub const SHARE_MIN: f64 = 0.005;

/// Fewer steps than this make no trend.
pub const STEPS_MIN: usize = 8;

/// How often each of the two tests may take a stable queue for a growing one, at most.
const FALSE_ALARMS: f64 = 0.0025;

/// Residuals more alike than this can't be told from a wandering that goes nowhere.
const CORRELATION_MAX: f64 = 0.97;

/// Judges the steps of a probe at `rate` requests/s.
///
/// Least squares with an intercept. The steps of a queue are correlated, and the residuals of a fitted line hide part
/// of it: their lag-one correlation is corrected for that (Marriott, Pope 1954, with the slope's share), and the
/// slope's variance grows by (1 + r) / (1 − r), its degrees of freedom shrink by as much.
pub fn growth(steps: &[Step], rate: f64) -> Growth {
    let n = steps.len() as f64;
    if steps.len() < STEPS_MIN || !rate.is_finite() || rate <= 0.0 {
        return Growth::Unknown;
    }
    let (t, backlog) = (steps.iter().map(|s| s.t).sum::<f64>() / n, steps.iter().map(|s| s.backlog).sum::<f64>() / n);
    let spread: f64 = steps.iter().map(|s| (s.t - t).powi(2)).sum();
    let slope = steps.iter().map(|s| (s.t - t) * (s.backlog - backlog)).sum::<f64>() / spread;
    if !slope.is_finite() {
        return Growth::Unknown;
    }
    if slope < SHARE_MIN * rate {
        return Growth::None;
    }
    let residuals: Vec<f64> = steps.iter().map(|s| s.backlog - backlog - slope * (s.t - t)).collect();
    let squares: f64 = residuals.iter().map(|r| r * r).sum();
    let growing = Growth::Growing { per_second: slope, share: slope / rate };
    // A straight line to the digit: nothing is left to doubt it by.
    if squares <= (slope * slope * spread) * 1e-12 {
        return growing;
    }
    let seen = residuals.windows(2).map(|pair| pair.iter().product::<f64>()).sum::<f64>() / squares;
    let correlation = (seen + (2.0 + 4.0 * seen) / n).clamp(0.0, CORRELATION_MAX);
    let inflation = (1.0 + correlation) / (1.0 - correlation);
    let error = (squares / (n - 2.0) * inflation / spread).sqrt();
    let significant = slope > critical((n / inflation - 2.0).max(1.0)) * error || drifts(steps);
    if significant { growing } else { Growth::None }
}

/// Whether it goes up by more than a walk of as large steps without a direction would. Beyond capacity the backlog is
/// such a walk, with a direction, and the residuals of a line say little; a stable queue keeps well within one.
fn drifts(steps: &[Step]) -> bool {
    let moves: Vec<f64> =
        steps.windows(2).filter_map(|pair| Some(pair.last()?.backlog - pair.first()?.backlog)).collect();
    let n = moves.len() as f64;
    let mean = moves.iter().sum::<f64>() / n;
    let variance = moves.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean > critical(n - 1.0) * (variance / n).sqrt()
}

/// The one-sided point of Student's t.
fn critical(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(1.0 - FALSE_ALARMS))
}

#[cfg(test)]
mod tests;
