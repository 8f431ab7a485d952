//! `loadgrid run`: reads the test, gathers the grid, carries the run out, reports.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use loadgrid_proto::Recorded;
use loadgrid_worker::{limits, tls};
use tokio::sync::watch;

use super::flags::TestFlags;
use super::store::{KeepFlags, Keeper};
use super::{Failure, Outcome, exit, notify, output, progress, runtime};
use crate::compare::side_by_side;
use crate::grid::{self, Options, Policy, RunState, Security, Snapshot, StopReason};
use crate::outside::provider::{self, Provider};
use crate::outside::ready;
use crate::plan::{Capacity, Plan};
use crate::report::build::{self, Circumstance};
use crate::report::{self, Format, Report, model};
use crate::results::Totals;
use crate::slo::Part;
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
    /// Workers: embedded ones, or with --listen how many to wait for [default: 1].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Generator threads of each embedded worker [default: the cores less one, dealt out].
    #[arg(long, value_name = "N")]
    lanes: Option<u32>,
    /// Wait here for `loadgrid-worker` processes instead of embedding workers.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// The folder with ca.pem, coordinator.pem and coordinator.key (`loadgrid certs` makes them).
    #[arg(long, value_name = "DIR", default_value = "certs", env = "LOADGRID_TLS_DIR")]
    tls_dir: PathBuf,
    /// Speak plaintext with workers. Whoever reaches the port can join, and read the test.
    #[arg(long)]
    insecure: bool,
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

