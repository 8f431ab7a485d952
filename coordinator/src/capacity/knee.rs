//! The knee of latency over rate: Kneedle (Satopää, Albrecht, Irwin, Raghavan, ICDCSW 2011) for a curve that rises
//! ever more steeply. For the eye: what a target can do under its objectives is the search's to say.

/// Different rates: fewer show no shape.
const POINTS_MIN: usize = 5;

/// Kneedle's sensitivity: after a knee the curve has to rise by as much as that many mean steps of the rate.
const SENSITIVITY: f64 = 1.0;

/// How far below the chord between its ends the curve has to sag, both axes scaled to 1: a parabola's sag is 0.25, and
/// what bends less has no knee that one could point at.
const SAG_MIN: f64 = 0.2;

/// The rate at the knee, of points (rate, p99) in any order and units. `None` where there is none.
///
/// Probes at one rate count once, with their median. The first of several knees is the one.
pub fn knee(points: &[(f64, f64)]) -> Option<f64> {
    let curve = curve(points);
    if curve.len() < POINTS_MIN {
        return None;
    }
    let (first, last) = (curve.first()?.0, curve.last()?.0);
    let bottom = curve.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
    let top = curve.iter().map(|(_, y)| *y).fold(f64::NEG_INFINITY, f64::max);
    if last <= first || top <= bottom {
        return None;
    }
    // How far the curve lies below the chord.
    let sag: Vec<f64> =
        curve.iter().map(|(x, y)| (x - first) / (last - first) - (y - bottom) / (top - bottom)).collect();
    let needed = SENSITIVITY / (curve.len() - 1) as f64;
    let mut candidate: Option<(f64, f64)> = None;
    for (place, (sagging, (rate, _))) in sag.iter().zip(&curve).enumerate() {
        if let Some((at, deepest)) = candidate
            && *sagging < deepest - needed
        {
            return Some(at);
        }
        let neighbours =
            [place.checked_sub(1), Some(place + 1)].into_iter().flatten().filter_map(|other| sag.get(other));
        let peak = neighbours.clone().count() == 2 && neighbours.clone().all(|other| other <= sagging);
        if peak && *sagging >= SAG_MIN && candidate.is_none_or(|(_, deepest)| *sagging > deepest) {
            candidate = Some((*rate, *sagging));
        }
    }
    None
}

/// Rising rates, each with the median of its values.
fn curve(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points.chunk_by(|a, b| a.0 == b.0).filter_map(|same| same.get((same.len() - 1) / 2).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(curve: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (1..=20).map(|i| (f64::from(i) * 50.0, curve(f64::from(i) * 50.0))).collect()
    }

    #[test]
    fn a_bend_is_found_where_it_is() {
        assert_eq!(knee(&of(|rate| if rate <= 700.0 { 10.0 } else { 10.0 + (rate - 700.0) })), Some(700.0));
        // A queue: (1 − ρ) ⁻¹ up to 0.98.
        let queue = knee(&(1..50).map(|i| (f64::from(i), 1.0 / (1.0 - f64::from(i) / 50.0))).collect::<Vec<_>>());
        assert!(queue.is_some_and(|rate| (40.0..46.0).contains(&rate)), "{queue:?}");
    }

    #[test]
    fn a_cliff_is_a_knee_at_its_edge() {
        assert_eq!(knee(&of(|rate| if rate <= 500.0 { 10.0 } else { 1000.0 })), Some(500.0));
    }

    #[test]
    fn no_knee() {
        assert_eq!(knee(&of(|rate| rate)), None);
        assert_eq!(knee(&of(|_| 10.0)), None);
        assert_eq!(knee(&of(|rate| -rate)), None);
        // It flattens out: the other kind of bend.
        assert_eq!(knee(&of(f64::sqrt)), None);
        // A straight line with 2 % of noise.
        assert_eq!(knee(&of(|rate| rate * (1.0 + 0.02 * (rate * 7.3).sin()))), None);
        assert_eq!(knee(&[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0), (4.0, 100.0)]), None);
        assert_eq!(knee(&[]), None);
    }

    #[test]
    fn repeats_count_once() {
        let mut points = of(|rate| if rate <= 700.0 { 10.0 } else { 10.0 + (rate - 700.0) });
        points.extend([(900.0, 5000.0), (900.0, 210.0), (300.0, 10.0)]);
        points.reverse();
        assert_eq!(knee(&points), Some(700.0));
    }

    proptest! {
        #[test]
        fn never_panics_and_names_a_probed_rate(
            points in proptest::collection::vec((proptest::num::f64::ANY, proptest::num::f64::ANY), 0..40)
        ) {
            if let Some(rate) = knee(&points) {
                prop_assert!(points.iter().any(|(x, _)| *x == rate));
            }
        }

        #[test]
        fn units_do_not_matter(values in proptest::collection::vec(1.0f64..1e3, 5..30), x in -3i32..4, y in -3i32..4) {
            // Powers of two, so that ties stay ties.
            let (x, y) = (2f64.powi(x), 2f64.powi(y));
            let plain: Vec<(f64, f64)> = values.iter().enumerate().map(|(i, v)| (i as f64, *v)).collect();
            let scaled: Vec<(f64, f64)> = plain.iter().map(|(a, b)| (a * x, b * y)).collect();
            let (one, other) = (knee(&plain), knee(&scaled));
            prop_assert_eq!(one.is_some(), other.is_some());
            if let (Some(one), Some(other)) = (one, other) {
                prop_assert!((one * x - other).abs() < 1e-6);
            }
        }
    }
}
