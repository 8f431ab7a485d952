//! How the demo service behaves: latency model, places, stall, errors.

use std::str::FromStr;

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp, LogNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::spec::units::duration_ns;

/// How long an answer takes, ns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    Fixed(u64),
    /// By its mean.
    Exponential(u64),
    /// By its median and the standard deviation of its logarithm.
    LogNormal(u64, f64),
    /// Fast, slow, and the share of slow ones.
    Bimodal(u64, u64, f64),
}

/// No answer leaves between `at` and `at + length` after the first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stall {
    pub at_ns: u64,
    pub length_ns: u64,
}

/// Everything about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    pub latency: Latency,
    /// How many requests are worked on at once: with it the capacity is workers / mean latency.
    pub workers: Option<usize>,
    pub stall: Option<Stall>,
    /// Share of answers with status 500.
    pub error_share: f64,
    pub body_bytes: usize,
    pub seed: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            latency: Latency::LogNormal(5_000_000, 0.4),
            workers: None,
            stall: None,
            error_share: 0.0,
            body_bytes: 128,
            seed: 1,
        }
    }
}

/// A share such as `5%` or `0.05`.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.trim().parse(),
    };
    match parsed {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("'{text}' is not a share: write 5% or 0.05")),
    }
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not a latency model: write fixed:5ms, exponential:10ms, lognormal:10ms,0.5 (median, sigma) \
                 or bimodal:5ms,100ms,5% (fast, slow, share of slow)"
            )
        };
        let (model, values) = text.split_once(':').ok_or_else(wrong)?;
        let values: Vec<&str> = values.split(',').map(str::trim).collect();
        match (model, values.as_slice()) {
            ("fixed", [time]) => Ok(Latency::Fixed(duration_ns(time)?)),
            ("exponential", [mean]) => Ok(Latency::Exponential(duration_ns(mean)?)),
            ("lognormal", [median, sigma]) => {
                let sigma = sigma.parse::<f64>().ok().filter(|sigma| (0.0..10.0).contains(sigma)).ok_or_else(wrong)?;
                Ok(Latency::LogNormal(duration_ns(median)?, sigma))
            }
            ("bimodal", [fast, slow, part]) => {
                Ok(Latency::Bimodal(duration_ns(fast)?, duration_ns(slow)?, share(part)?))
            }
            _ => Err(wrong()),
        }
    }
}

impl FromStr for Stall {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a stall: write LENGTH@AT, such as 1s@4s (from the first request on)");
        let (length, at) = text.split_once('@').ok_or_else(wrong)?;
        Ok(Stall { length_ns: duration_ns(length)?, at_ns: duration_ns(at)? })
    }
}

/// Draws what is random about it.
pub(super) struct Dice {
    rng: Xoshiro256PlusPlus,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Dice { rng: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    pub(super) fn latency_ns(&mut self, latency: &Latency) -> u64 {
        match *latency {
            Latency::Fixed(ns) => ns,
            // A mean of zero has no distribution, and no latency.
            Latency::Exponential(mean) => Exp::new(1.0 / mean as f64).map_or(0, |exp| exp.sample(&mut self.rng) as u64),
            Latency::LogNormal(median, sigma) => {
                let median = (median.max(1) as f64).ln();
                LogNormal::new(median, sigma).map_or(0, |normal| normal.sample(&mut self.rng) as u64)
            }
            Latency::Bimodal(fast, slow, share) => {
                if self.rng.random_bool(share) {
                    slow
                } else {
                    fast
                }
            }
        }
    }

    pub(super) fn fails(&mut self, share: f64) -> bool {
        share > 0.0 && self.rng.random_bool(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_read() {
        assert_eq!("fixed:5ms".parse(), Ok(Latency::Fixed(5_000_000)));
        assert_eq!("exponential:1s".parse(), Ok(Latency::Exponential(1_000_000_000)));
        assert_eq!("lognormal:10ms, 0.5".parse(), Ok(Latency::LogNormal(10_000_000, 0.5)));
        assert_eq!("bimodal:5ms,100ms,5%".parse(), Ok(Latency::Bimodal(5_000_000, 100_000_000, 0.05)));
        assert_eq!("1s@4s".parse(), Ok(Stall { at_ns: 4_000_000_000, length_ns: 1_000_000_000 }));
        for wrong in ["fixed", "fixed:5", "normal:5ms", "lognormal:5ms,x", "bimodal:1ms,2ms,150%"] {
            assert!(wrong.parse::<Latency>().is_err(), "{wrong}");
        }
        assert!("1s".parse::<Stall>().is_err());
    }

    #[test]
    fn means_are_what_they_say() {
        let mut dice = Dice::new(3);
        let mut mean = |latency: Latency| (0..20_000).map(|_| dice.latency_ns(&latency) as f64).sum::<f64>() / 20_000.0;
        assert!((mean(Latency::Exponential(1_000_000)) / 1e6 - 1.0).abs() < 0.03);
        // exp(σ²/2) above the median.
        assert!((mean(Latency::LogNormal(1_000_000, 0.5)) / 1e6 - 1.133).abs() < 0.03);
        assert!((mean(Latency::Bimodal(1_000_000, 11_000_000, 0.1)) / 1e6 - 2.0).abs() < 0.1);
        assert_eq!(mean(Latency::Fixed(7)), 7.0);
    }
}
