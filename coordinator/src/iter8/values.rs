//! The values of Iter8's chart as the experiment that the chart would make of them. Where values come from is not
//! known here.

use serde_json::{Map, Value, json};

use super::experiment::{Experiment, TaskSpec};
use super::fields::{self, Fields};
use super::load::Protocol;
use super::task::{GITHUB_TEMPLATE, SLACK_TEMPLATE, limits_of_map};
use super::{Iter8Error, grpc, http};

/// What may be listed as a task.
const TASKS: [&str; 7] = ["ready", "http", "grpc", "assess", "custommetrics", "github", "slack"];

/// Keys beside the tasks'.
const GLOBALS: [&str; 8] =
    ["tasks", "runner", "logLevel", "cronjobSchedule", "iter8Image", "majorMinor", "serviceAccountName", "resources"];

/// What a key of `ready` names.
struct Kind {
    key: &'static str,
    group: Option<&'static str>,
    version: &'static str,
    resource: &'static str,
    condition: Option<&'static str>,
}

/// In the chart's order.
const KINDS: [Kind; 5] = [
    Kind { key: "service", group: None, version: "v1", resource: "services", condition: None },
    Kind { key: "deploy", group: Some("apps"), version: "v1", resource: "deployments", condition: Some("Available") },
    Kind {
        key: "ksvc",
        group: Some("serving.knative.dev"),
        version: "v1",
        resource: "services",
        condition: Some("Ready"),
    },
    Kind {
        key: "isvc",
        group: Some("serving.kserve.io"),
        version: "v1beta1",
        resource: "inferenceservices",
        condition: Some("Ready"),
    },
    Kind {
        key: "chaosengine",
        group: Some("litmuschaos.io"),
        version: "v1alpha1",
        resource: "chaosengines",
        condition: None,
    },
];

/// An experiment that has not run, and what of the values had no effect, a sentence each.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    pub experiment: Experiment,
    pub warnings: Vec<String>,
}

/// Reads merged values; every task's inputs are checked too.
///
/// # Errors
/// The first key that is unknown, wrong, or that loadgrid can't honour.
pub fn read(values: &Value) -> Result<Chart, Iter8Error> {
    let mut fields = Fields::new("", values.clone())?;
    let mut warnings = globals(&mut fields)?;
    let place = fields.at("tasks");
    let tasks = match fields.take("tasks") {
        None => Vec::new(),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Iter8Error::new(place, "expected a list of tasks: write tasks={http,assess}")),
    };
    if tasks.is_empty() {
        return Err(Iter8Error::new(place, ".Values.tasks is empty: say what to do, such as tasks={http,assess}"));
    }
    let mut inputs = Map::new();
    for name in TASKS {
        let at = fields.at(name);
        if let Some(value) = fields.take(name) {
            inputs.insert(name.to_owned(), Value::Object(Fields::new(at, value)?.rest()));
        }
    }
    if fields.take("abnmetrics").is_some() {
        return Err(Iter8Error::new(
            "abnmetrics",
            "metrics of Iter8's A/B/n service are not read here: use custommetrics",
        ));
    }
    let known: Vec<&str> = TASKS.into_iter().chain(GLOBALS).collect();
    fields.finish(&known)?;
    let mut spec = Vec::new();
    for task in &tasks {
        let name = task.as_str().unwrap_or("");
        let name =
            TASKS.into_iter().find(|known| known.eq_ignore_ascii_case(name)).ok_or_else(|| no_task(&place, task))?;
        let with = inputs.get(name).cloned().unwrap_or_else(|| json!({}));
        spec.extend(items(name, with)?);
    }
    for name in inputs.keys() {
        if !tasks.iter().any(|task| task.as_str().is_some_and(|task| task.eq_ignore_ascii_case(name))) {
            warnings.push(format!("{name}: without effect, because tasks does not list {name}"));
        }
    }
    let experiment = Experiment { spec, ..Experiment::default() };
    for index in 0..experiment.spec.len() {
        // Values are known by their own keys, which items of a spec have but for their place.
        experiment.task(index).map_err(|error| Iter8Error { place: chart_place(&error.place), ..error })?;
    }
    Ok(Chart { experiment, warnings })
}

fn no_task(place: &str, task: &Value) -> Iter8Error {
    let name = fields::text(task).unwrap_or_default();
    match fields::nearest(&name, &TASKS) {
        _ if name == "run" => {
            Iter8Error::new(place, "a script is no task of values: write an experiment file with run:")
        }
        _ if name == "abnmetrics" => Iter8Error::new(place, "abnmetrics are not read here: use custommetrics"),
        Some(near) => Iter8Error::new(place, format!("'{name}' is no task: did you mean {near}?")),
        None => Iter8Error::new(place, format!("'{name}' is no task: there are {}", TASKS.join(", "))),
    }
}

