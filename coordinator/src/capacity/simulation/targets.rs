//! Targets of known capacity: what a probe at some rate would have measured.

use loadgrid_proto::histogram::{Recorded, Recorder};
use rand::RngExt;
use rand_distr::{Distribution, Exp, Normal, Poisson};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::capacity::backlog::Step;

/// What the caller hands over of one probe.
pub struct Measured {
    pub blocks: Vec<Recorded>,
    /// Empty where the target has no queue.
    pub steps: Vec<Step>,
}

/// The quantile and the limit of the objective, ns.
#[derive(Clone, Copy, Debug)]
pub struct Objective {
    pub quantile: f64,
    pub limit: u64,
}

#[derive(Clone, Debug)]
pub enum Target {
    /// `servers` of `service_rate`/s each, Poisson arrivals, first come first served.
    Queue {
        servers: usize,
        service_rate: f64,
    },
    Curve(Curve),
}

/// Lognormal latencies around a level that depends on the rate.
#[derive(Clone, Debug)]
pub struct Curve {
    pub shape: Shape,
    /// Standard deviation of a request's ln(latency).
    pub request: f64,
    /// Of the level's logarithm from second to second, an AR(1) process, and its correlation.
    pub second: f64,
    pub correlation: f64,
    /// Of the level's logarithm from probe to probe.
    pub probe: f64,
    /// Share of the requests that take 20 times as long.
    pub outliers: f64,
    /// Share of the probes that are spoilt: three times as slow throughout.
    pub spoilt: f64,
}

#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// base × (1 + (rate / bend)^power), ns.
    Knee { base: f64, bend: f64, power: f64 },
    /// `base` up to `at` requests/s, 100 times as much above.
    Cliff { base: f64, at: f64 },
}

impl Shape {
    pub fn level(&self, rate: f64) -> f64 {
        match *self {
            Shape::Knee { base, bend, power } => base * (1.0 + (rate / bend).powf(power)),
            Shape::Cliff { base, at } => {
                if rate <= at {
                    base
                } else {
                    base * 100.0
                }
            }
        }
    }
}

/// Left out before each probe, s.
const WARM_UP: f64 = 3.0;
/// Of a step of the backlog, s.
const STEP: f64 = 0.25;

impl Target {
    /// A probe of so many seconds, in blocks of a second (of a quarter in short ones).
    pub fn probe(&self, rate: f64, seconds: f64, rng: &mut Xoshiro256PlusPlus) -> Measured {
        let block = if seconds < 10.0 { 0.25 } else { 1.0 };
        match self {
            Target::Queue { servers, service_rate } => queue(*servers, *service_rate, rate, seconds, block, rng),
            Target::Curve(curve) => Measured { blocks: curve.blocks(rate, seconds, block, rng), steps: Vec::new() },
        }
    }

    /// The rate at which the objective's quantile is its limit.
    pub fn capacity(&self, objective: Objective) -> f64 {
        let (quantile, limit) = (objective.quantile, objective.limit as f64);
        match self {
            Target::Queue { servers, service_rate } => {
                let full = *servers as f64 * service_rate;
                let exceeding = |rate: f64| response_above(*servers, *service_rate, rate, limit / 1e9);
                bisect(full * 1e-3, full * (1.0 - 1e-9), |rate| exceeding(rate) <= 1.0 - quantile)
            }
            Target::Curve(curve) => match curve.shape {
                Shape::Cliff { at, .. } => at,
                Shape::Knee { bend, .. } => {
                    bisect(bend * 1e-3, bend * 1e3, |rate| curve.exceeding(rate, limit) <= 1.0 - quantile)
                }
            },
        }
    }
}

fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..100 {
        let middle = (low * high).sqrt();
        if holds(middle) { low = middle } else { high = middle }
    }
    low
}

/// P(response time > t) in M/M/c, first come first served (e.g. Allen, *Probability, Statistics and Queueing Theory*).
fn response_above(servers: usize, service_rate: f64, rate: f64, t: f64) -> f64 {
    let offered = rate / service_rate;
    // Erlang B by its recursion, and C from B.
    let blocked = (1..=servers).fold(1.0, |b, k| offered * b / (k as f64 + offered * b));
    let busy = offered / servers as f64;
    let waits = blocked / (1.0 - busy * (1.0 - blocked));
    let spare = servers as f64 * service_rate - rate;
    let (served, left) = ((-service_rate * t).exp(), (-spare * t).exp());
    let both = if (spare - service_rate).abs() < 1e-9 * service_rate {
        served * (1.0 + service_rate * t)
    } else {
        (spare * served - service_rate * left) / (spare - service_rate)
    };
    (1.0 - waits) * served + waits * both
}

