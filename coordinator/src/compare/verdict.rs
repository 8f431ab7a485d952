//! Better, worse, or no difference shown: for each row, and for all of them together. Takes differences and decides.
//!
//! Twenty rows at 5 % each would call one different in most pairs without a difference. So the rows are a family
//! (Holm, *Scandinavian Journal of Statistics* 1979): in at most 5 % of such pairs any row is called different.

use super::bootstrap::Difference;
use super::model::Verdict;
use super::student::critical;

/// How often a pair without a difference may be called different, in any row.
pub const LEVEL: f64 = 0.05;

/// How often the smallest difference that could have been shown would have been.
const POWER: f64 = 0.8;

/// Which hypotheses of a family are rejected, so that with [`LEVEL`] none is that holds (Holm–Bonferroni).
pub fn rejected(ps: &[f64]) -> Vec<bool> {
    let mut order: Vec<(usize, f64)> = ps.iter().copied().enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut rejected = vec![false; ps.len()];
    for (step, (place, p)) in order.into_iter().enumerate() {
        if p > LEVEL / (ps.len() - step) as f64 {
            break;
        }
        if let Some(own) = rejected.get_mut(place) {
            *own = true;
        }
    }
    rejected
}

/// The smallest difference that would have been shown in 4 of 5 cases, among a family of so many.
pub fn smallest(difference: &Difference, family: usize) -> f64 {
    let error = difference.error_low.max(difference.error_high);
    let shown = critical(LEVEL / family.max(1) as f64, difference.freedom);
    (shown + critical(2.0 * (1.0 - POWER), difference.freedom)) * error
}

/// A row's verdict. A difference below `floor` is not the target's, whatever its p value.
pub fn of_row(difference: f64, floor: f64, rejected: bool, higher_is_better: bool) -> Verdict {
    match rejected && difference.abs() > floor {
        false => Verdict::Same,
        true if (difference > 0.0) == higher_is_better => Verdict::Better,
        true => Verdict::Worse,
    }
}

/// The verdict of the whole, from the rows'.
pub fn of_all(rows: impl Iterator<Item = Verdict> + Clone) -> Verdict {
    let any = |verdict: Verdict| rows.clone().any(|row| row == verdict);
    match (any(Verdict::Better), any(Verdict::Worse)) {
        (true, true) => Verdict::Mixed,
        (true, false) => Verdict::Better,
        (false, true) => Verdict::Worse,
        (false, false) if any(Verdict::Same) => Verdict::Same,
        (false, false) => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Golden values: adjusted p values, with NumPy by their definition (tests/golden/comparison.py prints them).
    #[test]
    fn holms_steps_are_those_of_the_adjusted_p_values() {
        let ps = [0.001, 0.013, 0.011, 0.04, 0.2, 0.009];
        let adjusted = [0.006, 0.045, 0.045, 0.08, 0.2, 0.045];
        assert_eq!(rejected(&ps), adjusted.map(|p| p <= LEVEL));
        // The first that is not rejected keeps all that follow, however small a p they would need.
        assert_eq!(rejected(&[0.02, 0.03, 0.04]), [false; 3]);
        assert_eq!(rejected(&[]), [false; 0]);
    }

    #[test]
    fn a_verdict_takes_the_side_that_is_better() {
        use Verdict::{Better, Mixed, Same, Unknown, Worse};
        assert_eq!(of_row(0.1, 0.01, true, false), Worse);
        assert_eq!(of_row(-0.1, 0.01, true, false), Better);
        assert_eq!(of_row(-0.1, 0.01, true, true), Worse);
        assert_eq!(of_row(0.1, 0.2, true, false), Same);
        assert_eq!(of_row(0.1, 0.01, false, false), Same);
        let all = |rows: &[Verdict]| of_all(rows.iter().copied());
        assert_eq!(all(&[Same, Worse, Unknown]), Worse);
        assert_eq!(all(&[Better, Worse]), Mixed);
        assert_eq!(all(&[Same, Better]), Better);
        assert_eq!(all(&[Unknown, Same]), Same);
        assert_eq!(all(&[Unknown]), Unknown);
        assert_eq!(all(&[]), Unknown);
    }

    proptest! {
        #[test]
        fn holm_lies_between_bonferroni_and_no_correction(ps in prop::collection::vec(0.0f64..0.2, 1..12)) {
            let count = ps.len() as f64;
            for (p, rejected) in ps.iter().zip(rejected(&ps)) {
                prop_assert!(rejected || *p > LEVEL / count);
                prop_assert!(!rejected || *p <= LEVEL);
            }
        }
    }
}
