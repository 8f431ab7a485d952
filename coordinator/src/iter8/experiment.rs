//! Iter8's experiment file: the tasks and, once they ran, their result; reads what Iter8 wrote and writes what Iter8
//! reads. What a task does is not known here.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::Fields;
use super::insights::Insights;
use super::task::{self, Task};
use super::{Iter8Error, condition, metrics};

/// Keys of a spec's item.
const ITEM_KEYS: [&str; 4] = ["task", "run", "if", "with"];

/// Tasks, and what they came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Experiment {
    /// Name and namespace, which later versions of Iter8 write.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    pub spec: Vec<TaskSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultBody>,
}

/// One item of a spec as it was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TaskSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// A script, instead of a task's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<Value>,
}

impl TaskSpec {
    pub fn named(task: &str, with: Map<String, Value>) -> Self {
        TaskSpec { task: Some(task.to_owned()), with: Some(Value::Object(with)), ..TaskSpec::default() }
    }

    /// The task's name for logs.
    pub fn name(&self) -> &str {
        self.task.as_deref().unwrap_or("run")
    }
}

/// Where an experiment is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResultBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<jiff::Timestamp>,
    /// How often the experiment ran before this run.
    #[serde(default)]
    pub num_loops: u64,
    #[serde(default)]
    pub num_completed_tasks: u64,
    #[serde(default)]
    pub failure: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insights: Option<Insights>,
    /// The version of the program that wrote the file.
    #[serde(default, rename = "iter8Version", skip_serializing_if = "Option::is_none")]
    pub iter8_version: Option<String>,
}

/// Versions that an experiment may compare.
const VERSIONS_MAX: usize = 1000;

impl Experiment {
    /// Reads an experiment: a map with `spec` and perhaps `result`, or the list of tasks alone. `name` is the file's.
    ///
    /// # Errors
    /// What is not of that shape, with its place.
    pub fn read(name: &str, text: &str) -> Result<Experiment, Iter8Error> {
        let value: Value = serde_saphyr::from_str(text).map_err(|error| {
            let at = error.location().map(|at| format!("{name}:{}:{}", at.line(), at.column()));
            let message = error.without_snippet().to_string();
            let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(before, _)| before);
            Iter8Error::new(at.unwrap_or_else(|| name.to_owned()), message)
        })?;
        let mut fields = match value {
            Value::Array(spec) => {
                Fields::new("", Value::Object(Map::from_iter([("spec".to_owned(), Value::Array(spec))])))?
            }
            Value::Object(map) => Fields::new("", Value::Object(map))?,
            _ => {
                return Err(Iter8Error::new(name, "an experiment is a list of tasks, or a map with spec: and result:"));
            }
        };
        let spec = match fields.take("spec") {
            Some(Value::Array(items)) => {
                items.into_iter().enumerate().map(|(index, item)| read_item(index, item)).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(Iter8Error::new("spec", "expected a list of tasks")),
            None => return Err(Iter8Error::new(name, "the experiment has no spec: write the list of its tasks")),
        };
        let result = fields.take("result").map(read_result).transpose()?;
        let metadata = fields.take("metadata");
        fields.finish(&["spec", "result", "metadata"])?;
        Ok(Experiment { metadata, spec, result })
    }

    /// The file's text.
    ///
    /// # Errors
    /// The writer's, which no experiment causes.
    pub fn write(&self) -> Result<String, Iter8Error> {
        serde_saphyr::to_string(self).map_err(|error| Iter8Error::new("the experiment", error.to_string()))
    }

    /// Understands an item, counted from 0; a load measures the percentiles that objectives name besides its own.
    ///
    /// # Errors
    /// A key that is unknown, wrong, or that loadgrid can't honour.
    pub fn task(&self, index: usize) -> Result<Task, Iter8Error> {
        let item = self.spec.get(index).ok_or_else(|| {
            Iter8Error::new(place(index), format!("there is no such task: there are {}", self.spec.len()))
        })?;
        task::read(&place(index), item, &self.percentiles_wanted())
    }

    /// Whether an item's `if` holds; without one it does.
    ///
    /// # Errors
    /// The condition is not understood.
    pub fn is_due(&self, index: usize) -> Result<bool, Iter8Error> {
        let Some(text) = self.spec.get(index).and_then(|item| item.condition.as_deref()) else { return Ok(true) };
        condition::evaluate(text, self)
            .map_err(|error| Iter8Error::new(format!("{}.if {}", place(index), error.place), error.message))
    }

    /// The percentiles between 0 and 100 that objectives and rewards name, ascending.
    pub fn percentiles_wanted(&self) -> Vec<f64> {
        let mut wanted: Vec<f64> = Vec::new();
        let assessed = self.spec.iter().enumerate().filter(|(_, item)| item.name() == "assess");
        for (index, item) in assessed {
            // What is wrong with it is said when its turn comes.
            let Ok(Task::Assess(assess)) = task::read(&place(index), item, &[]) else { continue };
            let limits = assess.slos.upper.iter().chain(&assess.slos.lower).map(|limit| limit.metric.as_str());
            let rewards = assess.rewards.max.iter().chain(&assess.rewards.min).map(String::as_str);
            wanted.extend(limits.chain(rewards).filter_map(metrics::percentile));
        }
        wanted.sort_by(f64::total_cmp);
        wanted.dedup();
        wanted
    }

