//! What the page shows, and what it must not.

use std::collections::BTreeMap;

use super::super::figures::{show_bytes, show_clock, show_percent, show_percentile, show_rate};
use super::super::model::{Histograms, Interval, SCHEMA, Second};
use super::*;
use crate::compare::model::Versions;

const HOSTILE: &str = "<script>alert(1)</script>\"' onload=x";

fn of_json<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap()
}

fn distribution(scale: f64) -> Distribution {
    let at = |times: f64| Some(times * scale);
    let (p50, p90, p99, max, mean) = (at(1.0), at(1.5), at(4.0), at(9.0), at(1.1));
    Distribution { count: 1000, p50, p90, p99, max, mean, ..Distribution::default() }
}

fn request(url: &str) -> Request {
    let tail = [("p99", Some(0.07)), ("p99_95", None)];
    Request {
        method: "GET".into(),
        url: url.into(),
        count: 1000,
        errors: 10,
        error_rate: 0.01,
        statuses: BTreeMap::from([("200".into(), 990), ("503".into(), 7)]),
        error_kinds: BTreeMap::from([("status".into(), 7), (HOSTILE.into(), 3)]),
        latency: distribution(0.02),
        service_time: distribution(0.002),
        latency_intervals: tail.map(|(name, low)| (name.into(), Interval { low, high: None })).into(),
        ..Request::default()
    }
}

fn slo(expr: &str, verdict: RunVerdict) -> Slo {
    let text = r#"{"expr": "", "metric": "", "comparison": "<=", "limit": 0.05, "observed": 0.08,
        "interval": {"low": 0.07, "high": null}, "effective_samples": 812, "verdict": "fail",
        "shown": {"limit": "50ms", "observed": "80ms", "interval": "[70ms, n too small]"}}"#;
    Slo { expr: expr.into(), verdict, note: Some(HOSTILE.into()), ..of_json(text) }
}

fn load() -> Load {
    let text = r#"{"model": "open loop", "arrivals": "poisson", "profile": "100/s for 20s", "seed": 1,
        "planned": 2003, "sent": 2000, "completed": 1980, "errors": 20, "dropped": 2, "cancelled": 0, "dropped_waited": 1,
        "dropped_not_started": 1, "lost": 1, "late": 0, "coverage": 0.9985, "target_rate": 100,
        "achieved_rate": 99.9, "planned_duration": 20, "duration": 20, "warmup": 2, "warmup_requests": 200,
        "timeout": 5, "max_wait": 1, "connections": null}"#;
    Load { seed: u64::MAX, stopped: Some(HOSTILE.into()), ..of_json(text) }
}

fn worker() -> model::Worker {
    model::Worker {
        id: HOSTILE.into(),
        lanes: 1,
        planned: None,
        sent: 2000,
        errors: 20,
        dropped: 2,
        lost: 1,
        complete: false,
        start_skew: Some(-0.001),
        clock_bound: 0.0002,
        busy: 0.4,
        connections: 8,
        audit: "degraded".into(),
        latency: distribution(0.02),
        service_time: Distribution::default(),
    }
}

fn gate(name: &str, state: &str) -> Gate {
    let text = || HOSTILE.to_owned();
    Gate { gate: name.into(), state: state.into(), saw: text(), means: text(), todo: text() }
}

fn step(t: u32) -> Second {
    let text = r#"{"t": 0, "length": 1, "warmup": false, "planned_rate": 100, "achieved_rate": 99, "p50": 0.02,
        "completed": 99, "errors": 1, "dropped": 0, "in_flight": 2, "waiting": 0, "connections": 8}"#;
    Second { t: f64::from(t), warmup: t < 2, ..of_json(text) }
}

fn report(verdict: RunVerdict) -> Report {
    let invalid = verdict == RunVerdict::Invalid;
    let (lag, validity) = if invalid { ("invalid", Validity::Invalid) } else { ("ok", Validity::Degraded) };
    Report {
        confidence: true,
        schema: SCHEMA.into(),
        loadgrid: "0.1.0".into(),
        run: "01J".into(),
        test: HOSTILE.into(),
        started_at: "2025-03-01T12:30:00.5Z".into(),
        verdict,
        reasons: vec![HOSTILE.into()],
        validity,
        exit_code: 1,
        load: load(),
        requests: BTreeMap::from([
            (HOSTILE.into(), request("https://shop.example/<script>alert(1)</script>")),
            ("home".into(), request("http://shop.example/?a=\"b\"")),
        ]),
        total: request(""),
        slos: vec![slo("http/latency-p99 <= 50ms", verdict), slo("http/error-rate <= 1%", RunVerdict::Pass)],
        audit: vec![gate("clock", "ok"), gate("late", "degraded"), gate("dispatch-lag", lag)],
        workers: vec![worker()],
        timeline: (0..20).map(step).collect(),
        connections: Connections {
            opened: 8,
            unsolicited: 1,
            connect_time: distribution(0.001),
            handshake_time: distribution(0.004),
            retried: 2,
            goaways: 1,
        },
        ready: vec![],
        outside: vec![],
        notes: vec![HOSTILE.into()],
        versions: None,
        histograms: Histograms {
            blocks: Default::default(),
            encoding: String::new(),
            requests: BTreeMap::new(),
            latency_by_second: vec![],
            latency_spectrum: vec![(0.0, 0.01), (0.9, 0.03), (1.0, 0.18)],
            service_time_spectrum: vec![(0.0, 0.001), (0.9, 0.003), (1.0, 0.018)],
        },
    }
}

