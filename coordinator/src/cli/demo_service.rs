//! `loadgrid demo-service`: a target whose latency and capacity are known.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use loadgrid_worker::limits;

use super::{Failure, Outcome, exit, output, runtime};
use crate::demo::{Behaviour, Latency, Service, Stall, share};

#[derive(Args)]
pub(super) struct Arguments {
    /// Where to listen for HTTP/1.1, HTTP/2 with prior knowledge and gRPC, all in plaintext.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where to listen for the same over TLS [default: nowhere].
    #[arg(long, value_name = "ADDRESS:PORT", requires = "tls_dir")]
    tls: Option<SocketAddr>,
    /// Folder with server.pem and server.key; without them they are made there, for localhost, with their ca.pem.
    #[arg(long, value_name = "DIR", requires = "tls")]
    tls_dir: Option<PathBuf>,
    /// fixed:5ms, exponential:10ms, lognormal:10ms,0.5 (median, sigma) or bimodal:5ms,100ms,5% (fast, slow, share of slow).
    #[arg(long, value_name = "MODEL", default_value = "lognormal:5ms,0.4")]
    latency: Latency,
    /// Requests worked on at once; the capacity is then N / mean latency [default: no limit].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// No answer leaves for so long, at so long after the first request.
    #[arg(long, value_name = "1s@4s")]
    stall: Option<Stall>,
    /// Share of answers with status 500, and of unary gRPC calls with INTERNAL.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    errors: f64,
    /// Size of an answer's body, bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    body: usize,
    /// Of all randomness.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    if arguments.workers == Some(0) {
        return Err(Failure::usage("--workers 0: nothing would ever be answered"));
    }
    limits::raise_descriptors();
    let behaviour = Behaviour {
        latency: arguments.latency,
        workers: arguments.workers,
        stall: arguments.stall,
        error_share: arguments.errors,
        body_bytes: arguments.body,
        seed: arguments.seed,
    };
    runtime()?.block_on(async {
        let service = Service::start(arguments.listen, behaviour).await;
        let service = service.map_err(|error| {
            Failure::not_carried_out(format!(
                "{} can't be listened on ({error}): choose another with --listen",
                arguments.listen
            ))
        })?;
        let mut places = format!("http://{}", service.address());
        if let (Some(tls), Some(dir)) = (arguments.tls, &arguments.tls_dir) {
            let tls = service.start_tls(tls, dir).await.map_err(Failure::not_carried_out)?;
            places.push_str(&format!(" and https://{tls}"));
        }
        output::print(&format!("demo service on {places} (counts at /stats); ctrl-C ends it\n"))?;
        limits::asked_to_end().await;
        Ok(exit::PASS)
    })
}
