//! The report for people at a terminal: 80 columns.

use std::fmt::Write;

use super::model::{Distribution, Report, Request, RunVerdict, Slo, Validity};
use crate::compare;
use crate::paper::{BOLD, GREEN, RED, YELLOW, paint, wrapped};
use crate::slo::Statistic;
use crate::spec::units::show_ns;

/// The width that lines are wrapped to.
const WIDTH: usize = 80;

pub(super) fn render(report: &Report, colour: bool) -> String {
    let mut page = Page { out: String::new(), colour };
    page.head(report);
    page.slos(report);
    if let Some(versions) = &report.versions {
        page.out.push_str(&compare::versions_text(versions, colour));
    }
    page.latencies(report);
    let only = report.requests.values().next().filter(|_| report.requests.len() == 1);
    page.errors("", only.unwrap_or(&report.total));
    page.requests(report);
    page.messages(report);
    page.beside(report);
    page.workers(report);
    page.audit(report);
    page.out
}

/// A verdict in one word.
pub(super) fn verdict_word(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Pass => "PASS",
        RunVerdict::Fail => "FAIL",
        RunVerdict::Inconclusive => "INCONCLUSIVE",
        RunVerdict::Invalid => "INVALID",
    }
}

/// A time in seconds for people; a dash for none.
pub(crate) fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| show_ns(value * 1e9))
}

