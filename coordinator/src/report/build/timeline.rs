//! The run second by second and percentile by percentile: what the plots are drawn from.

use std::collections::BTreeMap;

use loadgrid_proto::Recorded;
use loadgrid_proto::histogram::Histogram;

use super::super::hdr;
use super::super::model::{Block, Second, SecondHistogram};
use super::NS;
use crate::grid::RunState;
use crate::results::Which;
use crate::slo::Part;

/// Points of a spectrum per tenfold of 1 / (1 − share).
const SPECTRUM_POINTS: usize = 40;

/// Blocks of a request at most: neighbours are put together beyond it.
const BLOCKS_MAX: usize = 600;

pub(super) fn timeline(state: &RunState) -> Vec<Second> {
    let timeline = &state.results.timeline;
    let end_ns = state.results.end_ns;
    let (step, seconds) = timeline.whole_seconds();
    let mut seconds = seconds.into_owned();
    // The last answers come a moment after the last whole second: a step of some milliseconds of its own would look
    // like a drop of the rate.
    while seconds.len() > 1 && end_ns.saturating_sub((seconds.len() as u64 - 1) * step) < step / 4 {
        if let (Some(rest), Some(last)) = (seconds.pop(), seconds.last_mut()) {
            last.merge_next(&rest);
        }
    }
    let count = seconds.len();
    let length = |place: usize| match place + 1 == count {
        true => step.min(end_ns.saturating_sub(place as u64 * step)).max(1),
        false => step,
    };
    seconds
        .iter()
        .enumerate()
        .map(|(place, second)| step_model(state, (place as u64 * step, step), length(place), second))
        .collect()
}

fn step_model(
    state: &RunState,
    (from, step): (u64, u64),
    length: u64,
    second: &crate::results::timeline::Second,
) -> Second {
    let load = &state.plan.test.load;
    let (warmup, main) = (load.warmup(), load.main());
    let end = load.warmup_ns + main.duration_ns();
    let planned_by =
        |t: u64| warmup.cumulative(t.min(load.warmup_ns)) + main.cumulative(t.saturating_sub(load.warmup_ns));
    let until = (from + step).min(end);
    let planned = (state.plan.is_open_loop() && from < end)
        .then(|| (planned_by(until) - planned_by(from)) / ((until - from) as f64 / NS));
    let latency = second.part(Part::Latency, &Which::All, None);
    let service = second.part(Part::ServiceTime, &Which::All, None);
    let at = |recorded: &Recorded, quantile: f64| recorded.quantile(quantile).map(|ns| ns as f64 / NS);
    let span = length as f64 / NS;
    Second {
        t: from as f64 / NS,
        length: span,
        warmup: from < load.warmup_ns,
        planned_rate: planned,
        achieved_rate: second.started as f64 / span,
        completed: second.completed,
        errors: second.errors,
        dropped: second.dropped,
        in_flight: second.in_flight,
        waiting: second.waiting,
        connections: second.connections,
        p50: at(&latency, 0.5),
        p90: at(&latency, 0.9),
        p99: at(&latency, 0.99),
        max: (latency.count() > 0).then(|| latency.summary().max as f64 / NS),
        service_p50: at(&service, 0.5),
        service_p99: at(&service, 0.99),
    }
}

pub(super) fn by_second(state: &RunState) -> Result<Vec<SecondHistogram>, String> {
    let (step_ns, seconds) = state.results.timeline.whole_seconds();
    let step = step_ns as f64 / NS;
    let mut histograms = Vec::new();
    for (place, second) in seconds.iter().enumerate() {
        let latency = second.part(Part::Latency, &Which::All, Some(false));
        if latency.count() > 0 {
            histograms.push(SecondHistogram { t: place as f64 * step, length: step, latency: hdr::encode(&latency)? });
        }
    }
    Ok(histograms)
}

/// Each request's main phase in steps, by name. A last step that is but the tail of the answers belongs to the one before.
pub(super) fn blocks(state: &RunState) -> Result<BTreeMap<String, Vec<Block>>, String> {
    let timeline = &state.results.timeline;
    let step_ns = timeline.step_ns();
    let together = timeline.seconds().len().div_ceil(BLOCKS_MAX).max(1);
    let mut steps: Vec<_> = timeline
        .seconds()
        .chunks(together)
        .map(|chunk| {
            let mut step = crate::results::timeline::Second::default();
            chunk.iter().for_each(|one| step.merge_next(one));
            step
        })
        .collect();
    let step_ns = step_ns * together as u64;
    while steps.len() > 1 && state.results.end_ns.saturating_sub((steps.len() as u64 - 1) * step_ns) < step_ns / 4 {
        if let (Some(rest), Some(last)) = (steps.pop(), steps.last_mut()) {
            last.merge_next(&rest);
        }
    }
    let mut blocks = BTreeMap::new();
    for (number, request) in state.plan.test.requests.iter().enumerate() {
        let which = Which::one(number as u32);
        let mut own = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            let counts = step.counts(&which);
            if counts.ended + counts.dropped == 0 {
                continue;
            }
            let encode = |part: Part| match step.part(part, &which, Some(false)) {
                recorded if recorded.count() == 0 => Ok(String::new()),
                recorded => hdr::encode(&recorded),
            };
            own.push(Block {
                t: (place as u64 * step_ns) as f64 / NS,
                length: step_ns as f64 / NS,
                ended: counts.ended,
                errors: counts.errors,
                dropped: counts.dropped,
                latency: encode(Part::Latency)?,
                service_time: encode(Part::ServiceTime)?,
            });
        }
        blocks.insert(request.name.clone(), own);
    }
    Ok(blocks)
}

/// The whole spectrum, evenly on a log-percentile axis, to the last sample.
pub(super) fn spectrum(histogram: &Histogram) -> Vec<(f64, f64)> {
    let count = histogram.count();
    if count == 0 {
        return Vec::new();
    }
    let tenfolds = (count as f64).log10();
    let points = (tenfolds * SPECTRUM_POINTS as f64).ceil() as usize;
    let share = |point: usize| 1.0 - 10f64.powf(-(point as f64 / SPECTRUM_POINTS as f64));
    let mut spectrum: Vec<(f64, f64)> =
        (0..points).filter_map(|point| Some((share(point), histogram.quantile(share(point))? as f64 / NS))).collect();
    spectrum.push((1.0, histogram.summary().max as f64 / NS));
    spectrum
}
