//! `loadgrid capacity`: the highest rate at which all objectives hold.

mod pace;
mod probe;
mod rest;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use loadgrid_worker::client::feed::Order;
use loadgrid_worker::schedule::Arrivals;

use self::pace::Pace;
use self::probe::Prober;
use super::carry::{Prepared, Workers};
use super::documents::{Document, parse_plain, parse_plain_file};
use super::flags::TestFlags;
use super::ready::make_ready;
use super::remote;
use super::run::{self, GridFlags, ReportFlags, read_test};
use super::store::{KeepFlags, Keeper};
use super::{Failure, Outcome, exit, runtime};
use crate::capacity::build::{self, Ended, evidence, show_rate};
use crate::capacity::model::{self, CapacityReport, CapacityVerdict, Probe};
use crate::capacity::search::{self, Ask, Next, conclude};
use crate::report::Format;
use crate::serve::Search;
use crate::slo::Statistic;
use crate::spec::{Draft, LoadTest, Place, Sourced, SpecError, units};
use crate::store::{Entry, Kind};

const PRECISION: &str = "3%";
const BUDGET: &str = "10m";

#[derive(Args)]
pub(super) struct Arguments {
    /// The test's file; of its load the arrivals and the warm-up are used, its first rate is where the search starts.
    #[arg(value_name = "TEST.yaml")]
    file: Option<PathBuf>,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    test: TestFlags,
    #[command(flatten)]
    grid: GridFlags,
    #[command(flatten)]
    keep: KeepFlags,
    /// What goes to stdout: text, json, html or markdown.
    #[arg(short, long, default_value = "text", value_parser = parse_plain, help_heading = "Report")]
    output: Format,
    /// Write another report to a file (repeatable), such as html=capacity.html.
    #[arg(long, value_name = "FORMAT=PATH", value_parser = parse_plain_file, help_heading = "Report")]
    report: Vec<(Format, PathBuf)>,
    /// No progress on stderr.
    #[arg(short, long, help_heading = "Report")]
    quiet: bool,
}

#[derive(Args, Clone)]
#[command(next_help_heading = "Search")]
pub(super) struct SearchFlags {
    /// The rate of the first probe [default: that of the test].
    #[arg(long, value_name = "RATE")]
    from: Option<String>,
    /// No probe above this rate [default: 1000000/s].
    #[arg(long, value_name = "RATE")]
    max: Option<String>,
    /// No probe below this rate [default: a 64th of the first].
    #[arg(long, value_name = "RATE")]
    min: Option<String>,
    /// How narrow the answer is to be, on either side.
    #[arg(long, value_name = "SHARE", default_value = PRECISION)]
    precision: String,
    /// For the whole search. Longer probes tell more.
    #[arg(long, value_name = "TIME", default_value = BUDGET)]
    budget: String,
    /// The main phase of a probe at the boundary; those that bracket it take a third [default: by the budget].
    #[arg(long, value_name = "TIME")]
    probe: Option<String>,
    /// Between two probes at least [default: by the budget].
    #[arg(long, value_name = "TIME")]
    cool_down: Option<String>,
    /// For pipelines: exit code 1 if it does not go to this rate, 3 if that can't be told.
    #[arg(long, value_name = "RATE")]
    require: Option<String>,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    if arguments.grid.remote.is_attached() {
        run::check_paths(&arguments.report)?;
        return remote::capacity(arguments, Draft::default());
    }
    let mut test = read_test(arguments.file.as_deref(), draft(arguments)?)?;
    let settled = arguments.search.settle(&mut test)?;
    run::check_paths(&arguments.report)?;
    if arguments.grid.remote.is_asked() {
        return remote::capacity(arguments, draft(arguments)?);
    }
    let keeper = arguments.keep.keeper(&test.name)?;
    let prepared = run::prepare(test, &arguments.grid, &ReportFlags::quiet(arguments.quiet))?;
    let search = carry_out(prepared, settled)?;
    let kept = keeper.map_or(Ok(()), |keeper| keep(&keeper, &search));
    let code = search.exit_code;
    let delivered = Document::Capacity(Box::new(search)).deliver(arguments.output, &arguments.report, code);
    delivered.and_then(|code| kept.map(|()| code))
}

impl Arguments {
    pub(super) fn file(&self) -> Option<&std::path::Path> {
        self.file.as_deref()
    }

    pub(super) fn grid(&self) -> &GridFlags {
        &self.grid
    }

    pub(super) fn keep(&self) -> &KeepFlags {
        &self.keep
    }

