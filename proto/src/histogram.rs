//! Histograms of nanoseconds with 3 significant digits, in three shapes: [`Recorder`] for the hot path,
//! [`Recorded`] (sparse) for the wire and for what is kept per second, [`Histogram`] (dense) for sums.
//!
//! The buckets are HdrHistogram's (Gil Tene) for 3 digits from 1 ns: 2,048 unit buckets, then 1,024 for each doubling,
//! so that a value is off by at most 0.1 %. Counts merge by addition: a merged histogram equals, count for count, one
//! that was fed with every sample. Sum and sum of squares are exact integers, so means do not depend on the order
//! of merging either. It deliberately knows no time and no I/O.

use crate::v1;

/// Buckets of one unit each before the first doubling: 2 × 10³ rounded up to a power of two.
const SUB_BUCKETS: usize = 2048;
const HALF: usize = SUB_BUCKETS / 2;
const SUB_BITS: u32 = 11;

/// Values that one histogram may hold: more than a run can have, and few enough for its sums.
const COUNT_MAX: u64 = 1 << 40;

/// The largest value that is told apart, ns (18 minutes). What is larger is recorded as this and counted as clamped.
pub const VALUE_MAX: u64 = (1 << VALUE_BITS) - 1;
const VALUE_BITS: u32 = 40;

/// How many buckets there are.
pub const BUCKETS: usize = (VALUE_BITS - SUB_BITS) as usize * HALF + SUB_BUCKETS;

/// The bucket of a value of at most [`VALUE_MAX`].
#[inline]
pub fn index_of(value: u64) -> usize {
    debug_assert!(value <= VALUE_MAX);
    // `| (SUB_BUCKETS - 1)` makes the shift zero for all values below the first doubling, without a branch.
    let shift = 63 - (value | (SUB_BUCKETS as u64 - 1)).leading_zeros() - (SUB_BITS - 1);
    shift as usize * HALF + (value >> shift) as usize
}

/// The smallest value of a bucket.
pub fn lowest(index: usize) -> u64 {
    let (shift, sub) = shift_and_sub(index);
    sub << shift
}

/// The largest value of a bucket: what a quantile that falls into it is said to be.
pub fn highest(index: usize) -> u64 {
    let (shift, sub) = shift_and_sub(index);
    ((sub + 1) << shift) - 1
}

fn shift_and_sub(index: usize) -> (u32, u64) {
    if index < SUB_BUCKETS {
        return (0, index as u64);
    }
    let shift = (index / HALF - 1) as u32;
    (shift, (index % HALF + HALF) as u64)
}

/// What is known exactly about a set of samples. Values in ns; `min` is `u64::MAX` and `max` 0 while empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub count: u64,
    pub sum: u128,
    pub squares: u128,
    pub min: u64,
    pub max: u64,
    /// Samples above [`VALUE_MAX`].
    pub clamped: u64,
}

impl Default for Summary {
    fn default() -> Self {
        Summary { count: 0, sum: 0, squares: 0, min: u64::MAX, max: 0, clamped: 0 }
    }
}

impl Summary {
    fn add(&mut self, other: &Summary) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.clamped += other.clamped;
    }

    /// Arithmetic mean, ns; `None` while empty.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// Population standard deviation, ns; `None` while empty.
    pub fn stddev(&self) -> Option<f64> {
        let mean = self.mean()?;
        let n = self.count as u128;
        // n·Σx² − (Σx)² in integers while it fits: no cancellation.
        let variance = match (n.checked_mul(self.squares), self.sum.checked_mul(self.sum)) {
            (Some(a), Some(b)) => a.saturating_sub(b) as f64 / (n as f64 * n as f64),
            _ => (self.squares as f64 / n as f64 - mean * mean).max(0.0),
        };
        Some(variance.sqrt())
    }
}

