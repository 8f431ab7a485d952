//! Where a run is, as a LoadTest's status says it. What led there is not known here, nor who writes it down.

use std::time::Duration;

use super::{Done, Progress, Refused};
use crate::kube::resource::{Condition, Phase, Status};
use crate::spec::units::show_ns;

/// Between two statuses of a run of which nothing but figures changed.
pub(super) const FIGURES_EVERY: Duration = Duration::from_secs(5);

const READY: &str = "Ready";
const COMPLETE: &str = "Complete";
const PASSED: &str = "Passed";

/// Of which spec a status is, and what it was before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'a> {
    pub generation: i64,
    /// As the trigger says it, with its Service.
    pub revision: Option<&'a str>,
    pub before: &'a Status,
    /// RFC 3339.
    pub now: &'a str,
}

/// Status and reason of a condition.
type Said = (&'static str, &'static str);

/// A phase, and its three conditions: Ready, Complete, Passed.
struct State {
    phase: Phase,
    ready: Said,
    complete: Said,
    passed: Said,
}

impl Of<'_> {
    /// Nothing runs yet.
    pub(super) fn pending(self, reason: &'static str, message: String) -> Status {
        let (ready, complete, passed) = (("False", reason), ("False", reason), ("Unknown", reason));
        self.made(State { phase: Phase::Pending, ready, complete, passed }, message, Status::default())
    }

    /// Nothing will run before the spec is another one.
    pub(super) fn refused(self, refused: &Refused) -> Status {
        let message = match &refused.field {
            Some(field) => format!("{field}: {}", refused.message),
            None => refused.message.clone(),
        };
        self.failed("Refused", message, Status::default())
    }

    /// The run that was there is no more.
    pub(super) fn broken_off(self, run: &str) -> Status {
        let message = format!(
            "run {run} was broken off: the coordinator does not know it any more; what it had measured is in the store if \
             it got that far. Change spec.rerun to run it again"
        );
        self.failed("BrokenOff", message, self.run(run, None))
    }

    /// Where a run is.
    pub(super) fn at(self, run: &str, progress: &Progress, link: Option<String>) -> Status {
        let status = self.run(run, link);
        match progress {
            Progress::Queued { why } => {
                let (ready, complete, passed) = (("False", "Queued"), ("False", "Queued"), ("Unknown", "Queued"));
                self.made(State { phase: Phase::Queued, ready, complete, passed }, why.clone(), status)
            }
            Progress::Ready => {
                let reason = "WaitingForTarget";
                let (ready, complete, passed) = (("False", reason), ("False", reason), ("Unknown", reason));
                let message = "waiting until the target is ready".to_owned();
                self.made(State { phase: Phase::WaitingForTarget, ready, complete, passed }, message, status)
            }
            Progress::Running { rate, sent, errors, p99_s } => {
                let (ready, complete, passed) = (("True", "Running"), ("False", "Running"), ("Unknown", "Running"));
                let share = (*sent > 0).then(|| *errors as f64 / *sent as f64);
                let started_at = status.started_at.clone().or_else(|| Some(self.now.to_owned()));
                let status = Status { started_at, ..figures(status, *rate, *p99_s, share) };
                let message = format!("{sent} requests sent");
                self.made(State { phase: Phase::Running, ready, complete, passed }, message, status)
            }
            Progress::Done(done) => self.done(done, status),
            Progress::Failed { message, field, exit_code } => {
                let message = match field {
                    Some(field) => format!("{field}: {message}"),
                    None => message.clone(),
                };
                self.failed("NotCarriedOut", message, Status { exit_code: Some((*exit_code).into()), ..status })
            }
        }
    }

    /// What stays of the run while it goes on.
    fn run(self, run: &str, link: Option<String>) -> Status {
        let same = self.before.run.as_deref() == Some(run);
        Status {
            run: Some(run.to_owned()),
            report: link.or_else(|| self.before.report.clone().filter(|_| same)),
            started_at: self.before.started_at.clone().filter(|_| same),
            ..Status::default()
        }
    }

    fn done(self, done: &Done, status: Status) -> Status {
        let passed = passed(done);
        let status = Status {
            verdict: Some(done.verdict.clone()),
            exit_code: Some(done.exit_code.into()),
            started_at: instant(&done.started_at).or(status.started_at.clone()),
            completed_at: instant(&done.completed_at).or_else(|| Some(self.now.to_owned())),
            ..figures(status, done.rate, done.p99_s, done.error_rate)
        };
        let (ready, complete) = (("True", "Finished"), ("True", "Finished"));
        self.made(State { phase: Phase::Done, ready, complete, passed }, done.summary.clone(), status)
    }

    fn failed(self, reason: &'static str, message: String, status: Status) -> Status {
        let (ready, complete, passed) = (("False", reason), ("True", reason), ("False", "NotCarriedOut"));
        let completed_at = Some(self.now.to_owned());
        self.made(State { phase: Phase::Failed, ready, complete, passed }, message, Status { completed_at, ..status })
    }

    fn made(self, state: State, message: String, status: Status) -> Status {
        let condition = |kind: &str, (said, reason): Said| {
            let before = self.before.conditions.iter().find(|before| before.kind == kind && before.status == said);
            Condition {
                kind: kind.to_owned(),
                status: said.to_owned(),
                observed_generation: Some(self.generation),
                last_transition_time: before.map_or(self.now, |before| &before.last_transition_time).to_owned(),
                reason: reason.to_owned(),
                message: message.clone(),
            }
        };
        let (revision, of) = match self.revision.and_then(|revision| revision.split_once('@')) {
            Some((revision, of)) => (Some(revision), Some(of)),
            None => (self.revision, None),
        };
        let conditions =
            vec![condition(READY, state.ready), condition(COMPLETE, state.complete), condition(PASSED, state.passed)];
        Status {
            observed_generation: Some(self.generation),
            phase: Some(state.phase),
            revision: revision.map(str::to_owned),
            revision_of: of.map(str::to_owned),
            message: Some(message).filter(|message| !message.is_empty()),
            conditions,
            ..status
        }
    }
}

