//! Two runs, or two versions in one run, against each other: is B better, worse, or is no difference shown? Pure: takes
//! reports and a seed, and knows no store, no clock and no files.
//!
//! `comparable` refuses what cannot be compared; `steps` reads what is; `rows` puts each metric's figures side by side,
//! `bootstrap` says how far their difference is to be trusted, and `verdict` what that means among so many rows. All
//! formats are rendered from the one `model`.

mod bootstrap;
mod comparable;
pub mod fail_if;
mod longrun;
mod markdown;
pub mod model;
pub mod rows;
mod show;
pub mod side_by_side;
mod spectra;
pub mod steps;
mod student;
mod table;
mod text;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use self::fail_if::FailIf;
pub use self::model::Comparison;
use self::model::{Head, SCHEMA, Section, Spectra, Verdict};
use self::rows::{Sides, Subject};
use self::steps::Step;
use crate::report::model::{Report, Request};
use crate::slo::{Group, Metric};

/// What a comparison needs beside the reports.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Of the bootstrap.
    pub seed: u64,
    pub fail_if: Vec<FailIf>,
}

/// Why two sides cannot be compared, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {mend}")]
pub struct Refusal {
    pub what: String,
    pub mend: String,
}

impl Refusal {
    fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Refusal { what: what.into(), mend: mend.into() }
    }

    fn unreadable(label: &str, run: &str, error: &str) -> Self {
        Refusal::new(format!("{label} (run {run}) is damaged: {error}"), "run it again")
    }
}

/// B against A.
///
/// # Errors
/// They cannot be compared: one sentence for people, with its mend.
pub fn compare(a: &Report, b: &Report, settings: &Settings) -> Result<Comparison, Refusal> {
    let mut notes = comparable::check(a, b)?;
    let read = |label: &str, report: &Report| {
        steps::read(report).map_err(|error| Refusal::unreadable(label, &report.run, &error))
    };
    let (of_a, of_b) = (read("A", a)?, read("B", b)?);
    let named = |of: BTreeMap<String, Vec<Step>>| of.into_iter().collect::<Vec<_>>();
    let subjects = subjects(named(of_a), named(of_b), |name| a.requests.get(name).map(group));
    let rate_apart = match (a.load.target_rate, b.load.target_rate) {
        (Some(a), Some(b)) if a > 0.0 && b > 0.0 => (b / a).ln().abs(),
        _ => 0.0,
    };
    let lag = |report: &Report| report.total.dispatch_lag.p50.unwrap_or(0.0);
    let sides = Sides {
        labels: ["A".to_owned(), "B".to_owned()],
        paired: false,
        max_wait: [a.load.max_wait, b.load.max_wait],
        lag: lag(a).max(lag(b)),
        rate_apart,
    };
    let spectra = Spectra {
        latency_a: a.histograms.latency_spectrum.clone(),
        latency_b: b.histograms.latency_spectrum.clone(),
        service_time_a: a.histograms.service_time_spectrum.clone(),
        service_time_b: b.histograms.service_time_spectrum.clone(),
    };
    let heads = [("A", a), ("B", b)].map(|(label, report)| Head {
        target_rate: report.load.target_rate,
        ..head(label, report, report.requests.values().collect())
    });
    notes.push(
        "the two ran at different times: whatever else changed between them is in the differences as well; before you \
         trust a small one, repeat both in turn, or run both versions side by side"
            .to_owned(),
    );
    finish(heads, &subjects, &sides, notes, spectra, settings)
}

