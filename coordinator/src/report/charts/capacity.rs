//! A capacity search: latency against rate, probe by probe, and throughput against concurrency.

use std::fmt::Write;

use super::frame::{Form, Frame, Line, NARROW, Scale, TOP, WIDE, empty, escape, mark, sane, shorten};
use crate::capacity::model::{CapacityReport, CapacityVerdict, Probe, ProbeOutcome, Scalability};
use crate::report::figures::{show_rate, show_time};
use crate::report::model::{Distribution, Interval};

/// Rates that lie further apart than this, from least to most, are drawn by powers of ten.
const DECADES_FROM: f64 = 30.0;
/// What counts as near the answer, as shares of its bounds.
const NEAR: (f64, f64) = (0.85, 1.18);

/// A quantile: name and class, and where it is read.
type Quantile = (&'static str, fn(&Distribution) -> Option<f64>);

const QUANTILES: [Quantile; 3] = [("p99", |of| of.p99), ("p90", |of| of.p90), ("p50", |of| of.p50)];

/// How an outcome is drawn: class and form.
fn outcome(outcome: ProbeOutcome) -> (&'static str, Form) {
    match outcome {
        ProbeOutcome::Held => ("held", Form::Disc),
        ProbeOutcome::Broke => ("broke", Form::Cross),
        ProbeOutcome::Unclear => ("unclear", Form::Diamond),
        ProbeOutcome::Limited => ("limited", Form::Square),
    }
}

/// The class of an outcome's marks.
pub fn outcome_class(of: ProbeOutcome) -> &'static str {
    outcome(of).0
}

/// The latency of every probe by its rate, and the answer.
pub fn capacity(report: &CapacityReport) -> String {
    let probes: Vec<&Probe> = report.probes.iter().filter(|probe| placed(probe)).collect();
    let label = format!("Latency of {} probes by rate. {}", probes.len(), report.summary);
    both(report, &probes, &label, false)
}

/// The same of the probes near the answer, where there are others; empty where there are none.
pub fn near_capacity(report: &CapacityReport) -> String {
    let ends = (report.low.or(report.estimate), report.high.or(report.estimate));
    let (Some(low), Some(high)) = (ends.0.or(ends.1).and_then(sane), ends.1.or(ends.0).and_then(sane)) else {
        return String::new();
    };
    let within = |probe: &&Probe| (low * NEAR.0..=high * NEAR.1).contains(&probe.rate);
    let all = report.probes.iter().filter(|probe| placed(probe));
    let probes: Vec<&Probe> = all.clone().filter(within).collect();
    if probes.len() < 3 || probes.len() == all.count() {
        return String::new();
    }
    let label = format!("Latency of the {} probes near the answer by rate.", probes.len());
    both(report, &probes, &label, true)
}

fn placed(probe: &Probe) -> bool {
    sane(probe.rate).is_some() && QUANTILES.iter().any(|(_, of)| of(&probe.latency).and_then(sane).is_some())
}

fn both(report: &CapacityReport, probes: &[&Probe], label: &str, near: bool) -> String {
    if probes.is_empty() {
        return empty("No probe measured a latency: there is nothing to show.");
    }
    let frames = [Frame { height: 400.0, ..WIDE }, Frame { height: 330.0, right: 24.0, ..NARROW }];
    frames.iter().map(|frame| frame.svg(label, &body(frame, report, probes, near))).collect()
}

/// The chart's two scales.
struct Axes<'a> {
    frame: &'a Frame,
    rate: Scale,
    time: Scale,
}

impl Axes<'_> {
    fn x(&self, rate: f64) -> f64 {
        self.frame.x(self.rate.position(rate))
    }

    fn y(&self, seconds: f64) -> f64 {
        self.frame.y(self.time.position(seconds))
    }
}

/// An objective's limit of a latency: how it is written, s.
fn limits(probes: &[&Probe]) -> Vec<(String, f64)> {
    let mut found: Vec<(String, f64)> = Vec::new();
    for slo in probes.iter().flat_map(|probe| &probe.slos) {
        let latency = slo.metric.rsplit('/').next().is_some_and(|name| name.starts_with("latency-"));
        if latency && sane(slo.limit).is_some() && !found.iter().any(|(expr, _)| *expr == slo.expr) {
            found.push((slo.expr.clone(), slo.limit));
        }
    }
    found
}

