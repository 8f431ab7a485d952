//! Versions that ran side by side in one run: each against the first, and the winner by rewards. A version whose
//! objectives failed can't win, and neither can one whose lead is not shown.

use super::fail_if::FailIf;
use super::model::{RewardOutcome, Row, Verdict, Versions};
use super::{Comparison, Refusal, Settings, versions};
use crate::report::model::Report;
use crate::slo::{Group, Metric};
use crate::spec::{Goal, Reward};
use crate::verdict::RunVerdict;

/// That a lead is chance, over all versions that it is over.
const CHANCE: f64 = 0.05;

/// Judges the versions of a run, the first of which the others are compared with.
pub fn judge(report: &Report, names: &[String], rewards: &[Reward]) -> Versions {
    let seed = report.load.seed;
    let mut judged = Versions { names: names.to_vec(), ..Versions::default() };
    let Some((first, others)) = names.split_first() else { return judged };
    for other in others {
        match versions(report, first, other, &Settings { seed, ..Settings::default() }) {
            Ok(comparison) => judged.comparisons.push(comparison),
            Err(refusal) => {
                judged.summary = format!("the versions were not compared: {refusal}");
                return judged;
            }
        }
    }
    judged.rewards = rewards.iter().map(|reward| Contest { report, names, reward }.outcome()).collect();
    judged.winner = winner(&judged.rewards);
    judged.summary = summary(&judged);
    judged
}

/// The version that wins by every reward.
fn winner(rewards: &[RewardOutcome]) -> Option<String> {
    let first = rewards.first()?.winner.clone()?;
    rewards.iter().all(|reward| reward.winner.as_ref() == Some(&first)).then_some(first)
}

fn summary(judged: &Versions) -> String {
    if let Some(winner) = &judged.winner {
        return format!("{winner} wins");
    }
    if !judged.rewards.is_empty() {
        let mut winners = judged.rewards.iter().filter_map(|reward| reward.winner.as_deref()).collect::<Vec<_>>();
        winners.dedup();
        return match winners.as_slice() {
            [] => "no winner is shown".to_owned(),
            [one] => format!("no winner: {one} leads by some rewards and not by all"),
            many => format!("no winner: by one reward {}", many.join(", by another ")),
        };
    }
    judged.comparisons.iter().map(|comparison| comparison.summary.clone()).collect::<Vec<_>>().join("; ")
}

/// The versions under one reward.
struct Contest<'a> {
    report: &'a Report,
    names: &'a [String],
    reward: &'a Reward,
}

