//! The command line: one file a subcommand. Data goes to stdout, everything else to stderr.

mod capacity;
mod carry;
mod certs;
mod compare;
mod completions;
mod connection;
mod control;
mod crd;
mod demo;
mod demo_service;
mod documents;
mod flags;
mod init;
mod iter8;
mod nightly;
mod notify;
mod output;
mod progress;
mod reach;
mod ready;
mod remote;
mod report;
mod run;
mod runs;
mod serve;
mod store;
mod submit;
mod trend;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit codes; the same for every subcommand.
pub mod exit {
    pub const PASS: u8 = 0;
    pub const SLO_FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const INCONCLUSIVE: u8 = 3;
    pub const NOT_CARRIED_OUT: u8 = 4;
    pub const INTERRUPTED: u8 = 130;
}

/// Load tests whose results are true: open loop, latency from the intended start, merged exactly.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 pass, 1 an objective failed, 2 usage or a bad test, \
    3 inconclusive or invalid, 4 not carried out, 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more on stderr (twice for everything); RUST_LOG goes before it.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
}

#[derive(Subcommand)]
enum Command {
    /// Run a test: from a file, from flags, or from a file with flags that override it.
    Run(Box<run::Arguments>),
    /// How far does it go: the highest rate at which all objectives hold.
    Capacity(Box<capacity::Arguments>),
    /// Did it change: a run against another, with 95 % intervals.
    Compare(compare::Arguments),
    /// See it work: a demo service, a grid of two workers, ten seconds, a report.
    Demo(demo::Arguments),
    /// Serve a target whose latency and capacity are known.
    DemoService(demo_service::Arguments),
    /// Serve a grid: keep a pool of workers, queue and run what is submitted, keep the results.
    Serve(Box<serve::Arguments>),
    /// Print the CustomResourceDefinition of LoadTest, for `kubectl apply --server-side -f -`.
    Crd,
    /// What a CronJob runs: a test or a search on a served grid, its trend, and a notice when the level changed.
    Nightly(Box<nightly::Arguments>),
    /// Render a kept run again.
    Report(report::Arguments),
    /// List the runs that are kept.
    Runs(runs::ListArguments),
    /// Whether it got worse: change points in the history of a test, and the level of its newest run.
    Trend(trend::Arguments),
    /// Remove runs from the store, by name or by count and age.
    Rm(runs::RemoveArguments),
    /// Set, show or clear the run that later ones of its test are held against.
    Baseline(runs::BaselineArguments),
    /// Check a test's file.
    Validate(validate::Arguments),
    /// Print a commented test to start from.
    Init,
    /// Make a CA and the certificates of coordinator, worker and operator.
    Certs(certs::Arguments),
    /// Ask a listening coordinator how its run goes (operator's certificate).
    Status(control::StatusArguments),
    /// Stop a listening coordinator's run (operator's certificate).
    Stop(control::StopArguments),
    /// Iter8's commands: launch, run, assert, report.
    Iter8(Box<iter8::Arguments>),
    /// Print shell completions.
    Completions(completions::Arguments),
}

/// Why a subcommand ends without success: what to say, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn usage(message: impl ToString) -> Self {
        Failure { code: exit::USAGE, message: message.to_string() }
    }

    fn not_carried_out(message: impl ToString) -> Self {
        Failure { code: exit::NOT_CARRIED_OUT, message: message.to_string() }
    }
}

type Outcome = Result<u8, Failure>;

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // Who serves is read by nobody but its log.
    log(cli.verbose + u8::from(matches!(cli.command, Command::Serve(_))));
    let outcome = match cli.command {
        Command::Run(arguments) => run::main(&arguments),
        Command::Capacity(arguments) => capacity::main(&arguments),
        Command::Compare(arguments) => compare::main(&arguments),
        Command::Demo(arguments) => demo::main(&arguments),
        Command::DemoService(arguments) => demo_service::main(&arguments),
        Command::Serve(arguments) => serve::main(&arguments),
        Command::Crd => crd::main(),
        Command::Nightly(arguments) => nightly::main(&arguments),
        Command::Report(arguments) => report::main(&arguments),
        Command::Runs(arguments) => runs::list(&arguments),
        Command::Trend(arguments) => trend::main(&arguments),
        Command::Rm(arguments) => runs::remove(&arguments),
        Command::Baseline(arguments) => runs::baseline(&arguments),
        Command::Validate(arguments) => validate::main(&arguments),
        Command::Init => init::main(),
        Command::Certs(arguments) => certs::main(&arguments),
        Command::Status(arguments) => control::status(&arguments),
        Command::Stop(arguments) => control::stop(&arguments),
        Command::Iter8(arguments) => iter8::main(&arguments),
        Command::Completions(arguments) => completions::main::<Cli>(&arguments),
    };
    ExitCode::from(outcome.unwrap_or_else(|failure| {
        output::complain(&format!("error: {}", failure.message));
        failure.code
    }))
}

fn log(verbose: u8) {
    let level = ["warn", "info", "debug"][usize::from(verbose.min(2))];
    // kube's runtime warns at each retry; what it means is said once, in our own words.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("{level},kube_runtime=off")));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(loadgrid_worker::limits::stderr_has_colour())
        .with_target(false)
        .without_time()
        .with_env_filter(filter)
        .init();
}

/// The runtime of everything but the lanes.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::not_carried_out(format!("no runtime: {error}")))
}
