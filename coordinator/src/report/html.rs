//! The report as one HTML page: no script, nothing fetched, readable offline, on paper and on a phone.
//!
//! Figures are written by filters that know what is no figure, so that none is printed as one. A run that is invalid
//! shows no verdict but that one: its objectives are not judged, and its figures are greyed.

use serde::Serialize;
use tera::{Context, Kwargs, State, Tera, Value};

use super::charts;
use super::model::{self, Connections, Distribution, Gate, Interval, Load, Report, Request, RunVerdict, Slo, Validity};
use crate::spec::units::show_ns;

/// Escaping goes by the name's end.
const NAME: &str = "report.html";
const TEMPLATE: &str = include_str!("report.html.tera");

/// What stands where there is no figure.
const NONE: &str = "–";

/// Columns of a table of latencies, as the model calls them.
const COLUMNS: [&str; 9] = ["p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "max", "mean"];

/// Renders a report.
///
/// # Errors
/// The template's, which no report causes.
pub fn render(report: &Report) -> Result<String, tera::Error> {
    let mut tera = Tera::default();
    tera.register_filter("time", |value: Value, _: Kwargs, _: &State| number(&value, show_time));
    tera.register_filter("rate", |value: Value, _: Kwargs, _: &State| number(&value, show_rate));
    tera.register_filter("percent", |value: Value, _: Kwargs, _: &State| number(&value, show_percent));
    tera.register_filter("bytes", |value: Value, _: Kwargs, _: &State| number(&value, show_bytes));
    tera.register_filter("span", |value: Value, _: Kwargs, _: &State| number(&value, show_span));
    tera.register_filter("count", |value: Value, _: Kwargs, _: &State| count(&value));
    tera.register_filter("quantile", |value: &str, _: Kwargs, _: &State| value.replace('_', "."));
    tera.register_filter("moment", |value: &str, _: Kwargs, _: &State| show_moment(value));
    tera.add_raw_template(NAME, TEMPLATE)?;
    tera.render(NAME, &Context::from_serialize(&Page::of(report))?)
}

/// A verdict or a state, told by word and symbol as well as by colour.
#[derive(Clone, Copy, Debug, Serialize)]
struct Badge {
    word: &'static str,
    symbol: &'static str,
    class: &'static str,
}

const INVALID: Badge = Badge { word: "INVALID", symbol: "⊘", class: "invalid" };

impl Badge {
    fn verdict(verdict: RunVerdict) -> Badge {
        match verdict {
            RunVerdict::Pass => Badge { word: "PASS", symbol: "✓", class: "good" },
            RunVerdict::Fail => Badge { word: "FAIL", symbol: "✗", class: "bad" },
            RunVerdict::Inconclusive => Badge { word: "INCONCLUSIVE", symbol: "?", class: "open" },
            RunVerdict::Invalid => INVALID,
        }
    }

    fn objective(verdict: RunVerdict, invalid: bool) -> Badge {
        if invalid { Badge { class: "void", ..INVALID } } else { Badge::verdict(verdict) }
    }

    /// A state that is not known is no better than degraded.
    fn state(state: &str) -> Badge {
        match state {
            "ok" => Badge { word: "ok", symbol: "✓", class: "good" },
            "invalid" => Badge { word: "invalid", ..INVALID },
            _ => Badge { word: "degraded", symbol: "!", class: "open" },
        }
    }
}

/// What the template sees.
#[derive(Serialize)]
struct Page<'a> {
    report: Head<'a>,
    invalid: bool,
    badge: Badge,
    validity: Badge,
    load: &'a Load,
    coverage: Vec<Part>,
    open_loop: bool,
    total: &'a Request,
    columns: &'static [&'static str],
    rows: Vec<Row<'a>>,
    intervals: Vec<String>,
    other_intervals: Vec<(String, String)>,
    /// What an uncorrected tool would have hidden: p99 of latency over that of service time, where it is worth saying.
    hidden: Option<f64>,
    /// Whether that is rather the generator's lateness than waiting for a connection.
    lag_hides: bool,
    slos: Vec<Judged<'a>>,
    gates: Vec<Checked<'a>>,
    tripped: usize,
    requests: Vec<Named<'a>>,
    answers: Vec<Bar>,
    /// Those with checks, and those with more messages than calls.
    checked: bool,
    streams: bool,
    workers: Vec<Worker<'a>>,
    connections: &'a Connections,
    spectrum: String,
    rate: String,
    quantiles: String,
}

#[derive(Serialize)]
struct Head<'a> {
    test: &'a str,
    run: &'a str,
    schema: &'a str,
    loadgrid: &'a str,
    started_at: &'a str,
    exit_code: u8,
    reasons: &'a [String],
    notes: &'a [String],
    ready: &'a [model::Ready],
    outside: &'a [model::Outside],
}

#[derive(Serialize)]
struct Part {
    name: &'static str,
    count: u64,
    width: String,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'static str,
    note: &'static str,
    of: &'a Distribution,
}

