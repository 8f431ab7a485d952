//! Figures of a comparison for people.

use super::model::{Row, Scale, Shown, Verdict};
use crate::report::model::RunVerdict;
use crate::slo::Statistic;
use crate::spec::units::show_ns;

/// A time in seconds.
pub fn time(seconds: f64) -> String {
    show_ns(seconds * 1e9)
}

/// A verdict in words.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::Mixed => "mixed",
        Verdict::Same => "no difference shown",
        Verdict::Unknown => "not known",
    }
}

/// A run's own verdict in one word.
pub fn run_verdict(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Pass => "PASS",
        RunVerdict::Fail => "FAIL",
        RunVerdict::Inconclusive => "INCONCLUSIVE",
        RunVerdict::Invalid => "INVALID",
    }
}

/// A long time in seconds, roughly and rather too long.
pub fn long(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{:.0}s", s.ceil()),
        s if s < 7200.0 => format!("{:.0} minutes", (s / 60.0).ceil()),
        s => format!("{:.0} hours", (s / 3600.0).ceil()),
    }
}

/// A value of a statistic: a time in s, a share of 1, or a rate.
pub fn value(statistic: &Statistic, value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match statistic {
        Statistic::ErrorRate => format!("{}%", digits(value * 100.0)),
        Statistic::Rate => format!("{}/s", digits(value)),
        _ => time(value),
    }
}

/// A difference with its sign: percent of A, or points.
pub fn signed(scale: Scale, value: f64) -> String {
    let percent = digits(value * 100.0);
    let sign = if percent.starts_with('-') || percent == "0" { "" } else { "+" };
    match scale {
        Scale::Relative => format!("{sign}{percent}%"),
        Scale::Absolute => format!("{sign}{percent}pp"),
    }
}

/// Three digits, and no more than there are in numbers over a thousand: `0.0123`, `4.56`, `1234`.
fn digits(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 { "0".to_owned() } else { "∞".to_owned() };
    }
    let places = (2 - value.abs().log10().floor() as i32).clamp(0, 4) as usize;
    let text = format!("{value:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A probability.
fn probability(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".to_owned() } else { digits(p) }
}

/// A row's figures.
pub fn row(row: &Row, statistic: &Statistic) -> Shown {
    let bound = |bound: Option<f64>| bound.map_or_else(|| "∞".to_owned(), |bound| signed(row.scale, bound));
    let interval = row.difference.map(|_| format!("[{}, {}]", bound(row.low), bound(row.high)));
    let smallest = row.smallest.map(|smallest| signed(row.scale, smallest).trim_start_matches('+').to_owned());
    Shown {
        a: value(statistic, row.value_a),
        b: value(statistic, row.value_b),
        difference: row.difference.map(|difference| signed(row.scale, difference)).unwrap_or_default(),
        interval: interval.unwrap_or_default(),
        smallest: smallest.unwrap_or_default(),
        p: row.p.map(probability).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_a_sign() {
        for (value, text) in
            [(0.0481, "+4.81%"), (-0.2, "-20%"), (0.0, "0%"), (12.345, "+1234%"), (-0.000_012, "-0.0012%")]
        {
            assert_eq!(signed(Scale::Relative, value), text);
        }
        assert_eq!(signed(Scale::Absolute, 0.0002), "+0.02pp");
        assert_eq!(value(&Statistic::ErrorRate, Some(0.00125)), "0.125%");
        assert_eq!(value(&Statistic::Rate, Some(999.96)), "1000/s");
        assert_eq!(value(&Statistic::Rate, None), "-");
        assert_eq!(probability(0.000_01), "< 0.0001");
        assert_eq!(probability(0.0234), "0.0234");
    }
}
