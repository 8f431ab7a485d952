//! A confidence interval for a quantile: order statistics, widened for autocorrelation.
//!
//! Order statistics (e.g. Hahn, Meeker, *Statistical Intervals*, §5.2; Lancet, ATC'19) assume independent samples.
//! Latencies are not: one stall touches all of its second. So the seconds (in short runs quarters of them) are blocks, the variance of the
//! exceedance share between blocks is compared with the binomial one, and the ratio (the design effect, Kish 1965)
//! shrinks the sample to its effective size.

use loadgrid_proto::histogram::{Histogram, Recorded};
use statrs::function::beta::beta_reg;

/// Of the two-sided interval.
pub const CONFIDENCE: f64 = 0.95;

/// Fewer blocks than this say nothing of autocorrelation: independence is assumed then, and nothing passes on it.
pub const BLOCKS_MIN: usize = 4;

/// Blocks are put together into longer ones while at least so many remain.
const LONG_BLOCKS_MIN: usize = 10;

/// An interval, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantileInterval {
    /// The sample's own quantile, ns.
    pub estimate: u64,
    /// `None`: the sample is too small for a bound on this side.
    pub low: Option<u64>,
    pub high: Option<u64>,
    pub samples: u64,
    /// As many independent samples would say as much.
    pub effective: u64,
    /// Whether there were blocks enough to measure the design effect.
    pub autocorrelation_measured: bool,
}

/// The interval of `quantile` over all samples, given the same samples by second. `None` without samples.
pub fn quantile_interval(all: &Histogram, seconds: &[Recorded], quantile: f64) -> Option<QuantileInterval> {
    let samples = all.count();
    let estimate = all.quantile(quantile)?;
    let blocks: Vec<(f64, f64)> = seconds
        .iter()
        .filter(|second| second.count() > 0)
        .map(|second| (second.count_above(estimate) as f64, second.count() as f64))
        .collect();
    let effect = design_effect(&blocks);
    let effective = ((samples as f64 / effect.unwrap_or(1.0)).floor() as u64).clamp(1, samples);
    let (low, high) = ranks(effective, quantile);
    // A rank of the effective sample stands for the same share of the real one.
    let scale = |rank: u64| ((rank as f64 * samples as f64 / effective as f64).round() as u64).clamp(1, samples);
    Some(QuantileInterval {
        estimate,
        low: low.map(|rank| all.value_at_rank(scale(rank))),
        high: high.map(|rank| all.value_at_rank(scale(rank))),
        samples,
        effective,
        autocorrelation_measured: effect.is_some(),
    })
}

/// How many times the variance of the share of exceedances is what independent samples would have; at least 1.
/// `None` with fewer than [`BLOCKS_MIN`] blocks. Blocks are (exceedances, samples).
///
/// Longer blocks (2, 4, … seconds) catch longer correlation; the largest effect is taken.
fn design_effect(blocks: &[(f64, f64)]) -> Option<f64> {
    if blocks.len() < BLOCKS_MIN {
        return None;
    }
    let mut blocks = blocks.to_vec();
    let mut effect: f64 = 1.0;
    loop {
        effect = effect.max(ratio_effect(&blocks));
        if blocks.len() / 2 < LONG_BLOCKS_MIN {
            return Some(effect);
        }
        blocks = blocks.chunks(2).map(|pair| pair.iter().fold((0.0, 0.0), |s, b| (s.0 + b.0, s.1 + b.1))).collect();
    }
}

/// The two-sided 95 % point of the normal distribution.
const Z: f64 = 1.959_964;

/// The same of Student's t with so many degrees of freedom (Abramowitz, Stegun, 26.7.5).
fn student_t(freedom: f64) -> f64 {
    let z = Z;
    z + (z.powi(3) + z) / (4.0 * freedom)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * freedom.powi(3))
}

/// Variance of a ratio estimator over blocks (Cochran, *Sampling Techniques*, §6.3) by the binomial variance.
fn ratio_effect(blocks: &[(f64, f64)]) -> f64 {
    let (exceeding, samples) = blocks.iter().fold((0.0, 0.0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
    let share = exceeding / samples;
    if share <= 0.0 || share >= 1.0 {
        return 1.0;
    }
    let count = blocks.len() as f64;
    let squares: f64 = blocks.iter().map(|(e, n)| (e - share * n).powi(2)).sum();
    let variance = count / (count - 1.0) * squares / (samples * samples);
    // The variance is itself estimated, from as many blocks: Student's t instead of the normal distribution.
    let inflation = (student_t(count - 1.0) / Z).powi(2);
    inflation * variance / (share * (1.0 - share) / samples)
}

/// Ranks (1 ..= n) of the order statistics that enclose the quantile with [`CONFIDENCE`]; `None` on a side where no
/// rank does. Exact, from the binomial distribution.
pub fn ranks(n: u64, quantile: f64) -> (Option<u64>, Option<u64>) {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    // The largest j with P(X ≤ j − 1) ≤ tail.
    let low = last_where(n, |j| binomial_cdf(j - 1, n, quantile) <= tail);
    // The smallest k with P(X ≥ k) ≤ tail: one after the last with P(X ≥ k) > tail.
    let high = last_where(n, |k| 1.0 - binomial_cdf(k - 1, n, quantile) > tail).map_or(1, |k| k + 1);
    (low, (high <= n).then_some(high))
}

/// The last of 1 ..= n for which `holds`, given that it holds up to some point and not after.
fn last_where(n: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut below, mut above) = (0, n + 1);
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if holds(middle) { below = middle } else { above = middle }
    }
    (below > 0).then_some(below)
}