    pub(super) fn search(&self) -> Search {
        self.search.clone().into()
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// What goes to stdout, and what to files.
    pub(super) fn formats(&self) -> (Format, &[(Format, PathBuf)]) {
        (self.output, &self.report)
    }
}

/// A search that is understood and not begun.
pub(super) struct Settled {
    settings: search::Settings,
    pace: Pace,
    required: Option<f64>,
    notes: Vec<String>,
}

/// A search sets rate and length of each probe itself: a test by flags alone may leave them out.
fn draft(arguments: &Arguments) -> Result<Draft, Failure> {
    let mut draft = arguments.test.draft()?;
    let from = arguments.search.from.as_deref();
    if let Some(from) = from
        .or(Some("100/s").filter(|_| arguments.file.is_none() && draft.rate.is_none() && draft.closed_loop.is_none()))
    {
        if let Some(rate) = &draft.rate {
            let message = "give either --rate or --from: both are the rate of the first probe";
            return Err(Failure::usage(SpecError::new(rate.place.clone(), message)));
        }
        draft.rate = Some(Sourced::flag("--from", from));
    }
    if draft.rate.is_some() && draft.duration.is_none() && draft.count.is_none() {
        draft.duration = Some(Sourced::flag("--duration", "10s"));
    }
    Ok(draft)
}

/// Takes out of a test what a search has no use for. Returns what to say of it.
fn fit(test: &mut LoadTest) -> Result<Vec<String>, Failure> {
    let wrong = |message: &str| {
        let error = SpecError { file: test.file.clone(), ..SpecError::new(Place::Test, message) };
        Err(Failure::usage(error))
    };
    if test.load.arrivals == Arrivals::Closed {
        return wrong("a closed loop has no rate to search for: give a rate (--from 100/s) and leave closedLoop out");
    }
    if !test.versions.is_empty() {
        return wrong("a search is of one target: leave spec.versions out, and search each by itself");
    }
    if test.slos.is_empty() {
        return wrong(
            "a capacity is the highest rate at which all objectives hold, and the test has none: write slos, or give \
             --slo 'http/latency-p99 <= 50ms'",
        );
    }
    if let Some(feed) = test.feeds.iter().find(|feed| feed.order == Order::Once) {
        return wrong(&format!(
            "the feed '{}' is sent once, and a search has many probes: write order: sequential or random",
            feed.name
        ));
    }
    let of_the_load = |slo: &crate::slo::Slo| {
        matches!(slo.metric.statistic, Statistic::Rate | Statistic::RequestCount | Statistic::MessageRate)
    };
    let mut notes = Vec::new();
    for slo in test.slos.iter().filter(|slo| of_the_load(slo)) {
        notes.push(format!("not judged here: {} (the search sets the rate itself)", slo.text));
    }
    if test.slos.iter().all(of_the_load) {
        return wrong(
            "all objectives are of the rate itself, which the search sets: add one such as http/latency-p99 <= 50ms",
        );
    }
    test.slos.retain(|slo| !of_the_load(slo));
    if !test.slos.iter().any(|slo| probe::covers_errors(&slo.metric)) {
        notes.push(format!(
            "no objective looks at the errors of all requests: a rate at which more than {}% of the requests fail does not hold",
            probe::ERRORS_MAX * 100.0
        ));
    }
    if !test.notices.is_empty() {
        notes.push("notify is for runs: nobody is told of a search".to_owned());
    }
    Ok(notes)
}

fn rate(flag: &str, text: &str) -> Result<f64, Failure> {
    match units::rate(text) {
        Ok(rate) if rate > 0.0 => Ok(rate),
        Ok(_) => Err(Failure::usage(format!("{flag}: '{text}' sends nothing: write a rate above zero"))),
        Err(error) => Err(Failure::usage(format!("{flag}: {error}"))),
    }
}

/// Highest rate without `--max`: more than a grid gives.
const RATE_MAX: f64 = 1e6;

impl From<SearchFlags> for Search {
    fn from(flags: SearchFlags) -> Self {
        let SearchFlags { from, max, min, precision, budget, probe, cool_down, require } = flags;
        Search { from, max, min, precision: Some(precision), budget: Some(budget), probe, cool_down, require }
    }
}

impl From<Search> for SearchFlags {
    fn from(search: Search) -> Self {
        let Search { from, max, min, precision, budget, probe, cool_down, require } = search;
        let precision = precision.unwrap_or_else(|| PRECISION.to_owned());
        let budget = budget.unwrap_or_else(|| BUDGET.to_owned());
        SearchFlags { from, max, min, precision, budget, probe, cool_down, require }
    }
}

impl SearchFlags {
    /// Takes out of a test what a search has no use for, and settles how it is to search.
    ///
    /// # Errors
    /// A test that can't be searched with, or a flag that is not understood.
    pub(super) fn settle(&self, test: &mut LoadTest) -> Result<Settled, Failure> {
        let notes = fit(test)?;
        let (settings, pace) = self.settings(test)?;
        let required = self.require.as_deref().map(|text| rate("--require", text)).transpose()?;
        Ok(Settled { settings, pace, required, notes })
    }

