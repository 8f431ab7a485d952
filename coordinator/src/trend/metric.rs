//! One metric over its runs: levels, changes, and what is said of the newest level. It does not know the other
//! metrics, but is given its part of the significance.

use super::edivisive::{self, Segmentation, VALUES_MIN};
use super::model::{Around, Change, Direction, Level, MetricTrend, Scale, TrendPoint, TrendVerdict, WorseWhen};
use super::show::{self, Meaning};
use super::{Kind, Point, Settings, VALUE_MAX};

/// Smaller changes of an error share are none: one request in ten thousand.
const SHARE_CHANGE_MIN: f64 = 0.0001;

/// So many runs are shown on either side of a change.
const AROUND: usize = 3;

/// Judges a metric over the runs that have it, oldest first. `newest` is the newest run of this kind.
pub(super) fn judge(
    name: &str,
    kind: Kind,
    runs: &[(&Point, f64)],
    newest: Option<&str>,
    significance: f64,
    settings: &Settings,
) -> MetricTrend {
    let meaning = Meaning::of(name);
    let positive = runs.iter().all(|(_, value)| *value > 0.0);
    let scale = if positive && !meaning.is_share() { Scale::Ratio } else { Scale::Difference };
    let sized: Vec<f64> =
        runs.iter().map(|(_, value)| if scale == Scale::Ratio { value.ln() } else { *value }).collect();
    let smallest = smallest_change(&sized, scale, &meaning, settings);
    let search = edivisive::Settings { significance, smallest, seed: settings.seed };
    let found = edivisive::segment(&sized, &search);
    let baseline = runs.iter().position(|(point, _)| Some(&point.run) == settings.baseline.as_ref());
    let history = History { runs, meaning, scale, found, baseline, significance, smallest };
    history.judged(name, kind, newest)
}

/// In the unit of the values that are searched.
fn smallest_change(sized: &[f64], scale: Scale, meaning: &Meaning, settings: &Settings) -> f64 {
    match scale {
        Scale::Ratio => settings.smallest_change.ln_1p() - 1e-12,
        Scale::Difference if meaning.is_share() => SHARE_CHANGE_MIN,
        Scale::Difference => settings.smallest_change * edivisive::median(Some(sized)).unwrap_or(0.0).abs(),
    }
}

/// What whoever reads the verdict has to know beside it.
pub(super) fn note(metric: &MetricTrend) -> Option<String> {
    let name = &metric.metric;
    if !metric.current {
        return Some(format!("{name}: the newest run does not have it, so it has no part in the verdict"));
    }
    let last = metric.points.last().filter(|point| point.outlier)?;
    Some(format!(
        "{name}: the newest run is far off its level ({}): one run is no level, so run it again to tell",
        last.shown
    ))
}

/// The newest level against the one that it is held against.
struct Held {
    level: usize,
    size: f64,
    verdict: TrendVerdict,
}

struct History<'a> {
    runs: &'a [(&'a Point, f64)],
    meaning: Meaning,
    scale: Scale,
    found: Segmentation,
    /// Index of the baseline.
    baseline: Option<usize>,
    significance: f64,
    smallest: f64,
}

