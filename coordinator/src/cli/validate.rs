//! `loadgrid validate`, and the plan that `run --dry-run` shows.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use super::carry::{Prepared, Workers};
use super::run::{capacities, read_test};
use super::{Failure, Outcome, exit, output};
use crate::report::build::profile_text;
use crate::spec::Draft;
use crate::spec::units::show_ns;

#[derive(Args)]
pub(super) struct Arguments {
    /// The test's file.
    #[arg(value_name = "TEST.yaml")]
    file: PathBuf,
}

pub(super) fn main(arguments: &Arguments) -> Outcome {
    let test = read_test(Some(&arguments.file), Draft::default())?;
    output::print(&format!(
        "{}: a valid test '{}': {} request{}, {}, {} objective{}\n",
        arguments.file.display(),
        test.name,
        test.requests.len(),
        if test.requests.len() == 1 { "" } else { "s" },
        profile_text(&test),
        test.slos.len(),
        if test.slos.len() == 1 { "" } else { "s" },
    ))?;
    if !test.pending.is_empty() {
        output::complain(
            "not tried: what the test takes from URLs or by server reflection; `run` does, before the load",
        );
    }
    Ok(exit::PASS)
}

/// What would be sent, and by whom.
pub(super) fn show_plan(prepared: &Prepared) -> Outcome {
    let plan = &prepared.plan;
    let test = &plan.test;
    let shares = plan.shares(&capacities(prepared)).map_err(Failure::usage)?;
    let mut out = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(out, "Test      {}", test.name);
    let _ = writeln!(out, "Load      {}", profile_text(test));
    let _ = writeln!(out, "Seed      {}", plan.seed);
    if test.load.warmup_ns > 0 {
        let _ = writeln!(out, "Warm-up   {} at the first rate, not judged", show_ns(test.load.warmup_ns as f64));
    }
    let _ = writeln!(
        out,
        "Timeout   {} a request, {} for a connection\n",
        show_ns(test.timeout_ns as f64),
        show_ns(test.max_wait_ns as f64)
    );
    let _ = writeln!(out, "Requests");
    for (request, url) in test.requests.iter().zip(&test.urls) {
        let body = if request.body.is_empty() { String::new() } else { format!(", {} bytes", request.body.len()) };
        let weight = if request.weight == 0 { "follows".to_owned() } else { format!("weight {}", request.weight) };
        let method = if request.grpc.is_some() { "gRPC" } else { request.method.as_str() };
        let _ = writeln!(out, "  {} ({weight}): {method} {url}{body}", request.name);
    }
    if plan.is_open_loop() && test.load.stages.len() > 1 {
        let _ = writeln!(out, "Stages");
        for stage in &test.load.stages {
            let count = loadgrid_worker::schedule::Profile::new(&[*stage]).count();
            let length = show_ns(stage.duration_ns as f64);
            let _ = writeln!(out, "  {}/s to {}/s in {length}: {count} requests", stage.from, stage.to);
        }
    }
    let _ = writeln!(
        out,
        "Workers{}",
        if matches!(prepared.workers, Workers::Listen { .. }) {
            " (with as many lanes as would be embedded here)"
        } else {
            ""
        }
    );
    let mut total = 0;
    for (number, share) in shares.iter().enumerate() {
        let (warmup, main) = plan.planned(*share);
        total += main.unwrap_or(0);
        let main = main.map_or("as many as are answered".to_owned(), |main| format!("{main} requests"));
        let warmup = if warmup > 0 { format!(" after {warmup} of warm-up") } else { String::new() };
        let _ = writeln!(
            out,
            "  {}: lanes {}..{} of {}, {} connections, {main}{warmup}",
            number + 1,
            share.first_lane,
            share.first_lane + share.lanes,
            share.total_lanes,
            share.connections
        );
    }
    if total > 0 {
        let _ = writeln!(out, "  together {total} requests");
    }
    if !test.slos.is_empty() {
        let _ = writeln!(out, "Objectives");
    }
    for slo in &test.slos {
        let _ = writeln!(out, "  {}", slo.text);
    }
    let untried = if test.pending.is_empty() { "" } else { " Not tried: what comes from URLs or by reflection." };
    let _ = writeln!(out, "\nNothing was sent.{untried}");
    output::print(&out)?;
    Ok(exit::PASS)
}