/// P(X ≤ k) for X binomial (n, p), by the regularised incomplete beta function.
fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    beta_reg((n - k) as f64, k as f64 + 1.0, 1.0 - p)
}

/// Whether the quantile is shown to lie at or below a limit, by the share of samples above it: its upper bound (Clopper,
/// Pearson 1934) is at most 1 − `quantile`. It asks for less than the interval does where the limit is far away, for what
/// is correlated near the quantile need not be at the limit. `false` where autocorrelation can't be measured.
pub fn within_limit(seconds: &[Recorded], quantile: f64, limit: u64) -> bool {
    let blocks: Vec<(f64, f64)> = seconds
        .iter()
        .filter(|second| second.count() > 0)
        .map(|second| (second.count_above(limit) as f64, second.count() as f64))
        .collect();
    let (above, samples) = blocks.iter().fold((0.0, 0.0), |sum, block| (sum.0 + block.0, sum.1 + block.1));
    let Some(effect) = design_effect(&blocks) else { return false };
    let (n, k) = (samples / effect, above / effect);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    // P(X ≤ k) at a share of 1 − quantile, k and n not whole: the same function.
    n > k && beta_reg(n - k, k + 1.0, quantile) <= tail
}

/// The fewest independent samples with bounds on both sides.
pub fn smallest_sample(quantile: f64) -> u64 {
    let tail: f64 = (1.0 - CONFIDENCE) / 2.0;
    let rarer = quantile.max(1.0 - quantile);
    (tail.ln() / rarer.ln()).ceil() as u64
}

