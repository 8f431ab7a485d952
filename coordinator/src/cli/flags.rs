//! The flags that describe a test, as a draft that overrides the file.

use clap::Args;

use super::Failure;
use crate::spec::{Draft, DraftRequest, Place, Sourced};

/// What to send, and when. Whatever is given here goes before the file.
#[derive(Args, Default)]
#[command(next_help_heading = "Test")]
pub(super) struct TestFlags {
    /// Where requests go.
    #[arg(long)]
    url: Option<String>,
    /// Requests per second, such as 500/s.
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    rate: Option<String>,
    /// How long, such as 30s.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    duration: Option<String>,
    /// Exactly so many requests over all workers, instead of a duration.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    requests: Option<String>,
    /// An objective, such as 'http/latency-p99 <= 50ms' (repeatable; added to the file's).
    #[arg(long, value_name = "EXPR")]
    slo: Vec<String>,
    /// How arrivals are placed: uniform or poisson.
    #[arg(long)]
    arrivals: Option<String>,
    /// Closed loop: every connection sends as soon as it has its answer.
    #[arg(long)]
    closed_loop: bool,
    /// Driven first, measured apart, not judged.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    warmup: Option<String>,
    /// Connections over the grid, or auto: as many as are needed, in a closed loop 50.
    #[arg(long, value_name = "N|auto", allow_hyphen_values = true)]
    connections: Option<String>,
    /// For one request, from its first byte to the end of the answer [default: 10s].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    timeout: Option<String>,
    /// What waits longer for a connection is dropped and counted [default: 10s].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    max_wait: Option<String>,
    /// Of all randomness; the report names it.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    seed: Option<String>,
    /// A request header (repeatable).
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// [default: GET, or POST with a body]
    #[arg(long)]
    method: Option<String>,
    /// The request's body.
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// What the report calls the test.
    #[arg(long)]
    name: Option<String>,
    /// Spin before each intended start; for machines with a core to spare for each lane.
    #[arg(long)]
    spin: bool,
}

impl TestFlags {
    /// The flags as a draft.
    pub(super) fn draft(&self) -> Result<Draft, Failure> {
        let flag = |name: &str, value: &Option<String>| value.as_ref().map(|value| Sourced::flag(name, value.as_str()));
        let mut headers = Vec::with_capacity(self.header.len());
        for header in &self.header {
            let Some((name, value)) = header.split_once(':') else {
                return Err(Failure::usage(format!("--header '{header}' has no colon: write 'Name: value'")));
            };
            headers.push((name.trim().to_owned(), Sourced::flag("--header", value.trim())));
        }
        let request = DraftRequest {
            url: flag("--url", &self.url),
            method: flag("--method", &self.method),
            headers,
            body: flag("--data", &self.data),
            ..DraftRequest::default()
        };
        let any = request != DraftRequest::default();
        Ok(Draft {
            name: flag("--name", &self.name),
            requests: if any { vec![request] } else { Vec::new() },
            arrivals: flag("--arrivals", &self.arrivals),
            warmup: flag("--warmup", &self.warmup),
            rate: flag("--rate", &self.rate),
            duration: flag("--duration", &self.duration),
            count: flag("--requests", &self.requests),
            closed_loop: self.closed_loop.then(|| Place::Flag("--closed-loop".to_owned())),
            connections: flag("--connections", &self.connections),
            timeout: flag("--timeout", &self.timeout),
            max_wait: flag("--max-wait", &self.max_wait),
            seed: flag("--seed", &self.seed),
            spin: self.spin,
            slos: self.slo.iter().map(|slo| Sourced::flag("--slo", slo.as_str())).collect(),
            ..Draft::default()
        })
    }
}
