//! Student's t distribution, for as many degrees of freedom as a variance was really estimated with; pure arithmetic.

use statrs::function::beta::beta_reg;

/// The probability that |t| is at least this large.
pub fn two_sided(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() || freedom <= 0.0 {
        return 1.0;
    }
    let x = freedom / (freedom + t * t);
    // The function is for shares: rounding must not leave it.
    beta_reg(freedom / 2.0, 0.5, x.clamp(0.0, 1.0)).clamp(0.0, 1.0)
}

/// The t whose absolute value is exceeded with this probability.
pub fn critical(p: f64, freedom: f64) -> f64 {
    let p = p.clamp(1e-12, 1.0);
    let (mut below, mut above) = (0.0, 1.0);
    while two_sided(above, freedom) > p && above < 1e12 {
        above *= 2.0;
    }
    for _ in 0..80 {
        let middle = 0.5 * (below + above);
        if two_sided(middle, freedom) > p { below = middle } else { above = middle }
    }
    0.5 * (below + above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Golden values: 2 * scipy.stats.t.sf and scipy.stats.t.isf(p / 2) (tests/golden/comparison.py prints them).
    #[test]
    fn probabilities_and_points_are_scipys() {
        for (t, freedom, p) in PROBABILITIES {
            let found = two_sided(t, freedom);
            assert!((found / p - 1.0).abs() < 1e-9, "t = {t}, {freedom}: {found} for {p}");
        }
        for (p, freedom, t) in POINTS {
            let found = critical(p, freedom);
            assert!((found / t - 1.0).abs() < 1e-9, "p = {p}, {freedom}: {found} for {t}");
        }
    }

    const PROBABILITIES: [(f64, f64, f64); 5] = [
        (0.5, 1.0, 0.7048327646991335),
        (2.0, 6.0, 0.09242631153167512),
        (3.43, 12.0, 0.004985659219652136),
        (2.1, 7.35, 0.07198906423311902),
        (9.0, 40.0, 3.6801644717061835e-11),
    ];
    const POINTS: [(f64, f64, f64); 5] = [
        (0.05, 3.0, 3.1824463052837086),
        (0.05, 12.0, 2.1788128296672293),
        (0.005, 12.5, 3.3991446924645654),
        (0.4, 6.0, 0.9057032851805314),
        (0.0001, 80.0, 4.095894827181762),
    ];

    proptest! {
        #[test]
        fn points_and_probabilities_are_inverse(p in 1e-6f64..0.999, freedom in 1.0f64..500.0) {
            prop_assert!((two_sided(critical(p, freedom), freedom) / p - 1.0).abs() < 1e-6);
        }
    }
}
