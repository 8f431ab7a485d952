use loadgrid_proto::Recorded;
use loadgrid_proto::histogram::Recorder;
use proptest::prelude::*;

use super::*;

/// Numbers that any language can draw again.
fn congruential(seed: u64, count: usize) -> Vec<u64> {
    let mut state = seed;
    let mut next = || {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        state >> 8
    };
    (0..count).map(|_| next()).collect()
}

/// 24 steps of 20 values, ns, each step at a level of its own: as in tests/golden/comparison.py.
fn sample(seed: u64, scale: f64) -> Vec<Recorded> {
    let numbers = congruential(seed, 24 * 20);
    let step = |(place, numbers): (usize, &[u64])| {
        let mut recorder = Recorder::default();
        let level = 1.0 + 0.05 * ((place / 2) % 4) as f64;
        numbers
            .iter()
            .for_each(|number| recorder.record((scale * level * (1_000_000 + number % 1_000_000) as f64) as u64));
        recorder.drain()
    };
    numbers.chunks(20).enumerate().map(step).collect()
}

fn table(steps: &[Recorded]) -> Table {
    Table::new(steps.iter())
}

/// Golden values: NumPy's quantile (inverted_cdf), and the standard deviation over 20,000 circular block bootstraps of
/// its logarithm (tests/golden/comparison.py prints them): seed, scale, quantile, value, deviations at lengths 1, 2, 4.
const GOLDEN: [(u64, f64, f64, f64, [f64; 3]); 6] = [
    (1, 1.0, 0.5, 1_502_984.0, [0.019_927, 0.017_764, 0.017_831]),
    (1, 1.0, 0.9, 2_052_752.0, [0.013_928, 0.015_729, 0.014_946]),
    (1, 1.0, 0.95, 2_122_259.0, [0.014_672, 0.016_315, 0.015_467]),
    (2, 1.05, 0.5, 1_649_621.0, [0.018_964, 0.020_801, 0.019_575]),
    (2, 1.05, 0.9, 2_123_601.0, [0.009_773, 0.011_260, 0.010_377]),
    (2, 1.05, 0.95, 2_185_072.0, [0.008_380, 0.009_663, 0.009_054]),
];

#[test]
fn quantiles_and_their_deviations_are_numpys() {
    for (seed, scale, quantile, value, deviations) in GOLDEN {
        let table = table(&sample(seed, scale));
        let side = side(Figure::Quantile(&table, quantile)).unwrap();
        assert!((side.value.exp() / value - 1.0).abs() < 0.001, "{seed}, {quantile}: {}", side.value.exp());
        for (length, golden) in [1, 2, 4].into_iter().zip(deviations) {
            let drawn = drawn(&side, length, &mut Xoshiro256PlusPlus::seed_from_u64(3));
            let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
            let found = (drawn.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / drawn.len() as f64).sqrt();
            // Of 2,000 draws a deviation is known to 2 %.
            assert!((found / golden - 1.0).abs() < 0.06, "{seed}, {quantile}, {length}: {found} for {golden}");
        }
    }
}

#[test]
fn a_difference_is_of_logarithms_and_its_interval_encloses_it() {
    let (a, b) = (table(&sample(1, 1.0)), table(&sample(1, 1.2)));
    let found = difference([Figure::Quantile(&a, 0.5), Figure::Quantile(&b, 0.5)], false, 7).unwrap();
    assert!((found.difference - 1.2_f64.ln()).abs() < 0.002, "{found:?}");
    assert!(found.low < found.difference && found.difference < found.high);
    assert!((found.p < 0.05) == (found.low > 0.0 || found.high < 0.0));
    assert_eq!(difference([Figure::Quantile(&a, 0.5), Figure::Quantile(&b, 0.5)], false, 7), Some(found));
    // Drawn together, two sides with the same seconds differ by the scale alone.
    let paired = difference([Figure::Quantile(&a, 0.5), Figure::Quantile(&b, 0.5)], true, 7).unwrap();
    assert!(paired.high - paired.low < 0.1 * (found.high - found.low), "{paired:?}");
}

