//! The history of one test, metric by metric: in which levels it ran, where they changed, and whether the newest run
//! belongs to a new and worse one. It is given runs in their order, and knows neither the store nor a clock.

pub mod edivisive;
mod json;
mod markdown;
mod metric;
pub mod model;
mod series;
mod show;
mod text;

use std::collections::BTreeMap;

use self::edivisive::VALUES_MIN;
pub use self::json::{parse, schema};
pub use self::model::Trend;
use self::model::{MetricTrend, RunRef, SCHEMA, TrendVerdict};
use self::series::Comparable;

/// Longer histories are cut to so many of the newest runs.
pub const RUNS_MAX: usize = 2_000;

/// What is larger is no measurement; its square would be no number. (Nor is NaN, which is not smaller.)
const VALUE_MAX: f64 = 1e100;

/// What a run was measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Run,
    Capacity,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Run => "run",
            Kind::Capacity => "capacity",
        }
    }
}

/// What was sent: only runs of the same are one series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadKey {
    /// `open loop` or `closed loop`.
    pub model: String,
    pub arrivals: String,
    /// Requests per second.
    pub target_rate: Option<f64>,
    /// Any text that is the same for the same requests.
    pub requests: String,
}

/// A run of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    pub run: String,
    /// RFC 3339.
    pub started_at: String,
    pub kind: Kind,
    pub load: LoadKey,
    /// An invalid run measured the generator: it is never used.
    pub valid: bool,
    /// Times in seconds, shares of 1, rates per second; `capacity` in requests per second.
    pub metrics: BTreeMap<String, f64>,
}

impl Point {
    fn run_ref(&self) -> RunRef {
        RunRef { run: self.run.clone(), started_at: self.started_at.clone() }
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    /// Empty: all.
    pub metrics: Vec<String>,
    /// The chance of a change point in a history without one, over all metrics together: 0.01 to 0.05.
    pub significance: f64,
    /// Smaller changes are none; a share of the level before. Error shares have a limit of their own.
    pub smallest_change: f64,
    /// The run whose level is accepted.
    pub baseline: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { seed: 1, metrics: Vec::new(), significance: 0.05, smallest_change: 0.01, baseline: None }
    }
}

/// What a trend can be rendered as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Markdown,
}

/// Renders a trend. `colour` is for text on a terminal.
///
/// # Errors
/// A number that JSON can't hold: none that [`trend`] gives.
pub fn render(trend: &Trend, format: Format, colour: bool) -> Result<String, String> {
    match format {
        Format::Text => Ok(text::render(trend, colour)),
        Format::Json => json::render(trend),
        Format::Markdown => Ok(markdown::render(trend)),
    }
}

/// Judges the history of a test; `points` are oldest first.
///
/// # Errors
/// A sentence for people: a significance out of range, or a metric that no run has.
pub fn trend(test: &str, points: &[Point], settings: &Settings) -> Result<Trend, String> {
    check(settings)?;
    let mut notes = Vec::new();
    let cut = points.len().saturating_sub(RUNS_MAX);
    let points = points.get(cut..).unwrap_or(points);
    if cut > 0 {
        notes.push(format!("the history is longer: its oldest {cut} runs were left out, the newest {RUNS_MAX} used"));
    }
    let comparable = series::comparable(points);
    let columns = columns(&comparable, settings)?;
    let judged = columns.iter().filter(|(_, runs)| runs.len() >= VALUES_MIN).count();
    let each = settings.significance / judged.max(1) as f64;
    let newest_of =
        |kind| comparable.used.iter().rev().find(|point| point.kind == kind).map(|point| point.run.as_str());
    let mut metrics: Vec<MetricTrend> = columns
        .iter()
        .map(|((kind, name), runs)| metric::judge(name, *kind, runs, newest_of(*kind), each, settings))
        .collect();
    metrics.sort_by_key(|metric| rank(metric.verdict));
    let is_baseline = |point: &&&Point| Some(&point.run) == settings.baseline.as_ref();
    let baseline = comparable.used.iter().find(is_baseline).map(|point| point.run_ref());
    if let (Some(run), None) = (&settings.baseline, &baseline) {
        notes.push(format!(
            "the baseline {run} is not among the runs used: set another with `loadgrid baseline set RUN`"
        ));
    }
    notes.extend(metrics.iter().filter_map(metric::note));
    let newest_invalid = points.last().is_some_and(|point| !point.valid);
    let verdict = verdict(&metrics);
    Ok(Trend {
        schema: SCHEMA.to_owned(),
        loadgrid: env!("CARGO_PKG_VERSION").to_owned(),
        test: test.to_owned(),
        verdict,
        exit_code: exit_code(verdict, newest_invalid),
        reasons: reasons(&metrics, verdict, points, newest_invalid),
        newest: points.last().map(Point::run_ref),
        baseline,
        used: comparable.used.len(),
        runs: points.len() + cut,
        left_out: comparable.left_out,
        significance: settings.significance,
        smallest_change: settings.smallest_change,
        seed: settings.seed,
        metrics,
        notes,
    })
}

