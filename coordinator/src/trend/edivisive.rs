//! Change points of a series by E-divisive: where its distribution changes, found one after another by the energy
//! statistic. It knows numbers in their order, and nothing of runs or metrics.
//!
//! Matteson, James, *A nonparametric approach for multiple change point analysis of multivariate data* (JASA 2014).
//! Candidates are found generously, in the whole series and in windows of it (a short level in a long series is
//! invisible from afar), and then the weakest is taken away until every one that is left passes two tests between its
//! neighbours: the permutation test of the paper, and Student's t with the autocorrelation allowed for. The first asks
//! nothing of the noise but that its order is chance; the second knows that runs resemble the run before, and can say
//! more than "one in as many orders as there are" when runs are few.

mod energy;
mod noise;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

pub use self::energy::statistics;
use self::noise::Local;
pub use self::noise::Tamed;
pub(super) use self::noise::{mean, median};

/// Fewer runs in a row are no level.
pub const SEGMENT_MIN: usize = 3;

/// Fewer values than two levels take say nothing of a change.
pub const VALUES_MIN: usize = 2 * SEGMENT_MIN;

/// What a candidate has to pass before the tests that decide.
const CANDIDATE: f64 = 0.05;

/// Windows are so long, and begin half a length apart.
const WINDOW: usize = 40;

/// Independent places for each unit of the logarithm of the length.
const PLACES: f64 = 8.0;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The chance of any change point in a series without one.
    pub significance: f64,
    /// Steps of less are none; in the unit of the values.
    pub smallest: f64,
    pub seed: u64,
}

/// A level begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChangePoint {
    /// Index of the first value of the new level.
    pub at: usize,
    /// By the t-test, times the number of places where a change could have been.
    pub p: f64,
}

/// A series in levels.
#[derive(Clone, Debug)]
pub struct Segmentation {
    /// In rising order.
    pub changes: Vec<ChangePoint>,
    /// The series as it was judged, outliers pulled in.
    pub tamed: Tamed,
}

/// Finds the change points. Fewer than [`VALUES_MIN`] values have none. Values have to be finite.
pub fn segment(values: &[f64], settings: &Settings) -> Segmentation {
    let tamed = noise::tame(values);
    let mut search = Search {
        values: &tamed.values,
        settings,
        rng: Xoshiro256PlusPlus::seed_from_u64(settings.seed),
        candidates: Vec::new(),
    };
    search.divide(0, values.len());
    if values.len() >= VALUES_MIN {
        // What matters most is what has just begun.
        search.candidates.push(values.len() - SEGMENT_MIN);
    }
    search.candidates.sort_unstable();
    search.candidates.dedup();
    let changes = search.prune();
    Segmentation { changes, tamed }
}

/// The p of a step between two spans of a series in levels, by the t-test that change points have to pass.
pub fn step_p(segmentation: &Segmentation, from: (usize, usize), to: (usize, usize)) -> f64 {
    let values = &segmentation.tamed.values;
    let bounds = bounds(segmentation.changes.iter().map(|change| change.at), values.len());
    Local::around(values, &bounds, to.0).p(values, from, to, places(values.len()))
}

/// The smallest step that the newest [`SEGMENT_MIN`] values would have shown four times in five, had they been one;
/// in the unit of the values. `None` with too few values.
pub fn smallest_step(segmentation: &Segmentation, significance: f64) -> Option<f64> {
    let values = &segmentation.tamed.values;
    let last = segmentation.changes.last().map_or(0, |change| change.at);
    let bounds = bounds(segmentation.changes.iter().map(|change| change.at), values.len());
    let before = values.len().saturating_sub(last).max(SEGMENT_MIN);
    if values.len() < VALUES_MIN {
        return None;
    }
    let noise = Local::around(values, &bounds, values.len());
    Some(noise.smallest(before, SEGMENT_MIN, significance / places(values.len()))).filter(|step| step.is_finite())
}

/// How many places a change of a series can be at, as if they were independent. Neighbouring places say nearly the
/// same, so that their number grows with the logarithm of the length (James, James, Siegmund, Biometrika 1987); the
/// factor is by simulation.
fn places(len: usize) -> f64 {
    let all = (len + 1).saturating_sub(VALUES_MIN).max(1) as f64;
    all.min(PLACES * (len as f64 / SEGMENT_MIN as f64).ln().max(1.0))
}

/// The starts of the levels, and the end.
fn bounds(changes: impl Iterator<Item = usize>, len: usize) -> Vec<usize> {
    std::iter::once(0).chain(changes).chain(std::iter::once(len)).collect()
}

struct Search<'a> {
    values: &'a [f64],
    settings: &'a Settings,
    rng: Xoshiro256PlusPlus,
    candidates: Vec<usize>,
}