/// `spec[2].http.url` as `http.url`.
fn chart_place(place: &str) -> String {
    match place.split_once("].") {
        Some((before, after)) if before.starts_with("spec[") => after.to_owned(),
        _ => place.to_owned(),
    }
}

fn globals(fields: &mut Fields) -> Result<Vec<String>, Iter8Error> {
    match fields.filled("runner")?.as_deref() {
        None | Some("job" | "none") => {}
        Some("cronjob") => {
            let message =
                "periodic runs are not made here: run the experiment from a CronJob, with reuse of its result";
            return Err(fields.error("runner", message));
        }
        Some(other) => return Err(fields.error("runner", format!("'{other}' is no runner: write job or none"))),
    }
    if let Some(level) = fields.filled("logLevel")? {
        let levels = ["trace", "debug", "info", "warning", "error", "fatal", "panic"];
        if !levels.contains(&level.to_ascii_lowercase().as_str()) {
            return Err(fields.error("logLevel", format!("'{level}' is no level: write one of {}", levels.join(", "))));
        }
    }
    let idle = [
        ("cronjobSchedule", "periodic runs are not made here"),
        ("iter8Image", "no image of Iter8 is run"),
        ("majorMinor", "no image of Iter8 is run"),
        ("serviceAccountName", "no service account is made or needed for an experiment"),
        ("resources", "no pod is made for an experiment; workers have their own resources"),
    ];
    let given =
        idle.into_iter().filter_map(|(key, why)| fields.take(key).map(|_| format!("{key}: without effect, {why}")));
    Ok(given.collect())
}

/// The items of a spec that a task of the chart comes to.
fn items(name: &str, with: Value) -> Result<Vec<TaskSpec>, Iter8Error> {
    let mut fields = Fields::new(name, with)?;
    let condition = fields.filled("if")?;
    let mut items = match name {
        "ready" => ready(fields)?,
        "http" => load(Protocol::Http, fields)?,
        "grpc" => load(Protocol::Grpc, fields)?,
        "assess" => vec![TaskSpec::named(name, assess(fields)?)],
        "github" => vec![github(fields)?],
        "slack" => vec![slack(fields)?],
        _ => vec![TaskSpec::named(name, fields.rest())],
    };
    for item in &mut items {
        item.condition.clone_from(&condition);
    }
    Ok(items)
}

fn ready(mut fields: Fields) -> Result<Vec<TaskSpec>, Iter8Error> {
    let namespace = fields.filled("namespace")?;
    let timeout = fields.filled("timeout")?;
    let mut items = Vec::new();
    for Kind { key: kind, group, version, resource, condition } in KINDS {
        let at = fields.at(kind);
        let name = match fields.take(kind) {
            None => continue,
            Some(Value::Array(_)) => return Err(Iter8Error::new(at, "one object of a kind: give its name alone")),
            Some(value) => fields::text(&value).ok_or_else(|| Iter8Error::new(at, "expected the name of an object"))?,
        };
        let mut with = Map::from_iter([("name".to_owned(), Value::String(name))]);
        let more = [
            ("group", group),
            ("version", Some(version)),
            ("resource", Some(resource)),
            ("condition", condition),
            ("namespace", namespace.as_deref()),
            ("timeout", timeout.as_deref()),
        ];
        with.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?)))));
        items.push(TaskSpec::named("ready", with));
    }
    if items.is_empty() {
        let kinds = KINDS.map(|kind| kind.key).join(", ");
        let near = fields.names().first().and_then(|key| fields::nearest(key, &KINDS.map(|kind| kind.key)));
        let mend = near.map_or_else(|| format!("give one of {kinds}"), |near| format!("did you mean {near}?"));
        return Err(Iter8Error::new("ready", format!("it names nothing that must be ready: {mend}")));
    }
    fields.finish(&["service", "deploy", "ksvc", "isvc", "chaosengine", "timeout", "namespace"])?;
    Ok(items)
}

