//! How much a sum over a run's steps varies when its steps depend on each other; pure arithmetic over a series.
//!
//! A block bootstrap alone is too sure of itself in a minute of autocorrelated seconds: blocks long enough to hold the
//! dependence are too few. So its scale is taken from the lowest frequencies of the series, which dependence that is
//! short against the run reaches all alike (equal-weighted cosines: Müller 2007; Lazarus, Lewis, Stock, Watson, JBES
//! 2018), and Student's t for as many degrees of freedom as there are frequencies: that is exact, not a guess.

use std::f64::consts::PI;

/// The fewest steps that say anything of how much they vary.
pub const STEPS_MIN: usize = 8;

/// How many frequencies are taken, and with that the degrees of freedom: the more, the more power; the fewer, the
/// longer the dependence may be.
fn frequencies(series: &[f64]) -> usize {
    let longer = (DEPENDENCE / dependence(series)).min(1.0);
    let taken = FREQUENCY_FACTOR * (series.len() as f64 * longer).powf(2.0 / 3.0);
    (taken.round() as usize).clamp(2, FREQUENCIES_MAX)
}

/// As Lazarus and others weigh size against power, for neighbours as correlated as 0.7 ([`dependence`] 2.75).
const FREQUENCY_FACTOR: f64 = 0.41;
const DEPENDENCE: f64 = 2.75;
const FREQUENCIES_MAX: usize = 40;

/// The variance of the sum of a series whose mean is zero.
pub fn variance_of_sum(series: &[f64]) -> f64 {
    let steps = series.len();
    if steps < 3 {
        return 0.0;
    }
    let taken = frequencies(series).min(steps - 1);
    let energy = |frequency: usize| {
        let turn = PI * frequency as f64 / steps as f64;
        let sum: f64 = series.iter().enumerate().map(|(step, value)| value * (turn * (step as f64 + 0.5)).cos()).sum();
        // Each squared cosine transform (of norm 1) estimates the long-run variance of one step.
        2.0 / steps as f64 * sum * sum
    };
    let mean = (1..=taken).map(energy).sum::<f64>() / taken as f64;
    mean * steps as f64
}

/// Degrees of freedom of [`variance_of_sum`]: one a frequency, but no more than steps that decide. Where a few stalls
/// make all of the variance, its estimate is as unsure as their number.
pub fn freedom(series: &[f64]) -> f64 {
    let sum = |power: i32| series.iter().map(|value| value.powi(power)).sum::<f64>();
    // Of equal values so many as there are; of one that towers over all others one.
    let deciding = if sum(4) > 0.0 { sum(2).powi(2) / sum(4) } else { f64::INFINITY };
    (frequencies(series) as f64).min(deciding - 1.0).max(1.0)
}

/// The variance that a circular block bootstrap gives to the sum of a series whose mean is zero.
pub fn block_variance(series: &[f64], length: usize) -> f64 {
    let steps = series.len();
    if steps == 0 || length == 0 {
        return 0.0;
    }
    let of_length = |length: usize| {
        if length == 0 {
            return 0.0;
        }
        let mut sum: f64 = series.iter().take(length).sum();
        let mut squares = 0.0;
        let coming = series.iter().cycle().skip(length);
        for (gone, next) in series.iter().zip(coming) {
            squares += sum * sum;
            sum += next - gone;
        }
        squares / steps as f64
    };
    // As many whole blocks as fit, and the start of one more.
    (steps / length) as f64 * of_length(length) + of_length(steps % length)
}

/// The length of blocks that makes the bootstrap's variance best (Politis, White, *Econometric Reviews* 2004, for
/// overlapping blocks).
pub fn block_length(series: &[f64]) -> usize {
    let length = (1.5 * dependence(series).powi(2) * series.len() as f64).cbrt();
    (length.round() as usize).clamp(1, (series.len() / 5).max(1))
}

