//! The self-audit: whether the generator drove the load as it was meant to be. It judges the generator, never the
//! target, and it fails closed: a gate that trips as invalid makes the whole run INVALID.
//!
//! All gates and their thresholds are here.

use loadgrid_proto::Recorded;

use super::coverage::Coverage;
use super::{Results, WorkerResults};
use crate::slo::confidence::ranks;
use crate::spec::units::show_ns;

/// Dispatch lag p99, ns: the generator's own lateness. What it adds to a latency is not the target's.
const LAG_P99_DEGRADED_NS: u64 = 1_000_000;
const LAG_P99_INVALID_NS: u64 = 10_000_000;

/// Share of arrivals dispatched more than 1 ms late.
const LATE_DEGRADED: f64 = 0.01;
const LATE_INVALID: f64 = 0.10;

/// Taken up before the plan's end, as a share of the plan (after Lancet, ATC'19, gate 1).
const ACHIEVED_DEGRADED: f64 = 0.99;
const ACHIEVED_INVALID: f64 = 0.90;

/// Share of a core that the busiest lane used: mean and busiest second.
const BUSY_DEGRADED: f64 = 0.80;
const BUSY_INVALID: f64 = 0.95;

/// Share of the time a lane was ready to run but had no CPU.
const STARVED_DEGRADED: f64 = 0.05;
const STARVED_INVALID: f64 = 0.30;

/// Share of the time the control group withheld the CPU.
const THROTTLED_DEGRADED: f64 = 0.005;
const THROTTLED_INVALID: f64 = 0.05;

/// Share of requests that found no descriptor or port on the generator's side.
const EXHAUSTED_INVALID: f64 = 0.001;

/// Clock error bound and start skew, ns.
const CLOCK_BOUND_DEGRADED_NS: u64 = 50_000_000;
const START_SKEW_DEGRADED_NS: u64 = 100_000_000;

/// A worker stands out when its p99 interval and the grid's are disjoint, further apart than this share, and than
/// this much: with many samples any two workers differ by something that matters to nobody.
const OUTLIER_SHARE: f64 = 0.10;
const OUTLIER_NS: u64 = 1_000_000;

/// What a gate says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    /// Read the figures with care: the gate says which.
    Degraded,
    /// Not a measurement of the target.
    Invalid,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Degraded => "degraded",
            State::Invalid => "invalid",
        }
    }

    fn by(value: f64, degraded: f64, invalid: f64) -> State {
        if value > invalid {
            State::Invalid
        } else if value > degraded {
            State::Degraded
        } else {
            State::Ok
        }
    }
}

/// One gate's finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub gate: &'static str,
    pub state: State,
    /// What was seen, with the threshold.
    pub saw: String,
    /// What it means and what to do; empty when all is well.
    pub means: &'static str,
    pub todo: &'static str,
}

/// What the audit has to know beside the results.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub open_loop: bool,
    /// Stopped before its end.
    pub stopped: bool,
    /// When the last arrival is due at the latest, after the start of the warm-up; ns.
    pub end_ns: u64,
}

/// Judges a run. One finding a gate, in order.
pub fn audit(results: &Results, circumstances: Circumstances) -> Vec<Finding> {
    let coverage = Coverage::of(results);
    // Steps that follow others start when those end: no lateness of theirs is the plan's.
    let main = results.totals(&results.arrivals(), false);
    let sent = main.ended();
    let mut findings = vec![coverage_gate(&coverage)];
    if circumstances.open_loop {
        findings.push(lag_gate(&main.dispatch_lag.to_recorded()));
        findings.push(late_gate(main.late, sent + main.dropped));
        if !circumstances.stopped {
            findings.push(achieved_gate(taken_up_in_time(results, circumstances.end_ns)));
        }
    }
    let workers: Vec<&WorkerResults> = results.workers.values().collect();
    findings.push(busy_gate(&workers, circumstances.open_loop));
    findings.push(starved_gate(&workers));
    findings.push(throttled_gate(&workers));
    findings.push(exhausted_gate(&workers, sent));
    findings.push(clock_gate(&workers));
    findings.push(clamped_gate(main.latency.summary().clamped));
    if workers.len() > 1 {
        findings.push(outlier_gate(&workers, &main.latency.to_recorded()));
    }
    findings
}

