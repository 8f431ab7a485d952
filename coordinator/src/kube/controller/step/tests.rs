use super::*;
use crate::kube::controller::Declined;
use crate::kube::controller::events::between;
use crate::kube::controller::fake::{Fake, done, running, test};
use serde_json::{Value, json};

const NOW: &str = "2026-11-24T19:01:00Z";

fn spec() -> Value {
    json!({"requests": [{"http": {"url": "http://a/"}}], "load": {"rate": "5/s", "duration": "1s"}})
}

fn with(key: &str, value: Value) -> Value {
    let mut spec = spec();
    spec.as_object_mut().unwrap().insert(key.to_owned(), value);
    spec
}

/// A LoadTest that is seen to again and again.
struct Watched {
    test: LoadTest,
    status: Status,
    runs: Fake,
    state: State,
    told: Vec<String>,
    stopped: Vec<String>,
}

impl Watched {
    fn new(spec: Value) -> Self {
        let state = State::Unknown;
        Watched {
            test: test(spec),
            status: Status::default(),
            runs: Fake::default(),
            state,
            told: vec![],
            stopped: vec![],
        }
    }

    /// One look, as the controller does it.
    fn look(&mut self) -> Then {
        let before = self.status.clone();
        let now = Now { test: &self.test, before: &before, now: NOW };
        let Next { stop, then } = now.next(&self.runs, |_| self.state.clone());
        self.stopped.extend(stop.map(|(run, reason)| format!("{run}: {reason}")));
        let status = match &then {
            Then::Submit(order) => match self.runs.submit(order.as_ref().clone()) {
                Ok(run) => now.submitted(order, &run, &self.runs),
                Err(Declined::Refused(refused)) => now.refused(order, &refused),
                Err(Declined::Busy(why)) => now.busy(order, why),
            },
            Then::Show(status) => status.as_ref().clone(),
            _ => return then,
        };
        self.told.extend(between(&before, &status).into_iter().map(|told| format!("{}: {}", told.reason, told.note)));
        self.status = status;
        then
    }

    fn change(&mut self, spec: Value) {
        self.test.spec = spec.as_object().unwrap().clone();
        self.test.metadata.generation = self.test.metadata.generation.map(|generation| generation + 1);
    }

    fn orders(&self) -> usize {
        self.runs.orders.lock().unwrap().len()
    }

    fn reason(&self, kind: &str) -> &str {
        &self.status.conditions.iter().find(|condition| condition.kind == kind).unwrap().reason
    }
}

#[test]
fn a_test_is_run_once_and_its_end_stays() {
    let mut watched = Watched::new(spec());
    assert!(matches!(watched.look(), Then::Submit(_)));
    assert_eq!(watched.status.phase, Some(Phase::Queued));
    watched.runs.is("run-1", running(5));
    watched.look();
    watched.look();
    watched.runs.is("run-1", done(0, "pass"));
    watched.look();
    let end = watched.status.clone();
    assert_eq!((end.phase, end.verdict.as_deref()), (Some(Phase::Done), Some("pass")));
    // Retention drops it from the store one day.
    watched.runs.lose();
    watched.look();
    assert_eq!(watched.status, end);
    assert_eq!(watched.orders(), 1);
    assert_eq!(
        watched.told,
        ["Submitted: run run-1", "Started: run run-1", "Passed: run run-1: all 3 objectives hold"]
    );
    assert!(watched.stopped.is_empty());
}

#[test]
fn a_changed_spec_stops_its_run_and_runs_again() {
    let mut watched = Watched::new(spec());
    watched.look();
    watched.runs.is("run-1", running(5));
    watched.look();
    watched.change(with("rerun", json!("1")));
    assert!(matches!(watched.look(), Then::Submit(_)));
    assert_eq!(watched.stopped, ["run-1: LoadTest apps/hello was changed"]);
    assert_eq!((watched.status.run.as_deref(), watched.status.observed_generation), (Some("run-2"), Some(4)));
    // One that is over is not stopped.
    watched.runs.is("run-2", done(1, "fail"));
    watched.look();
    watched.change(spec());
    watched.look();
    assert_eq!((watched.stopped.len(), watched.orders()), (1, 3));
}

#[test]
fn a_controller_that_was_away_picks_up_by_key() {
    let mut watched = Watched::new(spec());
    watched.look();
    // It ended before it could write that down.
    watched.status = Status::default();
    watched.runs.is("run-1", running(5));
    watched.look();
    assert_eq!((watched.status.run.as_deref(), watched.orders()), (Some("run-1"), 1));
    watched.runs.is("run-1", done(0, "pass"));
    watched.status = Status::default();
    watched.look();
    assert_eq!((watched.status.phase, watched.orders()), (Some(Phase::Done), 1));
}

#[test]
fn a_run_that_is_not_known_any_more_was_broken_off() {
    for lost_key_too in [true, false] {
        let mut watched = Watched::new(spec());
        watched.look();
        watched.runs.is("run-1", running(5));
        watched.look();
        match lost_key_too {
            true => watched.runs.lose(),
            false => watched.runs.progress.lock().unwrap().clear(),
        }
        watched.look();
        assert_eq!(watched.status.phase, Some(Phase::Failed));
        assert_eq!(watched.reason("Ready"), "BrokenOff");
        assert!(watched.status.message.as_deref().unwrap().contains("run run-1 was broken off"));
        watched.look();
        assert_eq!(watched.orders(), 1, "it is not run again by itself");
        assert!(watched.told.last().unwrap().starts_with("BrokenOff: "));
    }
}

