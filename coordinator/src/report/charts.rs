//! The report's charts: plain functions from figures to SVG.
//!
//! Each chart is drawn twice, wide and narrow, and the page shows the one that fits: text in a picture that is scaled
//! down from a desktop's width is not legible on a phone. Colours are the page's, by class; every line has a dash or
//! width of its own besides. What cannot be drawn (no sample, not a number) is left out, never drawn as zero.

use std::fmt::Write;

use super::html::{show_clock, show_percentile, show_rate, show_time};
use super::model::Second;

/// Above this the program's own figures do not go; what does is not a figure.
const LARGEST: f64 = 1e12;
/// A logarithmic scale where the largest value is more than this many times the smallest.
const LOG_FROM: f64 = 100.0;
/// Shares closer to 1 are the maximum: farther nines are rounding.
const LAST_NINE: f64 = 1e-9;

/// The picture's geometry, in its own units.
#[derive(Clone, Copy, Debug)]
struct Frame {
    class: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    /// Ticks of the time axis at most.
    ticks: usize,
    /// Points a line is thinned to, and read-outs, at most.
    columns: usize,
    /// Whether lines are named at their ends.
    names: bool,
}

const WIDE: Frame = Frame {
    class: "wide",
    width: 1080.0,
    height: 330.0,
    left: 64.0,
    right: 112.0,
    ticks: 12,
    columns: 240,
    names: true,
};
const NARROW: Frame = Frame {
    class: "narrow",
    width: 400.0,
    height: 270.0,
    left: 52.0,
    right: 14.0,
    ticks: 6,
    columns: 80,
    names: false,
};
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

impl Frame {
    fn x(&self, share: f64) -> f64 {
        self.left + share.clamp(0.0, 1.0) * (self.width - self.left - self.right)
    }

    fn y(&self, share: f64) -> f64 {
        self.floor() - share.clamp(0.0, 1.0) * (self.floor() - TOP)
    }

    fn floor(&self) -> f64 {
        self.height - BOTTOM
    }

    /// Axes, whatever lies between, and the end.
    fn svg(&self, label: &str, body: &str) -> String {
        let Frame { class, width, height, .. } = self;
        format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-label=\"{label}\">\
             {body}</svg>\n"
        )
    }

    fn y_axis(&self, scale: &Scale, show: fn(f64) -> String) -> String {
        let mut out = String::new();
        for tick in scale.ticks() {
            let (y, text) = (self.y(scale.position(tick)), show(tick));
            let (from, to) = (self.left, self.width - self.right);
            let _ = write!(out, "<path class=\"grid\" d=\"M{from:.1} {y:.1}H{to:.1}\"/>");
            let _ = write!(out, "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>", from - 8.0, y + 4.0);
        }
        out
    }

    /// Labels under the axis; those that would touch one before them are left out, the last one never.
    fn x_axis(&self, ticks: &[(f64, String)], title: &str) -> String {
        let (mut out, floor) = (String::new(), self.floor());
        let room = |text: &str| text.chars().count() as f64 * 7.0 + 8.0;
        let last = ticks.last().map_or(f64::INFINITY, |(share, text)| self.x(*share) - room(text) / 2.0);
        let mut free = f64::NEG_INFINITY;
        for (place, (share, text)) in ticks.iter().enumerate() {
            let (x, half) = (self.x(*share), room(text) / 2.0);
            let _ = write!(out, "<path class=\"tick\" d=\"M{x:.1} {floor:.1}v5\"/>");
            if place + 1 < ticks.len() && (x - half < free || x + half > last) {
                continue;
            }
            free = x + half;
            let _ = write!(out, "<text class=\"mid\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>", floor + 18.0);
        }
        let (from, to, under) = (self.left, self.width - self.right, self.height - 5.0);
        let _ = write!(out, "<path class=\"axis\" d=\"M{from:.1} {floor:.1}H{to:.1}\"/>");
        let _ = write!(out, "<text class=\"mid axis-title\" x=\"{:.1}\" y=\"{under:.1}\">{title}</text>", self.x(0.5));
        out
    }

    /// A line through what there is, with gaps where there is nothing. Points are shares of the two axes.
    fn line(&self, class: &str, points: &[(f64, Option<f64>)]) -> String {
        let (mut path, mut dots) = (String::new(), String::new());
        let at = |place: usize| points.get(place).and_then(|(x, y)| Some((self.x(*x), self.y((*y)?))));
        for place in 0..points.len() {
            let Some((x, y)) = at(place) else { continue };
            let before = place.checked_sub(1).and_then(at).is_some();
            if !before && at(place + 1).is_none() {
                // A line of one point would not be seen.
                let _ = write!(dots, "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
            } else {
                let _ = write!(path, "{}{x:.1} {y:.1}", if before { "L" } else { "M" });
            }
        }
        if path.is_empty() { dots } else { format!("<path class=\"line {class}\" d=\"{path}\"/>{dots}") }
    }

    /// The lines' names at their right ends, pushed apart.
    fn names(&self, lines: &[Line]) -> String {
        if !self.names {
            return String::new();
        }
        let end = |line: &Line| line.points.iter().rev().find_map(|(_, y)| *y).map(|y| self.y(y));
        let mut ends: Vec<(f64, &Line)> = lines.iter().filter_map(|line| Some((end(line)?, line))).collect();
        ends.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (mut out, mut free) = (String::new(), TOP);
        // As many as follow must still find room above the axis.
        let mut left = ends.len() as f64;
        for (y, line) in ends {
            let y = y.min(self.floor() - (left - 1.0) * 15.0).max(free);
            (free, left) = (y + 15.0, left - 1.0);
            let (x, class, name) = (self.width - self.right + 8.0, line.class, line.name);
            let _ = write!(out, "<text class=\"name {class}\" x=\"{x:.1}\" y=\"{:.1}\">{name}</text>", y + 4.0);
        }
        out
    }

    /// An unseen strip that tells its figures when pointed at.
    fn hit(&self, from: f64, to: f64, told: &str) -> String {
        let (x, width, height) = (self.x(from), self.x(to) - self.x(from), self.floor() - TOP);
        format!(
            "<rect class=\"hit\" x=\"{x:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height:.1}\">\
             <title>{told}</title></rect>"
        )
    }
}