fn interval<'a>(probe: &'a Probe, name: &str) -> Option<&'a Interval> {
    probe.latency_intervals.get(name)
}

fn body(frame: &Frame, report: &CapacityReport, probes: &[&Probe], near: bool) -> String {
    let limits = limits(probes);
    let bounds = |probe: &Probe, name| interval(probe, name).map_or([None, None], |of| [of.low, of.high]);
    let times = probes.iter().flat_map(|probe| {
        QUANTILES.iter().flat_map(move |(name, of)| [of(&probe.latency)].into_iter().chain(bounds(probe, name)))
    });
    let time = Scale::of_times(times.flatten().chain(limits.iter().map(|(_, limit)| limit * 1.05)));
    let beside = if near { [None; 2] } else { [report.knee, report.required] };
    let marks = [report.low, report.high, report.estimate].into_iter().chain(beside);
    let rates = || probes.iter().map(|probe| probe.rate).chain(marks.clone().flatten().filter_map(sane));
    let least = rates().filter(|rate| *rate > 0.0).fold(f64::INFINITY, f64::min);
    let rate = match near {
        true => Scale::around(rates(), 8.0).unwrap_or_else(|| Scale::of_rates(rates())),
        false if rates().fold(0.0, f64::max) > least * DECADES_FROM => Scale::decades(rates()),
        false => Scale::of_rates(rates()),
    };
    let axes = Axes { frame, rate, time };

    let mut out = answer(&axes, report) + &frame.y_axis(&axes.time, show_time);
    let ticks = axes.rate.ticks().into_iter().map(|rate| (axes.rate.position(rate), show_rate(rate)));
    out += &frame.x_axis(&ticks.collect::<Vec<_>>(), "requests per second, as asked for");
    out += &limit_lines(&axes, &limits);
    let lines: Vec<Line> = QUANTILES.iter().map(|quantile| middle(&axes, probes, quantile)).collect();
    lines.iter().for_each(|line| out += &frame.line(&format!("{} course", line.class), &line.points));
    out += &all_marks(&axes, probes);
    out += &frame.names(&lines);
    out += &tags(&axes, report);
    out + &read_outs(&axes, probes)
}