#[test]
fn what_is_refused_runs_nothing_and_is_told_once() {
    let mut watched = Watched::new(with("workers", json!(0)));
    watched.look();
    let first = watched.status.clone();
    assert_eq!(first.message.as_deref(), Some("spec.workers: 0 workers: nothing would be sent"));
    watched.look();
    assert_eq!(watched.status, first);
    assert_eq!((watched.orders(), watched.told.len()), (0, 1));
    watched.change(with("workers", json!(2)));
    watched.look();
    assert_eq!(watched.orders(), 1);
    // A change of a running test to one that is refused ends it.
    watched.change(with("workers", json!(0)));
    watched.look();
    assert_eq!(watched.stopped, ["run-1: LoadTest apps/hello was changed"]);
    assert_eq!(watched.reason("Ready"), "Refused");
}

#[test]
fn a_suspended_test_is_stopped_and_runs_when_it_is_let_go() {
    let mut watched = Watched::new(spec());
    watched.look();
    watched.change(with("suspend", json!(true)));
    watched.look();
    watched.look();
    assert!(watched.stopped.iter().all(|stopped| stopped.starts_with("run-1: ")) && !watched.stopped.is_empty());
    assert_eq!((watched.status.phase, watched.reason("Complete")), (Some(Phase::Pending), "Suspended"));
    assert_eq!(watched.orders(), 1);
    watched.change(spec());
    watched.look();
    assert_eq!(watched.orders(), 2);
}

#[test]
fn each_ready_revision_runs_once() {
    let mut watched = Watched::new(with("trigger", json!({"ksvc": "hello"})));
    assert_eq!(watched.look(), Then::Nothing, "nothing is said before anything is known");
    watched.state = State::Waiting("there is none".to_owned());
    watched.look();
    assert_eq!((watched.status.phase, watched.orders()), (Some(Phase::Pending), 0));
    assert!(watched.status.message.as_deref().unwrap().contains("hello: there is none"));
    watched.state = State::Revision("hello-1".to_owned());
    watched.look();
    watched.look();
    assert_eq!((watched.status.revision.as_deref(), watched.orders()), (Some("hello-1"), 1));
    watched.runs.is("run-1", done(0, "pass"));
    watched.look();
    watched.look();
    assert_eq!(watched.orders(), 1);
    watched.state = State::Revision("hello-2@77aa".to_owned());
    watched.look();
    assert_eq!((watched.status.revision.as_deref(), watched.orders()), (Some("hello-2"), 2));
    assert_eq!(watched.status.phase, Some(Phase::Queued));
    // A Service that can't be seen for a while changes nothing.
    for state in [State::Waiting("away".to_owned()), State::Unknown] {
        watched.state = state;
        watched.look();
        assert_eq!(watched.status.revision.as_deref(), Some("hello-2"));
    }
    // Another Service of that name counts its revisions from 1 too.
    watched.runs.is("run-2", done(0, "pass"));
    watched.look();
    watched.state = State::Revision("hello-2@4f2a".to_owned());
    watched.look();
    assert_eq!((watched.status.revision.as_deref(), watched.orders()), (Some("hello-2"), 3));
    watched.state = State::Unknown;
    watched.look();
    assert_eq!((watched.status.revision_of.as_deref(), watched.orders()), (Some("4f2a"), 3));
    // A newer revision while the older one is still under test.
    watched.state = State::Revision("hello-3".to_owned());
    watched.look();
    assert_eq!(watched.stopped, ["run-3: LoadTest apps/hello is about another revision or spec now"]);
    assert_eq!(watched.told.iter().filter(|told| told.starts_with("Submitted")).count(), 4);
    assert_eq!(watched.told[0], "Submitted: run run-1 for revision hello-1");
}

#[test]
fn a_deletion_waits_until_its_run_has_stopped() {
    let deleted = |watched: &mut Watched| {
        watched.test.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-24T19:00:00Z")).unwrap();
        // The API server counts it as a change of the spec.
        watched.test.metadata.generation = watched.test.metadata.generation.map(|generation| generation + 1);
    };
    let mut watched = Watched::new(spec());
    watched.look();
    deleted(&mut watched);
    assert_eq!(watched.look(), Then::Hold);
    assert_eq!(watched.stopped, ["run-1: LoadTest apps/hello was deleted"]);
    watched.runs.is("run-1", done(130, "inconclusive"));
    assert_eq!(watched.look(), Then::LetGo);
    // Deleted between its order and its first status.
    let mut watched = Watched::new(spec());
    watched.look();
    watched.status = Status::default();
    deleted(&mut watched);
    assert_eq!(watched.look(), Then::Hold);
    watched.runs.lose();
    assert_eq!(watched.look(), Then::LetGo);
    assert_eq!(watched.orders(), 1);
}
