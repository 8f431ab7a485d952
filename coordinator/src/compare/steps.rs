//! The steps of a report's main phase, request by request, on one grid: what is drawn from. Knows no statistics.

use std::collections::BTreeMap;

use loadgrid_proto::Recorded;

use crate::report::hdr;
use crate::report::model::{Block, Report};

/// More steps than this are put together: a bootstrap of so many has nothing to gain from more, and its time is bounded.
const STEPS_MAX: usize = 240;

/// A step of which less than this share lies in the main phase goes to its neighbour: its rate would be a guess.
const WHOLE_MIN: f64 = 0.5;

/// One request, or several together, in one step.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// How much of it lies in the main phase, s.
    pub length: f64,
    pub ended: u64,
    pub errors: u64,
    /// Waited too long: never sent.
    pub dropped: u64,
    pub latency: Recorded,
    pub service_time: Recorded,
}

impl Step {
    fn add(&mut self, other: &Step) {
        self.ended += other.ended;
        self.errors += other.errors;
        self.dropped += other.dropped;
        self.latency.merge(&other.latency);
        self.service_time.merge(&other.service_time);
    }
}

/// Each request's steps, all on the same grid.
///
/// # Errors
/// A histogram that can't be read: a sentence for people.
pub fn read(report: &Report) -> Result<BTreeMap<String, Vec<Step>>, String> {
    let (from, to) = (report.load.warmup, report.load.warmup + report.load.duration);
    // A key for times that a reader may have rounded.
    let key = |block: &Block| (block.t.max(0.0) * 1e3).round() as u64;
    let mut grid: BTreeMap<u64, f64> = BTreeMap::new();
    for block in report.histograms.blocks.values().flatten() {
        let within = (block.t + block.length).min(to) - block.t.max(from);
        grid.insert(key(block), within.max(0.0));
    }
    let places = places(&grid.values().copied().collect::<Vec<f64>>());
    let mut lengths = vec![0.0; places.last().map_or(0, |last| last + 1)];
    grid.values().zip(&places).for_each(|(length, place)| {
        if let Some(own) = lengths.get_mut(*place) {
            *own += length;
        }
    });
    let places: BTreeMap<u64, usize> = grid.into_keys().zip(places).collect();
    let mut requests = BTreeMap::new();
    for (name, blocks) in &report.histograms.blocks {
        let mut steps: Vec<Step> = lengths.iter().map(|length| Step { length: *length, ..Step::default() }).collect();
        for block in blocks {
            let step = step(block)?;
            if let Some(own) = places.get(&key(block)).and_then(|place| steps.get_mut(*place)) {
                own.add(&step);
            }
        }
        requests.insert(name.clone(), steps);
    }
    Ok(requests)
}

fn step(block: &Block) -> Result<Step, String> {
    let read = |text: &str| if text.is_empty() { Ok(Recorded::default()) } else { hdr::decode_recorded(text) };
    Ok(Step {
        length: block.length,
        ended: block.ended,
        errors: block.errors,
        dropped: block.dropped,
        latency: read(&block.latency)?,
        service_time: read(&block.service_time)?,
    })
}

/// Which step each one becomes part of: rests at either end go to their neighbours, and neighbours are put together
/// while there are too many.
fn places(lengths: &[f64]) -> Vec<usize> {
    let longest = lengths.iter().copied().fold(0.0, f64::max);
    let whole = |length: &f64| *length >= longest * WHOLE_MIN && longest > 0.0;
    let first = lengths.iter().position(whole).unwrap_or(0);
    let last = lengths.iter().rposition(whole).unwrap_or(0);
    let together = (last + 1 - first).div_ceil(STEPS_MAX).max(1);
    // What is left over at the end would be a shorter step than the others: it goes to the one before.
    let count = ((last + 1 - first) / together).max(1);
    (0..lengths.len())
        .map(|place| (place.clamp(first, last) - first) / together)
        .map(|place| place.min(count - 1))
        .collect()
}

/// Several requests as one.
pub fn together<'a>(requests: impl IntoIterator<Item = &'a Vec<Step>>) -> Vec<Step> {
    let mut sum: Vec<Step> = Vec::new();
    for steps in requests {
        for (place, step) in steps.iter().enumerate() {
            match sum.get_mut(place) {
                Some(own) => own.add(step),
                None => sum.push(step.clone()),
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_at_the_ends_go_to_their_neighbours() {
        // Warm-up until the middle of the second step, and the last answers after the end.
        assert_eq!(places(&[0.0, 0.3, 1.0, 1.0, 1.0, 0.1, 0.0]), [0, 0, 0, 1, 2, 2, 2]);
        assert_eq!(places(&[0.6, 1.0, 0.6]), [0, 1, 2]);
        assert_eq!(places(&[0.0, 0.0]), [0, 0]);
        assert_eq!(places(&[]), [0usize; 0]);
    }

    #[test]
    fn many_steps_are_put_together_evenly() {
        let places = places(&[1.0; 1000]);
        let last = places.last().copied().unwrap();
        assert_eq!(last + 1, 200);
        assert!((0..=last).all(|step| places.iter().filter(|place| **place == step).count() == 5));
        let odd = super::places(&[1.0; 483]);
        assert_eq!((odd.last().copied(), odd.iter().filter(|place| **place == 160).count()), (Some(160), 3));
    }

    #[test]
    fn requests_add_up() {
        let of = |ended: u64| vec![Step { length: 1.0, ended, errors: 1, ..Step::default() }; 2];
        let sum = together([&of(3), &of(4)]);
        assert_eq!(sum.iter().map(|step| (step.ended, step.errors, step.length)).collect::<Vec<_>>(), [(7, 2, 1.0); 2]);
    }
}