/// The ground between a rate that held and one that broke, and the line of the estimate.
fn answer(axes: &Axes, report: &CapacityReport) -> String {
    let (top, height) = (TOP, axes.frame.floor() - TOP);
    let mut out = String::new();
    let at_least = report.verdict == CapacityVerdict::AtLeast;
    let end = if at_least { Some(axes.frame.x(1.0)) } else { report.high.and_then(sane).map(|rate| axes.x(rate)) };
    if let (Some(from), Some(to)) = (report.low.and_then(sane).map(|rate| axes.x(rate)), end) {
        let class = if at_least { "answer beyond" } else { "answer" };
        let width = (to - from).max(1.5);
        let _ = write!(
            out,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }
    if let Some(x) = report.estimate.and_then(sane).map(|rate| axes.x(rate)) {
        let _ = write!(out, "<path class=\"estimate\" d=\"M{x:.1} {top}v{height:.1}\"/>");
    }
    for (class, rate) in [("knee", report.knee), ("required", report.required)] {
        if let Some(x) = rate.and_then(sane).filter(|rate| axes.rate.holds(*rate)).map(|rate| axes.x(rate)) {
            let _ = write!(out, "<path class=\"{class}\" d=\"M{x:.1} {top}v{height:.1}\"/>");
        }
    }
    out
}

/// The names of what [`answer`] drew, over everything else.
fn tags(axes: &Axes, report: &CapacityReport) -> String {
    let mut out = String::new();
    let mut tag = |rate: f64, row: f64, class: &str, text: &str| {
        let x = axes.x(rate);
        // On the side where there is more room.
        let right = x < axes.frame.x(0.5);
        let (x, class) = if right { (x + 7.0, class.to_owned()) } else { (x - 7.0, format!("{class} end")) };
        let _ = write!(out, "<text class=\"tag {class}\" x=\"{x:.1}\" y=\"{:.1}\">{text}</text>", TOP + row);
    };
    let at = match report.verdict {
        CapacityVerdict::AtLeast => report.low.map(|low| (low, "at least ")),
        _ => report.estimate.map(|estimate| (estimate, "")),
    };
    if let Some((rate, word)) = at.filter(|(rate, _)| sane(*rate).is_some()) {
        tag(rate, 13.0, "answer-name", &format!("{word}{}/s", show_rate(rate)));
    }
    for (row, class, word, rate) in
        [(31.0, "knee-name", "knee", report.knee), (49.0, "required-name", "required", report.required)]
    {
        if let Some(rate) = rate.and_then(sane).filter(|rate| axes.rate.holds(*rate)) {
            tag(rate, row, class, &format!("{word} {}/s", show_rate(rate)));
        }
    }
    out
}

fn limit_lines(axes: &Axes, limits: &[(String, f64)]) -> String {
    let (from, to) = (axes.frame.x(0.0), axes.frame.x(1.0));
    let mut out = String::new();
    for (expr, limit) in limits {
        let (y, text) = (axes.y(*limit), escape(&shorten(expr, 36)));
        let above = if y - TOP > 18.0 { y - 6.0 } else { y + 15.0 };
        let _ = write!(out, "<path class=\"limit\" d=\"M{from:.1} {y:.1}H{to:.1}\"/>");
        let _ = write!(out, "<text class=\"tag limit-name\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>", from + 7.0, above);
    }
    out
}

/// A quantile's line: through the median of the probes at each rate. What the generator limited says nothing.
fn middle(axes: &Axes, probes: &[&Probe], (name, of): &Quantile) -> Line<'static> {
    let of_target = |probe: &&&Probe| probe.outcome != ProbeOutcome::Limited;
    let value = |probe: &&Probe| Some((probe.rate, of(&probe.latency).and_then(sane)?));
    let mut all: Vec<(f64, f64)> = probes.iter().filter(of_target).filter_map(value).collect();
    all.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
    let middles = all.chunk_by(|one, other| one.0 == other.0).filter_map(|group| group.get(group.len() / 2));
    let points = middles.map(|(rate, time)| (axes.rate.position(*rate), Some(axes.time.position(*time))));
    Line { name, class: name, points: points.collect() }
}

/// Probes at one rate stand beside each other, in the order in which they ran.
fn beside(frame: &Frame, probes: &[&Probe], probe: &Probe) -> f64 {
    let same = probes.iter().filter(|other| other.rate == probe.rate);
    let (before, count) = (same.clone().filter(|other| other.number < probe.number).count(), same.count());
    let step = if frame.names { 11.0 } else { 7.0 };
    (before as f64 - (count as f64 - 1.0) / 2.0) * step
}

fn all_marks(axes: &Axes, probes: &[&Probe]) -> String {
    let (mut whiskers, mut marks) = (String::new(), String::new());
    for probe in probes {
        let x = axes.x(probe.rate) + beside(axes.frame, probes, probe);
        let (class, form) = outcome(probe.outcome);
        for (name, of) in QUANTILES.iter().rev() {
            let Some(value) = of(&probe.latency).and_then(sane) else { continue };
            whiskers += &interval(probe, name).map_or(String::new(), |of| whisker(axes, name, x, value, of));
            marks += &mark(form, class, x, axes.y(value), if *name == "p99" { 4.5 } else { 3.2 });
        }
    }
    whiskers + &marks
}

/// From bound to bound; where the sample was too small for one, a short stub without an end.
fn whisker(axes: &Axes, class: &str, x: f64, value: f64, of: &Interval) -> String {
    let middle = axes.y(value);
    let end = |bound: Option<f64>, away: f64| match bound.and_then(sane) {
        Some(bound) => (axes.y(bound), true),
        None => ((middle + away).clamp(TOP, axes.frame.floor()), false),
    };
    let (high, low) = (end(of.high, -14.0), end(of.low, 14.0));
    let cap = |(y, known): (f64, bool)| if known { format!("M{:.1} {y:.1}h6", x - 3.0) } else { String::new() };
    let open = if high.1 && low.1 { "" } else { " open" };
    let d = format!("M{x:.1} {:.1}V{:.1}{}{}", low.0, high.0, cap(low), cap(high));
    format!("<path class=\"whisker {class}{open}\" d=\"{d}\"/>")
}

