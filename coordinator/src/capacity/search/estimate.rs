//! Where the margins cross zero: a weighted regression of ln(observed / limit) on ln(rate) near the boundary.
//!
//! The weights hold the variance between probes besides each probe's own: every run converges to a value of its own
//! (Treadmill, ISCA'16), so that long probes do not count for more than they can know. Between the edges any rate was
//! as likely before; the estimate is the mean of what the regression leaves of that.

use super::places::Place;
use super::{BETWEEN, CONCLUSIVE, Margin};

/// The zero of the regression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zero {
    /// Requests/s.
    pub rate: f64,
    /// Relative standard error.
    pub error: f64,
    pub probes: usize,
    /// So far from it, as a logarithm of rates, a probe's margin is as large as what makes it conclusive.
    pub conclusive: f64,
}

/// How far outside of the interval a probe still tells something of the boundary, as a logarithm: the curve bends.
const REACH: f64 = 0.03;

/// A margin beyond this is another regime: a cliff, or a spoilt probe.
const MARGIN_MAX: f64 = 1.2;

/// Fewer make no line with an error of its own.
const PROBES_MIN: usize = 4;

/// The slope has to be so many standard errors above zero.
const SLOPE_MIN: f64 = 3.0;

/// A residual of more standard deviations counts for less (Huber 1964).
const HUBER: f64 = 1.5;

/// (ln rate, margin, standard error)
type Sample = (f64, f64, f64);

/// The zero between two rates, or `None` where the margins do not rise with the rate in a way that says where.
pub(super) fn zero(places: &[Place], low: f64, high: f64) -> Option<Zero> {
    let (from, to) = (low.ln(), high.ln());
    let reach = REACH;
    let near = |place: &&Place| place.rate.ln() >= from - reach && place.rate.ln() <= to + reach;
    let samples: Vec<Sample> = places
        .iter()
        .filter(near)
        .flat_map(|place| place.margins.iter().map(|margin| (place.rate.ln(), *margin)))
        .filter(|(_, margin)| margin.log_ratio.abs() <= MARGIN_MAX)
        .map(|(x, Margin { log_ratio, error })| (x, 1.0 - (-log_ratio).exp(), error.max(1e-4)))
        .collect();
    if samples.len() < PROBES_MIN {
        return None;
    }
    let line = robust(&samples)?;
    if line.slope <= SLOPE_MIN * line.slope_error {
        return None;
    }
    let x = line.x - line.y / line.slope;
    let error = (line.y_error.powi(2) + ((x - line.x) * line.slope_error).powi(2)).sqrt() / line.slope;
    let (x, error) = within(x, error.max(1e-6), from, to)?;
    let mut errors: Vec<f64> = samples.iter().map(|sample| sample.2).collect();
    errors.sort_by(f64::total_cmp);
    let typical = errors.get(errors.len() / 2).copied().unwrap_or(BETWEEN);
    let conclusive = CONCLUSIVE * typical.hypot(BETWEEN) / line.slope;
    Some(Zero { rate: x.exp().clamp(low, high), error, probes: samples.len(), conclusive })
}

/// y = `y` + `slope` (x − `x`), with the errors of its two coefficients.
#[derive(Clone, Copy, Debug)]
struct Line {
    x: f64,
    y: f64,
    slope: f64,
    y_error: f64,
    slope_error: f64,
}

/// Least squares with these weights (inverse variances); `None` if all rates are the same.
fn line(samples: &[Sample], weights: &[f64]) -> Option<Line> {
    let sum = |of: &dyn Fn(&Sample) -> f64| samples.iter().zip(weights).map(|(s, w)| w * of(s)).sum::<f64>();
    let total = sum(&|_| 1.0);
    let (x, y) = (sum(&|s| s.0) / total, sum(&|s| s.1) / total);
    let spread = sum(&|s| (s.0 - x).powi(2));
    if !spread.is_finite() || spread <= total * 1e-9 {
        return None;
    }
    let slope = sum(&|s| (s.0 - x) * (s.1 - y)) / spread;
    Some(Line { x, y, slope, y_error: total.sqrt().recip(), slope_error: spread.sqrt().recip() })
}

/// The line with the variance between probes in its weights, and outliers damped.
fn robust(samples: &[Sample]) -> Option<Line> {
    let mut between: f64 = BETWEEN * BETWEEN;
    let mut damping = vec![1.0; samples.len()];
    for _ in 0..20 {
        let weights: Vec<f64> = samples.iter().zip(&damping).map(|(s, d)| d / (s.2 * s.2 + between)).collect();
        let fit = line(samples, &weights)?;
        let residuals: Vec<f64> = samples.iter().map(|s| s.1 - fit.y - fit.slope * (s.0 - fit.x)).collect();
        // The variance between probes is what makes the weighted squares add up to the degrees of freedom
        // (Paule, Mandel 1982), stepped towards.
        let freedom = (damping.iter().sum::<f64>() - 2.0).max(0.5);
        let squares: f64 = residuals.iter().zip(&weights).map(|(r, w)| w * r * r).sum();
        let derivative: f64 = residuals.iter().zip(&weights).map(|(r, w)| (w * r).powi(2)).sum();
        if derivative > 0.0 {
            between = (between + (squares - freedom) / derivative).max(BETWEEN * BETWEEN);
        }
        for ((damping, residual), sample) in damping.iter_mut().zip(&residuals).zip(samples) {
            let deviations = residual.abs() / (sample.2 * sample.2 + between).sqrt();
            *damping = if deviations > HUBER { HUBER / deviations } else { 1.0 };
        }
    }
    let weights: Vec<f64> = samples.iter().zip(&damping).map(|(s, d)| d / (s.2 * s.2 + between)).collect();
    line(samples, &weights)
}

/// Mean and standard deviation of a normal distribution that is cut off at both ends.
fn within(mean: f64, deviation: f64, from: f64, to: f64) -> Option<(f64, f64)> {
    const STEPS: usize = 400;
    let at = |step: usize| from + (to - from) * (step as f64 + 0.5) / STEPS as f64;
    // Relative to the highest density inside, so that none underflows.
    let exponent = |x: f64| -0.5 * ((x - mean) / deviation).powi(2);
    let top = exponent(mean.clamp(from, to));
    let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
    for x in (0..STEPS).map(at) {
        let density = (exponent(x) - top).exp();
        total += density;
        first += density * x;
        second += density * (x - from).powi(2);
    }
    if total <= 0.0 || !total.is_finite() {
        return Some((mean.clamp(from, to), deviation));
    }
    let centre = first / total;
    let variance = second / total - (centre - from).powi(2);
    centre.is_finite().then(|| (centre, variance.max(0.0).sqrt()))
}
