//! Metrics as text: OpenMetrics 1.0, and the older format of Prometheus, which differs in names and in its end.

use std::fmt::Write;

use super::families::{Family, Kind, Series, Value};
use super::latency::Latency;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    OpenMetrics,
    Plain,
}

/// Renders families. Writing to a string can't fail: results are let go of.
pub(super) fn render(families: &[Family], dialect: Dialect) -> String {
    let mut out = String::new();
    for family in families {
        let (name, kind) = match (dialect, family.kind) {
            (Dialect::OpenMetrics, Kind::Info) => (family.name.into(), "info"),
            (Dialect::OpenMetrics, Kind::Counter) => (family.name.into(), "counter"),
            (Dialect::Plain, Kind::Counter) => (family.sample_name(), "counter"),
            (_, Kind::Gauge) | (Dialect::Plain, Kind::Info) => (family.sample_name(), "gauge"),
            (_, Kind::Histogram) => (family.name.into(), "histogram"),
        };
        let _ = writeln!(out, "# TYPE {name} {kind}");
        if dialect == Dialect::OpenMetrics && !family.unit.is_empty() {
            let _ = writeln!(out, "# UNIT {name} {}", family.unit);
        }
        let _ = writeln!(out, "# HELP {name} {}", family.help);
        for series in &family.series {
            match &series.value {
                Value::Number(number) => sample(&mut out, &family.sample_name(), series, None, *number),
                Value::Latency(latency) => histogram(&mut out, family.name, series, latency),
            }
        }
    }
    if dialect == Dialect::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn histogram(out: &mut String, name: &str, series: &Series, latency: &Latency) {
    for (bound, count) in latency.cumulated() {
        // As OpenMetrics wants it, and older readers take it too: 1.0, not 1.
        let bound = if bound.is_infinite() { "+Inf".to_owned() } else { format!("{bound:?}") };
        sample(out, &format!("{name}_bucket"), series, Some(("le", &bound)), count as f64);
    }
    sample(out, &format!("{name}_count"), series, None, latency.count() as f64);
    sample(out, &format!("{name}_sum"), series, None, latency.sum());
}

fn sample(out: &mut String, name: &str, series: &Series, more: Option<(&str, &str)>, value: f64) {
    out.push_str(name);
    let labels = series.labels.iter().map(|(name, value)| (*name, value.as_str())).chain(more);
    for (number, (name, value)) in labels.enumerate() {
        let _ = write!(out, "{}{name}=\"", if number == 0 { '{' } else { ',' });
        escape(out, value);
        out.push('"');
    }
    if !series.labels.is_empty() || more.is_some() {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            // Some readers would end the line at it.
            other if other.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            other => out.push(other),
        }
    }
}
