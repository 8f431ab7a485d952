//! Whether two reports can be compared, and what to know beside it if they can. Looks at how they were driven and at
//! what was asked, never at what was measured.

use super::{Refusal, show};
use crate::report::model::{Report, Request, RunVerdict, Second, Validity};

/// How far target rates, and their courses, may lie apart: as a share.
const RATE_APART_MAX: f64 = 0.02;
const COURSE_APART_MAX: f64 = 0.1;

/// How far the share of a request in all arrivals may lie apart.
const MIX_APART_MAX: f64 = 0.02;

/// The parts of a load's course that are compared.
const COURSE_PARTS: usize = 10;

/// Refuses what cannot be compared, and says what differs otherwise.
///
/// # Errors
/// One sentence for people, with its mend.
pub fn check(a: &Report, b: &Report) -> Result<Vec<String>, Refusal> {
    if a.run == b.run {
        let what = format!("both sides are run {}: there is nothing to compare", a.run);
        return Err(Refusal::new(what, "name two runs"));
    }
    for (label, report) in [("A", a), ("B", b)] {
        check_one(label, report)?;
    }
    same_load(a, b)?;
    same_test(a, b)?;
    Ok(notes(a, b))
}

/// Refuses a report whose figures say nothing of its target, or not enough.
///
/// # Errors
/// As [`check`].
pub fn check_one(label: &str, report: &Report) -> Result<(), Refusal> {
    let named = format!("{label} (run {})", report.run);
    if report.validity == Validity::Invalid || report.verdict == RunVerdict::Invalid {
        let what = format!("{named} is invalid: its figures are the generator's, not the target's");
        return Err(Refusal::new(what, "mend what its audit names, and run it again"));
    }
    if let Some(why) = &report.load.stopped {
        let what = format!("{named} was stopped before its end ({why})");
        return Err(Refusal::new(what, "let it run to its end"));
    }
    let ended: u64 = report.requests.values().map(|request| request.count + request.dropped).sum();
    if ended == 0 {
        return Err(Refusal::new(format!("{named} measured nothing"), "run it for longer, or at a higher rate"));
    }
    if report.histograms.blocks.is_empty() {
        let what = format!("{named} was written by loadgrid {}, which kept no steps to compare", report.loadgrid);
        return Err(Refusal::new(what, "run it again with this version"));
    }
    Ok(())
}

fn same_load(a: &Report, b: &Report) -> Result<(), Refusal> {
    let (a, b) = (&a.load, &b.load);
    let refuse = |what: String, mend: &str| Err(Refusal::new(what, mend));
    if a.model != b.model {
        let what = format!("A is {}, B is {}: at equal rates the two show other times", a.model, b.model);
        return refuse(what, "run both in the same model");
    }
    if a.arrivals != b.arrivals {
        let what = format!("A has {} arrivals, B has {}: those queue differently", a.arrivals, b.arrivals);
        return refuse(what, "run both with the same arrivals");
    }
    if let (Some(of_a), Some(of_b)) = (a.target_rate, b.target_rate)
        && apart(of_a, of_b) > RATE_APART_MAX
    {
        let rate = |rate: f64| show::value(&crate::slo::Statistic::Rate, Some(rate));
        let what = format!("A was driven at {}, B at {}", rate(of_a), rate(of_b));
        return refuse(what, "run both at the same rate");
    }
    // In a closed loop the connections are the load.
    let streams = |load: &crate::report::model::Load| load.connections.map(|count| count * load.streams.unwrap_or(1));
    if a.model != OPEN_LOOP && streams(a) != streams(b) {
        let count = |count: Option<u32>| count.map_or("any number".to_owned(), |count| count.to_string());
        let what = format!("A had {} requests in flight, B {}", count(streams(a)), count(streams(b)));
        return refuse(what, "run both with the same connections and streams");
    }
    Ok(())
}

const OPEN_LOOP: &str = "open loop";

/// How far two rates lie apart, as a share of the larger.
fn apart(a: f64, b: f64) -> f64 {
    let larger = a.abs().max(b.abs());
    if larger > 0.0 { (a - b).abs() / larger } else { 0.0 }
}

fn same_test(a: &Report, b: &Report) -> Result<(), Refusal> {
    let refuse = |what: String, mend: &str| Err(Refusal::new(what, mend));
    if a.test != b.test {
        return refuse(format!("A is of the test '{}', B of '{}'", a.test, b.test), "compare runs of one test");
    }
    let mend = "compare runs of one test with the same requests";
    for (mine, its, other, others) in [("A", a, "B", b), ("B", b, "A", a)] {
        if let Some(name) = its.requests.keys().find(|name| !others.requests.contains_key(*name)) {
            return refuse(format!("the request '{name}' of {mine} is not in {other}"), mend);
        }
    }
    for (name, own) in &a.requests {
        let Some(other) = b.requests.get(name) else { continue };
        if own.method != other.method {
            return refuse(format!("the request '{name}' is {} in A, {} in B", own.method, other.method), mend);
        }
        let (of_a, of_b) = (path(&own.url), path(&other.url));
        if of_a != of_b {
            return refuse(format!("the request '{name}' goes to {of_a} in A, to {of_b} in B"), mend);
        }
        if (share(a, own) - share(b, other)).abs() > MIX_APART_MAX {
            let percent = |share: f64| format!("{:.0}%", share * 100.0);
            let (of_a, of_b) = (percent(share(a, own)), percent(share(b, other)));
            return refuse(format!("the request '{name}' is {of_a} of A's arrivals, {of_b} of B's"), mend);
        }
    }
    let (of_a, of_b) = (course(&a.timeline), course(&b.timeline));
    let course_apart = of_a.iter().zip(&of_b).map(|(a, b)| apart(*a, *b)).fold(0.0, f64::max);
    // Too short for its parts to be told apart: then the profiles themselves have to be the same.
    let shaped = |report: &Report| crate::report::entry::course(&report.load.profile).is_some();
    let untold = (of_a.is_empty() || of_b.is_empty()) && (shaped(a) || shaped(b));
    if course_apart > COURSE_APART_MAX || (untold && a.load.profile != b.load.profile) {
        let what = format!("A was driven at {}, B at {}", a.load.profile, b.load.profile);
        return refuse(what, "run both with the same course of the rate");
    }
    Ok(())
}

