//! The energy statistic of every division of a series in two, and its permutation test. In one dimension it takes
//! O(n log n), so no matrix of distances is kept. It does not know which division is worth a change point.

use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::SEGMENT_MIN;

/// The most orders that are drawn for one test.
const ROUNDS_MAX: f64 = 4_999.0;

/// The best division of a span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Division {
    /// Index of the first value after it.
    pub at: usize,
    pub statistic: f64,
}

/// The statistic of the divisions before index 0, 1, … n − 1: mn / (m + n) × (2 E|X − Y| − E|X − X′| − E|Y − Y′|),
/// with means over pairs (U-statistics). `None` where a side is shorter than a level.
pub fn statistics(values: &[f64]) -> Vec<Option<f64>> {
    let mut all = vec![None; values.len()];
    Scan::new(values).each(|at, statistic| {
        if let Some(place) = all.get_mut(at) {
            *place = Some(statistic);
        }
    });
    all
}

/// The first division with the largest statistic. `None` for fewer values than two levels.
pub(super) fn best(values: &[f64]) -> Option<Division> {
    Scan::new(values).best()
}

/// The share of orders of the values whose best statistic is at least `observed`. It ends early, and is rough then,
/// when it can't come down to `limit` any more.
pub(super) fn permutation_p(values: &[f64], observed: f64, limit: f64, rng: &mut Xoshiro256PlusPlus) -> f64 {
    let mut scan = Scan::new(values);
    // Rounding must not tell the order that was seen from one that is as good.
    let enough = observed - 1e-9 * observed.abs();
    let rounds = (4.0 / limit).ceil().clamp(99.0, ROUNDS_MAX);
    let most = limit * (rounds + 1.0) - 1.0;
    let (mut reached, mut drawn) = (0.0, 0.0);
    while drawn < rounds && reached <= most {
        scan.order.shuffle(rng);
        drawn += 1.0;
        reached += f64::from(u8::from(scan.best().is_some_and(|best| best.statistic >= enough)));
    }
    (reached + 1.0) / (drawn + 1.0)
}

/// The smallest p that a division can have, however clear it is: there are only so many orders. Twice the two in which
/// the smaller side is at an end, as others may come close.
pub(super) fn floor(len: usize, at: usize) -> f64 {
    let smaller = at.min(len.saturating_sub(at));
    let orders = (0..smaller).fold(1.0, |product, i| product * (len - i) as f64 / (i + 1) as f64);
    4.0 / orders
}

/// A series that is gone through in many orders.
struct Scan {
    /// The values, rising, from the smallest on.
    sorted: Vec<f64>,
    /// Σ of the distances of each of them to all.
    distances: Vec<f64>,
    /// Half of the sum of these.
    total: f64,
    /// Index into `sorted` of each value of the series.
    order: Vec<usize>,
    /// Two Fenwick trees over `sorted`: count and sum of what has been gone through.
    tree: Vec<(f64, f64)>,
}

impl Scan {
    fn new(values: &[f64]) -> Self {
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let mut by_value: Vec<(f64, usize)> = values.iter().enumerate().map(|(i, v)| (v - smallest, i)).collect();
        by_value.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut order = vec![0; values.len()];
        for (rank, (_, index)) in by_value.iter().enumerate() {
            if let Some(place) = order.get_mut(*index) {
                *place = rank;
            }
        }
        let sorted: Vec<f64> = by_value.iter().map(|(value, _)| *value).collect();
        let sum: f64 = sorted.iter().sum();
        let (mut below, len) = (0.0, sorted.len() as f64);
        let distance = |(rank, value): (usize, &f64)| {
            let distance = value * (2.0 * rank as f64 - len) + sum - 2.0 * below;
            below += value;
            distance
        };
        let distances: Vec<f64> = sorted.iter().enumerate().map(distance).collect();
        let total = distances.iter().sum::<f64>() / 2.0;
        let tree = vec![(0.0, 0.0); sorted.len() + 1];
        Scan { sorted, distances, total, order, tree }
    }

    fn best(&mut self) -> Option<Division> {
        let mut best: Option<Division> = None;
        self.each(|at, statistic| {
            if best.is_none_or(|best| statistic > best.statistic) {
                best = Some(Division { at, statistic });
            }
        });
        best
    }

    /// Calls with every division, and its statistic.
    fn each(&mut self, mut found: impl FnMut(usize, f64)) {
        let len = self.order.len();
        self.tree.fill((0.0, 0.0));
        // Σ of distances among the values gone through, of these to all, and of the values.
        let (mut within, mut to_all, mut sum) = (0.0, 0.0, 0.0);
        for at in 1..=len {
            let Some(rank) = self.order.get(at - 1).copied() else { return };
            let (Some(value), Some(distance)) = (self.sorted.get(rank), self.distances.get(rank)) else { return };
            let (value, distance) = (*value, *distance);
            let (count, below) = self.below(rank);
            let others = (at - 1) as f64;
            within += value * (2.0 * count - others) + sum - 2.0 * below;
            to_all += distance;
            sum += value;
            self.add(rank, value);
            if at < SEGMENT_MIN || len - at < SEGMENT_MIN {
                continue;
            }
            let between = to_all - 2.0 * within;
            let after = self.total - within - between;
            let (m, n) = (at as f64, (len - at) as f64);
            let energy = 2.0 * between / (m * n) - 2.0 * within / (m * (m - 1.0)) - 2.0 * after / (n * (n - 1.0));
            found(at, m * n / (m + n) * energy);
        }
    }

    /// Count and sum of what has been gone through, up to this rank.
    fn below(&self, rank: usize) -> (f64, f64) {
        let mut node = rank + 1;
        let mut both = (0.0, 0.0);
        while let Some((count, sum)) = self.tree.get(node).filter(|_| node > 0) {
            both.0 += count;
            both.1 += sum;
            node &= node - 1;
        }
        both
    }

    fn add(&mut self, rank: usize, value: f64) {
        let mut node = rank + 1;
        while let Some(both) = self.tree.get_mut(node) {
            both.0 += 1.0;
            both.1 += value;
            node += node & node.wrapping_neg();
        }
    }
}
