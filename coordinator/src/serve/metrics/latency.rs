//! A histogram of latencies as metrics have it: the few fixed buckets of the classic form, and the exponential ones of the
//! native form. Both come from the exact histogram, whose buckets are so narrow that a latency which lies on a boundary is
//! at most 0.1 % off.

use std::collections::BTreeMap;

use loadgrid_proto::Recorded;
use loadgrid_proto::histogram::highest;

/// Upper bounds of the classic buckets, ns; the last bucket has none.
pub(super) const BOUNDS: [u64; 18] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// Native buckets for each doubling are 2 to this: 16, each 4.4 % wider than the one before.
pub(super) const SCHEMA: i32 = 4;

/// What is not above this counts as zero, s: 2⁻¹²⁸, as it is usual.
pub(super) const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);

const NANOS: f64 = 1e9;

/// Latencies that were added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Latency {
    count: u64,
    sum_ns: u128,
    /// Each for itself, not cumulated.
    classic: [u64; BOUNDS.len() + 1],
    zero: u64,
    native: BTreeMap<i32, u64>,
}

impl From<&Recorded> for Latency {
    fn from(recorded: &Recorded) -> Self {
        let mut latency = Latency { sum_ns: recorded.summary().sum, ..Latency::default() };
        for (index, count) in recorded.buckets() {
            let value = highest(index);
            latency.count = latency.count.saturating_add(count);
            let bucket = BOUNDS.partition_point(|bound| *bound < value);
            if let Some(classic) = latency.classic.get_mut(bucket) {
                *classic = classic.saturating_add(count);
            }
            let native = match value {
                0 => &mut latency.zero,
                value => latency.native.entry(native_index(value)).or_default(),
            };
            *native = native.saturating_add(count);
        }
        latency
    }
}

/// The native bucket of a latency: the first whose upper bound 2^(index / 16) s is not below it.
fn native_index(value_ns: u64) -> i32 {
    ((value_ns as f64 / NANOS).log2() * f64::from(1 << SCHEMA)).ceil() as i32
}

impl Latency {
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// s.
    pub(super) fn sum(&self) -> f64 {
        self.sum_ns as f64 / NANOS
    }

    pub(super) fn zero(&self) -> u64 {
        self.zero
    }

    /// Upper bound, s, and how many are not above it; the last bound is infinite.
    pub(super) fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let bounds = BOUNDS.iter().map(|bound| *bound as f64 / NANOS).chain([f64::INFINITY]);
        bounds.zip(self.classic.iter().scan(0u64, |sum, count| {
            *sum = sum.saturating_add(*count);
            Some(*sum)
        }))
    }

    /// The native buckets that are not empty.
    pub(super) fn native(&self) -> impl Iterator<Item = (i32, u64)> + '_ {
        self.native.iter().map(|(index, count)| (*index, *count))
    }

    pub(super) fn add(&mut self, other: &Latency) {
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
        self.zero = self.zero.saturating_add(other.zero);
        for (mine, other) in self.classic.iter_mut().zip(&other.classic) {
            *mine = mine.saturating_add(*other);
        }
        for (index, count) in &other.native {
            let mine = self.native.entry(*index).or_default();
            *mine = mine.saturating_add(*count);
        }
    }

    /// Whether no bucket has fewer than the other's, so that this may follow on that.
    pub(super) fn covers(&self, other: &Latency) -> bool {
        self.sum_ns >= other.sum_ns
            && self.zero >= other.zero
            && self.classic.iter().zip(&other.classic).all(|(mine, other)| mine >= other)
            && other.native.iter().all(|(index, count)| self.native.get(index).is_some_and(|mine| mine >= count))
    }
}