/// The worst state of all gates.
pub fn worst(findings: &[Finding]) -> State {
    findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok)
}

/// One worker's own worst state by the gates that can be laid at its door.
pub fn of_worker(worker: &WorkerResults, open_loop: bool) -> State {
    let one = [worker];
    let mut findings =
        vec![busy_gate(&one, open_loop), starved_gate(&one), throttled_gate(&one), exhausted_gate(&one, worker.sent())];
    if open_loop {
        findings.push(lag_gate(&worker.dispatch_lag));
        findings.push(late_gate(worker.late, worker.sent() + worker.dropped));
    }
    worst(&findings)
}

fn finding(gate: &'static str, state: State, saw: String, means: &'static str, todo: &'static str) -> Finding {
    let (means, todo) = if state == State::Ok { ("", "") } else { (means, todo) };
    Finding { gate, state, saw, means, todo }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn coverage_gate(coverage: &Coverage) -> Finding {
    let adds_up = coverage.adds_up();
    // What was dropped waited for the target: that bars a pass, but does not make the measurement a worse one.
    let state = match (adds_up, coverage.lost) {
        (false, _) => State::Invalid,
        (true, 0) => State::Ok,
        (true, _) => State::Degraded,
    };
    let saw = format!(
        "{} planned = {} sent + {} dropped + {} lost",
        coverage.planned,
        coverage.sent(),
        coverage.dropped(),
        coverage.lost
    );
    let (means, todo) = if adds_up {
        (
            "a worker took its share with it: the target was spared that load, and nobody knows how it would have borne it",
            "see why the worker went (its log, its machine, the network) and run again",
        )
    } else {
        (
            "the account does not close: requests are counted twice or not at all",
            "report this as a bug with the JSON report",
        )
    };
    finding("coverage", state, saw, means, todo)
}

/// Judged by the lower end of the quantile's interval: the p99 of thirty requests is their maximum, and one late wake-up
/// is no finding.
fn lag_gate(lag: &Recorded) -> Finding {
    let p99 = lag.quantile(0.99).unwrap_or(0);
    let at_least = p99_bounds(lag).map_or(0, |(low, _)| low);
    let state = State::by(at_least as f64, LAG_P99_DEGRADED_NS as f64, LAG_P99_INVALID_NS as f64);
    let [degraded, invalid] = [LAG_P99_DEGRADED_NS, LAG_P99_INVALID_NS].map(|ns| show_ns(ns as f64));
    let saw = format!(
        "p99 {}, at least {} (degraded above {degraded}, invalid above {invalid})",
        show_ns(p99 as f64),
        show_ns(at_least as f64)
    );
    finding(
        "dispatch-lag",
        state,
        saw,
        "the generator took requests up late: that lateness is in `latency` and is not the target's",
        "lower the rate per worker, add workers, or give them cores of their own",
    )
}

fn late_gate(late: u64, dispatched: u64) -> Finding {
    let share = if dispatched == 0 { 0.0 } else { late as f64 / dispatched as f64 };
    let saw = format!(
        "{late} of {dispatched} dispatched more than 1ms late ({}; {})",
        percent(share),
        thresholds(LATE_DEGRADED, LATE_INVALID)
    );
    finding(
        "late",
        State::by(at_least(late, dispatched), LATE_DEGRADED, LATE_INVALID),
        saw,
        "the arrivals were not where the plan puts them: bursts stood in for the even or Poisson stream",
        "lower the rate per worker, add workers, or give them cores of their own",
    )
}

/// The lower end of the 95 % interval of a share (Wilson 1927): a few out of a few prove nothing.
fn at_least(count: u64, of: u64) -> f64 {
    const Z: f64 = 1.959_964;
    if of == 0 {
        return 0.0;
    }
    let (n, share) = (of as f64, count as f64 / of as f64);
    let centre = share + Z * Z / (2.0 * n);
    let width = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - width) / (1.0 + Z * Z / n)).max(0.0)
}

fn thresholds(degraded: f64, invalid: f64) -> String {
    format!("degraded above {}, invalid above {}", percent(degraded), percent(invalid))
}