#[derive(Serialize)]
struct Judged<'a> {
    slo: &'a Slo,
    badge: Badge,
}

#[derive(Serialize)]
struct Checked<'a> {
    gate: &'a Gate,
    badge: Badge,
}

#[derive(Serialize)]
struct Worker<'a> {
    of: &'a model::Worker,
    badge: Badge,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    of: &'a Request,
    /// Of the requests that were sent.
    share: f64,
    answers: Vec<Bar>,
    streams: bool,
    /// Messages received per second.
    message_rate: f64,
}

/// How often a status or an error came.
#[derive(Serialize)]
struct Bar {
    label: String,
    error: bool,
    count: u64,
    share: f64,
    width: String,
}

impl<'a> Page<'a> {
    fn of(report: &'a Report) -> Page<'a> {
        // Either says so: what is doubtful is not shown as a measurement.
        let invalid = report.verdict == RunVerdict::Invalid || report.validity == Validity::Invalid;
        let mut gates: Vec<_> =
            report.audit.iter().map(|gate| Checked { gate, badge: Badge::state(&gate.state) }).collect();
        gates.sort_by_key(|gate| ["invalid", "open"].iter().position(|class| *class == gate.badge.class).unwrap_or(2));
        let (intervals, other_intervals) = intervals(&report.total);
        Page {
            report: Head {
                test: &report.test,
                run: &report.run,
                schema: &report.schema,
                loadgrid: &report.loadgrid,
                started_at: &report.started_at,
                exit_code: report.exit_code,
                reasons: &report.reasons,
                notes: &report.notes,
                ready: &report.ready,
                outside: &report.outside,
            },
            invalid,
            badge: if invalid { INVALID } else { Badge::verdict(report.verdict) },
            validity: match (invalid, report.validity) {
                (true, _) => Badge::state("invalid"),
                (_, Validity::Valid) => Badge::state("ok"),
                _ => Badge::state("degraded"),
            },
            load: &report.load,
            coverage: coverage(&report.load),
            open_loop: !report.load.model.starts_with("closed"),
            total: &report.total,
            columns: &COLUMNS,
            rows: rows(&report.total),
            intervals,
            other_intervals,
            hidden: hidden(&report.total),
            lag_hides: report.total.dispatch_lag.p99 > report.total.connection_wait.p99,
            slos: report.slos.iter().map(|slo| Judged { slo, badge: Badge::objective(slo.verdict, invalid) }).collect(),
            tripped: gates.iter().filter(|gate| gate.badge.class != "good").count(),
            gates,
            requests: requests(report),
            answers: answers(&report.total),
            checked: report.requests.values().any(|request| !request.checks.is_empty()),
            streams: report.requests.values().any(Request::has_streams),
            workers: report.workers.iter().map(|of| Worker { of, badge: Badge::state(&of.audit) }).collect(),
            connections: &report.connections,
            spectrum: charts::spectrum(&report.histograms.latency_spectrum, &report.histograms.service_time_spectrum),
            rate: charts::rate(&report.timeline),
            quantiles: charts::quantiles(&report.timeline),
        }
    }
}

fn coverage(load: &Load) -> Vec<Part> {
    let parts = [("sent", load.sent), ("dropped", load.dropped), ("lost", load.lost)];
    let all = parts.iter().map(|(_, count)| *count as f64).sum();
    parts.map(|(name, count)| Part { name, count, width: width(count, all) }).into()
}

fn rows(total: &Request) -> Vec<Row<'_>> {
    let row = |name, note, of| Row { name, note, of };
    vec![
        row("Latency", "from the intended start", &total.latency),
        row("Service time", "uncorrected, from the first byte sent", &total.service_time),
        row("Connection wait", "no connection was free", &total.connection_wait),
        row("Dispatch lag", "the generator's own lateness", &total.dispatch_lag),
        row("Time to first byte", "of the response", &total.time_to_first_byte),
    ]
}

/// The 95 % intervals under their columns, and those that have no column.
fn intervals(total: &Request) -> (Vec<String>, Vec<(String, String)>) {
    let plain = |name: &str| name.replace('.', "_");
    let shown = |column: &&str| {
        let found = total.latency_intervals.iter().find(|(name, _)| plain(name) == **column);
        found.map_or(String::new(), |(_, interval)| show_interval(interval))
    };
    let others = total.latency_intervals.iter().filter(|(name, _)| !COLUMNS.contains(&plain(name).as_str()));
    let others = others.map(|(name, interval)| (name.replace('_', "."), show_interval(interval))).collect();
    (if total.latency_intervals.is_empty() { Vec::new() } else { COLUMNS.iter().map(shown).collect() }, others)
}

fn show_interval(interval: &Interval) -> String {
    match (interval.low, interval.high) {
        (Some(low), Some(high)) => format!("{}\u{a0}– {}", show_time(low), show_time(high)),
        (Some(low), None) => format!("≥\u{a0}{}", show_time(low)),
        (None, Some(high)) => format!("≤\u{a0}{}", show_time(high)),
        (None, None) => "n too small".to_owned(),
    }
}

