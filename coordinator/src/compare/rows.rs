//! The rows of a comparison: each metric of both sides, its difference, and its verdict among all of them. Takes steps,
//! and does not know which runs or versions they come from.

use loadgrid_proto::Recorded;
use loadgrid_proto::histogram::{VALUE_MAX, index_of};

use super::bootstrap::{self, Difference, Figure};
use super::model::{Row, Scale, Section, Shown, Verdict};
use super::show;
use super::steps::Step;
use super::table::Table;
use super::verdict;

use crate::slo::confidence::smallest_sample;
use crate::slo::{Group, Metric, Part, Statistic};

const NS: f64 = 1e9;

/// What histograms of three digits tell apart, as a share.
pub const RESOLUTION: f64 = 0.001;

/// Fewer requests than this make no interval of a difference: resampled, they are too much alike.
const SAMPLES_MIN: u64 = 100;

/// A difference beyond this, as a share of A, is beyond all measure.
const DIFFERENCE_MAX: f64 = 1e3;

/// What is compared of every request.
pub const STATISTICS: [Statistic; 10] = [
    Statistic::Mean(Part::Latency),
    Statistic::Quantile(Part::Latency, 0.5),
    Statistic::Quantile(Part::Latency, 0.9),
    Statistic::Quantile(Part::Latency, 0.95),
    Statistic::Quantile(Part::Latency, 0.99),
    Statistic::Quantile(Part::Latency, 0.999),
    Statistic::Quantile(Part::ServiceTime, 0.5),
    Statistic::Quantile(Part::ServiceTime, 0.99),
    Statistic::ErrorRate,
    Statistic::Rate,
];

/// One request of both sides, or several together.
#[derive(Clone, Debug)]
pub struct Subject {
    /// For people.
    pub name: String,
    pub group: Group,
    /// `None` for all of the group.
    pub request: Option<String>,
    pub a: Vec<Step>,
    pub b: Vec<Step>,
}

/// What is to be known of the sides beside their steps.
#[derive(Clone, Debug)]
pub struct Sides {
    /// For people.
    pub labels: [String; 2],
    /// Whether their steps are the same seconds.
    pub paired: bool,
    /// What waited so long was dropped, and counts as a latency of it; s.
    pub max_wait: [f64; 2],
    /// What the generators themselves add to a time; s.
    pub lag: f64,
    /// How far the rates differ by how the load was driven, as a share.
    pub rate_apart: f64,
}

/// A row before the family has been heard.
struct Draft {
    metric: Metric,
    values: [Option<f64>; 2],
    difference: Option<Difference>,
    /// Below it a difference is not the target's; in the scale of `difference`.
    floor: f64,
    note: Option<String>,
}

/// All rows, judged together. `more` are metrics beside those that are always compared.
pub fn rows(subjects: &[Subject], sides: &Sides, more: &[Metric], seed: u64) -> Vec<Section> {
    let drafts: Vec<Vec<Draft>> = subjects.iter().map(|subject| drafts(subject, sides, more, seed)).collect();
    let tested = || drafts.iter().flatten().filter_map(|draft| draft.difference.as_ref());
    let ps: Vec<f64> = tested().map(|difference| difference.p).collect();
    let family = ps.len();
    let mut rejected = verdict::rejected(&ps).into_iter();
    let mut sections = Vec::new();
    for (subject, drafts) in subjects.iter().zip(drafts) {
        let mut rows = Vec::new();
        for draft in drafts {
            let rejected = draft.difference.is_some() && rejected.next().unwrap_or(false);
            rows.push(row(draft, rejected, family, sides));
        }
        sections.push(Section {
            name: subject.name.clone(),
            group: subject.group.name().to_owned(),
            request: subject.request.clone(),
            rows,
        });
    }
    sections
}

/// A side's steps in the shapes that figures are drawn from.
struct Prepared<'a> {
    steps: &'a [Step],
    latencies: Vec<Recorded>,
    latency: Table,
    service_time: Table,
}