/// A histogram for one lane and one interval: recording is a handful of instructions and never allocates.
#[derive(Clone, Debug)]
pub struct Recorder {
    counts: Box<[u32]>,
    summary: Summary,
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder { counts: vec![0; BUCKETS].into_boxed_slice(), summary: Summary::default() }
    }
}

impl Recorder {
    /// Records one sample, ns.
    #[inline]
    pub fn record(&mut self, value: u64) {
        let kept = value.min(VALUE_MAX);
        self.summary.clamped += u64::from(value > VALUE_MAX);
        self.counts[index_of(kept)] += 1;
        self.summary.count += 1;
        self.summary.sum += u128::from(kept);
        self.summary.squares += u128::from(kept) * u128::from(kept);
        self.summary.min = self.summary.min.min(kept);
        self.summary.max = self.summary.max.max(kept);
    }

    /// Samples since it was last drained.
    pub fn count(&self) -> u64 {
        self.summary.count
    }

    /// Takes what was recorded and leaves it empty.
    pub fn drain(&mut self) -> Recorded {
        let summary = std::mem::take(&mut self.summary);
        if summary.count == 0 {
            return Recorded::default();
        }
        let (from, to) = (index_of(summary.min), index_of(summary.max));
        let mut counts = Vec::new();
        for (offset, count) in self.counts[from..=to].iter_mut().enumerate() {
            if *count > 0 {
                counts.push(((from + offset) as u32, u64::from(*count)));
                *count = 0;
            }
        }
        Recorded { counts, summary }
    }
}

/// A sparse histogram: (bucket, count) in rising order of buckets, no zero counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    counts: Vec<(u32, u64)>,
    summary: Summary,
}

/// Why a histogram from the wire was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Sums that the buckets do not allow, or more values than a run can have.
    #[error("the sums do not fit the buckets")]
    Sums,
    #[error("histogram payload ends inside a number")]
    Truncated,
    #[error("histogram payload has a number of more than 64 bits")]
    Overlong,
    #[error("histogram payload names bucket {0}, the last is {last}", last = BUCKETS - 1)]
    Bucket(u64),
    #[error("histogram payload has an empty bucket")]
    Empty,
    #[error("histogram payload adds up to {found} samples, its count says {said}")]
    Total { found: u64, said: u64 },
    #[error("histogram minimum or maximum lies outside its buckets")]
    Extremes,
}

impl Recorded {
    /// From (bucket, count) in rising order: for histograms of other encodings, which keep no sums. Those are of the
    /// buckets' middles, and the extremes are the buckets' ends. Buckets that do not exist are left out.
    pub fn from_counts(counts: impl IntoIterator<Item = (usize, u64)>) -> Self {
        let mut recorded = Recorded::default();
        for (index, count) in counts.into_iter().filter(|(index, count)| *index < BUCKETS && *count > 0) {
            let middle = u128::from(lowest(index).midpoint(highest(index)));
            let summary = &mut recorded.summary;
            summary.count = summary.count.saturating_add(count);
            summary.sum = summary.sum.saturating_add(middle.saturating_mul(u128::from(count)));
            summary.squares = summary.squares.saturating_add((middle * middle).saturating_mul(u128::from(count)));
            summary.min = summary.min.min(lowest(index));
            summary.max = summary.max.max(highest(index));
            recorded.counts.push((index as u32, count));
        }
        recorded
    }

    /// What is known exactly.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Samples in it.
    pub fn count(&self) -> u64 {
        self.summary.count
    }

