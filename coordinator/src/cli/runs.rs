//! `loadgrid runs`, `loadgrid rm` and `loadgrid baseline`: what is kept, and what is not any more.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::num::NonZeroUsize;

use clap::{Args, Subcommand, ValueEnum};

use super::reach::ReachFlags;
use super::store::{complain_of, keep};
use super::{Failure, Outcome, exit, output, runtime};
use crate::spec::units::show_ns;
use crate::store::{Entry, Filter, Keep, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    Run,
    Capacity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    Text,
    Json,
}

#[derive(Args)]
pub(super) struct ListArguments {
    /// Only those of this test.
    #[arg(value_name = "NAME")]
    test: Option<String>,
    /// Only of this kind.
    #[arg(long)]
    kind: Option<Only>,
    /// Only the newest so many.
    #[arg(short = 'n', long, value_name = "N")]
    newest: Option<usize>,
    /// text, or json with all that is known without opening a run.
    #[arg(short, long, default_value = "text")]
    output: Shape,
    #[command(flatten)]
    store: ReachFlags,
}

pub(super) fn list(arguments: &ListArguments) -> Outcome {
    let store = arguments.store.open()?;
    let kind = arguments.kind.map(|only| if only == Only::Run { Kind::Run } else { Kind::Capacity });
    let filter = Filter { test: arguments.test.clone(), kind };
    let (listing, baselines) =
        runtime()?.block_on(async { Ok::<_, Failure>((store.list(&filter).await?, store.baselines().await?)) })?;
    complain_of(&listing.skipped);
    complain_of(&baselines.skipped);
    let from = listing.entries.len().saturating_sub(arguments.newest.unwrap_or(usize::MAX));
    let entries = &listing.entries[from..];
    if arguments.output == Shape::Json {
        let text = serde_json::to_string_pretty(entries).map_err(Failure::not_carried_out)?;
        output::print(&(text + "\n"))?;
        return Ok(exit::PASS);
    }
    if entries.is_empty() {
        output::complain(&match &arguments.test {
            Some(test) => format!("the store {} has no such run of '{test}'", store.location()),
            None => store.empty().to_string(),
        });
        return Ok(exit::PASS);
    }
    let baselines: BTreeSet<&str> = baselines.runs.values().map(String::as_str).collect();
    output::print(&table(entries, &baselines))?;
    Ok(exit::PASS)
}

/// The newest last: that is where a terminal's reader looks.
fn table(entries: &[Entry], baselines: &BTreeSet<&str>) -> String {
    let width = entries.iter().map(|entry| entry.test.len()).max().unwrap_or(0).clamp(4, 30);
    let mut out = format!(
        "{:<26}  {:<20}  {:<width$}  {:<8} {:>11} {:>9} {:>8}  {}\n",
        "run", "started", "test", "kind", "rate", "p99", "errors", "verdict"
    );
    for entry in entries {
        let metric = |end: &str| {
            let of = |group: &str| entry.metrics.get(&format!("{group}/{end}")).copied();
            of("http").or_else(|| of("grpc"))
        };
        let rate = match entry.kind {
            Kind::Run => metric("rate"),
            Kind::Capacity => entry.metrics.get("capacity").or(entry.metrics.get("capacity-low")).copied(),
        };
        let dash = || "-".to_owned();
        // Writing to a string can't fail.
        let _ = writeln!(
            out,
            "{:<26}  {:<20}  {:<width$}  {:<8} {:>11} {:>9} {:>8}  {}{}",
            entry.id,
            entry.started_at.strftime("%Y-%m-%d %H:%M:%S"),
            entry.test,
            if entry.kind == Kind::Run { "run" } else { "capacity" },
            rate.map_or_else(dash, |rate| format!("{rate:.1}/s")),
            metric("latency-p99").map_or_else(dash, |s| show_ns(s * 1e9)),
            metric("error-rate").map_or_else(dash, |share| format!("{:.2}%", share * 100.0)),
            entry.verdict,
            if baselines.contains(entry.id.as_str()) { ", baseline" } else { "" },
        );
    }
    out
}

