//! The `loadgrid-worker` program: joins a coordinator and drives its share of the load.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use loadgrid_worker::session::{Dial, Options, Worker};
use loadgrid_worker::{limits, tls};
use tokio::sync::watch;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Joins a loadgrid coordinator and drives a share of its load.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the coordinator listens (`loadgrid run --listen`).
    #[arg(long, value_name = "https://HOST:PORT", env = "LOADGRID_COORDINATOR")]
    coordinator: String,
    /// The folder with ca.pem, worker.pem and worker.key (`loadgrid certs` makes them).
    #[arg(long, value_name = "DIR", default_value = "certs", env = "LOADGRID_TLS_DIR")]
    tls_dir: PathBuf,
    /// Speak plaintext with the coordinator. Whoever reaches it can then aim this worker at anything.
    #[arg(long)]
    insecure: bool,
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
    let material = match arguments.insecure {
        true => None,
        false => Some(tls::Files::in_dir(&arguments.tls_dir, "worker").read().map_err(|error| (2, error))?),
    };
    let endpoint = tls::endpoint(&arguments.coordinator, material).map_err(|error| (2, error))?;
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
    let dial: Dial = Box::new(move || Box::pin(tls::connect(endpoint.clone())));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (4, format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move {
            limits::asked_to_end().await;
            let _ = stop.send(true);
        });
        Worker::new(dial, options).run(stopped).await.map_err(|error| (4, error.to_string()))
    })
}
