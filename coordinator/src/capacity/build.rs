//! From the probes and the search's answer to its report: what is said, with which exit code, and what goes beside it.

use std::collections::BTreeMap;

use super::knee::knee;
use super::model::{CapacityReport, CapacityVerdict, Probe, ProbeOutcome, SCHEMA, Scalability, Settings};
use super::search::{Answer, Because, Edge, Evidence, Margin, Method, Outcome, Refusal};
use super::usl;
use crate::report::model::RunVerdict;
use crate::report::text::per_second;

/// What is known of a search beside its probes.
pub struct Search {
    pub run: String,
    pub test: String,
    pub started_at: String,
    pub duration: f64,
    pub settings: Settings,
    pub ended: Ended,
    pub notes: Vec<String>,
    /// The rate that the target has to go to; see [`CapacityReport::required`].
    pub required: Option<f64>,
}

/// What ended a search.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// It had its answer.
    Answered,
    /// The next probe would not have fitted.
    Budget,
    Interrupted,
    /// The coordinator that carried it out ended.
    BrokenOff,
    /// The target can't be reached any more: a sentence for people.
    TargetGone(String),
    /// A probe could not be carried out: a sentence for people.
    Failed(String),
}

/// What the search makes of a probe.
pub fn evidence(probe: &Probe) -> Evidence {
    let outcome = match probe.outcome {
        ProbeOutcome::Held => Outcome::Held,
        ProbeOutcome::Broke => Outcome::Broke,
        ProbeOutcome::Unclear => Outcome::Unclear,
        ProbeOutcome::Limited => Outcome::Limited,
    };
    let margin = probe.margin.map(|(log_ratio, error)| Margin { log_ratio, error });
    Evidence { rate: probe.rate, outcome, margin }
}

/// The report of a search with this answer.
pub fn report(search: Search, probes: Vec<Probe>, answer: &Answer) -> CapacityReport {
    let said = say(answer, &search, &probes);
    let knee_points: Vec<(f64, f64)> =
        judged(&probes).filter_map(|probe| Some((probe.rate, probe.latency.p99?))).collect();
    let broken_off =
        matches!(search.ended, Ended::Interrupted | Ended::BrokenOff | Ended::TargetGone(_) | Ended::Failed(_));
    let mut reasons = said.reasons;
    reasons.extend(why_ended(&search.ended, &probes));
    let verdict = if broken_off { CapacityVerdict::BrokenOff } else { said.verdict };
    let (exit_code, requirement) = exit(verdict, &search, said.low, said.high);
    reasons.extend(requirement);
    CapacityReport {
        schema: SCHEMA.to_owned(),
        loadgrid: env!("CARGO_PKG_VERSION").to_owned(),
        run: search.run,
        test: search.test,
        started_at: search.started_at,
        duration: search.duration,
        verdict,
        summary: said.summary,
        reasons,
        exit_code,
        estimate: said.estimate,
        low: said.low,
        high: said.high,
        confidence: said.confidence,
        evidence: said.evidence,
        method: said.method,
        limited_by: limited_by(&probes, said.low.unwrap_or(0.0)),
        required: search.required,
        knee: knee(&knee_points),
        scalability: scalability(&probes),
        settings: search.settings,
        probes,
        notes: search.notes,
    }
}

/// Probes that say something of the target.
fn judged(probes: &[Probe]) -> impl Iterator<Item = &Probe> {
    probes.iter().filter(|probe| probe.outcome != ProbeOutcome::Limited)
}

struct Said {
    verdict: CapacityVerdict,
    summary: String,
    reasons: Vec<String>,
    estimate: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    confidence: Option<f64>,
    evidence: String,
    method: String,
}

impl Said {
    fn new(verdict: CapacityVerdict, summary: String) -> Self {
        Said {
            verdict,
            summary,
            reasons: Vec::new(),
            estimate: None,
            low: None,
            high: None,
            confidence: None,
            evidence: String::new(),
            method: String::new(),
        }
    }
}

/// A rate for people: as many digits as a search can tell apart.
pub fn show_rate(rate: f64) -> String {
    match rate {
        rate if rate >= 100.0 => format!("{rate:.0}/s"),
        rate if rate >= 10.0 => format!("{rate:.1}/s"),
        rate => per_second(rate),
    }
}

fn say(answer: &Answer, search: &Search, probes: &[Probe]) -> Said {
    match answer {
        Answer::Interval { low, high, .. } => interval(answer, low, high, search),
        Answer::AtLeast { edge, because } => at_least(edge, *because, search),
        Answer::Refused(refusal) => refused(*refusal, probes),
    }
}

