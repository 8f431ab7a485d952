//! Which runs of a history are one series: those that sent what the newest one did. It does not look at what was
//! measured.

use super::model::LeftOut;
use super::{Kind, LoadKey, Point};

/// Rates are the same within so much of the larger.
const RATE_TOLERANCE: f64 = 0.02;

/// So many of the runs left out are named.
const NAMED_MAX: usize = 10;

/// The runs to use, oldest first, and the others.
pub(super) struct Comparable<'a> {
    pub used: Vec<&'a Point>,
    pub left_out: Vec<LeftOut>,
}

/// Takes the runs that are like the newest valid one of their kind.
pub(super) fn comparable(points: &[Point]) -> Comparable<'_> {
    let newest = |kind: Kind| points.iter().rev().find(|point| point.kind == kind && point.valid);
    let (run, capacity) = (newest(Kind::Run), newest(Kind::Capacity));
    let mut found = Comparable { used: Vec::new(), left_out: Vec::new() };
    for point in points {
        let like = match point.kind {
            Kind::Run => run,
            Kind::Capacity => capacity,
        };
        match like.map_or(Some("invalid".to_owned()), |like| difference(point, &like.load)) {
            None => found.used.push(point),
            Some(why) => leave_out(&mut found.left_out, why, &point.run),
        }
    }
    for left in &mut found.left_out {
        let more = left.runs.len().saturating_sub(NAMED_MAX);
        left.runs.drain(..more);
    }
    found
}

fn leave_out(left_out: &mut Vec<LeftOut>, why: String, run: &str) {
    match left_out.iter_mut().find(|left| left.why == why) {
        Some(left) => {
            left.count += 1;
            left.runs.push(run.to_owned());
        }
        None => left_out.push(LeftOut { why, count: 1, runs: vec![run.to_owned()] }),
    }
}

/// Why a run is not of the series; `None` if it is.
fn difference(point: &Point, newest: &LoadKey) -> Option<String> {
    let load = &point.load;
    if !point.valid {
        return Some("invalid".to_owned());
    }
    if load.model != newest.model {
        return Some(format!("other load model ({})", load.model));
    }
    if load.arrivals != newest.arrivals {
        return Some(format!("other arrivals ({})", load.arrivals));
    }
    if load.requests != newest.requests {
        return Some("other requests".to_owned());
    }
    match (load.target_rate, newest.target_rate) {
        (Some(a), Some(b)) if (a - b).abs() <= RATE_TOLERANCE * a.abs().max(b.abs()) => None,
        (None, None) => None,
        (Some(rate), _) => Some(format!("other target rate ({}/s)", super::show::number(rate))),
        (None, _) => Some("no target rate".to_owned()),
    }
}
