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
    /// Of gRPC calls with streams of messages.
    TimeToFirstMessage,
    MessageGap,
}

impl Part {
    pub const ALL: [Part; 7] = [
        Part::Latency,
        Part::DispatchLag,
        Part::ConnectionWait,
        Part::ServiceTime,
        Part::TimeToFirstByte,
        Part::TimeToFirstMessage,
        Part::MessageGap,
    ];

    /// As in a metric's name.
    pub fn name(self) -> &'static str {
        match self {
            Part::Latency => "latency",
            Part::DispatchLag => "dispatch-lag",
            Part::ConnectionWait => "connection-wait",
            Part::ServiceTime => "service-time",
            Part::TimeToFirstByte => "time-to-first-byte",
            Part::TimeToFirstMessage => "time-to-first-message",
            Part::MessageGap => "message-gap",
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
    /// gRPC messages received per second of the main phase.
    MessageRate,
    /// A number from outside: see [`Group::Provider`].
    Outside,
}

impl Statistic {
    /// A value of this statistic for people; what a limit would be written as.
    pub fn show(&self, value: f64) -> String {
        match self {
            Statistic::ErrorRate => format!("{}%", trim(value * 100.0)),
            Statistic::ErrorCount | Statistic::RequestCount => trim(value),
            Statistic::Outside => trim(value),
            Statistic::Rate | Statistic::MessageRate => format!("{}/s", trim(value)),
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
        !matches!(
            self,
            Statistic::ErrorRate
                | Statistic::ErrorCount
                | Statistic::RequestCount
                | Statistic::Rate
                | Statistic::MessageRate
                | Statistic::Outside
        )
    }
}

/// At most twelve significant digits, without zeros that say nothing.
fn trim(value: f64) -> String {
    let digits = 11 - value.abs().max(1e-12).log10().floor().clamp(-6.0, 11.0) as i32;
    let text = format!("{value:.*}", digits.clamp(0, 17) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// What a metric is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Http,
    Grpc,
    /// A provider of metrics, by its name in the test.
    Provider(String),
}

impl Group {
    /// As in a metric's name.
    pub fn name(&self) -> &str {
        match self {
            Group::Http => "http",
            Group::Grpc => "grpc",
            Group::Provider(name) => name,
        }
    }
}

/// A statistic of a group's requests, or of one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub group: Group,
    /// Of a provider: the name of its metric.
    request: Option<String>,
    /// The version of the target, where several are measured side by side and it is of one. A provider has it in its
    /// name.
    version: Option<String>,
    pub statistic: Statistic,
}

impl Metric {
    pub fn new(group: Group, request: Option<String>, statistic: Statistic) -> Self {
        Metric { group, request, version: None, statistic }
    }

    /// The same metric of one version.
    pub fn of_version(&self, version: &str) -> Self {
        match &self.group {
            Group::Provider(name) => Metric { group: Group::Provider(format!("{name}@{version}")), ..self.clone() },
            _ => Metric { version: Some(version.to_owned()), ..self.clone() },
        }
    }

    /// The version that it is of, if it names one.
    pub fn version(&self) -> Option<&str> {
        match &self.group {
            Group::Provider(name) => name.rsplit_once('@').map(|(_, version)| version),
            _ => self.version.as_deref(),
        }
    }

    /// The request it is of; `None` for all of the group. Of a provider: its metric.
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }
}

const KNOWN: &str = "latency-p99 (any percentile), latency-mean, -stddev, -min, -max, the same of service-time, \
                     connection-wait, dispatch-lag, time-to-first-byte, time-to-first-message and message-gap, \
                     error-rate, error-count, request-count, rate, message-rate";

impl FromStr for Metric {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let unknown = || {
            ParseError(format!(
                "the metric '{text}' is not known; there are: http/ or http-REQUEST/ (or grpc) with {KNOWN}"
            ))
        };
        let (group, name) = text.split_once('/').ok_or_else(unknown)?;
        let (group, version) = match group.rsplit_once('@') {
            Some((_, "")) => return Err(unknown()),
            Some((group, version)) => (group, Some(version)),
            None => (group, None),
        };
        let of = |own: &str, kind: Group| {
            let rest = group.strip_prefix(own)?;
            let request = rest.strip_prefix('-').filter(|request| !request.is_empty());
            (rest.is_empty() || request.is_some()).then(|| (kind, request.map(str::to_owned)))
        };
        let Some((group, request)) = of("http", Group::Http).or_else(|| of("grpc", Group::Grpc)) else {
            let plain =
                |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            if !plain(group) || !plain(name) || !version.is_none_or(plain) {
                return Err(unknown());
            }
            let metric = Metric::new(Group::Provider(group.to_owned()), Some(name.to_owned()), Statistic::Outside);
            return Ok(version.map_or(metric.clone(), |version| metric.of_version(version)));
        };
        // Iter8 writes grpc/latency/p99.
        let name = name.strip_prefix("latency/").map_or(name.to_owned(), |rest| format!("latency-{rest}"));
        let name = name.as_str();
        let statistic = match name {
            "error-rate" => Statistic::ErrorRate,
            "error-count" => Statistic::ErrorCount,
            "request-count" => Statistic::RequestCount,
            "rate" => Statistic::Rate,
            "message-rate" => Statistic::MessageRate,
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
        Ok(Metric { group, request, version: version.map(str::to_owned), statistic })
    }
}

/// The quantile of `99.9` as in `latency-p99.9`.
fn percentile(text: &str, part: Part) -> Result<f64, ParseError> {
    let digits = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>() {
        Ok(100.0) => Err(ParseError(format!("for the 100th percentile write {}-max", part.name()))),
        // Rounded so that one percentile has one value, however it is written; what rounds to 0 or 100 is none.
        Ok(percent) if digits && (0.5..1e12 - 0.5).contains(&(percent * 1e10)) => Ok((percent * 1e10).round() / 1e12),
        _ => Err(ParseError(format!("'p{text}' is not a percentile between 0 and 100, such as p99 or p99.9"))),
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.group.name())?;
        if let Some(request) = self.request.as_ref().filter(|_| self.statistic != Statistic::Outside) {
            write!(f, "-{request}")?;
        }
        if let Some(version) = &self.version {
            write!(f, "@{version}")?;
        }
        f.write_str("/")?;
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
            Statistic::MessageRate => f.write_str("message-rate"),
            Statistic::Outside => f.write_str(self.request.as_deref().unwrap_or_default()),
        }
    }
}