/// (taken up by the lanes before the plan's end, what they were to take up by then), both phases. What went with a
/// worker is not asked of the others.
fn taken_up_in_time(results: &Results, end_ns: u64) -> (u64, u64) {
    let step = results.timeline.step_ns().max(1);
    // Lanes report some milliseconds after a step's end, so the step in which the plan ends counts as a whole.
    let steps = end_ns.div_ceil(step) as usize;
    let due = results.timeline.seconds().iter().take(steps).map(|second| second.due).sum();
    let planned: u64 = results
        .workers
        .values()
        .map(|worker| {
            let unknown = worker.lost() + worker.not_started + worker.not_started_warmup;
            (worker.planned.unwrap_or(0) + worker.planned_warmup).saturating_sub(unknown)
        })
        .sum();
    (due, planned)
}

fn achieved_gate((due, planned): (u64, u64)) -> Finding {
    let share = if planned == 0 { 1.0 } else { due as f64 / planned as f64 };
    let missing = at_least(planned.saturating_sub(due), planned);
    let saw = format!(
        "{} of {planned} requests taken up before the plan's end (degraded under {}, invalid under {})",
        percent(share),
        percent(ACHIEVED_DEGRADED),
        percent(ACHIEVED_INVALID)
    );
    finding(
        "sent-against-planned",
        State::by(missing, 1.0 - ACHIEVED_DEGRADED, 1.0 - ACHIEVED_INVALID),
        saw,
        "the generator fell behind the plan: the target saw a lower rate, for longer",
        "lower the rate per worker or add workers",
    )
}

fn busy_gate(workers: &[&WorkerResults], open_loop: bool) -> Finding {
    let mean = workers.iter().map(|worker| worker.health.busy_share()).fold(0.0, f64::max);
    let max = workers.iter().map(|worker| worker.health.busy_share_max).fold(0.0, f64::max);
    let state = match open_loop {
        true => State::by(mean, BUSY_DEGRADED, BUSY_INVALID).max(State::by(max, BUSY_INVALID, f64::INFINITY)),
        // A closed loop is meant to be as fast as it can; but then the generator may be the limit.
        false => State::by(mean, BUSY_INVALID, f64::INFINITY),
    };
    let saw = format!(
        "busiest lane {} of a core on average, {} in its busiest second (degraded above {})",
        percent(mean),
        percent(max),
        percent(if open_loop { BUSY_DEGRADED } else { BUSY_INVALID })
    );
    let means = if open_loop {
        "close to its limit a lane adds queueing of its own to what it measures"
    } else {
        "the generator, not the target, may be what limits this rate"
    };
    finding("lane-busy", state, saw, means, "add lanes (--lanes) or workers")
}

fn starved_gate(workers: &[&WorkerResults]) -> Finding {
    let share = workers.iter().map(|worker| worker.health.share(worker.health.starved_ns)).fold(0.0, f64::max);
    let saw = format!(
        "a lane was ready but without a CPU for {} of the time ({})",
        percent(share),
        thresholds(STARVED_DEGRADED, STARVED_INVALID)
    );
    finding(
        "cpu-starved",
        State::by(share, STARVED_DEGRADED, STARVED_INVALID),
        saw,
        "something else runs on the generator's cores: it reads responses late and calls them slow",
        "run generator and target on different cores or machines, or use fewer lanes",
    )
}

fn throttled_gate(workers: &[&WorkerResults]) -> Finding {
    let share = workers.iter().map(|worker| worker.health.share(worker.health.throttled_ns)).fold(0.0, f64::max);
    let periods: u64 = workers.iter().map(|worker| worker.health.throttled_periods).sum();
    let saw = format!(
        "withheld by the cgroup for {} of the time, in {periods} periods ({})",
        percent(share),
        thresholds(THROTTLED_DEGRADED, THROTTLED_INVALID)
    );
    finding(
        "cpu-throttled",
        State::by(share, THROTTLED_DEGRADED, THROTTLED_INVALID),
        saw,
        "the CPU limit stopped the generator in mid-flight: every response in that time looks slow",
        "raise the CPU limit to at least one core per lane, or use fewer lanes",
    )
}

