//! Service-level objectives: `METRIC <= VALUE`, read, judged and given a confidence interval.
//!
//! Pure: no clock, no I/O.

pub mod confidence;
pub mod evaluate;
pub mod feasible;
mod metric;

use std::fmt;
use std::str::FromStr;

pub use self::metric::{Group, Metric, Part, Statistic};
use crate::spec::units;

/// Which side of the limit is good. The limit itself is, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    AtMost,
    AtLeast,
}

/// One objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// As it was written.
    pub text: String,
    pub metric: Metric,
    pub comparison: Comparison,
    /// In the metric's unit: ns, a share of 1, a count, or requests per second.
    pub limit: f64,
}

/// Why an objective was not understood, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub(crate) String);

impl FromStr for Slo {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (metric, comparison, value) = if let Some((metric, value)) = text.split_once("<=") {
            (metric, Comparison::AtMost, value)
        } else if let Some((metric, value)) = text.split_once(">=") {
            (metric, Comparison::AtLeast, value)
        } else {
            return Err(ParseError(format!(
                "'{text}' is not an objective: write METRIC <= VALUE or METRIC >= VALUE, such as http/latency-p99 <= 50ms"
            )));
        };
        let metric: Metric = metric.trim().parse()?;
        let limit = limit(value.trim(), &metric.statistic)?;
        if !limit.is_finite() {
            return Err(ParseError(format!("the limit '{}' is larger than any value can be", value.trim())));
        }
        Ok(Slo { text: text.trim().to_owned(), metric, comparison, limit })
    }
}

/// A limit in the metric's unit. Latencies without a unit are milliseconds, as Iter8's.
fn limit(text: &str, statistic: &Statistic) -> Result<f64, ParseError> {
    let wrong = |mend: &str| ParseError(format!("the limit '{text}' does not fit the metric: write {mend}"));
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim());
    let parse = |mend: &str| number.parse::<f64>().map_err(|_| wrong(mend));
    match statistic {
        Statistic::Quantile(..) | Statistic::Mean(_) | Statistic::Stddev(_) | Statistic::Min(_) | Statistic::Max(_) => {
            let mend = "a time such as 50ms";
            let unit = if unit.is_empty() { "ms" } else { unit };
            Ok(parse(mend)? * units::unit_ns(unit).ok_or_else(|| wrong(mend))?)
        }
        Statistic::ErrorRate => {
            let mend = "a share such as 0.1% or 0.001";
            let share = match unit {
                "%" => parse(mend)? / 100.0,
                "" => parse(mend)?,
                _ => return Err(wrong(mend)),
            };
            if share > 1.0 { Err(wrong("a share of at most 1, such as 0.1% or 0.001")) } else { Ok(share) }
        }
        Statistic::ErrorCount | Statistic::RequestCount => match unit {
            "" => parse("a number"),
            _ => Err(wrong("a number without a unit")),
        },
        Statistic::Outside => {
            text.parse::<f64>().ok().filter(|limit| limit.is_finite()).ok_or_else(|| wrong("a number"))
        }
        Statistic::Rate | Statistic::MessageRate => match unit {
            "" => parse("a rate such as 950/s"),
            _ => units::rate(text).map_err(|_| wrong("a rate such as 950/s")),
        },
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = match self.comparison {
            Comparison::AtMost => "<=",
            Comparison::AtLeast => ">=",
        };
        write!(f, "{} {comparison} {}", self.metric, self.metric.statistic.show(self.limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_of_limits() {
        for (text, limit) in [
            ("http/latency-p99.9 <= 50ms", 50e6),
            ("http/latency-mean<=200", 200e6),
            ("http/service-time-p50 <= 1.5s", 1.5e9),
            ("http/error-rate <= 0.1%", 0.001),
            ("http/error-rate <= 0.25", 0.25),
            ("http/error-count <= 0", 0.0),
            ("http/rate >= 950/s", 950.0),
            ("http/request-count >= 100", 100.0),
        ] {
            assert_eq!(text.parse::<Slo>().unwrap().limit, limit, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_mend() {
        for (text, mend) in [
            ("http/latency-p99 < 5ms", "<="),
            ("http/latency-p99 <= fast", "50ms"),
            ("http/latency-p99 <= 5 parsecs", "50ms"),
            ("http/latency-p99 <= -5ms", "50ms"),
            ("http/error-rate <= 5ms", "0.1%"),
            ("http/error-rate <= 150%", "at most 1"),
            ("http/error-count <= 5%", "number"),
            ("http/latency-p0 <= 5ms", "between 0 and 100"),
            ("http/latency-p100 <= 5ms", "latency-max"),
            ("latency-p99 <= 5ms", "http/"),
            ("http/speed <= 5", "latency-p99"),
        ] {
            let error = text.parse::<Slo>().unwrap_err().to_string();
            assert!(error.contains(mend), "{text}: {error}");
        }
    }

    #[test]
    fn percentiles_have_one_name() {
        assert_eq!("http/latency-p95.0".parse::<Metric>().unwrap(), "http/latency-p95".parse::<Metric>().unwrap());
        assert_eq!("http-a/latency-p50".parse::<Metric>().unwrap().request(), Some("a"));
        assert_eq!("grpc/latency/p95".parse::<Metric>().unwrap(), "grpc/latency-p95.0".parse::<Metric>().unwrap());
        let outside: Metric = "prom/error-share".parse().unwrap();
        assert_eq!(
            (outside.group.clone(), outside.to_string()),
            (Group::Provider("prom".into()), "prom/error-share".into())
        );
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(
            part in 0usize..7, grpc: bool, quantile in 1u32..100_000, limit in 1u32..1_000_000, upper: bool, kind in 0usize..10,
            request in prop::option::of("[a-z][a-z0-9-]{0,8}"),
        ) {
            let part = Part::ALL[part];
            let statistic = match kind {
                0 => Statistic::Quantile(part, f64::from(quantile) / 100_000.0),
                1 => Statistic::Mean(part),
                2 => Statistic::Stddev(part),
                3 => Statistic::Min(part),
                4 => Statistic::Max(part),
                5 => Statistic::ErrorRate,
                6 => Statistic::ErrorCount,
                7 => Statistic::RequestCount,
                8 => Statistic::Rate,
                _ => Statistic::MessageRate,
            };
            let group = if grpc { Group::Grpc } else { Group::Http };
            let limit = if kind == 5 { f64::from(limit) / 1e6 } else { f64::from(limit) };
            let comparison = if upper { Comparison::AtMost } else { Comparison::AtLeast };
            let slo = Slo { text: String::new(), metric: Metric::new(group, request, statistic), comparison, limit };
            let read: Slo = slo.to_string().parse().unwrap();
            prop_assert_eq!(&read.metric, &slo.metric);
            prop_assert_eq!(read.comparison, slo.comparison);
            prop_assert!((read.limit - slo.limit).abs() <= slo.limit * 1e-9, "{} {}", read.limit, slo.limit);
        }

        #[test]
        fn nothing_that_is_typed_makes_it_panic(text in ".{0,60}") {
            let _ = text.parse::<Slo>();
        }
    }
}