    fn settings(&self, test: &LoadTest) -> Result<(search::Settings, Pace), Failure> {
        let profile = test.load.main();
        let planned = profile.cumulative(profile.duration_ns()) / (profile.duration_ns() as f64 / 1e9).max(1e-9);
        let given = |flag: &str, text: &Option<String>| text.as_deref().map(|text| rate(flag, text)).transpose();
        let start = planned;
        let max = given("--max", &self.max)?.unwrap_or(RATE_MAX.max(start));
        let min = given("--min", &self.min)?.unwrap_or((start / 64.0).max(0.01).min(start));
        let precision =
            crate::demo::share(&self.precision).map_err(|error| Failure::usage(format!("--precision: {error}")))?;
        let settings = search::Settings { start, min, max, precision, ..search::Settings::default() };
        settings.check().map_err(Failure::usage)?;
        let pace = Pace::new(&self.budget, self.probe.as_deref(), self.cool_down.as_deref(), test)?;
        let first = Ask { rate: start.clamp(min, max), purpose: search::Purpose::Bracket, long: false };
        if !pace.fits(&first, Duration::ZERO) {
            let length = pace.length(&first).as_secs_f64();
            return Err(Failure::usage(format!(
                "--budget: the first probe alone takes {length:.0}s beside warm-up and cool-down: give more, or a shorter --probe"
            )));
        }
        Ok((settings, pace))
    }
}

/// Searches until there is an answer, or no time, or no target.
pub(super) fn carry_out(mut prepared: Prepared, settled: Settled) -> Result<CapacityReport, Failure> {
    let Settled { settings, pace, required, notes } = settled;
    let started_at = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let quiet = prepared.quiet;
    runtime()?.block_on(make_ready(&mut prepared))?;
    // Without a terminal a line a probe is enough.
    prepared.quiet |= !std::io::stderr().is_terminal();
    let begun = Instant::now();
    let run = prepared.plan.run.clone();
    let workers = prepared.workers.clone();
    let mut prober = Prober::new(prepared, pace, begun);
    let mut probes: Vec<Probe> = Vec::new();
    let report = |prober: &Prober, probes: Vec<Probe>, ended: Ended| {
        let history: Vec<_> = probes.iter().map(evidence).collect();
        let answer = conclude(&settings, &history);
        let search = build::Search {
            run: run.clone(),
            test: prober.test().name.clone(),
            started_at: started_at.clone(),
            duration: begun.elapsed().as_secs_f64(),
            settings: shown(&settings, &pace, prober),
            ended,
            notes: notes.iter().cloned().chain(prober.notes()).collect(),
            required,
        };
        build::report(search, probes, &answer)
    };
    let ended = loop {
        let history: Vec<_> = probes.iter().map(evidence).collect();
        let ask = match search::next(&settings, &history) {
            Next::Done(_) => break Ended::Answered,
            Next::Probe(ask) => ask,
        };
        if !pace.fits(&ask, begun.elapsed()) {
            break Ended::Budget;
        }
        say_next(&workers, quiet, probes.len() + 1, &ask);
        match prober.probe(&ask, &probes)? {
            Ok(probe) => {
                say_probe(&workers, quiet, &probe);
                probes.push(probe);
                leave(&workers, || report(&prober, probes.clone(), Ended::BrokenOff));
            }
            Err(ended) => break ended,
        }
    };
    if let (Ended::TargetGone(_), Some(last)) = (&ended, probes.last_mut())
        && last.outcome == model::ProbeOutcome::Broke
    {
        // It may have gone for reasons of its own.
        last.outcome = model::ProbeOutcome::Unclear;
        last.because.push_str("; the target was gone after it");
    }
    Ok(report(&prober, probes, ended))
}

/// Leaves with the service what would be reported if the coordinator ended now.
fn leave(workers: &Workers, report: impl FnOnce() -> CapacityReport) {
    let Workers::Lent(attendance) = workers else { return };
    let report = report();
    let left = entry(&report).and_then(|entry| {
        let document = serde_json::to_string(&report).map_err(Failure::not_carried_out)?;
        Ok((entry, document))
    });
    match left {
        Ok((entry, document)) => attendance.checkpoint(&entry, &document),
        Err(failure) => tracing::warn!("no checkpoint of the search: {}", failure.message),
    }
}

fn say_next(workers: &Workers, quiet: bool, number: usize, ask: &Ask) {
    if let Workers::Lent(attendance) = workers {
        attendance.probe(number, ask.rate);
    }
    if !quiet {
        let purpose = probe::purpose(ask.purpose);
        workers.say(&format!("probe {number}: {} ({purpose})", show_rate(ask.rate)));
    }
}

fn say_probe(workers: &Workers, quiet: bool, probe: &Probe) {
    if !quiet {
        let outcome = match probe.outcome {
            model::ProbeOutcome::Held => "held",
            model::ProbeOutcome::Broke => "broke",
            model::ProbeOutcome::Unclear => "unclear",
            model::ProbeOutcome::Limited => "says nothing of the target",
        };
        workers.say(&format!("probe {}: {} {outcome}: {}", probe.number, show_rate(probe.rate), probe.because));
    }
}

fn shown(settings: &search::Settings, pace: &Pace, prober: &Prober) -> model::Settings {
    let test = prober.test();
    model::Settings {
        slos: test.slos.iter().map(|slo| slo.text.clone()).collect(),
        start: settings.start,
        min: settings.min,
        max: settings.max,
        precision: settings.precision,
        budget: pace.budget.as_secs_f64(),
        probes_max: settings.probes_max,
        short_probe: pace.short.as_secs_f64(),
        long_probe: pace.long.as_secs_f64(),
        warmup: pace.warmup.as_secs_f64(),
        cool_down: pace.cool_down.as_secs_f64(),
        arrivals: if test.load.arrivals == Arrivals::Poisson { "poisson" } else { "uniform" }.to_owned(),
        seed: prober.seed(),
        workers: prober.workers(),
        connections: test.connections,
        requests: test
            .requests
            .iter()
            .zip(&test.urls)
            .map(|(request, url)| (request.name.clone(), format!("{} {url}", request.method)))
            .collect(),
    }
}

fn keep(keeper: &Keeper, report: &CapacityReport) -> Result<(), Failure> {
    let document = serde_json::to_string(report).map_err(Failure::not_carried_out)?;
    keeper.put(&entry(report)?, &document)
}

/// The entry of a search.
pub(super) fn entry(report: &CapacityReport) -> Result<Entry, Failure> {
    let started_at = report.started_at.parse().map_err(Failure::not_carried_out)?;
    // A target that fails at the lowest rate has at most that: no later search is to be compared with nothing.
    let fails = (report.verdict == CapacityVerdict::Fails).then_some(report.settings.min);
    let figures =
        [("capacity", report.estimate.or(fails)), ("capacity-low", report.low), ("capacity-high", report.high)];
    let verdict = match report.verdict {
        CapacityVerdict::Found => "found",
        CapacityVerdict::AtLeast => "at least",
        CapacityVerdict::Fails => "fails",
        CapacityVerdict::Refused => "no answer",
        CapacityVerdict::BrokenOff => "broken off",
    };
    let settings = &report.settings;
    let requests = settings.requests.iter().map(|(name, request)| {
        let (method, url) = request.split_once(' ').unwrap_or(("", request));
        format!("{name} {method} {}", crate::report::entry::path(url))
    });
    Ok(Entry {
        id: report.run.clone(),
        kind: Kind::Capacity,
        test: report.test.clone(),
        started_at,
        duration: report.duration,
        model: "open loop".to_owned(),
        arrivals: settings.arrivals.clone(),
        target_rate: None,
        // Other objectives have another capacity.
        requests: crate::report::entry::key(requests.chain(settings.slos.iter().cloned())),
        verdict: verdict.to_owned(),
        validity: match report.verdict {
            CapacityVerdict::Found | CapacityVerdict::AtLeast | CapacityVerdict::Fails => "valid",
            CapacityVerdict::BrokenOff => "stopped",
            _ => "no figure",
        }
        .to_owned(),
        metrics: figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect(),
        loadgrid: report.loadgrid.clone(),
    })
}

/// Waits, or says that somebody wants to end it.
fn pause(workers: &Workers, time: Duration) -> Result<bool, Failure> {
    Ok(runtime()?.block_on(async {
        tokio::select! {
            () = workers.asked_to_end() => false,
            () = tokio::time::sleep(time) => true,
        }
    }))
}

/// The failure of somebody who ended it.
fn is_interrupt(failure: &Failure) -> bool {
    failure.code == exit::INTERRUPTED
}
