//! What is drawn, and what is not.

use proptest::prelude::*;

use super::frame::{Form, Scale, escape, mark, nines, shorten};
use super::timeline::{Span, thin};
use super::trend::Unit;
use super::{quantiles, rate, spectrum};
use crate::report::figures::show_time;
use crate::report::model::Second;

fn second(t: f64, length: f64, value: f64) -> Second {
    let text = r#"{"t": 0, "length": 0, "warmup": false, "achieved_rate": 0, "completed": 1, "errors": 1,
        "dropped": 1, "in_flight": 0, "waiting": 0, "connections": 1}"#;
    let (achieved_rate, some) = (value, Some(value));
    let blank: Second = serde_json::from_str(text).unwrap();
    let blank = Second { t, length, warmup: t < 1.0, achieved_rate, planned_rate: some, ..blank };
    Second { p50: some, p99: some, max: some, service_p99: some, ..blank }
}

#[test]
fn nothing_that_is_not_a_number_is_drawn() {
    for value in [0.0, 1e-9, 0.5, 1e9, f64::NAN, f64::INFINITY, -1.0, f64::MAX] {
        for length in [0.0, 1.0, f64::NAN] {
            for steps in [0, 1, 2, 2000] {
                let steps: Vec<_> = (0..steps).map(|t| second(f64::from(t), length, value)).collect();
                let points: Vec<_> = steps.iter().map(|step| (step.t / 2000.0, value)).collect();
                for drawn in [rate(&steps), quantiles(&steps), spectrum(&points, &points), spectrum(&points, &[])] {
                    assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{value} {length}: {drawn}");
                }
            }
        }
    }
    let odd = [(f64::NAN, 1.0), (1.0, f64::NAN), (2.0, 1.0), (-1.0, 0.0)];
    assert!(!spectrum(&odd, &odd).contains("NaN"));
}

#[test]
fn percentiles_lie_a_nine_apart() {
    for (share, place) in [(0.0, 0.0), (0.9, 1.0), (0.99, 2.0), (0.999, 3.0), (0.9999, 4.0)] {
        assert!(nines(share).is_some_and(|nines| (nines - place).abs() < 1e-9), "{share}");
    }
    assert_eq!((nines(1.0), nines(f64::NAN)), (None, None));
}

#[test]
fn ticks_are_round_and_reach_over_the_values() {
    assert_eq!(Scale::of_rates([430.0].into_iter()), Scale::Linear { top: 500.0, step: 100.0 });
    assert_eq!(Scale::of_rates([430.0].into_iter()).ticks(), [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
    let log = Scale::of_times([0.003, 0.9].into_iter());
    assert!(matches!(log, Scale::Log { low, top } if low < 0.0021 && low > 0.0019 && top > 0.99 && top < 1.01));
    assert_eq!(
        log.ticks().into_iter().map(show_time).collect::<Vec<_>>().join(" "),
        "2ms 5ms 10ms 20ms 50ms 100ms 200ms 500ms 1s"
    );
    assert!(matches!(Scale::of_times([0.01, 0.9].into_iter()), Scale::Linear { .. }));
    let span = Span { from: 0.0, length: 300.0 };
    let labels: Vec<_> = span.ticks(6).into_iter().map(|(_, text)| text).collect();
    assert_eq!(labels, ["0s", "1m", "2m", "3m", "4m", "5m"]);
}

#[test]
fn a_peak_outlives_thinning() {
    let mut points = vec![(0.0, Some(1.0)); 5000];
    points[3333].1 = Some(9.0);
    points[100].1 = None;
    let thinned = thin(&points, 100, &[f64::min, f64::max]);
    assert!(thinned.len() <= 200 && thinned.iter().any(|(_, value)| *value == Some(9.0)));
}

proptest! {
    #[test]
    fn an_axis_around_values_holds_them_all_and_its_ticks_are_few(
        values in prop::collection::vec(-1e6f64..1e6, 1..20), factor in -9i32..4
    ) {
        let values: Vec<f64> = values.iter().map(|value| value * 10f64.powi(factor)).collect();
        let axis = Scale::around(values.iter().copied(), 5.0).unwrap();
        prop_assert!(values.iter().all(|value| axis.holds(*value)));
        prop_assert!((2..=9).contains(&axis.ticks().len()), "{:?}", axis.ticks());
        prop_assert!(axis.ticks().windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn escaped_text_opens_and_closes_nothing(text in ".{0,60}") {
        let escaped = escape(&text);
        prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        prop_assert!(shorten(&text, 7).chars().count() <= 7);
    }
}

#[test]
fn an_axis_around_nothing_is_none() {
    assert_eq!(Scale::around([f64::NAN, f64::INFINITY].into_iter(), 5.0), None);
    let one = Scale::around([0.04].into_iter(), 5.0).unwrap();
    assert!(one.holds(0.04) && !one.holds(0.06));
}

#[test]
fn forms_differ_without_colours() {
    let forms = [Form::Disc, Form::Cross, Form::Diamond, Form::Square].map(|form| mark(form, "x", 10.0, 10.0, 4.0));
    for (place, form) in forms.iter().enumerate() {
        assert!(!forms[..place].contains(form));
    }
}

#[test]
fn ticks_of_a_history_are_told_apart() {
    for (metric, value, step, text) in [
        ("http/latency-p99", 0.1202, 0.0002, "120.2ms"),
        ("http-home/service-time-max", 1.5, 0.5, "1.5s"),
        ("grpc/error-rate", 0.0125, 0.0005, "1.25%"),
        ("capacity", 1240.0, 20.0, "1,240"),
        ("shop/latency-p99", 12.0, 1.0, "12"),
        ("http/rate", 0.0, 5.0, "0"),
    ] {
        assert_eq!(Unit::of(metric).tick(value, step), text, "{metric}");
    }
}
