//! Differences with their intervals, one under the other, around the line of no difference.

use std::fmt::Write;

use super::frame::{BOTTOM, Form, Frame, NARROW, Scale as Axis, TOP, WIDE, escape, mark, round, shorten};
use crate::compare::model::{Comparison, Row, Scale, Section, Verdict};

/// One line of the plot.
enum Item<'a> {
    Title(&'a str),
    Row(&'a Row),
}

/// Who is compared with whom, and whether rows have verdicts: out of an invalid run they have none.
#[derive(Clone, Copy)]
struct Sides<'a> {
    a: &'a str,
    b: &'a str,
    void: bool,
}

/// How a verdict is drawn: class and form.
fn found(row: &Row, sides: Sides) -> (&'static str, Form) {
    match row.verdict {
        _ if sides.void => ("same", Form::Disc),
        Verdict::Better => ("better", Form::Disc),
        Verdict::Worse => ("worse", Form::Diamond),
        _ if row.suspected => ("suspected", Form::Square),
        _ => ("same", Form::Disc),
    }
}

/// Times and rates in percent of A, then shares in points; empty where no row has a difference. `void`: no verdict is
/// shown, for a run is invalid.
pub fn forest(of: &Comparison, void: bool) -> String {
    let sides = Sides { a: &of.a.label, b: &of.b.label, void };
    [Scale::Relative, Scale::Absolute].into_iter().map(|scale| plot(&of.sections, sides, scale)).collect()
}

fn measured(row: &Row) -> Option<f64> {
    row.difference.filter(|difference| difference.is_finite())
}

fn plot(sections: &[Section], sides: Sides, scale: Scale) -> String {
    let mut items = Vec::new();
    for section in sections {
        let rows = section.rows.iter().filter(|row| row.scale == scale && measured(row).is_some());
        let mut rows = rows.map(Item::Row).peekable();
        if rows.peek().is_some() && sections.len() > 1 {
            items.push(Item::Title(&section.name));
        }
        items.extend(rows);
    }
    let rows = || items.iter().filter_map(|item| if let Item::Row(row) = item { Some(*row) } else { None });
    if rows().next().is_none() {
        return String::new();
    }
    let axis = axis(rows());
    let told: Vec<_> =
        rows().map(|row| format!("{} {} {}", row.metric, row.shown.difference, word(row, sides))).collect();
    let label = format!("Differences of {} against {} with their intervals: {}.", sides.b, sides.a, told.join(", "));
    let count = items.len() as f64;
    let wide = Frame { height: TOP + BOTTOM + count * 24.0, left: 220.0, right: 250.0, ..WIDE };
    let narrow = Frame { height: TOP + BOTTOM + count * 40.0, left: 22.0, right: 22.0, ..NARROW };
    [wide, narrow].iter().map(|frame| frame.svg(&label, &body(frame, &items, &axis, sides, scale))).collect()
}

fn word(row: &Row, sides: Sides) -> &'static str {
    match row.verdict {
        _ if sides.void => "not judged",
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Mixed => "mixed",
        Verdict::Unknown => "unknown",
        Verdict::Same if row.suspected => "suspected",
        Verdict::Same => "no difference shown",
    }
}

/// As far to the left as to the right. One row whose interval is far wider than the others' does not flatten them: it
/// ends in arrows.
fn axis<'a>(rows: impl Iterator<Item = &'a Row>) -> Axis {
    let (mut reaches, mut least) = (Vec::new(), 1e-9_f64);
    for row in rows {
        let ends = [row.low, row.high, row.difference];
        let reach =
            ends.into_iter().flatten().filter(|end| end.is_finite()).fold(0.0, |most: f64, end| most.max(end.abs()));
        reaches.push(reach);
        if row.verdict != Verdict::Same {
            least = least.max(measured(row).unwrap_or_default().abs());
        }
    }
    reaches.sort_by(f64::total_cmp);
    let most = reaches.last().copied().unwrap_or_default();
    let middle = reaches.get(reaches.len() / 2).copied().unwrap_or_default();
    let reach = most.min((middle * 3.0).max(least * 1.25)).clamp(1e-6, 1e6);
    let step = round(reach / 3.0, f64::ceil);
    let top = (reach / step - 1e-9).ceil().max(1.0) * step;
    Axis::Range { low: -top, top, step }
}

fn tick(value: f64, step: f64, scale: Scale) -> String {
    let places = (-((step * 100.0).log10() + 1e-9).floor()).clamp(0.0, 6.0) as usize;
    let sign = if value > step / 2.0 { "+" } else { "" };
    let value = if value.abs() < step / 2.0 { 0.0 } else { value * 100.0 };
    let unit = if scale == Scale::Relative { "%" } else { "pp" };
    format!("{sign}{value:.places$}{unit}")
}

