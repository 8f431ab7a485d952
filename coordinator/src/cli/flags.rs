//! The flags that describe a test, as a draft that overrides the file.

use clap::Args;

use super::Failure;
use crate::spec::{BodySource, Draft, DraftBody, DraftConnections, DraftRequest, DraftTls, Place, Sourced};

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
    /// HTTP version: 1.1, 2 (over cleartext with prior knowledge) or auto [default: 1.1, with https auto].
    #[arg(long, value_name = "1.1|2|auto")]
    http: Option<String>,
    /// Streams at once on each HTTP/2 connection [default: 100, in a closed loop 1].
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    streams: Option<String>,
    /// Connect there whatever the URL says; Host and TLS name stay the URL's.
    #[arg(long, value_name = "HOST:PORT")]
    connect_to: Option<String>,
    /// PEM file of the authorities to trust, instead of the platform's.
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
    /// PEM files of the client's certificate and key.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<String>,
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<String>,
    /// Accept whatever certificate is shown; the report says so.
    #[arg(long)]
    insecure_skip_verify: bool,
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
    /// A flag's path is seen from the current folder, whatever folder the test's file is in.
    fn tls(&self) -> Option<Sourced<DraftTls>> {
        let here = |path: &String| std::path::absolute(path).map_or(path.clone(), |path| path.display().to_string());
        let file = |name: &str, path: &Option<String>| path.as_ref().map(|path| Sourced::flag(name, here(path)));
        let value = DraftTls {
            ca: file("--ca", &self.ca),
            cert: file("--cert", &self.cert),
            key: file("--key", &self.key),
            server_name: None,
            insecure_skip_verify: self.insecure_skip_verify,
        };
        let name = [("--ca", value.ca.is_some()), ("--cert", value.cert.is_some())];
        let name = name.into_iter().find(|(_, given)| *given).map_or("--insecure-skip-verify", |(name, _)| name);
        (value != DraftTls::default()).then(|| Sourced { value, place: Place::Flag(name.to_owned()) })
    }

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
            body: self.data.as_ref().map(|data| DraftBody {
                place: Place::Flag("--data".to_owned()),
                source: BodySource::Text(data.clone()),
                template: false,
                content_type: None,
            }),
            version: flag("--http", &self.http),
            connect_to: flag("--connect-to", &self.connect_to),
            tls: self.tls(),
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
            connections: DraftConnections {
                count: flag("--connections", &self.connections),
                streams: flag("--streams", &self.streams),
                ..DraftConnections::default()
            },
            timeout: flag("--timeout", &self.timeout),
            max_wait: flag("--max-wait", &self.max_wait),
            seed: flag("--seed", &self.seed),
            spin: self.spin,
            slos: self.slo.iter().map(|slo| Sourced::flag("--slo", slo.as_str())).collect(),
            ..Draft::default()
        })
    }
}