/// A request's share of the arrivals by its weight.
fn share(report: &Report, request: &Request) -> f64 {
    let all: u64 = report.requests.values().map(|request| u64::from(request.weight)).sum();
    if all == 0 { 0.0 } else { f64::from(request.weight) / all as f64 }
}

/// A URL's path, without host and query.
fn path(url: &str) -> &str {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after.find('/').and_then(|place| after.get(place..)).unwrap_or("/");
    path.split(['?', '#']).next().unwrap_or(path)
}

/// A URL's query, and nothing where it has none.
fn query(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}

/// The planned rate over the main phase, in parts of equal length; empty in a closed loop.
fn course(timeline: &[Second]) -> Vec<f64> {
    let rates: Vec<f64> =
        timeline.iter().filter(|second| !second.warmup).filter_map(|second| second.planned_rate).collect();
    if rates.len() < COURSE_PARTS {
        return Vec::new();
    }
    (0..COURSE_PARTS)
        .filter_map(|part| {
            let bound = |part: usize| part * rates.len() / COURSE_PARTS;
            let own = rates.get(bound(part)..bound(part + 1))?;
            Some(own.iter().sum::<f64>() / own.len().max(1) as f64)
        })
        .collect()
}

/// What differs and yet can be compared.
fn notes(a: &Report, b: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    let mut differ = |what: &str, of_a: String, of_b: String| {
        if of_a != of_b {
            notes.push(format!("{what} differs: {of_a} in A, {of_b} in B"));
        }
    };
    let count = |count: Option<u32>| count.map_or("as many as needed".to_owned(), |count| count.to_string());
    let time = |seconds: f64| show::time(seconds);
    let (la, lb) = (&a.load, &b.load);
    differ("the number of connections", count(la.connections), count(lb.connections));
    differ("the number of streams", count(la.streams), count(lb.streams));
    differ("the timeout", time(la.timeout), time(lb.timeout));
    differ("the longest wait for a connection", time(la.max_wait), time(lb.max_wait));
    differ("the length", time(whole(la.duration)), time(whole(lb.duration)));
    differ("the warm-up", time(la.warmup), time(lb.warmup));
    differ("the number of workers", a.workers.len().to_string(), b.workers.len().to_string());
    differ("loadgrid's version", a.loadgrid.clone(), b.loadgrid.clone());
    for (name, own) in &a.requests {
        let Some(other) = b.requests.get(name) else { continue };
        differ(&format!("the query of '{name}'"), or_none(query(&own.url)), or_none(query(&other.url)));
        differ(&format!("the protocol of '{name}'"), or_none(&own.protocol), or_none(&other.protocol));
    }
    notes.extend([("A", a), ("B", b)].into_iter().filter_map(|(label, report)| degraded(label, report)));
    notes
}

/// A closed loop ends when its last answer comes.
fn whole(duration: f64) -> f64 {
    if duration >= 10.0 { duration.round() } else { (duration * 10.0).round() / 10.0 }
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { text.to_owned() }
}

/// What a report's own audit has against it, short of refusing it.
pub fn degraded(label: &str, report: &Report) -> Option<String> {
    let gates: Vec<&str> =
        report.audit.iter().filter(|gate| gate.state == "degraded").map(|gate| gate.gate.as_str()).collect();
    (report.validity == Validity::Degraded)
        .then(|| format!("{label} is degraded by its own audit: {}", gates.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_without_host_and_query() {
        for (url, expected) in [
            ("http://a/x/y?z=1", "/x/y"),
            ("http://a:8080", "/"),
            ("https://a?b", "/"),
            ("grpc://a:50051/hello.Greeter/SayHello", "/hello.Greeter/SayHello"),
            ("http://a/{{id}}#b", "/{{id}}"),
            ("", "/"),
        ] {
            assert_eq!(path(url), expected, "{url}");
        }
        assert_eq!((query("http://a/x?y=1"), query("http://a/x")), ("y=1", ""));
    }

    #[test]
    fn rates_lie_apart_by_a_share_of_the_larger() {
        assert!((apart(98.0, 100.0) - 0.02).abs() < 1e-12 && apart(0.0, 0.0) == 0.0 && apart(5.0, 0.0) == 1.0);
    }
}
