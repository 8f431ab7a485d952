//! The history as Markdown, for the comment on a pull request.

use std::fmt::Write;

use super::model::{MetricTrend, Trend};
use super::show::{chance, minute};
use super::text::{counts, verdict_word};
use crate::paper::cell;

pub(super) fn render(trend: &Trend) -> String {
    let mut out = String::new();
    write(&mut out, trend);
    out
}

/// Writing to a string can't fail: results are let go of.
fn write(out: &mut String, trend: &Trend) {
    let _ = writeln!(out, "### loadgrid trend: {} — **{}**\n", cell(&trend.test), verdict_word(trend.verdict));
    for reason in &trend.reasons {
        let _ = writeln!(out, "> {}\n", cell(reason));
    }
    for (label, text) in counts(trend) {
        let _ = writeln!(out, "- {label}: {}", cell(&text));
    }
    let _ = writeln!(out, "\n| metric | newest level | against | difference | a step that would show | verdict |");
    let _ = writeln!(out, "|---|---:|---:|---:|---:|---|");
    for metric in &trend.metrics {
        row(out, metric);
    }
    for metric in trend.metrics.iter().filter(|metric| !metric.changes.is_empty()) {
        changes(out, metric);
    }
    for note in &trend.notes {
        let _ = writeln!(out, "\n{}", cell(note));
    }
    let _ = writeln!(
        out,
        "\n<sub>judged at {}% over all metrics together · seed {} · loadgrid {}</sub>",
        super::show::number(trend.significance * 100.0),
        trend.seed,
        trend.loadgrid
    );
}

fn row(out: &mut String, metric: &MetricTrend) {
    let newest = metric.levels.last();
    let shown = newest.map_or("-".to_owned(), |level| format!("{} {}", level.shown, level.shown_spread));
    let held = metric.compared_with.and_then(|level| metric.levels.get(level));
    let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let _ = writeln!(
        out,
        "| `{}` | {} | {} | {} | {} | {} |",
        code(&metric.metric),
        shown.trim_end(),
        held.map_or("-", |level| level.shown.as_str()),
        dash(&metric.shown_difference),
        dash(&metric.shown_smallest_step),
        verdict_word(metric.verdict)
    );
}

fn changes(out: &mut String, metric: &MetricTrend) {
    let _ = writeln!(out, "\n**Changes of `{}`**\n", code(&metric.metric));
    let _ = writeln!(out, "| change | last run before | first run after | before, after | |\n|---:|---|---|---|---|");
    for change in &metric.changes {
        let side = |before: bool| {
            let values = change.around.iter().filter(|around| (around.offset < 0) == before);
            values.map(|around| around.shown.as_str()).collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(
            out,
            "| {} | {} ({}) | {} ({}) | {} → {} | {}{} |",
            change.shown,
            cell(&change.before.run),
            cell(&minute(&change.before.started_at)),
            cell(&change.after.run),
            cell(&minute(&change.after.started_at)),
            side(true),
            side(false),
            cell(&chance(change.p)),
            if change.accepted { ", accepted" } else { "" }
        );
    }
}

/// The same within backticks.
fn code(text: &str) -> String {
    text.replace('|', "\\|").replace('`', "'").replace(['\n', '\r'], " ")
}
