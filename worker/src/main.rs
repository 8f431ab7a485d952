//! The `loadgrid-worker` program: joins a coordinator and drives its share of the load.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use loadgrid_worker::allow::AllowList;
use loadgrid_worker::session::{Dial, Options, Worker};
use loadgrid_worker::{health, limits, tls};
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Joins a loadgrid coordinator and drives a share of its load.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the coordinator listens (`loadgrid serve`, or `loadgrid run --listen`).
    #[arg(long, value_name = "https://HOST:PORT", env = "LOADGRID_COORDINATOR")]
    coordinator: String,
    /// The folder with ca.pem, worker.pem and worker.key (`loadgrid certs` makes them), or with ca.crt, tls.crt and
    /// tls.key as a mounted Secret has them. Read anew at each dial.
    #[arg(long, value_name = "DIR", default_value = "certs", env = "LOADGRID_TLS_DIR")]
    tls_dir: PathBuf,
    /// Speak plaintext with the coordinator. Whoever reaches it can then aim this worker at anything.
    #[arg(long)]
    insecure: bool,
    /// What a test may be aimed at: names, *.below.names, addresses, networks, each with a :PORT or without
    /// [default: everything].
    #[arg(long, value_name = "PATTERN,…", env = "LOADGRID_ALLOW")]
    allow: Vec<String>,
    /// Answer /healthz and /readyz (in session with the coordinator?) over HTTP here.
    #[arg(long, value_name = "ADDRESS:PORT", env = "LOADGRID_HEALTH")]
    health: Option<SocketAddr>,
    /// Generator threads; one core each [default: all cores].
    #[arg(long, value_name = "N")]
    lanes: Option<u32>,
    /// What reports call this worker [default: host name and process number].
    #[arg(long)]
    name: Option<String>,
    /// Leave after one run instead of waiting for the next.
    #[arg(long)]
    once: bool,
    /// Leave when no coordinator is reached for so many seconds [default: never].
    #[arg(long, value_name = "SECONDS")]
    give_up: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(limits::stderr_has_colour())
        .with_target(false)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            eprintln!("error: {message}");
            ExitCode::from(code)
        }
    }
}

/// Errors with their exit code: 2 for what is wrong with the arguments, 4 for a worker that can't serve.
fn run(arguments: Arguments) -> Result<(), (u8, String)> {
    if arguments.insecure {
        tracing::warn!("--insecure: no TLS. Whoever reaches the coordinator can aim this worker at anything");
    }
    let certificates = (!arguments.insecure).then_some((arguments.tls_dir.as_path(), "worker"));
    let way = tls::Way::new(&arguments.coordinator, certificates).map_err(|error| (2, error))?;
    let allow = match arguments.allow.as_slice() {
        [] => AllowList::everything(),
        patterns => AllowList::parse(patterns).map_err(|error| (2, format!("--allow: {error}")))?,
    };
    let lanes = arguments.lanes.unwrap_or_else(limits::cores);
    if lanes == 0 || lanes > limits::LANES_MAX {
        return Err((2, format!("--lanes {lanes}: write 1 to {}", limits::LANES_MAX)));
    }
    let options = Options {
        id: ulid::Ulid::generate().to_string(),
        name: arguments.name.unwrap_or_else(limits::default_name),
        lanes,
        max_connections: limits::raise_descriptors(),
        once: arguments.once,
        give_up: arguments.give_up.map(Duration::from_secs),
    };
    let dial: Dial = Box::new(move || Box::pin(tls::connect(way.endpoint())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (4, format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            limits::asked_to_end().await;
            let _ = stop.send(true);
        });
        let worker = Worker::new(dial, options).allowing(allow);
        if let Some(address) = arguments.health {
            let address = health::listen(address, worker.in_session()).await.map_err(|error| (2, error))?;
            tracing::info!("health on http://{address}");
        }
        worker.run(stopped).await.map_err(|error| (4, error.to_string()))
    })
}
