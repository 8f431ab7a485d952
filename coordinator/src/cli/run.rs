//! `loadgrid run`: reads the test, gathers the grid, carries the run out, reports.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use loadgrid_worker::{limits, tls};

use super::carry::{Prepared, Workers, carry_out};
use super::flags::TestFlags;
use super::remote::{self, RemoteFlags};
use super::store::{KeepFlags, Keeper};
use super::{Failure, Outcome, exit, notify, output};
use crate::grid::{Options, Policy, Security};
use crate::plan::{Capacity, Plan};
use crate::report::{self, Format, Report};
use crate::serve::How;
use crate::spec::{self, LoadTest, units};

#[derive(Args)]
pub(super) struct Arguments {
    /// The test's file (see `loadgrid init`); flags alone do as well.
    #[arg(value_name = "TEST.yaml")]
    file: Option<PathBuf>,
    #[command(flatten)]
    test: TestFlags,
    #[command(flatten)]
    grid: GridFlags,
    #[command(flatten)]
    report: ReportFlags,
    #[command(flatten)]
    keep: KeepFlags,
    /// Show what would be sent, and by whom; send nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Who sends.
#[derive(Args)]
#[command(next_help_heading = "Grid")]
pub(super) struct GridFlags {
    /// Workers: embedded ones, with --listen how many to wait for [default: 1], with --grid how many of its pool [default:
    /// all that are free].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Generator threads of each embedded worker [default: the cores less one, dealt out].
    #[arg(long, value_name = "N")]
    lanes: Option<u32>,
    /// Wait here for `loadgrid-worker` processes instead of embedding workers.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(super) remote: RemoteFlags,
    /// The folder with the certificates (`loadgrid certs` makes them): the coordinator's for --listen, the operator's for
    /// --grid.
    #[arg(long, value_name = "DIR", default_value = "certs", env = "LOADGRID_TLS_DIR")]
    pub(super) tls_dir: PathBuf,
    /// Speak plaintext with workers, or with the grid. Whoever reaches the port can join, and read the test.
    #[arg(long)]
    pub(super) insecure: bool,
    /// How long to wait for the workers.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    join_timeout: String,
    /// When a worker is gone: go on without it, or stop and fail.
    #[arg(long, value_name = "fail|continue", default_value = "continue", value_parser = parse_policy)]
    on_worker_loss: Policy,
    /// How long a worker that is gone may take to come back.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    rejoin: String,
}

/// What to do with the result.
#[derive(Args)]
#[command(next_help_heading = "Report")]
pub(super) struct ReportFlags {
    /// What goes to stdout: text, json, html, junit, markdown or hlog.
    #[arg(short, long, default_value = "text")]
    output: Format,
    /// Write another report to a file (repeatable), such as html=report.html.
    #[arg(long, value_name = "FORMAT=PATH", value_parser = parse_report)]
    report: Vec<(Format, PathBuf)>,
    /// Judge quantiles by their interval, or (off) by the bare estimate.
    #[arg(long, value_name = "on|off", default_value = "on", value_parser = parse_switch, action = clap::ArgAction::Set)]
    confidence: bool,
    /// Stop as soon as an objective can't be met any more.
    #[arg(long)]
    abort_on_fail: bool,
    /// No progress on stderr.
    #[arg(short, long)]
    quiet: bool,
}

impl Arguments {
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub(super) fn flags(&self) -> Result<spec::Draft, Failure> {
        self.test.draft()
    }

    pub(super) fn grid(&self) -> &GridFlags {
        &self.grid
    }

    pub(super) fn keep(&self) -> &KeepFlags {
        &self.keep
    }

    pub(super) fn report(&self) -> &ReportFlags {
        &self.report
    }
}

impl GridFlags {
    /// What is wanted of a grid that is not this process's.
    pub(super) fn how(&self, report: &ReportFlags) -> How {
        How {
            confidence: report.confidence,
            abort_on_fail: report.abort_on_fail,
            fail_on_worker_loss: self.on_worker_loss == Policy::Fail,
            join_timeout: self.join_timeout.clone(),
            rejoin: self.rejoin.clone(),
        }
    }

