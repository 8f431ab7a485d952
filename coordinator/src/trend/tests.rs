use super::model::{Direction, Scale, Trend, TrendVerdict};
use proptest::prelude::*;

use super::{Format, Kind, LoadKey, Point, Settings, parse, render, schema, trend};

/// A run of the night of this number.
pub(super) fn point<'a>(night: usize, metrics: impl IntoIterator<Item = (&'a str, f64)>) -> Point {
    Point {
        run: format!("RUN{night:04}"),
        started_at: format!("2026-{:02}-{:02}T03:00:00Z", 1 + night / 28 % 12, 1 + night % 28),
        kind: Kind::Run,
        load: LoadKey {
            model: "open loop".into(),
            arrivals: "uniform".into(),
            target_rate: Some(1000.0),
            requests: "home".into(),
        },
        valid: true,
        metrics: metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

fn wobble(index: usize) -> f64 {
    1.0 + 0.01 * [0.3, -0.8, 0.9, -0.2, -0.6, 0.7, -0.3][index % 7]
}

/// 10 ms, times what `level` says of the night.
fn nights(count: usize, level: impl Fn(usize) -> f64) -> Vec<Point> {
    (0..count).map(|night| point(night, [("http/latency-p99", 0.01 * level(night) * wobble(night))])).collect()
}

fn judged(points: &[Point]) -> Trend {
    trend("shop", points, &Settings::default()).unwrap()
}

fn from(baseline: usize) -> Settings {
    Settings { baseline: Some(format!("RUN{baseline:04}")), ..Settings::default() }
}

#[test]
fn a_new_and_worse_level_fails() {
    let found = judged(&nights(43, |night| if night >= 40 { 1.08 } else { 1.0 }));
    assert_eq!((found.verdict, found.exit_code), (TrendVerdict::Worse, 1));
    let metric = &found.metrics[0];
    assert_eq!((metric.levels.len(), metric.changes.len(), metric.compared_with), (2, 1, Some(0)));
    let change = &metric.changes[0];
    assert_eq!((change.before.run.as_str(), change.after.run.as_str()), ("RUN0039", "RUN0040"));
    assert_eq!((change.direction, change.accepted), (Direction::Worse, false));
    assert!((change.size - 0.08).abs() < 0.01, "{}", change.size);
    assert_eq!(change.around.iter().map(|around| around.offset).collect::<Vec<_>>(), [-3, -2, -1, 1, 2, 3]);
    assert!(found.reasons[0].contains("worse than the level before"), "{:?}", found.reasons);
    assert!(found.reasons[0].contains("for 3 runs now, from RUN0040 on"), "{:?}", found.reasons);
}

#[test]
fn faster_is_better_and_a_lower_rate_is_worse() {
    let faster = judged(&nights(43, |night| if night >= 30 { 0.9 } else { 1.0 }));
    assert_eq!((faster.verdict, faster.exit_code), (TrendVerdict::Better, 0));
    let one = |name: &'static str, night: usize| {
        point(night, [(name, if night >= 30 { 900.0 } else { 1000.0 } * wobble(night))])
    };
    let rate: Vec<Point> = (0..43).map(|night| one("http/rate", night)).collect();
    assert_eq!((judged(&rate).verdict, judged(&rate).exit_code), (TrendVerdict::Worse, 1));
    let outside: Vec<Point> = (0..43).map(|night| one("prom/orders", night)).collect();
    assert_eq!((judged(&outside).verdict, judged(&outside).exit_code), (TrendVerdict::Changed, 0));
}

#[test]
fn a_baseline_accepts_what_was_before_it() {
    let points = nights(60, |night| if night >= 30 { 1.1 } else { 1.0 });
    assert_eq!(judged(&points).exit_code, 1);
    let accepted = trend("shop", &points, &from(45)).unwrap();
    assert_eq!((accepted.verdict, accepted.exit_code), (TrendVerdict::Steady, 0));
    assert!(accepted.metrics[0].changes[0].accepted);
    // Of before the step: still worse.
    assert_eq!(trend("shop", &points, &from(10)).unwrap().exit_code, 1);
    // Up and down again is where it was, though not by the level before.
    let back = nights(60, |night| if (20..40).contains(&night) { 1.1 } else { 1.0 });
    assert_eq!(judged(&back).verdict, TrendVerdict::Better);
    assert_eq!(trend("shop", &back, &from(5)).unwrap().verdict, TrendVerdict::Steady);
    // Two steps up: the baseline's level is what counts, not the one before.
    let stairs = nights(60, |night| {
        if night < 20 {
            1.0
        } else if night < 40 {
            1.2
        } else {
            1.1
        }
    });
    assert_eq!(judged(&stairs).verdict, TrendVerdict::Better);
    assert_eq!(trend("shop", &stairs, &from(5)).unwrap().verdict, TrendVerdict::Worse);
}

#[test]
fn an_unknown_baseline_is_said() {
    let found = trend("shop", &nights(20, |_| 1.0), &from(99)).unwrap();
    assert_eq!(found.baseline, None);
    assert!(found.notes[0].contains("RUN0099"), "{:?}", found.notes);
}

#[test]
fn too_few_runs() {
    let found = judged(&nights(5, |_| 1.0));
    assert_eq!((found.verdict, found.exit_code), (TrendVerdict::TooFew, 3));
    assert_eq!(found.metrics[0].needed, Some(6));
    assert!(found.reasons[0].starts_with("5 comparable runs are too few: 6 are needed"), "{:?}", found.reasons);
    let none = judged(&[]);
    assert_eq!((none.exit_code, none.reasons.len()), (3, 1));
    assert_eq!(judged(&nights(6, |_| 1.0)).exit_code, 0);
}

#[test]
fn only_runs_like_the_newest_are_used() {
    let mut points = nights(30, |_| 1.0);
    points[3].load.target_rate = Some(500.0);
    points[4].load.target_rate = Some(500.0);
    points[5].load.target_rate = Some(1010.0);
    points[6].load.model = "closed loop".into();
    points[7].load.arrivals = "poisson".into();
    points[8].load.requests = "cart".into();
    points[9].valid = false;
    let found = judged(&points);
    assert_eq!((found.used, found.runs), (24, 30));
    let left: Vec<(&str, usize)> = found.left_out.iter().map(|left| (left.why.as_str(), left.count)).collect();
    let expected = [
        ("other target rate (500/s)", 2),
        ("other load model (closed loop)", 1),
        ("other arrivals (poisson)", 1),
        ("other requests", 1),
        ("invalid", 1),
    ];
    assert_eq!(left, expected);
}

#[test]
fn capacity_runs_are_a_series_of_their_own() {
    let mut points = nights(20, |_| 1.0);
    for night in 20..60 {
        let mut found = point(night, [("capacity", if night >= 50 { 850.0 } else { 1000.0 } * wobble(night))]);
        found.kind = Kind::Capacity;
        found.load.target_rate = None;
        points.push(found);
    }
    let found = judged(&points);
    assert_eq!((found.used, found.exit_code), (60, 1));
    assert_eq!((found.metrics[0].metric.as_str(), found.metrics[0].kind.as_str()), ("capacity", "capacity"));
    assert_eq!(found.metrics[1].verdict, TrendVerdict::Steady);
}

#[test]
fn nothing_passes_on_an_invalid_newest_run() {
    let mut points = nights(20, |_| 1.0);
    points[19].valid = false;
    let found = judged(&points);
    assert_eq!(found.exit_code, 3);
    assert!(found.reasons[0].contains("RUN0019 is invalid"), "{:?}", found.reasons);
}

#[test]
fn error_shares_change_by_points() {
    let points: Vec<Point> =
        (0..40).map(|night| point(night, [("http/error-rate", if night >= 30 { 0.01 } else { 0.0 })])).collect();
    let found = judged(&points);
    let metric = &found.metrics[0];
    assert_eq!((metric.verdict, metric.scale), (TrendVerdict::Worse, Scale::Difference));
    assert_eq!((metric.changes[0].at, metric.shown_difference.as_str()), (30, "+1 points"));
    let once: Vec<Point> =
        (0..40).map(|night| point(night, [("http/error-rate", if night == 20 { 0.01 } else { 0.0 })])).collect();
    assert_eq!(judged(&once).verdict, TrendVerdict::Steady);
}

#[test]
fn one_slow_run_is_no_level_but_is_said() {
    let found = judged(&nights(40, |night| if night == 39 { 2.0 } else { 1.0 }));
    assert_eq!((found.verdict, found.exit_code), (TrendVerdict::Steady, 0));
    assert!(found.notes[0].contains("run it again"), "{:?}", found.notes);
}

#[test]
fn metrics_that_are_gone_have_no_part() {
    let mut points = nights(40, |night| if night >= 30 { 1.2 } else { 1.0 });
    points.extend((40..50).map(|night| point(night, [("http/rate", 1000.0 * wobble(night))])));
    let found = judged(&points);
    assert_eq!(found.verdict, TrendVerdict::Steady);
    assert!(found.notes[0].contains("does not have it"), "{:?}", found.notes);
}

#[test]
fn a_metric_is_chosen_by_name() {
    let chosen = |name: &str| Settings { metrics: vec![name.to_owned()], ..Settings::default() };
    let points: Vec<Point> = (0..20).map(|n| point(n, [("http/rate", 9.0), ("http/latency-p50", 0.1)])).collect();
    assert_eq!(trend("shop", &points, &chosen("http/rate")).unwrap().metrics.len(), 1);
    let error = trend("shop", &points, &chosen("http/p98")).unwrap_err();
    assert_eq!(error, "no comparable run has the metric 'http/p98'; there are: http/latency-p50, http/rate");
    let settings = Settings { significance: 0.5, ..Settings::default() };
    assert!(trend("shop", &points, &settings).unwrap_err().contains("0.01 to 0.05"));
}

#[test]
fn what_is_no_number_is_no_point() {
    let mut points = nights(20, |_| 1.0);
    points[4].metrics.insert("http/latency-p99".into(), f64::NAN);
    points[5].metrics.insert("http/latency-p99".into(), f64::INFINITY);
    assert_eq!(judged(&points).metrics[0].points.len(), 18);
}

#[test]
fn long_histories_are_cut_to_the_newest() {
    let found = judged(&nights(2_050, |_| 1.0));
    assert_eq!((found.used, found.runs), (2_000, 2_050));
    assert!(found.notes[0].contains("oldest 50 runs"), "{:?}", found.notes);
    assert_eq!(found.metrics[0].points[0].run, "RUN0050");
}

#[test]
fn json_is_read_back_and_foreign_json_is_not() {
    let found = judged(&nights(43, |night| if night >= 40 { 1.08 } else { 1.0 }));
    let text = render(&found, Format::Json, false).unwrap();
    assert_eq!(parse(&text).unwrap(), found);
    assert!(parse("{}").unwrap_err().contains("no schema"));
    assert!(parse(&text.replace("trend/v1", "trend/v9")).unwrap_err().contains("use the version that wrote it"));
    assert!(schema().unwrap().contains("MetricTrend"));
}

#[test]
fn text_is_narrow_and_says_it_all() {
    let mut points = nights(203, |night| {
        if night >= 200 {
            1.08
        } else if night == 77 {
            3.0
        } else {
            1.0
        }
    });
    points[9].valid = false;
    for (baseline, colour) in [(None, false), (Some("RUN0020".to_owned()), true)] {
        let settings = Settings { baseline, ..Settings::default() };
        let found = trend("shop", &points, &settings).unwrap();
        let text = render(&found, Format::Text, colour).unwrap();
        let plain = text.replace("\x1b[1m", "").replace("\x1b[31m", "").replace("\x1b[0m", "");
        assert!(plain.lines().all(|line| line.chars().count() <= 100), "{plain}");
        for part in ["shop: WORSE", "202 of 203 used; left out: 1 invalid", "•", "^", "RUN0199 and RUN0200", "-1  2026"]
        {
            assert!(plain.contains(part), "{part} in {plain}");
        }
    }
}

#[test]
fn markdown_keeps_its_tables() {
    let found = trend("a|b<c", &nights(43, |night| if night >= 40 { 1.08 } else { 1.0 }), &from(2)).unwrap();
    let text = render(&found, Format::Markdown, false).unwrap();
    assert!(text.starts_with("### loadgrid trend: a\\|b&lt;c — **WORSE**"), "{text}");
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let header = text.lines().position(|line| line.starts_with("| metric")).unwrap();
    let table: Vec<usize> = text.lines().skip(header).take(3).map(columns).collect();
    assert_eq!(table, [7, 7, 7]);
    assert!(text.contains("RUN0039"), "{text}");
}

proptest! {
    #[test]
    fn any_history_gives_a_trend_that_is_read_back(
        values in prop::collection::vec(
            prop_oneof![Just(0.0), -1e3..1e3f64, any::<f64>(), 1e-300..1e-290f64], 0..40),
        name in prop_oneof!["http/latency-p99", "http/error-rate", "capacity", "prom/x"],
        baseline in 0..40usize,
    ) {
        let points: Vec<Point> =
            values.iter().enumerate().map(|(night, value)| point(night, [(name.as_str(), *value)])).collect();
        let found = trend("shop", &points, &from(baseline)).unwrap();
        prop_assert_eq!(&parse(&render(&found, Format::Json, false).unwrap()).unwrap(), &found);
        let text = render(&found, Format::Text, false).unwrap();
        prop_assert!(text.lines().all(|line| line.chars().count() <= 100), "{}", text);
        prop_assert!(render(&found, Format::Markdown, false).is_ok());
        for metric in &found.metrics {
            prop_assert_eq!(metric.levels.iter().map(|level| level.runs).sum::<usize>(),
                if metric.needed.is_some() { 0 } else { metric.points.len() });
        }
    }
}
