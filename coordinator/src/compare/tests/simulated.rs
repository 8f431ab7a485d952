//! Runs of known latencies: lognormal, each request like the one before it, each second at a level of its own.

use loadgrid_proto::histogram::Recorder;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::compare::steps::Step;

/// How a target behaves.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Standard deviation of the logarithm: 0.4 puts the p99 at 2.5 times the median.
    pub spread: f64,
    /// Correlation of neighbouring requests, and of neighbouring seconds' levels.
    pub by_request: f64,
    pub by_second: f64,
    /// Standard deviation of the seconds' levels, of the logarithm.
    pub level: f64,
    /// Share of requests that fail.
    pub errors: f64,
    /// Seconds between stalls of 200 ms on average; 0 for none.
    pub stall_every: f64,
}

/// As if each request were alone in the world.
pub const INDEPENDENT: Target =
    Target { spread: 0.5, by_request: 0.0, by_second: 0.0, level: 0.0, errors: 0.002, stall_every: 0.0 };

/// A service on a machine of its own: what power is asked of.
pub const STEADY: Target = Target { spread: 0.4, by_request: 0.5, by_second: 0.5, level: 0.02, ..INDEPENDENT };

/// One with neighbours: requests hang together for tens of them, and whole seconds are slower than others.
pub const NOISY: Target = Target { spread: 0.5, by_request: 0.9, by_second: 0.6, level: 0.03, ..INDEPENDENT };

/// One that collects its garbage.
pub const STALLING: Target = Target { stall_every: 15.0, ..NOISY };

/// One whose level wanders so slowly that a minute sees a few of its turns alone.
pub const WANDERING: Target = Target { by_second: 0.9, level: 0.05, ..NOISY };

const MEDIAN_NS: f64 = 20e6;

/// Its own variation over seconds, which two versions side by side share.
pub fn levels(target: &Target, seconds: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<f64> {
    let mut noise = |sd: f64| -> f64 { sd * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, rng) };
    let mut level = noise(1.0);
    let innovation = (1.0 - target.by_second * target.by_second).sqrt();
    (0..seconds)
        .map(|_| {
            level = target.by_second * level + noise(innovation);
            level * target.level
        })
        .collect()
}

/// A run over these seconds' levels, its times scaled.
pub fn run(target: &Target, levels: &[f64], rate: usize, scale: f64, rng: &mut Xoshiro256PlusPlus) -> Vec<Step> {
    let innovation = (1.0 - target.by_request * target.by_request).sqrt();
    let mut state: f64 = StandardNormal.sample(rng);
    let (mut latency, mut service_time) = (Recorder::default(), Recorder::default());
    levels
        .iter()
        .map(|level| {
            let stalls = target.stall_every > 0.0 && rng.random::<f64>() < 1.0 / target.stall_every;
            let stall = if stalls { rng.random_range(0.0..0.8) } else { 2.0 };
            let mut errors = 0;
            for request in 0..rate {
                state = target.by_request * state
                    + innovation * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, rng);
                let time = scale * MEDIAN_NS * (target.spread * state + level).exp();
                let into = request as f64 / rate as f64 - stall;
                let stalled = if (0.0..0.2).contains(&into) { (0.2 - into) * 1e9 } else { 0.0 };
                service_time.record(time as u64);
                latency.record((time * 1.01 + stalled) as u64);
                errors += u64::from(rng.random::<f64>() < target.errors);
            }
            Step {
                length: 1.0,
                ended: rate as u64,
                errors,
                dropped: 0,
                latency: latency.drain(),
                service_time: service_time.drain(),
            }
        })
        .collect()
}

/// Two runs, B's times scaled; side by side if they share their seconds.
pub fn pair(target: &Target, (seconds, rate): (usize, usize), scale: f64, shared: bool, seed: u64) -> [Vec<Step>; 2] {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let of_a = levels(target, seconds, &mut rng);
    let of_b = if shared { of_a.clone() } else { levels(target, seconds, &mut rng) };
    [run(target, &of_a, rate, 1.0, &mut rng), run(target, &of_b, rate, scale, &mut rng)]
}
