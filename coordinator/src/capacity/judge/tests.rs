use super::*;
use proptest::prelude::*;

fn p99(observed: f64, low: f64, high: f64) -> Reading {
    let (observed, low, high) = (Some(observed), Some(low), Some(high));
    Reading { limit: 100.0, comparison: Comparison::AtMost, observed, low, high, settled: true }
}

fn said(readings: &[Reading]) -> Outcome {
    outcome(readings, Growth::None, false).0
}

#[test]
fn conclusive_where_the_whole_interval_is_on_one_side() {
    assert_eq!(said(&[p99(90.0, 85.0, 99.0)]), Outcome::Held);
    assert_eq!(said(&[p99(90.0, 85.0, 100.0)]), Outcome::Held);
    assert_eq!(said(&[p99(90.0, 85.0, 101.0)]), Outcome::Unclear);
    assert_eq!(said(&[p99(110.0, 99.0, 130.0)]), Outcome::Unclear);
    assert_eq!(said(&[p99(110.0, 101.0, 130.0)]), Outcome::Broke);
    let at_least = |low, high| Reading { comparison: Comparison::AtLeast, ..p99(100.0, low, high) };
    assert_eq!(said(&[at_least(101.0, 120.0)]), Outcome::Held);
    assert_eq!(said(&[at_least(80.0, 99.0)]), Outcome::Broke);
    assert_eq!(said(&[at_least(80.0, 101.0)]), Outcome::Unclear);
}

#[test]
fn all_have_to_hold_and_one_breaks_it() {
    let (held, unclear, broke) = (p99(90.0, 85.0, 95.0), p99(99.0, 90.0, 110.0), p99(150.0, 140.0, 160.0));
    assert_eq!(said(&[held, held]), Outcome::Held);
    assert_eq!(said(&[held, unclear]), Outcome::Unclear);
    assert_eq!(said(&[held, unclear, broke]), Outcome::Broke);
    assert_eq!(said(&[]), Outcome::Unclear);
}

#[test]
fn a_small_sample_breaks_but_does_not_hold() {
    let small = Reading { high: None, ..p99(90.0, 80.0, 0.0) };
    assert_eq!(said(&[small]), Outcome::Unclear);
    assert_eq!(said(&[Reading { low: Some(101.0), ..small }]), Outcome::Broke);
    assert_eq!(said(&[Reading { settled: false, ..p99(90.0, 85.0, 95.0) }]), Outcome::Unclear);
    assert_eq!(said(&[Reading { observed: None, low: None, high: None, ..small }]), Outcome::Unclear);
}

#[test]
fn a_growing_backlog_breaks_it_and_takes_the_margin() {
    let growing = Growth::Growing { per_second: 20.0, share: 0.02 };
    assert_eq!(outcome(&[p99(50.0, 45.0, 55.0)], growing, false), (Outcome::Broke, None));
    let (broke, margin) = outcome(&[p99(200.0, 190.0, 210.0)], growing, false);
    assert_eq!(broke, Outcome::Broke);
    assert_eq!(outcome(&[p99(105.0, 101.0, 110.0)], growing, false), (Outcome::Broke, None));
    assert!((margin.unwrap().log_ratio - 2f64.ln()).abs() < 1e-12);
}

#[test]
fn a_limited_probe_says_nothing() {
    assert_eq!(outcome(&[p99(50.0, 45.0, 55.0)], Growth::None, true), (Outcome::Limited, None));
}

#[test]
fn the_margin_is_of_the_objective_nearest_to_breaking() {
    let (_, margin) =
        outcome(&[p99(50.0, 45.0, 55.0), p99(90.0, 81.0, 100.0), p99(10.0, 9.0, 11.0)], Growth::None, false);
    let margin = margin.unwrap();
    assert!((margin.log_ratio - 0.9f64.ln()).abs() < 1e-12);
    // (ln 100/90 + ln 90/81) / 2 / 1.96
    assert!((margin.error - (100.0f64 / 81.0).ln() / 2.0 / 1.959_964).abs() < 1e-9, "{margin:?}");
    let at_least = Reading { comparison: Comparison::AtLeast, ..p99(50.0, 45.0, 55.0) };
    assert!((outcome(&[at_least], Growth::None, false).1.unwrap().log_ratio - 2f64.ln()).abs() < 1e-12);
    let zero = Reading { limit: 0.0, ..at_least };
    assert_eq!(outcome(&[zero], Growth::None, false).1, None);
}

/// Golden values: scipy.stats.beta.ppf; tests/golden/shares.py prints them.
#[test]
fn shares_have_the_bounds_of_clopper_and_pearson() {
    let cases = [
        (0, 1000, 1000.0, 0.0, 0.003682083896865671),
        (10, 1000, 1000.0, 0.004805510691049308, 0.01831324305511245),
        (10, 1000, 500.0, 0.0032547214070242523, 0.02318138806965964),
        (1000, 1000, 1000.0, 0.9963179161031343, 1.0),
    ];
    for (count, samples, effective, low, high) in cases {
        let bounds = share_bounds(count, samples, effective);
        assert!((bounds.0 - low).abs() < 1e-9 && (bounds.1 - high).abs() < 1e-9, "{count}/{samples}: {bounds:?}");
    }
    assert_eq!(share_bounds(0, 0, 0.0), (0.0, 1.0));
}

proptest! {
    #[test]
    fn a_share_lies_within_its_bounds(count in 0u64..5000, more in 0u64..5000, effect in 1.0f64..50.0) {
        let samples = count + more;
        let (low, high) = share_bounds(count, samples, samples as f64 / effect);
        let share = if samples == 0 { 0.5 } else { count as f64 / samples as f64 };
        prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
        prop_assert!(low <= share + 1e-9 && share <= high + 1e-9, "{} {} {}", low, share, high);
    }

    #[test]
    fn margins_are_numbers(numbers in proptest::array::uniform4(proptest::num::f64::ANY)) {
        let [observed, low, high, limit] = numbers;
        let reading = Reading { limit, ..p99(observed, low, high) };
        if let Some(margin) = outcome(&[reading], Growth::Unknown, false).1 {
            prop_assert!(margin.log_ratio.is_finite() && margin.error > 0.0);
        }
    }
}