/// How long the dependence is, by the correlation of neighbours: Politis's and White's G / g(0) of an autoregression
/// of order one, 2ρ / (1 − ρ²). Zero for independent steps.
fn dependence(series: &[f64]) -> f64 {
    let steps = series.len() as f64;
    let variance: f64 = series.iter().map(|value| value * value).sum();
    if variance <= 0.0 || steps < STEPS_MIN as f64 {
        return 0.0;
    }
    let neighbours: f64 = series.iter().zip(series.iter().skip(1)).map(|(a, b)| a * b).sum();
    // Unbiased to the first order (Kendall 1954): a short series looks less correlated than it is.
    let correlation = ((neighbours / variance + 1.0 / steps) / (1.0 - 3.0 / steps)).clamp(0.0, 0.95);
    2.0 * correlation / (1.0 - correlation * correlation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};
    use rand_xoshiro::Xoshiro256PlusPlus;

    fn centred(mut series: Vec<f64>) -> Vec<f64> {
        let mean = series.iter().sum::<f64>() / series.len() as f64;
        series.iter_mut().for_each(|value| *value -= mean);
        series
    }

    fn autoregression(seed: u64, steps: usize, correlation: f64) -> Vec<f64> {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut noise = || -> f64 { StandardNormal.sample(&mut rng) };
        let mut level = noise();
        let mut next = || {
            level = correlation * level + (1.0 - correlation * correlation).sqrt() * noise();
            level
        };
        centred((0..steps).map(|_| next()).collect())
    }

    /// Golden values: NumPy, with SciPy's own cosine transform (tests/golden/comparison.py prints them).
    #[test]
    fn variances_and_lengths_are_numpys() {
        let series = centred(GOLDEN_SERIES.to_vec());
        for (found, golden) in [
            (variance_of_sum(&series), GOLDEN_COSINES),
            (block_variance(&series, 1), GOLDEN_BLOCKS[0]),
            (block_variance(&series, 3), GOLDEN_BLOCKS[1]),
            (block_variance(&series, 7), GOLDEN_BLOCKS[2]),
        ] {
            assert!((found / golden - 1.0).abs() < 1e-9, "{found} for {golden}");
        }
        assert_eq!(block_length(&series), GOLDEN_LENGTH);
    }

    const GOLDEN_SERIES: [f64; 50] = [
        -0.531, -0.904, -1.254, -1.059, -1.556, -0.361, -0.345, -0.735, -1.259, -0.014, -0.441, -0.314, 0.302, 1.026,
        1.516, 0.59, 0.829, 1.122, 0.219, 0.937, 0.171, 0.708, -0.267, -0.697, 0.4, 1.085, 1.474, -0.04, 0.474, -0.342,
        -0.07, -0.069, 0.491, 0.927, 0.804, 0.795, 0.98, 0.215, -0.586, -0.694, -1.101, -0.388, 0.738, -0.528, -0.599,
        0.497, -0.56, -0.65, -0.075, 0.093,
    ];
    const GOLDEN_COSINES: f64 = 123.0130013096701;
    const GOLDEN_BLOCKS: [f64; 3] = [28.22959368000002, 57.15760957280001, 88.05750175839998];
    const GOLDEN_LENGTH: usize = 7;

    #[test]
    fn the_scale_is_right_where_blocks_alone_are_not() {
        let (steps, correlation) = (60, 0.6);
        let truth = steps as f64 * (1.0 + correlation) / (1.0 - correlation);
        let mean = |of: &dyn Fn(&[f64]) -> f64| {
            (0..400).map(|seed| of(&autoregression(seed, steps, correlation))).sum::<f64>() / 400.0 / truth
        };
        let (cosines, blocks) = (mean(&variance_of_sum), mean(&|series| block_variance(series, block_length(series))));
        assert!((0.85..1.1).contains(&cosines), "{cosines}");
        assert!(blocks < 0.75, "{blocks}");
    }

    #[test]
    fn blocks_are_as_long_as_the_dependence() {
        let mean = |correlation: f64| {
            (0..100).map(|seed| block_length(&autoregression(seed, 240, correlation)) as f64).sum::<f64>() / 100.0
        };
        assert!(mean(0.0) < 3.0, "{}", mean(0.0));
        // (3/2 (2ρ / (1 − ρ²))² n)^(1/3)
        assert!((10.0..15.0).contains(&mean(0.7)), "{}", mean(0.7));
    }

    #[test]
    fn freedom_falls_with_long_dependence_and_with_few_steps_that_decide() {
        let mean = |correlation: f64| {
            (0..100).map(|seed| freedom(&autoregression(seed, 60, correlation))).sum::<f64>() / 100.0
        };
        assert_eq!(mean(0.0), 6.0);
        assert!(mean(0.95) < 5.0, "{}", mean(0.95));
        let stalls: Vec<f64> = (0..60).map(|step| if step % 15 == 0 { 14.0 } else { -1.0 }).collect();
        assert!((3.0..4.0).contains(&freedom(&stalls)), "{}", freedom(&stalls));
        assert_eq!(freedom(&[0.0; 60]), 6.0);
    }

    proptest! {
        #[test]
        fn nothing_is_negative_or_lost(series in prop::collection::vec(-1e6f64..1e6, 0..80), length in 0usize..90) {
            let series = if series.is_empty() { series } else { centred(series) };
            prop_assert!(variance_of_sum(&series) >= 0.0);
            prop_assert!(block_variance(&series, length) >= 0.0);
            prop_assert!((1..=series.len().max(5) / 5).contains(&block_length(&series)));
        }
    }
}
