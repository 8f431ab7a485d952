//! A metric over the history of a test: runs in order, the levels they belong to, and the steps between these.

use std::fmt::Write;

use super::frame::{Form, Frame, NARROW, Scale, TOP, WIDE, empty, escape, mark};
use crate::report::figures::{NONE, group, show_moment};
use crate::trend::model::{Change, Direction, MetricTrend, RunRef, TrendPoint, TrendVerdict};

/// What values are in, by the metric's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Share,
    Plain,
}

const TIMES: [&str; 7] = [
    "latency-",
    "service-time-",
    "connection-wait-",
    "dispatch-lag-",
    "time-to-first-byte-",
    "time-to-first-message-",
    "message-gap-",
];

impl Unit {
    pub(super) fn of(metric: &str) -> Unit {
        let (group, name) = metric.split_once('/').unwrap_or(("", metric));
        let own = ["http", "grpc"].iter().any(|own| group.starts_with(own));
        match name {
            _ if !own => Unit::Plain,
            "error-rate" => Unit::Share,
            name if TIMES.iter().any(|time| name.starts_with(time)) => Unit::Seconds,
            _ => Unit::Plain,
        }
    }

    /// A tick with as many digits as its step needs, so that no two are written alike.
    pub(super) fn tick(self, value: f64, step: f64) -> String {
        let (factor, name) = match self {
            Unit::Share => (100.0, "%"),
            Unit::Plain => (1.0, ""),
            Unit::Seconds => match value.abs().max(step) {
                x if x < 1e-6 => (1e9, "ns"),
                x if x < 1e-3 => (1e6, "µs"),
                x if x < 1.0 => (1e3, "ms"),
                _ => (1.0, "s"),
            },
        };
        let places = (-((step * factor).log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize;
        let value = if value.abs() < step * 1e-6 { 0.0 } else { value * factor };
        let text = format!("{value:.places$}");
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let part = if part.is_empty() { String::new() } else { format!(".{part}") };
        format!("{}{part}{name}", group(whole))
    }
}

/// One metric over its runs.
pub fn trend(metric: &MetricTrend, baseline: Option<&RunRef>) -> String {
    let drawn = metric.points.iter().any(|point| point.value.is_finite());
    if !drawn {
        return empty("No run has a value of this metric: there is nothing to show.");
    }
    let (first, last) = (metric.points.first().map_or(NONE, shown), metric.points.last().map_or(NONE, shown));
    let label = format!(
        "{} over {} runs, from {first} to {last}, {} changes.",
        metric.metric,
        metric.points.len(),
        metric.changes.len()
    );
    let frames =
        [Frame { height: 250.0, right: 24.0, ticks: 8, left: 72.0, ..WIDE }, Frame { ticks: 3, left: 58.0, ..NARROW }];
    frames.iter().map(|frame| frame.svg(&label, &body(&Plot::of(frame, metric), baseline))).collect()
}

/// A point's figure, where it is one.
fn shown(point: &TrendPoint) -> &str {
    if point.value.is_finite() { &point.shown } else { NONE }
}

struct Plot<'a> {
    frame: &'a Frame,
    metric: &'a MetricTrend,
    scale: Scale,
}

impl<'a> Plot<'a> {
    /// Outliers do not stretch the axis: they stand at its edge, with their figure.
    fn of(frame: &'a Frame, metric: &'a MetricTrend) -> Plot<'a> {
        let usual = metric.points.iter().filter(|point| !point.outlier).map(|point| point.value);
        let levels = metric.levels.iter().flat_map(|level| {
            let spread = level.spread.unwrap_or_default();
            [level.mean, level.mean - spread, level.mean + spread]
        });
        let least = metric.points.iter().fold(f64::INFINITY, |least, point| least.min(point.value));
        let scale =
            Scale::around(usual.chain(levels).map(|value| if least >= 0.0 { value.max(0.0) } else { value }), 5.0);
        let all = || Scale::around(metric.points.iter().map(|point| point.value), 5.0);
        Plot { frame, metric, scale: scale.or_else(all).unwrap_or(Scale::Range { low: 0.0, top: 1.0, step: 0.2 }) }
    }

    /// Where a run stands, as a share of the axis: each has a strip of its own, and stands in its middle.
    fn share(&self, place: f64) -> f64 {
        (place + 0.5) / self.metric.points.len().max(1) as f64
    }