fn exhausted_gate(workers: &[&WorkerResults], sent: u64) -> Finding {
    let sum = |of: fn(&WorkerResults) -> u64| workers.iter().map(|worker| of(worker)).sum::<u64>();
    let descriptors = sum(|worker| worker.health.descriptors_exhausted);
    let ports = sum(|worker| worker.health.ports_exhausted);
    let share = (descriptors + ports) as f64 / sent.max(1) as f64;
    let saw = format!("{descriptors} connections failed for want of descriptors, {ports} for want of ports");
    finding(
        "exhausted",
        State::by(share, 0.0, EXHAUSTED_INVALID),
        saw,
        "this machine, not the target, refused connections",
        "raise `ulimit -n`, lower --connections, or add workers",
    )
}

fn clock_gate(workers: &[&WorkerResults]) -> Finding {
    let bound = workers.iter().map(|worker| worker.health.clock_bound_ns).max().unwrap_or(0);
    let skews = workers.iter().filter_map(|worker| worker.health.start_skew_ns);
    let skew = skews.map(i64::unsigned_abs).max().unwrap_or(0);
    let degraded = bound > CLOCK_BOUND_DEGRADED_NS || skew > START_SKEW_DEGRADED_NS;
    let saw = format!("clocks known to ±{}, workers started within {}", show_ns(bound as f64), show_ns(skew as f64));
    finding(
        "clock",
        if degraded { State::Degraded } else { State::Ok },
        saw,
        "the workers' shards may be out of step: the total rate is right, its evenness is not",
        "look at the network between coordinator and workers",
    )
}

fn clamped_gate(clamped: u64) -> Finding {
    finding(
        "clamped",
        if clamped > 0 { State::Degraded } else { State::Ok },
        format!("{clamped} latencies above the largest value that is told apart (18 minutes)"),
        "the maximum and the mean are lower bounds",
        "lower --timeout or max wait",
    )
}

fn outlier_gate(workers: &[&WorkerResults], grid: &Recorded) -> Finding {
    let mut outside: Vec<&str> =
        workers.iter().filter(|worker| stands_out(&worker.latency, grid)).map(|worker| worker.name.as_str()).collect();
    outside.sort_unstable();
    let saw = match outside.is_empty() {
        true => "every worker's p99 agrees with the grid's".to_owned(),
        false => format!("p99 outside the grid's interval: {}", outside.join(", ")),
    };
    finding(
        "worker-outlier",
        if outside.is_empty() { State::Ok } else { State::Degraded },
        saw,
        "one worker's path or machine makes up the merged tail (Treadmill, ISCA'16)",
        "compare the workers in the report; run again without the ones that stand out",
    )
}

fn stands_out(own: &Recorded, grid: &Recorded) -> bool {
    let (Some((own_low, Some(own_high))), Some((low, Some(high)))) = (p99_bounds(own), p99_bounds(grid)) else {
        return false;
    };
    let apart = own_low > high || own_high < low;
    let (own_p99, p99) = (own.quantile(0.99).unwrap_or(0), grid.quantile(0.99).unwrap_or(0));
    let distance = own_p99.abs_diff(p99);
    apart && distance > OUTLIER_NS && distance as f64 > OUTLIER_SHARE * p99 as f64
}