impl Search<'_> {
    /// Divides a span for as long as there are candidates in it.
    fn divide(&mut self, from: usize, to: usize) {
        let mut spans = vec![(from, to)];
        while let Some((from, to)) = spans.pop() {
            if let Some(at) = self.candidate(from, to) {
                self.candidates.push(at);
                spans.extend([(from, at), (at, to)]);
            }
        }
    }

    /// The likeliest place of a change in the span: seen as a whole, else through windows.
    fn candidate(&mut self, from: usize, to: usize) -> Option<usize> {
        if let Some(at) = self.likely(from, to, CANDIDATE) {
            return Some(at);
        }
        let starts = (from..to).step_by(WINDOW / 2).filter(|start| start + WINDOW < to).collect::<Vec<_>>();
        let share = CANDIDATE / (starts.len() + 1) as f64;
        let windows = starts.iter().map(|start| (*start, start + WINDOW));
        let last = (to.saturating_sub(WINDOW) > from).then(|| (to - WINDOW, to));
        windows.chain(last).find_map(|(from, to)| self.likely(from, to, share))
    }

    fn likely(&mut self, from: usize, to: usize, significance: f64) -> Option<usize> {
        let span = self.values.get(from..to)?;
        let best = energy::best(span)?;
        let limit = significance.max(energy::floor(span.len(), best.at));
        let p = energy::permutation_p(span, best.statistic, limit, &mut self.rng);
        (p <= limit).then_some(from + best.at)
    }

    /// Takes the weakest candidate away until all that are left pass.
    fn prune(&mut self) -> Vec<ChangePoint> {
        let mut places = std::mem::take(&mut self.candidates);
        loop {
            self.settle(&mut places);
            let mut changes = self.judged(&places);
            let mut weakest = weakest(&changes);
            if weakest.is_none_or(|(_, p)| p <= self.settings.significance) {
                self.permute(&mut changes);
                weakest = self::weakest(&changes);
            }
            match weakest {
                Some((index, p)) if p > self.settings.significance => drop(places.remove(index)),
                _ => return changes,
            }
        }
    }

    /// Moves each change to the best place between its neighbours.
    fn settle(&self, places: &mut [usize]) {
        for index in 0..places.len() {
            let (from, to) = self.near(places, index);
            let best = self.values.get(from..to).and_then(energy::best);
            if let (Some(best), Some(place)) = (best, places.get_mut(index)) {
                *place = from + best.at;
            }
        }
    }

    fn neighbours(&self, places: &[usize], index: usize) -> (usize, usize) {
        let from = index.checked_sub(1).and_then(|before| places.get(before)).copied().unwrap_or(0);
        (from, places.get(index + 1).copied().unwrap_or(self.values.len()))
    }

    /// The same, but no further away than a window.
    fn near(&self, places: &[usize], index: usize) -> (usize, usize) {
        let (from, to) = self.neighbours(places, index);
        let at = places.get(index).copied().unwrap_or(from);
        (from.max(at.saturating_sub(WINDOW)), to.min(at + WINDOW))
    }

    /// By the t-test. A step that is too small to matter has a p of 1.
    fn judged(&self, at: &[usize]) -> Vec<ChangePoint> {
        let bounds = bounds(at.iter().copied(), self.values.len());
        let places = places(self.values.len());
        let judge = |(index, at): (usize, &usize)| {
            let (from, to) = self.neighbours(at_all(&bounds), index);
            let (before, after) = ((from, *at), (*at, to));
            let step = noise::mean(self.values, after) - noise::mean(self.values, before);
            if step.abs() < self.settings.smallest {
                return ChangePoint { at: *at, p: 1.0 };
            }
            ChangePoint { at: *at, p: Local::around(self.values, &bounds, *at).p(self.values, before, after, places) }
        };
        at.iter().enumerate().map(judge).collect()
    }

    /// The permutation test objects, or lets the other test's p stand, which is finer than the number of orders drawn.
    fn permute(&mut self, changes: &mut [ChangePoint]) {
        let places: Vec<usize> = changes.iter().map(|change| change.at).collect();
        for (index, change) in changes.iter_mut().enumerate() {
            let (from, to) = self.near(&places, index);
            let Some(span) = self.values.get(from..to) else { continue };
            let Some(best) = energy::best(span) else { continue };
            let limit = self.settings.significance.max(energy::floor(span.len(), best.at));
            let p = energy::permutation_p(span, best.statistic, limit, &mut self.rng);
            if p > limit {
                change.p = 1.0;
            }
        }
    }
}

/// The starts of the levels without the first, and without the end.
fn at_all(bounds: &[usize]) -> &[usize] {
    bounds.get(1..bounds.len().saturating_sub(1)).unwrap_or(&[])
}

fn weakest(changes: &[ChangePoint]) -> Option<(usize, f64)> {
    let ps = changes.iter().map(|change| change.p).enumerate();
    ps.max_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests;
