//! `loadgrid compare`: one run against another, or two versions in one.

use std::path::PathBuf;

use clap::Args;

use super::documents::{Document, parse_plain, parse_plain_file};
use super::reach::ReachFlags;
use super::report::find;
use super::{Failure, Outcome, run};
use crate::compare::fail_if::FailIf;
use crate::compare::{self, Settings};
use crate::report::{Format, Report};
use crate::store::Kind;

#[derive(Args)]
pub(super) struct Arguments {
    /// What the other is held against: a kept run (an id or its beginning, latest, NAME@latest, NAME@baseline), or a file
    /// that `-o json` wrote.
    #[arg(value_name = "A")]
    a: String,
    /// The run in question.
    #[arg(value_name = "B")]
    b: String,
    /// For pipelines: exit code 1 if this is shown, 3 if it can't be told (repeatable), such as 'http/latency-p99 worse by 5%'.
    #[arg(long, value_name = "CONDITION")]
    fail_if: Vec<FailIf>,
    /// Of the bootstrap: the same seed gives the same figures.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What goes to stdout: text, json, html or markdown.
    #[arg(short, long, default_value = "text", value_parser = parse_plain)]
    output: Format,
    /// Write another report to a file (repeatable), such as html=compare.html.
    #[arg(long, value_name = "FORMAT=PATH", value_parser = parse_plain_file)]
    report: Vec<(Format, PathBuf)>,
    #[command(flatten)]
    store: ReachFlags,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    run::check_paths(&arguments.report)?;
    let (a, b) = (read(&arguments.a, &arguments.store)?, read(&arguments.b, &arguments.store)?);
    for condition in &arguments.fail_if {
        if let Some(name) = condition.metric.request().filter(|name| !a.requests.contains_key(*name)) {
            let known = crate::near::listed(name, a.requests.keys().cloned());
            return Err(Failure::usage(format!("--fail-if: the runs have no request '{name}': they have {known}")));
        }
    }
    let settings = Settings { seed: arguments.seed, fail_if: arguments.fail_if.clone() };
    let comparison = compare::compare(&a, &b, &settings).map_err(Failure::usage)?;
    let code = comparison.exit_code();
    Document::Comparison(Box::new(comparison)).deliver(arguments.output, &arguments.report, code)
}

fn read(what: &str, store: &ReachFlags) -> Result<Report, Failure> {
    match find(what, Some(Kind::Run), store)? {
        Document::Run(report) => Ok(*report),
        other => Err(Failure::usage(format!("{what} is {}, and only runs are compared", other.name()))),
    }
}
