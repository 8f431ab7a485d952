//! What has to be done about a LoadTest next. It asks for runs, and stops none itself; the API server is not known here.

use kube::ResourceExt;

use super::status::Of;
use super::{Order, Progress, Refused, Runs, asked, order};
use crate::kube::resource::{LoadTest, Only, Phase, Status};
use crate::kube::trigger::State;

/// A LoadTest and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Now<'a> {
    pub test: &'a LoadTest,
    /// The last status that was written.
    pub before: &'a Status,
    /// RFC 3339.
    pub now: &'a str,
}

/// What has to be done.
#[derive(Debug, PartialEq)]
pub(super) struct Next {
    /// First this run is stopped, for a reason.
    pub stop: Option<(String, String)>,
    pub then: Then,
}

#[derive(Debug, PartialEq)]
pub(super) enum Then {
    /// The deletion may go on.
    LetGo,
    /// The deletion waits for the run.
    Hold,
    Submit(Box<Order>),
    /// The status is this.
    Show(Box<Status>),
    /// Not known yet; it will be asked again.
    Nothing,
}

impl<'a> Now<'a> {
    /// What has to be done; `trigger` looks at a Knative Service of the test's namespace.
    pub(super) fn next(self, runs: &dyn Runs, trigger: impl Fn(&str) -> State) -> Next {
        if self.test.metadata.deletion_timestamp.is_some() {
            return self.deletion(runs);
        }
        let only = match order::only(self.test).and_then(|only| asked::check(self.test).map(|()| only)) {
            Ok(only) => only,
            Err(refused) => return self.without_run(runs, |of| of.refused(&refused)),
        };
        if only.suspend {
            return self
                .without_run(runs, |of| of.pending("Suspended", "nothing runs while spec.suspend is true".into()));
        }
        match only.trigger.as_ref().map(|of| (of, trigger(&of.ksvc))) {
            None => self.of_revision(runs, &only, None),
            Some((_, State::Revision(revision))) => self.of_revision(runs, &only, Some(&revision)),
            Some((trigger, state)) => match (self.seen(), state) {
                // What is under way goes on, whatever becomes of its Service.
                (Some(revision), _) if self.before.observed_generation == Some(self.generation()) => {
                    self.of_revision(runs, &only, Some(&revision))
                }
                (_, State::Waiting(why)) => {
                    let message =
                        format!("waiting for a ready revision of the Knative Service {}: {why}", trigger.ksvc);
                    self.without_run(runs, |of| of.pending("WaitingForRevision", message))
                }
                (..) => Next { stop: None, then: Then::Nothing },
            },
        }
    }

    /// The status of an order that was not taken on.
    pub(super) fn refused(self, order: &Order, refused: &Refused) -> Status {
        self.of(revision(&order.key)).refused(refused)
    }

    /// The status of an order that is given again later.
    pub(super) fn busy(self, order: &Order, why: String) -> Status {
        self.of(revision(&order.key)).pending("Busy", why)
    }

    /// The status of a run that was just taken on.
    pub(super) fn submitted(self, order: &Order, run: &str, runs: &dyn Runs) -> Status {
        let queued = Progress::Queued { why: "taken on".to_owned() };
        let progress = runs.progress(run).unwrap_or(queued);
        self.of(revision(&order.key)).at(run, &progress, runs.link(run))
    }

    fn generation(self) -> i64 {
        self.test.metadata.generation.unwrap_or_default()
    }

    /// Whether the status is about this revision. One of an earlier version names no Service.
    fn is_about(self, revision: Option<&str>) -> bool {
        match (&self.before.revision, &self.before.revision_of) {
            (Some(name), None) => revision.map(|revision| revision.split('@').next().unwrap_or(revision)) == Some(name),
            _ => self.seen().as_deref() == revision,
        }
    }

    /// The revision that the status is about, as the trigger says it.
    fn seen(self) -> Option<String> {
        let name = self.before.revision.as_ref()?;
        Some(match &self.before.revision_of {
            Some(of) => format!("{name}@{of}"),
            None => name.clone(),
        })
    }

    fn of(self, revision: Option<&'a str>) -> Of<'a> {
        Of { generation: self.generation(), revision, before: self.before, now: self.now }
    }

    /// The run that the status says is under way.
    fn under_way(self) -> Option<&'a str> {
        self.before.run.as_deref().filter(|_| !self.before.phase.is_some_and(Phase::is_over))
    }

    fn stop(self, runs: &dyn Runs, run: Option<&str>, why: &str) -> Option<(String, String)> {
        let run = run.filter(|run| goes_on(runs, run))?;
        Some((run.to_owned(), format!("{} {why}", order::by(self.test))))
    }

    fn deletion(self, runs: &dyn Runs) -> Next {
        // Between an order and its status there was none that names the run; and the deletion is a generation of its own.
        let keys = order::keys_of(&self.test.uid().unwrap_or_default());
        let open = runs.open().into_iter().find(|open| open.key.starts_with(&keys)).map(|open| open.run);
        let run = self.under_way().filter(|run| goes_on(runs, run)).or(open.as_deref());
        let stop = self.stop(runs, run, "was deleted");
        let then = if stop.is_some() { Then::Hold } else { Then::LetGo };
        Next { stop, then }
    }

    /// Nothing runs; a status that says so already, of the same spec, stays as it is.
    fn without_run(self, runs: &dyn Runs, status: impl FnOnce(Of<'a>) -> Status) -> Next {
        let made = status(self.of(None));
        let told = Status { completed_at: self.before.completed_at.clone(), ..made.clone() };
        let then = Then::Show(Box::new(if told == *self.before { told } else { made }));
        Next { stop: self.stop(runs, self.under_way(), "was changed"), then }
    }

    fn of_revision(self, runs: &dyn Runs, only: &Only, revision: Option<&str>) -> Next {
        let same = self.before.observed_generation == Some(self.generation())
            && self.is_about(revision)
            && self.before.phase.is_some_and(|phase| phase != Phase::Pending);
        if same && self.before.phase.is_some_and(Phase::is_over) {
            return Next { stop: None, then: Then::Show(Box::new(self.before.clone())) };
        }
        let by_key = runs.by_key(&order::key(self.test, revision));
        let run = by_key.or_else(|| self.before.run.clone().filter(|_| same));
        let old = self.under_way().filter(|old| run.as_deref() != Some(*old));
        let why = if revision.is_some() { "is about another revision or spec now" } else { "was changed" };
        let stop = self.stop(runs, old, why);
        let of = self.of(revision);
        let then = match run {
            None => Then::Submit(Box::new(order::order(self.test, only, revision))),
            Some(run) => Then::Show(Box::new(match runs.progress(&run) {
                Some(progress) => of.at(&run, &progress, runs.link(&run)),
                None => of.broken_off(&run),
            })),
        };
        Next { stop, then }
    }
}

fn goes_on(runs: &dyn Runs, run: &str) -> bool {
    runs.progress(run).is_some_and(|progress| !matches!(progress, Progress::Done(_) | Progress::Failed { .. }))
}

/// The revision in an order's key.
fn revision(key: &str) -> Option<&str> {
    key.splitn(3, '/').nth(2)
}

#[cfg(test)]
mod tests;
