//! Values, sizes and instants of a history for people.

use super::model::{Scale, WorseWhen};
use crate::slo::{Metric, Statistic};
use crate::spec::units::show_ns;

/// What is known of a metric by its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Meaning {
    pub worse_when: WorseWhen,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Seconds,
    Share,
    PerSecond,
    Number,
}

impl Meaning {
    pub(super) fn of(name: &str) -> Self {
        if name == "capacity" {
            return Meaning { worse_when: WorseWhen::Lower, unit: Unit::PerSecond };
        }
        let statistic = name.parse::<Metric>().map_or(Statistic::Outside, |metric| metric.statistic);
        let (worse_when, unit) = match statistic {
            Statistic::ErrorRate => (WorseWhen::Higher, Unit::Share),
            Statistic::ErrorCount => (WorseWhen::Higher, Unit::Number),
            Statistic::Rate | Statistic::MessageRate => (WorseWhen::Lower, Unit::PerSecond),
            Statistic::RequestCount | Statistic::Outside => (WorseWhen::Unknown, Unit::Number),
            _ => (WorseWhen::Higher, Unit::Seconds),
        };
        Meaning { worse_when, unit }
    }

    pub(super) fn is_share(&self) -> bool {
        self.unit == Unit::Share
    }

    pub(super) fn value(&self, value: f64) -> String {
        match self.unit {
            Unit::Seconds if value.abs() < LONG => show_ns(value * 1e9),
            Unit::Seconds => format!("{}s", number(value)),
            Unit::Share => format!("{}%", number(value * 100.0)),
            Unit::PerSecond => format!("{}/s", number(value)),
            Unit::Number => number(value),
        }
    }

    /// A size with its sign; shares differ by percentage points.
    pub(super) fn size(&self, size: f64, scale: Scale) -> String {
        let sign = if size < 0.0 { "-" } else { "+" };
        match scale {
            Scale::Ratio => format!("{sign}{}%", number(size.abs() * 100.0)),
            Scale::Difference if self.is_share() => format!("{sign}{} points", number(size.abs() * 100.0)),
            Scale::Difference => format!("{sign}{}", self.value(size.abs())),
        }
    }

    /// A spread beside the level that it is of.
    pub(super) fn spread(&self, spread: f64, level: f64, scale: Scale) -> String {
        match scale {
            Scale::Ratio if level > 0.0 => format!("±{}%", number(spread / level * 100.0)),
            _ => format!("±{}", self.value(spread)),
        }
    }
}

/// Times from here on, in seconds, are shown as any number is.
const LONG: f64 = 1e6;

/// What is larger has a power of ten.
const PLAIN: f64 = 1e9;

/// Three significant digits, and all before the point.
pub(super) fn number(value: f64) -> String {
    if value.abs() >= PLAIN {
        return format!("{value:.2e}");
    }
    let magnitude = value.abs().max(1e-9).log10().floor();
    let digits = (2.0 - magnitude).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The minute of an instant, as it was written.
pub(super) fn minute(started_at: &str) -> String {
    started_at.chars().take(16).collect::<String>().replace('T', " ")
}

/// A chance.
pub(super) fn chance(p: f64) -> String {
    if p < 0.0001 { "p < 0.0001".to_owned() } else { format!("p {}", number(p)) }
}
