//! The report of a search as Markdown, for the comment on a pull request.

use std::fmt::Write;

use super::build::show_rate;
use super::model::CapacityReport;
use super::text::{outcome_word, word};
use crate::paper::cell;
use crate::report::text::seconds;

/// Renders a search. Writing to a string can't fail: results are let go of.
pub fn render(report: &CapacityReport) -> String {
    let mut out = format!("### loadgrid capacity: {} — **{}**\n\n", cell(&report.test), word(report.verdict));
    let _ = writeln!(out, "**{}**\n", cell(&report.summary));
    for reason in &report.reasons {
        let _ = writeln!(out, "> {}\n", cell(reason));
    }
    if !report.evidence.is_empty() {
        let _ = writeln!(out, "{}. {}.\n", cell(&report.evidence), cell(&report.method));
    }
    if let Some(cause) = &report.limited_by {
        let _ = writeln!(out, "Broke first: `{}`\n", cause.replace('`', "'"));
    }
    let _ = writeln!(out, "| probe | rate | outcome | p50 | p99 | 95% interval of p99 | errors | why |");
    let _ = writeln!(out, "|---:|---:|---|---:|---:|---:|---:|---|");
    for probe in &report.probes {
        let interval = probe
            .latency_intervals
            .get("p99")
            .map_or_else(String::new, |interval| format!("{} – {}", seconds(interval.low), seconds(interval.high)));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {interval} | {:.3}% | {} |",
            probe.number,
            show_rate(probe.rate),
            outcome_word(probe.outcome),
            seconds(probe.latency.p50),
            seconds(probe.latency.p99),
            probe.error_rate * 100.0,
            cell(&probe.because)
        );
    }
    let _ =
        writeln!(out, "\n<sub>run {} · seed {} · loadgrid {}</sub>", report.run, report.settings.seed, report.loadgrid);
    out
}
