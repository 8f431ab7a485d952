//! Objectives and rewards judged at face value, as Iter8 judges them: a limit itself is kept, a metric that is missing
//! keeps nothing. How sure the values are is not known here; loadgrid's own verdict is `slo`'s.

use super::Iter8Error;
use super::insights::{Extremes, Insights, Limit, Sides};
use super::metrics;

/// What an assess task asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assess {
    pub slos: Sides<Limit>,
    pub rewards: Extremes<String>,
}

/// Judges what was measured and notes the verdicts in the insights. Gives a sentence for whoever reads the log about
/// each metric that is missing.
///
/// # Errors
/// Nothing was measured, or an assess task before had other objectives.
pub fn assess(insights: Option<&mut Insights>, task: &Assess) -> Result<Vec<String>, Iter8Error> {
    if task.slos.is_empty() && task.rewards.is_empty() {
        return Ok(vec!["nothing to do; returning: the assess task names neither SLOs nor rewards".to_owned()]);
    }
    let Some(insights) = insights.filter(|insights| insights.num_versions > 0) else {
        let message =
            "uninitialized insights within experiment: put a task that measures (http, grpc, custommetrics) first";
        return Err(Iter8Error::new("assess", message));
    };
    let mut missing = Vec::new();
    if !task.slos.is_empty() {
        if insights.slos.as_ref().is_some_and(|old| *old != task.slos) {
            let message = "old and new value of slos conflict: an experiment has one set of objectives";
            return Err(Iter8Error::new("assess.SLOs", message));
        }
        let judge = |limits: &[Limit], keeps: fn(f64, f64) -> bool, missing: &mut Vec<String>| -> Vec<Vec<bool>> {
            limits.iter().map(|limit| row(insights, limit, keeps, missing)).collect()
        };
        let satisfied = Sides {
            upper: judge(&task.slos.upper, |value, limit| value <= limit, &mut missing),
            lower: judge(&task.slos.lower, |value, limit| value >= limit, &mut missing),
        };
        insights.slos_satisfied = Some(satisfied);
        insights.slos = Some(task.slos.clone());
    }
    if !task.rewards.is_empty() {
        let winners = Extremes {
            max: task.rewards.max.iter().map(|metric| winner(insights, metric, |new, best| new > best)).collect(),
            min: task.rewards.min.iter().map(|metric| winner(insights, metric, |new, best| new < best)).collect(),
        };
        insights.rewards_winners = Some(winners);
        insights.rewards = Some(task.rewards.clone());
    }
    Ok(missing)
}

fn row(insights: &Insights, limit: &Limit, keeps: fn(f64, f64) -> bool, missing: &mut Vec<String>) -> Vec<bool> {
    let judge = |version| match metrics::value(insights, version, &limit.metric) {
        Some(value) => keeps(value, limit.limit),
        None => {
            missing.push(format!("unable to find value for version {version} and metric {}", limit.metric));
            false
        }
    };
    (0..insights.num_versions).map(judge).collect()
}

/// The first of the best versions; -1 if none has data.
fn winner(insights: &Insights, metric: &str, better: fn(f64, f64) -> bool) -> i64 {
    let mut best: Option<(i64, f64)> = None;
    for version in 0..insights.num_versions {
        let Some(value) = metrics::value(insights, version, metric) else { continue };
        if best.is_none_or(|(_, best)| better(value, best)) {
            best = Some((version as i64, value));
        }
    }
    best.map_or(-1, |(version, _)| version)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::iter8::insights::{MetricMeta, MetricType};

    fn limit(metric: &str, limit: f64) -> Limit {
        Limit { metric: metric.into(), limit }
    }

    fn measured(values: &[Option<f64>]) -> Insights {
        let mut insights = Insights::default();
        insights.versions(values.len()).unwrap();
        let meta = MetricMeta { description: String::new(), units: None, kind: MetricType::Gauge };
        for (version, value) in values.iter().enumerate() {
            if let Some(value) = value {
                insights.record_scalar(version, "m/x", meta.clone(), *value).unwrap();
            }
        }
        insights
    }

    #[test]
    fn limits_are_inclusive_and_what_is_missing_keeps_nothing() {
        let mut insights = measured(&[Some(5.0), Some(6.0), None]);
        let slos = Sides { upper: vec![limit("m/x", 5.0), limit("m/y", 9.0)], lower: vec![limit("m/x", 6.0)] };
        let task = Assess { slos, ..Assess::default() };
        let missing = assess(Some(&mut insights), &task).unwrap();
        let satisfied = insights.slos_satisfied.clone().unwrap();
        assert_eq!(satisfied.upper, [[true, false, false], [false, false, false]]);
        assert_eq!(satisfied.lower, [[false, true, false]]);
        assert_eq!(missing.len(), 5);
        assert_eq!(missing[0], "unable to find value for version 2 and metric m/x");
        assert!(assess(Some(&mut insights), &task).is_ok());
        let other = Assess { slos: Sides { upper: vec![limit("m/x", 7.0)], lower: vec![] }, ..Assess::default() };
        assert!(assess(Some(&mut insights), &other).unwrap_err().to_string().contains("slos conflict"));
    }

    #[test]
    fn rewards_need_no_objectives() {
        let mut insights = measured(&[None, Some(3.0), Some(3.0), Some(1.0)]);
        let rewards = Extremes { max: vec!["m/x".into(), "m/y".into()], min: vec!["m/x".into()] };
        assess(Some(&mut insights), &Assess { rewards, ..Assess::default() }).unwrap();
        assert_eq!(insights.rewards_winners, Some(Extremes { max: vec![1, -1], min: vec![3] }));
        assert_eq!(insights.slos, None);
    }

    #[test]
    fn nothing_measured_is_an_error_and_nothing_asked_is_none() {
        let slos = Sides { upper: vec![limit("m/x", 5.0)], lower: vec![] };
        let task = Assess { slos, ..Assess::default() };
        assert!(assess(None, &task).unwrap_err().to_string().contains("uninitialized insights"));
        assert!(assess(None, &Assess::default()).unwrap()[0].starts_with("nothing to do"));
    }

    proptest! {
        #[test]
        fn a_higher_limit_is_kept_by_no_fewer(value in -1e6..1e6, low in -1e6..1e6, more in 0.0..1e6) {
            let kept = |bound: f64| {
                let mut insights = measured(&[Some(value)]);
                let slos = Sides { upper: vec![limit("m/x", bound)], lower: vec![] };
                assess(Some(&mut insights), &Assess { slos, ..Assess::default() }).unwrap();
                insights.slos_satisfied.unwrap().upper[0][0]
            };
            prop_assert!(!kept(low) || kept(low + more));
        }
    }
}
