//! `loadgrid trend`: whether a test's results changed over its history, and whether the newest belongs to a worse level.

use std::path::PathBuf;

use clap::Args;

use super::documents::{Document, parse_plain, parse_plain_file};
use super::reach::ReachFlags;
use super::store::complain_of;
use super::{Failure, Outcome, run, runtime};
use crate::report::Format;
use crate::store::{Entry, Filter, Kind};
use crate::trend::model::Trend;
use crate::trend::{self, LoadKey, Point, Settings};

/// What is looked at unless others are named: few, for each more takes some of the power of the others.
const USUAL: [&str; 5] = ["latency-p50", "latency-p99", "error-rate", "rate", "capacity"];

#[derive(Args)]
pub(super) struct Arguments {
    /// The test's name, as in its file and in `loadgrid runs`.
    #[arg(value_name = "NAME")]
    test: String,
    /// Look at this metric instead (repeatable), such as http-home/latency-p95; all for whatever was kept [default:
    /// latency-p50, latency-p99, error-rate and rate of all requests, and capacity].
    #[arg(long, value_name = "METRIC")]
    metric: Vec<String>,
    /// The chance of a false alarm, over all metrics together: 1% to 5%.
    #[arg(long, value_name = "SHARE", default_value = SIGNIFICANCE)]
    significance: String,
    /// What goes to stdout: text, json, html or markdown.
    #[arg(short, long, default_value = "text", value_parser = parse_plain)]
    output: Format,
    /// Write another report to a file (repeatable), such as html=trend.html.
    #[arg(long, value_name = "FORMAT=PATH", value_parser = parse_plain_file)]
    report: Vec<(Format, PathBuf)>,
    #[command(flatten)]
    store: ReachFlags,
}

/// The chance of a false alarm where none is asked for.
const SIGNIFICANCE: &str = "5%";

pub(super) fn main(arguments: &Arguments) -> Outcome {
    run::check_paths(&arguments.report)?;
    let trend = look(&arguments.store, &arguments.test, &arguments.metric, &arguments.significance)?;
    let code = trend.exit_code;
    Document::Trend(Box::new(trend)).deliver(arguments.output, &arguments.report, code)
}

/// The trend of a test's usual metrics.
pub(super) fn of(store: &ReachFlags, test: &str) -> Result<Trend, Failure> {
    look(store, test, &[], SIGNIFICANCE)
}

fn look(store: &ReachFlags, test: &str, metrics: &[String], significance: &str) -> Result<Trend, Failure> {
    let significance =
        crate::demo::share(significance).map_err(|error| Failure::usage(format!("--significance: {error}")))?;
    let store = store.open()?;
    let filter = Filter { test: Some(test.to_owned()), kind: None };
    let (listing, baseline) = runtime()?.block_on(async {
        let listing = store.list(&filter).await?;
        Ok::<_, Failure>((listing, store.baseline(test).await?))
    })?;
    complain_of(&listing.skipped);
    if listing.entries.is_empty() {
        let all = runtime()?.block_on(store.list(&Filter::default()))?;
        if all.entries.is_empty() {
            return Err(Failure::from(store.empty()));
        }
        let tests = all.entries.iter().map(|entry| entry.test.clone());
        let tests: std::collections::BTreeSet<String> = tests.collect();
        return Err(Failure::usage(format!(
            "the store {} has no run of '{}': it has {}",
            store.location(),
            test,
            crate::near::listed(test, tests)
        )));
    }
    let metrics = chosen(metrics, &listing.entries)?;
    let points: Vec<Point> = listing.entries.into_iter().map(point).collect();
    let settings = Settings { metrics, significance, baseline, ..Settings::default() };
    trend::trend(test, &points, &settings).map_err(Failure::usage)
}

/// Names of the metrics that are looked at; none for all.
fn chosen(named: &[String], entries: &[Entry]) -> Result<Vec<String>, Failure> {
    let keys = |entry: &'_ Entry| entry.metrics.keys().cloned().collect::<Vec<_>>();
    let known: std::collections::BTreeSet<String> = entries.iter().flat_map(keys).collect();
    if named.iter().any(|name| name == "all") {
        return Ok(Vec::new());
    }
    if let Some(unknown) = named.iter().find(|name| !known.contains(*name)) {
        let listed = crate::near::listed(unknown, known);
        return Err(Failure::usage(format!("--metric {unknown}: no run has it; there are {listed}")));
    }
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let usual = |name: &String| {
        let (group, metric) = name.split_once('/').unwrap_or(("http", name));
        ["http", "grpc"].contains(&group) && USUAL.contains(&metric)
    };
    // Of runs that count: where there are none, there is nothing to choose from.
    let valid: std::collections::BTreeSet<String> =
        entries.iter().filter(|entry| is_valid(entry)).flat_map(keys).collect();
    Ok(valid.into_iter().filter(usual).collect())
}

fn is_valid(entry: &Entry) -> bool {
    ["valid", "degraded"].contains(&entry.validity.as_str())
}

fn point(entry: Entry) -> Point {
    Point {
        valid: is_valid(&entry),
        run: entry.id,
        started_at: entry.started_at.to_string(),
        kind: match entry.kind {
            Kind::Run => trend::Kind::Run,
            Kind::Capacity => trend::Kind::Capacity,
        },
        load: LoadKey {
            model: entry.model,
            arrivals: entry.arrivals,
            target_rate: entry.target_rate,
            requests: entry.requests,
        },
        metrics: entry.metrics,
    }
}
