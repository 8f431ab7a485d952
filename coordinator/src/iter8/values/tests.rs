use serde_json::{Value, json};

use super::super::set::{Sources, merge};
use super::super::task::{Payload, Task};
use super::*;

fn chart(sets: &[&str]) -> Result<Chart, Iter8Error> {
    let set = sets.iter().map(ToString::to_string).collect();
    read(&merge(&Sources { set, ..Sources::default() }, &|_| Err("no files".into()))?)
}

fn spec(sets: &[&str]) -> Value {
    serde_json::to_value(chart(sets).unwrap().experiment.spec).unwrap()
}

#[test]
fn knatives_example() {
    let made = chart(&[
        "tasks={ready,http,assess}",
        "ready.ksvc=hello",
        "http.url=http://hello.default.svc.cluster.local:80",
        "http.numRequests=100,http.connections=10,http.qps=20",
        "assess.SLOs.upper.http/latency-mean=200",
        "assess.SLOs.upper.http/error-count=0",
        "runner=job",
    ]);
    let made = made.unwrap();
    let expected = json!([
        {"task": "ready", "with": {"name": "hello", "group": "serving.knative.dev", "version": "v1",
            "resource": "services", "condition": "Ready"}},
        {"task": "http", "with": {"url": "http://hello.default.svc.cluster.local:80", "numRequests": 100,
            "connections": 10, "qps": 20}},
        {"task": "assess", "with": {"SLOs": {"upper": [
            {"metric": "http/error-count", "limit": 0}, {"metric": "http/latency-mean", "limit": 200}]}}},
    ]);
    assert_eq!(serde_json::to_value(&made.experiment.spec).unwrap(), expected);
    assert!(made.warnings.is_empty());
}

#[test]
fn knatives_grpc_example() {
    let made = chart(&[
        "tasks={ready,grpc,assess}",
        "ready.ksvc=hello",
        "grpc.host=hello.default.svc.cluster.local:80,grpc.call=helloworld.Greeter.SayHello",
        "grpc.total=100,grpc.concurrency=10,grpc.rps=20,grpc.protoURL=https://x/helloworld.proto,grpc.data.name=frodo",
        "assess.SLOs.upper.grpc/error-rate=0,assess.SLOs.upper.grpc/latency/mean=400",
        "assess.SLOs.upper.grpc/latency/p97\\.5=500",
        "runner=job,logLevel=debug",
    ]);
    let experiment = made.unwrap().experiment;
    assert_eq!(experiment.percentiles_wanted(), [97.5]);
    let Task::Grpc(task) = experiment.task(1).unwrap() else { panic!("no load") };
    let [plan] = task.loads.as_slice() else { panic!("{task:?}") };
    assert!(plan.percentiles.contains(&97.5));
    assert_eq!(plan.document["spec"]["load"]["rate"], "20/s");
    assert_eq!(plan.document["spec"]["requests"][0]["grpc"]["data"], json!({"name": "frodo"}));
}

#[test]
fn every_kind_of_readiness_is_an_item() {
    let made = spec(&[
        "tasks={ready}",
        "ready.deploy=a,ready.service=b,ready.timeout=60s,ready.namespace=n,ready.chaosengine=c",
    ]);
    let expected = json!([
        {"task": "ready", "with": {"name": "b", "version": "v1", "resource": "services", "namespace": "n",
            "timeout": "60s"}},
        {"task": "ready", "with": {"name": "a", "group": "apps", "version": "v1", "resource": "deployments",
            "condition": "Available", "namespace": "n", "timeout": "60s"}},
        {"task": "ready", "with": {"name": "c", "group": "litmuschaos.io", "version": "v1alpha1",
            "resource": "chaosengines",
            "namespace": "n", "timeout": "60s"}},
    ]);
    assert_eq!(made, expected);
}

#[test]
fn a_warm_up_is_a_task_of_its_own() {
    let made = spec(&["tasks={http}", "http.url=x,http.numRequests=50,http.warmupDuration=3s"]);
    let expected = json!([
        {"task": "http", "with": {"url": "x", "duration": "3s", "warmup": true}},
        {"task": "http", "with": {"url": "x", "numRequests": 50}},
    ]);
    assert_eq!(made, expected);
    let made = spec(&[
        "tasks={grpc}",
        "grpc.host=h,grpc.endpoints.a.call=c,grpc.endpoints.a.duration=9s,grpc.warmupNumRequests=5",
    ]);
    assert_eq!(made[0]["with"], json!({"host": "h", "endpoints": {"a": {"call": "c"}}, "total": 5, "warmup": true}));
}

