//! Between two probes: the target is left alone, and after one that was too much it is seen to be idle again. What is
//! queued in it would else be measured as the next probe's latency.

use std::time::{Duration, Instant};

use loadgrid_worker::schedule::{Arrivals, Load, Stage};

use super::pause;
use crate::capacity::model::{Probe, ProbeOutcome};
use crate::cli::Failure;
use crate::cli::carry::{Carried, Workers};

/// A handful of requests that tell whether it is idle.
const CANARY_RATE: f64 = 20.0;
const CANARY: Duration = Duration::from_millis(500);

/// It is idle when they take no longer than this times what they took at the lowest rate that held, and this more.
const FACTOR: f64 = 2.0;
const MORE: f64 = 0.002;

/// The longest wait for it, in cool-downs and at least.
const COOL_DOWNS: u32 = 10;
const WAIT_MIN: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Rest {
    cool_down: Duration,
    /// Numbers of the probes after which it did not come to rest.
    restless: Vec<usize>,
}

impl Rest {
    pub(super) fn new(cool_down: Duration) -> Self {
        Rest { cool_down, restless: Vec::new() }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let number = |number: &usize| number.to_string();
        match self.restless.iter().map(number).collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => Vec::new(),
            probes => vec![format!(
                "after probe {probes} the target did not come to rest in time: the probe that followed may have met its queue"
            )],
        }
    }

    /// Waits for the target. `false`: somebody ended it.
    ///
    /// # Errors
    /// A canary can't be sent.
    pub(super) fn wait(
        &mut self,
        last: &Probe,
        before: &[Probe],
        until: Instant,
        workers: &Workers,
        mut send: impl FnMut(Load) -> Result<Carried, Failure>,
    ) -> Result<bool, Failure> {
        if !pause(workers, self.cool_down)? {
            return Ok(false);
        }
        let held = before.iter().filter(|probe| probe.outcome == ProbeOutcome::Held);
        let lowest = held.min_by(|a, b| a.rate.total_cmp(&b.rate));
        let (Some(usual), false) = (lowest.and_then(|probe| probe.latency.p50), last.outcome == ProbeOutcome::Held)
        else {
            return Ok(true);
        };
        let began = Instant::now();
        loop {
            let carried = send(canary())?;
            if carried.report.exit_code == crate::cli::exit::INTERRUPTED {
                return Ok(false);
            }
            let latency = &carried.report.total.latency;
            if latency.p50.is_some_and(|p50| p50 <= FACTOR * usual + MORE) {
                return Ok(true);
            }
            if began.elapsed() > WAIT_MIN.max(self.cool_down * COOL_DOWNS) || Instant::now() > until {
                self.restless.push(last.number);
                return Ok(true);
            }
            if !pause(workers, self.cool_down)? {
                return Ok(false);
            }
        }
    }
}

fn canary() -> Load {
    let stage = Stage { from: CANARY_RATE, to: CANARY_RATE, duration_ns: CANARY.as_nanos() as u64 };
    Load { arrivals: Arrivals::Uniform, stages: vec![stage], warmup_ns: 0, requests: None }
}
