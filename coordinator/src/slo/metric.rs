//! The names of metrics: Iter8's, and what it could not measure.

use std::fmt;
use std::str::FromStr;

use super::ParseError;

/// A part of a request's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Latency,
    DispatchLag,
    ConnectionWait,
    ServiceTime,
    TimeToFirstByte,
}

impl Part {
    pub const ALL: [Part; 5] =
        [Part::Latency, Part::DispatchLag, Part::ConnectionWait, Part::ServiceTime, Part::TimeToFirstByte];

    /// As in a metric's name.
    pub fn name(self) -> &'static str {
        match self {
            Part::Latency => "latency",
            Part::DispatchLag => "dispatch-lag",
            Part::ConnectionWait => "connection-wait",
            Part::ServiceTime => "service-time",
            Part::TimeToFirstByte => "time-to-first-byte",
        }
    }
}

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// A quantile between 0 and 1, ns.
    Quantile(Part, f64),
    /// ns.
    Mean(Part),
    Stddev(Part),
    Min(Part),
    Max(Part),
    /// Failed requests as a share of those sent.
    ErrorRate,
    ErrorCount,
    /// Failed ones included.
    RequestCount,
    /// Requests that ended per second of the main phase.
    Rate,
}

impl Statistic {
    /// A value of this statistic for people; what a limit would be written as.
    pub fn show(&self, value: f64) -> String {
        match self {
            Statistic::ErrorRate => format!("{}%", trim(value * 100.0)),
            Statistic::ErrorCount | Statistic::RequestCount => trim(value),
            Statistic::Rate => format!("{}/s", trim(value)),
            _ => match value {
                v if v < 1e3 => format!("{}ns", trim(v)),
                v if v < 1e6 => format!("{}us", trim(v / 1e3)),
                v if v < 1e9 => format!("{}ms", trim(v / 1e6)),
                v => format!("{}s", trim(v / 1e9)),
            },
        }
    }

    /// Whether its values are times.
    pub fn is_time(&self) -> bool {
        !matches!(self, Statistic::ErrorRate | Statistic::ErrorCount | Statistic::RequestCount | Statistic::Rate)
    }
}

/// At most twelve significant digits, without zeros that say nothing.
fn trim(value: f64) -> String {
    let digits = 11 - value.abs().max(1e-12).log10().floor().clamp(-6.0, 11.0) as i32;
    let text = format!("{value:.*}", digits.clamp(0, 17) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A statistic of all requests, or of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    request: Option<String>,
    pub statistic: Statistic,
}

impl Metric {
    pub fn new(request: Option<String>, statistic: Statistic) -> Self {
        Metric { request, statistic }
    }

    /// The request it is of; `None` for all of them together.
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }
}

const KNOWN: &str = "latency-p99 (any percentile), latency-mean, -stddev, -min, -max, the same of service-time, \
                     connection-wait, dispatch-lag and time-to-first-byte, error-rate, error-count, request-count, rate";

impl FromStr for Metric {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let unknown =
            || ParseError(format!("the metric '{text}' is not known; there are: http/ or http-REQUEST/ with {KNOWN}"));
        let (group, name) = text.split_once('/').ok_or_else(unknown)?;
        let request = match group.strip_prefix("http") {
            Some("") => None,
            Some(request) if request.len() > 1 && request.starts_with('-') => Some(request[1..].to_owned()),
            _ => return Err(unknown()),
        };
        let statistic = match name {
            "error-rate" => Statistic::ErrorRate,
            "error-count" => Statistic::ErrorCount,
            "request-count" => Statistic::RequestCount,
            "rate" => Statistic::Rate,
            _ => {
                let of_part = |part: Part| Some((part, name.strip_prefix(part.name())?.strip_prefix('-')?));
                let (part, rest) = Part::ALL.into_iter().find_map(of_part).ok_or_else(unknown)?;
                match rest {
                    "mean" => Statistic::Mean(part),
                    "stddev" => Statistic::Stddev(part),
                    "min" => Statistic::Min(part),
                    "max" => Statistic::Max(part),
                    _ => Statistic::Quantile(part, percentile(rest.strip_prefix('p').ok_or_else(unknown)?, part)?),
                }
            }
        };
        Ok(Metric { request, statistic })
    }
}

/// The quantile of `99.9` as in `latency-p99.9`.
fn percentile(text: &str, part: Part) -> Result<f64, ParseError> {
    let digits = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>() {
        Ok(100.0) => Err(ParseError(format!("for the 100th percentile write {}-max", part.name()))),
        // Rounded so that one percentile has one value, however it is written.
        Ok(percent) if digits && percent > 0.0 && percent < 100.0 => Ok((percent * 1e10).round() / 1e12),
        _ => Err(ParseError(format!("'p{text}' is not a percentile between 0 and 100, such as p99 or p99.9"))),
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.request {
            None => f.write_str("http/")?,
            Some(request) => write!(f, "http-{request}/")?,
        }
        match self.statistic {
            Statistic::Quantile(part, quantile) => write!(f, "{}-p{}", part.name(), trim(quantile * 100.0)),
            Statistic::Mean(part) => write!(f, "{}-mean", part.name()),
            Statistic::Stddev(part) => write!(f, "{}-stddev", part.name()),
            Statistic::Min(part) => write!(f, "{}-min", part.name()),
            Statistic::Max(part) => write!(f, "{}-max", part.name()),
            Statistic::ErrorRate => f.write_str("error-rate"),
            Statistic::ErrorCount => f.write_str("error-count"),
            Statistic::RequestCount => f.write_str("request-count"),
            Statistic::Rate => f.write_str("rate"),
        }
    }
}