#[test]
fn few_steps_and_empty_sides_have_no_difference() {
    let (few, many) = (vec![(1.0, 10.0); STEPS_MIN - 1], vec![(1.0, 10.0); STEPS_MIN]);
    assert_eq!(difference([Figure::Share(&few), Figure::Share(&many)], false, 1), None);
    assert!(difference([Figure::Share(&many), Figure::Share(&many)], false, 1).is_some());
    let empty = Table::new([].iter());
    assert_eq!(difference([Figure::Quantile(&empty, 0.5), Figure::Quantile(&empty, 0.5)], false, 1), None);
    let nothing = vec![(0.0, 10.0); 20];
    assert_eq!(difference([Figure::LogRatio(&nothing), Figure::LogRatio(&nothing)], false, 1), None);
}

#[test]
fn no_errors_against_few_is_not_yet_a_difference() {
    let with = |errors: usize| -> Vec<(f64, f64)> {
        (0..60).map(|step| (f64::from(u8::from(step % (60 / errors.max(1)) == 0 && errors > 0)), 1000.0)).collect()
    };
    let p = |a: usize, b: usize| difference([Figure::Share(&with(a)), Figure::Share(&with(b))], false, 5).unwrap().p;
    assert_eq!(p(0, 0), 1.0);
    assert!(p(0, 3) > 0.05, "{}", p(0, 3));
    assert!(p(0, 20) < 0.05, "{}", p(0, 20));
}

#[test]
fn what_does_not_vary_differs_for_certain() {
    let constant =
        |value: u64| table(&vec![Recorded::from_counts([(loadgrid_proto::histogram::index_of(value), 9)]); 20]);
    let (a, b) = (constant(1_000_000), constant(1_500_000));
    let found = difference([Figure::Quantile(&a, 0.5), Figure::Quantile(&b, 0.5)], false, 1).unwrap();
    assert_eq!((found.p, found.low, found.high), (0.0, found.difference, found.difference));
    let same = difference([Figure::Quantile(&a, 0.5), Figure::Quantile(&a, 0.5)], false, 1).unwrap();
    assert_eq!((same.p, same.difference), (1.0, 0.0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_draw_has_as_many_steps_as_there_were(steps in 1usize..100, length in 0usize..120, seed: u64) {
        let mut draw = Vec::new();
        draw_blocks(steps, length, &mut Xoshiro256PlusPlus::seed_from_u64(seed), &mut draw);
        prop_assert_eq!(draw.iter().map(|(from, to)| to - from).sum::<usize>(), steps);
        prop_assert!(draw.iter().all(|(from, to)| from < to && *to <= steps));
    }

    #[test]
    fn swapping_the_sides_turns_the_difference(seed in 0u64..1000, quantile in 0.1f64..0.95) {
        let (a, b) = (table(&sample(seed, 1.0)), table(&sample(seed + 1, 1.1)));
        let figures = [Figure::Quantile(&a, quantile), Figure::Quantile(&b, quantile)];
        let there = difference(figures, false, seed).unwrap();
        let back = difference([figures[1], figures[0]], false, seed).unwrap();
        prop_assert_eq!(there.difference, -back.difference);
        // The draws are others: the width is known to some percent.
        let (width, other) = (there.high - there.low, back.high - back.low);
        prop_assert!((width / other - 1.0).abs() < 0.25, "{width} {other}");
    }

    #[test]
    fn nothing_that_is_measured_makes_it_panic(
        a in prop::collection::vec((0u32..5, 0u32..5), 0..30), b in prop::collection::vec((0u32..5, 0u32..5), 0..30), paired: bool,
    ) {
        let pairs = |of: &[(u32, u32)]| of.iter().map(|(x, y)| (f64::from(*x), f64::from(*y))).collect::<Vec<_>>();
        let (a, b) = (pairs(&a), pairs(&b));
        for figures in [[Figure::Share(&a), Figure::Share(&b)], [Figure::LogRatio(&a), Figure::LogRatio(&b)]] {
            if let Some(found) = difference(figures, paired, 1) {
                prop_assert!(!found.p.is_nan() && found.low <= found.difference && found.difference <= found.high);
            }
        }
    }
}
