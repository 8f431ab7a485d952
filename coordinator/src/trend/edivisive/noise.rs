//! What a series does without a change: single outliers, the spread around a step, and how much a value resembles the
//! one before. It judges steps that others have found.

use statrs::function::beta::{beta_reg, inv_beta_reg};

/// Outliers are further than so many times the noise from the values on both sides.
const OUTLIER: f64 = 4.0;

/// So many values beside a value say where it should be.
const BESIDE: usize = 3;

/// The spread around a step is that of so many values on either side.
const AROUND: usize = 100;

/// The correlation is taken to be higher than measured, by so many of its standard errors.
const DOUBT: f64 = 0.7;

/// MAD of a normal distribution with a standard deviation of 1.
const NORMAL_MAD: f64 = 0.674_49;

/// The standard normal's 80 % point: how far a step has to be beyond what is just shown to be shown so often.
const POWER: f64 = 0.841_62;

/// A series with its outliers pulled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tamed {
    pub values: Vec<f64>,
    pub outlier: Vec<bool>,
}

/// Pulls in what is far from the values on both sides alike. Two far values in a row may be the start of a level and
/// are left alone.
pub(super) fn tame(values: &[f64]) -> Tamed {
    let reach = OUTLIER * jitter(values);
    let mut tamed = Tamed { values: values.to_vec(), outlier: vec![false; values.len()] };
    for (index, value) in values.iter().enumerate() {
        let before = median(values.get(index.saturating_sub(BESIDE)..index));
        let after = median(values.get(index + 1..(index + 1 + BESIDE).min(values.len())));
        let (low, high) = match (before, after) {
            (Some(a), Some(b)) => (a.min(b), a.max(b)),
            (Some(only), None) | (None, Some(only)) => (only, only),
            (None, None) => continue,
        };
        let near = value.clamp(low, high);
        if let (Some(place), Some(outlier)) = (tamed.values.get_mut(index), tamed.outlier.get_mut(index))
            && (value - near).abs() > reach
        {
            *place = near;
            *outlier = true;
        }
    }
    tamed
}

/// The standard deviation of the noise, from differences between neighbours, which steps and outliers hardly touch.
fn jitter(values: &[f64]) -> f64 {
    let steps: Vec<f64> = values.windows(2).filter_map(|pair| Some((pair.get(1)? - pair.first()?).abs())).collect();
    let typical = median(Some(&steps)).unwrap_or(0.0) / NORMAL_MAD;
    // Where most values are the same, all that is left is the mean.
    let mean = steps.iter().sum::<f64>() / steps.len().max(1) as f64;
    (if typical > 0.0 { typical } else { mean }) / std::f64::consts::SQRT_2
}

/// `None` without values.
pub(in crate::trend) fn median(values: Option<&[f64]>) -> Option<f64> {
    let mut values = values?.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        1 => values.get(middle).copied(),
        _ => Some((values.get(middle.checked_sub(1)?)? + values.get(middle)?) / 2.0),
    }
}

/// Of a span of the values.
pub(in crate::trend) fn mean(values: &[f64], span: (usize, usize)) -> f64 {
    let values = values.get(span.0..span.1).unwrap_or(&[]);
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The noise around a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Local {
    pub(super) variance: f64,
    /// Degrees of freedom of the variance.
    pub(super) freedom: f64,
    /// Correlation of a value with the one before; at least 0.
    pub(super) correlation: f64,
}

impl Local {
    /// From the deviations from the levels, whose starts and end are `bounds`, on either side of a place.
    pub(super) fn around(values: &[f64], bounds: &[usize], at: usize) -> Self {
        let (from, to) = (at.saturating_sub(AROUND), (at + AROUND).min(values.len()));
        let (mut squares, mut products, mut count, mut levels) = (0.0, 0.0, 0.0, 0.0);
        for level in bounds.windows(2) {
            let (Some(start), Some(end)) = (level.first().copied(), level.get(1).copied()) else { continue };
            let middle = mean(values, (start, end));
            let inside = values.get(start.max(from)..end.min(to)).unwrap_or(&[]);
            squares += inside.iter().map(|value| (value - middle).powi(2)).sum::<f64>();
            let pairs = inside.windows(2).filter_map(|pair| Some((pair.first()? - middle) * (pair.get(1)? - middle)));
            products += pairs.sum::<f64>();
            count += inside.len() as f64;
            levels += f64::from(u8::from(!inside.is_empty()));
        }
        let freedom = f64::max(count - levels, 1.0);
        // Deviations from a mean of their own are correlated by −1/n to begin with: what is taken is put back.
        let raw = if squares > 0.0 { products / squares + levels / f64::max(count, 1.0) } else { 0.0 };
        // Of few values the correlation is little known, and it is taken for too low more often than for too high: steps
        // that are none break off what drifts.
        let known = raw * count / (count + 10.0) + DOUBT / f64::max(count, 1.0).sqrt();
        let correlation = if squares > 0.0 { known.clamp(0.0, 0.8) } else { 0.0 };
        Local { variance: squares / freedom, freedom, correlation }
    }

    /// The p of a step between two spans, by Student's t, two-sided, times the places where it could have been.
    pub(super) fn p(&self, values: &[f64], before: (usize, usize), after: (usize, usize), places: f64) -> f64 {
        let step = mean(values, after) - mean(values, before);
        let error = self.error(before.1 - before.0, after.1 - after.0);
        if error <= 0.0 {
            return if step == 0.0 { 1.0 } else { 0.0 };
        }
        let t = step / error;
        (places * beta_reg(self.freedom / 2.0, 0.5, self.freedom / (self.freedom + t * t))).min(1.0)
    }

    /// The step between so many values and so many that has a p of `p` with a probability of 80 %.
    pub(super) fn smallest(&self, before: usize, after: usize, p: f64) -> f64 {
        let x = inv_beta_reg(self.freedom / 2.0, 0.5, p.clamp(1e-12, 1.0));
        let t = (self.freedom * (1.0 - x) / x).sqrt();
        (t + POWER) * self.error(before, after)
    }

    /// Standard error of the difference of two means.
    fn error(&self, before: usize, after: usize) -> f64 {
        (self.variance * (self.of_mean(before) + self.of_mean(after))).sqrt()
    }

    /// The variance of a mean of so many values that are correlated as in an AR(1), by that of one.
    pub(super) fn of_mean(&self, count: usize) -> f64 {
        let n = count.max(1) as f64;
        let mut sum = 1.0;
        let mut power = 1.0;
        for lag in 1..count {
            power *= self.correlation;
            if power < 1e-6 {
                break;
            }
            sum += 2.0 * (1.0 - lag as f64 / n) * power;
        }
        sum / n
    }
}
