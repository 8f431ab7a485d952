mod reports;
mod simulated;
mod simulations;

use self::reports::{report, side_by_side};
use super::model::OutcomeState;
use super::*;

fn compared(a: &Report, b: &Report, fail_if: &[&str]) -> Comparison {
    let fail_if = fail_if.iter().map(|condition| condition.parse().unwrap()).collect();
    compare(a, b, &Settings { seed: 7, fail_if }).unwrap()
}

fn refused(change: impl Fn(&mut Report)) -> String {
    let (a, mut b) = (report("01A", 1.0, &["home"]), report("01B", 1.0, &["home"]));
    change(&mut b);
    let refusal = compare(&a, &b, &Settings::default()).unwrap_err();
    assert!(!refusal.mend.is_empty());
    refusal.to_string()
}

#[test]
fn what_cannot_be_compared_is_refused_with_its_mend() {
    use crate::report::model::{RunVerdict, Validity};
    for (sentence, expected) in [
        (refused(|b| b.run = "01A".into()), "both sides are run 01A"),
        (refused(|b| b.validity = Validity::Invalid), "B (run 01B) is invalid"),
        (refused(|b| b.verdict = RunVerdict::Invalid), "B (run 01B) is invalid"),
        (refused(|b| b.load.stopped = Some("interrupted".into())), "stopped before its end (interrupted)"),
        (refused(|b| b.histograms.blocks.clear()), "kept no steps to compare: run it again with this version"),
        (refused(|b| b.requests.values_mut().for_each(|r| r.count = 0)), "B (run 01B) measured nothing"),
        (refused(|b| b.load.model = "closed loop".into()), "A is open loop, B is closed loop"),
        (refused(|b| b.load.arrivals = "poisson".into()), "A has uniform arrivals, B has poisson"),
        (refused(|b| b.load.target_rate = Some(210.0)), "A was driven at 200/s, B at 210/s"),
        (refused(|b| b.test = "other".into()), "A is of the test 'shop', B of 'other'"),
        (refused(|b| drop(b.requests.remove("home"))), "measured nothing"),
        (refused(|b| drop(b.requests.insert("pay".into(), b.requests["home"].clone()))), "'pay' of B is not in A"),
        (refused(|b| b.requests.get_mut("home").unwrap().method = "POST".into()), "is GET in A, POST in B"),
        (refused(|b| b.requests.get_mut("home").unwrap().url = "http://b/x".into()), "goes to /home in A, to /x in B"),
        (
            refused(|b| b.histograms.blocks.values_mut().flatten().for_each(|block| block.latency = "AAAA".into())),
            "B (run 01B) is damaged: a histogram of the report can't be read",
        ),
        (
            refused(|b| b.timeline.iter_mut().for_each(|step| step.planned_rate = Some(10.0 * step.t))),
            "run both with the same course of the rate",
        ),
    ] {
        assert!(sentence.contains(expected), "{sentence}");
    }
}

#[test]
fn a_target_rate_within_2_percent_is_compared_and_not_held_against_the_target() {
    let (a, mut b) = (report("01A", 1.0, &["home"]), report("01B", 1.0, &["home"]));
    b.load.target_rate = Some(202.0);
    b.histograms.blocks.values_mut().flatten().for_each(|block| block.ended += 2);
    let comparison = compared(&a, &b, &[]);
    let rate = comparison.sections[0].rows.iter().find(|row| row.metric == "http-home/rate").unwrap();
    assert_eq!((rate.verdict, rate.p), (Verdict::Same, Some(0.0)));
    assert!(rate.note.as_ref().unwrap().contains("the two loads differ by themselves"), "{rate:?}");
}

#[test]
fn hosts_may_differ_and_what_else_does_is_said() {
    let (a, mut b) = (report("01A", 1.0, &["home"]), report("01B", 1.0, &["home"]));
    b.requests.get_mut("home").unwrap().url = "http://b:81/home?fast=1".into();
    (b.load.connections, b.load.timeout, b.loadgrid) = (Some(9), 3.0, "0.9.0".into());
    let notes = compared(&a, &b, &[]).notes.join("\n");
    for note in [
        "the number of connections differs: as many as needed in A, 9 in B",
        "the timeout differs: 10s in A, 3s in B",
        "loadgrid's version differs: 0.1.0 in A, 0.9.0 in B",
        "the query of 'home' differs: none in A, fast=1 in B",
        "the two ran at different times",
    ] {
        assert!(notes.contains(note), "{note} is not in:\n{notes}");
    }
}

#[test]
fn in_a_closed_loop_the_connections_are_the_load() {
    let closed = |run: &str, connections: u32| {
        let mut report = report(run, 1.0, &["home"]);
        (report.load.model, report.load.arrivals) = ("closed loop".into(), "closed".into());
        (report.load.target_rate, report.load.connections) = (None, Some(connections));
        report
    };
    assert!(compare(&closed("01A", 8), &closed("01B", 8), &Settings::default()).is_ok());
    let refusal = compare(&closed("01A", 8), &closed("01B", 9), &Settings::default()).unwrap_err();
    assert!(refusal.what.contains("A had 8 requests in flight, B 9"), "{refusal}");
}

