//! How a search spends its time: how long probes are, and what lies between them.

use std::time::Duration;

use crate::capacity::search::Ask;
use crate::cli::Failure;
use crate::slo::Statistic;
use crate::slo::confidence::smallest_sample;
use crate::spec::{LoadTest, units};

/// What a usual search comes to: so many short and long probes.
const SHORT_PROBES: f64 = 6.0;
const LONG_PROBES: f64 = 10.0;

/// Starting workers, the last answers, what a probe takes beside its load.
const OVERHEAD: Duration = Duration::from_millis(500);

/// A main phase, in seconds: twelve blocks for the interval at least, and no longer than tells more.
const PROBE_MIN: f64 = 3.0;
const PROBE_MAX: f64 = 60.0;

const BUDGET_MIN: Duration = Duration::from_secs(20);

/// Of a quantile's smallest sample, for autocorrelation takes its part.
const SAMPLES: f64 = 3.0;

/// Lengths of everything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    pub budget: Duration,
    /// Main phases.
    pub short: Duration,
    pub long: Duration,
    pub warmup: Duration,
    pub cool_down: Duration,
    /// Requests that a probe has to have for the objectives' quantiles.
    samples: f64,
}

impl Pace {
    pub(super) fn new(
        budget: &str,
        probe: Option<&str>,
        cool_down: Option<&str>,
        test: &LoadTest,
    ) -> Result<Self, Failure> {
        let time = |flag: &str, text: &str| match units::duration_ns(text) {
            Ok(ns) => Ok(Duration::from_nanos(ns)),
            Err(error) => Err(Failure::usage(format!("{flag}: {error}"))),
        };
        let budget = time("--budget", budget)?;
        if budget < BUDGET_MIN {
            let message = format!("--budget: a search takes more than {}s: write such as 2m", BUDGET_MIN.as_secs());
            return Err(Failure::usage(message));
        }
        let seconds = budget.as_secs_f64();
        let warmup = match test.load.warmup_ns {
            0 => Duration::from_secs_f64((seconds / 120.0).clamp(0.5, 5.0)),
            ns => Duration::from_nanos(ns),
        };
        let cool_down = match cool_down {
            Some(text) => time("--cool-down", text)?,
            None => Duration::from_secs_f64((seconds / 300.0).clamp(0.25, 5.0)),
        };
        let between = (warmup + cool_down + OVERHEAD).as_secs_f64();
        let long = match probe {
            Some(text) => time("--probe", text)?.as_secs_f64(),
            None => {
                let left = seconds - (SHORT_PROBES + LONG_PROBES) * between;
                match left / (LONG_PROBES + SHORT_PROBES / 3.0) {
                    long if long < 3.0 * PROBE_MIN => (left - SHORT_PROBES * PROBE_MIN) / LONG_PROBES,
                    long => long,
                }
            }
        };
        if probe.is_some() && long < 1.0 {
            return Err(Failure::usage("--probe: a probe of less than a second tells nothing: write such as 10s"));
        }
        let long = if probe.is_some() { long } else { long.clamp(PROBE_MIN, PROBE_MAX) };
        let short = (long / 3.0).max(PROBE_MIN.min(long));
        let quantiles = test.slos.iter().filter_map(|slo| match slo.metric.statistic {
            Statistic::Quantile(_, quantile) => Some(smallest_sample(quantile)),
            _ => None,
        });
        Ok(Pace {
            budget,
            short: Duration::from_secs_f64(short),
            long: Duration::from_secs_f64(long),
            warmup,
            cool_down,
            samples: quantiles.max().unwrap_or(0) as f64 * SAMPLES,
        })
    }

    /// The main phase of a probe. At low rates it takes longer to see enough requests, within reason.
    pub(super) fn length(&self, ask: &Ask) -> Duration {
        let usual = if ask.long { self.long } else { self.short };
        let enough = (self.samples / ask.rate).min(self.budget.as_secs_f64() / 4.0);
        usual.max(Duration::try_from_secs_f64(enough).unwrap_or(usual))
    }

    /// Whether a probe ends within the budget.
    pub(super) fn fits(&self, ask: &Ask, spent: Duration) -> bool {
        spent + self.warmup + self.length(ask) + self.cool_down + OVERHEAD <= self.budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::search::Purpose;
    use crate::spec::{Draft, Sourced};

    fn test(slo: &str) -> LoadTest {
        let mut draft = Draft {
            requests: vec![Default::default()],
            rate: Some(Sourced::flag("--rate", "100/s")),
            duration: Some(Sourced::flag("--duration", "3s")),
            slos: vec![Sourced::flag("--slo", slo)],
            ..Draft::default()
        };
        draft.requests[0].url = Some(Sourced::flag("--url", "http://a/"));
        crate::spec::load(None, draft).unwrap()
    }

    fn ask(rate: f64, long: bool) -> Ask {
        Ask { rate, purpose: Purpose::Bisect, long }
    }

    #[test]
    fn a_usual_search_fits_its_budget() {
        for budget in ["90s", "2m", "10m", "1h"] {
            let pace = Pace::new(budget, None, None, &test("http/latency-p99 <= 5ms")).unwrap();
            let of = |long| pace.length(&ask(1e4, long)) + pace.warmup + pace.cool_down + OVERHEAD;
            let whole = of(false) * SHORT_PROBES as u32 + of(true) * LONG_PROBES as u32;
            assert!(whole <= pace.budget + Duration::from_secs(1), "{budget}: {whole:?}");
        }
    }

    #[test]
    fn few_requests_take_longer() {
        let pace = Pace::new("2m", None, None, &test("http/latency-p99 <= 5ms")).unwrap();
        assert!(pace.length(&ask(20.0, false)) > pace.length(&ask(2000.0, false)) * 4);
        assert_eq!(pace.length(&ask(1.0, false)), Duration::from_secs(30));
        assert!(!pace.fits(&ask(20.0, true), Duration::from_secs(110)));
    }
}
