//! What happened second by second: rates, and quantiles of latency.

use std::fmt::Write;

use super::frame::{Frame, Line, NARROW, Scale, TOP, WIDE, empty, round, sane};
use crate::report::figures::{show_clock, show_rate, show_time};
use crate::report::model::Second;

/// The time axis of a timeline.
pub(super) struct Span {
    pub(super) from: f64,
    pub(super) length: f64,
}

impl Span {
    fn of(timeline: &[&Second]) -> Span {
        let (from, to) = bounds(timeline);
        Span { from, length: if to > from { to - from } else { 1.0 } }
    }

    fn share(&self, t: f64) -> f64 {
        (t - self.from) / self.length
    }

    fn shares(&self, group: &[&Second]) -> (f64, f64) {
        let (from, to) = bounds(group);
        (self.share(from), self.share(to))
    }

    pub(super) fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let step = clock_step(self.length / most.max(1) as f64);
        let first = (self.from / step).ceil();
        let count = (((self.from + self.length) / step + 1e-9).floor() - first).max(0.0) as usize;
        let at = |n: usize| (first + n as f64) * step;
        (0..=count).map(|n| (self.share(at(n)), show_clock(at(n)))).collect()
    }
}

/// A step of a clock that is at least so long.
fn clock_step(least: f64) -> f64 {
    let steps = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0];
    if least <= 0.5 {
        return round(least, f64::ceil);
    }
    steps.into_iter().find(|step| *step >= least).unwrap_or_else(|| 3600.0 * round(least / 3600.0, f64::ceil))
}

/// Steps that can be placed, in order.
fn placed(timeline: &[Second]) -> Vec<&Second> {
    let whole = |step: &&Second| sane(step.t).is_some() && sane(step.length).is_some();
    let mut steps: Vec<&Second> = timeline.iter().filter(whole).collect();
    steps.sort_by(|one, other| one.t.total_cmp(&other.t));
    steps
}

/// Thins a line to what `keep` leaves of each stretch, so that no peak is lost. A stretch without a value is a gap.
pub(super) fn thin(
    points: &[(f64, Option<f64>)],
    columns: usize,
    keep: &[fn(f64, f64) -> f64],
) -> Vec<(f64, Option<f64>)> {
    let kept = |stretch: &[(f64, Option<f64>)]| -> Vec<(f64, Option<f64>)> {
        let x = stretch.first().map_or(0.0, |(x, _)| *x);
        let value = |keep: &fn(f64, f64) -> f64| (x, stretch.iter().filter_map(|(_, y)| *y).reduce(*keep));
        keep.iter().take(stretch.len()).map(value).collect()
    };
    points.chunks(points.len().div_ceil(columns).max(1)).flat_map(kept).collect()
}

