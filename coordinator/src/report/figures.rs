//! Figures of pages for people: every filter knows what is no figure, so that none is printed as one.

use tera::{Kwargs, State, Tera, Value};

use super::model::Interval;
use crate::spec::units::show_ns;

/// What stands where there is no figure.
pub(super) const NONE: &str = "–";

/// Above this no figure goes, whatever its unit.
const LARGEST: f64 = 1e20;

/// Makes the filters known to the templates.
pub(super) fn register(tera: &mut Tera) {
    tera.register_filter("time", |value: Value, _: Kwargs, _: &State| number(&value, show_time));
    tera.register_filter("rate", |value: Value, _: Kwargs, _: &State| number(&value, show_rate));
    tera.register_filter("percent", |value: Value, _: Kwargs, _: &State| number(&value, show_percent));
    tera.register_filter("bytes", |value: Value, _: Kwargs, _: &State| number(&value, show_bytes));
    tera.register_filter("span", |value: Value, _: Kwargs, _: &State| number(&value, show_span));
    tera.register_filter("figure", |value: Value, _: Kwargs, _: &State| number(&value, show_figure));
    tera.register_filter("count", |value: Value, _: Kwargs, _: &State| count(&value));
    tera.register_filter("quantile", |value: &str, _: Kwargs, _: &State| value.replace('_', "."));
    tera.register_filter("moment", |value: &str, _: Kwargs, _: &State| show_moment(value));
}

/// A number as `show` writes it; nothing where there is none.
fn number(value: &Value, show: fn(f64) -> String) -> String {
    value.as_f64().and_then(sane).map_or(NONE.to_owned(), show)
}

/// A number that can be a figure: finite, and no larger than counts of 64 bits.
pub(super) fn sane(value: f64) -> Option<f64> {
    (value.abs() <= LARGEST).then_some(value)
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
pub(super) fn show_span(seconds: f64) -> String {
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
pub(super) fn group(digits: &str) -> String {
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
pub(super) fn show_percent(share: f64) -> String {
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

pub(super) fn show_bytes(bytes: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let found = units.into_iter().find(|(size, _)| bytes >= *size);
    found.map_or_else(|| format!("{bytes:.0} B"), |(size, unit)| format!("{:.1} {unit}", bytes / size))
}

/// `2025-03-01T12:30:00.123Z` as `2025-03-01 12:30:00 UTC`; what is not of that shape stays as it is.
pub(super) fn show_moment(text: &str) -> String {
    match (text.get(..10), text.get(10..11), text.get(11..19), text.ends_with('Z')) {
        (Some(day), Some("T"), Some(time), true) => format!("{day} {time} UTC"),
        _ => text.to_owned(),
    }
}

/// A bare number, with three digits that matter.
pub(super) fn show_figure(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { NONE.to_owned() };
    }
    if !(1e-4..1e7).contains(&value.abs()) {
        return format!("{value:.2e}");
    }
    let places = (2 - value.abs().log10().floor() as i32).clamp(0, 7) as usize;
    let text = format!("{value:.places$}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let (whole, part) = (group(whole), part.trim_end_matches('0'));
    if part.is_empty() { whole } else { format!("{whole}.{part}") }
}

/// A 95 % interval of a time. A bound that is no number is not known.
pub(super) fn show_interval(interval: &Interval) -> String {
    let known = |bound: Option<f64>| bound.and_then(sane);
    match (known(interval.low), known(interval.high)) {
        (Some(low), Some(high)) => format!("{}\u{a0}– {}", show_time(low), show_time(high)),
        (Some(low), None) => format!("≥\u{a0}{}", show_time(low)),
        (None, Some(high)) => format!("≤\u{a0}{}", show_time(high)),
        (None, None) => "n too small".to_owned(),
    }
}
