//! Histograms of a series of steps as running sums, so that the quantile of any draw of steps is a search and no merge.

use loadgrid_proto::Recorded;
use loadgrid_proto::histogram::{highest, rank_of};

/// A run of neighbouring steps: from, to (exclusive).
pub type Range = (usize, usize);

/// Counts by value and step, summed both ways.
#[derive(Clone, Debug, Default)]
pub struct Table {
    steps: usize,
    /// Upper ends of the buckets that hold anything, rising; ns.
    values: Vec<u64>,
    /// By value, then by step: samples of all steps before it with this value or a smaller one.
    sums: Vec<u64>,
}

impl Table {
    pub fn new<'a>(steps: impl ExactSizeIterator<Item = &'a Recorded> + Clone) -> Self {
        let mut buckets: Vec<usize> = steps.clone().flat_map(|step| step.buckets().map(|(bucket, _)| bucket)).collect();
        buckets.sort_unstable();
        buckets.dedup();
        let count = steps.len();
        let width = count + 1;
        let mut sums = vec![0u64; buckets.len() * width];
        for (step, recorded) in steps.enumerate() {
            for (bucket, samples) in recorded.buckets() {
                if let Ok(place) = buckets.binary_search(&bucket)
                    && let Some(cell) = sums.get_mut(place * width + step + 1)
                {
                    *cell += samples;
                }
            }
        }
        let mut above = vec![0u64; width];
        for row in sums.chunks_exact_mut(width) {
            // Smaller values first, then the steps before.
            row.iter_mut().zip(&mut above).for_each(|(cell, above)| {
                *cell += *above;
                *above = *cell;
            });
            let mut before = 0;
            row.iter_mut().for_each(|cell| {
                before += *cell;
                *cell = before;
            });
        }
        Table { steps: count, values: buckets.into_iter().map(highest).collect(), sums }
    }

    /// How many steps it is of.
    pub fn steps(&self) -> usize {
        self.steps
    }

    fn row(&self, place: usize) -> &[u64] {
        let width = self.steps + 1;
        self.sums.get(place * width..(place + 1) * width).unwrap_or_default()
    }

    /// Samples of a draw at this place of the values or below.
    fn at_or_below(&self, place: usize, draw: &[Range]) -> u64 {
        let row = self.row(place);
        let at = |step: usize| row.get(step).copied().unwrap_or(0);
        draw.iter().map(|(from, to)| at(*to).saturating_sub(at(*from))).sum()
    }

    /// Samples of a draw.
    pub fn count(&self, draw: &[Range]) -> u64 {
        self.values.len().checked_sub(1).map_or(0, |last| self.at_or_below(last, draw))
    }

    /// The quantile of a draw, as histograms have it; ns. `None` without a sample.
    pub fn quantile(&self, quantile: f64, draw: &[Range]) -> Option<u64> {
        let rank = rank_of(quantile, self.count(draw))?;
        let (mut below, mut above) = (0, self.values.len());
        while below < above {
            let middle = below.midpoint(above);
            if self.at_or_below(middle, draw) < rank { below = middle + 1 } else { above = middle }
        }
        self.values.get(below).copied()
    }

    /// By step: samples above `value`, and all.
    pub fn exceedances(&self, value: u64) -> Vec<(f64, f64)> {
        let within = self.values.partition_point(|own| *own <= value);
        (0..self.steps)
            .map(|step| {
                let draw = [(step, step + 1)];
                let all = self.count(&draw);
                let below = within.checked_sub(1).map_or(0, |place| self.at_or_below(place, &draw));
                ((all - below) as f64, all as f64)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgrid_proto::histogram::Recorder;
    use proptest::prelude::*;

    fn recorded(values: &[u64]) -> Recorded {
        let mut recorder = Recorder::default();
        values.iter().for_each(|value| recorder.record(*value));
        recorder.drain()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_draw_has_the_quantiles_of_its_merged_histograms(
            steps in prop::collection::vec(prop::collection::vec(0u64..5_000_000, 0..30), 1..12),
            draw in prop::collection::vec((0usize..12, 0usize..12), 0..8),
            quantile in 0.0f64..1.0,
        ) {
            let steps: Vec<Recorded> = steps.iter().map(|step| recorded(step)).collect();
            let table = Table::new(steps.iter());
            let draw: Vec<Range> = draw
                .into_iter()
                .map(|(a, b)| (a.min(b).min(steps.len()), a.max(b).min(steps.len())))
                .collect();
            let mut merged = Recorded::default();
            draw.iter().flat_map(|(from, to)| &steps[*from..*to]).for_each(|step| merged.merge(step));
            prop_assert_eq!(table.count(&draw), merged.count());
            let expected = merged.buckets().map(|(bucket, count)| (highest(bucket), count)).collect::<Vec<_>>();
            let rank = rank_of(quantile, merged.count());
            let mut seen = 0;
            let at_rank = expected.iter().find(|(_, count)| { seen += count; Some(seen) >= rank }).map(|(value, _)| *value);
            prop_assert_eq!(table.quantile(quantile, &draw), at_rank);
            if let Some(value) = at_rank {
                let above: Vec<f64> = table.exceedances(value).iter().map(|(above, _)| *above).collect();
                let theirs: Vec<f64> = steps.iter().map(|step| step.count_above(value) as f64).collect();
                prop_assert_eq!(above, theirs);
            }
        }
    }
}