impl ReportFlags {
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

/// A run that is understood and not begun.
#[derive(Clone)]
pub(super) struct Prepared {
    pub plan: Plan,
    pub options: Options,
    /// Lanes of each embedded worker.
    pub lanes: u32,
    pub listen: Option<(SocketAddr, Security)>,
    pub confidence: bool,
    pub quiet: bool,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
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
pub(super) fn read_test(file: Option<&std::path::Path>, flags: spec::Draft) -> Result<LoadTest, Failure> {
    let text = file
        .map(|path| {
            fs::read_to_string(path).map_err(|e| Failure::usage(format!("{} can't be read: {e}", path.display())))
        })
        .transpose()?;
    let name = file.map(|path| path.display().to_string()).unwrap_or_default();
    spec::load(text.as_deref().map(|text| (name.as_str(), text)), flags).map_err(Failure::usage)
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
        lanes: flags.lanes.unwrap_or((spare / workers as u32).max(1)),
        listen,
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
        lanes: 1,
        listen: None,
        confidence: true,
        quiet,
    }
}

/// A run that is over.
pub(super) struct Carried {
    pub report: Report,
    /// Everything of the main phase's arrivals, for figures that the report has no place for.
    pub totals: Totals,
    /// Its latency second by second.
    pub blocks: Vec<Recorded>,
    /// Requests in flight and waiting at the end of each step of the main phase: (s after the start of the warm-up, count).
    pub backlog: Vec<(f64, f64)>,
}

/// Runs to the end, or to ctrl-C, and builds the report.
pub(super) fn carry_out(mut prepared: Prepared) -> Result<Carried, Failure> {
    let runtime = runtime()?;
    let ready = runtime.block_on(make_ready(&mut prepared.plan.test, prepared.quiet))?;
    // The only wall clock of a run: when it began, for people and for the providers of metrics.
    let started_at = jiff::Timestamp::now();
    let (confidence, providers) = (prepared.confidence, prepared.plan.test.providers.clone());
    let state = runtime.block_on(drive(prepared))?;
    let outside = runtime.block_on(ask(&providers, started_at, jiff::Timestamp::now()));
    // Workers in this process have nothing left to do: they are not waited for.
    runtime.shutdown_background();
    let started_at = started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let circumstance = Circumstance { started_at, confidence, ready, outside };
    let mut report = build::build(&state, &circumstance).map_err(Failure::not_carried_out)?;
    let test = &state.plan.test;
    if !test.versions.is_empty() {
        report.versions = Some(side_by_side::judge(&report, &test.versions, &test.rewards));
    }
    let arrivals = state.results.arrivals();
    let blocks = state.results.timeline.blocks(Part::Latency, &arrivals);
    Ok(Carried { report, totals: state.results.totals(&arrivals, false), blocks, backlog: backlog(&state) })
}

/// Steps of the main phase while its load lasted.
fn backlog(state: &RunState) -> Vec<(f64, f64)> {
    let (timeline, load) = (&state.results.timeline, &state.plan.test.load);
    let step = timeline.step_ns();
    let ends = (1..).map(|place: u64| place * step);
    let steps = timeline.seconds().iter().zip(ends);
    let main = steps.filter(|(_, end)| *end > load.warmup_ns && *end <= load.duration_ns());
    main.map(|(second, end)| (end as f64 / 1e9, (second.in_flight + second.waiting) as f64)).collect()
}

/// Everything that has to be there before the load: what the test fetches, and what it waits for. Once it was there,
/// the test needs it no more.
pub(super) async fn make_ready(test: &mut LoadTest, quiet: bool) -> Result<Vec<model::Ready>, Failure> {
    let whole = async {
        let conditions = std::mem::take(&mut test.ready);
        let say = |text: &str| {
            if !quiet {
                output::complain(text);
            }
        };
        let waited = ready::wait(&conditions, say).await.map_err(Failure::not_carried_out)?;
        spec::complete::complete(test).await.map_err(|error| match error.elsewhere {
            true => Failure::not_carried_out(error),
            false => Failure::usage(error),
        })?;
        let ready = waited.into_iter().map(|waited| model::Ready {
            condition: waited.condition,
            waited: waited.waited_ns as f64 / 1e9,
            attempts: waited.attempts,
        });
        Ok(ready.collect())
    };
    tokio::select! {
        done = whole => done,
        () = limits::asked_to_end() => {
            Err(Failure { code: exit::INTERRUPTED, message: "interrupted before the load started".to_owned() })
        }
    }
}

/// Asks the providers of metrics, once, after the load.
async fn ask(providers: &[Provider], start: jiff::Timestamp, end: jiff::Timestamp) -> Vec<model::Outside> {
    let mut all = Vec::new();
    for provider in providers {
        let times =
            provider::Times { start_unix: start.as_second().unsigned_abs(), end_unix: end.as_second().unsigned_abs() };
        for (metric, (name, answer)) in provider.metrics.iter().zip(provider::query(provider, times).await) {
            let (value, error) = match answer {
                Ok(value) => (Some(value), None),
                Err(error) => (None, Some(error)),
            };
            all.push(model::Outside {
                metric: format!("{}/{name}", provider.name),
                value,
                unit: metric.unit.clone(),
                error,
            });
        }
    }
    all
}

async fn drive(prepared: Prepared) -> Result<RunState, Failure> {
    let Prepared { plan, options, lanes, listen, quiet, .. } = prepared;
    let (events, received) = grid::events();
    let (stop, stopped) = watch::channel(None);
    let (snapshots, watched) = watch::channel(Snapshot::default());
    match listen {
        Some((address, security)) => {
            let scheme = if matches!(security, Security::Tls(_)) { "https" } else { "http" };
            let run = plan.run.clone();
            let listener = grid::listen(address, security, run, events, stop.clone(), watched.clone()).await;
            let address = listener.map_err(Failure::not_carried_out)?.address;
            let insecure = if scheme == "http" { " --insecure" } else { "" };
            output::complain(&format!(
                "waiting for {} workers: loadgrid-worker --coordinator {scheme}://{address}{insecure}",
                options.workers
            ));
        }
        None => grid::embed(options.workers, lanes, events),
    }
    tokio::spawn(stop_on_signal(stop.clone()));
    let showing = (!quiet).then(|| tokio::spawn(progress::show(progress::About::of(&plan), watched)));
    let carried_out = grid::carry_out(plan, options, received, stopped, snapshots).await;
    if let Some(showing) = showing {
        // It ends with the run; a panel that can't be drawn is no reason to lose the result.
        let _ = showing.await;
    }
    carried_out.map_err(|error| match error {
        grid::RunError::Stopped(StopReason::Interrupted) => {
            Failure { code: exit::INTERRUPTED, message: error.to_string() }
        }
        error => Failure::not_carried_out(error),
    })
}

/// The first signal ends the run in order, the second one at once.
async fn stop_on_signal(stop: watch::Sender<Option<StopReason>>) {
    limits::asked_to_end().await;
    output::complain("stopping; once more to leave without a report");
    stop.send_if_modified(|reason| reason.is_none() && reason.replace(StopReason::Interrupted).is_none());
    limits::asked_to_end().await;
    std::process::exit(i32::from(exit::INTERRUPTED));
}

/// Writes all reports that were asked for; the exit code is the run's, unless one can't be written.
pub(super) fn deliver(report: &Report, to_stdout: Format, files: &[(Format, PathBuf)]) -> Outcome {
    output::deliver(|format, colour| report::render(report, format, colour), to_stdout, files)?;
    Ok(report.exit_code)
}

/// What each embedded worker can take, for a plan that is only shown.
pub(super) fn capacities(prepared: &Prepared) -> Vec<Capacity> {
    let capacity = Capacity { lanes: prepared.lanes, max_connections: limits::raise_descriptors() };
    vec![capacity; prepared.options.workers]
}
