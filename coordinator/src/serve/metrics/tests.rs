use loadgrid_proto::histogram::{Recorder, VALUE_MAX};
use proptest::prelude::*;
use prost::Message;

use super::latency::{BOUNDS, SCHEMA};
use super::protobuf::{Histogram, MetricFamily};
use super::*;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";
const PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn recorded(values: &[u64]) -> Recorded {
    let mut recorder = Recorder::default();
    values.iter().for_each(|value| recorder.record(*value));
    recorder.drain()
}

fn totals(sent: u64, latencies: &[u64]) -> Totals {
    Totals { planned: sent + 2, sent, failed: 1, latency: recorded(latencies) }
}

fn ended(verdict: &str) -> Ended {
    Ended { verdict: verdict.to_owned(), at: 1_764_000_000.5, latency: vec![(0.5, 0.0012), (0.99, f64::NAN)] }
}

fn text(registry: &Registry, figures: &Figures, accept: &str) -> String {
    String::from_utf8(registry.exposition(figures, Some(accept)).body).unwrap()
}

/// The value of the sample that a text begins with.
fn value(registry: &Registry, sample: &str) -> Option<f64> {
    let text = text(registry, &Figures::default(), OPENMETRICS);
    let line = text.lines().find_map(|line| line.strip_prefix(sample));
    line.map(|value| value.trim().parse().unwrap())
}

fn families(registry: &Registry, figures: &Figures) -> Vec<MetricFamily> {
    let exposition = registry.exposition(figures, Some(PROTOBUF));
    let mut body = exposition.body.as_slice();
    let mut families = Vec::new();
    while !body.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut body).unwrap());
    }
    families
}

fn example() -> (Registry, Figures) {
    let mut registry = Registry::default();
    registry.progress("1", "hello", 0, &totals(3, &[0, 1_200_000, 3_000_000]));
    registry.over("1", "hello", ended("pass"));
    registry.progress("2", "hello", 0, &totals(1, &[VALUE_MAX]));
    registry.over("2", "hello", ended("fail"));
    registry.progress("3", "he\"l\\l\no", 0, &Totals::default());
    let figures = Figures {
        workers: Workers { idle: 2, busy: 1, away: 0 },
        queued: 4,
        running: vec![Running {
            run: "3".to_owned(),
            test: "he\"l\\l\no".to_owned(),
            kind: "run",
            phase: "running",
            planned_rate: Some(500.0),
            achieved_rate: Some(499.5),
            in_flight: 3,
            waiting: 0,
        }],
    };
    (registry, figures)
}