impl<'a> Prepared<'a> {
    fn new(steps: &'a [Step], max_wait: f64) -> Self {
        let wait = ((max_wait * NS) as u64).min(VALUE_MAX);
        let latencies: Vec<Recorded> = steps
            .iter()
            .map(|step| {
                // What was dropped waited for max_wait and got no answer: a latency of at least that.
                let mut latency = step.latency.clone();
                latency.merge(&Recorded::from_counts([(index_of(wait), step.dropped)]));
                latency
            })
            .collect();
        let latency = Table::new(latencies.iter());
        Prepared { steps, latency, latencies, service_time: Table::new(steps.iter().map(|step| &step.service_time)) }
    }

    /// (over, under) by step, of what is a ratio of sums.
    fn pairs(&self, statistic: &Statistic) -> Vec<(f64, f64)> {
        let mean = |recorded: &Recorded| (recorded.summary().sum as f64 / NS, recorded.count() as f64);
        match statistic {
            Statistic::Mean(Part::Latency) => self.latencies.iter().map(mean).collect(),
            Statistic::Mean(Part::ServiceTime) => self.steps.iter().map(|step| mean(&step.service_time)).collect(),
            Statistic::ErrorRate => self.steps.iter().map(|step| (step.errors as f64, step.ended as f64)).collect(),
            Statistic::Rate => self.steps.iter().map(|step| (step.ended as f64, step.length)).collect(),
            _ => Vec::new(),
        }
    }

    fn table(&self, part: Part) -> Option<&Table> {
        match part {
            Part::Latency => Some(&self.latency),
            Part::ServiceTime => Some(&self.service_time),
            _ => None,
        }
    }
}

/// Whether a metric can be compared: whether its steps are in a report.
pub fn is_compared(statistic: &Statistic) -> bool {
    match statistic {
        Statistic::Quantile(part, _) | Statistic::Mean(part) => matches!(part, Part::Latency | Part::ServiceTime),
        Statistic::ErrorRate | Statistic::Rate => true,
        _ => false,
    }
}

fn drafts(subject: &Subject, sides: &Sides, more: &[Metric], seed: u64) -> Vec<Draft> {
    let a = Prepared::new(&subject.a, sides.max_wait[0]);
    let b = Prepared::new(&subject.b, sides.max_wait[1]);
    let metric = |statistic| Metric::new(subject.group.clone(), subject.request.clone(), statistic);
    let own = |asked: &&Metric| metric(asked.statistic).to_string() == asked.to_string();
    let mut statistics = STATISTICS.to_vec();
    for asked in more.iter().filter(own) {
        if is_compared(&asked.statistic) && !statistics.contains(&asked.statistic) {
            statistics.push(asked.statistic);
        }
    }
    statistics.into_iter().map(|statistic| draft(metric(statistic), [&a, &b], sides, seed)).collect()
}

fn draft(metric: Metric, [a, b]: [&Prepared; 2], sides: &Sides, seed: u64) -> Draft {
    let seed = seed ^ hash(&metric.to_string());
    let mut note = None;
    let (values, mut difference) = match metric.statistic {
        Statistic::Quantile(part, quantile) => {
            let (Some(a), Some(b)) = (a.table(part), b.table(part)) else { return Draft::empty(metric) };
            let value = |table: &Table| Some(table.quantile(quantile, &[(0, table.steps())])? as f64 / NS);
            let figures = [Figure::Quantile(a, quantile), Figure::Quantile(b, quantile)];
            ([value(a), value(b)], bootstrap::difference(figures, sides.paired, seed))
        }
        _ => {
            let (a, b) = (a.pairs(&metric.statistic), b.pairs(&metric.statistic));
            let value = |pairs: &[(f64, f64)]| {
                let (over, under) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
                (under > 0.0).then(|| over / under)
            };
            let figure = if metric.statistic == Statistic::ErrorRate { Figure::Share } else { Figure::LogRatio };
            ([value(&a), value(&b)], bootstrap::difference([figure(&a), figure(&b)], sides.paired, seed))
        }
    };
    if let Statistic::Quantile(_, quantile) = metric.statistic
        && let Some(found) = difference
    {
        let needed = smallest_sample(quantile).max(SAMPLES_MIN);
        let few = [0, 1].into_iter().find(|side| found.effective.get(*side).is_some_and(|n| *n < needed as f64));
        if let Some(side) = few {
            let (label, effective) = (&sides.labels[side], found.effective[side]);
            note =
                Some(format!("n too small: it takes {needed} independent requests, {label} is worth {effective:.0}"));
            difference = None;
        }
    }
    if difference.is_none() && note.is_none() {
        note = Some(missing(values, sides));
    }
    let floor = floor(&metric.statistic, values, sides);
    Draft { metric, values, difference, floor, note }
}

