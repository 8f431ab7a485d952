use proptest::prelude::*;

use super::*;
use crate::compare::model::Shown;

fn row(metric: &str, (difference, low, high): (f64, f64, f64), verdict: Verdict) -> Row {
    let statistic = metric.parse::<Metric>().unwrap().statistic;
    let mut row = Row {
        metric: metric.to_owned(),
        name: metric.to_owned(),
        scale: if statistic == Statistic::ErrorRate { Scale::Absolute } else { Scale::Relative },
        higher_is_better: statistic == Statistic::Rate,
        value_a: Some(0.1),
        value_b: Some(0.1),
        difference: Some(difference),
        low: Some(low),
        high: Some(high),
        p: Some(0.5),
        smallest: Some(0.04),
        verdict,
        suspected: false,
        note: None,
        shown: Shown::default(),
    };
    row.shown = show::row(&row, &statistic);
    row
}

fn check(condition: &str, row: &Row, state: OutcomeState) -> String {
    let (found, because) = judge_row(&condition.parse().unwrap(), row, 60.0);
    assert_eq!(found, state, "{condition}: {because}");
    because
}

#[test]
fn a_limit_is_settled_by_the_interval_alone() {
    use OutcomeState::{Holds, Inconclusive, Violated};
    let p99 = |figures| row("http/latency-p99", figures, Verdict::Same);
    check("http/latency-p99 worse by 5%", &p99((0.10, 0.06, 0.14)), Violated);
    check("http/latency-p99 worse by 5%", &p99((0.01, -0.02, 0.04)), Holds);
    let because = check("http/latency-p99 worse by 5%", &p99((0.10, 0.02, 0.18)), Inconclusive);
    assert!(because.contains("runs of about 150s") || because.contains("runs of about 3 minutes"), "{because}");
    let because = check("http/latency-p99 worse by 5%", &p99((0.05, 0.02, 0.08)), Inconclusive);
    assert!(because.contains("too close to the limit"), "{because}");
    // 5 ms of A's 100 ms are 5 %.
    check("http/latency-p99 worse by 5ms", &p99((0.10, 0.06, 0.14)), Violated);
    check("http/latency-p99 worse by 15ms", &p99((0.10, 0.06, 0.14)), Holds);
    check("http/latency-p99 better by 5%", &p99((-0.10, -0.14, -0.06)), Violated);
    check("http/latency-p99 better by 5%", &p99((0.10, 0.06, 0.14)), Holds);
    let rate = row("http/rate", (-0.10, -0.14, -0.06), Verdict::Worse);
    check("http/rate worse by 5%", &rate, Violated);
    check("http/rate better by 5%", &rate, Holds);
    check("http/error-rate worse by 0.1%", &row("http/error-rate", (0.004, 0.002, 0.006), Verdict::Worse), Violated);
    check("http/error-rate worse by 1%", &row("http/error-rate", (0.004, 0.002, 0.006), Verdict::Worse), Holds);
}

#[test]
fn without_a_limit_the_verdict_decides() {
    let worse = row("http/latency-p99", (0.1, 0.06, 0.14), Verdict::Worse);
    let same = row("http/latency-p99", (0.1, 0.06, 0.14), Verdict::Same);
    check("http/latency-p99 worse", &worse, OutcomeState::Violated);
    check("http/latency-p99 better", &worse, OutcomeState::Holds);
    let because = check("http/latency-p99 worse", &same, OutcomeState::Holds);
    assert!(because.contains("4% would have been"), "{because}");
    let unknown = Row { difference: None, low: None, high: None, note: Some("n too small".into()), ..same };
    assert_eq!(check("http/latency-p99 worse", &unknown, OutcomeState::Inconclusive), "n too small");
}

#[test]
fn what_does_not_fit_is_refused_with_its_mend() {
    for (text, mend) in [
        ("", "METRIC worse"),
        ("http/latency-p99", "METRIC worse"),
        ("http/latency-p99 worse by", "METRIC worse"),
        ("http/latency-p99 worse than 5%", "METRIC worse"),
        ("http/latency-p99 slower by 5%", "worse nor better"),
        ("http/latency-p99 worse by 5", "5ms"),
        ("http/latency-p99 worse by -5%", "5ms"),
        ("http/latency-p99 worse by NaN%", "5ms"),
        ("http/latency-p99 worse by 5/s", "5ms"),
        ("http/error-rate worse by 5ms", "0.1%"),
        ("http/rate worse by 5ms", "50/s"),
        ("http/latency-max worse by 5%", "percentile"),
        ("prom/cpu worse by 5%", "percentile"),
        ("latency-p99 worse by 5%", "http/"),
    ] {
        let error = text.parse::<FailIf>().unwrap_err().to_string();
        assert!(error.contains(mend), "{text}: {error}");
    }
    let spaced: FailIf = "  http/latency-p99  worse by 5 ms ".parse().unwrap();
    assert_eq!((spaced.limit, spaced.text.as_str()), (Some(Limit::Value(0.005)), "http/latency-p99  worse by 5 ms"));
}

proptest! {
    #[test]
    fn reads_what_it_writes(metric in 0usize..4, worse: bool, kind in 0u8..3, limit in 1u32..100_000) {
        let metric = ["http/latency-p99.9", "grpc-home/service-time-mean", "http/error-rate", "http/rate"][metric];
        let direction = if worse { "worse" } else { "better" };
        let value = f64::from(limit) / 1000.0;
        let by = match (kind, metric) {
            (0, _) => String::new(),
            (1, _) | (_, "http/error-rate") => format!(" by {value}%"),
            (_, "http/rate") => format!(" by {value}/s"),
            _ => format!(" by {value}ms"),
        };
        let read: FailIf = format!("{metric} {direction}{by}").parse().unwrap();
        let again: FailIf = read.to_string().parse().unwrap();
        prop_assert_eq!((&again.metric, again.direction), (&read.metric, read.direction));
        let number = |limit: Option<Limit>| limit.map(|(Limit::Share(value) | Limit::Value(value))| value);
        prop_assert!((number(again.limit).unwrap_or(0.0) - number(read.limit).unwrap_or(0.0)).abs() < 1e-9);
    }

    #[test]
    fn nothing_that_is_typed_makes_it_panic(text in ".{0,60}") {
        let _ = text.parse::<FailIf>();
        let _ = format!("http/latency-p99 worse by {text}").parse::<FailIf>();
    }
}
