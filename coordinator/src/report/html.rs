//! The report as one HTML page: no script, nothing fetched, readable offline, on paper and on a phone.
//!
//! Figures are written by filters that know what is no figure, so that none is printed as one. A run that is invalid
//! shows no verdict but that one: its objectives are not judged, and its figures are greyed.

use serde::Serialize;

use super::charts;
use super::figures::show_interval;
use super::model::{self, Connections, Distribution, Gate, Load, Report, Request, RunVerdict, Slo, Validity};
use super::pages::{self, Badge, INVALID, versions};

/// Columns of a table of latencies, as the model calls them.
const COLUMNS: [&str; 9] = ["p50", "p75", "p90", "p95", "p99", "p99_9", "p99_99", "max", "mean"];

/// Renders a report.
///
/// # Errors
/// The template's, which no report causes.
pub fn render(report: &Report) -> Result<String, tera::Error> {
    pages::render("report.html", &Page::of(report))
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
    /// Several versions of the target, where they were measured side by side.
    versions: Option<versions::Section<'a>>,
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
            versions: report.versions.as_ref().map(|of| versions::Section::of(of, invalid)),
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

#[cfg(test)]
mod tests;