/// A rate with enough digits to be told from zero.
pub(crate) fn per_second(rate: f64) -> String {
    if rate > 0.0 && rate < 1.0 { format!("{rate:.3}/s") } else { format!("{rate:.1}/s") }
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

    fn verdict(&self, verdict: RunVerdict, width: usize) -> String {
        let code = match verdict {
            RunVerdict::Pass => GREEN,
            RunVerdict::Fail => RED,
            RunVerdict::Inconclusive | RunVerdict::Invalid => YELLOW,
        };
        self.paint(code, &format!("{:<width$}", verdict_word(verdict)))
    }

    fn title(&mut self, title: &str) {
        let title = self.paint(BOLD, title);
        let _ = writeln!(self.out, "\n{title}");
    }

    fn wrapped(&mut self, label: &str, text: &str) {
        self.out.push_str(&wrapped(WIDTH, label, text));
    }

    fn head(&mut self, report: &Report) {
        let load = &report.load;
        let name = self.paint(BOLD, &report.test);
        let verdict = self.verdict(report.verdict, 0);
        let _ = writeln!(self.out, "{name}: {verdict}");
        for reason in &report.reasons {
            self.wrapped("  ", reason);
        }
        if report.validity == Validity::Invalid {
            self.wrapped("  ", "The figures below are NOT a measurement of the target.");
        }
        let workers = report.workers.len();
        let plural = if workers == 1 { "" } else { "s" };
        let _ = writeln!(self.out);
        self.wrapped(
            "Load      ",
            &format!("{}, {}; {workers} worker{plural}, seed {}", load.model, load.profile, load.seed),
        );
        let target = load.target_rate.map_or("as fast as the target answers".to_owned(), per_second);
        let over = seconds(Some(load.duration));
        let rate = format!("target {target}, achieved {} over {over}", per_second(load.achieved_rate));
        self.wrapped("Rate      ", &rate);
        let coverage =
            format!("{} planned = {} sent + {} dropped + {} lost", load.planned, load.sent, load.dropped, load.lost);
        self.wrapped("Coverage  ", &coverage);
        let connections = &report.connections;
        let mut opened =
            format!("{} opened in {} at the median", connections.opened, seconds(connections.connect_time.p50));
        if connections.handshake_time.count > 0 {
            opened += &format!(", TLS handshake {}", seconds(connections.handshake_time.p50));
        }
        if connections.goaways + connections.retried > 0 {
            opened +=
                &format!("; {} ended by GOAWAY, {} requests sent again", connections.goaways, connections.retried);
        }
        self.wrapped("Sockets   ", &opened);
        for ready in &report.ready {
            let waited = seconds(Some(ready.waited));
            self.wrapped("Ready     ", &format!("{} after {waited}", ready.condition));
        }
        if load.warmup > 0.0 {
            self.wrapped(
                "Warm-up   ",
                &format!("{}, {} requests, not judged", seconds(Some(load.warmup)), load.warmup_requests),
            );
        }
    }

    fn slos(&mut self, report: &Report) {
        if report.slos.is_empty() {
            return;
        }
        self.title("Objectives");
        for slo in &report.slos {
            self.slo(slo);
        }
    }

    fn slo(&mut self, slo: &Slo) {
        let verdict = self.verdict(slo.verdict, 13);
        let interval = match slo.shown.interval.is_empty() {
            true => String::new(),
            false => format!("  95% {}", slo.shown.interval),
        };
        let figures = format!("{:<34} {}", slo.expr, slo.shown.observed);
        // What does not fit beside goes below.
        let fits = 15 + figures.chars().count() + interval.chars().count() <= WIDTH;
        let _ = writeln!(self.out, "  {verdict}{figures}{}", if fits { interval.as_str() } else { "" });
        if !fits {
            let _ = writeln!(self.out, "{:>15}{}", "", interval.trim_start());
        }
        if let Some(note) = &slo.note {
            self.wrapped("               ", note);
        }
    }

    fn latencies(&mut self, report: &Report) {
        self.title("Times                p50     p90     p95     p99   p99.9     max    mean");
        let total = &report.total;
        self.distribution("latency", &total.latency);
        self.distribution("  dispatch lag", &total.dispatch_lag);
        self.distribution("  connection wait", &total.connection_wait);
        self.distribution("  service time", &total.service_time);
        self.distribution("  first byte", &total.time_to_first_byte);
        self.wrapped(
            "  ",
            "latency counts from the intended start and is the sum of the next three; service time is what a tool without \
             correction would report",
        );
    }

    fn distribution(&mut self, name: &str, d: &Distribution) {
        let _ = write!(self.out, "{name:<17}");
        for value in [d.p50, d.p90, d.p95, d.p99, d.p99_9, d.max, d.mean] {
            let _ = write!(self.out, "{:>8}", seconds(value));
        }
        let _ = writeln!(self.out);
    }

    fn errors(&mut self, indent: &str, request: &Request) {
        let share = request.error_rate * 100.0;
        let kinds: Vec<String> = request.error_kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let codes = request.grpc_codes.iter().map(|(code, count)| format!("{code}: {count}"));
        let statuses = request.statuses.iter().map(|(status, count)| format!("{status}: {count}"));
        let statuses: Vec<String> = statuses.chain(codes).collect();
        let of_kind = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
        let statuses = if statuses.is_empty() { "none".to_owned() } else { statuses.join(", ") };
        if indent.is_empty() {
            let _ = writeln!(self.out);
        }
        self.wrapped(
            &format!("{indent}Errors    "),
            &format!("{} of {} ({share:.3}%){of_kind}", request.errors, request.count),
        );
        self.wrapped(&format!("{indent}Statuses  "), &statuses);
        for check in request.checks.iter().filter(|check| check.failed > 0) {
            self.wrapped(&format!("{indent}Check     "), &format!("{} failed {} times", check.check, check.failed));
        }
    }

    /// Messages of gRPC streams, where there are more of them than calls.
    fn messages(&mut self, report: &Report) {
        let streams = |(_, request): &(&String, &Request)| request.has_streams();
        if report.requests.iter().any(|pair| streams(&pair)) {
            self.title("Messages of streams");
        }
        for (name, request) in report.requests.iter().filter(|(_, request)| request.has_streams()) {
            let rate = request.messages_received as f64 / report.load.duration.max(1e-9);
            let mut line = format!(
                "{} sent, {} received ({}); first after {}",
                request.messages_sent,
                request.messages_received,
                per_second(rate),
                seconds(request.time_to_first_message.p50),
            );
            if request.message_gap.count > 0 {
                let gap = &request.message_gap;
                line += &format!(", gap p50 {}, p99 {}", seconds(gap.p50), seconds(gap.p99));
            }
            self.wrapped(&format!("  {name}: "), &line);
        }
    }

    /// Metrics from outside, and notes.
    fn beside(&mut self, report: &Report) {
        if !report.outside.is_empty() {
            self.title("Metrics of providers");
        }
        for metric in &report.outside {
            let value = match (metric.value, &metric.error) {
                (Some(value), _) => {
                    let shown = Statistic::Outside.show((value * 1e6).round() / 1e6);
                    format!("{shown} {}", metric.unit.as_deref().unwrap_or_default())
                }
                (None, error) => format!("missing: {}", error.as_deref().unwrap_or("no value")),
            };
            self.wrapped(&format!("  {:<32} ", metric.metric), &value);
        }
        if !report.notes.is_empty() {
            let _ = writeln!(self.out);
        }
        for note in &report.notes {
            self.wrapped("Note      ", note);
        }
    }

    fn requests(&mut self, report: &Report) {
        if report.requests.len() < 2 {
            return;
        }
        self.title("Latency by request   p50     p90     p95     p99   p99.9     max    mean");
        for (name, request) in &report.requests {
            self.distribution(&clip(name, 17), &request.latency);
            if request.errors > 0 || request.grpc_codes.len() > 1 {
                self.errors("  ", request);
            }
        }
    }

    fn workers(&mut self, report: &Report) {
        if report.workers.len() < 2 {
            return;
        }
        self.title("Workers           sent dropped    lost     p50     p99    busy    skew  audit");
        for worker in &report.workers {
            let _ = writeln!(
                self.out,
                "{:<14}{:>8}{:>8}{:>8}{:>8}{:>8}{:>7.0}%{:>8}  {}",
                clip_start(&worker.id, 14),
                worker.sent,
                worker.dropped,
                worker.lost,
                seconds(worker.latency.p50),
                seconds(worker.latency.p99),
                worker.busy * 100.0,
                seconds(worker.start_skew),
                worker.audit
            );
        }
    }

    fn audit(&mut self, report: &Report) {
        let tripped: Vec<_> = report.audit.iter().filter(|gate| gate.state != "ok").collect();
        let state = match report.validity {
            Validity::Valid => self.paint(GREEN, "valid"),
            Validity::Degraded => self.paint(YELLOW, "degraded"),
            Validity::Invalid => self.paint(RED, "INVALID"),
        };
        let passed = report.audit.len() - tripped.len();
        let _ = writeln!(self.out, "\nAudit     {state}: {passed} of {} gates ok", report.audit.len());
        for gate in tripped {
            self.wrapped(&format!("  {} ", gate.state), &format!("{}: {}", gate.gate, gate.saw));
            self.wrapped("    means  ", &gate.means);
            self.wrapped("    do     ", &gate.todo);
        }
    }
}

fn clip(text: &str, width: usize) -> String {
    if text.chars().count() < width {
        return text.to_owned();
    }
    let start: String = text.chars().take(width - 2).collect();
    format!("{start}…")
}

/// A worker's name: those of one set of pods differ in their ends.
fn clip_start(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length < width {
        return text.to_owned();
    }
    let end: String = text.chars().skip(length + 2 - width).collect();
    format!("…{end}")
}
