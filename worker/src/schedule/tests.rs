use proptest::prelude::*;

use super::*;

fn constant(rate: f64, seconds: u64) -> Stage {
    Stage { from: rate, to: rate, duration_ns: seconds * 1_000_000_000 }
}

fn load(arrivals: Arrivals, stages: Vec<Stage>) -> Load {
    Load { arrivals, stages, warmup_ns: 0, requests: None }
}

fn shard(load: &Load, lane: u32, lanes: u32) -> Shard {
    Shard::new(load, &[1], 42, Stripe { lane, lanes })
}

fn union(load: &Load, lanes: u32) -> Vec<Arrival> {
    let mut all: Vec<Arrival> = (0..lanes).flat_map(|lane| shard(load, lane, lanes)).collect();
    all.sort_by_key(|arrival| arrival.due_ns);
    all
}

#[test]
fn constant_rate_is_evenly_spaced_from_zero() {
    let load = load(Arrivals::Uniform, vec![constant(1000.0, 10)]);
    let due: Vec<u64> = shard(&load, 0, 1).map(|arrival| arrival.due_ns).collect();
    assert_eq!(due.len(), 10_000);
    assert_eq!(&due[..3], &[0, 1_000_000, 2_000_000]);
    assert_eq!(due[9_999], 9_999_000_000);
}

#[test]
fn counts_are_not_thrown_off_by_rounding() {
    for (rate, seconds, expected) in [(0.1, 30, 3), (0.3, 10, 3), (3.0, 7, 21), (33.3, 10, 333), (0.05, 10, 1)] {
        assert_eq!(Profile::new(&[constant(rate, seconds)]).count(), expected, "{rate}/s for {seconds} s");
    }
}

#[test]
fn a_ramp_holds_the_area_under_it() {
    let ramp = Stage { from: 100.0, to: 300.0, duration_ns: 10_000_000_000 };
    let profile = Profile::new(&[ramp, constant(300.0, 1)]);
    assert_eq!(profile.count(), 2300);
    assert!((profile.cumulative(5_000_000_000) - 750.0).abs() < 1e-9);
    assert_eq!(profile.rate(5_000_000_000), 200.0);
    assert_eq!(profile.rate(11_000_000_000), 0.0);
}

#[test]
fn warmup_comes_first_and_is_told_apart() {
    let load = Load { warmup_ns: 2_000_000_000, ..load(Arrivals::Uniform, vec![constant(10.0, 1)]) };
    let all = union(&load, 3);
    assert_eq!(all.iter().filter(|arrival| arrival.warmup).count(), 20);
    assert!(all[..20].iter().all(|arrival| arrival.warmup));
    assert_eq!(all[20], Arrival { due_ns: 2_000_000_000, request: 0, warmup: false, number: 0 });
    assert_eq!(shard(&load, 1, 3).count(), (7, 3));
}

#[test]
fn a_count_is_exact_over_all_lanes() {
    for arrivals in [Arrivals::Uniform, Arrivals::Poisson] {
        let load = Load { requests: Some(1001), ..load(arrivals, vec![constant(500.0, 2)]) };
        for lanes in [1, 2, 7, 64] {
            assert_eq!(union(&load, lanes).len(), 1001);
            let counted: u64 = (0..lanes).map(|lane| shard(&load, lane, lanes).count().1).sum();
            assert_eq!(counted, 1001);
        }
    }
}

#[test]
fn a_closed_loop_has_no_schedule() {
    assert_eq!(shard(&load(Arrivals::Closed, vec![constant(1.0, 10)]), 0, 1).next(), None);
}

#[test]
fn longer_warmup_leaves_the_poisson_arrivals_of_the_main_phase_alone() {
    let short = Load { warmup_ns: 1_000_000_000, ..load(Arrivals::Poisson, vec![constant(100.0, 5)]) };
    let long = Load { warmup_ns: 4_000_000_000, ..short.clone() };
    let main = |load: &Load| -> Vec<u64> {
        shard(load, 1, 3).filter(|a| !a.warmup).map(|a| a.due_ns - load.warmup_ns).collect()
    };
    assert_eq!(main(&short), main(&long));
}

/// Kolmogorov–Smirnov distance of the gaps (in units of the mean) from the exponential distribution.
fn ks_exponential(mut gaps: Vec<f64>) -> f64 {
    gaps.sort_by(f64::total_cmp);
    let n = gaps.len() as f64;
    gaps.iter()
        .enumerate()
        .map(|(i, gap)| {
            let cdf = 1.0 - (-gap).exp();
            (cdf - i as f64 / n).abs().max((cdf - (i as f64 + 1.0) / n).abs())
        })
        .fold(0.0, f64::max)
}