impl History<'_> {
    fn judged(&self, name: &str, kind: Kind, newest: Option<&str>) -> MetricTrend {
        let enough = self.runs.len() >= VALUES_MIN;
        let spans = if enough { self.spans() } else { Vec::new() };
        let levels: Vec<Level> = spans.iter().map(|span| self.level(*span)).collect();
        let changes: Vec<Change> =
            spans.windows(2).zip(&self.found.changes).map(|(pair, change)| self.change(pair, change)).collect();
        let held = self.held(&spans);
        let smallest_step =
            edivisive::smallest_step(&self.found, self.significance).map(|step| self.size(step.max(self.smallest)));
        let verdict = match (&held, enough) {
            (_, false) => TrendVerdict::TooFew,
            (Some(held), true) => held.verdict,
            (None, true) => TrendVerdict::Steady,
        };
        let show = |size: Option<f64>| size.map(|size| self.meaning.size(size, self.scale)).unwrap_or_default();
        let mut metric = MetricTrend {
            metric: name.to_owned(),
            kind: kind.name().to_owned(),
            worse_when: self.meaning.worse_when,
            scale: self.scale,
            verdict,
            sentence: String::new(),
            current: self.runs.last().is_some_and(|(point, _)| Some(point.run.as_str()) == newest),
            points: self.points(&spans),
            levels,
            changes,
            compared_with: held.as_ref().map(|held| held.level),
            difference: held.as_ref().map(|held| held.size),
            shown_difference: show(held.as_ref().map(|held| held.size)),
            smallest_step,
            shown_smallest_step: show(smallest_step).trim_start_matches('+').to_owned(),
            needed: (!enough).then_some(VALUES_MIN),
        };
        metric.sentence = sentence(&metric, self.baseline.is_some());
        metric
    }

    /// First and one after the last point of each level.
    fn spans(&self) -> Vec<(usize, usize)> {
        let starts = std::iter::once(0).chain(self.found.changes.iter().map(|change| change.at));
        let ends = self.found.changes.iter().map(|change| change.at).chain(std::iter::once(self.runs.len()));
        starts.zip(ends).collect()
    }

    /// A step in the unit of the search as a size; of those beyond all sense the largest that is a number.
    fn size(&self, step: f64) -> f64 {
        if self.scale == Scale::Ratio { step.min(VALUE_MAX.ln()).exp_m1() } else { step }
    }

    fn step(&self, from: (usize, usize), to: (usize, usize)) -> f64 {
        let values = &self.found.tamed.values;
        edivisive::mean(values, to) - edivisive::mean(values, from)
    }

    /// The newest level against the baseline's, else against the one before. `None`: there is none.
    fn held(&self, spans: &[(usize, usize)]) -> Option<Held> {
        let newest = spans.len().checked_sub(1)?;
        let of_baseline = self.baseline.and_then(|at| spans.iter().position(|span| (span.0..span.1).contains(&at)));
        let level = of_baseline.or(newest.checked_sub(1))?;
        let (from, to) = (*spans.get(level)?, *spans.get(newest)?);
        let step = self.step(from, to);
        // Neighbours were told apart already.
        let told = level + 1 == newest
            || level != newest
                && step.abs() >= self.smallest
                && edivisive::step_p(&self.found, from, to) <= self.significance;
        let verdict = match self.direction(step) {
            _ if !told => TrendVerdict::Steady,
            Direction::Better => TrendVerdict::Better,
            Direction::Worse => TrendVerdict::Worse,
            Direction::Changed => TrendVerdict::Changed,
        };
        Some(Held { level, size: self.size(step), verdict })
    }

    fn direction(&self, step: f64) -> Direction {
        match self.meaning.worse_when {
            WorseWhen::Unknown => Direction::Changed,
            WorseWhen::Higher if step > 0.0 => Direction::Worse,
            WorseWhen::Lower if step < 0.0 => Direction::Worse,
            _ => Direction::Better,
        }
    }

    fn points(&self, spans: &[(usize, usize)]) -> Vec<TrendPoint> {
        let outliers = self.found.tamed.outlier.iter().copied();
        let point = |(index, ((point, value), outlier)): (usize, (&(&Point, f64), bool))| TrendPoint {
            run: point.run.clone(),
            started_at: point.started_at.clone(),
            value: *value,
            shown: self.meaning.value(*value),
            outlier,
            level: spans.iter().position(|span| (span.0..span.1).contains(&index)),
        };
        self.runs.iter().zip(outliers).enumerate().map(point).collect()
    }

    fn level(&self, span: (usize, usize)) -> Level {
        let tamed = self.found.tamed.values.get(span.0..span.1).unwrap_or(&[]);
        let middle = edivisive::mean(&self.found.tamed.values, span);
        let squares: f64 = tamed.iter().map(|value| (value - middle).powi(2)).sum();
        let deviation = (tamed.len() > 1).then(|| (squares / (tamed.len() - 1) as f64).sqrt());
        let plain = |value: f64| if self.scale == Scale::Ratio { value.exp() } else { value };
        let mean = plain(middle);
        let spread = deviation.map(|deviation| if self.scale == Scale::Ratio { deviation * mean } else { deviation });
        let run = |index: usize| self.runs.get(index).map(|(point, _)| point.run_ref()).unwrap_or_default();
        Level {
            from: span.0,
            to: span.1.saturating_sub(1),
            from_run: run(span.0),
            to_run: run(span.1.saturating_sub(1)),
            runs: tamed.len(),
            mean,
            median: edivisive::median(Some(tamed)).map_or(mean, plain),
            spread,
            shown: self.meaning.value(mean),
            shown_spread: spread.map(|spread| self.meaning.spread(spread, mean, self.scale)).unwrap_or_default(),
        }
    }

    /// The change between two levels.
    fn change(&self, pair: &[(usize, usize)], found: &edivisive::ChangePoint) -> Change {
        let from = pair.first().copied().unwrap_or((0, found.at));
        let to = pair.get(1).copied().unwrap_or((found.at, self.runs.len()));
        let step = self.step(from, to);
        let run = |index: usize| self.runs.get(index).map(|(point, _)| point.run_ref()).unwrap_or_default();
        Change {
            at: found.at,
            before: run(found.at.saturating_sub(1)),
            after: run(found.at),
            size: self.size(step),
            shown: self.meaning.size(self.size(step), self.scale),
            p: found.p,
            direction: self.direction(step),
            accepted: self.baseline.is_some_and(|baseline| found.at <= baseline),
            around: self.around(found.at),
        }
    }

    fn around(&self, at: usize) -> Vec<Around> {
        let indexes = at.saturating_sub(AROUND)..(at + AROUND).min(self.runs.len());
        let beside = |index: usize| {
            let (point, value) = self.runs.get(index)?;
            let offset = index as i64 - at as i64;
            Some(Around {
                point: index,
                run: point.run.clone(),
                started_at: point.started_at.clone(),
                value: *value,
                shown: self.meaning.value(*value),
                offset: if offset < 0 { offset as i32 } else { offset as i32 + 1 },
                outlier: self.found.tamed.outlier.get(index).copied().unwrap_or(false),
            })
        };
        indexes.filter_map(beside).collect()
    }
}

