use loadgrid_worker::interval::{Interval, Key, Series};
use std::collections::BTreeMap;

use super::build::{Circumstance, build};
use super::model::{Report, RunVerdict, Validity};
use super::{Format, render};
use crate::grid::{Command, RunState, StopReason};
use crate::plan::{Capacity, Plan};
use crate::spec::{Draft, DraftRequest, Sourced, load};
use loadgrid_proto::histogram::Recorder;

/// What a test changes of a run in which 3,000 requests of 10 ms went well, over two workers.
#[derive(Clone, Copy)]
struct Change {
    lag_ns: u64,
    slow_ns: u64,
    errors: u64,
    silent: bool,
    stop: bool,
}

const GOOD: Change = Change { lag_ns: 50_000, slow_ns: 12_000_000, errors: 0, silent: false, stop: false };

fn interval(sequence: u64, change: Change) -> Interval {
    let mut recorders: [Recorder; 4] = Default::default();
    for i in 0..150 {
        let [latency, lag, wait, service] = &mut recorders;
        let time = if i % 10 == 0 { change.slow_ns } else { 10_000_000 };
        latency.record(time + change.lag_ns);
        lag.record(change.lag_ns);
        wait.record(0);
        service.record(time);
    }
    let [latency, dispatch_lag, connection_wait, service_time] = recorders.map(|mut recorder| recorder.drain());
    let series = Series {
        due: 150,
        started: 150,
        completed: 150 - change.errors,
        errors: change.errors,
        late: if change.lag_ns > 1_000_000 { 150 } else { 0 },
        latency,
        dispatch_lag,
        connection_wait,
        service_time,
        ..Series::default()
    };
    let second = 1_000_000_000;
    Interval {
        first_sequence: sequence,
        sequence,
        start_ns: (sequence - 1) * second,
        end_ns: sequence * second,
        series: BTreeMap::from([(Key { warmup: false, request: 0 }, series)]),
        ..Interval::default()
    }
}

fn report(change: Change, slos: &[&str]) -> Report {
    let flags = Draft {
        requests: vec![DraftRequest { url: Some(Sourced::flag("--url", "http://a/")), ..DraftRequest::default() }],
        rate: Some(Sourced::flag("--rate", "300/s")),
        duration: Some(Sourced::flag("--duration", "10s")),
        slos: slos.iter().map(|slo| Sourced::flag("--slo", *slo)).collect(),
        ..Draft::default()
    };
    let plan = Plan { run: "01TEST".into(), seed: 7, test: load(None, flags).unwrap() };
    let mut state = RunState::new(plan);
    let mut apply = |command| state.apply(command).unwrap();
    for worker in ["w1", "w2"] {
        let capacity = Capacity { lanes: 1, max_connections: 5000 };
        apply(Command::Join { worker: worker.into(), name: worker.into(), capacity });
    }
    apply(Command::Assign { planned: vec![(0, Some(1500)); 2] });
    for worker in ["w1", "w2"] {
        apply(Command::Ready { worker: worker.into(), planned_warmup: 0, planned: 1500, clock_bound_ns: 9 });
    }
    apply(Command::Start { start_ns: 0 });
    for worker in ["w1", "w2"] {
        let gone = change.silent && worker == "w2";
        for sequence in 1..=if gone { 5 } else { 10 } {
            let interval = Box::new(interval(sequence, change));
            apply(Command::Interval { worker: worker.into(), interval });
        }
        apply(match gone {
            true => Command::Lose { worker: worker.into(), why: String::new() },
            false => Command::Farewell {
                worker: worker.into(),
                last_sequence: 10,
                not_started_warmup: 0,
                not_started: 0,
                reason: String::new(),
            },
        });
    }
    if change.stop {
        apply(Command::Stop { reason: StopReason::Interrupted });
    }
    build(
        &state,
        &Circumstance { started_at: "2026-11-24T09:00:00Z".into(), confidence: true, ready: vec![], outside: vec![] },
    )
    .unwrap()
}

const MET: &str = "http/latency-p50 <= 20ms";
const MISSED: &str = "http/latency-p50 <= 5ms";

#[test]
fn the_verdict_fails_closed() {
    let verdict = |change: Change, slo: &str| {
        let report = report(change, &[slo]);
        (report.verdict, report.validity, report.exit_code)
    };
    use {RunVerdict as V, Validity as A};
    assert_eq!(verdict(GOOD, MET), (V::Pass, A::Valid, 0));
    assert_eq!(verdict(GOOD, MISSED), (V::Fail, A::Valid, 1));
    assert_eq!(verdict(GOOD, "http/latency-p99.99 <= 20ms"), (V::Inconclusive, A::Valid, 3));
    // A lagging generator measures itself, whatever the objective says.
    for slo in [MET, MISSED] {
        assert_eq!(verdict(Change { lag_ns: 30_000_000, ..GOOD }, slo), (V::Invalid, A::Invalid, 3));
    }
    assert_eq!(verdict(Change { silent: true, ..GOOD }, MET), (V::Inconclusive, A::Degraded, 3));
    assert_eq!(verdict(Change { silent: true, ..GOOD }, MISSED).0, V::Fail);
    assert_eq!(verdict(Change { stop: true, ..GOOD }, MET), (V::Inconclusive, A::Valid, 130));
    assert_eq!(verdict(Change { errors: 150, ..GOOD }, MET).0, V::Fail);
}

#[test]
fn no_format_passes_anything_out_of_an_invalid_run() {
    let report = report(Change { lag_ns: 30_000_000, ..GOOD }, &[MET]);
    for format in Format::ALL {
        let text = render(&report, format, false).unwrap();
        let passes = ["PASS", "\"pass\"", ">pass<"].iter().any(|word| text.contains(word));
        assert!(!passes, "{format} of an invalid run");
    }
    assert!(report.slos.iter().all(|slo| slo.verdict == RunVerdict::Invalid));
}

#[test]
fn what_is_stored_is_what_was_built() {
    let report = report(GOOD, &[MET, MISSED]);
    let text = render(&report, Format::Json, false).unwrap();
    assert!(super::parse(&text).unwrap() == report);
}

#[test]
fn the_golden_sample_of_version_1_is_still_read() {
    let text = include_str!("../../../tests/golden/report-v1.json");
    let report = super::parse(text).unwrap();
    assert_eq!((report.schema.as_str(), report.load.planned), (super::model::SCHEMA, 3000));
    for format in Format::ALL {
        assert!(!render(&report, format, true).unwrap().is_empty());
    }
}

#[test]
fn the_text_report_reads_as_people_know_it() {
    insta::assert_snapshot!(
        render(&report(Change { silent: true, errors: 1, ..GOOD }, &[MET, MISSED]), Format::Text, false).unwrap()
    );
}

#[test]
fn the_markdown_report_reads_as_people_know_it() {
    insta::assert_snapshot!(render(&report(GOOD, &[MET, MISSED]), Format::Markdown, false).unwrap());
}

#[test]
fn the_junit_report_reads_as_machines_know_it() {
    insta::assert_snapshot!(render(&report(GOOD, &[MET, MISSED]), Format::Junit, false).unwrap());
}
