//! When each request of a test is meant to start, and which lane sends it: pure arithmetic, no clock and no I/O.
//!
//! A load profile is a cumulative arrival function Λ(t) (constant stages linear, ramps quadratic). With uniform
//! arrivals the k-th request starts at Λ⁻¹(k) and lane g of G sends k ≡ g (mod G), so the union over any number of
//! lanes is the same global sequence. With Poisson arrivals each lane draws a stream of rate λ/G of its own; their
//! superposition is Poisson with rate λ. Both can be drawn again from the seed: that is how a coordinator knows to the
//! request what a lost worker owed.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp1};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::mix::Mix;

/// Nanoseconds in a second.
const SECOND: f64 = 1e9;

/// Counts are rounded up only beyond this relative error, so that 3 × 0.1/s × 10 s holds 3 arrivals and not 4.
const COUNT_TOLERANCE: f64 = 1e-9;

/// How arrivals are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly spaced in Λ.
    Uniform,
    /// Independent exponential gaps in Λ.
    Poisson,
    /// No schedule: the next request starts when a connection is free.
    Closed,
}

/// A piece of the load profile: the rate goes linearly from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Requests per second at its beginning.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
    /// Its length, ns.
    pub duration_ns: u64,
}

impl Stage {
    fn seconds(&self) -> f64 {
        self.duration_ns as f64 / SECOND
    }

    /// Arrivals in its first `t` seconds.
    fn cumulative(&self, t: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds();
        self.from * t + 0.5 * slope * t * t
    }

    fn total(&self) -> f64 {
        0.5 * (self.from + self.to) * self.seconds()
    }

    /// Seconds from its beginning at which `x` arrivals are reached.
    fn inverse(&self, x: f64) -> f64 {
        if self.from == self.to {
            return x / self.from;
        }
        let slope = (self.to - self.from) / self.seconds();
        // The stable form of the quadratic formula: no cancellation when the slope is small.
        let root = (self.from * self.from + 2.0 * slope * x).max(0.0).sqrt();
        let divisor = self.from + root;
        if divisor == 0.0 { 0.0 } else { (2.0 * x / divisor).min(self.seconds()) }
    }
}

/// A cumulative arrival function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    stages: Vec<Stage>,
}

impl Profile {
    /// A profile of stages in sequence; stages without length are left out.
    pub fn new(stages: &[Stage]) -> Self {
        Profile { stages: stages.iter().copied().filter(|stage| stage.duration_ns > 0).collect() }
    }

    /// Its length, ns.
    pub fn duration_ns(&self) -> u64 {
        self.stages.iter().map(|stage| stage.duration_ns).sum()
    }

    /// Λ(t): arrivals in the first `t_ns` nanoseconds (fractional).
    pub fn cumulative(&self, t_ns: u64) -> f64 {
        let (mut left, mut sum) = (t_ns, 0.0);
        for stage in &self.stages {
            if left < stage.duration_ns {
                return sum + stage.cumulative(left as f64 / SECOND);
            }
            sum += stage.total();
            left -= stage.duration_ns;
        }
        sum
    }

    /// How many whole arrivals it holds: those k with Λ⁻¹(k) before the end, the first at 0.
    pub fn count(&self) -> u64 {
        let total = self.cumulative(self.duration_ns());
        (total * (1.0 - COUNT_TOLERANCE)).ceil() as u64
    }

    /// λ(t), requests per second.
    pub fn rate(&self, t_ns: u64) -> f64 {
        let mut left = t_ns;
        for stage in &self.stages {
            if left < stage.duration_ns {
                let part = left as f64 / stage.duration_ns as f64;
                return stage.from + (stage.to - stage.from) * part;
            }
            left -= stage.duration_ns;
        }
        0.0
    }

    /// The stage with its place: (start ns, arrivals before it, stage).
    fn places(&self) -> impl Iterator<Item = (u64, f64, &Stage)> {
        self.stages.iter().scan((0, 0.0), |(start, before), stage| {
            let place = (*start, *before, stage);
            *start += stage.duration_ns;
            *before += stage.total();
            Some(place)
        })
    }
}

/// Walks Λ⁻¹ upwards: amortised constant time for rising arguments.
#[derive(Clone, Debug)]
struct Cursor {
    places: Vec<(u64, f64, Stage)>,
    at: usize,
}

impl Cursor {
    fn new(profile: &Profile) -> Self {
        Cursor { places: profile.places().map(|(start, before, stage)| (start, before, *stage)).collect(), at: 0 }
    }

