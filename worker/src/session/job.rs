//! An assignment off the wire, checked and turned into a job.

use loadgrid_proto::v1;

use crate::allow::AllowList;
use crate::client::feed::Feed;
use crate::client::request::Request;
use crate::client::template::Names;
use crate::client::{reach, resolve};
use crate::engine::{self, Job};
use crate::mix::VERSIONS_MAX;
use crate::schedule::{Arrivals, Load, Stage, counts};

/// A connection to see whether the target is there may take so long at the most, ns.
const REACHABLE_NS_MAX: u64 = 3_000_000_000;

/// Resolves and tries the targets, and puts the job together.
///
/// # Errors
/// A sentence for people: what in the assignment can't be carried out by this worker.
pub async fn prepare(assignment: v1::Assignment, lanes_max: u32, allow: &AllowList) -> Result<Job, String> {
    let load = load(assignment.load.unwrap_or_default())?;
    if assignment.lanes == 0 || assignment.lanes > lanes_max {
        return Err(format!("the assignment is for {} lanes, this worker has {lanes_max}", assignment.lanes));
    }
    let last_lane = assignment.first_lane.checked_add(assignment.lanes);
    if last_lane.is_none_or(|last| last > assignment.total_lanes) {
        return Err("the assignment's lanes lie outside the grid's".to_owned());
    }
    if assignment.connections < assignment.lanes {
        return Err(format!("{} connections are too few for {} lanes", assignment.connections, assignment.lanes));
    }
    if assignment.interval_ns == 0 || assignment.timeout_ns == 0 || assignment.requests.is_empty() {
        return Err("the assignment has no interval, no timeout or no request".to_owned());
    }
    let requests: Vec<Request> =
        assignment.requests.into_iter().map(Request::try_from).collect::<Result<_, String>>()?;
    // Before any name is looked up. The coordinator looks too; a worker need not believe it.
    for request in &requests {
        let (host, port) = request.connects_to();
        allow.check(host, port).map_err(|refusal| format!("request {}: {refusal}", request.name))?;
    }
    if requests.iter().any(|request| request.next.is_some_and(|next| next as usize >= requests.len())) {
        return Err("the assignment has a step that nothing follows".to_owned());
    }
    let feeds: Vec<Feed> = assignment.feeds.into_iter().map(Feed::from).collect();
    let names = Names { feeds: &feeds, captures: &assignment.captures };
    let prepared = engine::prepare(&requests, names, assignment.requests_per_connection == 1)?;
    let (mut targets, target_of) = resolve::targets(&requests).await?;
    let patience = std::time::Duration::from_nanos(assignment.timeout_ns.min(REACHABLE_NS_MAX));
    reach::reachable(&mut targets, patience).await?;
    let (seed, first, lanes, total) =
        (assignment.seed, assignment.first_lane, assignment.lanes, assignment.total_lanes);
    let of_lanes = load.clone();
    let versions = assignment.versions.max(1);
    if versions as usize > VERSIONS_MAX || !requests.len().is_multiple_of(versions as usize) {
        return Err("the assignment's versions do not have the same requests each".to_owned());
    }
    let numbered = requests.iter().any(|request| request.templated || request.body_templated);
    // Drawing millions of Poisson arrivals takes a while.
    let counted = tokio::task::spawn_blocking(move || {
        let offset = if numbered { main_offset(&of_lanes, seed, total, versions) } else { 0 };
        (counts(&of_lanes, seed, first, lanes, total), offset)
    });
    let (planned, main_offset) = counted.await.map_err(|error| error.to_string())?;
    Ok(Job {
        planned,
        main_offset,
        versions,
        prepared,
        feeds,
        connections_fixed: assignment.connections_fixed,
        streams: assignment.streams.max(1),
        requests_per_connection: assignment.requests_per_connection,
        connection_age_ns: assignment.connection_age_ns,
        resolve_every_ns: assignment.resolve_every_ns,
        load,
        seed: assignment.seed,
        first_lane: assignment.first_lane,
        lanes: assignment.lanes,
        total_lanes: assignment.total_lanes,
        requests,
        targets,
        target_of,
        connections: assignment.connections,
        timeout_ns: assignment.timeout_ns,
        max_wait_ns: assignment.max_wait_ns,
        interval_ns: assignment.interval_ns,
        spin: assignment.spin,
        max_body_bytes: assignment.max_body_bytes,
    })
}

/// One more than the highest number of a warm-up arrival, over all lanes of the grid; pairs of versions have one number.
pub fn main_offset(load: &Load, seed: u64, total_lanes: u32, versions: u32) -> u64 {
    let pairs = |arrivals: u64| arrivals.div_ceil(u64::from(versions.max(1)));
    if load.warmup_ns == 0 {
        return 0;
    }
    match load.arrivals {
        Arrivals::Closed => 0,
        Arrivals::Uniform => pairs(load.warmup().count()),
        Arrivals::Poisson => {
            let counts = counts(load, seed, 0, total_lanes, total_lanes);
            counts.iter().map(|(warmup, _)| pairs(*warmup) * u64::from(total_lanes)).max().unwrap_or(0)
        }
    }
}

/// A load profile off the wire.
///
/// # Errors
/// Rates or durations that no schedule can hold.
pub fn load(message: v1::Load) -> Result<Load, String> {
    let arrivals = match v1::load::Arrivals::try_from(message.arrivals) {
        Ok(v1::load::Arrivals::Uniform) => Arrivals::Uniform,
        Ok(v1::load::Arrivals::Poisson) => Arrivals::Poisson,
        Ok(v1::load::Arrivals::Closed) => Arrivals::Closed,
        Err(_) => return Err("the assignment's arrivals are of a kind that this worker does not know".to_owned()),
    };
    let mut stages = Vec::with_capacity(message.stages.len());
    for stage in message.stages {
        let stage = Stage { from: stage.from_per_s, to: stage.to_per_s, duration_ns: stage.duration_ns };
        let rates_hold = stage.from.is_finite() && stage.to.is_finite() && stage.from >= 0.0 && stage.to >= 0.0;
        if !rates_hold || (arrivals != Arrivals::Closed && stage.from + stage.to <= 0.0) {
            return Err("the assignment has a stage without a rate".to_owned());
        }
        stages.push(stage);
    }
    let requests = (message.requests > 0).then_some(message.requests);
    Ok(Load { arrivals, stages, warmup_ns: message.warmup_ns, requests })
}

/// A load profile for the wire.
pub fn encode_load(load: &Load) -> v1::Load {
    let arrivals = match load.arrivals {
        Arrivals::Uniform => v1::load::Arrivals::Uniform,
        Arrivals::Poisson => v1::load::Arrivals::Poisson,
        Arrivals::Closed => v1::load::Arrivals::Closed,
    };
    let stage = |s: &Stage| v1::Stage { from_per_s: s.from, to_per_s: s.to, duration_ns: s.duration_ns };
    v1::Load {
        arrivals: arrivals as i32,
        stages: load.stages.iter().map(stage).collect(),
        warmup_ns: load.warmup_ns,
        requests: load.requests.unwrap_or(0),
    }
}
