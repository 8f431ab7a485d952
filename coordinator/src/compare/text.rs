//! The comparison for people at a terminal: at most 100 columns.

use std::fmt::Write;

use super::model::{Comparison, Head, OutcomeState, Row, Section, Verdict, Versions};
use super::show;
use crate::paper::{BOLD, GREEN, RED, YELLOW, paint, wrapped};

/// The width that lines are wrapped to.
const WIDTH: usize = 100;

pub(super) fn render(comparison: &Comparison, colour: bool) -> String {
    let mut page = Page { out: String::new(), colour };
    page.head(comparison);
    for section in &comparison.sections {
        page.section(comparison, section);
    }
    page.explain(comparison);
    page.fail_if(comparison);
    page.out
}

/// The versions of one run, as a part of its report.
pub(super) fn versions(versions: &Versions, colour: bool) -> String {
    let mut page = Page { out: String::new(), colour };
    let title = page.paint(BOLD, "Versions");
    let _ = writeln!(page.out, "\n{title}");
    page.wrapped("  ", &versions.summary);
    for reward in &versions.rewards {
        let values: Vec<String> = reward.values.iter().map(|(name, _, shown)| format!("{name} {shown}")).collect();
        let winner = reward.winner.as_deref().unwrap_or("none");
        let text = format!("{}: winner {winner}; {}", values.join(", "), reward.because);
        page.wrapped(&format!("  {} {}  ", reward.goal, reward.metric), &text);
    }
    for comparison in &versions.comparisons {
        for section in &comparison.sections {
            page.section(comparison, section);
        }
        page.explain(comparison);
    }
    page.out
}

struct Page {
    out: String,
    colour: bool,
}

/// Writing to a string can't fail: results are let go of.
impl Page {
    fn paint(&self, code: &str, text: &str) -> String {
        paint(self.colour, code, text)
    }

    /// A paragraph, wrapped, its lines after the first indented as the text of the first.
    fn wrapped(&mut self, label: &str, text: &str) {
        self.out.push_str(&wrapped(WIDTH, label, text));
    }

    fn head(&mut self, comparison: &Comparison) {
        let name = self.paint(BOLD, &comparison.test);
        let verdict = self.paint(code(comparison.verdict), &show::verdict(comparison.verdict).to_uppercase());
        let _ = writeln!(self.out, "{name}: {verdict}");
        self.wrapped("  ", &comparison.summary);
        let _ = writeln!(self.out);
        let width = comparison.a.label.chars().count().max(comparison.b.label.chars().count()).clamp(8, 30);
        for head in [&comparison.a, &comparison.b] {
            self.wrapped(&format!("{:<width$}  ", head.label), &side(head));
        }
        let together = if comparison.paired { "side by side, by the same seconds" } else { "two runs" };
        let load = format!("{}, {}; {together}", comparison.a.model, comparison.a.profile);
        self.wrapped(&format!("{:<width$}  ", "Load"), &load);
    }

    fn section(&mut self, comparison: &Comparison, section: &Section) {
        let heading = format!(
            "{:<17}{:>9}{:>9}{:>10}  {:<22}{:>9}  verdict",
            clip(&section.name, 17),
            clip(&comparison.a.label, 9),
            clip(&comparison.b.label, 9),
            "change",
            "95% interval",
            "smallest"
        );
        let heading = self.paint(BOLD, &heading);
        let _ = writeln!(self.out, "\n{heading}");
        for row in &section.rows {
            self.row(row);
        }
    }

    fn row(&mut self, row: &Row) {
        let shown = &row.shown;
        let verdict = self.paint(code(row.verdict), show::verdict(row.verdict));
        let _ = writeln!(
            self.out,
            "{:<17}{:>9}{:>9}{:>10}  {:<22}{:>9}  {verdict}",
            clip(&row.name, 17),
            shown.a,
            shown.b,
            shown.difference,
            shown.interval,
            shown.smallest
        );
        if let Some(note) = &row.note {
            self.wrapped("    ", note);
        }
    }

    fn explain(&mut self, comparison: &Comparison) {
        let _ = writeln!(self.out);
        self.wrapped(
            "  ",
            &format!(
                "each interval is of its row alone; the verdicts hold for all {} rows at once: of pairs without a \
                 difference at most 5% are called different in any; smallest is what this pair would have shown in 4 \
                 of 5 cases",
                comparison.family
            ),
        );
        if !comparison.notes.is_empty() {
            let _ = writeln!(self.out);
        }
        for note in &comparison.notes {
            self.wrapped("Note      ", note);
        }
    }

    fn fail_if(&mut self, comparison: &Comparison) {
        if comparison.fail_if.is_empty() {
            return;
        }
        let title = self.paint(BOLD, "Fail if");
        let _ = writeln!(self.out, "\n{title}");
        for outcome in &comparison.fail_if {
            let (code, word) = match outcome.state {
                OutcomeState::Violated => (RED, "VIOLATED"),
                OutcomeState::Holds => (GREEN, "HOLDS"),
                OutcomeState::Inconclusive => (YELLOW, "INCONCLUSIVE"),
            };
            let state = self.paint(code, &format!("{word:<13}"));
            let _ = writeln!(self.out, "  {state}{}", outcome.condition);
            self.wrapped("               ", &outcome.because);
        }
    }
}

/// One side in a sentence.
fn side(head: &Head) -> String {
    let mut text = format!("run {} of {}, {}", head.run, head.started_at, show::run_verdict(head.verdict));
    let _ = write!(text, "; {} requests in {}, {} failed", head.requests, show::time(head.duration), head.errors);
    let _ = match head.urls.as_slice() {
        [] => Ok(()),
        [only] => write!(text, "; {only}"),
        [first, more @ ..] => write!(text, "; {first} and {} more", more.len()),
    };
    text
}

fn code(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => GREEN,
        Verdict::Worse => RED,
        Verdict::Mixed | Verdict::Unknown => YELLOW,
        Verdict::Same => "",
    }
}

fn clip(text: &str, width: usize) -> String {
    if text.chars().count() < width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width - 2).collect();
    format!("{start}…")
}