    /// (bucket, count) in rising order.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.counts.iter().map(|(index, count)| (*index as usize, *count))
    }

    /// Samples in buckets that lie wholly above `value`, ns.
    pub fn count_above(&self, value: u64) -> u64 {
        let first = index_of(value.min(VALUE_MAX)) as u32 + 1;
        let from = self.counts.partition_point(|(index, _)| *index < first);
        self.counts[from..].iter().map(|(_, count)| count).sum()
    }

    /// The smallest bucket's upper end that has at least the fraction `quantile` of the samples at or below it, and
    /// never more than the exact maximum; ns. `None` while empty.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = rank_of(quantile, self.summary.count)?;
        Some(at_rank(self.buckets(), rank, &self.summary))
    }

    /// Adds another one's samples.
    pub fn merge(&mut self, other: &Recorded) {
        self.summary.add(&other.summary);
        if other.counts.is_empty() {
            return;
        }
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
            return;
        }
        let mine = std::mem::take(&mut self.counts);
        self.counts = Vec::with_capacity(mine.len() + other.counts.len());
        let (mut a, mut b) = (mine.into_iter().peekable(), other.counts.iter().copied().peekable());
        loop {
            let next = match (a.peek(), b.peek()) {
                (Some(x), Some(y)) if x.0 == y.0 => (x.0, x.1 + y.1),
                (Some(x), Some(y)) if x.0 < y.0 => *x,
                (_, Some(y)) => *y,
                (Some(x), None) => *x,
                (None, None) => break,
            };
            a.next_if(|x| x.0 == next.0);
            b.next_if(|y| y.0 == next.0);
            self.counts.push(next);
        }
        self.counts.shrink_to_fit();
    }

    /// The message for the wire: per bucket the varint distance from the one before, then the varint count (LEB128).
    pub fn encode(&self) -> v1::Histogram {
        let mut payload = Vec::with_capacity(self.counts.len() * 3);
        let mut next = 0;
        for (index, count) in &self.counts {
            put_varint(&mut payload, u64::from(index - next));
            put_varint(&mut payload, *count);
            next = index + 1;
        }
        v1::Histogram {
            counts: payload,
            count: self.summary.count,
            sum_low: self.summary.sum as u64,
            sum_high: (self.summary.sum >> 64) as u64,
            squares_low: self.summary.squares as u64,
            squares_high: (self.summary.squares >> 64) as u64,
            min: self.summary.min,
            max: self.summary.max,
            clamped: self.summary.clamped,
        }
    }

    /// Reads the message back.
    ///
    /// # Errors
    /// Whatever could not have come from [`Recorded::encode`]: a torn payload, a bucket out of range, a total that
    /// does not match.
    pub fn decode(message: &v1::Histogram) -> Result<Self, DecodeError> {
        let mut payload = message.counts.as_slice();
        let mut counts = Vec::with_capacity(payload.len() / 2);
        let (mut next, mut total) = (0u64, 0u64);
        while !payload.is_empty() {
            let index = next.saturating_add(take_varint(&mut payload)?);
            if index >= BUCKETS as u64 {
                return Err(DecodeError::Bucket(index));
            }
            let count = take_varint(&mut payload)?;
            if count == 0 {
                return Err(DecodeError::Empty);
            }
            total = total.checked_add(count).filter(|total| *total <= COUNT_MAX).ok_or(DecodeError::Sums)?;
            counts.push((index as u32, count));
            next = index + 1;
        }
        if total != message.count {
            return Err(DecodeError::Total { found: total, said: message.count });
        }
        if let (Some(first), Some(last)) = (counts.first(), counts.last())
            && (message.max > VALUE_MAX
                || index_of(message.min.min(VALUE_MAX)) as u32 != first.0
                || index_of(message.max) as u32 != last.0)
        {
            return Err(DecodeError::Extremes);
        }
        let sum = u128::from(message.sum_low) | u128::from(message.sum_high) << 64;
        let squares = u128::from(message.squares_low) | u128::from(message.squares_high) << 64;
        // What the buckets allow; with so many values of at most 2⁴⁰ nothing below overflows.
        let over = |of: fn(usize) -> u64, power: u32| -> u128 {
            counts.iter().map(|(index, count)| u128::from(of(*index as usize)).pow(power) * u128::from(*count)).sum()
        };
        let sums_fit = (over(lowest, 1)..=over(highest, 1)).contains(&sum)
            && (over(lowest, 2)..=over(highest, 2)).contains(&squares);
        if !sums_fit || message.clamped > message.count {
            return Err(DecodeError::Sums);
        }
        let summary = Summary {
            count: message.count,
            sum,
            squares,
            min: message.min,
            max: message.max,
            clamped: message.clamped,
        };
        if total == 0 {
            return Ok(Recorded::default());
        }
        Ok(Recorded { counts, summary })
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(input: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first().ok_or(DecodeError::Truncated)?;
        *input = rest;
        if shift == 63 && *byte > 1 {
            return Err(DecodeError::Overlong);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Overlong)
}

/// A dense histogram: what everything is summed into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64]>,
    summary: Summary,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; BUCKETS].into_boxed_slice(), summary: Summary::default() }
    }
}