    fn x(&self, place: f64) -> f64 {
        self.frame.x(self.share(place))
    }

    fn y(&self, value: f64) -> f64 {
        self.frame.y(self.scale.position(value))
    }
}

fn body(plot: &Plot, baseline: Option<&RunRef>) -> String {
    let (frame, metric) = (plot.frame, plot.metric);
    let (unit, step) = (Unit::of(&metric.metric), if let Scale::Range { step, .. } = plot.scale { step } else { 1.0 });
    let mut out = bands(plot);
    out += &frame.y_axis(&plot.scale, |value| unit.tick(value, step));
    out += &frame.x_axis(&dates(plot), "runs in order, by the day they started");
    out += &levels(plot);
    let accepted = baseline.and_then(|run| metric.points.iter().position(|point| point.run == run.run));
    if let Some(x) = accepted.map(|place| plot.x(place as f64)) {
        let (top, floor) = (TOP, frame.floor());
        let _ = write!(out, "<path class=\"baseline\" d=\"M{x:.1} {top}V{floor:.1}\"/>");
        let (class, x) = if x > frame.x(0.8) { ("tag end", x - 6.0) } else { ("tag", x + 6.0) };
        let _ =
            write!(out, "<text class=\"{class} baseline-name\" x=\"{x:.1}\" y=\"{:.1}\">baseline</text>", floor - 8.0);
    }
    out += &dots(plot, accepted);
    out += &changes(plot);
    out + &read_outs(plot, accepted)
}

/// The days of some runs, each day once.
fn dates(plot: &Plot) -> Vec<(f64, String)> {
    let points = &plot.metric.points;
    let step = points.len().div_ceil(plot.frame.ticks).max(1);
    let mut found: Vec<(f64, String)> = Vec::new();
    for (place, point) in points.iter().enumerate().step_by(step) {
        let day = escape(&point.started_at.chars().take(10).collect::<String>());
        if found.last().is_none_or(|(_, before)| *before != day) {
            found.push((plot.share(place as f64), day));
        }
    }
    found
}

/// The ground of each level: a standard deviation up and down.
fn bands(plot: &Plot) -> String {
    let mut out = String::new();
    for level in &plot.metric.levels {
        let Some(spread) = level.spread.filter(|spread| spread.is_finite() && level.mean.is_finite()) else { continue };
        let (x, end) = (plot.x(level.from as f64 - 0.5), plot.x(level.to as f64 + 0.5));
        let (y, floor) = (plot.y(level.mean + spread), plot.y(level.mean - spread));
        let (width, height) = (end - x, floor - y);
        let _ = write!(
            out,
            "<rect class=\"spread\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }
    out
}

fn levels(plot: &Plot) -> String {
    let mut out = String::new();
    for level in plot.metric.levels.iter().filter(|level| level.mean.is_finite()) {
        let (from, to) = (plot.x(level.from as f64 - 0.5), plot.x(level.to as f64 + 0.5));
        let _ = write!(out, "<path class=\"level\" d=\"M{from:.1} {:.1}H{to:.1}\"/>", plot.y(level.mean));
    }
    out
}

fn class_of(change: &Change) -> &'static str {
    match (change.accepted, change.direction) {
        (true, _) => "accepted",
        (_, Direction::Better) => "better",
        (_, Direction::Worse) => "worse",
        (_, Direction::Changed) => "suspected",
    }
}

/// Words at the top of the plot, each in the first row in which it touches no other.
struct Labels<'a> {
    frame: &'a Frame,
    /// Row, from, to.
    taken: Vec<(usize, f64, f64)>,
    out: String,
}

const ROWS: usize = 5;