/// Runs the queue itself.
fn queue(
    servers: usize,
    service_rate: f64,
    rate: f64,
    seconds: f64,
    block: f64,
    rng: &mut Xoshiro256PlusPlus,
) -> Measured {
    let (Ok(gap), Ok(service)) = (Exp::new(rate), Exp::new(service_rate)) else {
        return Measured { blocks: Vec::new(), steps: Vec::new() };
    };
    let end = WARM_UP + seconds;
    let mut free: BinaryHeap<Reverse<u64>> = (0..servers).map(|_| Reverse(0)).collect();
    let mut blocks = vec![Vec::new(); (seconds / block).round() as usize];
    let mut change = vec![0i64; (end / STEP) as usize + 1];
    let mut now = 0.0;
    loop {
        now += gap.sample(rng);
        if now >= end {
            break;
        }
        let arrival = (now * 1e9) as u64;
        let Reverse(idle) = free.pop().expect("there are servers");
        let finish = arrival.max(idle) + (service.sample(rng) * 1e9) as u64;
        free.push(Reverse(finish));
        change[(now / STEP) as usize] += 1;
        if let Some(gone) = change.get_mut((finish as f64 / 1e9 / STEP) as usize) {
            *gone -= 1;
        }
        if now >= WARM_UP {
            let place = (((now - WARM_UP) / block) as usize).min(blocks.len() - 1);
            blocks[place].push(finish - arrival);
        }
    }
    let mut backlog = 0;
    let mut steps = Vec::new();
    for (number, change) in change.iter().enumerate().take((end / STEP) as usize) {
        backlog += change;
        let t = (number + 1) as f64 * STEP;
        if t > WARM_UP {
            steps.push(Step { t, backlog: backlog as f64 });
        }
    }
    let mut recorder = Recorder::default();
    Measured { blocks: blocks.into_iter().map(|values| recorded(&mut recorder, values)).collect(), steps }
}

fn recorded(recorder: &mut Recorder, values: impl IntoIterator<Item = u64>) -> Recorded {
    values.into_iter().for_each(|value| recorder.record(value));
    recorder.drain()
}

impl Curve {
    /// P(latency > t) in the long run, without what is particular to a probe.
    fn exceeding(&self, rate: f64, t: f64) -> f64 {
        use statrs::distribution::{ContinuousCDF, Normal};
        let deviation = self.request.hypot(self.second);
        let Ok(normal) = Normal::new(self.shape.level(rate).ln(), deviation) else { return 1.0 };
        let slow = normal.sf((t / 20.0).ln());
        (1.0 - self.outliers) * normal.sf(t.ln()) + self.outliers * slow
    }

    fn blocks(&self, rate: f64, seconds: f64, block: f64, rng: &mut Xoshiro256PlusPlus) -> Vec<Recorded> {
        let mut normal = |deviation: f64| Normal::new(0.0, deviation).expect("finite").sample(rng);
        let spoilt = 3f64.ln() * f64::from(u8::from(normal(1.0) > quantile_of_normal(1.0 - self.spoilt)));
        let level = self.shape.level(rate).ln() + normal(self.probe) + spoilt;
        let mut recorder = Recorder::default();
        let mut wander = normal(self.second);
        let innovation = self.second * (1.0 - self.correlation * self.correlation).sqrt();
        let each_second = (1.0 / block).round() as usize;
        let count = (seconds / block).round() as usize;
        let arrivals = Poisson::new(rate * block).expect("a rate above 0");
        let request = Normal::new(0.0, self.request).expect("finite");
        let step = Normal::new(0.0, innovation).expect("finite");
        (0..count)
            .map(|number| {
                if number % each_second == 0 && number > 0 {
                    wander = self.correlation * wander + step.sample(rng);
                }
                let requests = arrivals.sample(rng) as usize;
                let values: Vec<u64> = (0..requests)
                    .map(|_| {
                        let outlier = if rng.random_bool(self.outliers) { 20.0 } else { 1.0 };
                        ((level + wander + request.sample(rng)).exp() * outlier) as u64
                    })
                    .collect();
                recorded(&mut recorder, values)
            })
            .collect()
    }
}

fn quantile_of_normal(p: f64) -> f64 {
    use statrs::distribution::{ContinuousCDF, Normal};
    if p >= 1.0 { f64::INFINITY } else { Normal::standard().inverse_cdf(p) }
}