impl Histogram {
    /// Adds samples.
    pub fn merge(&mut self, other: &Recorded) {
        self.summary.add(&other.summary);
        for (index, count) in other.buckets() {
            self.counts[index] += count;
        }
    }

    /// What is known exactly.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Samples in it.
    pub fn count(&self) -> u64 {
        self.summary.count
    }

    /// As [`Recorded::quantile`].
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = rank_of(quantile, self.summary.count)?;
        Some(self.value_at_rank(rank))
    }

    /// The value of the sample with this rank (1 ..= count) in rising order, to the upper end of its bucket; ns.
    pub fn value_at_rank(&self, rank: u64) -> u64 {
        at_rank(self.counts.iter().copied().enumerate(), rank, &self.summary)
    }

    /// The sparse form.
    pub fn to_recorded(&self) -> Recorded {
        let counts = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(index, count)| (index as u32, *count))
            .collect();
        Recorded { counts, summary: self.summary }
    }
}

/// The rank ⌈q·n⌉ of a quantile, at least 1; `None` while empty.
pub fn rank_of(quantile: f64, count: u64) -> Option<u64> {
    if count == 0 {
        return None;
    }
    // The tolerance keeps 0.99 × 100 at rank 99 although the product is 99.00000000000001.
    let exact = quantile.clamp(0.0, 1.0) * count as f64;
    let rank = (exact - exact * 1e-12).ceil() as u64;
    Some(rank.clamp(1, count))
}

