//! The comparison as Markdown, for the comment on a pull request.

use std::fmt::Write;

use super::model::{Comparison, Head, OutcomeState, Row, Verdict, Versions};
use super::show;
use crate::paper::cell;

pub(super) fn render(comparison: &Comparison) -> String {
    let mut out = String::new();
    write(&mut out, comparison);
    out
}

/// Writing to a string can't fail: results are let go of.
fn write(out: &mut String, comparison: &Comparison) {
    let verdict = show::verdict(comparison.verdict).to_uppercase();
    let _ = writeln!(out, "### loadgrid: {} — **{verdict}**\n", cell(&comparison.test));
    let _ = writeln!(out, "> {}\n", cell(&comparison.summary));
    if !comparison.fail_if.is_empty() {
        let _ = writeln!(out, "| fail if | | because |\n|---|---|---|");
        for outcome in &comparison.fail_if {
            let state = match outcome.state {
                OutcomeState::Violated => "**violated**",
                OutcomeState::Holds => "holds",
                OutcomeState::Inconclusive => "inconclusive",
            };
            let condition = outcome.condition.replace('|', "\\|").replace('`', "'");
            let _ = writeln!(out, "| `{condition}` | {state} | {} |", cell(&outcome.because));
        }
        let _ = writeln!(out);
    }
    write_sections(out, comparison);
    for note in &comparison.notes {
        let _ = writeln!(out, "- {}", cell(note));
    }
    let side = |head: &Head| format!("{}: run {} of {}", cell(&head.label), cell(&head.run), cell(&head.started_at));
    let _ = writeln!(
        out,
        "\n<sub>{} · {} · {} rows as one family · seed {} · loadgrid {}</sub>",
        side(&comparison.a),
        side(&comparison.b),
        comparison.family,
        comparison.seed,
        cell(&comparison.loadgrid)
    );
}

fn write_sections(out: &mut String, comparison: &Comparison) {
    let (a, b) = (cell(&comparison.a.label), cell(&comparison.b.label));
    for section in &comparison.sections {
        let name = cell(&section.name);
        let _ = writeln!(out, "| {name} | {a} | {b} | change | 95% interval | smallest | verdict |");
        let _ = writeln!(out, "|---|---:|---:|---:|---:|---:|---|");
        for row in &section.rows {
            write_row(out, row);
        }
        let _ = writeln!(out);
    }
}

/// The versions of one run, as a part of its report.
pub(super) fn versions(versions: &Versions) -> String {
    let mut out = format!("**{}**\n\n", cell(&versions.summary));
    for reward in &versions.rewards {
        let values: Vec<String> = reward.values.iter().map(|(name, _, shown)| format!("{name} {shown}")).collect();
        let winner = reward.winner.as_deref().unwrap_or("none");
        let because = cell(&reward.because);
        let metric = reward.metric.replace('`', "'");
        let _ = writeln!(
            out,
            "- {} `{metric}`: {}; winner {}: {because}",
            reward.goal,
            cell(&values.join(", ")),
            cell(winner)
        );
    }
    let _ = writeln!(out);
    versions.comparisons.iter().for_each(|comparison| write_sections(&mut out, comparison));
    out
}

fn write_row(out: &mut String, row: &Row) {
    let verdict = match row.verdict {
        Verdict::Better | Verdict::Worse => format!("**{}**", show::verdict(row.verdict)),
        _ => show::verdict(row.verdict).to_owned(),
    };
    let note = row.note.as_ref().map(|note| format!(" ({})", cell(note))).unwrap_or_default();
    let shown = &row.shown;
    let _ = writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} | {verdict}{note} |",
        cell(&row.name),
        shown.a,
        shown.b,
        shown.difference,
        shown.interval,
        shown.smallest
    );
}