fn read_outs(axes: &Axes, probes: &[&Probe]) -> String {
    let mut rates: Vec<f64> = probes.iter().map(|probe| probe.rate).collect();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let places: Vec<f64> = rates.iter().map(|rate| axes.rate.position(*rate)).collect();
    let mut out = String::new();
    for (place, rate) in rates.iter().enumerate() {
        let own = places.get(place).copied().unwrap_or_default();
        let half = |other: Option<&f64>| other.map(|other| (own + other) / 2.0);
        let from = half(place.checked_sub(1).and_then(|before| places.get(before))).unwrap_or(0.0);
        let to = half(places.get(place + 1)).unwrap_or(1.0);
        let told: Vec<_> = probes.iter().filter(|probe| probe.rate == *rate).map(|probe| tell(probe)).collect();
        out += &axes.frame.hit(from, to, &told.join("\n"));
    }
    out
}

fn tell(probe: &Probe) -> String {
    let value = |(name, of): &Quantile| Some(format!("{name} {}", show_time(of(&probe.latency).and_then(sane)?)));
    let values: Vec<_> = QUANTILES.iter().rev().filter_map(value).collect();
    let word = outcome(probe.outcome).0;
    format!("probe {} at {}/s {word}: {}", probe.number, show_rate(probe.rate), values.join(", "))
}

/// Requests per second that were sent, by how many were in flight or waiting; and what the fit makes of them.
pub fn throughput(report: &CapacityReport) -> String {
    let drawn = |probe: &&Probe| sane(probe.backlog).is_some() && sane(probe.achieved).is_some();
    let probes: Vec<&Probe> = report.probes.iter().filter(drawn).collect();
    if probes.is_empty() {
        return empty("No probe counted what was in flight: there is nothing to show.");
    }
    let label = format!("Requests per second by concurrency, of {} probes.", probes.len());
    let frames = [Frame { height: 240.0, ..WIDE }, Frame { height: 220.0, right: 24.0, ..NARROW }];
    frames.iter().map(|frame| frame.svg(&label, &throughput_body(frame, report.scalability, &probes))).collect()
}

fn throughput_body(frame: &Frame, fit: Option<Scalability>, probes: &[&Probe]) -> String {
    let counts = || probes.iter().map(|probe| probe.backlog);
    let count = Scale::of_times(counts());
    let end = count.ticks().last().copied().unwrap_or(1.0);
    let steps = || (0..=120).map(|step| f64::from(step) / 120.0);
    let at = |place: f64| match count {
        Scale::Log { low, top } => low * (top / low).powf(place),
        _ => place * end,
    };
    let curve = |fit: Scalability| {
        let throughput = move |n: f64| {
            let held_up = 1.0 + fit.sigma * (n - 1.0) + fit.kappa * n * (n - 1.0);
            sane(fit.lambda * n / held_up).filter(|_| held_up > 0.0)
        };
        steps().map(|place| (place, throughput(at(place)))).collect::<Vec<_>>()
    };
    let curve = fit.map(curve).unwrap_or_default();
    let most = probes.iter().map(|probe| probe.achieved).chain(curve.iter().filter_map(|(_, rate)| *rate));
    let rate = Scale::of_rates(most);
    let line = curve.into_iter().map(|(place, value)| (place, value.map(|value| rate.position(value))));
    let line = Line { name: "fit", class: "fit", points: line.collect() };
    let mut out = frame.y_axis(&rate, show_rate);
    let ticks = count.ticks().into_iter().map(|tick| (count.position(tick), show_rate(tick)));
    out += &frame.x_axis(&ticks.collect::<Vec<_>>(), "requests in flight or waiting, mean");
    out += &frame.line(line.class, &line.points);
    for probe in probes {
        let (class, form) = outcome(probe.outcome);
        let (x, y) = (frame.x(count.position(probe.backlog)), frame.y(rate.position(probe.achieved)));
        let [backlog, achieved, asked] = [probe.backlog, probe.achieved, probe.rate].map(show_rate);
        let told = format!("probe {}: {achieved}/s of {asked}/s with {backlog} in flight", probe.number);
        let _ = write!(out, "<g>{}<title>{told}</title></g>", mark(form, class, x, y, 4.0));
    }
    out + &frame.names(&[line])
}