#[test]
fn fractions_are_numbers_in_the_file() {
    let made = spec(&["tasks={http}", "http.endpoints.a.url=x,http.qps=20.5,http.endpoints.a.percentiles={97.5,50}"]);
    let expected = json!({"qps": 20.5, "endpoints": {"a": {"url": "x", "percentiles": [97.5, 50]}}});
    assert_eq!(made[0]["with"], expected);
}

#[test]
fn notifications_keep_soft_failures_as_given() {
    let made = chart(&[
        "tasks={github,slack}",
        "github.owner=o,github.repo=r,github.token=t,github.softFailure=false",
        "github.if=Result.NumLoops == 10",
        "slack.url=https://hooks.x,slack.method=POST",
    ]);
    let experiment = made.unwrap().experiment;
    assert_eq!(experiment.spec[0].condition.as_deref(), Some("Result.NumLoops == 10"));
    let Task::Notify(github) = experiment.task(0).unwrap() else { panic!("no notification") };
    assert_eq!(github.url, "https://api.github.com/repos/o/r/dispatches");
    assert_eq!((github.payload, github.soft_failure), (Payload::Github, false));
    let Task::Notify(slack) = experiment.task(1).unwrap() else { panic!("no notification") };
    assert_eq!((slack.payload, slack.soft_failure, slack.method.as_str()), (Payload::Slack, true, "POST"));
}

#[test]
fn mistakes_are_named_by_the_values_key() {
    for (sets, expected) in [
        (&["http.url=x"] as &[&str], "tasks: .Values.tasks is empty"),
        (&["tasks=http"], "tasks: expected a list"),
        (&["tasks={htp}"], "tasks: 'htp' is no task: did you mean http?"),
        (&["tasks={run}"], "tasks: a script is no task of values"),
        (&["tasks={http}"], "http.url: there is no url"),
        (&["tasks={http}", "http.urll=x"], "http.urll: there is no key 'urll': did you mean url?"),
        (&["tasks={http}", "htp.url=x"], "htp: there is no key 'htp': did you mean http?"),
        (&["tasks={grpc}", "grpc.host=h"], "grpc.call: it is missing"),
        (&["tasks={http}", "http.url=x", "runner=cronjob"], "runner: periodic runs"),
        (&["tasks={ready}", "ready.deployy=x"], "ready: it names nothing that must be ready: did you mean deploy?"),
        (&["tasks={ready}", "ready.deploy=x,ready.timeout=soon"], "ready.timeout: invalid format for timeout"),
        (
            &["tasks={assess}", "assess.SLOs.upper.http/latency-p99.9=1"],
            "assess.SLOs.upper.http/latency-p99: a limit is a number",
        ),
        (&["tasks={github}", "github.owner=o"], "github.repo: it is missing"),
        (&["tasks={http}", "http.url=x", "logLevel=loud"], "logLevel: 'loud' is no level"),
    ] {
        let error = chart(sets).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{sets:?}: {error}");
    }
}

#[test]
fn what_has_no_effect_is_said() {
    let made = chart(&["tasks={http}", "http.url=x,assess.SLOs.upper.a/b=1,iter8Image=i,cronjobSchedule=*"]).unwrap();
    let starts =
        ["cronjobSchedule: without effect", "iter8Image: without effect", "assess: without effect, because tasks"];
    assert_eq!(made.warnings.len(), starts.len(), "{:?}", made.warnings);
    assert!(made.warnings.iter().zip(starts).all(|(warning, start)| warning.starts_with(start)), "{:?}", made.warnings);
}

#[test]
fn secrets_are_not_in_errors() {
    let error =
        chart(&["tasks={github}", "github.owner=o,github.repo=r,github.token=s3cret,github.ownr=x"]).unwrap_err();
    assert!(!error.to_string().contains("s3cret"));
}