#[test]
fn superposed_poisson_shards_are_one_poisson_process() {
    for lanes in [1, 3, 16] {
        let load = load(Arrivals::Poisson, vec![constant(1000.0, 20)]);
        let all = union(&load, lanes);
        let n = all.len() as f64;
        // Mean 20,000, standard deviation 141: five of them.
        assert!((n - 20_000.0).abs() < 707.0, "{n} arrivals over {lanes} lanes");
        let gaps: Vec<f64> = all.windows(2).map(|pair| (pair[1].due_ns - pair[0].due_ns) as f64 / 1e6).collect();
        // The 0.1 % critical value of Kolmogorov's distribution; the seed is fixed, so there is no luck in it.
        assert!(ks_exponential(gaps) * n.sqrt() < 1.95, "{lanes} lanes");
    }
}

#[test]
fn evenly_spaced_gaps_fail_the_same_goodness_of_fit() {
    assert!(ks_exponential(vec![1.0; 20_000]) * 20_000f64.sqrt() > 1.95);
}

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    let stage = (0.0..2000.0f64, 0.0..2000.0f64, 1u64..4000).prop_filter_map("some load", |(from, to, ms)| {
        (from + to > 1.0).then_some(Stage { from, to, duration_ns: ms * 1_000_000 })
    });
    prop::collection::vec(stage, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn striped_shards_reproduce_the_global_sequence(stages in stages(), lanes in 1u32..40, weights in prop::collection::vec(1u32..5, 1..4)) {
        let load = load(Arrivals::Uniform, stages);
        let lone: Vec<Arrival> = Shard::new(&load, &weights, 9, Stripe { lane: 0, lanes: 1 }).collect();
        prop_assert_eq!(lone.len() as u64, load.main().count());
        prop_assert!(lone.windows(2).all(|pair| pair[0].due_ns <= pair[1].due_ns));
        prop_assert!(lone.iter().all(|arrival| arrival.due_ns <= load.duration_ns()));
        let mut shards: Vec<Shard> = (0..lanes).map(|lane| Shard::new(&load, &weights, 9, Stripe { lane, lanes })).collect();
        for (k, arrival) in lone.into_iter().enumerate() {
            prop_assert_eq!(shards[k % lanes as usize].next(), Some(arrival));
        }
        prop_assert!(shards.iter_mut().all(|shard| shard.next().is_none()));
    }

    #[test]
    fn a_count_foretells_what_is_drawn(stages in stages(), lanes in 1u32..8, poisson: bool) {
        let load = load(if poisson { Arrivals::Poisson } else { Arrivals::Uniform }, stages);
        for lane in 0..lanes {
            let drawn = shard(&load, lane, lanes).collect::<Vec<_>>().len();
            prop_assert_eq!(counts(&load, 42, lane, 1, lanes), vec![(0, drawn as u64)]);
            prop_assert_eq!(shard(&load, lane, lanes).count().1, drawn as u64);
        }
    }

    #[test]
    fn lanes_counted_together_are_those_counted_alone(stages in stages(), lanes in 1u32..20, poisson: bool, warmup in 0u64..2_000_000_000) {
        let load = Load { warmup_ns: warmup, ..load(if poisson { Arrivals::Poisson } else { Arrivals::Uniform }, stages) };
        let alone: Vec<(u64, u64)> = (0..lanes).map(|lane| shard(&load, lane, lanes).count()).collect();
        prop_assert_eq!(counts(&load, 42, 0, lanes, lanes), alone);
    }

    #[test]
    fn the_cumulative_count_and_its_inverse_agree(stages in stages(), part in 0.0..1.0f64) {
        let profile = Profile::new(&stages);
        let x = profile.cumulative(profile.duration_ns()) * part;
        let t = Cursor::new(&profile).inverse_ns(x);
        // One ns of rounding at 2,000/s, and the flat foot of a ramp from zero.
        prop_assert!((profile.cumulative(t) - x).abs() < 1e-3, "Λ({t}) = {} for {x}", profile.cumulative(t));
    }
}

#[test]
fn numbers_are_unique_over_the_grid() {
    for arrivals in [Arrivals::Uniform, Arrivals::Poisson] {
        let stages = vec![Stage { from: 500.0, to: 500.0, duration_ns: 2_000_000_000 }];
        let load = Load { arrivals, stages, warmup_ns: 0, requests: None };
        let of_lane = |lane| Shard::new(&load, &[1], 3, Stripe { lane, lanes: 5 }).map(|arrival| arrival.number);
        let mut numbers: Vec<u64> = (0..5).flat_map(of_lane).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count, "{arrivals:?}");
        if arrivals == Arrivals::Uniform {
            assert_eq!(numbers, (0..1000).collect::<Vec<u64>>());
        }
    }
}
