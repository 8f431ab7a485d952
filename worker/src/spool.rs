//! Intervals from their making to their acknowledgement, within a bound.
//!
//! Invariant: what was ever sent keeps its boundaries, because the coordinator may have merged it already; only what
//! was never sent may be put together when the bound is reached. Time resolution is lost then, never data.

use std::collections::VecDeque;

use crate::interval::Interval;

/// Intervals that may be on their way without an acknowledgement.
pub const WINDOW: usize = 16;

/// Never-sent intervals that are kept apart; neighbours are merged beyond it.
pub const UNSENT_MAX: usize = 64;

/// What the coordinator has not acknowledged yet, oldest first.
#[derive(Debug, Default)]
pub struct Spool {
    held: VecDeque<Interval>,
    /// How many of `held`, from the front, were ever sent.
    ever_sent: usize,
    /// How many of `held`, from the front, were sent on this stream.
    on_stream: usize,
    last_sequence: u64,
}

impl Spool {
    /// Takes up an interval and numbers it.
    pub fn push(&mut self, mut interval: Interval) {
        self.last_sequence += 1;
        interval.first_sequence = self.last_sequence;
        interval.sequence = self.last_sequence;
        self.held.push_back(interval);
        if self.held.len() - self.ever_sent > UNSENT_MAX {
            self.halve();
        }
    }

    /// The next one to send, if the window has room. It counts as sent.
    pub fn next_to_send(&mut self) -> Option<&Interval> {
        if self.on_stream >= WINDOW {
            return None;
        }
        let interval = self.held.get(self.on_stream)?;
        self.on_stream += 1;
        self.ever_sent = self.ever_sent.max(self.on_stream);
        Some(interval)
    }

    /// Everything up to this number is merged. Numbers never sent are not believed.
    pub fn acknowledge(&mut self, sequence: u64) {
        while self.ever_sent > 0 && self.held.front().is_some_and(|interval| interval.sequence <= sequence) {
            self.held.pop_front();
            self.ever_sent -= 1;
            self.on_stream = self.on_stream.saturating_sub(1);
        }
    }

    /// A new stream: what is merged is forgotten, the rest is sent again.
    pub fn reconnected(&mut self, merged: u64) {
        self.acknowledge(merged);
        self.on_stream = 0;
    }

    /// The number of the last interval made.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// Whether everything is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn halve(&mut self) {
        let unsent: Vec<Interval> = self.held.drain(self.ever_sent..).collect();
        for (place, interval) in unsent.into_iter().enumerate() {
            match self.held.back_mut() {
                Some(previous) if place % 2 == 1 => previous.merge_next(&interval),
                _ => self.held.push_back(interval),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::{Key, Series};
    use proptest::prelude::*;

    const KEY: Key = Key { warmup: false, request: 0 };

    fn interval(completed: u64) -> Interval {
        let mut interval = Interval::default();
        interval.series.insert(KEY, Series { completed, ..Series::default() });
        interval
    }

    #[test]
    fn the_window_bounds_what_is_on_its_way() {
        let mut spool = Spool::default();
        (0..20).for_each(|_| spool.push(interval(1)));
        let sent = std::iter::from_fn(|| spool.next_to_send().map(|i| i.sequence)).count();
        assert_eq!(sent, WINDOW);
        spool.acknowledge(3);
        assert_eq!(spool.next_to_send().map(|i| i.sequence), Some(17));
    }

    #[test]
    fn acknowledging_what_was_never_sent_loses_nothing() {
        let mut spool = Spool::default();
        spool.push(interval(1));
        spool.acknowledge(99);
        assert!(!spool.is_empty());
    }

    proptest! {
        /// A coordinator that merges each number once, over a stream that breaks at any moment, sees every sample once.
        #[test]
        fn nothing_is_lost_and_nothing_counted_twice(steps in prop::collection::vec(0u8..4, 1..600)) {
            let mut spool = Spool::default();
            let (mut made, mut merged_to, mut merged) = (0u64, 0u64, 0u64);
            let take = |interval: &Interval, merged_to: &mut u64, merged: &mut u64| {
                if interval.sequence > *merged_to {
                    // What comes again starts where it did before.
                    assert!(interval.first_sequence == *merged_to + 1);
                    *merged_to = interval.sequence;
                    *merged += interval.series[&KEY].completed;
                }
            };
            for step in steps {
                match step {
                    0 | 1 => {
                        made += 1;
                        spool.push(interval(1));
                    }
                    2 => {
                        if let Some(interval) = spool.next_to_send() {
                            take(interval, &mut merged_to, &mut merged);
                        }
                    }
                    _ if made % 3 == 0 => spool.reconnected(merged_to),
                    _ if made % 3 == 1 => spool.acknowledge(merged_to),
                    // The stream broke, and with it every acknowledgement since the last.
                    _ => spool.reconnected(0),
                }
            }
            loop {
                spool.reconnected(merged_to);
                let Some(interval) = spool.next_to_send() else { break };
                take(interval, &mut merged_to, &mut merged);
            }
            prop_assert_eq!(merged, made);
            prop_assert!(spool.is_empty());
        }
    }
}