#[test]
fn what_the_text_formats_say() {
    let (registry, figures) = example();
    let open = text(&registry, &figures, OPENMETRICS);
    for line in [
        "# TYPE loadgrid_workers gauge\n# HELP loadgrid_workers Workers of the pool, by what they do.",
        "loadgrid_workers{state=\"idle\"} 2",
        "loadgrid_queue_length 4",
        "# TYPE loadgrid_run info",
        "loadgrid_run_info{run=\"3\",test=\"he\\\"l\\\\l\\no\",kind=\"run\"} 1",
        "loadgrid_run_phase{run=\"3\",test=\"he\\\"l\\\\l\\no\",phase=\"running\"} 1",
        "loadgrid_run_phase{run=\"3\",test=\"he\\\"l\\\\l\\no\",phase=\"ending\"} 0",
        "loadgrid_run_rate{test=\"he\\\"l\\\\l\\no\",what=\"achieved\"} 499.5",
        "loadgrid_in_flight{test=\"he\\\"l\\\\l\\no\"} 3",
        "loadgrid_waiting{test=\"he\\\"l\\\\l\\no\"} 0",
        "# TYPE loadgrid_requests_planned counter",
        "loadgrid_requests_planned_total{test=\"hello\"} 8",
        "loadgrid_requests_sent_total{test=\"hello\"} 4",
        "loadgrid_requests_failed_total{test=\"hello\"} 2",
        "# TYPE loadgrid_latency_seconds histogram\n# UNIT loadgrid_latency_seconds seconds",
        "loadgrid_latency_seconds_bucket{test=\"hello\",le=\"0.0001\"} 1",
        "loadgrid_latency_seconds_bucket{test=\"hello\",le=\"0.0025\"} 2",
        "loadgrid_latency_seconds_bucket{test=\"hello\",le=\"1.0\"} 3",
        "loadgrid_latency_seconds_bucket{test=\"hello\",le=\"60.0\"} 3",
        "loadgrid_latency_seconds_bucket{test=\"hello\",le=\"+Inf\"} 4",
        "loadgrid_latency_seconds_count{test=\"hello\"} 4",
        "loadgrid_latency_seconds_sum{test=\"hello\"} 1099.515827775",
        "loadgrid_runs_total{test=\"hello\",verdict=\"pass\"} 1",
        "loadgrid_last_run_verdict{test=\"hello\",verdict=\"pass\"} 0",
        "loadgrid_last_run_verdict{test=\"hello\",verdict=\"fail\"} 1",
        "loadgrid_last_run_timestamp_seconds{test=\"hello\"} 1764000000.5",
        "loadgrid_last_run_latency_seconds{test=\"hello\",quantile=\"0.5\"} 0.0012",
    ] {
        assert!(open.contains(&format!("{line}\n")), "{line}\n{open}");
    }
    assert!(open.ends_with("\n# EOF\n") && !open.contains("NaN"), "{open}");
    let plain = text(&registry, &figures, "text/plain");
    assert!(plain.contains("# TYPE loadgrid_requests_sent_total counter\n"), "{plain}");
    assert!(plain.contains("# TYPE loadgrid_run_info gauge\n"), "{plain}");
    assert!(!plain.contains("# UNIT") && !plain.contains("# EOF"), "{plain}");
    let samples =
        |text: &str| -> Vec<String> { text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect() };
    assert_eq!(samples(&open), samples(&plain));
}

#[test]
fn nothing_to_tell_is_told_as_well() {
    let (registry, figures) = (Registry::default(), Figures::default());
    let text = text(&registry, &figures, OPENMETRICS);
    assert!(text.contains("loadgrid_workers{state=\"busy\"} 0\n") && !text.contains("latency"), "{text}");
    assert_eq!(families(&registry, &figures).len(), 2);
    let exposition = registry.exposition(&figures, None);
    assert_eq!(exposition.content_type, "text/plain; version=0.0.4; charset=utf-8");
    let line_end = |text: &str| text.lines().filter(|line| line.contains('\u{fffd}')).count();
    let mut registry = Registry::default();
    registry.over("1", "a\r\u{85}b", ended("pass"));
    assert_eq!(line_end(&self::text(&registry, &figures, OPENMETRICS)), 10 + BOUNDS.len());
}

#[test]
fn counters_go_on_over_runs_and_probes_and_never_fall() {
    let mut registry = Registry::default();
    let sent = |registry: &Registry| value(registry, "loadgrid_requests_sent_total{test=\"t\"}");
    let count = |registry: &Registry| value(registry, "loadgrid_latency_seconds_count{test=\"t\"}");
    registry.progress("1", "t", 0, &totals(2, &[5, 6]));
    registry.progress("1", "t", 0, &totals(3, &[5, 6, 7]));
    assert_eq!((sent(&registry), count(&registry)), (Some(3.0), Some(3.0)));
    // Late, and with other latencies: nothing falls.
    registry.progress("1", "t", 0, &totals(2, &[9, 9]));
    assert_eq!((sent(&registry), count(&registry)), (Some(3.0), Some(3.0)));
    registry.over("1", "t", ended("pass"));
    registry.progress("1", "t", 0, &totals(9, &[5]));
    registry.over("1", "t", ended("fail"));
    assert_eq!(
        (sent(&registry), value(&registry, "loadgrid_runs_total{test=\"t\",verdict=\"pass\"}")),
        (Some(3.0), Some(1.0))
    );
    assert_eq!(value(&registry, "loadgrid_runs_total{test=\"t\",verdict=\"fail\"}"), None);
    // A search: the totals begin again with each probe, and one that is late is of a probe that is over.
    registry.progress("2", "t", 1, &totals(10, &[1; 10]));
    registry.progress("2", "t", 2, &totals(1, &[1]));
    registry.progress("2", "t", 1, &totals(11, &[1; 11]));
    assert_eq!((sent(&registry), count(&registry)), (Some(14.0), Some(14.0)));
    // Two at a time.
    registry.progress("3", "t", 0, &totals(100, &[]));
    registry.over("2", "t", ended("found"));
    assert_eq!(sent(&registry), Some(114.0));
}