    /// A flag that says where workers of this command come from.
    pub(super) fn of_own_workers(&self) -> Option<&'static str> {
        let listen = self.listen.is_some().then_some("--listen");
        listen.or(self.lanes.is_some().then_some("--lanes"))
    }

    /// How many workers are asked for.
    pub(super) fn workers(&self) -> Option<usize> {
        self.workers
    }
}

impl ReportFlags {
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// What goes to stdout, and what to files.
    pub(super) fn formats(&self) -> (Format, &[(Format, PathBuf)]) {
        (self.output, &self.report)
    }

    /// No report of its own.
    pub(super) fn quiet(quiet: bool) -> Self {
        ReportFlags { output: Format::Text, report: Vec::new(), confidence: true, abort_on_fail: false, quiet }
    }
}

fn parse_policy(text: &str) -> Result<Policy, String> {
    match text {
        "fail" => Ok(Policy::Fail),
        "continue" => Ok(Policy::Continue),
        _ => Err("write fail or continue".to_owned()),
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("write on or off".to_owned()),
    }
}

fn parse_report(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, path) = split_report(text)?;
    Ok((format.parse()?, path))
}

/// The two sides of `FORMAT=PATH`.
pub(super) fn split_report(text: &str) -> Result<(&str, PathBuf), String> {
    let (format, path) = text.split_once('=').ok_or("write FORMAT=PATH, such as html=report.html")?;
    if path.is_empty() {
        return Err("the path is missing: write FORMAT=PATH, such as html=report.html".to_owned());
    }
    Ok((format, PathBuf::from(path)))
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    if arguments.grid.remote.is_asked() && !arguments.dry_run {
        return remote::run(arguments);
    }
    let test = read_test(arguments.file.as_deref(), arguments.test.draft()?)?;
    let prepared = prepare(test, &arguments.grid, &arguments.report)?;
    if arguments.dry_run {
        return super::validate::show_plan(&prepared);
    }
    let notices = prepared.plan.test.notices.clone();
    let keeper = arguments.keep.keeper(&prepared.plan.test.name)?;
    let report = carry_out(prepared)?.report;
    let kept = keeper.map_or(Ok(()), |keeper| keep(&keeper, &report));
    let delivered = deliver(&report, arguments.report.output, &arguments.report.report);
    let delivered = delivered.and_then(|code| kept.map(|()| code));
    match (notify::tell(&notices, &report), delivered) {
        // The run's own verdict goes before what became of the notice.
        (Err(failure), Ok(code)) if code != exit::PASS => {
            output::complain(&format!("error: {}", failure.message));
            Ok(code)
        }
        (Err(failure), Ok(_)) => Err(failure),
        (_, delivered) => delivered,
    }
}

fn keep(keeper: &Keeper, report: &Report) -> Result<(), Failure> {
    let entry = report::entry::of_run(report).map_err(Failure::not_carried_out)?;
    let document = serde_json::to_string(report).map_err(Failure::not_carried_out)?;
    keeper.put(&entry, &document)
}

/// Reads and checks a test.
pub(super) fn read_test(file: Option<&Path>, flags: spec::Draft) -> Result<LoadTest, Failure> {
    let text = read_file(file)?;
    spec::load(text.as_ref().map(|(name, text)| (name.as_str(), text.as_str())), flags).map_err(Failure::usage)
}

/// A test's file: its name and its text.
pub(super) fn read_file(file: Option<&Path>) -> Result<Option<(String, String)>, Failure> {
    let read = |path: &Path| match fs::read_to_string(path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(error) => Err(Failure::usage(format!("{} can't be read: {error}", path.display()))),
    };
    file.map(read).transpose()
}

