//! A lane: one thread, one runtime, one core's worth of load.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::mpsc;

use super::core::{Core, SWEEP_NS};
use super::health::LaneCpu;

use super::{Job, LaneReport};
use crate::clock;
use crate::timer::Timer;

/// With `spin`, how long before an intended start the lane stops sleeping.
const SPIN_AHEAD_NS: u64 = 80_000;

/// With `spin`, how many polls of tasks may pass before the sockets are looked at again.
const SPIN_EVENT_INTERVAL: u32 = 1;

/// Arrivals closer together than this are dispatched in small bursts: waking for each of them would cost more than
/// sending it.
const BURST_GAP_NS: u64 = 33_000;

/// The shortest sleep of a lane with such arrivals, and of any other (or half the gap, if that is less).
const BURST_SLEEP_NS: u64 = 250_000;
const SHORTEST_SLEEP_NS: u64 = 50_000;

/// Everything a lane's thread needs.
pub(super) struct Lane {
    job: Arc<Job>,
    index: u32,
    start_ns: u64,
    stop: Arc<AtomicBool>,
    reports: mpsc::Sender<LaneReport>,
    runtime: LocalBuilder,
}

/// A runtime can't move between threads: this is what it is built from in the lane's own.
struct LocalBuilder(Builder);

impl LocalBuilder {
    fn build(mut self) -> io::Result<LocalRuntime> {
        self.0.build_local(LocalOptions::default())
    }
}

impl Lane {
    pub(super) fn new(
        job: Arc<Job>,
        index: u32,
        start_ns: u64,
        stop: Arc<AtomicBool>,
        reports: mpsc::Sender<LaneReport>,
    ) -> io::Result<Self> {
        let mut builder = Builder::new_current_thread();
        builder.enable_io().enable_time();
        if job.spin {
            builder.event_interval(SPIN_EVENT_INTERVAL);
        }
        Ok(Lane { job, index, start_ns, stop, reports, runtime: LocalBuilder(builder) })
    }

    /// Runs until all is sent and ended, or a stop. Always reports that it finished.
    pub(super) fn run(self) {
        let Lane { job, index, start_ns, stop, reports, runtime } = self;
        let result = runtime.build().and_then(|runtime| {
            runtime.block_on(async {
                let core = Core::new(job.clone(), index, start_ns);
                let mut pacer = Pacer {
                    timer: Timer::new()?,
                    cpu: LaneCpu::new(),
                    next_report: start_ns + job.interval_ns,
                    reported_ns: start_ns,
                    core: core.clone(),
                    index,
                    start_ns,
                    reports: reports.clone(),
                };
                pacer.run(&job, &stop).await?;
                Ok(core.borrow().left())
            })
        });
        let (not_started_warmup, not_started) = result.unwrap_or_else(|error: io::Error| {
            tracing::error!("lane {index} ended early: {error}");
            (0, 0)
        });
        // The receiver is gone only if the whole worker is.
        let _ = reports.blocking_send(LaneReport::Finished { lane: index, not_started_warmup, not_started });
    }
}

/// The lane's clock: dispatches what is due, ends what takes too long, reports once per interval.
struct Pacer {
    timer: Timer,
    cpu: LaneCpu,
    core: Rc<RefCell<Core>>,
    index: u32,
    start_ns: u64,
    next_report: u64,
    /// Up to when results are reported.
    reported_ns: u64,
    reports: mpsc::Sender<LaneReport>,
}

impl Pacer {
    async fn run(&mut self, job: &Job, stop: &AtomicBool) -> io::Result<()> {
        self.wait_for_start(stop).await?;
        let mut now = clock::now_ns();
        self.core.borrow_mut().begin(now);
        let mut next_sweep = now;
        let mut shortest_sleep = 0;
        loop {
            let next_due = {
                let mut core = self.core.borrow_mut();
                core.dispatch_due(now);
                core.flush_dirty();
                if now >= next_sweep {
                    core.sweep(now, stop.load(Ordering::Relaxed));
                    next_sweep = now + SWEEP_NS;
                    shortest_sleep = self.shortest_sleep(job, now);
                    if core.finished(now) {
                        break;
                    }
                }
                core.next_due()
            };
            if now >= self.next_report {
                self.report(now, job.interval_ns);
            }
            let due = next_due.map_or(u64::MAX, |due| due.max(now + shortest_sleep));
            let wake = due.min(next_sweep);
            now = self.sleep(wake, job.spin && next_due == Some(wake)).await?;
        }
        self.last_report(clock::now_ns()).await;
        Ok(())
    }

    /// How long the lane sleeps at the least, given its rate: a half gap at most where arrivals are far apart. Where they
    /// are close, the answers that come in wake it in between.
    fn shortest_sleep(&self, job: &Job, now: u64) -> u64 {
        if job.spin {
            return 0;
        }
        let elapsed = now.saturating_sub(self.start_ns);
        let rate = match elapsed.checked_sub(job.load.warmup_ns) {
            Some(main) => job.load.main().rate(main),
            None => job.load.warmup().rate(elapsed),
        };
        let gap = 1e9 * f64::from(job.total_lanes) / rate.max(1e-3);
        if gap < BURST_GAP_NS as f64 { BURST_SLEEP_NS } else { SHORTEST_SLEEP_NS.min(gap as u64 / 2) }
    }

    async fn wait_for_start(&self, stop: &AtomicBool) -> io::Result<()> {
        loop {
            let now = clock::now_ns();
            if now >= self.start_ns || stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.timer.wait_until(self.start_ns.min(now + SWEEP_NS)).await?;
        }
    }

    /// Sleeps until `wake`; the last stretch awake if the lane spins. Sockets are served meanwhile.
    async fn sleep(&self, wake: u64, spin: bool) -> io::Result<u64> {
        let now = clock::now_ns();
        let sleep_until = if spin { wake.saturating_sub(SPIN_AHEAD_NS) } else { wake };
        if now < sleep_until {
            self.timer.wait_until(sleep_until).await?;
        } else {
            // Already late: let the sockets have a turn, or a rate beyond the lane would starve them.
            tokio::task::yield_now().await;
        }
        let mut now = clock::now_ns();
        while spin && now < wake {
            tokio::task::yield_now().await;
            now = clock::now_ns();
        }
        Ok(now)
    }

    /// Sends what was measured since the last report. If the channel is full everything stays for the next one.
    fn report(&mut self, now: u64, interval_ns: u64) {
        let number = (self.next_report - self.start_ns) / interval_ns - 1;
        while self.next_report <= now {
            self.next_report += interval_ns;
        }
        let Ok(permit) = self.reports.clone().try_reserve_owned() else { return };
        permit.send(self.drain(now, number));
    }

    async fn last_report(&mut self, now: u64) {
        if let Ok(permit) = self.reports.clone().reserve_owned().await {
            permit.send(self.drain(now, u64::MAX));
        }
    }

    fn drain(&mut self, now: u64, number: u64) -> LaneReport {
        let mut core = self.core.borrow_mut();
        let mut interval = core.recorder.drain();
        interval.start_ns = self.reported_ns - self.start_ns;
        interval.end_ns = now.saturating_sub(self.start_ns);
        interval.health = std::mem::take(&mut core.health);
        core.gauges(&mut interval.health);
        self.cpu.lap(&mut interval.health);
        self.reported_ns = now.max(self.start_ns);
        LaneReport::Interval { lane: self.index, number, interval: Box::new(interval) }
    }
}
