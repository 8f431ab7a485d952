//! `loadgrid demo`: what a newcomer runs first.

use std::path::PathBuf;

use clap::Args;

use super::carry::carry_out;
use super::run::{deliver, prepare_embedded};
use super::{Failure, Outcome, exit, output, runtime};
use crate::demo::{Behaviour, Service};
use crate::report::Format;
use crate::spec::{self, Draft, DraftRequest, Sourced};

/// The test, as in `examples/`; its URL is replaced by where the demo service came to listen.
const TEST: &str = include_str!("../../../examples/hello.yaml");

/// Workers of the demo's grid.
const WORKERS: usize = 2;

#[derive(Args)]
pub(super) struct Arguments {
    /// Where the HTML report goes.
    #[arg(long, value_name = "PATH", default_value = "report.html")]
    html: PathBuf,
    /// A shorter or longer run than ten seconds.
    #[arg(long, value_name = "TIME")]
    duration: Option<String>,
    /// No progress on stderr.
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let service = serve()?;
    output::complain(&format!(
        "demo service on http://{}, embedded grid of {WORKERS} workers, test examples/hello.yaml",
        service.address()
    ));
    let url = format!("http://{}/", service.address());
    let flags = Draft {
        requests: vec![DraftRequest { url: Some(Sourced::flag("--url", url.as_str())), ..DraftRequest::default() }],
        ..Draft::default()
    };
    let text = match &arguments.duration {
        Some(duration) => TEST.replace("duration: 10s", &format!("duration: {duration}")),
        None => TEST.to_owned(),
    };
    let test = spec::load(Some(("examples/hello.yaml", &text)), flags).map_err(Failure::usage)?;
    let report = carry_out(prepare_embedded(test, WORKERS, arguments.quiet))?.report;
    let code = deliver(&report, Format::Text, &[(Format::Html, arguments.html.clone())])?;
    output::complain(&format!(
        "\nThe report with plots: {}\n\nNext:\n  \
         loadgrid run --url http://127.0.0.1:8080/ --rate 100/s --duration 10s --slo 'http/latency-p99 <= 50ms'\n  \
         loadgrid init > test.yaml    a commented test to start from\n  \
         loadgrid run --help          everything else",
        arguments.html.display()
    ));
    // On a machine too busy to measure well the demo still shows what it is to show, and the report says so.
    Ok(if code == exit::INCONCLUSIVE { exit::PASS } else { code })
}

/// The demo service in a thread of its own: it must not wait for the coordinator's runtime, nor that for it.
fn serve() -> Result<Service, Failure> {
    let (started, service) = std::sync::mpsc::channel();
    let serve = move || {
        let runtime = match runtime() {
            Ok(runtime) => runtime,
            Err(failure) => return drop(started.send(Err(failure.message))),
        };
        runtime.block_on(async {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
            let service = Service::start(address, Behaviour::default()).await;
            let _ = started.send(service.map_err(|error| format!("the demo service can't listen: {error}")));
            std::future::pending::<()>().await;
        });
    };
    let spawned = std::thread::Builder::new().name("demo-service".to_owned()).spawn(serve);
    spawned.map_err(|error| Failure::not_carried_out(format!("no thread for the demo service: {error}")))?;
    let service = service.recv().map_err(Failure::not_carried_out)?;
    service.map_err(Failure::not_carried_out)
}
