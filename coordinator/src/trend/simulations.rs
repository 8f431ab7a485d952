//! How often histories of which the truth is known are judged right. The short form runs with the other tests; with
//! `LOADGRID_SIMULATIONS=full` and `--release` the long one does.
//!
//! Every history has five metrics with a noise of their own, judged with the default settings: 5 % over all of them.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::model::{MetricTrend, Trend, TrendVerdict};
use super::tests::point;
use super::{Point, Settings, trend};

const METRICS: [(&str, f64); 5] = [
    ("http/latency-p50", 0.004),
    ("http/latency-p90", 0.008),
    ("http/latency-p99", 0.02),
    ("http/service-time-p99", 0.015),
    ("http/rate", 990.0),
];

/// The one that steps.
const STEPS: &str = "http/latency-p99";

#[derive(Clone, Copy, Debug)]
struct Noise {
    /// Standard deviation, as a share.
    deviation: f64,
    /// Correlation of a run with the one before.
    correlation: f64,
    /// The share of values that are 10–50 % up.
    outliers: f64,
}

const NOISES: [Noise; 8] = [
    Noise { deviation: 0.01, correlation: 0.0, outliers: 0.0 },
    Noise { deviation: 0.015, correlation: 0.0, outliers: 0.0 },
    Noise { deviation: 0.02, correlation: 0.0, outliers: 0.0 },
    Noise { deviation: 0.03, correlation: 0.0, outliers: 0.0 },
    Noise { deviation: 0.015, correlation: 0.0, outliers: 0.02 },
    Noise { deviation: 0.015, correlation: 0.2, outliers: 0.0 },
    Noise { deviation: 0.015, correlation: 0.3, outliers: 0.02 },
    Noise { deviation: 0.03, correlation: 0.3, outliers: 0.02 },
];

/// `level` is what [`STEPS`] is multiplied by, by run.
fn history(runs: usize, noise: Noise, seed: u64, level: impl Fn(usize) -> f64) -> Vec<Point> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut last: [f64; METRICS.len()] = std::array::from_fn(|_| StandardNormal.sample(&mut rng));
    let fresh = (1.0 - noise.correlation * noise.correlation).sqrt();
    let mut one = |index: usize| {
        let metrics = METRICS.iter().zip(&mut last).map(|((name, typical), last)| {
            let normal: f64 = StandardNormal.sample(&mut rng);
            *last = noise.correlation * *last + fresh * normal;
            let far = if rng.random::<f64>() < noise.outliers { 1.0 + rng.random_range(0.1..0.5) } else { 1.0 };
            let level = if *name == STEPS { level(index) } else { 1.0 };
            (*name, typical * level * (1.0 + noise.deviation * *last) * far)
        });
        point(index, metrics)
    };
    (0..runs).map(&mut one).collect()
}

fn judged(points: &[Point], seed: u64) -> Trend {
    trend("shop", points, &Settings { seed, ..Settings::default() }).unwrap()
}

fn stepped(trend: &Trend) -> &MetricTrend {
    trend.metrics.iter().find(|metric| metric.metric == STEPS).unwrap()
}

/// Seeds of the short form, and of the long one.
fn seeds(short: u64, full: u64) -> std::ops::Range<u64> {
    let long = std::env::var("LOADGRID_SIMULATIONS").is_ok_and(|form| form == "full");
    0..if long { full } else { short }
}

/// What the short form is allowed beyond the long one, as a share: it has few seeds.
fn slack(seeds: &std::ops::Range<u64>) -> f64 {
    if seeds.end < 100 { 0.12 } else { 0.0 }
}

fn share(count: usize, seeds: &std::ops::Range<u64>) -> f64 {
    count as f64 / (seeds.end - seeds.start) as f64
}