#[test]
fn what_others_wrote_is_text() {
    let report = report(RunVerdict::Fail);
    let html = render(&report).unwrap();
    assert!(!html.contains("<script") && !html.contains("\"' onload"));
    assert!(html.contains("&lt;script&gt;alert(1)"));
    for slo in &report.slos {
        assert!(html.contains(&slo.expr.replace('<', "&lt;")), "{}", slo.expr);
    }
    for what in
        ["OPEN LOOP", "FAIL", "2,003", "18446744073709551615", "p99.95", "≥\u{a0}70ms", "2025-03-01 12:30:00 UTC"]
    {
        assert!(html.contains(what), "{what}");
    }
}

#[test]
fn nothing_is_fetched() {
    let html = render(&report(RunVerdict::Inconclusive)).unwrap();
    for part in ["src=", "@import", "url(", "<link", "href=\"h", "href=\"/"] {
        assert!(!html.contains(part), "{part}");
    }
}

#[test]
fn an_invalid_run_passes_nothing() {
    let mut report = report(RunVerdict::Invalid);
    for verdict in [RunVerdict::Invalid, RunVerdict::Pass] {
        report.verdict = verdict;
        let html = render(&report).unwrap();
        assert!(!html.contains("PASS") && html.contains("INVALID"));
        assert!(html.contains("not a measurement of the target"));
    }
}

#[test]
fn an_empty_run_is_shown() {
    let mut report = report(RunVerdict::Inconclusive);
    (report.requests, report.total) = (BTreeMap::new(), Request::default());
    (report.slos, report.audit, report.workers, report.timeline) = (vec![], vec![], vec![], vec![]);
    (report.histograms.latency_spectrum, report.histograms.service_time_spectrum) = (vec![], vec![]);
    (report.load.coverage, report.load.achieved_rate) = (f64::NAN, f64::INFINITY);
    report.reasons.clear();
    (report.load.sent, report.load.dropped, report.load.lost, report.load.planned) = (0, 0, 0, 0);
    let html = render(&report).unwrap();
    assert!(!html.contains("NaN") && !html.contains(">inf"), "{html}");
}

#[test]
fn shares_are_not_rounded_to_all_or_nothing() {
    for (share, text) in [(1.0, "100%"), (0.0, "0%"), (0.99999, "99.999%"), (0.0123, "1.23%"), (1e-9, "under 0.0001%")]
    {
        assert_eq!(show_percent(share), text);
    }
    assert_eq!(
        (show_rate(1234567.8), show_rate(1.5), show_bytes(1536.0)),
        ("1,234,568".into(), "1.5".into(), "1.5 kB".into())
    );
    for (share, text) in [(0.0, "0%"), (0.5, "50%"), (0.9, "90%"), (0.999, "99.9%"), (0.99997, "99.997%")] {
        assert_eq!(show_percentile(share), text);
    }
    assert_eq!((show_clock(90.0), show_clock(0.0), show_clock(7200.0)), ("1m30s".into(), "0s".into(), "2h".into()));
}

#[test]
fn versions_have_a_section_where_there_are_some() {
    let mut report = report(RunVerdict::Pass);
    assert!(!render(&report).unwrap().contains("Versions side by side"));
    let (names, winner) = (vec![HOSTILE.to_owned(), "other".to_owned()], Some("other".to_owned()));
    report.versions = Some(Versions { names, winner, summary: "other wins".into(), ..Versions::default() });
    let html = render(&report).unwrap();
    assert!(html.contains("</span> WINNER</span> <b>other</b>") && html.contains("--side-a:"));
    assert!(!html.contains("<script"));
    report.validity = Validity::Invalid;
    let html = render(&report).unwrap();
    assert!(html.contains("Versions side by side") && !html.contains("WINNER") && !html.contains("other wins"));
}