pub(super) fn prepare(test: LoadTest, flags: &GridFlags, report: &ReportFlags) -> Result<Prepared, Failure> {
    let workers = flags.workers.unwrap_or(1);
    if workers == 0 || workers > 10_000 {
        return Err(Failure::usage("--workers: at least 1 and at most 10000"));
    }
    let time = |flag: &str, text: &str| {
        units::duration_ns(text).map(Duration::from_nanos).map_err(|error| Failure::usage(format!("{flag}: {error}")))
    };
    let listen = match flags.listen {
        None => None,
        Some(address) if flags.insecure => {
            output::complain("warning: --insecure: whoever reaches the port can join the grid and read the test");
            Some((address, Security::Insecure))
        }
        Some(address) => {
            let material = tls::Files::in_dir(&flags.tls_dir, "coordinator").read().map_err(Failure::usage)?;
            Some((address, Security::Tls(material)))
        }
    };
    if let Some(lanes) = flags.lanes.filter(|lanes| *lanes == 0 || *lanes > limits::LANES_MAX) {
        return Err(Failure::usage(format!("--lanes {lanes}: write 1 to {}", limits::LANES_MAX)));
    }
    check_paths(&report.report)?;
    let spare = limits::cores().saturating_sub(1).max(1);
    let lanes = flags.lanes.unwrap_or((spare / workers as u32).max(1));
    Ok(Prepared {
        plan: Plan {
            run: ulid::Ulid::generate().to_string(),
            // Half of a ULID's randomness is more than enough, and short enough to be typed again.
            seed: test.seed.unwrap_or_else(|| u64::from(ulid::Ulid::generate().random() as u32)),
            test,
        },
        options: Options {
            workers,
            join_timeout: time("--join-timeout", &flags.join_timeout)?,
            on_worker_loss: flags.on_worker_loss,
            rejoin: time("--rejoin", &flags.rejoin)?,
            abort_on_fail: report.abort_on_fail,
        },
        workers: match listen {
            Some((address, security)) => Workers::Listen { address, security, lanes },
            None => Workers::Embedded { lanes },
        },
        context: None,
        confidence: report.confidence,
        quiet: report.quiet,
    })
}

/// A path that can't be written is found before the load, not after it.
pub(super) fn check_paths(files: &[(Format, PathBuf)]) -> Result<(), Failure> {
    for (number, (format, path)) in files.iter().enumerate() {
        if files[..number].iter().any(|(_, other)| other == path) {
            return Err(Failure::usage(format!("--report: two reports would go to {}", path.display())));
        }
        output::check_writable(path)
            .map_err(|error| Failure::not_carried_out(format!("the {format} report: {error}")))?;
    }
    Ok(())
}

/// The demo's run: embedded workers, everything else as by default.
pub(super) fn prepare_embedded(test: LoadTest, workers: usize, quiet: bool) -> Prepared {
    Prepared {
        plan: Plan { run: ulid::Ulid::generate().to_string(), seed: test.seed.unwrap_or(42), test },
        options: Options {
            workers,
            join_timeout: Duration::from_secs(10),
            on_worker_loss: Policy::Continue,
            rejoin: Duration::from_secs(10),
            abort_on_fail: false,
        },
        workers: Workers::Embedded { lanes: 1 },
        context: None,
        confidence: true,
        quiet,
    }
}

/// Writes all reports that were asked for; the exit code is the run's, unless one can't be written.
pub(super) fn deliver(report: &Report, to_stdout: Format, files: &[(Format, PathBuf)]) -> Outcome {
    output::deliver(|format, colour| report::render(report, format, colour), to_stdout, files)?;
    Ok(report.exit_code)
}

/// What each embedded worker can take, for a plan that is only shown.
pub(super) fn capacities(prepared: &Prepared) -> Vec<Capacity> {
    let capacity = Capacity { lanes: prepared.workers.lanes(), max_connections: limits::raise_descriptors() };
    vec![capacity; prepared.options.workers]
}
