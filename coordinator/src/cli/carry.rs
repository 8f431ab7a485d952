//! Carrying a run out: making ready, gathering the grid, following it to its end, and building its report.

use std::net::SocketAddr;
use std::sync::Arc;

use loadgrid_proto::Recorded;
use loadgrid_worker::limits;
use tokio::sync::watch;

use super::ready::make_ready;
use super::{Failure, exit, output, progress, runtime};
use crate::compare::side_by_side;
use crate::grid::{self, Options, RunState, Security, Snapshot, StopReason};
use crate::outside::provider::{self, Provider};
use crate::plan::Plan;
use crate::report::build::{self, Circumstance};
use crate::report::{Report, model};
use crate::results::{Results, Totals};
use crate::serve::{Attendance, metrics};
use crate::slo::Part;

/// A run that is understood and not begun.
#[derive(Clone)]
pub(crate) struct Prepared {
    pub plan: Plan,
    pub options: Options,
    pub workers: Workers,
    /// Of the kubeconfig, for what it waits for [default: its current one].
    pub context: Option<String>,
    pub confidence: bool,
    pub quiet: bool,
}

/// Where the workers of a run come from.
#[derive(Clone)]
pub(crate) enum Workers {
    /// In this process, of so many lanes each.
    Embedded { lanes: u32 },
    /// `loadgrid-worker` processes that come here. `lanes` is a guess, for a plan that is only shown.
    Listen { address: SocketAddr, security: Security, lanes: u32 },
    /// Lent by the pool of a served coordinator, which also follows and ends the run.
    Lent(Arc<Attendance>),
}

impl Workers {
    /// Lanes of each, as far as they are known.
    pub(super) fn lanes(&self) -> u32 {
        match self {
            Workers::Embedded { lanes } | Workers::Listen { lanes, .. } => *lanes,
            Workers::Lent(_) => 1,
        }
    }

    /// Waits until somebody wants an end.
    pub(super) async fn asked_to_end(&self) {
        match self {
            Workers::Lent(attendance) => drop(attendance.stopped().await),
            Workers::Embedded { .. } | Workers::Listen { .. } => limits::asked_to_end().await,
        }
    }

    /// Whether a service wants an end; a process hears of its signals elsewhere.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self, Workers::Lent(attendance) if attendance.is_stopped())
    }

    /// Tells whoever follows.
    pub(super) fn say(&self, text: &str) {
        match self {
            Workers::Lent(attendance) => attendance.say(text),
            Workers::Embedded { .. } | Workers::Listen { .. } => output::complain(text),
        }
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
    let runtime = InBackground(Some(runtime()?));
    let ready = runtime.block_on(make_ready(&mut prepared))?;
    // The only wall clock of a run: when it began, for people and for the providers of metrics.
    let started_at = jiff::Timestamp::now();
    let (confidence, providers) = (prepared.confidence, prepared.plan.test.providers.clone());
    let begun = shown(started_at);
    let state = runtime.block_on(drive(prepared, &begun, &ready))?;
    let outside = runtime.block_on(async { Ok(ask(&providers, started_at, jiff::Timestamp::now()).await) })?;
    drop(runtime);
    let circumstance = Circumstance { started_at: begun, confidence, ready, outside };
    let report = report(&state, &circumstance).map_err(Failure::not_carried_out)?;
    let arrivals = state.results.arrivals();
    let blocks = state.results.timeline.blocks(Part::Latency, &arrivals);
    Ok(Carried { report, totals: state.results.totals(&arrivals, false), blocks, backlog: backlog(&state) })
}

/// A runtime that is not waited for when it is dropped: neither for workers in this process, which have nothing left to
/// do, nor for arrivals that are still being counted when a run is stopped.
struct InBackground(Option<tokio::runtime::Runtime>);

impl InBackground {
    fn block_on<T>(&self, future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            None => Err(Failure::not_carried_out("the run is over")),
        }
    }
}

impl Drop for InBackground {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(tokio::runtime::Runtime::shutdown_background);
    }
}