    /// Λ⁻¹(x), ns. Beyond the last stage the last rate goes on.
    fn inverse_ns(&mut self, x: f64) -> u64 {
        while self.at + 1 < self.places.len() && x >= self.places[self.at + 1].1 {
            self.at += 1;
        }
        let Some((start, before, stage)) = self.places.get(self.at) else { return 0 };
        let beyond = x - before - stage.total();
        let seconds = if beyond > 0.0 && stage.to > 0.0 && self.at + 1 == self.places.len() {
            stage.seconds() + beyond / stage.to
        } else {
            stage.inverse(x - before)
        };
        start + (seconds * SECOND).round() as u64
    }
}

/// What is sent and when, for the whole grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    pub arrivals: Arrivals,
    pub stages: Vec<Stage>,
    /// Driven first at the first stage's rate, measured apart; ns.
    pub warmup_ns: u64,
    /// Exactly so many in the main phase over all lanes, if set.
    pub requests: Option<u64>,
}

impl Load {
    /// The same load so many times over: for versions that are measured side by side, each at the load's own rate.
    pub fn times(mut self, times: u32) -> Self {
        let factor = f64::from(times);
        for stage in &mut self.stages {
            (stage.from, stage.to) = (stage.from * factor, stage.to * factor);
        }
        self.requests = self.requests.map(|count| count.saturating_mul(u64::from(times)));
        self
    }

    /// Λ of the warm-up: constant at the rate at which the main phase begins (or ends its first ramp, from zero).
    pub fn warmup(&self) -> Profile {
        let Some(first) = self.stages.first() else { return Profile::default() };
        let rate = if first.from > 0.0 { first.from } else { first.to };
        Profile::new(&[Stage { from: rate, to: rate, duration_ns: self.warmup_ns }])
    }

    /// Λ of the main phase.
    pub fn main(&self) -> Profile {
        Profile::new(&self.stages)
    }

    /// The length of warm-up and main phase, ns. A closed loop with a count may end earlier.
    pub fn duration_ns(&self) -> u64 {
        self.warmup_ns + self.main().duration_ns()
    }
}

/// One intended start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// After the start of the warm-up, ns.
    pub due_ns: u64,
    /// Which request of the test.
    pub request: u32,
    pub warmup: bool,
    /// Among the arrivals of all lanes in its phase. With Poisson arrivals lanes draw different numbers of them: no two
    /// are the same, and some are left out. Where versions are measured side by side, each of a pair has the pair's.
    pub number: u64,
}

/// A lane's place in the grid: lane `lane` of `lanes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stripe {
    pub lane: u32,
    pub lanes: u32,
}

impl Stripe {
    /// How many of the global numbers 0 .. `total` are this lane's.
    pub fn share(self, total: u64) -> u64 {
        let (lane, lanes) = (u64::from(self.lane), u64::from(self.lanes));
        (total + lanes - 1).saturating_sub(lane) / lanes
    }

    /// The global number of the lane's `j`-th arrival.
    pub fn number(self, j: u64) -> u64 {
        j * u64::from(self.lanes) + u64::from(self.lane)
    }
}

/// The arrivals of one lane in order of time, warm-up first. An iterator; empty for a closed loop.
#[derive(Clone, Debug)]
pub struct Shard {
    phases: Vec<Phase>,
    mix: Mix,
}

#[derive(Clone, Debug)]
struct Phase {
    warmup: bool,
    start_ns: u64,
    cursor: Cursor,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    Uniform { stripe: Stripe, next: u64, count: u64 },
    Poisson { rng: Box<Xoshiro256PlusPlus>, stripe: Stripe, x: f64, drawn: u64, end: PoissonEnd },
}

#[derive(Clone, Copy, Debug)]
enum PoissonEnd {
    /// At this value of Λ.
    At(f64),
    /// After so many.
    Count(u64),
}

/// The generator of one lane: disjoint from every other lane's by `jump()`, 2¹²⁸ draws apart (Blackman, Vigna 2021).
fn lane_rng(seed: u64, lane: u32) -> Xoshiro256PlusPlus {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    for _ in 0..lane {
        rng.jump();
    }
    rng
}

impl Shard {
    /// The part of a load that falls to a lane. `weights` are those of the test's requests, in order.
    pub fn new(load: &Load, weights: &[u32], seed: u64, stripe: Stripe) -> Self {
        Self::of_mix(load, Mix::new(weights, seed), seed, stripe)
    }

    /// The same with any mix of the test's requests.
    pub fn of_mix(load: &Load, mix: Mix, seed: u64, stripe: Stripe) -> Self {
        Self::from_rng(load, mix, stripe, lane_rng(seed, stripe.lane))
    }