fn body(frame: &Frame, items: &[Item], axis: &Axis, sides: Sides, scale: Scale) -> String {
    let step = if let Axis::Range { step, .. } = axis { *step } else { 1.0 };
    let ticks: Vec<_> =
        axis.ticks().into_iter().map(|value| (axis.position(value), tick(value, step, scale))).collect();
    let mut out = String::new();
    let (top, height) = (TOP, frame.floor() - TOP);
    for (place, _) in &ticks {
        let _ = write!(out, "<path class=\"grid\" d=\"M{:.1} {top}v{height:.1}\"/>", frame.x(*place));
    }
    let _ = write!(out, "<path class=\"zero\" d=\"M{:.1} {top}v{height:.1}\"/>", frame.x(axis.position(0.0)));
    let most = if frame.names { 24 } else { 14 };
    let [a, b] = [sides.a, sides.b].map(|label| escape(&shorten(label, most)));
    let title = match scale {
        Scale::Relative => format!("difference of {b}, in percent of {a}"),
        Scale::Absolute => format!("{b} − {a}, in percentage points"),
    };
    out += &frame.x_axis(&ticks, &title);
    let line = height / items.len().max(1) as f64;
    for (place, item) in items.iter().enumerate() {
        let y = top + line * place as f64;
        out += &match item {
            Item::Title(name) => {
                let (x, base) = (if frame.names { 0.0 } else { frame.left }, y + line - 8.0);
                format!(
                    "<text class=\"forest-title\" x=\"{x:.1}\" y=\"{base:.1}\">{}</text>",
                    escape(&shorten(name, 40))
                )
            }
            Item::Row(row) => drawn(frame, axis, row, sides, (y, line)),
        };
    }
    out
}

/// `y` and `line`: where the row begins, and how high it is.
fn drawn(frame: &Frame, axis: &Axis, row: &Row, sides: Sides, (y, line): (f64, f64)) -> String {
    let (class, form) = found(row, sides);
    let (difference, interval) = (escape(&row.shown.difference), escape(&row.shown.interval));
    let (x0, x1, base) = (frame.x(0.0), frame.x(1.0), y + line / 2.0);
    let mut out = format!("<g class=\"{class}\">");
    // Wide: name, plot, figures in one line. Narrow: the name and the figures over the plot.
    let middle = if frame.names { base } else { y + line - 10.0 };
    let text = if frame.names { base + 4.0 } else { y + 17.0 };
    let (name, names_x, letters) = if frame.names { ("end", x0 - 14.0, 30) } else { ("", x0, 24) };
    let _ = write!(
        out,
        "<text class=\"forest-name {name}\" x=\"{names_x:.1}\" y=\"{text:.1}\">{}</text>",
        escape(&shorten(&row.name, letters))
    );
    if frame.names {
        let _ = write!(out, "<text class=\"figure\" x=\"{:.1}\" y=\"{text:.1}\">{difference}</text>", x1 + 16.0);
        let _ = write!(out, "<text x=\"{:.1}\" y=\"{text:.1}\">{interval}</text>", x1 + 92.0);
    } else {
        let _ = write!(
            out,
            "<text class=\"end\" x=\"{x1:.1}\" y=\"{text:.1}\"><tspan class=\"figure\">{difference}</tspan> {interval}</text>"
        );
    }
    let place = |value: f64| axis.position(value);
    let ends = (row.low.filter(|low| low.is_finite()), row.high.filter(|high| high.is_finite()));
    let (low, high) = (ends.0.map(place), ends.1.map(place));
    if let Some(smallest) = row.smallest.filter(|smallest| smallest.is_finite() && axis.holds(*smallest)) {
        let x = frame.x(place(if row.higher_is_better { -smallest } else { smallest }));
        let _ = write!(out, "<path class=\"smallest\" d=\"M{x:.1} {:.1}v12\"/>", middle - 6.0);
    }
    let (from, to) = (frame.x(low.unwrap_or(0.0)), frame.x(high.unwrap_or(1.0)));
    let _ = write!(out, "<path class=\"reach\" d=\"M{from:.1} {middle:.1}H{to:.1}\"/>");
    // An end that lies beyond the axis, or is not known, is an arrow.
    let arrow = |x: f64, way: f64| format!("<path class=\"arrow\" d=\"M{x:.1} {middle:.1}l{:.1} -4v8Z\"/>", -7.0 * way);
    let cap = |x: f64| format!("<path class=\"reach\" d=\"M{x:.1} {:.1}v8\"/>", middle - 4.0);
    let within = |end: Option<f64>| end.is_some_and(|end| (-1e-9..=1.0 + 1e-9).contains(&end));
    out += &if within(low) { cap(from) } else { arrow(from, -1.0) };
    out += &if within(high) { cap(to) } else { arrow(to, 1.0) };
    if let Some(difference) = measured(row).filter(|difference| axis.holds(*difference)) {
        out += &mark(form, class, frame.x(place(difference)), middle, 4.5);
    }
    let told = [
        &row.metric,
        ": A ",
        &row.shown.a,
        ", B ",
        &row.shown.b,
        ", ",
        &row.shown.difference,
        " ",
        &row.shown.interval,
    ];
    let told = escape(&format!("{}, {}", told.map(|part: &str| part).concat(), word(row, sides)));
    let _ = write!(
        out,
        "<rect class=\"hit\" x=\"{x0:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{line:.1}\"><title>{told}</title></rect></g>",
        x1 - x0
    );
    out
}