fn interval(answer: &Answer, low: &Edge, high: &Edge, search: &Search) -> Said {
    let Answer::Interval { estimate, method, confidence, precise, contradicted, .. } = answer else {
        return Said::new(CapacityVerdict::Refused, String::new());
    };
    let coarse = COARSE.max(COARSE_PRECISIONS * search.settings.precision);
    if (high.rate / low.rate).sqrt() - 1.0 > coarse {
        return too_wide(low, high);
    }
    let summary = format!(
        "capacity {}, between {} and {} ({:.0}% confidence)",
        show_rate(*estimate),
        show_rate(low.rate),
        show_rate(high.rate),
        confidence * 100.0
    );
    let mut reasons = Vec::new();
    if !precise {
        let (asked, width) = (search.settings.precision * 100.0, ((high.rate / low.rate).sqrt() - 1.0) * 100.0);
        let why = match search.ended {
            Ended::Answered => "probes closer to the boundary do not tell one side from the other",
            _ => "the search ended before it was narrower",
        };
        reasons.push(format!("the interval is ±{width:.1}% where ±{asked:.1}% was asked for: {why}"));
    }
    if let Some((broke, held)) = contradicted {
        reasons.push(format!(
            "it broke at {} and held at {}, which is higher: the interval spans both",
            show_rate(*broke),
            show_rate(*held)
        ));
    }
    let method = match method {
        Method::Regression { probes } => {
            format!("where the objective meets its limit, by regression over {probes} probes")
        }
        Method::Middle => "the middle of the interval: the objectives break too suddenly for more".to_owned(),
    };
    Said {
        reasons,
        estimate: Some(*estimate),
        low: Some(low.rate),
        high: Some(high.rate),
        confidence: Some((confidence * 100.0).round() / 100.0),
        evidence: format!("{}, {}", held(low), broke(high)),
        method,
        ..Said::new(CapacityVerdict::Found, summary)
    }
}

/// An interval that is wider than this on either side of its middle, or than so many times what was asked for, has no
/// estimate.
const COARSE: f64 = 0.1;
const COARSE_PRECISIONS: f64 = 4.0;

/// Both ends are known, and too far apart to name a rate between them.
fn too_wide(low: &Edge, high: &Edge) -> Said {
    let summary = format!("capacity at least {}, and less than {}", show_rate(low.rate), show_rate(high.rate));
    Said {
        reasons: vec!["the two are too far apart for an estimate: give it more time (--budget)".to_owned()],
        low: Some(low.rate),
        high: Some(high.rate),
        evidence: format!("{}, {}", held(low), broke(high)),
        ..Said::new(CapacityVerdict::AtLeast, summary)
    }
}