#[test]
fn two_hundred_runs_without_a_change() {
    let seeds = seeds(12, 1_000);
    for noise in NOISES {
        let (mut any, mut many, mut most, mut alarms, mut changes) = (0, 0, 0, 0, 0);
        for seed in seeds.clone() {
            let found = judged(&history(200, noise, seed, |_| 1.0), seed);
            let worst = found.metrics.iter().map(|metric| metric.changes.len()).max().unwrap();
            let all: usize = found.metrics.iter().map(|metric| metric.changes.len()).sum();
            any += usize::from(all > 0);
            many += usize::from(worst > 2);
            most = worst.max(most);
            changes += all;
            alarms += usize::from(found.verdict == TrendVerdict::Worse);
        }
        println!(
            "{noise:?}: {any} of {} histories with a change in any of five metrics, {changes} changes in all, most in a \
             series {most}, {many} histories with a series of more than 2, verdict worse in {alarms}",
            seeds.end
        );
        // Correlated runs drift, and some of that is taken for levels.
        let drifting = noise.correlation > 0.0;
        assert!(share(many, &seeds) <= if drifting { 0.03 } else { 0.002 }, "{noise:?}: {many}");
        assert!(share(alarms, &seeds) <= slack(&seeds) + if drifting { 0.15 } else { 0.03 }, "{noise:?}: {alarms}");
        assert!(share(any, &seeds) <= slack(&seeds) + if drifting { 0.3 } else { 0.08 }, "{noise:?}: {any}");
    }
}

/// A false alarm of a night: the newest run of a steady history is called worse, and that of the night before was not.
#[test]
fn nights_without_a_change() {
    let seeds = seeds(2, 40);
    for noise in NOISES.into_iter().filter(|noise| noise.deviation == 0.015) {
        for significance in [0.05, 0.01] {
            let (mut nights, mut alarmed, mut first) = (0, 0, 0);
            for seed in seeds.clone() {
                let all = history(120, noise, 40_000 + seed, |_| 1.0);
                let settings = Settings { seed, significance, ..Settings::default() };
                let mut before = false;
                for runs in 20..=all.len() {
                    let worse = trend("shop", &all[..runs], &settings).unwrap().verdict == TrendVerdict::Worse;
                    nights += 1;
                    alarmed += usize::from(worse);
                    first += usize::from(worse && !before);
                    before = worse;
                }
            }
            println!("{noise:?} at {significance}: {first} new alarms, {alarmed} nights in alarm, of {nights} nights");
            let most = significance * if noise.correlation > 0.0 { 0.4 } else { 0.2 };
            assert!(first as f64 <= most * nights as f64 + 2.0, "{noise:?} at {significance}: {first} of {nights}");
        }
    }
}

#[test]
fn a_step_of_five_percent_is_found_where_it_is() {
    let seeds = seeds(30, 1_000);
    for noise in NOISES.into_iter().filter(|noise| noise.deviation == 0.015) {
        for runs in [40, 200] {
            let near = |seed: &u64| {
                // Anywhere but in the outermost ten runs.
                let at = 10 + (*seed as usize * 7_919) % (runs - 20);
                let points = history(runs, noise, 10_000 + seed, |index| if index >= at { 1.05 } else { 1.0 });
                stepped(&judged(&points, *seed)).changes.iter().any(|change| change.at.abs_diff(at) <= 3)
            };
            let found = seeds.clone().filter(near).count();
            println!("{noise:?}, {runs} runs: located within 3 runs in {found} of {}", seeds.end);
            assert!(share(found, &seeds) >= 0.9, "{noise:?}, {runs} runs: {found}");
        }
    }
}

#[test]
fn a_step_of_five_percent_is_noticed_within_three_runs() {
    let seeds = seeds(30, 1_000);
    for noise in NOISES.into_iter().filter(|noise| noise.deviation == 0.015) {
        for before in [12, 20, 40, 100, 197] {
            let mut noticed = [0; 4];
            for seed in seeds.clone() {
                let level = |index: usize| if index >= before { 1.05 } else { 1.0 };
                let points = history(before + noticed.len() + 1, noise, 20_000 + seed, level);
                // After the second run, the third, the fourth and the fifth.
                let told = |after: usize| {
                    let found = judged(&points[..before + after], seed);
                    found.exit_code == 1 && stepped(&found).verdict == TrendVerdict::Worse
                };
                let first = (0..noticed.len()).find(|index| told(index + 2)).unwrap_or(noticed.len());
                noticed.iter_mut().skip(first).for_each(|count| *count += 1);
            }
            println!("{noise:?}, {before} runs before: noticed within 2, 3, 4, 5 runs in {noticed:?} of {}", seeds.end);
            let least = match (before, noise.correlation > 0.0) {
                (0..40, _) => 0.3,
                (_, true) => 0.68,
                (_, false) => 0.82,
            };
            assert!(share(noticed[1], &seeds) >= least - slack(&seeds), "{noise:?}, {before} runs before: {noticed:?}");
        }
    }
}