fn at_rank(buckets: impl Iterator<Item = (usize, u64)>, rank: u64, summary: &Summary) -> u64 {
    let mut seen = 0;
    for (index, count) in buckets {
        seen += count;
        if seen >= rank {
            return highest(index).min(summary.max);
        }
    }
    summary.max
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram as Reference;
    use proptest::prelude::*;

    fn reference() -> Reference<u64> {
        // HdrHistogram's own code for the same range and digits.
        Reference::new_with_bounds(1, VALUE_MAX, 3).expect("valid bounds")
    }

    fn recorded(values: &[u64]) -> Recorded {
        let mut recorder = Recorder::default();
        values.iter().for_each(|value| recorder.record(*value));
        recorder.drain()
    }

    #[test]
    fn buckets_cover_the_range_without_gap_or_overlap() {
        for index in 0..BUCKETS {
            assert_eq!(index_of(lowest(index)), index);
            assert_eq!(index_of(highest(index)), index);
            if index > 0 {
                assert_eq!(lowest(index), highest(index - 1) + 1);
            }
        }
        assert_eq!(highest(BUCKETS - 1), VALUE_MAX);
    }

    #[test]
    fn above_the_maximum_is_clamped_and_counted() {
        let drained = recorded(&[5, VALUE_MAX + 1, u64::MAX]);
        assert_eq!(drained.summary().clamped, 2);
        assert_eq!(drained.summary().max, VALUE_MAX);
        assert_eq!(drained.count(), 3);
    }

    #[test]
    fn moments_are_exact() {
        let drained = recorded(&[2, 4, 4, 4, 5, 5, 7, 9]);
        assert_eq!(drained.summary().mean(), Some(5.0));
        assert_eq!(drained.summary().stddev(), Some(2.0));
        assert_eq!(Summary::default().mean(), None);
    }

    #[test]
    fn ranks_are_not_thrown_off_by_rounding() {
        assert_eq!(rank_of(0.99, 100), Some(99));
        assert_eq!(rank_of(0.07, 100), Some(7));
        assert_eq!(rank_of(0.5, 1), Some(1));
        assert_eq!(rank_of(0.0, 10), Some(1));
        assert_eq!(rank_of(1.0, 10), Some(10));
        assert_eq!(rank_of(0.5, 0), None);
    }

    #[test]
    fn torn_or_foreign_payloads_are_refused() {
        let good = recorded(&[1, 2, 3, 1_000_000]).encode();
        let with = |counts: Vec<u8>| Recorded::decode(&v1::Histogram { counts, ..good.clone() });
        assert_eq!(with(vec![0x80]), Err(DecodeError::Truncated));
        assert_eq!(with(vec![0xff; 11]), Err(DecodeError::Overlong));
        assert_eq!(with(vec![0, 0]), Err(DecodeError::Empty));
        assert_eq!(with(vec![1, 1]), Err(DecodeError::Total { found: 1, said: 4 }));
        assert!(matches!(with(vec![0xff, 0xff, 0x7f, 1]), Err(DecodeError::Bucket(_))));
        let lying = v1::Histogram { max: 7, ..good.clone() };
        assert_eq!(Recorded::decode(&lying), Err(DecodeError::Extremes));
    }

    fn values() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec((0u32..41, any::<u64>()).prop_map(|(bits, x)| x & ((1 << bits) - 1)), 1..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn agrees_with_hdrhistogram_bucket_for_bucket(values in values()) {
            let mut theirs = reference();
            values.iter().for_each(|value| theirs.record(*value).expect("in range"));
            let ours = recorded(&values);
            let expected: Vec<(u64, u64)> = theirs
                .iter_recorded()
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect();
            let found: Vec<(u64, u64)> = ours.buckets().map(|(i, count)| (highest(i), count)).collect();
            prop_assert_eq!(found, expected);
            for quantile in [0.5, 0.9, 0.99, 0.999] {
                let ours = ours.quantile(quantile).expect("not empty");
                prop_assert_eq!(index_of(ours), index_of(theirs.value_at_quantile(quantile)));
            }
        }

        #[test]
        fn decodes_what_it_encodes(values in values()) {
            let drained = recorded(&values);
            prop_assert_eq!(Recorded::decode(&drained.encode()).expect("own encoding"), drained);
        }

        #[test]
        fn decoding_never_panics(counts in prop::collection::vec(any::<u8>(), 0..64), count in any::<u64>(), min in any::<u64>(), max in any::<u64>()) {
            let _ = Recorded::decode(&v1::Histogram { counts, count, min, max, ..Default::default() });
        }

        #[test]
        fn merging_is_the_same_as_recording_all_in_one(
            parts in prop::collection::vec(values(), 1..257),
            order in any::<u64>(),
        ) {
            let whole = recorded(&parts.concat());
            let mut shuffled: Vec<&Vec<u64>> = parts.iter().collect();
            let length = shuffled.len();
            for i in 0..length {
                shuffled.swap(i, (order.rotate_left(i as u32) % length as u64) as usize);
            }
            let (mut sparse, mut dense) = (Recorded::default(), Histogram::default());
            for part in shuffled {
                sparse.merge(&recorded(part));
                dense.merge(&Recorded::decode(&recorded(part).encode()).expect("own encoding"));
            }
            prop_assert_eq!(&sparse, &whole);
            prop_assert_eq!(dense.to_recorded(), whole);
        }
    }
}