#[test]
fn a_slower_version_is_worse_and_a_faster_one_better() {
    let (a, b) = (report("01A", 1.0, &["home"]), report("01B", 1.2, &["home"]));
    let worse = compared(&a, &b, &["http/latency-p50 worse by 5%", "http-home/latency-p50 worse by 50%"]);
    assert_eq!(worse.verdict, Verdict::Worse);
    assert!(worse.summary.starts_with("B is worse than A in"), "{}", worse.summary);
    let states: Vec<OutcomeState> = worse.fail_if.iter().map(|outcome| outcome.state).collect();
    assert_eq!(states, [OutcomeState::Violated, OutcomeState::Holds]);
    assert_eq!(worse.exit_code(), 1);
    assert_eq!(compared(&b, &a, &[]).verdict, Verdict::Better);
    let p50 = &worse.sections[0].rows[1];
    assert_eq!(p50.metric, "http-home/latency-p50");
    assert!(p50.low.unwrap() < 0.2 && 0.2 < p50.high.unwrap(), "{p50:?}");
    let same = compared(&a, &report("01C", 1.0, &["home"]), &["http/latency-p97 worse"]);
    assert_eq!(same.verdict, Verdict::Same, "{}", same.summary);
    // What a condition asks for is measured, although no table shows it by itself.
    assert!(same.sections[0].rows.iter().any(|row| row.metric == "http-home/latency-p97"));
    assert_eq!((same.fail_if[0].state, same.exit_code()), (OutcomeState::Holds, 0));
}

#[test]
fn several_requests_are_compared_together_and_each() {
    let (a, b) = (report("01A", 1.0, &["home", "pay"]), report("01B", 1.0, &["home", "pay"]));
    let comparison =
        compared(&a, &b, &["http/latency-p99 worse by 5%", "http-pay/error-rate worse", "grpc/rate worse"]);
    let names: Vec<&str> = comparison.sections.iter().map(|section| section.name.as_str()).collect();
    assert_eq!(names, ["all requests", "home", "pay"]);
    assert_eq!(comparison.sections[0].rows[0].metric, "http/latency-mean");
    let family = comparison.sections.iter().flat_map(|section| &section.rows).filter(|row| row.p.is_some()).count();
    assert_eq!(comparison.family as usize, family);
    assert_eq!(comparison.fail_if[2].because, "the comparison has no such row");
    assert_eq!(comparison.exit_code(), 3);
}

#[test]
fn a_small_sample_has_values_and_no_verdict() {
    let (a, b) = (report("01A", 1.0, &["home"]), report("01B", 1.0, &["home"]));
    // 12,000 requests are worth the 3,688 that a p99.9 takes; a tenth of each second is not.
    let p99_9 = |comparison: &Comparison| {
        let mut rows = comparison.sections[0].rows.clone();
        rows.swap_remove(rows.iter().position(|row| row.metric == "http-home/latency-p99.9").unwrap())
    };
    assert!(p99_9(&compared(&a, &b, &[])).difference.is_some());
    let mut tenth = [a.clone(), b.clone()];
    for block in tenth.iter_mut().flat_map(|report| report.histograms.blocks.values_mut().flatten()) {
        let latency = crate::report::hdr::decode_recorded(&block.latency).unwrap();
        let few = loadgrid_proto::Recorded::from_counts(latency.buckets().step_by(10).map(|(bucket, _)| (bucket, 1)));
        block.latency = crate::report::hdr::encode(&few).unwrap();
    }
    let row = p99_9(&compared(&tenth[0], &tenth[1], &[]));
    assert!(row.value_a.is_some() && row.difference.is_none() && row.verdict == Verdict::Unknown);
    assert!(row.note.as_ref().unwrap().contains("n too small: it takes 3688 independent requests"), "{row:?}");
    let mut few = [a, b];
    for report in &mut few {
        let blocks = report.histograms.blocks.get_mut("home").unwrap();
        blocks.truncate(5);
    }
    let comparison = compared(&few[0], &few[1], &["http/latency-p99 worse by 5%"]);
    assert_eq!(comparison.verdict, Verdict::Unknown);
    let row = &comparison.sections[0].rows[0];
    assert!(row.value_a.is_some() && row.note.as_ref().unwrap().contains("too few steps"), "{row:?}");
    assert_eq!(comparison.exit_code(), 3);
}