/// A load, after its warm-up if it has one.
fn load(protocol: Protocol, mut fields: Fields) -> Result<Vec<TaskSpec>, Iter8Error> {
    let (known, number, measures): (&[&str], &str, &[&str]) = match protocol {
        Protocol::Http => (&http::KEYS, "numRequests", &http::MEASURES),
        Protocol::Grpc => (&grpc::KEYS, "total", &grpc::MEASURES),
    };
    let requests = fields.take("warmupNumRequests");
    let duration = fields.take("warmupDuration");
    let place = fields.at("");
    let mut with = fields.rest();
    numbers(&mut with);
    let own: Vec<&str> =
        known.iter().copied().chain(["endpoints", "warmup", "warmupNumRequests", "warmupDuration", "if"]).collect();
    fields::check(place.trim_end_matches('.'), &with, &own)?;
    let mut items = Vec::new();
    let warmup = match (requests, duration) {
        (Some(requests), _) => Some((number, requests)),
        (None, duration) => duration.map(|duration| ("duration", duration)),
    };
    if let Some((measure, value)) = warmup {
        let mut first = with.clone();
        measureless(&mut first, measures);
        for (key, endpoints) in &mut first {
            if !key.eq_ignore_ascii_case("endpoints") {
                continue;
            }
            let endpoints = endpoints.as_object_mut().into_iter().flat_map(Map::values_mut);
            endpoints.filter_map(Value::as_object_mut).for_each(|endpoint| measureless(endpoint, measures));
        }
        first.insert(measure.to_owned(), value);
        first.insert("warmup".to_owned(), json!(true));
        items.push(TaskSpec::named(protocol.name(), first));
    }
    items.push(TaskSpec::named(protocol.name(), with));
    Ok(items)
}

/// Fractions, which `--set` leaves as text, as the numbers that readers of the file expect.
fn numbers(with: &mut Map<String, Value>) {
    let numeric = |value: &mut Value| {
        if let Some(number) = fields::number(value).filter(|_| value.is_string()) {
            *value = Value::from(number);
        }
    };
    for (key, value) in with {
        match key.to_ascii_lowercase().as_str() {
            "qps" | "rps" => numeric(value),
            "percentiles" => value.as_array_mut().into_iter().flatten().for_each(numeric),
            "endpoints" => {
                let endpoints = value.as_object_mut().into_iter().flat_map(Map::values_mut);
                endpoints.filter_map(Value::as_object_mut).for_each(numbers);
            }
            _ => {}
        }
    }
}

/// Takes out what says how much is sent: a warm-up says so itself.
fn measureless(with: &mut Map<String, Value>, measures: &[&str]) {
    with.retain(|key, _| !measures.iter().any(|measure| measure.eq_ignore_ascii_case(key)));
}

fn assess(mut fields: Fields) -> Result<Map<String, Value>, Iter8Error> {
    let mut with = Map::new();
    if let Some(mut sides) = fields.map("SLOs")? {
        let mut slos = Map::new();
        for side in ["upper", "lower"] {
            let place = sides.at(side);
            if let Some(limits) = sides.take(side) {
                slos.insert(side.to_owned(), limits_of_map(&place, limits)?);
            }
        }
        sides.finish(&["upper", "lower"])?;
        with.insert("SLOs".to_owned(), Value::Object(slos));
    }
    if let Some(rewards) = fields.take("rewards") {
        with.insert("rewards".to_owned(), rewards);
    }
    fields.finish(&["SLOs", "rewards", "if"])?;
    Ok(with)
}

fn github(mut fields: Fields) -> Result<TaskSpec, Iter8Error> {
    let mut required = |key: &str| {
        fields.filled(key)?.ok_or_else(|| fields.error(key, "it is missing: a dispatch needs owner, repo and token"))
    };
    let (owner, repo, token) = (required("owner")?, required("repo")?, required("token")?);
    let with = json!({
        "url": format!("https://api.github.com/repos/{owner}/{repo}/dispatches"),
        "method": "POST",
        "headers": {"Authorization": format!("token {token}"), "Accept": "application/vnd.github+json"},
    });
    notification(fields, with, GITHUB_TEMPLATE, &["owner", "repo", "token", "payloadTemplateURL", "softFailure", "if"])
}

fn slack(mut fields: Fields) -> Result<TaskSpec, Iter8Error> {
    let url = fields.filled("url")?.ok_or_else(|| fields.error("url", "it is missing: give the URL of the webhook"))?;
    // Iter8's documents set it, and its chart passes over it.
    let method = fields.filled("method")?;
    if method.is_some_and(|method| !method.eq_ignore_ascii_case("POST")) {
        return Err(fields.error("method", "a webhook takes POST: leave it out"));
    }
    let known = ["url", "method", "payloadTemplateURL", "softFailure", "if"];
    notification(fields, json!({"url": url, "method": "POST"}), SLACK_TEMPLATE, &known)
}

fn notification(mut fields: Fields, mut with: Value, template: &str, known: &[&str]) -> Result<TaskSpec, Iter8Error> {
    let template = fields.filled("payloadTemplateURL")?.unwrap_or_else(|| template.to_owned());
    let soft = fields.boolean("softFailure")?.unwrap_or(true);
    fields.finish(known)?;
    if let Value::Object(with) = &mut with {
        with.insert("payloadTemplateURL".to_owned(), Value::String(template));
        with.insert("softFailure".to_owned(), Value::Bool(soft));
    }
    Ok(TaskSpec { task: Some("notify".to_owned()), with: Some(with), ..TaskSpec::default() })
}

#[cfg(test)]
mod tests;