#[test]
fn tests_and_verdicts_are_bounded() {
    let mut registry = Registry::default();
    registry.progress("run", "goes on", 0, &totals(1, &[]));
    for number in 0..TESTS_MAX + 10 {
        registry.over(&number.to_string(), &format!("t{number}"), ended("pass"));
        registry.over("again", "t0", ended("pass"));
    }
    assert_eq!(registry.tests.len(), TESTS_MAX);
    assert!(registry.tests.contains_key("goes on") && registry.tests.contains_key("t0"));
    assert!(!registry.tests.contains_key("t1") && registry.tests.contains_key(&format!("t{}", TESTS_MAX + 9)));
    for number in 0..2 * VERDICTS_MAX {
        registry.over(&format!("v{number}"), "t0", ended(&format!("v{number}")));
    }
    let test = &registry.tests["t0"];
    assert_eq!((test.verdicts.len(), test.ended.len()), (VERDICTS_MAX, ENDED_MAX));
    assert_eq!(test.last.as_ref().map(|last| last.verdict.as_str()), Some("other"));
    assert_eq!(value(&registry, "loadgrid_last_run_verdict{test=\"t0\",verdict=\"other\"}"), Some(1.0));
}

#[test]
fn runs_of_one_test_are_told_together() {
    let run = |run: &str, in_flight| Running {
        run: run.to_owned(),
        test: "t".to_owned(),
        kind: "run",
        phase: "running",
        planned_rate: Some(f64::INFINITY),
        achieved_rate: Some(1.5),
        in_flight,
        waiting: 1,
    };
    let figures = Figures { running: vec![run("1", 2), run("2", 3)], ..Figures::default() };
    let text = text(&Registry::default(), &figures, OPENMETRICS);
    for line in ["loadgrid_in_flight{test=\"t\"} 5\n", "what=\"achieved\"} 3\n", "loadgrid_waiting{test=\"t\"} 2\n"] {
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }
    assert!(!text.contains("what=\"planned\""), "{text}");
    assert_eq!(text.matches("loadgrid_run_info{").count(), 2);
}

