use std::collections::BTreeMap;

use loadgrid_worker::interval::{Key, Series};

use super::*;
use crate::results::coverage::Coverage;
use crate::spec::{Draft, Sourced, load};

fn state(workers: usize) -> RunState {
    let mut flags = Draft {
        requests: vec![Default::default()],
        rate: Some(Sourced::flag("--rate", "100/s")),
        duration: Some(Sourced::flag("--duration", "3s")),
        ..Draft::default()
    };
    flags.requests[0].url = Some(Sourced::flag("--url", "http://a/"));
    let mut state = RunState::new(Plan { run: "r".into(), seed: 1, test: load(None, flags).unwrap() });
    for id in 0..workers {
        let capacity = Capacity { lanes: 1, max_connections: 1000 };
        state.apply(Command::Join { worker: format!("w{id}"), name: format!("n{id}"), capacity }).unwrap();
    }
    state
}

fn assign(state: &mut RunState) {
    let planned = state.shares().unwrap().into_iter().map(|share| state.plan.planned(share)).collect();
    state.apply(Command::Assign { planned }).unwrap();
}

fn running(workers: usize) -> RunState {
    let mut state = state(workers);
    assign(&mut state);
    for id in 0..workers {
        state.apply(ready(id, 300 / workers as u64)).unwrap();
    }
    state.apply(Command::Start { start_ns: 5 }).unwrap();
    state
}

fn ready(id: usize, planned: u64) -> Command {
    Command::Ready { worker: format!("w{id}"), planned_warmup: 0, planned, clock_bound_ns: 1 }
}

fn interval(id: usize, sequence: u64, completed: u64) -> Command {
    let series = BTreeMap::from([(Key { warmup: false, request: 0 }, Series { completed, ..Series::default() })]);
    let interval = Interval { first_sequence: sequence, sequence, series, ..Interval::default() };
    Command::Interval { worker: format!("w{id}"), interval: Box::new(interval) }
}

fn farewell(id: usize, last_sequence: u64) -> Command {
    Command::Farewell {
        worker: format!("w{id}"),
        last_sequence,
        not_started_warmup: 0,
        not_started: 0,
        reason: String::new(),
    }
}

#[test]
fn a_run_goes_from_joining_to_farewell() {
    let mut state = running(2);
    assert_eq!(state.apply(interval(0, 1, 150)), Ok(Applied::Merged { up_to: 1 }));
    assert_eq!(state.apply(interval(0, 1, 150)), Ok(Applied::Merged { up_to: 1 }));
    state.apply(interval(1, 1, 150)).unwrap();
    state.apply(farewell(0, 1)).unwrap();
    assert!(!state.is_settled());
    state.apply(farewell(1, 1)).unwrap();
    assert!(state.is_settled());
    let coverage = Coverage::of(&state.results);
    assert_eq!((coverage.planned, coverage.completed, coverage.lost), (300, 300, 0));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut state = running(1);
    let capacity = Capacity { lanes: 1, max_connections: 1 };
    let late = Command::Join { worker: "w9".into(), name: "late".into(), capacity };
    assert_eq!(state.apply(late), Err(Rejected::TooLate));
    assert_eq!(state.apply(interval(9, 1, 5)), Err(Rejected::Stranger));
    assert_eq!(state.apply(interval(0, 2, 5)), Err(Rejected::Gap));
    assert_eq!(state.apply(farewell(0, 1)), Err(Rejected::Gap));
    assert_eq!(state.apply(Command::Start { start_ns: 9 }), Err(Rejected::TooLate));
    assert_eq!(state.results.sent_and_errors(), (0, 0));
    assert_eq!(state.phase, Phase::Running { start_ns: 5 });
}

#[test]
fn a_lost_worker_stays_lost_and_its_account_closed() {
    let mut state = running(3);
    for id in 0..3 {
        state.apply(interval(id, 1, 40)).unwrap();
    }
    state.apply(Command::Away { worker: "w1".into(), now_ns: 7 }).unwrap();
    assert_eq!(state.members["w1"].away_ns, Some(7));
    state.apply(Command::Lose { worker: "w1".into(), why: String::new() }).unwrap();
    assert_eq!(state.apply(interval(1, 2, 60)), Err(Rejected::TooLate));
    assert_eq!(state.apply(farewell(1, 1)), Err(Rejected::TooLate));
    for id in [0, 2] {
        state.apply(interval(id, 2, 60)).unwrap();
        state.apply(farewell(id, 2)).unwrap();
    }
    assert!(state.is_settled());
    assert_eq!(state.lost(), vec!["n1"]);
    let coverage = Coverage::of(&state.results);
    assert_eq!((coverage.planned, coverage.completed, coverage.lost), (300, 240, 60));
    assert!(coverage.adds_up());
}

#[test]
fn a_worker_that_plans_something_else_is_refused() {
    let mut state = state(1);
    assign(&mut state);
    assert!(matches!(state.apply(ready(0, 299)), Err(Rejected::Run(RunError::PlansDiffer { ours: 300, .. }))));
}

#[test]
fn nobody_starts_before_all_are_ready() {
    let mut state = state(2);
    assign(&mut state);
    state.apply(ready(0, 150)).unwrap();
    assert_eq!(state.apply(Command::Start { start_ns: 1 }), Err(Rejected::TooLate));
}