impl Labels<'_> {
    fn put(&mut self, x: f64, class: &str, text: &str) {
        let width = text.chars().count() as f64 * 7.0 + 8.0;
        let right = (x, x + width);
        let left = (x - width, x);
        let fits = |row: usize, (from, to): (f64, f64)| {
            let free = self.taken.iter().all(|(own, start, end)| *own != row || to < *start || from > *end);
            free && from >= self.frame.left && to <= self.frame.x(1.0)
        };
        let places = (0..ROWS).flat_map(|row| [(row, right), (row, left)]);
        let (row, place) = places.into_iter().find(|(row, place)| fits(*row, *place)).unwrap_or((ROWS, left));
        self.taken.push((row, place.0, place.1));
        let (class, x) = if place == left { (format!("{class} end"), x - 5.0) } else { (class.to_owned(), x + 5.0) };
        let (y, text) = (TOP + 11.0 + 15.0 * row as f64, escape(text));
        let _ = write!(self.out, "<text class=\"tag {class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }
}

/// A line between the runs that a step lies between, and its size; and the figures of outliers beyond the axis.
fn changes(plot: &Plot) -> String {
    let (frame, mut out) = (plot.frame, String::new());
    let beyond: Vec<(f64, f64, &TrendPoint)> = plot
        .metric
        .points
        .iter()
        .enumerate()
        .filter(|(_, point)| point.outlier && point.value.is_finite())
        .map(|(at, point)| (plot.x(at as f64), plot.scale.position(point.value), point))
        .filter(|(_, place, _)| !(0.0..=1.0).contains(place))
        .collect();
    let marks = beyond.iter().filter(|(_, place, _)| *place > 1.0).map(|(x, _, _)| (0, x - 6.0, x + 6.0));
    let mut labels = Labels { frame, taken: marks.collect(), out: String::new() };
    for change in &plot.metric.changes {
        let (x, class) = (plot.x(change.at as f64 - 0.5), class_of(change));
        let (top, floor) = (TOP, frame.floor());
        let _ = write!(out, "<path class=\"change {class}\" d=\"M{x:.1} {top}V{floor:.1}\"/>");
        labels.put(x, class, &change.shown);
    }
    for (x, place, point) in beyond {
        labels.put(x, "", &format!("{} {}", if place > 1.0 { "↑" } else { "↓" }, shown(point)));
    }
    out + &labels.out
}

/// Whether the newest run is in this series.
fn newest(metric: &MetricTrend) -> Option<usize> {
    metric.points.len().checked_sub(1).filter(|_| metric.current)
}

fn dots(plot: &Plot, baseline: Option<usize>) -> String {
    let metric = plot.metric;
    let size = if metric.points.len() as f64 > plot.frame.columns as f64 / 2.0 { 2.2 } else { 3.4 };
    let (mut plain, mut others) = (String::new(), String::new());
    for (place, point) in metric.points.iter().enumerate().filter(|(_, point)| point.value.is_finite()) {
        let (x, y) = (plot.x(place as f64), plot.y(point.value));
        if point.outlier {
            others += &mark(Form::Disc, "outlier", x, y, size + 0.6);
        } else if baseline == Some(place) {
            others += &mark(Form::Square, "accepted-run", x, y, size + 0.8);
        } else {
            let _ = write!(plain, "M{x:.1} {y:.1}h0");
        }
        if newest(metric) == Some(place) {
            let class = match metric.verdict {
                TrendVerdict::Worse => "newest worse",
                TrendVerdict::Better => "newest better",
                _ => "newest",
            };
            others += &mark(Form::Disc, class, x, y, size + 4.0);
        }
    }
    // One path for all: a segment of no length is a dot where line ends are round.
    format!("<path class=\"dots\" stroke-width=\"{:.1}\" d=\"{plain}\"/>{others}", size * 2.0)
}

fn read_outs(plot: &Plot, baseline: Option<usize>) -> String {
    let points: Vec<(usize, &TrendPoint)> = plot.metric.points.iter().enumerate().collect();
    let mut out = String::new();
    for group in points.chunks(points.len().div_ceil(plot.frame.columns).max(1)) {
        let tell = |(place, point): &(usize, &TrendPoint)| {
            let is = [
                (point.outlier, " (outlier)"),
                (baseline == Some(*place), " (baseline)"),
                (newest(plot.metric) == Some(*place), " (newest)"),
            ];
            let is: String = is.into_iter().filter(|(so, _)| *so).map(|(_, word)| word).collect();
            format!("{}{is}: {}, run {}", show_moment(&point.started_at), shown(point), point.run)
        };
        let told: Vec<_> = group.iter().map(tell).collect();
        let (from, to) = (group.first().map_or(0, |(place, _)| *place), group.last().map_or(0, |(place, _)| *place));
        out += &plot.frame.hit(plot.share(from as f64 - 0.5), plot.share(to as f64 + 0.5), &told.join("\n"));
    }
    out
}