/// (Index, count) as a reader unfolds spans and deltas.
fn unfolded(histogram: &Histogram) -> Vec<(i32, u64)> {
    let mut deltas = histogram.positive_delta.iter();
    let (mut index, mut count, mut buckets) = (0, 0, Vec::new());
    for span in &histogram.positive_span {
        index += span.offset.unwrap();
        for _ in 0..span.length.unwrap() {
            count += deltas.next().unwrap();
            buckets.push((index, u64::try_from(count).unwrap()));
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    buckets
}

/// The bounds of the bucket that a quantile falls into, s; as readers find it.
fn native_quantile(histogram: &Histogram, quantile: f64) -> (f64, f64) {
    let rank = (quantile * histogram.sample_count.unwrap() as f64).max(1.0);
    let mut seen = histogram.zero_count.unwrap() as f64;
    if seen >= rank {
        return (0.0, histogram.zero_threshold.unwrap());
    }
    let bound = |index: i32| 2f64.powf(f64::from(index) / f64::from(1 << histogram.schema.unwrap()));
    for (index, count) in unfolded(histogram) {
        seen += count as f64;
        if seen >= rank {
            return (bound(index - 1), bound(index));
        }
    }
    panic!("the buckets hold fewer than the count says");
}

fn histogram_of(values: &[u64]) -> Histogram {
    let mut registry = Registry::default();
    registry.progress("1", "t", 0, &Totals { latency: recorded(values), ..Totals::default() });
    let family = families(&registry, &Figures::default())
        .into_iter()
        .find(|family| family.name.as_deref() == Some("loadgrid_latency_seconds"));
    family.unwrap().metric[0].histogram.clone().unwrap()
}

fn latencies() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec((0u32..41, any::<u64>()).prop_map(|(bits, value)| value & ((1 << bits) - 1)), 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_native_quantile_is_within_a_bucket_of_the_exact_one(values in latencies(), quantile in 0.0f64..=1.0) {
        let histogram = histogram_of(&values);
        let recorded = recorded(&values);
        let (lower, upper) = native_quantile(&histogram, quantile);
        // The exact rank, and the value as its narrow bucket has it.
        let mut sorted = values.clone();
        sorted.sort_unstable();
        let rank = ((quantile * values.len() as f64).ceil() as usize).clamp(1, values.len());
        let exact = sorted[rank - 1].min(VALUE_MAX) as f64 / 1e9;
        prop_assert!(lower * 0.999 <= exact && exact <= upper * 1.001, "{lower} {exact} {upper}");
        prop_assert!(lower == 0.0 || upper / lower < 1.0 + 0.05);
        let ours = recorded.quantile(quantile).unwrap() as f64 / 1e9;
        prop_assert!(lower * 0.999 <= ours && ours <= upper * 1.001, "{lower} {ours} {upper}");
    }

    #[test]
    fn native_and_classic_count_the_same(values in latencies()) {
        let histogram = histogram_of(&values);
        let buckets = unfolded(&histogram);
        let sum: u64 = buckets.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(sum + histogram.zero_count.unwrap(), values.len() as u64);
        prop_assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0) && buckets.iter().all(|(_, count)| *count > 0));
        prop_assert_eq!(histogram.sample_count, Some(values.len() as u64));
        let cumulated: Vec<u64> = histogram.bucket.iter().map(|bucket| bucket.cumulative_count.unwrap()).collect();
        prop_assert!(cumulated.windows(2).all(|pair| pair[0] <= pair[1]));
        prop_assert_eq!(cumulated.last(), Some(&(values.len() as u64)));
        for (bound, count) in BOUNDS.iter().zip(&cumulated) {
            let (below, above) = (*bound as f64 * 0.999, *bound as f64 * 1.001);
            let at_most = |limit: f64| values.iter().filter(|value| **value as f64 <= limit).count() as u64;
            prop_assert!(at_most(below) <= *count && *count <= at_most(above));
        }
        prop_assert_eq!(histogram.schema, Some(SCHEMA));
    }

    #[test]
    fn in_whatever_pieces_it_comes_the_sum_is_the_same(pieces in proptest::collection::vec(latencies(), 1..5)) {
        let mut registry = Registry::default();
        let mut grown = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            grown.extend_from_slice(piece);
            registry.progress("grows", "a", 0, &totals(grown.len() as u64, &grown));
            registry.progress("searches", "b", number, &totals(piece.len() as u64, piece));
            registry.progress(&number.to_string(), "c", 0, &totals(piece.len() as u64, piece));
            registry.over(&number.to_string(), "c", ended("pass"));
        }
        let all = Latency::from(&recorded(&grown));
        for test in ["a", "b", "c"] {
            let sum = registry.tests[test].sum();
            prop_assert_eq!(&sum.latency, &all);
            prop_assert_eq!(sum.sent, grown.len() as u64);
        }
    }

    #[test]
    fn names_come_back_as_they_were(test in "[^\\p{Cc}]{0,20}|[\\\\\"\n a]{0,8}") {
        let mut registry = Registry::default();
        registry.over("1", &test, ended("pass"));
        let text = text(&registry, &Figures::default(), OPENMETRICS);
        let line = text.lines().find(|line| line.starts_with("loadgrid_last_run_timestamp_seconds{")).unwrap();
        let quoted = line.strip_prefix("loadgrid_last_run_timestamp_seconds{test=\"").unwrap();
        let quoted = quoted.strip_suffix("\"} 1764000000.5").unwrap();
        let mut back = String::new();
        let mut characters = quoted.chars();
        while let Some(character) = characters.next() {
            prop_assert!(character != '"');
            back.push(match character {
                '\\' => match characters.next() { Some('n') => '\n', Some(other) => other, None => unreachable!() },
                other => other,
            });
        }
        prop_assert_eq!(back, test);
    }
}
