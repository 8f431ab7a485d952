use super::*;
use crate::capacity::search::Votes;
use crate::report::model::{Distribution, Validity};

fn probe(number: usize, rate: f64, outcome: ProbeOutcome) -> Probe {
    Probe {
        number,
        run: "r".into(),
        purpose: "bracket".into(),
        t: 0.0,
        rate,
        achieved: rate,
        duration: 5.0,
        outcome,
        because: format!("because of {number}"),
        latency: Distribution {
            count: (rate * 5.0) as u64,
            mean: Some(0.01),
            p99: Some(0.02),
            ..Distribution::default()
        },
        latency_intervals: BTreeMap::new(),
        service_time: Distribution::default(),
        sent: (rate * 5.0) as u64,
        errors: 0,
        error_rate: 0.0,
        dropped: 0,
        backlog: 1.0,
        backlog_growth: None,
        validity: Validity::Valid,
        slos: Vec::new(),
        margin: None,
        settled_after: 0.0,
    }
}

fn search(ended: Ended, required: Option<f64>) -> Search {
    let settings = Settings {
        slos: vec!["http/latency-p99 <= 50ms".into()],
        start: 100.0,
        min: 10.0,
        max: 1e6,
        precision: 0.03,
        budget: 120.0,
        probes_max: 20,
        short_probe: 3.0,
        long_probe: 9.0,
        warmup: 1.0,
        cool_down: 1.0,
        arrivals: "uniform".into(),
        seed: 1,
        workers: 1,
        connections: None,
        requests: BTreeMap::new(),
    };
    Search {
        run: "r".into(),
        test: "t".into(),
        started_at: "2026-11-24T00:00:00Z".into(),
        duration: 60.0,
        settings,
        ended,
        notes: Vec::new(),
        required,
    }
}

fn edge(rate: f64, held: usize, broke: usize) -> Edge {
    Edge { rate, votes: Votes { held, broke, unclear: 0 } }
}

fn found() -> Answer {
    Answer::Interval {
        low: edge(980.0, 2, 0),
        high: edge(1020.0, 1, 2),
        estimate: 1001.0,
        error: None,
        method: Method::Middle,
        confidence: 0.93,
        precise: true,
        contradicted: None,
    }
}

#[test]
fn an_answer_says_what_it_rests_on() {
    let probes = vec![probe(1, 980.0, ProbeOutcome::Held), probe(2, 1020.0, ProbeOutcome::Broke)];
    let report = report(search(Ended::Answered, None), probes, &found());
    assert_eq!(report.summary, "capacity 1001/s, between 980/s and 1020/s (93% confidence)");
    assert_eq!(report.evidence, "held in 2 of 2 probes at 980/s, broke in 2 of 3 probes at 1020/s");
    assert_eq!((report.verdict, report.exit_code), (CapacityVerdict::Found, 0));
    assert_eq!(report.limited_by.as_deref(), Some("because of 2"));
    for text in [super::super::text(&report, false), super::super::markdown(&report)] {
        assert!(text.contains("980/s") && text.contains("because of 2"), "{text}");
    }
}

#[test]
fn a_requirement_decides_the_exit_code() {
    let code =
        |required: f64, answer: &Answer| report(search(Ended::Answered, Some(required)), vec![], answer).exit_code;
    assert_eq!([900.0, 1000.0, 1020.0, 2000.0].map(|rate| code(rate, &found())), [0, 3, 1, 1]);
    let at_least = Answer::AtLeast { edge: edge(500.0, 1, 0), because: Because::Max };
    assert_eq!([500.0, 501.0].map(|rate| code(rate, &at_least)), [0, 3]);
}

#[test]
fn what_is_no_answer_is_no_capacity() {
    let of =
        |ended: Ended, answer: Answer| report(search(ended, None), vec![probe(1, 10.0, ProbeOutcome::Broke)], &answer);
    let fails = of(Ended::Answered, Answer::Refused(Refusal::FailsAtLowest { rate: 10.0 }));
    assert_eq!((fails.verdict, fails.exit_code, fails.estimate), (CapacityVerdict::Fails, 1, None));
    assert!(fails.reasons.iter().any(|reason| reason.contains("because of 1")));
    let generator = of(Ended::Answered, Answer::Refused(Refusal::GeneratorAtLowest { rate: 10.0 }));
    assert_eq!((generator.exit_code, generator.low), (3, None));
    let gone = of(Ended::TargetGone("refused".into()), found());
    assert_eq!((gone.verdict, gone.exit_code, gone.low), (CapacityVerdict::BrokenOff, 4, Some(980.0)));
    assert!(
        gone.reasons.iter().any(|reason| reason.contains("after probe 1 at 10.0/s: refused")),
        "{:?}",
        gone.reasons
    );
    assert_eq!(of(Ended::Interrupted, found()).exit_code, 130);
    let wide = Answer::Interval {
        low: edge(200.0, 1, 0),
        high: edge(1600.0, 0, 1),
        estimate: 566.0,
        error: None,
        method: Method::Middle,
        confidence: 0.9,
        precise: false,
        contradicted: None,
    };
    let wide = of(Ended::Budget, wide);
    assert_eq!((wide.verdict, wide.exit_code, wide.estimate), (CapacityVerdict::AtLeast, 3, None));
    assert!(wide.summary.contains("at least 200/s") && wide.summary.contains("less than 1600/s"), "{}", wide.summary);
}