/// Two versions that ran side by side in one run, `candidate` against `current`: their requests are named
/// `NAME@VERSION`, and rows by NAME.
///
/// # Errors
/// As [`compare`].
pub fn versions(report: &Report, current: &str, candidate: &str, settings: &Settings) -> Result<Comparison, Refusal> {
    if current == candidate {
        let what = format!("both sides are version {current}: there is nothing to compare");
        return Err(Refusal::new(what, "name two versions"));
    }
    comparable::check_one("the test", report)?;
    let labels = [current, candidate];
    let own = labels.map(|version| {
        report.requests.iter().filter_map(|(name, request)| Some((of_version(name, version)?, request))).collect()
    });
    let [of_current, of_candidate]: [BTreeMap<&str, &Request>; 2] = own;
    if let Some((version, _)) =
        [(current, &of_current), (candidate, &of_candidate)].iter().find(|(_, of)| of.is_empty())
    {
        let what = format!("run {} has no version '{version}'", report.run);
        return Err(Refusal::new(what, format!("name two of {}", known_versions(report).join(", "))));
    }
    for (version, own, other) in [(current, &of_current, &of_candidate), (candidate, &of_candidate, &of_current)] {
        if let Some(name) = own.keys().find(|name| !other.contains_key(*name)) {
            let what = format!("the request '{name}' of {version} is not in the other version");
            return Err(Refusal::new(what, "give both versions the same requests"));
        }
    }
    let steps = steps::read(report).map_err(|error| Refusal::unreadable("the test", &report.run, &error))?;
    let side = |version: &str| {
        let own = steps.iter().filter_map(|(name, steps)| Some((of_version(name, version)?.to_owned(), steps.clone())));
        own.collect::<Vec<_>>()
    };
    let subjects = subjects(side(current), side(candidate), |name| of_current.get(name).map(|request| group(request)));
    let sides = Sides {
        labels: labels.map(str::to_owned),
        paired: true,
        max_wait: [report.load.max_wait; 2],
        lag: report.total.dispatch_lag.p50.unwrap_or(0.0),
        rate_apart: 0.0,
    };
    let spectra = spectra::of_versions(report, |name, side| of_version(name, labels[side]).is_some())
        .map_err(|error| Refusal::unreadable("the test", &report.run, &error))?;
    let count = known_versions(report).len().max(1) as f64;
    let heads = [(current, &of_current), (candidate, &of_candidate)].map(|(version, own)| Head {
        target_rate: report.load.target_rate.map(|rate| rate / count),
        ..head(version, report, own.values().copied().collect())
    });
    let notes = comparable::degraded("the test", report).into_iter().collect();
    finish(heads, &subjects, &sides, notes, spectra, settings)
}

/// A request's name without this version; `None` for one of another version.
fn of_version<'a>(name: &'a str, version: &str) -> Option<&'a str> {
    name.rsplit_once('@').filter(|(_, own)| *own == version).map(|(name, _)| name)
}

fn known_versions(report: &Report) -> Vec<String> {
    let versions: BTreeSet<&str> =
        report.requests.keys().filter_map(|name| name.rsplit_once('@')).map(|(_, version)| version).collect();
    versions.into_iter().map(str::to_owned).collect()
}

fn group(request: &Request) -> Group {
    // Reports of older versions name no group.
    match request.group.as_str() {
        "grpc" => Group::Grpc,
        "" if request.protocol.starts_with("gRPC") => Group::Grpc,
        _ => Group::Http,
    }
}

/// All requests of a group together, where there are several, and then each of them.
fn subjects(
    a: Vec<(String, Vec<Step>)>,
    b: Vec<(String, Vec<Step>)>,
    group: impl Fn(&str) -> Option<Group>,
) -> Vec<Subject> {
    let mut b: BTreeMap<String, Vec<Step>> = b.into_iter().collect();
    let mut each = Vec::new();
    for (name, a) in a {
        if let (Some(b), Some(group)) = (b.remove(&name), group(&name)) {
            each.push(Subject { name: name.clone(), group, request: Some(name), a, b });
        }
    }
    let groups: BTreeSet<Group> = each.iter().map(|subject| subject.group.clone()).collect();
    let mut subjects = Vec::new();
    for group in &groups {
        let own: Vec<&Subject> = each.iter().filter(|subject| subject.group == *group).collect();
        if own.len() > 1 {
            let name = if groups.len() == 1 { "all requests".into() } else { format!("all {} requests", group.name()) };
            let a = steps::together(own.iter().map(|subject| &subject.a));
            let b = steps::together(own.iter().map(|subject| &subject.b));
            subjects.push(Subject { name, group: group.clone(), request: None, a, b });
        }
    }
    subjects.extend(each);
    subjects
}

/// One side, but for its target rate.
fn head(label: &str, report: &Report, requests: Vec<&Request>) -> Head {
    let load = &report.load;
    let sum = |of: fn(&Request) -> u64| requests.iter().map(|request| of(request)).sum::<u64>();
    let ended = sum(|request| request.count);
    let urls: BTreeSet<&str> = requests.iter().map(|request| request.url.as_str()).collect();
    Head {
        label: label.to_owned(),
        run: report.run.clone(),
        test: report.test.clone(),
        started_at: report.started_at.clone(),
        verdict: report.verdict,
        validity: report.validity,
        urls: urls.into_iter().map(str::to_owned).collect(),
        model: load.model.clone(),
        arrivals: load.arrivals.clone(),
        profile: load.profile.clone(),
        target_rate: None,
        rate: if load.duration > 0.0 { ended as f64 / load.duration } else { 0.0 },
        duration: load.duration,
        requests: ended,
        errors: sum(|request| request.errors),
        dropped: sum(|request| request.dropped),
    }
}

