use super::*;
use crate::iter8::insights::{Limit, MetricType, Sides};

/// A file as Iter8 leaves it.
pub(in crate::iter8) const FILE: &str = r#"
spec:
- task: ready
  with: {name: httpbin, version: v1, resource: services, timeout: 60s}
- task: http
  with: {url: "http://httpbin.default/get", duration: 2s, percentiles: [50, 75, 90, 95, 99, 99.9]}
- task: assess
  with:
    SLOs:
      Upper:
      - {metric: http/error-rate, limit: 0}
      - {metric: http/latency-mean, limit: 500}
- run: echo hello
  if: not SLOs()
result:
  startTime: "2022-06-27T11:48:59.5-04:00"
  numLoops: 0
  numCompletedTasks: 4
  failure: false
  iter8Version: v0.13
  insights:
    numVersions: 1
    metricsInfo:
      http/error-count: {description: errors, type: Counter}
      http/error-rate: {description: errors, type: Gauge}
      http/latency: {description: latency, units: msec, type: Histogram}
      http/latency-max: {description: max, units: msec, type: Gauge}
      http/latency-mean: {description: mean, units: msec, type: Gauge}
      http/latency-p99.9: {description: p99.9, units: msec, type: Gauge}
    nonHistMetricValues:
    - http/error-count: [0]
      http/error-rate: [0]
      http/latency-max: [272.838]
      http/latency-mean: [29.62]
      http/latency-p99.9: [272.4699]
    histMetricValues:
    - http/latency:
      - {lower: 11.3, upper: 12, count: 5}
      - {lower: 12, upper: 14, count: 10}
      - {lower: 250, upper: 272.838, count: 1}
    SummaryMetricValues: [null]
    slos:
      upper:
      - {metric: http/error-rate, limit: 0}
      - {metric: http/latency-mean, limit: 500}
    SLOsSatisfied:
      upper: [[true], [true]]
"#;

pub(in crate::iter8) fn experiment() -> Experiment {
    Experiment::read("experiment.yaml", FILE).unwrap()
}

#[test]
fn what_iter8_wrote_is_read_and_written_back() {
    let experiment = experiment();
    let result = experiment.result.as_ref().unwrap();
    assert_eq!(result.start_time.unwrap().to_string(), "2022-06-27T15:48:59.5Z");
    let insights = experiment.insights().unwrap();
    assert_eq!(insights.metrics_info["http/latency"].kind, MetricType::Histogram);
    let limit = |metric: &str, limit| Limit { metric: metric.into(), limit };
    let slos = Sides { upper: vec![limit("http/error-rate", 0.0), limit("http/latency-mean", 500.0)], lower: vec![] };
    assert_eq!(insights.slos, Some(slos));
    assert!(experiment.completed() && experiment.no_failure() && experiment.slos_satisfied());
    assert!(!experiment.is_due(3).unwrap());
    let text = experiment.write().unwrap();
    assert_eq!(Experiment::read("again", &text).unwrap(), experiment, "{text}");
    for key in ["SLOsSatisfied:", "nonHistMetricValues:", "SummaryMetricValues:", "iter8Version:", "if: not SLOs()"] {
        assert!(text.contains(key), "{key} in {text}");
    }
}

#[test]
fn a_list_of_tasks_is_an_experiment() {
    let experiment = Experiment::read("e", "- task: http\n  with: {url: http://x}\n- run: ls\n").unwrap();
    assert_eq!(experiment.spec.iter().map(TaskSpec::name).collect::<Vec<_>>(), ["http", "run"]);
    assert!(!experiment.completed() && !experiment.no_failure() && !experiment.slos_satisfied());
    assert!(matches!(experiment.task(1).unwrap(), Task::Run(script) if script == "ls"));
    assert!(experiment.task(2).is_err());
}

#[test]
fn what_is_no_experiment_is_told_with_its_place() {
    for (text, expected) in [
        ("3", "e: an experiment is a list"),
        ("result: {}", "e: the experiment has no spec"),
        ("- {task: http, run: ls}", "spec[0]: an item has either"),
        ("- {with: {}}", "spec[0]: an item has either"),
        ("- {task: http, wiht: {}}", "spec[0].wiht: there is no key 'wiht': did you mean with?"),
        ("spec: [\n  1", "e:"),
        ("spec: []\nresult: {failure: 7}", "result: "),
    ] {
        let error = Experiment::read("e", text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn runs_begin() {
    let mut experiment = experiment();
    let now: jiff::Timestamp = "2023-01-01T00:00:00Z".parse().unwrap();
    experiment.begin(now, true);
    let result = experiment.result.clone().unwrap();
    assert_eq!((result.num_loops, result.num_completed_tasks, result.insights.is_some()), (1, 0, true));
    experiment.begin(now, false);
    assert_eq!(experiment.result, Some(ResultBody { start_time: Some(now), ..ResultBody::default() }));
}

#[test]
fn percentiles_of_objectives_are_wanted() {
    let text = "- task: assess\n  with: {SLOs: {upper: [{metric: http/latency-p97.5, limit: 1}, \
                {metric: grpc-x/latency/p50.0, limit: 1}, {metric: http/error-rate, limit: 0}]}}\n";
    assert_eq!(Experiment::read("e", text).unwrap().percentiles_wanted(), [50.0, 97.5]);
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_is_read_again(
        key in "[a-zA-Z{: #\"'-]{1,12}",
        text in "([ -~é\n\t]|  |: | #){0,120}",
        number: i32,
        flag: bool,
    ) {
        let with = Map::from_iter([
            (key, Value::String(text.clone())),
            ("n1".to_owned(), Value::from(number)),
            ("n2".to_owned(), Value::Array(vec![Value::Bool(flag), Value::String(text.clone())])),
        ]);
        let run = TaskSpec { run: Some(format!("{text}x")), ..TaskSpec::default() };
        let experiment = Experiment { spec: vec![TaskSpec::named("http", with), run], ..Experiment::default() };
        let text = experiment.write().unwrap();
        proptest::prop_assert_eq!(Experiment::read("e", &text).unwrap(), experiment, "{}", text);
    }
}
