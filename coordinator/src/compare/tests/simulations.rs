//! Whether the verdicts are as right as they say, over many simulated pairs. A short form runs always; with
//! `LOADGRID_SIMULATIONS=full` (and `--release`) it is what the figures in the documents are from.

use super::simulated::{INDEPENDENT, NOISY, STALLING, STEADY, Target, WANDERING, pair};
use crate::compare::model::{Row, Section, Verdict};
use crate::compare::rows::{Sides, Subject, rows};
use crate::compare::steps::{Step, together};
use crate::slo::Group;

/// Pairs in the short form and in the full one.
fn pairs(short: u64) -> u64 {
    if std::env::var("LOADGRID_SIMULATIONS").is_ok_and(|form| form == "full") { 400 } else { short }
}

fn sides(paired: bool) -> Sides {
    Sides { labels: ["A".into(), "B".into()], paired, max_wait: [10.0; 2], lag: 50e-6, rate_apart: 0.0 }
}

fn subject(name: Option<&str>, [a, b]: [Vec<Step>; 2]) -> Subject {
    Subject { name: name.unwrap_or("all requests").into(), group: Group::Http, request: name.map(str::to_owned), a, b }
}

/// One request for a minute at 1,000/s.
fn compared(target: &Target, scale: f64, paired: bool, seed: u64) -> Vec<Row> {
    let subject = subject(Some("home"), pair(target, (60, 1000), scale, paired, seed));
    rows(&[subject], &sides(paired), &[], seed).remove(0).rows
}

fn is_different(row: &Row) -> bool {
    matches!(row.verdict, Verdict::Better | Verdict::Worse)
}

/// How many pairs without a difference are called different in any row.
fn called_different(name: &str, short: u64, compare: impl Fn(u64) -> Vec<Row>) -> f64 {
    let count = pairs(short);
    let different = (0..count).filter(|seed| compare(*seed).iter().any(is_different)).count();
    println!("A/A, {name}: {different} of {count} called different");
    different as f64 / count as f64
}

#[test]
fn pairs_without_a_difference_are_called_different_in_at_most_5_percent() {
    for (name, target, paired, short) in [
        ("independent", INDEPENDENT, false, 2),
        ("steady", STEADY, false, 6),
        ("noisy", NOISY, false, 6),
        ("stalling", STALLING, false, 6),
        ("noisy, side by side", NOISY, true, 4),
    ] {
        let share = called_different(name, short, |seed| compared(&target, 1.0, paired, seed));
        // In the short form one pair may be, by chance.
        assert!(share <= 0.05_f64.max(1.0 / pairs(short) as f64), "{name}: {share}");
    }
}

#[test]
fn dependence_over_much_of_the_run_is_not_fully_seen() {
    // No statistic of one minute can know how a level behaves that turns a few times in it: known, and bounded.
    let share = called_different("wandering", 4, |seed| compared(&WANDERING, 1.0, false, seed));
    assert!(share <= 0.13_f64.max(1.0 / pairs(4) as f64), "{share}");
}

#[test]
fn more_requests_are_no_more_often_called_different() {
    let compare = |seed: u64| {
        let [home, cart, pay] = [0, 1, 2].map(|request| pair(&NOISY, (60, 300), 1.0, false, 3 * seed + request));
        let all = [0, 1].map(|side: usize| together([&home[side], &cart[side], &pay[side]]));
        let subjects =
            [subject(None, all), subject(Some("home"), home), subject(Some("cart"), cart), subject(Some("pay"), pay)];
        let sections: Vec<Section> = rows(&subjects, &sides(false), &[], seed);
        sections.into_iter().flat_map(|section| section.rows).collect()
    };
    let share = called_different("three requests and all together, noisy", 2, compare);
    assert!(share <= 0.05_f64.max(1.0 / pairs(2) as f64), "{share}");
}

/// Per row: how often the interval holds the true difference, and how often it is called worse.
fn figures(target: &Target, scale: f64, paired: bool, short: u64) -> Vec<(String, f64, f64)> {
    let count = pairs(short);
    let runs: Vec<Vec<Row>> = (0..count).map(|seed| compared(target, scale, paired, 1_000 + seed)).collect();
    let names: Vec<String> = runs[0].iter().map(|row| row.name.clone()).collect();
    let of = |place: usize| runs.iter().map(move |rows| &rows[place]);
    let figures = names.into_iter().enumerate().map(|(place, name)| {
        let is_time = !["errors", "rate"].contains(&name.as_str());
        let truth = if is_time { scale - 1.0 } else { 0.0 };
        let judged = of(place).filter(|row| row.low.is_some()).count();
        let covers = |row: &&Row| row.low.is_some_and(|low| low <= truth) && row.high.is_none_or(|high| high >= truth);
        let covered = of(place).filter(|row| row.low.is_some()).filter(covers).count();
        let worse = of(place).filter(|row| row.verdict == Verdict::Worse).count();
        (name, covered as f64 / judged.max(1) as f64, worse as f64 / count as f64)
    });
    figures.collect()
}

#[test]
fn a_shift_of_5_percent_is_shown_and_its_interval_holds_the_truth() {
    for (name, paired, short) in [("steady", false, 10), ("steady, side by side", true, 5)] {
        let is_full = pairs(short) == 400;
        for (row, covered, worse) in figures(&STEADY, 1.05, paired, short) {
            println!("+5%, {name}, {row}: interval covers {covered:.3}, called worse {worse:.3}");
            assert!(covered >= if is_full { 0.92 } else { 0.75 }, "{name}, {row}: {covered}");
            if row == "latency p99" {
                assert!(worse >= if is_full { 0.8 } else { 0.6 }, "{name}: {worse}");
            }
        }
    }
}

#[test]
fn intervals_hold_the_truth_of_noisy_targets_too() {
    for (name, target, least) in [("noisy", NOISY, 0.92), ("stalling", STALLING, 0.9)] {
        let is_full = pairs(4) == 400;
        // A stall adds to times: only pairs without a difference have a known one.
        let scale = if target.stall_every > 0.0 { 1.0 } else { 1.05 };
        for (row, covered, worse) in figures(&target, scale, false, 4) {
            println!("{name}, scaled by {scale}, {row}: interval covers {covered:.3}, called worse {worse:.3}");
            assert!(covered >= if is_full { least } else { 0.5 }, "{name}, {row}: {covered}");
        }
    }
}