impl Contest<'_> {
    fn outcome(&self) -> RewardOutcome {
        let values: Vec<(String, Option<f64>)> =
            self.names.iter().map(|name| (name.clone(), self.value(name))).collect();
        let (fit, unfit): (Vec<_>, Vec<_>) = values.iter().partition(|(name, _)| !self.failed(name));
        let out = unfit.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let (winner, because) = self.winner(&fit);
        let because = match out.is_empty() {
            true => because,
            false => format!("{because}; objectives failed, so out of the contest: {out}"),
        };
        let statistic = &self.reward.metric.statistic;
        let shown = |value: Option<f64>| {
            let scale = if statistic.is_time() { 1e9 } else { 1.0 };
            value.map_or_else(|| "missing".to_owned(), |value| show(statistic, value * scale))
        };
        RewardOutcome {
            goal: if self.reward.goal == Goal::Min { "min" } else { "max" }.to_owned(),
            metric: self.reward.metric.to_string(),
            values: values.iter().map(|(name, value)| (name.clone(), *value, shown(*value))).collect(),
            winner,
            because,
        }
    }

    fn failed(&self, version: &str) -> bool {
        let of = |metric: &str| metric.parse::<Metric>().is_ok_and(|metric| metric.version() == Some(version));
        self.report.slos.iter().any(|slo| slo.verdict == RunVerdict::Fail && of(&slo.metric))
    }

    fn is_outside(&self) -> bool {
        matches!(self.reward.metric.group, Group::Provider(_))
    }

    fn value(&self, version: &str) -> Option<f64> {
        if self.is_outside() {
            let name = self.reward.metric.of_version(version).to_string();
            return self.report.outside.iter().find(|outside| outside.metric == name)?.value;
        }
        let other = self.names.iter().find(|name| *name != version)?;
        self.row(other, version).ok().flatten()?.value_b
    }

    /// The row of the reward's metric, `version` against `other`.
    fn row(&self, other: &str, version: &str) -> Result<Option<Row>, Refusal> {
        let wanted = self.reward.metric.to_string();
        let fail_if = format!("{wanted} worse").parse::<FailIf>().into_iter().collect();
        let settings = Settings { seed: self.report.load.seed, fail_if };
        let Comparison { sections, .. } = versions(self.report, other, version, &settings)?;
        let metric = |row: &Row| row.metric.parse::<Metric>();
        let rows = || sections.iter().flat_map(|section| &section.rows);
        let exact = rows().find(|row| metric(row).is_ok_and(|metric| metric == self.reward.metric));
        // A test's only request has a name in the rows, which nobody has to write.
        let same = |row: &&Row| {
            metric(row).is_ok_and(|metric| {
                metric.group == self.reward.metric.group && metric.statistic == self.reward.metric.statistic
            })
        };
        let only = Some(()).filter(|()| sections.len() == 1 && self.reward.metric.request().is_none());
        Ok(exact.or_else(|| only.and_then(|()| rows().find(same))).cloned())
    }

    /// An objective of a version that could not be judged: what is missing is no failure of the version.
    fn missing(&self) -> Option<&str> {
        let of_version = |metric: &str| metric.parse::<Metric>().is_ok_and(|metric| metric.version().is_some());
        let missing = self.report.slos.iter().find(|slo| slo.observed.is_none() && of_version(&slo.metric));
        missing.map(|slo| slo.expr.as_str())
    }

    fn winner(&self, fit: &[&(String, Option<f64>)]) -> (Option<String>, String) {
        if let Some(missing) = self.missing() {
            return (None, format!("{missing} has no value: who met the objectives is not known"));
        }
        let known: Vec<(&str, f64)> = fit.iter().filter_map(|(name, value)| Some((name.as_str(), (*value)?))).collect();
        let lead = match self.reward.goal {
            Goal::Min => known.iter().min_by(|a, b| a.1.total_cmp(&b.1)),
            Goal::Max => known.iter().max_by(|a, b| a.1.total_cmp(&b.1)),
        };
        let Some((best, value)) = lead else {
            return (None, "no version has a value and has met its objectives".to_owned());
        };
        let others: Vec<&str> = known.iter().map(|(name, _)| *name).filter(|name| name != best).collect();
        if let Some((name, _)) = fit.iter().find(|(_, value)| value.is_none()) {
            return (None, format!("{name} has no value"));
        }
        if others.is_empty() {
            return (Some((*best).to_owned()), "the only version whose objectives did not fail".to_owned());
        }
        if self.is_outside() {
            if known.iter().any(|(name, other)| name != best && other == value) {
                return (None, "the values are the same".to_owned());
            }
            return (Some((*best).to_owned()), "one number each, without an interval: taken at face value".to_owned());
        }
        for other in &others {
            let shown = self.row(other, best).ok().flatten();
            let chance = CHANCE / others.len() as f64;
            // As the comparison shows it, and over all others at once.
            let leads = |row: &Row| {
                let differs = matches!(row.verdict, Verdict::Better | Verdict::Worse);
                differs && row.p.is_some_and(|p| p <= chance)
            };
            if !shown.as_ref().is_some_and(leads) {
                let interval = shown.map(|row| row.shown.interval).filter(|interval| !interval.is_empty());
                let interval = interval.map_or_else(String::new, |interval| format!(" (95% {interval})"));
                return (None, format!("the lead of {best} over {other} is not shown{interval}"));
            }
        }
        (Some((*best).to_owned()), format!("its lead over {} is shown at 95%", others.join(", ")))
    }
}

fn show(statistic: &crate::slo::Statistic, value: f64) -> String {
    if statistic.is_time() { crate::spec::units::show_ns(value) } else { statistic.show((value * 1e6).round() / 1e6) }
}
