//! The page of a capacity search. It decides nothing: the answer and its reasons are the search's.

use serde::Serialize;

use super::{Badge, INVALID};
use crate::capacity::model::{CapacityReport, CapacityVerdict, Probe, ProbeOutcome};
use crate::report::charts;
use crate::report::figures::{NONE, sane, show_interval, show_rate};
use crate::report::model::Validity;

/// Renders a search.
///
/// # Errors
/// The template's, which no report causes.
pub fn page(report: &CapacityReport) -> Result<String, tera::Error> {
    super::render("capacity.html", &Page::of(report))
}

/// What the template sees.
#[derive(Serialize)]
struct Page<'a> {
    report: &'a CapacityReport,
    badge: Badge,
    /// `1,240/s`, `at least 1,240/s`, or a dash.
    answer: String,
    interval: String,
    /// Half the interval, as a share of the estimate.
    reached: Option<f64>,
    rows: Vec<Row<'a>>,
    chart: String,
    near: String,
    throughput: String,
    /// Of which outcomes there are probes.
    outcomes: Vec<Outcome>,
}

#[derive(Serialize)]
struct Row<'a> {
    probe: &'a Probe,
    badge: Badge,
    /// The generator did not do what it was meant to do.
    invalid: bool,
    /// Under p50, p90, p99.
    intervals: [String; 3],
    growth: Option<f64>,
    /// e to the margin: the value nearest to breaking, as a share of its limit.
    of_limit: Option<String>,
}

/// How often probes ended one way.
#[derive(Serialize)]
struct Outcome {
    badge: Badge,
    class: &'static str,
    count: usize,
    means: &'static str,
}

fn badge(verdict: CapacityVerdict) -> Badge {
    match verdict {
        CapacityVerdict::Found => Badge::new("FOUND", "✓", "good"),
        CapacityVerdict::AtLeast => Badge::new("AT LEAST", "≥", "open"),
        CapacityVerdict::Fails => Badge::new("FAILS", "✗", "bad"),
        CapacityVerdict::Refused => Badge::new("NO ANSWER", "?", "open"),
        CapacityVerdict::BrokenOff => Badge::new("BROKEN OFF", "!", "bad"),
    }
}

fn outcome(outcome: ProbeOutcome) -> Badge {
    match outcome {
        ProbeOutcome::Held => Badge::new("held", "●", "good"),
        ProbeOutcome::Broke => Badge::new("broke", "✕", "bad"),
        ProbeOutcome::Unclear => Badge::new("unclear", "◇", "open"),
        ProbeOutcome::Limited => Badge::new("limited", "□", "void"),
    }
}

const OUTCOMES: [(ProbeOutcome, &str); 4] = [
    (ProbeOutcome::Held, "all objectives held"),
    (ProbeOutcome::Broke, "an objective was broken, or a backlog grew"),
    (ProbeOutcome::Unclear, "too close to the limit to tell"),
    (ProbeOutcome::Limited, "the generator was the limit: says nothing of the target"),
];

impl<'a> Page<'a> {
    fn of(report: &'a CapacityReport) -> Page<'a> {
        let estimate = report.estimate.and_then(sane);
        let (low, high) = (report.low.and_then(sane), report.high.and_then(sane));
        let rate = |rate: f64| format!("{}/s", show_rate(rate));
        let answer = match (report.verdict, estimate, low) {
            (CapacityVerdict::AtLeast, _, Some(low)) => format!("≥\u{a0}{}", rate(low)),
            (_, Some(estimate), _) => rate(estimate),
            _ => NONE.to_owned(),
        };
        let interval = match (low, high) {
            (Some(low), Some(high)) => format!("{} – {}", show_rate(low), rate(high)),
            (Some(low), None) => format!("held at {}", rate(low)),
            (None, Some(high)) => format!("broke at {}", rate(high)),
            (None, None) => String::new(),
        };
        let reached = match (low, high, estimate) {
            (Some(low), Some(high), Some(estimate)) if estimate > 0.0 => Some((high - low) / 2.0 / estimate),
            _ => None,
        };
        let count = |of| report.probes.iter().filter(|probe| probe.outcome == of).count();
        let outcomes = OUTCOMES.map(|(of, means)| Outcome {
            badge: outcome(of),
            class: charts::outcome_class(of),
            count: count(of),
            means,
        });
        Page {
            report,
            badge: badge(report.verdict),
            answer,
            interval,
            reached: reached.filter(|reached| *reached > 0.0),
            rows: report.probes.iter().map(row).collect(),
            chart: charts::capacity(report),
            near: charts::near_capacity(report),
            throughput: charts::throughput(report),
            outcomes: outcomes.into_iter().filter(|outcome| outcome.count > 0).collect(),
        }
    }
}

fn row(probe: &Probe) -> Row<'_> {
    let invalid = probe.validity == Validity::Invalid;
    let own = |name: &str| probe.latency_intervals.get(name).map_or(String::new(), show_interval);
    Row {
        probe,
        badge: if invalid { Badge { word: "invalid", class: "void", ..INVALID } } else { outcome(probe.outcome) },
        invalid,
        intervals: ["p50", "p90", "p99"].map(own),
        growth: probe.backlog_growth.and_then(sane),
        of_limit: probe.margin.map(|(margin, _)| margin.exp()).and_then(sane).filter(|_| !invalid).map(show_times),
    }
}

/// A share of a limit: 86%, or 12 × where percent say little.
fn show_times(share: f64) -> String {
    if share < 10.0 { format!("{:.0}%", share * 100.0) } else { format!("{}\u{a0}×", show_rate(share)) }
}