/// A line to draw: x as a share of the axis, y as well.
struct Line {
    name: &'static str,
    class: &'static str,
    points: Vec<(f64, Option<f64>)>,
}

/// A value's way to a place on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear { top: f64, step: f64 },
    Log { low: f64, top: f64 },
}

impl Scale {
    /// From zero to the largest value; logarithmic where that would flatten the small ones.
    fn of_times(values: impl Iterator<Item = f64>) -> Scale {
        let (mut low, mut top) = (f64::INFINITY, 0.0_f64);
        values.filter_map(sane).filter(|value| *value > 0.0).for_each(|value| {
            low = low.min(value);
            top = top.max(value);
        });
        if top > low * LOG_FROM {
            return Scale::Log { low: round(low, f64::floor), top: round(top, f64::ceil) };
        }
        Scale::linear(if top > 0.0 { top } else { 1e-3 })
    }

    fn of_rates(values: impl Iterator<Item = f64>) -> Scale {
        let top = values.filter_map(sane).fold(0.0, f64::max);
        Scale::linear(if top > 0.0 { top } else { 1.0 })
    }

    fn linear(top: f64) -> Scale {
        let step = round(top / 5.0, f64::ceil);
        Scale::Linear { top: (top / step - 1e-9).ceil().max(1.0) * step, step }
    }

    fn position(&self, value: f64) -> f64 {
        match *self {
            Scale::Linear { top, .. } => value / top,
            Scale::Log { low, top } => (value.max(low) / low).log10() / (top / low).log10(),
        }
    }

