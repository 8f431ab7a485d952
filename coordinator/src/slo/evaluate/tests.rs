use std::collections::BTreeMap;

use loadgrid_worker::interval::{Interval, Key, Series};

use super::*;
use crate::results::WorkerResults;

const SECOND: u64 = 1_000_000_000;

/// Ten seconds of `per_second` requests, of which every `slow_every`-th takes 100 ms instead of 10 ms.
fn results(per_second: u64, slow_every: u64, dropped: u64) -> Results {
    let workers = BTreeMap::from([("w".to_owned(), WorkerResults::default())]);
    let mut results = Results::new(workers, SECOND);
    for sequence in 1..=10 {
        let mut recorder = Recorder::default();
        (0..per_second).for_each(|i| recorder.record(if i % slow_every == 0 { 100_000_000 } else { 10_000_000 }));
        let series = Series {
            completed: per_second - 1,
            errors: 1,
            dropped: dropped / 10,
            latency: recorder.drain(),
            ..Series::default()
        };
        let interval = Interval {
            first_sequence: sequence,
            sequence,
            start_ns: (sequence - 1) * SECOND,
            end_ns: sequence * SECOND,
            series: BTreeMap::from([(Key { warmup: false, request: 0 }, series)]),
            ..Interval::default()
        };
        results.merge("w", &interval);
    }
    results
}

fn context() -> Context<'static> {
    static NOBODY: BTreeMap<String, Result<f64, String>> = BTreeMap::new();
    Context {
        requests: vec![(Group::Http, "home")],
        outside: &NOBODY,
        seconds: 10.0,
        confidence: true,
        max_wait_ns: 10 * SECOND,
    }
}

fn check(results: &Results, slo: &str, verdict: Verdict) -> Judgement {
    let judgement = judge_one(&slo.parse().unwrap(), results, &context());
    assert_eq!(judgement.verdict, verdict, "{slo}: {judgement:?}");
    judgement
}

#[test]
fn an_interval_on_one_side_of_the_limit_settles_it() {
    let results = results(1000, 200, 0);
    check(&results, "http/latency-p99 <= 50ms", Verdict::Pass);
    check(&results, "http/latency-p99.9 <= 50ms", Verdict::Fail);
    check(&results, "http/latency-p99.9 >= 50ms", Verdict::Pass);
    check(&results, "http-home/latency-p50 <= 5ms", Verdict::Fail);
}

#[test]
fn too_small_a_sample_says_how_many_more() {
    let judgement = check(&results(20, 1_000_000, 0), "http/latency-p99 <= 500ms", Verdict::Inconclusive);
    let note = judgement.note.unwrap();
    assert!(note.contains("n too small") && note.contains("more requests"), "{note}");
    assert_eq!(judgement.interval.unwrap().1, None);
}

#[test]
fn too_close_to_the_limit_is_inconclusive_and_face_value_is_not() {
    // 0.98 % are slow.
    let close = results(1020, 102, 0);
    let judgement = check(&close, "http/latency-p99 <= 50ms", Verdict::Inconclusive);
    assert!(judgement.note.unwrap().contains("too close"));
    let slo: Slo = "http/latency-p99 <= 50ms".parse().unwrap();
    let off = Context { confidence: false, ..context() };
    assert_eq!(judge_one(&slo, &close, &off).verdict, Verdict::Pass);
}

#[test]
fn counts_rates_and_means_are_judged_at_face_value() {
    let results = results(1000, 200, 0);
    check(&results, "http/error-count <= 10", Verdict::Pass);
    check(&results, "http/error-count <= 9", Verdict::Fail);
    check(&results, "http/error-rate <= 0.1%", Verdict::Pass);
    check(&results, "http/rate >= 1000/s", Verdict::Pass);
    check(&results, "http/request-count >= 10001", Verdict::Fail);
    check(&results, "http/latency-mean <= 10.5ms", Verdict::Pass);
    check(&results, "http/latency-max <= 100ms", Verdict::Pass);
}

#[test]
fn a_missing_metric_is_a_failed_objective_that_says_so() {
    let empty = Results::new(BTreeMap::new(), SECOND);
    for slo in ["http/latency-p99 <= 50ms", "http/latency-mean <= 50ms", "http/error-rate <= 1%", "http-x/rate >= 1/s"]
    {
        let judgement = check(&empty, slo, Verdict::Fail);
        assert_eq!(judgement.observed, None);
        assert!(judgement.note.is_some());
    }
}

#[test]
fn what_was_dropped_counts_against_the_latency() {
    let judgement = check(&results(1000, 1_000_000, 500), "http/latency-p99 <= 50ms", Verdict::Fail);
    assert!(judgement.note.unwrap().contains("500 dropped"));
    // The quantiles that are shown stay those of what was sent.
    check(&results(1000, 1_000_000, 500), "http/latency-p50 <= 50ms", Verdict::Pass);
}
