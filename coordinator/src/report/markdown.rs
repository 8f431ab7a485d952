//! The report as Markdown, for the comment on a pull request.

use std::fmt::Write;

use super::model::{Distribution, Report, RunVerdict};
use super::text::{seconds, verdict_word};
use crate::paper::cell;

pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    write(&mut out, report);
    out
}

/// Writing to a string can't fail: results are let go of.
fn write(out: &mut String, report: &Report) {
    let load = &report.load;
    let _ = writeln!(out, "### loadgrid: {} — **{}**\n", cell(&report.test), verdict_word(report.verdict));
    for reason in &report.reasons {
        let _ = writeln!(out, "> {}\n", cell(reason));
    }
    let _ = writeln!(
        out,
        "{}, {}. {} planned = {} sent + {} dropped + {} lost; {} errors.\n",
        load.model,
        cell(&load.profile),
        load.planned,
        load.sent,
        load.dropped,
        load.lost,
        load.errors
    );
    if report.verdict == RunVerdict::Invalid {
        let _ = writeln!(out, "The figures below are **not a measurement of the target**.\n");
    }
    if !report.slos.is_empty() {
        let _ = writeln!(out, "| objective | observed | 95% interval | verdict |\n|---|---:|---:|---|");
        for slo in &report.slos {
            let note = slo.note.as_ref().map(|note| format!(" ({})", cell(note))).unwrap_or_default();
            let _ = writeln!(
                out,
                "| `{}` | {} | {} | {}{note} |",
                slo.expr.replace('|', "\\|").replace('`', "'"),
                slo.shown.observed,
                slo.shown.interval,
                verdict_word(slo.verdict)
            );
        }
        let _ = writeln!(out);
    }
    if let Some(versions) = &report.versions {
        out.push_str(&crate::compare::versions_markdown(versions));
    }
    let _ = writeln!(out, "| | p50 | p90 | p99 | p99.9 | max |\n|---|---:|---:|---:|---:|---:|");
    row(out, "latency (from the intended start)", &report.total.latency);
    row(out, "service time (uncorrected)", &report.total.service_time);
    for (name, request) in report.requests.iter().filter(|_| report.requests.len() > 1) {
        row(out, &format!("latency of {}", cell(name)), &request.latency);
    }
    for gate in report.audit.iter().filter(|gate| gate.state != "ok") {
        let _ =
            writeln!(out, "\n**{}** gate `{}`: {}. {}. {}.", gate.state, gate.gate, gate.saw, gate.means, gate.todo);
    }
    let _ = writeln!(out, "\n<sub>run {} · seed {} · loadgrid {}</sub>", report.run, load.seed, report.loadgrid);
}

fn row(out: &mut String, name: &str, d: &Distribution) {
    let _ = writeln!(
        out,
        "| {name} | {} | {} | {} | {} | {} |",
        seconds(d.p50),
        seconds(d.p90),
        seconds(d.p99),
        seconds(d.p99_9),
        seconds(d.max)
    );
}