    fn ticks(&self) -> Vec<f64> {
        match *self {
            Scale::Linear { top, step } => (0..=(top / step).round() as usize).map(|n| n as f64 * step).collect(),
            Scale::Log { low, top } => {
                let (first, last) = (low.log10().floor() as i32, top.log10().ceil() as i32);
                // 1, 2 and 5 of each power of ten where there is room, else the powers alone.
                let within: &[f64] = if top / low <= 2e3 { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let all = (first..=last).flat_map(|power| within.iter().map(move |n| n * 10f64.powi(power)));
                all.filter(|tick| *tick >= low * 0.999 && *tick <= top * 1.001).collect()
            }
        }
    }
}

/// What can be drawn.
fn sane(value: f64) -> Option<f64> {
    (value.is_finite() && (0.0..=LARGEST).contains(&value)).then_some(value)
}

/// To 1, 2 or 5 times a power of ten, in the direction that `whole` rounds to.
fn round(value: f64, whole: fn(f64) -> f64) -> f64 {
    let (up, value) = (whole(0.5) > 0.5, value.max(1e-12));
    let power = 10f64.powf(value.log10().floor());
    let digit = value / power;
    let steps = [1.0, 2.0, 5.0, 10.0];
    let found = match up {
        true => steps.iter().find(|step| **step >= digit - 1e-9),
        false => steps.iter().rev().find(|step| **step <= digit + 1e-9),
    };
    found.copied().unwrap_or(1.0) * power
}

/// Where a share lies on a log-percentile axis, in nines: 0.9 is 1, 0.99 is 2. The maximum has no place there.
fn nines(share: f64) -> Option<f64> {
    let rest = 1.0 - share.clamp(0.0, 1.0);
    // max() spares the axis a negative zero.
    (rest > LAST_NINE).then(|| (-rest.log10()).max(0.0))
}

fn empty(why: &str) -> String {
    format!("<p class=\"empty\">{why}</p>\n")
}

/// Latency and service time by percentile: (share at or below, seconds).
pub fn spectrum(latency: &[(f64, f64)], service_time: &[(f64, f64)]) -> String {
    let clean = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let drawn = |(share, s): &(f64, f64)| (share.is_finite()).then_some((share.clamp(0.0, 1.0), sane(*s)?));
        let mut points: Vec<(f64, f64)> = points.iter().filter_map(drawn).collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        points
    };
    let (latency, service) = (clean(latency), clean(service_time));
    if latency.is_empty() && service.is_empty() {
        return empty("No request was answered in the main phase: there is nothing to show.");
    }
    let mut said = Vec::new();
    for (name, points) in [("latency", &latency), ("service time", &service)] {
        for (what, share) in [("median", 0.5), ("p99", 0.99), ("maximum", 1.0)] {
            said.extend(at_share(points, share).map(|s| format!("{name} {what} {}", show_time(s))));
        }
    }
    let label = format!("Latency and service time by percentile: {}.", said.join(", "));
    [WIDE, NARROW].iter().map(|frame| frame.svg(&label, &spectrum_body(frame, &latency, &service))).collect()
}

/// The value of the least point at or above a share.
fn at_share(points: &[(f64, f64)], share: f64) -> Option<f64> {
    let place = points.partition_point(|(own, _)| *own < share - LAST_NINE);
    points.get(place).or(points.last()).map(|(_, seconds)| *seconds)
}

fn spectrum_body(frame: &Frame, latency: &[(f64, f64)], service: &[(f64, f64)]) -> String {
    let both = || latency.iter().chain(service);
    let scale = Scale::of_times(both().map(|(_, seconds)| *seconds));
    // The maximum stands a third of a nine right of the last percentile that was seen.
    let seen = both().filter_map(|(share, _)| nines(*share)).fold(1.0, f64::max);
    let end = seen + 0.35;
    let place = |share: f64| nines(share).unwrap_or(end) / end;
    let line = |name, class, points: &[(f64, f64)]| Line {
        name,
        class,
        points: points.iter().map(|(share, s)| (place(*share), Some(scale.position(*s)))).collect(),
    };
    let lines = [line("latency", "latency", latency), line("service time", "service", service)];

    let mut ticks = vec![(0.0, "0%".to_owned()), (place(0.5), "50%".to_owned())];
    for nine in 1..=seen.floor() as i32 {
        ticks.push((f64::from(nine) / end, show_percentile(1.0 - 10f64.powi(-nine))));
    }
    ticks.push((1.0, "max".to_owned()));

    let mut body = frame.y_axis(&scale, show_time);
    let corners = lines[0].points.iter().chain(lines[1].points.iter().rev());
    if !latency.is_empty() && !service.is_empty() {
        let outline = corners.filter_map(|(x, y)| Some(format!("{:.1} {:.1}", frame.x(*x), frame.y((*y)?))));
        let _ = write!(body, "<path class=\"gap\" d=\"M{}Z\"/>", outline.collect::<Vec<_>>().join("L"));
    }
    body += &frame.x_axis(&ticks, "percentile of requests");
    lines.iter().rev().for_each(|line| body += &frame.line(line.class, &line.points));
    body += &frame.names(&lines);
    for column in 0..frame.columns {
        let (from, to) = (column as f64 / frame.columns as f64, (column + 1) as f64 / frame.columns as f64);
        let share = if column + 1 == frame.columns { 1.0 } else { 1.0 - 10f64.powf(-end * (from + to) / 2.0) };
        let value = |points| at_share(points, share).map_or("–".to_owned(), show_time);
        let name = if share >= 1.0 { "max".to_owned() } else { show_percentile(share) };
        let told = format!("{name}: latency {}, service time {}", value(latency), value(service));
        body += &frame.hit(from, to, &told);
    }
    body
}