#[derive(Args)]
pub(super) struct RemoveArguments {
    /// Runs: an id or its beginning, NAME@latest, latest.
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Of every test, keep so many of the newest; baselines stay.
    #[arg(long, value_name = "N")]
    keep: Option<NonZeroUsize>,
    /// Remove what is older, such as 90d; baselines stay.
    #[arg(long, value_name = "TIME")]
    keep_for: Option<String>,
    #[command(flatten)]
    store: ReachFlags,
}

pub(super) fn remove(arguments: &RemoveArguments) -> Outcome {
    let store = arguments.store.open()?;
    let keep = keep(arguments.keep, arguments.keep_for.as_deref())?;
    if arguments.runs.is_empty() && keep == Keep::default() {
        return Err(Failure::usage("name a run, or say what is to stay: --keep 100, --keep-for 90d"));
    }
    runtime()?.block_on(async {
        // All are found before the first is gone.
        let mut ids = Vec::new();
        for run in &arguments.runs {
            // A whole id is meant as it is: what can't be read can be removed.
            let whole = ulid::Ulid::from_string(run).ok();
            ids.push(match whole {
                Some(id) => id.to_string(),
                None => store.resolve(run, None).await?,
            });
        }
        ids.sort();
        ids.dedup();
        for id in &ids {
            store.remove(id).await?;
            output::complain(&format!("removed {id}"));
        }
        if keep != Keep::default() {
            let lost = store.retain(keep, jiff::Timestamp::now()).await?;
            lost.iter().for_each(|id| output::complain(&format!("removed {id}")));
            if lost.is_empty() {
                output::complain("nothing to remove");
            }
        }
        Ok(exit::PASS)
    })
}

#[derive(Args)]
pub(super) struct BaselineArguments {
    #[command(subcommand)]
    command: BaselineCommand,
}

#[derive(Subcommand)]
enum BaselineCommand {
    /// Make a run the one that later ones of its test are held against; its level is accepted.
    Set {
        /// An id or its beginning, NAME@latest, latest.
        #[arg(value_name = "RUN")]
        run: String,
        #[command(flatten)]
        store: ReachFlags,
    },
    /// Say which run it is, of one test or of all.
    Show {
        #[arg(value_name = "NAME")]
        test: Option<String>,
        #[command(flatten)]
        store: ReachFlags,
    },
    /// Have none any more.
    Clear {
        #[arg(value_name = "NAME")]
        test: String,
        #[command(flatten)]
        store: ReachFlags,
    },
}

pub(super) fn baseline(arguments: &BaselineArguments) -> Outcome {
    match &arguments.command {
        BaselineCommand::Set { run, store } => {
            let store = store.open()?;
            let entry = runtime()?.block_on(async {
                let id = store.resolve(run, None).await?;
                store.set_baseline(&id).await
            })?;
            output::complain(&format!("{} of {} is the baseline of '{}'", entry.id, entry.started_at, entry.test));
            Ok(exit::PASS)
        }
        BaselineCommand::Show { test, store } => {
            let baselines = runtime()?.block_on(store.open()?.baselines())?;
            complain_of(&baselines.skipped);
            let mut out = String::new();
            for (of, run) in baselines.runs.iter().filter(|(of, _)| test.as_ref().is_none_or(|test| test == *of)) {
                let _ = writeln!(out, "{of}  {run}");
            }
            if out.is_empty() {
                output::complain("no baseline is set: `loadgrid baseline set RUN` does");
            }
            output::print(&out)?;
            Ok(exit::PASS)
        }
        BaselineCommand::Clear { test, store } => {
            let cleared = runtime()?.block_on(store.open()?.clear_baseline(test))?;
            let said = if cleared { "has no baseline any more" } else { "had no baseline" };
            output::complain(&format!("'{test}' {said}"));
            Ok(exit::PASS)
        }
    }
}
