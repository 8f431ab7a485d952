//! How far the difference of two sides is to be trusted: a circular block bootstrap over their steps, its scale
//! corrected for short samples. Takes steps and a seed, and does not know what they are of.
//!
//! Steps depend on their neighbours, so blocks of them are drawn (Politis, Romano 1992), as long as the dependence says.
//! Drawing gives the shape, which no formula for quantiles does: gaps, steps and long tails are in it. The scale is put
//! right by the lowest frequencies of the same steps (see [`longrun`]), and intervals take Student's t for them.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::longrun::{self, STEPS_MIN, block_length, block_variance, variance_of_sum};
use super::student;
use super::table::{Range, Table};

/// Draws of each side. The error of an interval's width from drawing is then about 3 %.
pub const DRAWS: usize = 2000;

/// What the middle 95 % of a normal distribution reach to.
const Z: f64 = 1.959_964;

/// Each half of an interval is at least this share of the other: draws that all fall on one side prove nothing.
const HALF_MIN: f64 = 0.25;

/// What is taken of a side's steps.
#[derive(Clone, Copy, Debug)]
pub enum Figure<'a> {
    /// The logarithm of a quantile.
    Quantile(&'a Table, f64),
    /// The logarithm of Σ over / Σ under.
    LogRatio(&'a [(f64, f64)]),
    /// Σ over / Σ under, of a share.
    Share(&'a [(f64, f64)]),
}

/// What a side's figure is, and how it moves with its steps.
struct Side<'a> {
    figure: Figure<'a>,
    value: f64,
    /// By step: its part in the figure's error, with mean zero.
    influence: Vec<f64>,
    /// As many independent samples would say as much.
    effective: f64,
}

/// A difference of B's figure from A's, and how far it is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    pub difference: f64,
    /// 95 % interval.
    pub low: f64,
    pub high: f64,
    /// Standard errors towards either side: the draws of a quantile need not be symmetric.
    pub error_low: f64,
    pub error_high: f64,
    /// Two-sided, that there is none.
    pub p: f64,
    /// Of Student's t.
    pub freedom: f64,
    /// As many independent samples would say as much, of each side.
    pub effective: [f64; 2],
}

/// The difference of two figures, of sides that ran at the same time (`paired`) or not. `None` where a side has no
/// sample, or too few steps to tell how much they vary.
pub fn difference([a, b]: [Figure; 2], paired: bool, seed: u64) -> Option<Difference> {
    let (a, b) = (side(a)?, side(b)?);
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (drawn, freedom) = if paired && a.influence.len() == b.influence.len() {
        together(&a, &b, &mut rng)
    } else {
        apart(&a, &b, &mut rng)
    };
    let one_each = match (a.figure, b.figure) {
        // Without an error on a side its draws do not vary, although another run may well have one.
        (Figure::Share(a), Figure::Share(b)) => 1.0 / under(a).powi(2) + 1.0 / under(b).powi(2),
        _ => 0.0,
    };
    let mut summary = summarise(b.value - a.value, drawn, freedom, one_each);
    summary.effective = [a.effective, b.effective];
    Some(summary)
}

fn under(steps: &[(f64, f64)]) -> f64 {
    steps.iter().map(|step| step.1).sum()
}

