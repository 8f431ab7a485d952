//! The Universal Scalability Law (Gunther, *Guerrilla Capacity Planning*, 2007) through the probes: a comment on where
//! contention and coherence would lead, never the capacity. It does not know where concurrency and throughput are from.

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Mean concurrency: by Little's law throughput × mean latency.
    pub n: f64,
    /// Throughput, requests/s.
    pub x: f64,
}

/// X(N) = λN / (1 + σ(N − 1) + κN(N − 1)).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Throughput at a concurrency of one, requests/s.
    pub lambda: f64,
    /// The serial share: contention.
    pub sigma: f64,
    /// What each pair costs: coherence.
    pub kappa: f64,
    /// Share of the throughput's variance that the curve explains; below 0 it is worse than the mean.
    pub r2: f64,
    /// Where more concurrency begins to cost throughput; `None` if it never does.
    pub peak: Option<Point>,
}

/// Distinct concurrencies: one more than there are parameters.
const POINTS_MIN: usize = 4;

impl Fit {
    /// Throughput at a concurrency, requests/s.
    pub fn throughput(&self, n: f64) -> f64 {
        self.lambda * shape(n, self.sigma, self.kappa)
    }
}

/// Least squares with σ, κ ≥ 0. `None` with fewer than four different concurrencies, or values that are none.
pub fn fit(points: &[Point]) -> Option<Fit> {
    let fits = |point: &Point| point.n > 0.0 && point.x > 0.0 && point.n.is_finite() && point.x.is_finite();
    if !points.iter().all(fits) {
        return None;
    }
    let mut different: Vec<f64> = points.iter().map(|point| point.n).collect();
    different.sort_by(f64::total_cmp);
    different.dedup_by(|a, b| (*a - *b).abs() <= 1e-9 * a.abs());
    if different.len() < POINTS_MIN {
        return None;
    }
    // The bounds by cases: inside, on either, on both.
    let cases = [(true, true), (true, false), (false, true), (false, false)];
    let (sigma, kappa) = cases
        .into_iter()
        .map(|(contended, coherent)| descend(points, contended, coherent))
        .min_by(|a, b| squares(points, *a).total_cmp(&squares(points, *b)))?;
    let lambda = scale(points, sigma, kappa);
    let mean = points.iter().map(|point| point.x).sum::<f64>() / points.len() as f64;
    let total: f64 = points.iter().map(|point| (point.x - mean).powi(2)).sum();
    let left = squares(points, (sigma, kappa));
    if !left.is_finite() || !lambda.is_finite() || total <= 0.0 {
        return None;
    }
    let top = ((1.0 - sigma) / kappa).sqrt();
    let peak =
        (kappa > 0.0 && sigma < 1.0 && top.is_finite()).then(|| Point { n: top, x: lambda * shape(top, sigma, kappa) });
    Some(Fit { lambda, sigma, kappa, r2: 1.0 - left / total, peak })
}

/// X(N) / λ; not a number where the law has no meaning.
fn shape(n: f64, sigma: f64, kappa: f64) -> f64 {
    let divisor = 1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0);
    if divisor > 0.0 { n / divisor } else { f64::NAN }
}

/// The best λ for these two: the law is linear in it.
fn scale(points: &[Point], sigma: f64, kappa: f64) -> f64 {
    let (mut up, mut down) = (0.0, 0.0);
    for point in points {
        let g = shape(point.n, sigma, kappa);
        up += point.x * g;
        down += g * g;
    }
    up / down
}

/// The sum of squared residuals with the best λ.
fn squares(points: &[Point], (sigma, kappa): (f64, f64)) -> f64 {
    let lambda = scale(points, sigma, kappa);
    let sum: f64 = points.iter().map(|point| (point.x - lambda * shape(point.n, sigma, kappa)).powi(2)).sum();
    if sum.is_finite() { sum } else { f64::INFINITY }
}

/// Nelder and Mead's simplex (1965) over the logarithms of what is free; the rest is zero. Two dimensions at most, and
/// no derivatives to get wrong.
fn descend(points: &[Point], contended: bool, coherent: bool) -> (f64, f64) {
    let read = |at: &[f64; 2]| (if contended { at[0].exp() } else { 0.0 }, if coherent { at[1].exp() } else { 0.0 });
    let value = |at: &[f64; 2]| squares(points, read(at));
    let n_max = points.iter().map(|point| point.n).fold(1.0, f64::max);
    let starts = [(0.1, 0.1), (0.5, 0.01), (0.01, 1.0), (0.001, 0.001)];
    // κ acts with the square of the concurrency.
    let starts = starts.map(|(sigma, kappa): (f64, f64)| [sigma.ln(), (kappa / n_max).ln()]);
    let best = starts.into_iter().map(|start| simplex(start, &value)).min_by(|a, b| value(a).total_cmp(&value(b)));
    best.map_or((0.0, 0.0), |best| read(&best))
}

