//! The report of a search for people at a terminal.

use std::fmt::Write;

use super::build::show_rate;
use super::model::{CapacityReport, CapacityVerdict, Probe, ProbeOutcome};
use crate::paper::{self, BOLD, GREEN, RED, YELLOW};
use crate::report::model::Validity;
use crate::report::text::seconds;
use crate::spec::units::show_ns;

/// The width that lines are wrapped to; those of probes are as long as they have to be.
const WIDTH: usize = 100;

fn wrapped(label: &str, text: &str) -> String {
    paper::wrapped(WIDTH, label, text)
}

/// A verdict in a word or two.
pub(super) fn word(verdict: CapacityVerdict) -> &'static str {
    match verdict {
        CapacityVerdict::Found => "FOUND",
        CapacityVerdict::AtLeast => "AT LEAST",
        CapacityVerdict::Fails => "FAILS",
        CapacityVerdict::Refused => "NO ANSWER",
        CapacityVerdict::BrokenOff => "BROKEN OFF",
    }
}

pub(super) fn outcome_word(outcome: ProbeOutcome) -> &'static str {
    match outcome {
        ProbeOutcome::Held => "held",
        ProbeOutcome::Broke => "broke",
        ProbeOutcome::Unclear => "unclear",
        ProbeOutcome::Limited => "LIMITED",
    }
}

/// Renders a search. `colour` is for a terminal. Writing to a string can't fail: results are let go of.
pub fn render(report: &CapacityReport, colour: bool) -> String {
    let paint = |code: &str, text: &str| paper::paint(colour, code, text);
    let code = match report.verdict {
        CapacityVerdict::Found | CapacityVerdict::AtLeast => GREEN,
        CapacityVerdict::Fails => RED,
        CapacityVerdict::Refused | CapacityVerdict::BrokenOff => YELLOW,
    };
    let mut out = format!("{}: {}\n", paint(BOLD, &report.test), paint(code, word(report.verdict)));
    out += &wrapped("  ", &report.summary);
    for reason in &report.reasons {
        out += &wrapped("  ", reason);
    }
    let _ = writeln!(out);
    if !report.evidence.is_empty() {
        out += &wrapped("Evidence  ", &report.evidence);
    }
    if !report.method.is_empty() {
        out += &wrapped("Estimate  ", &report.method);
    }
    if let Some(cause) = &report.limited_by {
        let is_objective = report.settings.slos.contains(cause);
        let text = if is_objective { format!("{cause} broke first") } else { cause.clone() };
        out += &wrapped("Limit     ", &text);
    }
    out += &wrapped("Search    ", &search(report));
    let _ = writeln!(out, "\n{}", paint(BOLD, "Objectives"));
    for slo in &report.settings.slos {
        let _ = writeln!(out, "  {slo}");
    }
    let title = "Probes       rate  outcome       p50     p99  95% interval           backlog  why";
    let _ = writeln!(out, "\n{}", paint(BOLD, title));
    for probe in &report.probes {
        let _ = writeln!(out, "{}", line(probe, report.settings.slos.len() == 1));
    }
    beside(&mut out, report);
    let _ = writeln!(out, "\nRun {}, seed {}, loadgrid {}", report.run, report.settings.seed, report.loadgrid);
    out
}

fn search(report: &CapacityReport) -> String {
    let s = &report.settings;
    format!(
        "{} probe{} in {}, {} arrivals, {} to {}; main phases of {} (bracketing) and {} (boundary) after {} of warm-up",
        report.probes.len(),
        if report.probes.len() == 1 { "" } else { "s" },
        show_ns((report.duration * 1e9).round()),
        s.arrivals,
        show_rate(s.min),
        show_rate(s.max),
        show_ns(s.short_probe * 1e9),
        show_ns(s.long_probe * 1e9),
        show_ns(s.warmup * 1e9),
    )
}

fn line(probe: &Probe, only: bool) -> String {
    // With a single objective its name says nothing.
    let name = probe.slos.first().filter(|_| only).map(|slo| format!("{} ", slo.metric)).unwrap_or_default();
    let because = probe.because.strip_prefix(&name).unwrap_or(&probe.because);
    let interval = probe.latency_intervals.get("p99").map_or_else(String::new, |interval| {
        let bound = |bound: Option<f64>| bound.map_or_else(|| "n too small".to_owned(), |s| seconds(Some(s)));
        format!("[{}, {}]", bound(interval.low), bound(interval.high))
    });
    let degraded = if probe.validity == Validity::Degraded { " (degraded)" } else { "" };
    format!(
        "  {:>2} {:>12}  {:<8} {:>8} {:>7}  {:<21} {:>8.1}  {}{degraded}",
        probe.number,
        show_rate(probe.rate),
        outcome_word(probe.outcome),
        seconds(probe.latency.p50),
        seconds(probe.latency.p99),
        interval,
        probe.backlog,
        because
    )
}

fn beside(out: &mut String, report: &CapacityReport) {
    let _ = writeln!(out);
    if let Some(knee) = report.knee {
        *out += &wrapped("Knee      ", &format!("p99 bends at about {}", show_rate(knee)));
    }
    if let Some(fit) = report.scalability {
        let peak = fit.peak.map_or_else(
            || "no maximum near the probes".to_owned(),
            |(n, x)| format!("its maximum {} at {n:.0} requests at once", show_rate(x)),
        );
        let text = format!(
            "Universal Scalability Law through the probes: λ {}, contention σ {:.4}, coherency κ {:.6}, {peak}, R² {:.3}; \
             a comment on them, not the capacity",
            show_rate(fit.lambda),
            fit.sigma,
            fit.kappa,
            fit.r2
        );
        *out += &wrapped("Scaling   ", &text);
    }
    for note in &report.notes {
        *out += &wrapped("Note      ", note);
    }
}