fn side(figure: Figure<'_>) -> Option<Side<'_>> {
    let steps = match figure {
        Figure::Quantile(table, _) => table.steps(),
        Figure::LogRatio(steps) | Figure::Share(steps) => steps.len(),
    };
    let sampled = match figure {
        Figure::Quantile(table, _) => (0..steps).filter(|step| table.count(&[(*step, *step + 1)]) > 0).count(),
        Figure::LogRatio(steps) | Figure::Share(steps) => steps.iter().filter(|step| step.1 > 0.0).count(),
    };
    if sampled < STEPS_MIN {
        return None;
    }
    let whole = [(0, steps)];
    let value = evaluate(figure, &whole)?;
    let residuals = |pairs: &[(f64, f64)], ratio: f64| -> Vec<f64> {
        pairs.iter().map(|(over, under)| over - ratio * under).collect()
    };
    match figure {
        Figure::Quantile(table, quantile) => {
            let at = table.quantile(quantile, &whole)?;
            let steps = table.exceedances(at);
            let (above, all) = steps.iter().fold((0.0, 0.0), |sum, step| (sum.0 + step.0, sum.1 + step.1));
            let share = above / all;
            let residuals = residuals(&steps, share);
            let binomial = all * share * (1.0 - share);
            let effect = if binomial > 0.0 { (variance_of_sum(&residuals) / binomial).max(1.0) } else { 1.0 };
            let slope = slope(table, quantile, &residuals, all);
            let influence = residuals.iter().map(|residual| residual / all * slope).collect();
            Some(Side { figure, value, influence, effective: all / effect })
        }
        Figure::LogRatio(steps) | Figure::Share(steps) => {
            let under = under(steps);
            let ratio = steps.iter().map(|step| step.0).sum::<f64>() / under;
            let scale = if matches!(figure, Figure::LogRatio(_)) { ratio * under } else { under };
            let influence = residuals(steps, ratio).iter().map(|residual| residual / scale).collect();
            Some(Side { figure, value, influence, effective: under })
        }
    }
}

/// How much the logarithm of a quantile moves with the share above it: over as much of the distribution as one standard
/// error of that share.
fn slope(table: &Table, quantile: f64, residuals: &[f64], all: f64) -> f64 {
    let error = (variance_of_sum(residuals).sqrt() / all).max(1.0 / all);
    let (low, high) = ((quantile - error).max(0.0), (quantile + error).min(1.0));
    let whole = [(0, table.steps())];
    let at = |quantile: f64| table.quantile(quantile, &whole).map_or(0.0, |ns| (ns.max(1) as f64).ln());
    (at(high) - at(low)) / (high - low).max(f64::MIN_POSITIVE)
}

fn evaluate(figure: Figure, draw: &[Range]) -> Option<f64> {
    let ratio = |steps: &[(f64, f64)]| {
        let drawn = draw.iter().flat_map(|(from, to)| steps.get(*from..*to).unwrap_or_default());
        let (over, under) = drawn.fold((0.0, 0.0), |sum, step| (sum.0 + step.0, sum.1 + step.1));
        (under > 0.0).then(|| over / under)
    };
    match figure {
        Figure::Quantile(table, quantile) => Some((table.quantile(quantile, draw)?.max(1) as f64).ln()),
        Figure::LogRatio(steps) => ratio(steps).filter(|ratio| *ratio > 0.0).map(f64::ln),
        Figure::Share(steps) => ratio(steps),
    }
}

/// Blocks of `length` steps from anywhere, round the end, until there are as many steps as there were.
fn draw_blocks(steps: usize, length: usize, rng: &mut Xoshiro256PlusPlus, draw: &mut Vec<Range>) {
    draw.clear();
    let mut left = steps;
    while left > 0 {
        let length = length.clamp(1, left);
        let from = rng.random_range(0..steps);
        let to = from + length;
        draw.push((from, to.min(steps)));
        if to > steps {
            draw.push((0, to - steps));
        }
        left -= length;
    }
}

/// What the draws' deviations are multiplied with, so that their scale is the long run's.
fn correction(influence: &[f64], length: usize) -> f64 {
    let drawn = block_variance(influence, length);
    if drawn > 0.0 { (variance_of_sum(influence) / drawn).sqrt() } else { 1.0 }
}

/// Deviations of one side's draws from its figure, at the scale of the long run.
fn deviations(side: &Side, rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
    let length = block_length(&side.influence);
    let correction = correction(&side.influence, length);
    drawn(side, length, rng).into_iter().map(|moved| correction * moved).collect()
}

fn drawn(side: &Side, length: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
    let mut draw = Vec::new();
    (0..DRAWS)
        .map(|_| {
            draw_blocks(side.influence.len(), length, rng, &mut draw);
            // A draw without a sample has no figure: as if nothing had moved.
            evaluate(side.figure, &draw).unwrap_or(side.value) - side.value
        })
        .collect()
}

/// Two sides drawn each for itself. Degrees of freedom are Welch's and Satterthwaite's.
fn apart(a: &Side, b: &Side, rng: &mut Xoshiro256PlusPlus) -> (Vec<f64>, f64) {
    let (of_a, of_b) = (deviations(a, rng), deviations(b, rng));
    let variance = |of: &[f64]| of.iter().map(|value| value * value).sum::<f64>() / of.len() as f64;
    let (va, vb) = (variance(&of_a), variance(&of_b));
    let (fa, fb) = (longrun::freedom(&a.influence), longrun::freedom(&b.influence));
    let welch = if va + vb > 0.0 { (va + vb).powi(2) / (va * va / fa + vb * vb / fb) } else { fa.min(fb) };
    (of_b.iter().zip(&of_a).map(|(b, a)| b - a).collect(), welch)
}

/// Two sides drawn at the same steps: what both saw of the same second cancels.
fn together(a: &Side, b: &Side, rng: &mut Xoshiro256PlusPlus) -> (Vec<f64>, f64) {
    let influence: Vec<f64> = b.influence.iter().zip(&a.influence).map(|(b, a)| b - a).collect();
    let length = block_length(&influence);
    let correction = correction(&influence, length);
    let mut draw = Vec::new();
    let drawn = (0..DRAWS).map(|_| {
        draw_blocks(influence.len(), length, rng, &mut draw);
        let moved = |side: &Side| evaluate(side.figure, &draw).unwrap_or(side.value) - side.value;
        correction * (moved(b) - moved(a))
    });
    (drawn.collect(), longrun::freedom(&influence))
}

/// Deviations to an interval: percentiles of the draws, stretched from the normal distribution to Student's t.
fn summarise(difference: f64, mut drawn: Vec<f64>, freedom: f64, more_variance: f64) -> Difference {
    drawn.sort_by(f64::total_cmp);
    let at = |share: f64| drawn.get((share * (drawn.len() - 1) as f64).round() as usize).copied().unwrap_or(0.0);
    let (below, above) = ((-at(0.025) / Z).max(0.0), (at(0.975) / Z).max(0.0));
    let (below, above) = (below.max(HALF_MIN * above), above.max(HALF_MIN * below));
    let wider = |error: f64| (error * error + more_variance).sqrt();
    let (error_low, error_high) = (wider(below), wider(above));
    let critical = student::critical(0.05, freedom);
    let towards_zero = if difference > 0.0 { error_low } else { error_high };
    let p = match (difference == 0.0, towards_zero > 0.0) {
        (true, _) => 1.0,
        (false, true) => student::two_sided(difference / towards_zero, freedom),
        (false, false) => 0.0,
    };
    Difference {
        difference,
        low: difference - critical * error_low,
        high: difference + critical * error_high,
        error_low,
        error_high,
        p,
        freedom,
        effective: [f64::INFINITY; 2],
    }
}

#[cfg(test)]
mod tests;
