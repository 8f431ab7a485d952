use super::*;
use proptest::prelude::*;

/// Golden values: tests/golden/energy_statistic.py prints them.
const STEP: [f64; 12] = [10.0, 10.2, 9.9, 10.1, 10.0, 9.8, 10.3, 12.1, 11.9, 12.0, 12.2, 11.8];
const TIES: [f64; 10] = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 2.0, 1.0, 2.0];
const NOISE: [f64; 11] = [3.1, -0.4, 2.2, 1.7, 0.3, 2.9, 1.1, 0.8, -1.6, 1.9, 0.5];
const STEP_GOLDEN: [(usize, f64); 7] = [
    (3, 2.170833333333),
    (4, 3.360317460317),
    (5, 5.119444444444),
    (6, 7.68),
    (7, 10.222222222222),
    (8, 6.765079365079),
    (9, 4.416666666667),
];
const TIES_GOLDEN: [(usize, f64); 5] = [(3, 2.6), (4, 1.28), (5, 2.9), (6, 5.6), (7, 2.6)];
const NOISE_GOLDEN: [(usize, f64); 6] = [
    (3, -0.872727272727),
    (4, -0.387878787879),
    (5, -1.145454545455),
    (6, 0.472727272727),
    (7, 0.036363636364),
    (8, -0.587012987013),
];

const SETTINGS: Settings = Settings { significance: 0.01, smallest: 0.0, seed: 1 };

fn places_of(found: &Segmentation) -> Vec<usize> {
    found.changes.iter().map(|change| change.at).collect()
}

const NONE: [usize; 0] = [];

/// Noise without chance: seven values in turn.
fn wobble(index: usize) -> f64 {
    [0.3, -0.8, 0.9, -0.2, -0.6, 0.7, -0.3][index % 7]
}

#[test]
fn statistics_are_those_of_numpy() {
    let golden: [&[(usize, f64)]; 3] = [&STEP_GOLDEN, &TIES_GOLDEN, &NOISE_GOLDEN];
    for (values, golden) in [STEP.as_slice(), &TIES, &NOISE].into_iter().zip(golden) {
        let all = statistics(values);
        assert_eq!(all.iter().flatten().count(), golden.len());
        for (at, expected) in golden {
            assert!((all[*at].unwrap() - expected).abs() < 1e-11, "{at}: {:?}", all[*at]);
        }
    }
}

#[test]
fn the_t_test_is_that_of_scipy() {
    let cases: [(&[f64], usize, f64); 2] = [(&STEP, 7, 2.066220588963e-09), (&NOISE, 6, 0.218991660382)];
    for (values, at, golden) in cases {
        let independent = Local { correlation: 0.0, ..Local::around(values, &[0, at, values.len()], at) };
        let p = independent.p(values, (0, at), (at, values.len()), 1.0);
        assert!((p / golden - 1.0).abs() < 1e-6, "{p:e}");
    }
    // The variance of a mean of three in an AR(1).
    let correlated = Local { variance: 1.0, freedom: 9.0, correlation: 0.3 };
    assert!((correlated.of_mean(3) - 0.486666666667).abs() < 1e-11);
}

#[test]
fn a_step_is_found_where_it_is() {
    let found = segment(&STEP, &SETTINGS);
    assert_eq!(places_of(&found), [7]);
    assert!(found.changes[0].p < 1e-6);
    let stairs: Vec<f64> = (0..90).map(|i| 10.0 * (i / 30) as f64 + wobble(i)).collect();
    assert_eq!(places_of(&segment(&stairs, &SETTINGS)), [30, 60]);
}

#[test]
fn up_and_down_again_is_seen_through_a_window() {
    let pulse = |i: usize| if (150..160).contains(&i) { 6.0 } else { 0.0 };
    let values: Vec<f64> = (0..400).map(|i| pulse(i) + wobble(i)).collect();
    assert_eq!(places_of(&segment(&values, &SETTINGS)), [150, 160]);
}

#[test]
fn an_outlier_is_no_level() {
    for at in [0, 1, 20, 38, 39] {
        let mut values: Vec<f64> = (0..40).map(wobble).collect();
        values[at] = 1e6;
        let found = segment(&values, &SETTINGS);
        assert_eq!(places_of(&found), NONE, "{at}");
        let outliers: Vec<usize> = (0..40).filter(|i| found.tamed.outlier[*i]).collect();
        assert_eq!(outliers, [at]);
        assert!(found.tamed.values[at].abs() < 2.0);
    }
}

