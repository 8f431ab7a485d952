//! Puts the lanes' reports of one interval together into the worker's.

use std::collections::BTreeMap;

use crate::engine::LaneReport;
use crate::interval::Interval;

/// The reports of a run that are not complete yet.
#[derive(Debug)]
pub struct Assembler {
    /// For each lane how many intervals it is done with.
    done: Vec<u64>,
    finished: Vec<bool>,
    pending: BTreeMap<u64, Interval>,
    not_started: (u64, u64),
}

impl Assembler {
    pub fn new(lanes: u32) -> Self {
        Assembler {
            done: vec![0; lanes as usize],
            finished: vec![false; lanes as usize],
            pending: BTreeMap::new(),
            not_started: (0, 0),
        }
    }

    /// Takes up a report; gives the intervals that it completes, in order.
    pub fn take(&mut self, report: LaneReport) -> Vec<Interval> {
        match report {
            LaneReport::Interval { lane, number, interval } => {
                let lane = lane as usize;
                // A lane's last report comes at no interval's end: it goes into the one that is running.
                let number = if number == u64::MAX { self.done[lane] } else { number };
                self.done[lane] = self.done[lane].max(number + 1);
                match self.pending.entry(number) {
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        entry.insert(*interval);
                    }
                    std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().merge_lane(&interval),
                }
            }
            LaneReport::Finished { lane, not_started_warmup, not_started } => {
                self.finished[lane as usize] = true;
                self.not_started.0 += not_started_warmup;
                self.not_started.1 += not_started;
            }
        }
        let lanes = self.done.iter().zip(&self.finished);
        let complete = lanes.filter(|(_, finished)| !**finished).map(|(done, _)| *done).min();
        let later = match complete {
            Some(complete) => self.pending.split_off(&complete),
            None => BTreeMap::new(),
        };
        std::mem::replace(&mut self.pending, later).into_values().collect()
    }

    /// Whether all lanes are.
    pub fn is_finished(&self) -> bool {
        self.finished.iter().all(|finished| *finished)
    }

    /// Arrivals that were never due because of a stop: (warm-up, main).
    pub fn not_started(&self) -> (u64, u64) {
        self.not_started
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lane: u32, number: u64) -> LaneReport {
        LaneReport::Interval { lane, number, interval: Box::default() }
    }

    fn finished(lane: u32) -> LaneReport {
        LaneReport::Finished { lane, not_started_warmup: 1, not_started: 2 }
    }

    #[test]
    fn an_interval_is_complete_when_every_lane_is_past_it() {
        let mut assembler = Assembler::new(2);
        assert_eq!(assembler.take(report(0, 0)).len(), 0);
        assert_eq!(assembler.take(report(0, 1)).len(), 0);
        assert_eq!(assembler.take(report(1, 0)).len(), 1);
        // Lane 1 had no room to report its second interval: its third carries both.
        assert_eq!(assembler.take(report(1, 2)).len(), 1);
        assert_eq!(assembler.take(report(0, u64::MAX)).len(), 1);
    }

    #[test]
    fn lanes_that_are_finished_hold_nothing_up() {
        let mut assembler = Assembler::new(2);
        assembler.take(report(1, 0));
        assert_eq!(assembler.take(report(0, u64::MAX)).len(), 1);
        assert_eq!(assembler.take(finished(0)).len(), 0);
        assert_eq!(assembler.take(report(1, 1)).len(), 1);
        assert!(!assembler.is_finished());
        assert_eq!(assembler.take(report(1, u64::MAX)).len(), 1);
        assembler.take(finished(1));
        assert!(assembler.is_finished());
        assert_eq!(assembler.not_started(), (2, 4));
    }
}
