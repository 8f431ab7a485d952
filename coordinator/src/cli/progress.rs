//! Progress on stderr: a live panel on a terminal, a line every few seconds elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::watch;
use tokio::time::Instant;

use super::output;
use crate::grid::{PhaseName, Snapshot};
use crate::plan::Plan;
use crate::spec::units::show_ns;

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);

/// Drawn at most so often.
const DRAW_EVERY: Duration = Duration::from_millis(200);

const BAR_WIDTH: usize = 24;

/// What does not change during the run.
pub(super) struct About {
    pub test: String,
    pub warmup: Duration,
    /// Warm-up and main phase; `None` if only the target knows.
    pub length: Option<Duration>,
}

impl From<About> for crate::serve::About {
    fn from(about: About) -> Self {
        crate::serve::About { test: about.test, warmup: about.warmup, length: about.length }
    }
}

impl From<crate::serve::About> for About {
    fn from(about: crate::serve::About) -> Self {
        About { test: about.test, warmup: about.warmup, length: about.length }
    }
}

impl About {
    pub(super) fn of(plan: &Plan) -> Self {
        let load = &plan.test.load;
        let endless = !plan.is_open_loop() && load.requests.is_some();
        About {
            test: plan.test.name.clone(),
            warmup: Duration::from_nanos(load.warmup_ns),
            length: (!endless).then(|| Duration::from_nanos(load.duration_ns())),
        }
    }

    fn state(&self, snapshot: &Snapshot) -> String {
        match (snapshot.phase, snapshot.elapsed) {
            (PhaseName::Gathering, _) => format!("{} of {} workers joined", snapshot.joined, snapshot.wanted),
            (PhaseName::Preparing, _) | (_, None) => "workers get ready".to_owned(),
            (PhaseName::Ending, _) => "ending".to_owned(),
            (PhaseName::Running, Some(elapsed)) if elapsed < self.warmup => "warming up".to_owned(),
            (PhaseName::Running, Some(elapsed)) => match self.length.map(|length| length.saturating_sub(elapsed)) {
                Some(left) if left.is_zero() => "waiting for the last answers".to_owned(),
                Some(left) => format!("{:.0}s left", left.as_secs_f64().ceil()),
                None => format!("{:.0}s", elapsed.as_secs_f64()),
            },
        }
    }

    fn figures(snapshot: &Snapshot) -> String {
        let second = &snapshot.last_second;
        let rate = snapshot.planned_rate.map(|rate| format!(" of {rate:.0}/s")).unwrap_or_default();
        let time = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), |ns| show_ns(ns as f64));
        let planned = if snapshot.planned > 0 { format!(" of {}", snapshot.planned) } else { String::new() };
        let away = match snapshot.away.is_empty() {
            true => String::new(),
            false => format!(", AWAY: {}", snapshot.away.join(" ")),
        };
        format!(
            "{}/s{rate}, p50 {}, p99 {}, {} in flight, {} waiting, {} errors, {} sent{planned}{away}",
            second.achieved,
            time(second.p50_ns),
            time(second.p99_ns),
            second.in_flight,
            second.waiting,
            snapshot.errors,
            snapshot.sent,
        )
    }

    fn bar(&self, snapshot: &Snapshot) -> String {
        let share = match (self.length, snapshot.elapsed) {
            (Some(length), Some(elapsed)) if !length.is_zero() => {
                (elapsed.as_secs_f64() / length.as_secs_f64()).min(1.0)
            }
            _ => 0.0,
        };
        let done = (share * BAR_WIDTH as f64) as usize;
        format!("{}{}", "█".repeat(done), "░".repeat(BAR_WIDTH - done))
    }
}

/// Follows a run to its end.
pub(super) async fn show(about: About, snapshots: watch::Receiver<Snapshot>) {
    if stderr().is_terminal() {
        panel(about, snapshots).await;
    } else {
        lines(about, snapshots).await;
    }
}

async fn panel(about: About, mut snapshots: watch::Receiver<Snapshot>) {
    let panel = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{wide_msg}\n{prefix}") {
        panel.set_style(style);
    }
    let mut drawn: Option<Instant> = None;
    while snapshots.changed().await.is_ok() {
        let snapshot = snapshots.borrow_and_update().clone();
        if drawn.is_some_and(|at| at.elapsed() < DRAW_EVERY) && snapshot.phase == PhaseName::Running {
            continue;
        }
        drawn = Some(Instant::now());
        panel.set_prefix(if snapshot.elapsed.is_some() { About::figures(&snapshot) } else { String::new() });
        panel.set_message(format!("{} {} {}", about.test, about.bar(&snapshot), about.state(&snapshot)));
    }
    panel.finish_and_clear();
}

async fn lines(about: About, mut snapshots: watch::Receiver<Snapshot>) {
    let mut said: Option<Instant> = None;
    let mut state = String::new();
    let mut phase = PhaseName::Gathering;
    while snapshots.changed().await.is_ok() {
        let snapshot = snapshots.borrow_and_update().clone();
        let due = said.is_none_or(|at| at.elapsed() >= LINE_EVERY) || snapshot.phase != phase;
        let now = about.state(&snapshot);
        if due && (snapshot.elapsed.is_some() || now != state) {
            said = Some(Instant::now());
            phase = snapshot.phase;
            let figures =
                if snapshot.elapsed.is_some() { format!(": {}", About::figures(&snapshot)) } else { String::new() };
            output::complain(&format!("{}: {now}{figures}", about.test));
            state = now;
        }
    }
}
