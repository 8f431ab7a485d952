use serde_json::json;

use super::super::server::{Server, answer};
use super::*;

const TIMES: Times = Times { start_unix: 1_700_000_000, end_unix: 1_700_000_060 };

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn metric(name: &str, query: &str, jq: &str) -> ProviderMetric {
    ProviderMetric {
        name: name.into(),
        params: vec![("query".into(), query.into())],
        body: None,
        jq: jq.into(),
        kind: MetricKind::Gauge,
        unit: None,
        description: String::new(),
    }
}

fn provider(url: &str, metrics: Vec<ProviderMetric>) -> Provider {
    Provider {
        name: "prom".into(),
        url: format!("{url}/api/v1/query?token=hidden"),
        method: "GET".into(),
        headers: vec![("X-Scope".into(), "a".into())],
        params: vec![("time".into(), "{{ endUnix }}".into())],
        body: None,
        metrics,
    }
}

#[test]
fn every_metric_is_asked_for_and_answers_in_its_place() {
    let ok = |value: &str| answer("200 OK", "", &json!({"data": {"result": [{"value": [0, value]}]}}).to_string());
    let refused = json!({"status": "error", "error": "bad\nquery"}).to_string();
    let script = vec![ok("0.5"), answer("400 Bad Request", "", &refused), ok("NaN"), answer("200 OK", "", "<html>")];
    let server = Server::start(script);
    let jq = ".data.result[0].value[1] | tonumber";
    let names = ["p99", "bad", "none", "page", "away"];
    let metrics = names.map(|name| metric(name, "rate(x[{{elapsedSeconds}}s]) > 1&2", jq)).to_vec();
    let answers = run(query(&provider(&server.url, metrics), TIMES));
    assert_eq!(answers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(answers[0].1, Ok(0.5));
    for (place, expected) in [
        (1, "prom/bad: ".to_owned() + &server.url + "/api/v1/query: status 400 (bad query)"),
        (2, "prom/none: jq: the filter gave".into()),
        (3, "prom/page: jq: what came is no JSON".into()),
        (4, "prom/away: ".to_owned() + &server.url + "/api/v1/query: "),
    ] {
        let error = answers[place].1.clone().unwrap_err();
        assert!(error.starts_with(&expected) && !error.contains("hidden"), "{error}");
    }
    let asked = server.asked();
    let line = "GET /api/v1/query?token=hidden&time=1700000060&query=rate%28x%5B60s%5D%29+%3E+1%262 HTTP/1.1\r\n";
    assert!(asked.starts_with(line), "{asked}");
    assert!(asked.to_lowercase().contains("\r\nx-scope: a\r\n"), "{asked}");
}

#[test]
fn a_metrics_body_goes_before_the_providers() {
    let server = Server::start(vec![answer("200 OK", "", "1"), answer("200 OK", "", "2")]);
    let own = ProviderMetric { body: Some("{\"from\": {{startUnix}}}".into()), ..metric("own", "", ".") };
    let shared = metric("shared", "", ".");
    let asked = Provider {
        method: "POST".into(),
        body: Some("for {{elapsedSeconds}}s".into()),
        ..provider(&server.url, vec![own, shared])
    };
    let answers = run(query(&asked, TIMES));
    assert_eq!(answers, [("own".to_owned(), Ok(1.0)), ("shared".to_owned(), Ok(2.0))]);
    assert!(server.asked().ends_with("\r\n\r\n{\"from\": 1700000000}"));
    assert!(server.asked().ends_with("\r\n\r\nfor 60s"));
}

#[test]
fn mistakes_are_found_before_a_load() {
    let with = |metrics| provider("http://h", metrics);
    assert_eq!(with(vec![metric("a", "{{startUnix}}", ".")]).check(), Ok(()));
    for (provider, expected) in [
        (with(Vec::new()), "metrics provider 'prom': it has no metrics"),
        (with(vec![metric("a", "{{now}}", ".")]), "metrics provider 'prom': metric 'a': '{{now}}' is not known"),
        (with(vec![metric("a", "{{x", ".")]), "metrics provider 'prom': metric 'a': '{{' has no closing"),
        (with(vec![metric("a", "", ".a | ")]), "metrics provider 'prom': metric 'a': jq: line 1, column 6"),
        (with(vec![metric("a", "", "."); 2]), "metrics provider 'prom': metric 'a': it is there twice"),
        (provider("gopher://h", vec![metric("a", "", ".")]), "metrics provider 'prom': metric 'a': 'gopher://h"),
    ] {
        let error = provider.check().unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(Times { start_unix: 5, end_unix: 5 }.elapsed_seconds(), 1);
}

/// The shape of Iter8's template for Istio: comments, a shared list of labels, a metric for each percentile.
const TEMPLATE: &str = r#"# placeholders: labels, elapsedTimeSeconds, percentiles

{{- define "match"}}
{{- range $name, $value := .labels }}
{{- if or (eq (kindOf $value) "slice") (eq (kindOf $value) "map")}}
{{- fail (printf "%s is no scalar: %s" $name $value) }}
{{- end }}
        {{ $name }}="{{ $value }}",
{{- end }}
{{- end}}

url: {{ .promURL | default "http://prometheus.example:9090/api/v1/query" }}
provider: mesh
method: GET
headers: {X-Tenant: 7}
metrics:
- name: error-count
  type: counter
  description: |
    Requests that failed
  params:
  - name: query
    value: |
      sum(requests{
        code=~'5..',
        {{- template "match" . }}
      }[{{ .elapsedTimeSeconds }}s]) or on() vector(0)
  jqExpression: .data.result[0].value[1] | tonumber
{{- range $i, $p := .percentiles }}
- name: latency-p{{ $p }}
  type: gauge
  units: ms
  params:
  - name: query
    value: quantile(0.{{ $p }}, latency[{{ $.elapsedTimeSeconds }}s])
  jqExpression: .data.result.[0].value.[1] | tonumber
{{- end }}
"#;

#[test]
fn iter8s_templates_become_providers() {
    let values = json!({"labels": {"b": "x", "a": 2}, "elapsedTimeSeconds": 30, "percentiles": [50, 99.9]});
    let provider = iter8_provider(TEMPLATE, &values).unwrap();
    assert_eq!((provider.name.as_str(), provider.method.as_str()), ("mesh", "GET"));
    assert_eq!(provider.url, "http://prometheus.example:9090/api/v1/query");
    assert_eq!(provider.headers, [("X-Tenant".to_owned(), "7".to_owned())]);
    let names: Vec<&str> = provider.metrics.iter().map(|metric| metric.name.as_str()).collect();
    assert_eq!(names, ["error-count", "latency-p50", "latency-p99.9"]);
    let errors = &provider.metrics[0];
    assert_eq!(
        (errors.kind, errors.unit.as_deref(), errors.description.as_str()),
        (MetricKind::Counter, None, "Requests that failed")
    );
    let query = "sum(requests{\n  code=~'5..',\n  a=\"2\",\n  b=\"x\",\n}[30s]) or on() vector(0)\n";
    assert_eq!(errors.params, [("query".to_owned(), query.to_owned())]);
    assert_eq!(provider.metrics[2].params[0].1, "quantile(0.99.9, latency[30s])");
    assert_eq!(provider.metrics[2].unit.as_deref(), Some("ms"));
    provider.check().unwrap();
}

#[test]
fn what_is_no_provider_is_an_error() {
    let error = iter8_provider(TEMPLATE, &json!({"labels": {"a": [1]}})).unwrap_err();
    assert_eq!(error, "6:5: the template fails: a is no scalar: [1]");
    let error = iter8_provider(TEMPLATE, &json!({})).unwrap_err();
    assert!(error.starts_with("27:12: there is no such value"), "{error}");
    for yaml in ["url: http://h", "url: http://h\nmetrics: []\nurls: x", "- a", "url: http://h\nmetrics: [{name: a}]"] {
        let error = iter8_provider(yaml, &json!({})).unwrap_err();
        assert!(error.starts_with("what the template makes is no provider spec: "), "{error}");
    }
}