fn shown(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn report(state: &RunState, circumstance: &Circumstance) -> Result<Report, String> {
    let mut report = build::build(state, circumstance)?;
    let test = &state.plan.test;
    if !test.versions.is_empty() {
        report.versions = Some(side_by_side::judge(&report, &test.versions, &test.rewards));
    }
    Ok(report)
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

async fn drive(prepared: Prepared, started_at: &str, ready: &[model::Ready]) -> Result<RunState, Failure> {
    let Prepared { plan, options, workers, confidence, quiet, .. } = prepared;
    let (events, received) = grid::events();
    if let Workers::Lent(attendance) = &workers {
        // The loan ends with the run.
        let lent = attendance.lend(attendance.run(), options.workers, events).await;
        let loan = lent.map_err(Failure::not_carried_out)?;
        let about = progress::About::of(&plan);
        attendance.begins(about.into());
        let circumstance =
            Circumstance { started_at: started_at.to_owned(), confidence, ready: ready.to_vec(), outside: Vec::new() };
        let checkpoint = checkpoint(Arc::clone(attendance), circumstance, plan.run == attendance.run());
        let (stop, snapshots) = (attendance.stop(), attendance.snapshots());
        let carried_out = grid::carry_out(plan, options, received, stop, snapshots, checkpoint).await;
        // Whose turn is next is decided by who is there.
        loan.back().await;
        if let Ok(state) = &carried_out {
            attendance.measured(measured(&state.results));
        }
        return carried_out.map_err(not_carried_out);
    }
    let (stop, stopped) = watch::channel(None);
    let (snapshots, watched) = watch::channel(Snapshot::default());
    match workers {
        Workers::Listen { address, security, .. } => {
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
        Workers::Embedded { lanes } => grid::embed(options.workers, lanes, events),
        Workers::Lent(_) => {}
    }
    tokio::spawn(stop_on_signal(stop.clone()));
    let showing = (!quiet).then(|| tokio::spawn(progress::show(progress::About::of(&plan), watched)));
    let carried_out = grid::carry_out(plan, options, received, stopped, snapshots, None).await;
    if let Some(showing) = showing {
        // It ends with the run; a panel that can't be drawn is no reason to lose the result.
        let _ = showing.await;
    }
    carried_out.map_err(not_carried_out)
}

fn not_carried_out(error: grid::RunError) -> Failure {
    match error {
        grid::RunError::Stopped(StopReason::Interrupted) => {
            Failure { code: exit::INTERRUPTED, message: error.to_string() }
        }
        error => Failure::not_carried_out(error),
    }
}

/// What a run has come to.
fn measured(results: &Results) -> metrics::Totals {
    let totals = results.totals(&results.arrivals(), false);
    metrics::Totals {
        planned: results.workers.values().filter_map(|worker| worker.planned).sum(),
        sent: totals.ended(),
        failed: totals.errors,
        latency: totals.part(Part::Latency).to_recorded(),
    }
}

/// Leaves with the service what would be reported if the coordinator ended now.
/// A probe is no result of its own: of it the metrics alone are taken.
fn checkpoint(attendance: Arc<Attendance>, circumstance: Circumstance, whole: bool) -> Option<grid::Checkpoint> {
    Some(Box::new(move |state| {
        attendance.measured(measured(&state.results));
        if !whole {
            return;
        }
        let left = report(state, &circumstance).and_then(|report| {
            let entry = crate::report::entry::of_run(&report)?;
            let document = serde_json::to_string(&report).map_err(|error| error.to_string())?;
            Ok((entry, document))
        });
        match left {
            Ok((entry, document)) => attendance.checkpoint(&entry, &document),
            Err(error) => tracing::warn!("no checkpoint of the run: {error}"),
        }
    }))
}

/// The first signal ends the run in order, the second one at once.
async fn stop_on_signal(stop: watch::Sender<Option<StopReason>>) {
    limits::asked_to_end().await;
    output::complain("stopping; once more to leave without a report");
    stop.send_if_modified(|reason| reason.is_none() && reason.replace(StopReason::Interrupted).is_none());
    limits::asked_to_end().await;
    std::process::exit(i32::from(exit::INTERRUPTED));
}