fn all(edge: &Edge) -> usize {
    edge.votes.held + edge.votes.broke + edge.votes.unclear
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn held(edge: &Edge) -> String {
    let all = all(edge);
    format!("held in {} of {all} probe{} at {}", edge.votes.held, plural(all), show_rate(edge.rate))
}

fn broke(edge: &Edge) -> String {
    let all = all(edge);
    format!("broke in {} of {all} probe{} at {}", edge.votes.broke, plural(all), show_rate(edge.rate))
}

fn at_least(edge: &Edge, because: Because, search: &Search) -> Said {
    let why = match because {
        Because::Max => {
            format!("it held at the highest rate that was allowed (--max {})", show_rate(search.settings.max))
        }
        Because::Generator { limited_at } => format!(
            "at {} the generator, not the target, was the limit: add workers, lanes or a machine (--workers, --listen)",
            show_rate(limited_at)
        ),
        Because::Budget => "the search ended before anything broke".to_owned(),
    };
    Said {
        reasons: vec![why],
        low: Some(edge.rate),
        evidence: held(edge),
        ..Said::new(CapacityVerdict::AtLeast, format!("capacity at least {}", show_rate(edge.rate)))
    }
}

fn refused(refusal: Refusal, probes: &[Probe]) -> Said {
    match refusal {
        Refusal::FailsAtLowest { rate } => {
            let because = probes.iter().rev().find(|probe| probe.rate == rate && probe.outcome == ProbeOutcome::Broke);
            let mut said = Said::new(
                CapacityVerdict::Fails,
                format!("no capacity: the objectives fail already at {}, the lowest rate tried", show_rate(rate)),
            );
            said.reasons.extend(because.map(|probe| probe.because.clone()));
            said.reasons.push("lower --min, or see whether the objectives can hold at all".to_owned());
            said
        }
        Refusal::Contradiction { broke, held } => {
            let mut said = Said::new(
                CapacityVerdict::Refused,
                format!(
                    "no answer: it broke at {} and held at {}, and repeats did not settle it",
                    show_rate(broke),
                    show_rate(held)
                ),
            );
            said.reasons.push(
                "something beside the rate decides whether it holds: look for neighbours, autoscaling or caches, and \
                 search again"
                    .to_owned(),
            );
            said
        }
        Refusal::NothingConclusive => {
            let mut said =
                Said::new(CapacityVerdict::Refused, "no answer: no probe told whether the objectives hold".to_owned());
            said.reasons.push("give it more time (--budget), or a higher start rate (--from)".to_owned());
            said
        }
        Refusal::GeneratorAtLowest { rate } => {
            let mut said = Said::new(
                CapacityVerdict::Refused,
                format!("no answer: the generator was the limit already at {}", show_rate(rate)),
            );
            let because = probes.iter().rev().find(|probe| probe.outcome == ProbeOutcome::Limited);
            said.reasons.extend(because.map(|probe| probe.because.clone()));
            said.reasons
                .push("nothing passes out of an invalid run: give the generator a machine that is free".to_owned());
            said
        }
    }
}

fn why_ended(ended: &Ended, probes: &[Probe]) -> Option<String> {
    let after = match probes.last() {
        Some(last) => format!("after probe {} at {}", last.number, show_rate(last.rate)),
        None => "before the first probe".to_owned(),
    };
    match ended {
        Ended::Answered => None,
        Ended::Budget => Some(format!("the budget was spent {after}")),
        Ended::Interrupted => Some(format!("the search was interrupted {after}")),
        Ended::BrokenOff => Some(format!("the search was broken off with its coordinator {after}")),
        Ended::TargetGone(why) => Some(format!("the target was gone {after}: {why}")),
        Ended::Failed(why) => Some(format!("the next probe could not be carried out {after}: {why}")),
    }
}

fn exit(verdict: CapacityVerdict, search: &Search, low: Option<f64>, high: Option<f64>) -> (u8, Option<String>) {
    match (&search.ended, verdict) {
        (Ended::Interrupted, _) => return (130, None),
        (Ended::BrokenOff | Ended::TargetGone(_) | Ended::Failed(_), _) => return (4, None),
        (_, CapacityVerdict::Fails) => return (1, None),
        (_, CapacityVerdict::Refused | CapacityVerdict::BrokenOff) => return (3, None),
        (_, CapacityVerdict::Found | CapacityVerdict::AtLeast) => {}
    }
    let Some(required) = search.required else {
        // Bounded on one side by --max or by the generator it is an answer; cut short, or too wide, it is none.
        let cut_short = search.ended == Ended::Budget || high.is_some();
        return if verdict == CapacityVerdict::AtLeast && cut_short { (3, None) } else { (0, None) };
    };
    let asked = show_rate(required);
    if low.is_some_and(|low| low >= required) {
        (0, Some(format!("{asked} were required: it goes that far")))
    } else if high.is_some_and(|high| high <= required) {
        (1, Some(format!("{asked} were required: it does NOT go that far")))
    } else {
        (3, Some(format!("{asked} were required: it lies within what this search can't tell")))
    }
}

/// What broke most often above the answer.
fn limited_by(probes: &[Probe], low: f64) -> Option<String> {
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    let broken = probes.iter().filter(|probe| probe.outcome == ProbeOutcome::Broke && probe.rate > low);
    for probe in broken {
        let failed = probe.slos.iter().filter(|slo| slo.verdict == RunVerdict::Fail).map(|slo| slo.expr.as_str());
        let mut any = false;
        failed.for_each(|expr| {
            any = true;
            *causes.entry(expr).or_default() += 1;
        });
        if !any {
            *causes.entry(&probe.because).or_default() += 1;
        }
    }
    causes.into_iter().max_by_key(|(_, count)| *count).map(|(cause, _)| cause.to_owned())
}

/// A fit needs some requests at once, and a range of them.
const CONCURRENCY_MIN: f64 = 2.0;
const CONCURRENCY_RANGE: f64 = 3.0;

/// A maximum that lies farther beyond the probes is no measurement: the fit hardly bends where they are.
const PEAK_REACH: f64 = 2.0;

fn scalability(probes: &[Probe]) -> Option<Scalability> {
    let points: Vec<usl::Point> = judged(probes)
        .filter_map(|probe| {
            let x = probe.latency.count as f64 / probe.duration;
            Some(usl::Point { n: x * probe.latency.mean?, x })
        })
        .collect();
    let (low, high) = points.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), p| (low.min(p.n), high.max(p.n)));
    // With hardly two requests at once there is nothing that could contend.
    if high < CONCURRENCY_MIN || high < CONCURRENCY_RANGE * low {
        return None;
    }
    let fit = usl::fit(&points)?;
    Some(Scalability {
        lambda: fit.lambda,
        sigma: fit.sigma,
        kappa: fit.kappa,
        r2: fit.r2,
        peak: fit.peak.filter(|peak| peak.n <= PEAK_REACH * high).map(|peak| (peak.n, peak.x)),
    })
}

#[cfg(test)]
mod tests;