fn hidden(total: &Request) -> Option<f64> {
    let (latency, service) = (total.latency.p99?, total.service_time.p99?);
    let times = latency / service;
    (times.is_finite() && times >= 1.5).then_some(times)
}

fn requests<'a>(report: &'a Report) -> Vec<Named<'a>> {
    let all: f64 = report.requests.values().map(|request| request.count as f64).sum();
    let share = |count: u64| if all > 0.0 { count as f64 / all } else { 0.0 };
    let seconds = report.load.duration.max(1e-9);
    let named = |(name, of): (&'a String, &'a Request)| Named {
        name,
        of,
        share: share(of.count),
        answers: answers(of),
        streams: of.has_streams(),
        message_rate: of.messages_received as f64 / seconds,
    };
    report.requests.iter().map(named).collect()
}

/// Statuses, then errors by kind, most frequent first.
fn answers(request: &Request) -> Vec<Bar> {
    let all = request.count as f64;
    let bars = |counts: &std::collections::BTreeMap<String, u64>, error: bool| {
        let mut bars: Vec<Bar> = counts
            .iter()
            .map(|(label, count)| Bar {
                label: label.clone(),
                error,
                count: *count,
                share: if all > 0.0 { *count as f64 / all } else { 0.0 },
                width: width(*count, all),
            })
            .collect();
        bars.sort_by_key(|bar| std::cmp::Reverse(bar.count));
        bars
    };
    let mut all = bars(&request.statuses, false);
    all.extend(bars(&request.grpc_codes, false));
    all.extend(bars(&request.error_kinds, true));
    all
}

/// A bar's width: never so small that what happened is not seen.
fn width(count: u64, of: f64) -> String {
    let share = if of > 0.0 { count as f64 / of * 100.0 } else { 0.0 };
    let least = if count > 0 { 0.5 } else { 0.0 };
    format!("{:.2}%", share.clamp(least, 100.0))
}

/// A number as `show` writes it; nothing where there is none.
fn number(value: &Value, show: fn(f64) -> String) -> String {
    value.as_f64().filter(|value| value.is_finite()).map_or(NONE.to_owned(), show)
}

fn count(value: &Value) -> String {
    value.as_i128().map_or_else(|| number(value, show_rate), |whole| group(&whole.to_string()))
}

/// Seconds for people.
pub(super) fn show_time(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => NONE.to_owned(),
        0.0 => "0".to_owned(),
        s => show_ns(s * 1e9),
    }
}

/// A time on the clock: 30s, 1m30s, 2h.
pub(super) fn show_clock(t: f64) -> String {
    if !t.is_finite() || t.abs() < 60.0 {
        return if t == 0.0 { "0s".to_owned() } else { show_time(t) };
    }
    let whole = t.round() as u64;
    let parts = [(whole / 3600, "h"), (whole % 3600 / 60, "m"), (whole % 60, "s")];
    parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect()
}

/// How long something took: to the millisecond where that can be told.
fn show_span(seconds: f64) -> String {
    if seconds < 120.0 { show_time(seconds) } else { show_clock(seconds) }
}

/// Requests per second for people, with the digits that matter.
pub(super) fn show_rate(rate: f64) -> String {
    let digits = match rate.abs() {
        x if !x.is_finite() => return NONE.to_owned(),
        x if x >= 100.0 => 0,
        x if x >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{rate:.digits$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let (whole, part) = (group(whole), part.trim_end_matches('0'));
    if part.is_empty() { whole } else { format!("{whole}.{part}") }
}

/// Digits in groups of three.
fn group(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut out = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share of 1. Neither all nor nothing is said where that is only rounding.
fn show_percent(share: f64) -> String {
    let value = share * 100.0;
    for digits in 2..=6 {
        let text = format!("{value:.digits$}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        let rounded = (text == "100" && share != 1.0) || (matches!(text, "0" | "-0") && share != 0.0);
        if !rounded {
            return format!("{text}%");
        }
    }
    if share > 0.5 { "almost 100%".to_owned() } else { "under 0.0001%".to_owned() }
}

/// A share as a percentile, never rounded up to all: 0%, 50%, 99.9%.
pub(super) fn show_percentile(share: f64) -> String {
    // As many digits as there are nines; the hundredth forgives what floats lose.
    let digits = (0.01 - (1.0 - share).max(1e-12).log10()).floor().max(1.0) as usize;
    let text = format!("{:.digits$}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn show_bytes(bytes: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let found = units.into_iter().find(|(size, _)| bytes >= *size);
    found.map_or_else(|| format!("{bytes:.0} B"), |(size, unit)| format!("{:.1} {unit}", bytes / size))
}

/// `2025-03-01T12:30:00.123Z` as `2025-03-01 12:30:00 UTC`; what is not of that shape stays as it is.
fn show_moment(text: &str) -> String {
    match (text.get(..10), text.get(10..11), text.get(11..19), text.ends_with('Z')) {
        (Some(day), Some("T"), Some(time), true) => format!("{day} {time} UTC"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