fn sentence(metric: &MetricTrend, baseline: bool) -> String {
    let count = metric.points.len();
    let would = match metric.shown_smallest_step.as_str() {
        "" => String::new(),
        step => format!("; three runs in a row that are {step} off would have shown"),
    };
    if let Some(needed) = metric.needed {
        return format!("too few runs to tell: {count}, and {needed} are needed");
    }
    let levels = (metric.compared_with.and_then(|level| metric.levels.get(level)), metric.levels.last());
    let (Some(old), Some(new)) = levels else { return format!("no change in {count} runs{would}") };
    let held = if baseline { "the baseline's level" } else { "the level before" };
    let word = match metric.verdict {
        TrendVerdict::Better => "better than",
        TrendVerdict::Worse => "worse than",
        TrendVerdict::Changed => "other than",
        _ if metric.compared_with == metric.levels.len().checked_sub(1) => {
            return format!("the newest run is on the baseline's level, {}{would}", new.shown);
        }
        _ => return format!("no difference shown from {held}, {}, to the newest, {}{would}", old.shown, new.shown),
    };
    format!(
        "{word} {held} by {}, {} to {}, for {} runs now, from {} on ({})",
        metric.shown_difference.trim_start_matches(['+', '-']),
        old.shown,
        new.shown,
        new.runs,
        new.from_run.run,
        show::minute(&new.from_run.started_at)
    )
}