    /// Makes ready for a run that starts now. With `reuse` what runs before measured is kept and one more loop is
    /// counted; else the result is a new one.
    pub fn begin(&mut self, now: jiff::Timestamp, reuse: bool) {
        match &mut self.result {
            Some(result) if reuse => {
                result.num_loops += 1;
                result.num_completed_tasks = 0;
            }
            _ => self.result = Some(ResultBody { start_time: Some(now), ..ResultBody::default() }),
        }
    }

    /// The result, made if there is none.
    pub fn result_mut(&mut self) -> &mut ResultBody {
        self.result.get_or_insert_default()
    }

    /// The insights, made if there are none.
    pub fn insights_mut(&mut self) -> &mut Insights {
        self.result_mut().insights.get_or_insert_default()
    }

    pub fn insights(&self) -> Option<&Insights> {
        self.result.as_ref()?.insights.as_ref()
    }

    /// Whether every task ran.
    pub fn completed(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.num_completed_tasks == self.spec.len() as u64)
    }

    /// Whether no task failed so far.
    pub fn no_failure(&self) -> bool {
        self.result.as_ref().is_some_and(|result| !result.failure)
    }

    /// Whether every version keeps every objective; so it does if there is none, and not before anything was measured.
    pub fn slos_satisfied(&self) -> bool {
        let Some(insights) = self.insights() else { return false };
        let Some(slos) = insights.slos.as_ref().filter(|slos| !slos.is_empty()) else { return true };
        let Some(satisfied) = &insights.slos_satisfied else { return false };
        let keeps = |rows: &[Vec<bool>], count: usize| {
            rows.len() == count
                && rows.iter().all(|row| row.len() == insights.num_versions && row.iter().all(|satisfied| *satisfied))
        };
        keeps(&satisfied.upper, slos.upper.len()) && keeps(&satisfied.lower, slos.lower.len())
    }
}

fn place(index: usize) -> String {
    format!("spec[{index}]")
}

fn read_item(index: usize, item: Value) -> Result<TaskSpec, Iter8Error> {
    let mut fields = Fields::new(place(index), item)?;
    let task = fields.filled("task")?;
    let run = fields.filled("run")?;
    let condition = fields.filled("if")?;
    let with = fields.take("with");
    if task.is_some() == run.is_some() {
        return Err(Iter8Error::new(place(index), "an item has either a task: with its name or a run: with a script"));
    }
    if run.is_some() && with.is_some() {
        return Err(fields.error("with", "a run: has no inputs: leave with: out"));
    }
    fields.finish(&ITEM_KEYS)?;
    Ok(TaskSpec { task, run, condition, with })
}

fn read_result(mut value: Value) -> Result<ResultBody, Iter8Error> {
    plain(&mut value);
    canonical(
        &mut value,
        &["revision", "startTime", "numLoops", "numCompletedTasks", "failure", "insights", "iter8Version"],
    );
    if let Some(insights) = value.get_mut("insights") {
        canonical(
            insights,
            &[
                "numVersions",
                "versionNames",
                "metricsInfo",
                "nonHistMetricValues",
                "histMetricValues",
                "SummaryMetricValues",
                "SLOs",
                "SLOsSatisfied",
                "rewards",
                "rewardsWinners",
            ],
        );
        for key in ["SLOs", "SLOsSatisfied", "rewards", "rewardsWinners"] {
            let Some(sides) = insights.get_mut(key) else { continue };
            canonical(sides, &["upper", "lower", "max", "min"]);
            let lists = sides.as_object_mut().into_iter().flat_map(Map::values_mut);
            lists.filter_map(Value::as_array_mut).flatten().for_each(|limit| canonical(limit, &["metric", "limit"]));
        }
    }
    let result: ResultBody =
        serde_json::from_value(value).map_err(|error| Iter8Error::new("result", error.to_string()))?;
    // Reports have a column for each.
    if result.insights.as_ref().is_some_and(|insights| insights.num_versions > VERSIONS_MAX) {
        return Err(Iter8Error::new("result.insights.numVersions", format!("more than {VERSIONS_MAX} versions")));
    }
    Ok(result)
}

/// Takes out what is null, and puts an empty map for a version that has nothing.
fn plain(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(plain);
        }
        Value::Array(items) => {
            for item in items {
                if item.is_null() {
                    *item = Value::Object(Map::new());
                }
                plain(item);
            }
        }
        _ => {}
    }
}

/// Writes the keys that are known in their own case.
fn canonical(value: &mut Value, known: &[&str]) {
    let Value::Object(map) = value else { return };
    let keys = std::mem::take(map).into_iter();
    *map = keys
        .map(|(key, value)| {
            let name = known.iter().find(|name| name.eq_ignore_ascii_case(&key));
            (name.map_or(key, ToString::to_string), value)
        })
        .collect();
}

#[cfg(test)]
pub(super) mod tests;