/// The fewest independent samples that would settle it, if a share `share` of them is within the limit: with that many
/// the interval of the quantile lies on one side. `None` if the two are too close for any sample of this world.
pub fn samples_to_settle(share: f64, quantile: f64) -> Option<u64> {
    const SAMPLES_MAX: u64 = 10_000_000_000;
    let settles = |n: u64| {
        let within = (share * n as f64 + 1e-6).floor() as u64;
        match ranks(n, quantile) {
            (_, Some(high)) if share > quantile => high <= within,
            (Some(low), _) if share < quantile => low > within,
            _ => false,
        }
    };
    let mut above = smallest_sample(quantile).max(1);
    while !settles(above) {
        above = above.checked_mul(2).filter(|n| *n <= SAMPLES_MAX)?;
    }
    let mut below = above / 2;
    // Whole ranks make it jump a little; for an estimate any crossing will do.
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if settles(middle) { above = middle } else { below = middle }
    }
    Some(above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgrid_proto::histogram::Recorder;

    fn histogram(seconds: &[Recorded]) -> Histogram {
        let mut all = Histogram::default();
        seconds.iter().for_each(|second| all.merge(second));
        all
    }

    fn second(values: impl IntoIterator<Item = u64>) -> Recorded {
        let mut recorder = Recorder::default();
        values.into_iter().for_each(|value| recorder.record(value));
        recorder.drain()
    }

    #[test]
    fn smallest_samples_with_two_bounds() {
        for (quantile, smallest) in [(0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3_688), (0.9999, 36_887)] {
            assert_eq!(smallest_sample(quantile), smallest);
            assert!(ranks(smallest, quantile).1.is_some());
            assert_eq!(ranks(smallest - 1, quantile).1, None);
        }
    }

    /// Golden values: scipy.stats.binom, j = max{{j: cdf(j-1) <= 0.025}}, k = min{{k: sf(k-1) <= 0.025}}
    /// (tests/golden/binomial_ranks.py prints them).
    #[test]
    fn ranks_are_the_binomial_ones() {
        for (n, quantile, low, high) in GOLDEN {
            assert_eq!(ranks(n, quantile), (Some(low), Some(high)), "n = {n}, q = {quantile}");
        }
    }

    const GOLDEN: [(u64, f64, u64, u64); 6] = [
        (100, 0.5, 40, 61),
        (1_000, 0.9, 881, 919),
        (1_000, 0.99, 983, 997),
        (10_000, 0.99, 9_880, 9_920),
        (10_000, 0.999, 9_983, 9_997),
        (1_000_000, 0.999, 998_938, 999_062),
    ];

    #[test]
    fn correlated_seconds_shrink_the_sample() {
        // Every fifth second is slow as a whole: 10 % of the seconds, not of the requests, decide.
        let slow_seconds: Vec<Recorded> =
            (0..40).map(|s| second((0..100).map(|i| if s % 5 == 0 && i < 50 { 900 } else { 100 + i }))).collect();
        let mixed: Vec<Recorded> =
            (0..40).map(|_| second((0..100).map(|i| if i < 10 { 900 } else { 100 + i }))).collect();
        let clustered = quantile_interval(&histogram(&slow_seconds), &slow_seconds, 0.85).unwrap();
        let spread = quantile_interval(&histogram(&mixed), &mixed, 0.85).unwrap();
        assert!(spread.effective > 3000, "{spread:?}");
        assert!(clustered.effective < 400, "{clustered:?}");
        assert!(clustered.autocorrelation_measured);
    }

    #[test]
    fn students_t() {
        // From tables; at 3 degrees, the fewest in use, the series is short by 1 %.
        for (freedom, t) in [(3.0, 3.182), (9.0, 2.262), (29.0, 2.045)] {
            assert!((student_t(freedom) - t).abs() < 0.03, "{freedom}: {}", student_t(freedom));
        }
    }

    #[test]
    fn small_samples_have_no_upper_bound() {
        let seconds = [second(1..=100)];
        let interval = quantile_interval(&histogram(&seconds), &seconds, 0.99).unwrap();
        assert_eq!(interval.high, None);
        assert_eq!(interval.estimate, 99);
        assert!(interval.low.is_some());
        assert!(!interval.autocorrelation_measured);
        assert_eq!(quantile_interval(&Histogram::default(), &[], 0.99), None);
    }

    #[test]
    fn the_interval_covers_the_truth_as_often_as_it_says() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(5);
        let truth = 900_000u64;
        let covered = (0..400)
            .filter(|_| {
                let seconds: Vec<Recorded> =
                    (0..20).map(|_| second((0..100).map(|_| rng.random_range(0..1_000_000u64)))).collect();
                let interval = quantile_interval(&histogram(&seconds), &seconds, 0.9).unwrap();
                interval.low.is_some_and(|low| low <= truth) && interval.high.is_some_and(|high| high >= truth)
            })
            .count();
        // 95 % of 400 is 380; the seed is fixed.
        assert!((370..=400).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn far_from_the_limit_few_samples_do() {
        let quiet: Vec<Recorded> = (0..4).map(|_| second(std::iter::repeat_n(100, 92))).collect();
        // 0 of 368 are the fewest for p99.
        assert!(within_limit(&quiet, 0.99, 1000));
        assert!(!within_limit(&quiet[..3], 0.99, 1000), "three blocks say nothing of autocorrelation");
        let fewer: Vec<Recorded> = (0..4).map(|_| second(std::iter::repeat_n(100, 91))).collect();
        assert!(!within_limit(&fewer, 0.99, 1000));
        // 1 % above it is not shown to be at most 1 %; neither is one slow block.
        let at: Vec<Recorded> = (0..40).map(|_| second((0..100).map(|i| if i < 1 { 5000 } else { 100 }))).collect();
        assert!(!within_limit(&at, 0.99, 1000));
        let slow: Vec<Recorded> =
            (0..40).map(|s| second((0..100).map(|i| if s == 7 && i < 20 { 5000 } else { 100 }))).collect();
        assert!(!within_limit(&slow, 0.99, 1000));
        let rare: Vec<Recorded> =
            (0..400).map(|s| second((0..100).map(|i| if s % 10 == 7 && i < 2 { 5000 } else { 100 }))).collect();
        assert!(within_limit(&rare, 0.99, 1000));
    }

    #[test]
    fn what_it_takes_to_settle() {
        assert_eq!(samples_to_settle(1.0, 0.99), Some(368));
        // z² q (1 − q) / (share − q)², and the same from below.
        let close = samples_to_settle(0.9905, 0.99).unwrap();
        assert!((148_000..158_000).contains(&close), "{close}");
        let missed = samples_to_settle(0.98, 0.99).unwrap();
        assert!((300..500).contains(&missed), "{missed}");
        let above = samples_to_settle(0.996, 0.99).unwrap();
        assert!((1000..1500).contains(&above), "{above}");
        assert_eq!(samples_to_settle(0.99, 0.99), None);
    }
}
