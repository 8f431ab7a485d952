//! The history for people at a terminal: 100 columns.

use std::fmt::Write;

use super::model::{Change, MetricTrend, Trend, TrendVerdict};
use super::show::{chance, minute};
use crate::paper::{BOLD, GREEN, RED, YELLOW, paint, wrapped};

/// The width that lines are wrapped to.
const WIDTH: usize = 100;

/// The plot is at most so wide; longer histories have several runs in a column.
const PLOT: usize = 84;

/// And so high.
const ROWS: usize = 5;

pub(super) fn render(trend: &Trend, colour: bool) -> String {
    let mut page = Page { out: String::new(), colour };
    page.head(trend);
    for metric in &trend.metrics {
        page.metric(metric);
    }
    if !trend.notes.is_empty() {
        let _ = writeln!(page.out);
    }
    for note in &trend.notes {
        page.wrapped("Note      ", note);
    }
    page.out
}

/// A verdict in capitals.
pub(super) fn verdict_word(verdict: TrendVerdict) -> &'static str {
    match verdict {
        TrendVerdict::Steady => "STEADY",
        TrendVerdict::Better => "BETTER",
        TrendVerdict::Worse => "WORSE",
        TrendVerdict::Changed => "CHANGED",
        TrendVerdict::TooFew => "TOO FEW RUNS",
    }
}

/// How many runs there are and what they are held against, as labels and texts.
pub(super) fn counts(trend: &Trend) -> Vec<(&'static str, String)> {
    let mut runs = format!("{} of {} used", trend.used, trend.runs);
    let left: Vec<String> = trend.left_out.iter().map(|left| format!("{} {}", left.count, left.why)).collect();
    if !left.is_empty() {
        runs += &format!("; left out: {}", left.join(", "));
    }
    let baseline = match &trend.baseline {
        Some(baseline) => format!("{} ({}): changes up to it are accepted", baseline.run, minute(&baseline.started_at)),
        None => "none: the newest level is held against the one before".to_owned(),
    };
    let mut counts = vec![("Runs", runs)];
    if let Some(newest) = &trend.newest {
        counts.push(("Newest", format!("{} ({})", newest.run, minute(&newest.started_at))));
    }
    counts.push(("Baseline", baseline));
    counts
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

    fn verdict(&self, verdict: TrendVerdict) -> String {
        let code = match verdict {
            TrendVerdict::Steady | TrendVerdict::Better => GREEN,
            TrendVerdict::Worse => RED,
            TrendVerdict::Changed | TrendVerdict::TooFew => YELLOW,
        };
        self.paint(code, verdict_word(verdict))
    }

    /// A paragraph, wrapped, its lines after the first indented as the text of the first.
    fn wrapped(&mut self, label: &str, text: &str) {
        self.out.push_str(&wrapped(WIDTH, label, text));
    }

    fn head(&mut self, trend: &Trend) {
        let name = self.paint(BOLD, &trend.test);
        let verdict = self.verdict(trend.verdict);
        let _ = writeln!(self.out, "{name}: {verdict}");
        for reason in &trend.reasons {
            self.wrapped("  ", reason);
        }
        let _ = writeln!(self.out);
        for (label, text) in counts(trend) {
            self.wrapped(&format!("{label:<10}"), &text);
        }
    }

    fn metric(&mut self, metric: &MetricTrend) {
        let name = self.paint(BOLD, &metric.metric);
        let verdict = self.verdict(metric.verdict);
        let _ = writeln!(self.out, "\n{name}: {verdict}");
        self.wrapped("  ", &metric.sentence);
        if metric.levels.is_empty() {
            return;
        }
        self.plot(metric);
        for (index, level) in metric.levels.iter().enumerate() {
            let runs = if level.runs == 1 { "run" } else { "runs" };
            let held = metric.levels.len() > 1 && metric.compared_with == Some(index);
            let text = format!(
                "{} {} over {} {runs}, {} to {}{}",
                level.shown,
                level.shown_spread,
                level.runs,
                minute(&level.from_run.started_at),
                minute(&level.to_run.started_at),
                if held { " (held against)" } else { "" }
            );
            self.wrapped("  level   ", &text);
            if let Some(change) = metric.changes.get(index) {
                self.change(change);
            }
        }
    }

    fn change(&mut self, change: &Change) {
        let accepted = if change.accepted { ", accepted by the baseline" } else { "" };
        let between = format!("between {} and {}", change.before.run, change.after.run);
        self.wrapped("  change  ", &format!("{} ({}){accepted}, {between}", change.shown, chance(change.p)));
        for around in &change.around {
            let far = if around.outlier { "  outlier" } else { "" };
            let (offset, started) = (around.offset, minute(&around.started_at));
            let _ = writeln!(self.out, "        {offset:>+4}  {started}  {}  {}{far}", around.run, around.shown);
        }
    }

    /// A dot for each run, or the median of some, over the whole range but for outliers; changes are marked below.
    fn plot(&mut self, metric: &MetricTrend) {
        let columns = columns(metric);
        let values = || columns.iter().map(|column| column.value);
        let low = values().fold(f64::INFINITY, f64::min);
        let high = values().fold(f64::NEG_INFINITY, f64::max);
        let meaning = super::show::Meaning::of(&metric.metric);
        let (top, bottom) = (meaning.value(high), meaning.value(low));
        // What reads the same is drawn the same.
        let (span, rows) = if top == bottom { (0.0, 1) } else { (high - low, ROWS) };
        let row_of = |value: f64| match span > 0.0 {
            true => ((high - value) / span * (rows - 1) as f64).round() as usize,
            false => 0,
        };
        for row in 0..rows {
            let label = match row {
                0 => top.as_str(),
                row if row == rows - 1 => bottom.as_str(),
                _ => "",
            };
            let dots: String = columns.iter().map(|c| if row_of(c.value) == row { c.mark } else { ' ' }).collect();
            let _ = writeln!(self.out, "{}", format!("  {label:>9} │{dots}").trim_end());
        }
        if columns.iter().any(|column| column.changed) {
            let marks: String = columns.iter().map(|column| if column.changed { '^' } else { ' ' }).collect();
            let _ = writeln!(self.out, "{}", format!("  {:>9} │{marks}", "change").trim_end());
        }
    }
}

/// One column of the plot.
struct Column {
    value: f64,
    /// `•`, or `x` for a single outlier, at the edge.
    mark: char,
    /// Whether a level begins here.
    changed: bool,
}

/// The runs, several in a column where there are more than columns. Outliers are not in the range: they lie at its
/// edge, or go under in a column of several.
fn columns(metric: &MetricTrend) -> Vec<Column> {
    let each = metric.points.len().div_ceil(PLOT).max(1);
    let kept = || metric.points.iter().filter(|point| !point.outlier).map(|point| point.value);
    let low = kept().fold(f64::INFINITY, f64::min);
    let high = kept().fold(f64::NEG_INFINITY, f64::max);
    let column = |(index, points): (usize, &[super::model::TrendPoint])| {
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        let value = super::edivisive::median(Some(&values)).unwrap_or(low).max(low).min(high);
        let mark = if points.iter().all(|point| point.outlier) { 'x' } else { '•' };
        let inside = index * each..index * each + points.len();
        Column { value, mark, changed: metric.changes.iter().any(|change| inside.contains(&change.at)) }
    };
    metric.points.chunks(each).enumerate().map(column).collect()
}