/// A line over time: each step's figure stands in its middle.
fn over_time(timeline: &[&Second], class: &'static str, y: impl Fn(&Second) -> Option<f64>) -> Line<'static> {
    let span = Span::of(timeline);
    let points = timeline.iter().map(|step| (span.share(step.t + step.length / 2.0), y(step))).collect();
    Line { name: class, class, points }
}

/// The warm-up's ground.
fn warmup(frame: &Frame, timeline: &[&Second], span: &Span) -> String {
    let Some(end) = timeline.iter().rfind(|step| step.warmup).map(|step| step.t + step.length) else {
        return String::new();
    };
    let (x, width, height) = (frame.x(0.0), frame.x(span.share(end)) - frame.x(0.0), frame.floor() - TOP);
    let mut out =
        format!("<rect class=\"warmup\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height:.1}\"/>");
    if width > 60.0 {
        let _ = write!(out, "<text x=\"{:.1}\" y=\"{:.1}\">warm-up</text>", x + 6.0, TOP + 14.0);
    }
    out
}

/// Groups of steps, as many as there is room to point at.
fn groups<'a>(frame: &Frame, timeline: &'a [&'a Second]) -> std::slice::Chunks<'a, &'a Second> {
    timeline.chunks(timeline.len().div_ceil(frame.columns).max(1))
}

fn bounds(group: &[&Second]) -> (f64, f64) {
    (group.first().map_or(0.0, |step| step.t), group.last().map_or(0.0, |step| step.t + step.length))
}

fn group_name(group: &[&Second]) -> String {
    let (from, to) = bounds(group);
    let warmup = if group.iter().all(|step| step.warmup) { " (warm-up)" } else { "" };
    format!("{} to {}{warmup}", show_clock(from), show_clock(to))
}

/// Planned against achieved rate, and what failed, by second.
pub fn rate(timeline: &[Second]) -> String {
    let timeline = placed(timeline);
    if timeline.is_empty() {
        return empty("The run has no timeline: it ended before its first step.");
    }
    let most = |of: fn(&Second) -> Option<f64>| {
        let top = timeline.iter().filter_map(|step| of(step).and_then(sane)).reduce(f64::max);
        top.map_or("none".to_owned(), |top| format!("up to {}/s", show_rate(top)))
    };
    let label = format!(
        "Rate over time: planned {}, achieved {}; {} errors, {} dropped.",
        most(|step| step.planned_rate),
        most(|step| Some(step.achieved_rate)),
        sum(&timeline, |step| step.errors),
        sum(&timeline, |step| step.dropped)
    );
    [WIDE, NARROW].iter().map(|frame| frame.svg(&label, &rate_body(frame, &timeline))).collect()
}

fn rate_body(frame: &Frame, timeline: &[&Second]) -> String {
    let span = Span::of(timeline);
    let rates = timeline.iter().flat_map(|step| [step.planned_rate.unwrap_or(0.0), step.achieved_rate]);
    let bars: Vec<_> = groups(frame, timeline).map(|group| (group, per_second(group))).collect();
    let scale = Scale::of_rates(rates.chain(bars.iter().map(|(_, (errors, dropped))| errors + dropped)));
    let drawn = |value: f64| sane(value).map(|value| scale.position(value));
    let mut lines = vec![over_time(timeline, "achieved", |step| drawn(step.achieved_rate))];
    if timeline.iter().any(|step| step.planned_rate.is_some()) {
        lines.push(over_time(timeline, "planned", |step| step.planned_rate.and_then(drawn)));
    }
    for line in &mut lines {
        line.points = thin(&line.points, frame.columns, &[f64::min, f64::max]);
    }
    let mut body = warmup(frame, timeline, &span) + &frame.y_axis(&scale, show_rate);
    let mut hits = String::new();
    for (group, (errors, dropped)) in bars {
        let (from, to) = span.shares(group);
        let mut y = frame.floor();
        for (class, value) in [("bar-errors", errors), ("bar-dropped", dropped)] {
            if value > 0.0 {
                // A failure among thousands is still to be seen.
                let height = (frame.floor() - frame.y(scale.position(value))).max(3.0);
                let (x, width) = (frame.x(from), (frame.x(to) - frame.x(from)).max(1.0));
                y -= height;
                let _ = write!(
                    body,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                );
            }
        }
        let count = group.len().max(1) as f64;
        let achieved = group.iter().map(|step| step.achieved_rate).sum::<f64>() / count;
        let planned = group.iter().map(|step| step.planned_rate).sum::<Option<f64>>();
        let planned = planned.map_or(String::new(), |sum| format!("planned {}/s, ", show_rate(sum / count)));
        let [achieved, errors, dropped] = [achieved, errors, dropped].map(show_rate);
        let told = format!("{planned}achieved {achieved}/s, errors {errors}/s, dropped {dropped}/s");
        hits += &frame.hit(from, to, &format!("{}: {told}", group_name(group)));
    }
    body += &frame.x_axis(&span.ticks(frame.ticks), "time since the start of the run");
    lines.iter().for_each(|line| body += &frame.line(line.class, &line.points));
    body + &frame.names(&lines) + &hits
}

/// Errors and dropped requests per second of some steps.
fn per_second(group: &[&Second]) -> (f64, f64) {
    let length: f64 = group.iter().map(|step| step.length).sum();
    let rate = |count: u64| if length > 0.0 { sane(count as f64 / length).unwrap_or(0.0) } else { 0.0 };
    (rate(sum(group, |step| step.errors)), rate(sum(group, |step| step.dropped)))
}

fn sum(steps: &[&Second], of: fn(&Second) -> u64) -> u64 {
    steps.iter().map(|step| of(step)).fold(0, u64::saturating_add)
}

type Figure = fn(&Second) -> Option<f64>;

/// A quantile by second: name, class, and where it is read.
type Quantile = (&'static str, &'static str, Figure);

const QUANTILES: [Quantile; 5] = [
    ("max", "max", |step| step.max),
    ("p99", "p99", |step| step.p99),
    ("p90", "p90", |step| step.p90),
    ("p50", "p50", |step| step.p50),
    ("service p99", "service", |step| step.service_p99),
];

/// The largest of each in some steps.
fn worst(steps: &[&Second]) -> Vec<String> {
    let largest = |of: &Figure| steps.iter().filter_map(|step| of(step).and_then(sane)).reduce(f64::max);
    let told = |(name, _, of): &Quantile| Some(format!("{name} {}", show_time(largest(of)?)));
    QUANTILES.iter().rev().filter_map(told).collect()
}

/// Quantiles of latency by second, and the service time's p99.
pub fn quantiles(timeline: &[Second]) -> String {
    let timeline = placed(timeline);
    let said = worst(&timeline);
    if said.is_empty() {
        return empty("No request was answered in any second: there are no quantiles to show.");
    }
    let label = format!("Quantiles of latency over time; in the worst second: {}.", said.join(", "));
    [WIDE, NARROW].iter().map(|frame| frame.svg(&label, &quantiles_body(frame, &timeline))).collect()
}

fn quantiles_body(frame: &Frame, timeline: &[&Second]) -> String {
    let span = Span::of(timeline);
    let values = timeline.iter().flat_map(|step| QUANTILES.iter().filter_map(|(_, _, of)| of(step)));
    let scale = Scale::of_times(values);
    let lines = QUANTILES.map(|(name, class, of)| {
        let drawn = |step: &Second| of(step).and_then(sane).map(|seconds| scale.position(seconds));
        let points = thin(&over_time(timeline, class, drawn).points, frame.columns, &[f64::max]);
        Line { name, class, points }
    });
    let mut body = warmup(frame, timeline, &span) + &frame.y_axis(&scale, show_time);
    let dense = if timeline.len() > frame.columns { "; each point is the worst second of its stretch" } else { "" };
    body += &frame.x_axis(&span.ticks(frame.ticks), &format!("time since the start of the run{dense}"));
    lines.iter().for_each(|line| body += &frame.line(line.class, &line.points));
    body += &frame.names(&lines);
    for group in groups(frame, timeline) {
        let told = worst(group);
        let told = if told.is_empty() { "no answer".to_owned() } else { told.join(", ") };
        let (from, to) = span.shares(group);
        let which = if group.len() > 1 { ", worst second" } else { "" };
        body += &frame.hit(from, to, &format!("{}{which}: {told}", group_name(group)));
    }
    body
}
