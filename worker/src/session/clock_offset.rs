//! The offset between this worker's clock and the coordinator's, from pings over the session.
//!
//! Of a ping's round trip only its bounds are certain: the coordinator's reading lies between sending and receiving,
//! so the midpoint is off by at most half the round trip (Cristian 1989). The shortest round trip of late is believed.

use std::collections::VecDeque;

/// For how long a ping is remembered, ns: drift between the clocks stays small meanwhile, however seldom pings are.
const REMEMBERED_NS: u64 = 30_000_000_000;

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
    /// When it was over, on this worker's clock.
    at_ns: u64,
    ns: u64,
    offset_ns: i64,
}

impl ClockOffset {
    /// A ping sent and received at the worker's `sent` and `received`, read by the coordinator at its `remote`; ns.
    pub fn take(&mut self, sent: u64, remote: u64, received: u64) {
        let ns = received.saturating_sub(sent);
        let middle = sent + ns / 2;
        self.round_trips.push_back(RoundTrip { at_ns: received, ns, offset_ns: remote.wrapping_sub(middle) as i64 });
        while self.round_trips.front().is_some_and(|oldest| received.saturating_sub(oldest.at_ns) > REMEMBERED_NS) {
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
    fn what_is_older_than_half_a_minute_says_nothing_of_a_clock_that_drifts() {
        const S: u64 = 1_000_000_000;
        let mut clock = ClockOffset::default();
        // The best round trip of all, a minute before the others, between which the clocks went 3 ms apart.
        clock.take(S, 2 * S, S + 10);
        for second in 40..70 {
            let (sent, there) = (second * S, 50_000);
            clock.take(sent, sent + there + S + 3_000_000, sent + 2 * there);
        }
        let (offset, bound) = clock.estimate();
        assert!((offset - 1_003_000_000).unsigned_abs() <= bound, "{offset} ± {bound}");
    }

    #[test]
    fn without_a_ping_nothing_is_known() {
        assert_eq!(ClockOffset::default().estimate(), (0, u64::MAX));
        assert!(!ClockOffset::default().is_settled());
    }
}