impl Draft {
    fn empty(metric: Metric) -> Self {
        Draft { metric, values: [None; 2], difference: None, floor: 0.0, note: None }
    }
}

fn missing(values: [Option<f64>; 2], sides: &Sides) -> String {
    match values {
        [None, None] => "nothing was measured".to_owned(),
        [None, _] => format!("nothing was measured in {}", sides.labels[0]),
        [_, None] => format!("nothing was measured in {}", sides.labels[1]),
        _ => "too few steps to tell how much they vary: run both for longer".to_owned(),
    }
}

/// What a difference has to exceed to be the target's.
fn floor(statistic: &Statistic, values: [Option<f64>; 2], sides: &Sides) -> f64 {
    match statistic {
        Statistic::ErrorRate => 0.0,
        Statistic::Rate => RESOLUTION + sides.rate_apart,
        _ => values[0].map_or(RESOLUTION, |a| RESOLUTION.max((sides.lag / a.max(1e-9)).ln_1p())),
    }
}

/// FNV-1a: each metric draws for itself, whatever else is compared.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn row(draft: Draft, rejected: bool, family: usize, sides: &Sides) -> Row {
    let Draft { metric, values: [value_a, value_b], difference, floor, mut note } = draft;
    let statistic = metric.statistic;
    let higher_is_better = statistic == Statistic::Rate;
    let scale = if statistic == Statistic::ErrorRate { Scale::Absolute } else { Scale::Relative };
    // Logarithms to shares of A.
    let out = |value: f64| match scale {
        Scale::Relative => value.exp_m1(),
        Scale::Absolute => value,
    };
    let finite = |value: f64| Some(value).filter(|value| value.abs() < DIFFERENCE_MAX);
    let (mut verdict, mut suspected, mut smallest) = (Verdict::Unknown, false, None);
    if let Some(found) = &difference {
        verdict = verdict::of_row(found.difference, floor, rejected, higher_is_better);
        let excludes_zero = found.low > 0.0 || found.high < 0.0;
        suspected = excludes_zero && !rejected;
        let could = verdict::smallest(found, family).max(floor);
        smallest = finite(if higher_is_better { -out(-could) } else { out(could) });
        if suspected {
            note = Some(format!("differs by itself, but among {family} rows such a one is expected by chance"));
        } else if rejected && verdict == Verdict::Same {
            note = Some(too_small(&statistic, sides));
        }
    }
    let mut row = Row {
        metric: metric.to_string(),
        name: name(&metric),
        scale,
        higher_is_better,
        value_a,
        value_b,
        difference: difference.and_then(|found| finite(out(found.difference))),
        low: difference.and_then(|found| finite(out(found.low))),
        high: difference.and_then(|found| finite(out(found.high))),
        p: difference.map(|found| found.p),
        smallest,
        verdict,
        suspected,
        note,
        shown: Shown::default(),
    };
    row.shown = show::row(&row, &statistic);
    row
}

fn too_small(statistic: &Statistic, sides: &Sides) -> String {
    match statistic {
        Statistic::Rate => "smaller than what the two loads differ by themselves".to_owned(),
        _ if sides.lag > 0.0 => {
            format!("smaller than what the generators add ({}) or tell apart (0.1%)", show::time(sides.lag))
        }
        _ => "smaller than what the histograms tell apart (0.1%)".to_owned(),
    }
}

/// The metric within its section: `http-home/latency-p99` is `latency p99`.
fn name(metric: &Metric) -> String {
    let whole = metric.to_string();
    let name = whole.rsplit('/').next().unwrap_or(&whole);
    match name {
        "error-rate" => "errors".to_owned(),
        _ => match name.rsplit_once('-') {
            Some((part, statistic)) => format!("{} {statistic}", part.replace('-', " ")),
            None => name.to_owned(),
        },
    }
}