/// The time axis of a timeline.
struct Span {
    from: f64,
    length: f64,
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

    fn ticks(&self, most: usize) -> Vec<(f64, String)> {
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
fn thin(points: &[(f64, Option<f64>)], columns: usize, keep: &[fn(f64, f64) -> f64]) -> Vec<(f64, Option<f64>)> {
    let kept = |stretch: &[(f64, Option<f64>)]| -> Vec<(f64, Option<f64>)> {
        let x = stretch.first().map_or(0.0, |(x, _)| *x);
        let value = |keep: &fn(f64, f64) -> f64| (x, stretch.iter().filter_map(|(_, y)| *y).reduce(*keep));
        keep.iter().take(stretch.len()).map(value).collect()
    };
    points.chunks(points.len().div_ceil(columns).max(1)).flat_map(kept).collect()
}

/// A line over time: each step's figure stands in its middle.
fn over_time(timeline: &[&Second], class: &'static str, y: impl Fn(&Second) -> Option<f64>) -> Line {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn second(t: f64, length: f64, value: f64) -> Second {
        let text = r#"{"t": 0, "length": 0, "warmup": false, "achieved_rate": 0, "completed": 1, "errors": 1,
            "dropped": 1, "in_flight": 0, "waiting": 0, "connections": 1}"#;
        let (achieved_rate, some) = (value, Some(value));
        let blank: Second = serde_json::from_str(text).unwrap();
        let blank = Second { t, length, warmup: t < 1.0, achieved_rate, planned_rate: some, ..blank };
        Second { p50: some, p99: some, max: some, service_p99: some, ..blank }
    }

    #[test]
    fn nothing_that_is_not_a_number_is_drawn() {
        for value in [0.0, 1e-9, 0.5, 1e9, f64::NAN, f64::INFINITY, -1.0, f64::MAX] {
            for length in [0.0, 1.0, f64::NAN] {
                for steps in [0, 1, 2, 2000] {
                    let steps: Vec<_> = (0..steps).map(|t| second(f64::from(t), length, value)).collect();
                    let points: Vec<_> = steps.iter().map(|step| (step.t / 2000.0, value)).collect();
                    for drawn in [rate(&steps), quantiles(&steps), spectrum(&points, &points), spectrum(&points, &[])] {
                        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{value} {length}: {drawn}");
                    }
                }
            }
        }
        let odd = [(f64::NAN, 1.0), (1.0, f64::NAN), (2.0, 1.0), (-1.0, 0.0)];
        assert!(!spectrum(&odd, &odd).contains("NaN"));
    }

    #[test]
    fn percentiles_lie_a_nine_apart() {
        for (share, place) in [(0.0, 0.0), (0.9, 1.0), (0.99, 2.0), (0.999, 3.0), (0.9999, 4.0)] {
            assert!(nines(share).is_some_and(|nines| (nines - place).abs() < 1e-9), "{share}");
        }
        assert_eq!((nines(1.0), nines(f64::NAN)), (None, None));
    }

    #[test]
    fn ticks_are_round_and_reach_over_the_values() {
        assert_eq!(Scale::of_rates([430.0].into_iter()), Scale::Linear { top: 500.0, step: 100.0 });
        assert_eq!(Scale::of_rates([430.0].into_iter()).ticks(), [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]);
        let log = Scale::of_times([0.003, 0.9].into_iter());
        assert!(matches!(log, Scale::Log { low, top } if low < 0.0021 && low > 0.0019 && top > 0.99 && top < 1.01));
        assert_eq!(
            log.ticks().into_iter().map(show_time).collect::<Vec<_>>().join(" "),
            "2ms 5ms 10ms 20ms 50ms 100ms 200ms 500ms 1s"
        );
        assert!(matches!(Scale::of_times([0.01, 0.9].into_iter()), Scale::Linear { .. }));
        let span = Span { from: 0.0, length: 300.0 };
        let labels: Vec<_> = span.ticks(6).into_iter().map(|(_, text)| text).collect();
        assert_eq!(labels, ["0s", "1m", "2m", "3m", "4m", "5m"]);
    }

    #[test]
    fn a_peak_outlives_thinning() {
        let mut points = vec![(0.0, Some(1.0)); 5000];
        points[3333].1 = Some(9.0);
        points[100].1 = None;
        let thinned = thin(&points, 100, &[f64::min, f64::max]);
        assert!(thinned.len() <= 200 && thinned.iter().any(|(_, value)| *value == Some(9.0)));
    }
}
