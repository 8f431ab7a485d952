use super::*;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_distr::{Distribution, Exp};
use rand_xoshiro::Xoshiro256PlusPlus;

/// M/M/c by its jumps: the number in the system each quarter of a second, after 3 s of warm-up.
fn queue(servers: u32, service_rate: f64, rate: f64, seconds: f64, seed: u64) -> Vec<Step> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let one: Exp<f64> = Exp::new(1.0).unwrap();
    let (mut t, mut inside, mut steps) = (0.0, 0u32, Vec::new());
    let mut sample = 3.25;
    while sample <= 3.0 + seconds {
        let leaving = service_rate * f64::from(inside.min(servers));
        t += one.sample(&mut rng) / (rate + leaving);
        while t > sample && sample <= 3.0 + seconds {
            steps.push(Step { t: sample, backlog: f64::from(inside) });
            sample += 0.25;
        }
        // Which of the two it was: their shares of the total rate, by another exponential pair.
        if one.sample(&mut rng) * leaving <= one.sample(&mut rng) * rate { inside += 1 } else { inside -= 1 }
    }
    steps
}

fn growing(servers: u32, service_rate: f64, busy: f64, seconds: f64) -> usize {
    let rate = busy * f64::from(servers) * service_rate;
    let grows = |seed: &u64| {
        matches!(growth(&queue(servers, service_rate, rate, seconds, *seed), rate), Growth::Growing { .. })
    };
    (0..200).filter(grows).count()
}

#[test]
fn a_stable_queue_does_not_grow() {
    for (servers, service_rate) in [(1, 200.0), (8, 25.0), (4, 250.0), (16, 125.0)] {
        for seconds in [5.0, 15.0] {
            let alarms = growing(servers, service_rate, 0.9, seconds);
            assert!(alarms <= 4, "{alarms} of 200 at {servers} × {service_rate}/s, {seconds} s");
        }
    }
}

#[test]
fn an_overloaded_queue_does() {
    for (busy, seconds, least) in [(1.05, 15.0, 180), (1.1, 15.0, 196), (1.2, 5.0, 180)] {
        let found = growing(16, 125.0, busy, seconds);
        assert!(found >= least, "{found} of 200 at {busy}, {seconds} s");
    }
}

fn line(slope: f64) -> Vec<Step> {
    (0..60).map(|i| Step { t: f64::from(i) * 0.25, backlog: 10.0 + slope * f64::from(i) * 0.25 }).collect()
}

#[test]
fn growth_is_of_the_rate() {
    assert_eq!(growth(&line(4.9), 1000.0), Growth::None);
    assert_eq!(growth(&line(-50.0), 1000.0), Growth::None);
    assert_eq!(growth(&line(0.0), 1000.0), Growth::None);
    let Growth::Growing { per_second, share } = growth(&line(20.0), 1000.0) else { panic!("it grows") };
    assert!((per_second - 20.0).abs() < 1e-9 && (share - 0.02).abs() < 1e-12);
}

#[test]
fn too_little_to_tell() {
    assert_eq!(growth(&line(20.0)[..7], 1000.0), Growth::Unknown);
    assert_eq!(growth(&line(20.0), 0.0), Growth::Unknown);
    assert_eq!(growth(&[Step { t: 1.0, backlog: 5.0 }; 20], 1000.0), Growth::Unknown);
}

#[test]
fn a_stall_that_ends_is_no_growth() {
    let bump = |i: u32| if (30..40).contains(&i) { 500.0 } else { 10.0 };
    let steps: Vec<Step> = (0..60).map(|i| Step { t: f64::from(i) * 0.25, backlog: bump(i) }).collect();
    assert_eq!(growth(&steps, 1000.0), Growth::None);
}

proptest! {
    #[test]
    fn never_panics(
        steps in proptest::collection::vec((proptest::num::f64::ANY, proptest::num::f64::ANY), 0..40),
        rate in proptest::num::f64::ANY,
    ) {
        let steps: Vec<Step> = steps.into_iter().map(|(t, backlog)| Step { t, backlog }).collect();
        let _ = growth(&steps, rate);
    }
}