#[test]
fn dropped_requests_count_as_the_longest_wait() {
    let (a, mut b) = (report("01A", 1.0, &["home"]), report("01B", 1.0, &["home"]));
    b.requests.get_mut("home").unwrap().dropped = 600;
    b.histograms.blocks.values_mut().flatten().for_each(|block| block.dropped = 10);
    let comparison = compared(&a, &b, &[]);
    let row = |metric: &str| comparison.sections[0].rows.iter().find(|row| row.metric == metric).unwrap();
    let p99 = row("http-home/latency-p99");
    assert_eq!(p99.verdict, Verdict::Worse);
    assert!((9.9..10.1).contains(&p99.value_b.unwrap()), "{p99:?}");
    assert_eq!(row("http-home/service-time-p99").verdict, Verdict::Same);
    assert!(comparison.notes.iter().any(|note| note.contains("600 of B were dropped: they count as latencies of 10s")));
}

#[test]
fn a_difference_below_what_generators_add_is_not_the_targets() {
    let (mut a, b) = (report("01A", 1.0, &["home"]), report("01B", 1.1, &["home"]));
    a.total.dispatch_lag.p50 = Some(0.1);
    let comparison = compared(&a, &b, &[]);
    assert_eq!(comparison.verdict, Verdict::Same);
    let p50 = &comparison.sections[0].rows[1];
    assert!(p50.p.unwrap() < 0.001 && !p50.suspected);
    assert!(p50.note.as_ref().unwrap().contains("what the generators add (100ms)"), "{p50:?}");
}

#[test]
fn versions_are_compared_second_by_second() {
    let report = side_by_side(1.1);
    let settings = Settings { seed: 7, fail_if: vec!["http/latency-p50 worse".parse().unwrap()] };
    let comparison = versions(&report, "current", "candidate", &settings).unwrap();
    assert!(comparison.paired);
    assert_eq!((comparison.a.label.as_str(), comparison.b.label.as_str()), ("current", "candidate"));
    assert_eq!((comparison.a.target_rate, comparison.sections[0].name.as_str()), (Some(100.0), "home"));
    assert_eq!(comparison.sections[0].rows[1].metric, "http-home/latency-p50");
    assert_eq!((comparison.verdict, comparison.exit_code()), (Verdict::Worse, 1));
    let last = |spectrum: &[(f64, f64)]| spectrum.last().copied().unwrap().1;
    assert!(last(&comparison.spectra.latency_b) > last(&comparison.spectra.latency_a));
    // Side by side the seconds' own levels cancel.
    let width = |row: &model::Row| row.high.unwrap() - row.low.unwrap();
    let (mut a, mut b) = (report.clone(), report.clone());
    (a.run, b.run) = ("01A".into(), "01B".into());
    for (side, version) in [(&mut a, "@current"), (&mut b, "@candidate")] {
        let rename = |name: &String| name.strip_suffix(version).map(str::to_owned);
        side.requests = side.requests.iter().filter_map(|(name, r)| Some((rename(name)?, r.clone()))).collect();
        let blocks = side.histograms.blocks.iter();
        side.histograms.blocks = blocks.filter_map(|(name, r)| Some((rename(name)?, r.clone()))).collect();
    }
    let apart = compared(&a, &b, &[]);
    assert!(width(&comparison.sections[0].rows[1]) < 0.8 * width(&apart.sections[0].rows[1]));
    for (current, candidate, expected) in [
        ("current", "current", "both sides are version current"),
        ("current", "next", "no version 'next': name two of candidate, current"),
    ] {
        let refusal = versions(&report, current, candidate, &settings).unwrap_err().to_string();
        assert!(refusal.contains(expected), "{refusal}");
    }
}

#[test]
fn every_format_shows_the_verdict_and_text_keeps_its_width() {
    let (a, b) = (report("01A", 1.0, &["home", "pay"]), report("01B", 1.2, &["home", "pay"]));
    let comparison = compared(&a, &b, &["http/latency-p99 worse by 5%"]);
    let text = render(&comparison, Format::Text, false).unwrap();
    assert!(text.starts_with("shop: WORSE\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    assert!(render(&comparison, Format::Text, true).unwrap().contains("\x1b[31mWORSE\x1b[0m"));
    assert!(render(&comparison, Format::Markdown, false).unwrap().contains("— **WORSE**"));
    let json = render(&comparison, Format::Json, false).unwrap();
    assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), comparison);
}

#[test]
fn the_text_reads_as_people_know_it() {
    let (a, b) = (report("01A", 1.0, &["home"]), report("01B", 1.2, &["home"]));
    let comparison = compared(&a, &b, &["http/latency-p99 worse by 5%", "http/error-rate worse by 0.1%"]);
    insta::assert_snapshot!(render(&comparison, Format::Text, false).unwrap());
}

#[test]
fn the_markdown_reads_as_people_know_it() {
    let (a, b) = (report("01A", 1.0, &["home"]), report("01B", 1.2, &["home"]));
    let comparison = compared(&a, &b, &["http/latency-p99 worse by 5%"]);
    insta::assert_snapshot!(render(&comparison, Format::Markdown, false).unwrap());
}