/// (lower end of the p99's interval, upper end); `None` on the side where the sample is too small for one.
fn p99_bounds(recorded: &Recorded) -> Option<(u64, Option<u64>)> {
    let n = recorded.count();
    let at = |rank: u64| recorded.quantile(rank as f64 / n as f64);
    let (low, high) = ranks(n.max(1), 0.99);
    Some((at(low?)?, high.and_then(at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::worker::HealthTotals;

    fn worker(change: impl Fn(&mut HealthTotals)) -> WorkerResults {
        let mut health = HealthTotals { wall_ns: 10_000_000_000, busy_ns: 1_000_000_000, ..HealthTotals::default() };
        change(&mut health);
        WorkerResults { health, name: "w".into(), completed: 1000, planned: Some(1000), ..WorkerResults::default() }
    }

    fn state(change: impl Fn(&mut HealthTotals)) -> State {
        of_worker(&worker(change), true)
    }

    #[test]
    fn each_gate_trips_at_its_threshold() {
        assert_eq!(state(|_| {}), State::Ok);
        assert_eq!(state(|h| h.busy_ns = 8_500_000_000), State::Degraded);
        assert_eq!(state(|h| h.busy_ns = 9_800_000_000), State::Invalid);
        assert_eq!(state(|h| h.starved_ns = 1_000_000_000), State::Degraded);
        assert_eq!(state(|h| h.starved_ns = 4_000_000_000), State::Invalid);
        assert_eq!(state(|h| h.throttled_ns = 100_000_000), State::Degraded);
        assert_eq!(state(|h| h.throttled_ns = 1_000_000_000), State::Invalid);
        assert_eq!(state(|h| h.ports_exhausted = 1), State::Degraded);
        assert_eq!(state(|h| h.descriptors_exhausted = 2), State::Invalid);
        assert_eq!(lag_gate(&lags(1000, LAG_P99_DEGRADED_NS)).state, State::Ok);
        assert_eq!(lag_gate(&lags(1000, 2 * LAG_P99_DEGRADED_NS)).state, State::Degraded);
        assert_eq!(lag_gate(&lags(1000, 2 * LAG_P99_INVALID_NS)).state, State::Invalid);
        assert_eq!(late_gate(30, 1000).state, State::Degraded);
        assert_eq!(late_gate(150, 1000).state, State::Invalid);
        assert_eq!(late_gate(0, 0).state, State::Ok);
    }

    /// A fiftieth of so many lags as given, the rest small.
    fn lags(count: u64, late: u64) -> Recorded {
        let mut recorder = loadgrid_proto::histogram::Recorder::default();
        (0..count).for_each(|i| recorder.record(if i % 50 == 0 { late } else { 30_000 }));
        recorder.drain()
    }

    #[test]
    fn a_generator_that_falls_behind_is_found() {
        assert_eq!(achieved_gate((995, 1000)).state, State::Ok);
        assert_eq!(achieved_gate((950, 1000)).state, State::Degraded);
        assert_eq!(achieved_gate((800, 1000)).state, State::Invalid);
        assert_eq!(achieved_gate((0, 0)).state, State::Ok);
    }

    #[test]
    fn a_few_out_of_a_few_prove_nothing() {
        assert_eq!(late_gate(1, 30).state, State::Ok);
        assert_eq!(late_gate(2, 10).state, State::Degraded);
        assert_eq!(late_gate(5, 10).state, State::Invalid);
        assert_eq!(lag_gate(&lags(30, 2 * LAG_P99_INVALID_NS)).state, State::Ok);
    }

    #[test]
    fn a_busy_lane_is_no_fault_of_a_closed_loop() {
        let busy = worker(|h| h.busy_ns = 9_900_000_000);
        assert_eq!(of_worker(&busy, false), State::Degraded);
    }

    #[test]
    fn a_slow_target_trips_no_gate_of_the_generator() {
        // Half of the plan waited too long for a connection.
        let coverage = Coverage { planned: 1000, completed: 500, waited_too_long: 500, ..Coverage::default() };
        assert_eq!(coverage_gate(&coverage).state, State::Ok);
        let lost = Coverage { planned: 1000, completed: 500, lost: 500, ..Coverage::default() };
        assert_eq!(coverage_gate(&lost).state, State::Degraded);
    }

    #[test]
    fn an_account_that_does_not_close_is_invalid() {
        let coverage = Coverage { planned: 10, completed: 11, ..Coverage::default() };
        assert_eq!(coverage_gate(&coverage).state, State::Invalid);
    }

    #[test]
    fn a_worker_with_a_tail_of_its_own_stands_out() {
        let recorded = |slow: u64| {
            let mut recorder = loadgrid_proto::histogram::Recorder::default();
            (0..5000).for_each(|i| recorder.record(if i % 20 == 0 { slow } else { 1_000_000 }));
            recorder.drain()
        };
        let mut grid = recorded(5_000_000);
        grid.merge(&recorded(5_000_000));
        assert!(!stands_out(&recorded(5_000_000), &grid));
        assert!(stands_out(&recorded(50_000_000), &grid));
        assert!(!stands_out(&Recorded::default(), &grid));
    }
}