    fn from_rng(load: &Load, mix: Mix, stripe: Stripe, mut rng: Xoshiro256PlusPlus) -> Self {
        let mut phase = |warmup: bool, start_ns: u64, profile: &Profile, requests: Option<u64>| {
            let source = match load.arrivals {
                Arrivals::Closed => return None,
                Arrivals::Uniform => Source::Uniform {
                    stripe,
                    next: 0,
                    count: stripe.share(requests.unwrap_or_else(|| profile.count())),
                },
                Arrivals::Poisson => {
                    // Each phase draws from a state of its own, so that a longer warm-up leaves the main phase alone.
                    let own = Box::new(Xoshiro256PlusPlus::seed_from_u64(rng.random()));
                    let end = match requests {
                        Some(total) => PoissonEnd::Count(stripe.share(total)),
                        None => PoissonEnd::At(profile.cumulative(profile.duration_ns())),
                    };
                    Source::Poisson { rng: own, stripe, x: 0.0, drawn: 0, end }
                }
            };
            Some(Phase { warmup, start_ns, cursor: Cursor::new(profile), source })
        };
        let warmup = phase(true, 0, &load.warmup(), None);
        let main = phase(false, load.warmup_ns, &load.main(), load.requests);
        let phases = warmup.into_iter().chain(main).rev().collect();
        Shard { phases, mix }
    }

    /// (warm-up, main) arrivals left in it.
    pub fn count(self) -> (u64, u64) {
        let mut counts = (0, 0);
        for phase in &self.phases {
            let left = match &phase.source {
                Source::Uniform { next, count, .. } => count - next,
                Source::Poisson { drawn, end: PoissonEnd::Count(count), .. } => count - drawn,
                Source::Poisson { .. } => {
                    let mut source = phase.source.clone();
                    let mut left = 0;
                    while source.next(1).is_some() {
                        left += 1;
                    }
                    left
                }
            };
            if phase.warmup { counts.0 += left } else { counts.1 += left }
        }
        counts
    }
}

/// (warm-up, main) arrivals of each of the lanes `first .. first + lanes` of `total`, in order. Evenly spaced arrivals
/// are counted by arithmetic; Poisson ones have to be drawn, some ten nanoseconds each.
pub fn counts(load: &Load, seed: u64, first: u32, lanes: u32, total: u32) -> Vec<(u64, u64)> {
    let (warmup, main) = (load.warmup(), load.main());
    let stripes = (first..first.saturating_add(lanes)).map(|lane| Stripe { lane, lanes: total });
    match load.arrivals {
        Arrivals::Closed => stripes.map(|stripe| (0, load.requests.map_or(0, |count| stripe.share(count)))).collect(),
        Arrivals::Uniform => {
            let (warmup, main) = (warmup.count(), load.requests.unwrap_or_else(|| main.count()));
            stripes.map(|stripe| (stripe.share(warmup), stripe.share(main))).collect()
        }
        Arrivals::Poisson => {
            let mut rng = lane_rng(seed, first);
            stripes
                .map(|stripe| {
                    let own = rng.clone();
                    rng.jump();
                    Shard::from_rng(load, Mix::new(&[1], seed), stripe, own).count()
                })
                .collect()
        }
    }
}

impl Source {
    /// The next arrival: (place in Λ, stream of the mix, number in that stream, number in the grid). Arrivals of the
    /// same pair have one number in the grid.
    fn next(&mut self, versions: u64) -> Option<(f64, u32, u64, u64)> {
        match self {
            Source::Uniform { stripe, next, count } => {
                if *next >= *count {
                    return None;
                }
                let number = stripe.number(*next);
                *next += 1;
                Some((number as f64, 0, number, number / versions))
            }
            Source::Poisson { rng, stripe, x, drawn, end } => {
                if matches!(end, PoissonEnd::Count(count) if *drawn >= *count) {
                    return None;
                }
                let gap: f64 = Exp1.sample(rng.as_mut());
                *x += gap * f64::from(stripe.lanes);
                if matches!(end, PoissonEnd::At(last) if *x >= *last) {
                    *end = PoissonEnd::Count(*drawn);
                    return None;
                }
                *drawn += 1;
                let own = *drawn - 1;
                Some((*x, stripe.lane + 1, own, stripe.number(own / versions)))
            }
        }
    }
}

impl Iterator for Shard {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        while let Some(phase) = self.phases.last_mut() {
            if let Some((x, stream, own, number)) = phase.source.next(u64::from(self.mix.versions())) {
                let due_ns = phase.start_ns + phase.cursor.inverse_ns(x);
                // Warm-up and main phase are shuffled apart.
                let request = self.mix.pick(stream * 2 + u32::from(phase.warmup), own);
                return Some(Arrival { due_ns, request, warmup: phase.warmup, number });
            }
            self.phases.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests;