fn passed(done: &Done) -> Said {
    match done.exit_code {
        0 => ("True", "Passed"),
        1 => ("False", "Failed"),
        3 if done.verdict == "invalid" => ("False", "Invalid"),
        3 => ("False", "Inconclusive"),
        _ => ("False", "NotCarriedOut"),
    }
}

/// The API server takes nothing else.
fn instant(text: &str) -> Option<String> {
    text.parse::<jiff::Timestamp>().ok().map(|_| text.to_owned())
}

fn figures(status: Status, rate: Option<f64>, p99_s: Option<f64>, error_rate: Option<f64>) -> Status {
    let finite = |figure: Option<f64>| figure.filter(|figure| figure.is_finite());
    Status {
        rate: finite(rate).map(show_rate),
        p99: finite(p99_s).map(show_time),
        error_rate: finite(error_rate).map(show_share),
        ..status
    }
}

fn show_rate(rate: f64) -> String {
    let digits = match rate.abs() {
        x if x >= 100.0 => 0,
        x if x >= 10.0 => 1,
        _ => 2,
    };
    format!("{}/s", trimmed(format!("{rate:.digits$}")))
}

fn show_time(seconds: f64) -> String {
    let text = show_ns(seconds * 1e9);
    match text.find(char::is_alphabetic) {
        Some(unit) => format!("{} {}", &text[..unit], &text[unit..]),
        None => text,
    }
}

/// Neither all nor nothing where that is only rounding.
fn show_share(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 0.01 => "under 0.01%".to_owned(),
        percent if percent < 100.0 && percent > 99.99 => "over 99.99%".to_owned(),
        percent => format!("{}%", trimmed(format!("{percent:.2}"))),
    }
}

fn trimmed(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// When a status has to be written, the last one having been so long ago; nothing where it is the same.
pub(super) fn due(before: &Status, status: &Status, since: Option<Duration>) -> Option<Duration> {
    if before == status {
        return None;
    }
    match since {
        Some(since) if without_figures(before) == without_figures(status) => Some(FIGURES_EVERY.saturating_sub(since)),
        _ => Some(Duration::ZERO),
    }
}

fn without_figures(status: &Status) -> Status {
    let mut status = Status { rate: None, p99: None, error_rate: None, ..status.clone() };
    if status.phase == Some(Phase::Running) {
        status.message = None;
        status.conditions.iter_mut().for_each(|condition| condition.message.clear());
    }
    status
}

#[cfg(test)]
mod tests;