fn simplex(start: [f64; 2], value: &impl Fn(&[f64; 2]) -> f64) -> [f64; 2] {
    let along =
        |from: &[f64; 2], to: &[f64; 2], by: f64| [from[0] + by * (to[0] - from[0]), from[1] + by * (to[1] - from[1])];
    let with = |at: [f64; 2]| (value(&at), at);
    let mut corners = [with(start), with([start[0] + 1.0, start[1]]), with([start[0], start[1] + 1.0])];
    for _ in 0..2_000 {
        corners.sort_by(|a, b| a.0.total_cmp(&b.0));
        let [best, middle, worst] = corners;
        let size = (worst.1[0] - best.1[0]).abs().max((worst.1[1] - best.1[1]).abs());
        if size < 1e-11 || !best.0.is_finite() {
            break;
        }
        let centre = along(&best.1, &middle.1, 0.5);
        let reflected = with(along(&worst.1, &centre, 2.0));
        let replaced = if reflected.0 < best.0 {
            let expanded = with(along(&worst.1, &centre, 3.0));
            if expanded.0 < reflected.0 { expanded } else { reflected }
        } else if reflected.0 < middle.0 {
            reflected
        } else {
            with(along(&worst.1, &centre, if reflected.0 < worst.0 { 1.5 } else { 0.5 }))
        };
        corners = if replaced.0 < worst.0 {
            [best, middle, replaced]
        } else {
            [best, with(along(&best.1, &middle.1, 0.5)), with(along(&best.1, &worst.1, 0.5))]
        };
    }
    corners.sort_by(|a, b| a.0.total_cmp(&b.0));
    corners[0].1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const N: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 48.0, 64.0];

    fn points(n: &[f64], x: &[f64]) -> Vec<Point> {
        n.iter().zip(x).map(|(n, x)| Point { n: *n, x: *x }).collect()
    }

    fn check(n: &[f64], x: &[f64], [lambda, sigma, kappa, r2]: [f64; 4]) {
        let fit = fit(&points(n, x)).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() <= 2e-6 * b.abs().max(1e-6);
        assert!(close(fit.lambda, lambda) && close(fit.sigma, sigma) && close(fit.kappa, kappa), "{fit:?}");
        assert!((fit.r2 - r2).abs() < 1e-8, "{fit:?}");
    }

    /// Golden values: scipy.optimize.curve_fit with bounds (0, inf); tests/golden/usl.py prints them.
    #[test]
    fn fits_are_those_of_scipy() {
        let noisy = [1004.950, 1919.833, 3752.251, 6760.548, 11357.014, 14987.070, 15691.682, 14803.068];
        check(&N, &noisy, [991.40939189, 0.0190108374, 0.000514814059, 0.999833302]);
        let contention = [119.280, 230.400, 415.722, 720.356, 1088.366, 1513.412, 1693.612, 1869.108];
        check(&N, &contention, [119.77691224, 0.0498696765, 0.0, 0.999624619]);
        let linear = [50.500, 99.000, 202.000, 396.000, 808.000, 1584.000, 2376.000, 3232.000];
        check(&N, &linear, [50.06265293, 0.0, 0.0, 0.999806959]);
        let below_one = N.map(|n| n / 10.0);
        let x = [44.484, 85.951, 171.942, 324.980, 600.741, 936.861, 1109.216, 1140.480];
        check(&below_one, &x, [400.71669194, 0.0946784973, 0.021171239442, 0.999885865]);
    }

    #[test]
    fn nothing_to_fit() {
        assert_eq!(fit(&[]), None);
        assert_eq!(fit(&points(&[1.0, 2.0, 2.0, 4.0], &[10.0, 19.0, 18.0, 30.0])), None);
        assert_eq!(fit(&points(&[1.0, 2.0, 3.0, 4.0], &[10.0, 19.0, f64::NAN, 30.0])), None);
        assert_eq!(fit(&points(&[1.0, 2.0, 3.0, 4.0], &[10.0, 10.0, 10.0, 10.0])), None);
    }

    #[test]
    fn contention_alone_has_no_peak() {
        let law = Fit { lambda: 100.0, sigma: 0.05, kappa: 0.0, r2: 1.0, peak: None };
        let fit = fit(&points(&N, &N.map(|n| law.throughput(n)))).unwrap();
        assert!(fit.kappa < 1e-6 && (fit.sigma - 0.05).abs() < 1e-4, "{fit:?}");
    }

    proptest! {
        #[test]
        fn what_follows_the_law_is_read_back(lambda in 1.0f64..1e5, sigma in 0.001f64..0.5, kappa in 1e-5f64..0.01) {
            let law = Fit { lambda, sigma, kappa, r2: 1.0, peak: None };
            let fit = fit(&points(&N, &N.map(|n| law.throughput(n)))).unwrap();
            prop_assert!((fit.lambda / lambda - 1.0).abs() < 1e-4, "{:?}", fit);
            prop_assert!((fit.sigma / sigma - 1.0).abs() < 1e-2 && (fit.kappa / kappa - 1.0).abs() < 1e-2, "{:?}", fit);
            let peak = fit.peak.unwrap();
            prop_assert!((peak.n / ((1.0 - sigma) / kappa).sqrt() - 1.0).abs() < 1e-2);
            prop_assert!(peak.x >= law.throughput(peak.n * 1.1) && peak.x >= law.throughput(peak.n / 1.1) * 0.9999);
        }

        #[test]
        fn never_panics(
            values in proptest::collection::vec((proptest::num::f64::ANY, proptest::num::f64::ANY), 0..12)
        ) {
            let points: Vec<Point> = values.iter().map(|(n, x)| Point { n: *n, x: *x }).collect();
            let _ = fit(&points);
            let positive: Vec<Point> = points.iter().map(|p| Point { n: p.n.abs(), x: p.x.abs() }).collect();
            if let Some(fit) = fit(&positive) {
                prop_assert!(fit.sigma >= 0.0 && fit.kappa >= 0.0);
            }
        }
    }
}
