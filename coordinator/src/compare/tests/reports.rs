//! Reports of simulated runs: a minute at 200/s, as they would have been stored.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::json;

use super::simulated::{STEADY, Target, levels, run};
use crate::compare::steps::{Step, together};
use crate::report::hdr::encode;
use crate::report::model::{Block, Report, Request, RequestHistograms};

const SECONDS: usize = 60;
const RATE: usize = 200;

/// One run; each run's name draws its own times.
pub fn report(run_name: &str, scale: f64, requests: &[&str]) -> Report {
    let seed = run_name.bytes().map(u64::from).sum();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let steps = requests.iter().map(|name| {
        let levels = levels(&STEADY, SECONDS, &mut rng);
        ((*name).to_owned(), run(&STEADY, &levels, RATE / requests.len(), scale, &mut rng))
    });
    let steps = steps.collect();
    with_steps(run_name, steps)
}

/// One run of two versions, whose seconds have the same levels.
pub fn side_by_side(scale: f64) -> Report {
    let target = Target { level: 0.1, ..STEADY };
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(3);
    let levels = levels(&target, SECONDS, &mut rng);
    let current = run(&target, &levels, RATE / 2, 1.0, &mut rng);
    let candidate = run(&target, &levels, RATE / 2, scale, &mut rng);
    with_steps("01V", [("home@current".to_owned(), current), ("home@candidate".to_owned(), candidate)].into())
}

fn with_steps(run_name: &str, steps: BTreeMap<String, Vec<Step>>) -> Report {
    let mut report = empty(run_name);
    for (name, steps) in steps {
        let whole = together([&steps]).into_iter().reduce(|mut sum, step| {
            sum.latency.merge(&step.latency);
            sum.service_time.merge(&step.service_time);
            sum
        });
        let whole = whole.unwrap();
        let path = name.split('@').next().unwrap();
        let request = Request {
            method: "GET".into(),
            url: format!("http://a/{path}"),
            weight: 1,
            group: "http".into(),
            count: steps.iter().map(|step| step.ended).sum(),
            errors: steps.iter().map(|step| step.errors).sum(),
            ..Request::default()
        };
        report.requests.insert(name.clone(), request);
        let histograms = RequestHistograms {
            latency: encode(&whole.latency).unwrap(),
            service_time: encode(&whole.service_time).unwrap(),
            dispatch_lag: String::new(),
            connection_wait: String::new(),
            time_to_first_byte: String::new(),
        };
        report.histograms.requests.insert(name.clone(), histograms);
        let block = |(second, step): (usize, &Step)| Block {
            t: second as f64,
            length: step.length,
            ended: step.ended,
            errors: step.errors,
            dropped: step.dropped,
            latency: encode(&step.latency).unwrap(),
            service_time: encode(&step.service_time).unwrap(),
        };
        report.histograms.blocks.insert(name, steps.iter().enumerate().map(block).collect());
    }
    report
}

fn empty(run_name: &str) -> Report {
    let request = serde_json::to_value(Request::default()).unwrap();
    let second = |t: usize| {
        json!({
            "t": t, "length": 1.0, "warmup": false, "planned_rate": 200.0, "achieved_rate": 200.0, "completed": 200,
            "errors": 0, "dropped": 0, "in_flight": 0, "waiting": 0, "connections": 4, "p50": null, "p90": null,
            "p99": null, "max": null, "service_p50": null, "service_p99": null
        })
    };
    let time = &request["latency"];
    let report = json!({
        "schema": "loadgrid.dev/report/v1", "loadgrid": "0.1.0", "run": run_name, "test": "shop",
        "started_at": "2026-11-24T09:00:00Z", "verdict": "pass", "reasons": [], "validity": "valid", "exit_code": 0,
        "confidence": true,
        "load": {
            "model": "open loop", "arrivals": "uniform", "profile": "uniform arrivals, 200/s for 60s", "seed": 7,
            "planned": 12000, "sent": 12000, "completed": 12000, "errors": 0, "cancelled": 0, "dropped": 0,
            "dropped_waited": 0, "dropped_not_started": 0, "lost": 0, "late": 0, "coverage": 1.0,
            "target_rate": 200.0, "achieved_rate": 200.0, "planned_duration": 60.0, "duration": 60.0, "warmup": 0.0,
            "warmup_requests": 0, "timeout": 10.0, "max_wait": 10.0, "connections": null, "stopped": null
        },
        "requests": {}, "total": request, "slos": [], "audit": [], "workers": [],
        "timeline": (0..SECONDS).map(second).collect::<Vec<_>>(),
        "connections": { "opened": 4, "unsolicited": 0, "connect_time": time, "handshake_time": time },
        "histograms": {
            "encoding": "", "requests": {}, "latency_by_second": [], "latency_spectrum": [],
            "service_time_spectrum": []
        }
    });
    serde_json::from_value(report).unwrap()
}
