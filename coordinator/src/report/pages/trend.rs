//! The page of a test's history. It decides nothing: levels and verdicts are the trend's.

use serde::Serialize;

use super::Badge;
use crate::report::charts;
use crate::report::figures::NONE;
use crate::trend::model::{Change, Direction, Level, MetricTrend, Trend, TrendVerdict};

/// Renders a history.
///
/// # Errors
/// The template's, which no history causes.
pub fn page(of: &Trend) -> Result<String, tera::Error> {
    super::render("trend.html", &Page::of(of))
}

/// What the template sees.
#[derive(Serialize)]
struct Page<'a> {
    of: &'a Trend,
    badge: Badge,
    /// Where there are no reasons.
    otherwise: &'static str,
    metrics: Vec<Metric<'a>>,
    changes: usize,
}

#[derive(Serialize)]
struct Metric<'a> {
    of: &'a MetricTrend,
    badge: Badge,
    newest: &'a str,
    level: Option<&'a Level>,
    /// What the newest level is held against.
    against: Option<&'a Level>,
    changes: Vec<Shown<'a>>,
    chart: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    of: &'a Change,
    badge: Badge,
    around: Vec<(&'a crate::trend::model::Around, &'a str)>,
}

/// `whole`: in capitals, of all metrics together.
fn badge(verdict: TrendVerdict, whole: bool) -> Badge {
    let (word, small, symbol, class) = match verdict {
        TrendVerdict::Steady => ("STEADY", "steady", "=", "good"),
        TrendVerdict::Better => ("BETTER", "better", "▲", "good"),
        TrendVerdict::Worse => ("WORSE", "worse", "▼", "bad"),
        TrendVerdict::Changed => ("CHANGED", "changed", "◆", "open"),
        TrendVerdict::TooFew => ("TOO FEW RUNS", "too few runs", "?", "open"),
    };
    Badge::new(if whole { word } else { small }, symbol, class)
}

fn change_badge(change: &Change) -> Badge {
    match (change.accepted, change.direction) {
        (true, _) => Badge::new("accepted", "✓", "void"),
        (_, Direction::Better) => Badge::new("better", "▲", "good"),
        (_, Direction::Worse) => Badge::new("worse", "▼", "bad"),
        (_, Direction::Changed) => Badge::new("changed", "◆", "open"),
    }
}

/// A figure as it is written beside its value, where that is one.
fn figure(value: f64, shown: &str) -> &str {
    if value.is_finite() && !shown.is_empty() { shown } else { NONE }
}

impl<'a> Page<'a> {
    fn of(of: &'a Trend) -> Page<'a> {
        let metrics: Vec<_> = of.metrics.iter().map(|metric| shown(metric, of)).collect();
        Page {
            of,
            badge: badge(of.verdict, true),
            otherwise: match of.verdict {
                TrendVerdict::Steady => "No change is shown.",
                TrendVerdict::Better => "The newest run belongs to a better level.",
                TrendVerdict::Worse => "The newest run belongs to a worse level.",
                TrendVerdict::Changed => "The newest run belongs to another level.",
                TrendVerdict::TooFew => "There are too few runs to tell.",
            },
            changes: metrics.iter().map(|metric| metric.changes.len()).sum(),
            metrics,
        }
    }
}

fn shown<'a>(of: &'a MetricTrend, trend: &'a Trend) -> Metric<'a> {
    let change = |change: &'a Change| Shown {
        of: change,
        badge: change_badge(change),
        around: change.around.iter().map(|run| (run, figure(run.value, &run.shown))).collect(),
    };
    Metric {
        of,
        badge: badge(of.verdict, false),
        newest: of.points.last().map_or(NONE, |point| figure(point.value, &point.shown)),
        level: of.levels.last().filter(|level| level.mean.is_finite()),
        against: of.compared_with.and_then(|place| of.levels.get(place)).filter(|level| level.mean.is_finite()),
        changes: of.changes.iter().rev().map(change).collect(),
        chart: charts::trend(of, trend.baseline.as_ref()),
    }
}