fn check(settings: &Settings) -> Result<(), String> {
    let significance = settings.significance;
    if !(0.01..=0.05).contains(&significance) {
        return Err(format!("the significance {significance} is out of range: write a share from 0.01 to 0.05"));
    }
    if !(0.0..1.0).contains(&settings.smallest_change) {
        let smallest = settings.smallest_change;
        return Err(format!("the smallest change {smallest} is out of range: write a share from 0 to less than 1"));
    }
    Ok(())
}

type Columns<'a> = BTreeMap<(Kind, String), Vec<(&'a Point, f64)>>;

/// The series, by what they were measured by and the metric.
fn columns<'a>(comparable: &Comparable<'a>, settings: &Settings) -> Result<Columns<'a>, String> {
    let mut all: Columns<'a> = BTreeMap::new();
    for point in &comparable.used {
        for (name, value) in point.metrics.iter().filter(|(_, value)| value.abs() < VALUE_MAX) {
            all.entry((point.kind, name.clone())).or_default().push((*point, *value));
        }
    }
    if settings.metrics.is_empty() {
        return Ok(all);
    }
    for wanted in &settings.metrics {
        if !all.keys().any(|(_, name)| name == wanted) {
            let mut known: Vec<&str> = all.keys().map(|(_, name)| name.as_str()).collect();
            known.dedup();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("no comparable run has the metric '{wanted}'; there are: {known}"));
        }
    }
    all.retain(|(_, name), _| settings.metrics.contains(name));
    Ok(all)
}

fn rank(verdict: TrendVerdict) -> u8 {
    match verdict {
        TrendVerdict::Worse => 0,
        TrendVerdict::Better => 1,
        TrendVerdict::Changed => 2,
        TrendVerdict::Steady => 3,
        TrendVerdict::TooFew => 4,
    }
}

/// The worst that is said of a metric that the newest run has. Metrics with too few runs count only if all have.
fn verdict(metrics: &[MetricTrend]) -> TrendVerdict {
    let told = metrics.iter().filter(|metric| metric.current).map(|metric| metric.verdict);
    told.min_by_key(|verdict| rank(*verdict)).unwrap_or(TrendVerdict::TooFew)
}

fn exit_code(verdict: TrendVerdict, newest_invalid: bool) -> u8 {
    match verdict {
        TrendVerdict::Worse => 1,
        TrendVerdict::TooFew => 3,
        _ if newest_invalid => 3,
        _ => 0,
    }
}

fn reasons(metrics: &[MetricTrend], verdict: TrendVerdict, points: &[Point], newest_invalid: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if let (Some(newest), true) = (points.last(), newest_invalid) {
        reasons.push(format!(
            "the newest run {} is invalid and says nothing of the target: the verdict is of the newest valid one",
            newest.run
        ));
    }
    let count = metrics.iter().map(|metric| metric.points.len()).max().unwrap_or(0);
    match verdict {
        TrendVerdict::Steady => {}
        TrendVerdict::TooFew if points.is_empty() => reasons.push("there is no run of this test yet".to_owned()),
        TrendVerdict::TooFew => reasons.push(format!(
            "{count} comparable runs are too few: {VALUES_MIN} are needed, and the more there are, the smaller the steps \
             that show"
        )),
        _ => {
            let changed = metrics.iter().filter(|metric| metric.current && rank(metric.verdict) < 3);
            reasons.extend(changed.map(|metric| format!("{}: {}", metric.metric, metric.sentence)));
        }
    }
    reasons
}

#[cfg(test)]
mod simulations;
#[cfg(test)]
mod tests;