fn finish(
    [a, b]: [Head; 2],
    subjects: &[Subject],
    sides: &Sides,
    mut notes: Vec<String>,
    spectra: Spectra,
    settings: &Settings,
) -> Result<Comparison, Refusal> {
    let asked: Vec<Metric> = settings.fail_if.iter().map(|condition| wanted(condition, subjects)).collect();
    let sections = rows::rows(subjects, sides, &asked, settings.seed);
    let verdict = verdict::of_all(sections.iter().flat_map(|section| &section.rows).map(|row| row.verdict));
    for (head, max_wait) in [&a, &b].into_iter().zip(sides.max_wait).filter(|(head, _)| head.dropped > 0) {
        let wait = show::time(max_wait);
        notes.push(format!("{} of {} were dropped: they count as latencies of {wait}", head.dropped, head.label));
    }
    let tested = sections.iter().flat_map(|section| &section.rows).filter(|row| row.p.is_some()).count();
    let mut comparison = Comparison {
        schema: SCHEMA.to_owned(),
        loadgrid: env!("CARGO_PKG_VERSION").to_owned(),
        test: a.test.clone(),
        paired: sides.paired,
        verdict,
        summary: summary(&a.label, &b.label, verdict, &sections, tested),
        confidence: crate::slo::confidence::CONFIDENCE,
        family: tested as u32,
        seed: settings.seed,
        sections,
        notes,
        spectra,
        fail_if: Vec::new(),
        a,
        b,
    };
    comparison.fail_if = settings.fail_if.iter().map(|condition| fail_if::judge(condition, &comparison)).collect();
    Ok(comparison)
}

/// The metric whose row a condition needs: of a group that is one request, that request's.
fn wanted(condition: &FailIf, subjects: &[Subject]) -> Metric {
    let own = subjects.iter().filter(|subject| subject.group == condition.metric.group);
    let requests: Vec<&str> = own.filter_map(|subject| subject.request.as_deref()).collect();
    fail_if::wanted(condition, &requests)
}

/// The whole in one sentence.
fn summary(a: &str, b: &str, verdict: Verdict, sections: &[Section], tested: usize) -> String {
    let rows = || sections.iter().flat_map(|section| section.rows.iter().map(move |row| (section, row)));
    let count = |verdict: Verdict| rows().filter(|(_, row)| row.verdict == verdict).count();
    let list = |verdict: Verdict| {
        let mut own: Vec<_> = rows().filter(|(_, row)| row.verdict == verdict).collect();
        own.sort_by(|x, y| x.1.p.unwrap_or(1.0).total_cmp(&y.1.p.unwrap_or(1.0)));
        let named = |(section, row): &(&Section, &model::Row)| match sections.len() {
            1 => format!("{} {}", row.name, row.shown.difference),
            _ => format!("{} of {} {}", row.name, section.name, row.shown.difference),
        };
        own.iter().take(NAMED_MAX).map(named).collect::<Vec<_>>().join(", ")
    };
    let (better, worse) = (count(Verdict::Better), count(Verdict::Worse));
    match verdict {
        Verdict::Worse => format!("{b} is worse than {a} in {worse} of {tested} rows: {}", list(Verdict::Worse)),
        Verdict::Better => format!("{b} is better than {a} in {better} of {tested} rows: {}", list(Verdict::Better)),
        Verdict::Mixed => format!(
            "{b} is worse than {a} in {worse} of {tested} rows ({}), and better in {better} ({})",
            list(Verdict::Worse),
            list(Verdict::Better)
        ),
        Verdict::Same => format!("no difference shown in any of {tested} rows"),
        Verdict::Unknown => "the samples are too small to compare anything".to_owned(),
    }
}

/// How many rows the sentence names.
const NAMED_MAX: usize = 3;

/// What a comparison can be rendered as, beside HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
    Markdown,
}

/// Renders a comparison. `colour` is for text on a terminal.
///
/// # Errors
/// JSON's own: none that a comparison gives.
pub fn render(comparison: &Comparison, format: Format, colour: bool) -> Result<String, String> {
    match format {
        Format::Text => Ok(text::render(comparison, colour)),
        Format::Markdown => Ok(markdown::render(comparison)),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(comparison).map_err(|error| error.to_string())?;
            text.push('\n');
            Ok(text)
        }
    }
}

/// The versions of one run for a terminal, as a part of its report.
pub fn versions_text(versions: &model::Versions, colour: bool) -> String {
    text::versions(versions, colour)
}

/// The same as Markdown.
pub fn versions_markdown(versions: &model::Versions) -> String {
    markdown::versions(versions)
}

#[cfg(test)]
mod tests;
