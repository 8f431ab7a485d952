//! The offset between this worker's clock and the coordinator's, from pings over the session.
//!
//! Of a ping's round trip only its bounds are certain: the coordinator's reading lies between sending and receiving,
//! so the midpoint is off by at most half the round trip (Cristian 1989). The shortest round trip of late is believed.

use std::collections::VecDeque;

/// Pings that are remembered: at two a second those of the last 30 s, so that drift between the clocks stays small.
const REMEMBERED: usize = 60;

/// Round trips to wait for before the offset is used.
pub const ENOUGH: u64 = 8;

/// What the pings have shown so far.
#[derive(Clone, Debug, Default)]
pub struct ClockOffset {
    round_trips: VecDeque<RoundTrip>,
    taken: u64,
}

#[derive(Clone, Copy, Debug)]
struct RoundTrip {
    ns: u64,
    offset_ns: i64,
}

impl ClockOffset {
    /// A ping sent and received at the worker's `sent` and `received`, read by the coordinator at its `remote`; ns.
    pub fn take(&mut self, sent: u64, remote: u64, received: u64) {
        let ns = received.saturating_sub(sent);
        let middle = sent + ns / 2;
        self.round_trips.push_back(RoundTrip { ns, offset_ns: remote.wrapping_sub(middle) as i64 });
        if self.round_trips.len() > REMEMBERED {
            self.round_trips.pop_front();
        }
        self.taken += 1;
    }

    /// Whether there were [`ENOUGH`].
    pub fn is_settled(&self) -> bool {
        self.taken >= ENOUGH
    }

    /// (coordinator's clock − worker's, bound of its error), ns; (0, `u64::MAX`) before the first ping.
    pub fn estimate(&self) -> (i64, u64) {
        let best = self.round_trips.iter().min_by_key(|trip| trip.ns);
        best.map_or((0, u64::MAX), |trip| (trip.offset_ns, trip.ns.div_ceil(2)))
    }

    /// A coordinator's instant on this worker's clock.
    pub fn to_local(&self, remote: u64) -> u64 {
        remote.wrapping_sub(self.estimate().0 as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_error_is_within_its_bound(
            offset in -1_000_000_000i64..1_000_000_000,
            trips in prop::collection::vec((0u64..1_000_000, 0u64..1_000_000), 1..100),
        ) {
            let mut clock = ClockOffset::default();
            let mut now = 10_000_000_000u64;
            for (there, back) in trips {
                let remote = (now + there).wrapping_add(offset as u64);
                clock.take(now, remote, now + there + back);
                now += 5_000_000;
            }
            let (estimate, bound) = clock.estimate();
            prop_assert!((estimate - offset).unsigned_abs() <= bound);
        }
    }

    #[test]
    fn without_a_ping_nothing_is_known() {
        assert_eq!(ClockOffset::default().estimate(), (0, u64::MAX));
        assert!(!ClockOffset::default().is_settled());
    }
}