#[test]
fn two_runs_are_no_level_and_three_are() {
    let series = |after: usize| -> Vec<f64> {
        (0..30 + after).map(|i| if i >= 30 { 20.0 + wobble(i) } else { wobble(i) }).collect()
    };
    assert_eq!(places_of(&segment(&series(1), &SETTINGS)), NONE);
    assert_eq!(places_of(&segment(&series(3), &SETTINGS)), [30]);
}

#[test]
fn small_steps_can_be_asked_not_to_count() {
    let settings = Settings { smallest: 2.5, ..SETTINGS };
    assert_eq!(places_of(&segment(&STEP, &settings)), NONE);
    assert_eq!(places_of(&segment(&STEP, &Settings { smallest: 1.5, ..SETTINGS })), [7]);
}

#[test]
fn constant_and_short_series() {
    assert_eq!(places_of(&segment(&[], &SETTINGS)), NONE);
    assert_eq!(places_of(&segment(&[1.0, 9.0, 1.0, 9.0, 9.0], &SETTINGS)), NONE);
    assert_eq!(places_of(&segment(&[0.0; 50], &SETTINGS)), NONE);
    let mut step = [0.0; 40];
    step[25..].fill(0.01);
    assert_eq!(places_of(&segment(&step, &SETTINGS)), [25]);
}

#[test]
fn what_three_values_would_have_shown() {
    let values: Vec<f64> = (0..50).map(wobble).collect();
    let found = segment(&values, &SETTINGS);
    let smallest = smallest_step(&found, 0.01).unwrap();
    let with =
        |step: f64| -> Vec<f64> { (0..53).map(|i| if i >= 50 { step + wobble(i) } else { wobble(i) }).collect() };
    assert!(segment(&with(1.5 * smallest), &SETTINGS).changes.iter().any(|change| change.at == 50));
    assert_eq!(places_of(&segment(&with(0.3 * smallest), &SETTINGS)), NONE);
    assert_eq!(smallest_step(&segment(&[1.0; 5], &SETTINGS), 0.01), None);
}

#[test]
fn the_largest_history_takes_no_matrix() {
    let values: Vec<f64> = (0..2_000).map(|i| 3.0 * ((i / 500) % 2) as f64 + wobble(i)).collect();
    assert_eq!(places_of(&segment(&values, &SETTINGS)), [500, 1_000, 1_500]);
}

/// By the definition.
fn naive(values: &[f64], at: usize) -> f64 {
    let among = |side: &[f64]| {
        let pairs = (0..side.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let sum: f64 = pairs.map(|(i, j)| (side[i] - side[j]).abs()).sum();
        sum / (side.len() * (side.len() - 1) / 2) as f64
    };
    let (x, y) = values.split_at(at);
    let (m, n) = (x.len() as f64, y.len() as f64);
    let between: f64 = x.iter().flat_map(|a| y.iter().map(move |b| (a - b).abs())).sum::<f64>() / (m * n);
    m * n / (m + n) * (2.0 * between - among(x) - among(y))
}

proptest! {
    #[test]
    fn the_fast_statistic_is_the_definition(values in prop::collection::vec(-1e3..1e3f64, 6..60)) {
        for (at, statistic) in statistics(&values).into_iter().enumerate() {
            let inside = at >= SEGMENT_MIN && values.len() - at >= SEGMENT_MIN;
            prop_assert_eq!(statistic.is_some(), inside);
            if let Some(statistic) = statistic {
                prop_assert!((statistic - naive(&values, at)).abs() < 1e-6, "{at}: {statistic}");
            }
        }
    }

    #[test]
    fn any_series_gives_levels_long_enough(values in prop::collection::vec(-1e9..1e9f64, 0..80), seed: u64) {
        let found = segment(&values, &Settings { seed, ..SETTINGS });
        let all = bounds(found.changes.iter().map(|change| change.at), values.len());
        if !found.changes.is_empty() {
            prop_assert!(all.windows(2).all(|pair| pair[1] >= pair[0] + SEGMENT_MIN), "{all:?}");
        }
        prop_assert!(found.changes.iter().all(|change| change.p <= SETTINGS.significance));
    }

    #[test]
    fn levels_do_not_depend_on_unit_or_sign(shift in -1e3..1e3f64, factor in 0.01..100f64) {
        let stairs: Vec<f64> = (0..60).map(|i| 10.0 * (i / 30) as f64 + wobble(i)).collect();
        let other: Vec<f64> = stairs.iter().map(|value| shift - factor * value).collect();
        prop_assert_eq!(places_of(&segment(&stairs, &SETTINGS)), places_of(&segment(&other, &SETTINGS)));
    }
}
