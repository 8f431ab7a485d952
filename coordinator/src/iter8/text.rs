//! The text report in Iter8's layout, to the byte; but an objective whose metric is missing keeps its row.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::experiment::Experiment;
use super::insights::{Insights, Limit, MetricType, Sides};
use super::metrics;

/// Renders a report.
pub fn render(experiment: &Experiment) -> String {
    let result = experiment.result.clone().unwrap_or_default();
    let mut out = String::new();
    out.push_str(&headline("Experiment summary:"));
    let facts = [
        ("Experiment completed", experiment.completed().to_string()),
        ("No task failures", experiment.no_failure().to_string()),
        ("Total number of tasks", experiment.spec.len().to_string()),
        ("Number of completed tasks", result.num_completed_tasks.to_string()),
        ("Number of completed loops", result.num_loops.to_string()),
    ];
    for (name, value) in facts {
        let _ = writeln!(out, "  {name}: {value}");
    }
    match experiment.insights() {
        None => {
            out.push_str(&headline("Metrics-based Insights:"));
            out.push_str(
                "  Insights not found in experiment results. You may need to retry this report at a later time.\n\n",
            );
        }
        Some(insights) => {
            if let Some(slos) = insights.slos.as_ref().filter(|slos| !slos.is_empty()) {
                out.push_str(&headline("Whether or not service level objectives (SLOs) are satisfied:"));
                out.push_str(&table(&objectives(insights, slos)));
            }
            out.push_str(&headline("Latest observed values for metrics:"));
            out.push_str(&table(&values(insights)));
            out.push('\n');
        }
    }
    out
}

fn headline(text: &str) -> String {
    format!("\n{text}\n{}\n\n", "*".repeat(text.chars().count()))
}

/// Go's tabwriter: cells as wide as their column's widest and one more; the last one as it is. Two spaces in front,
/// also of the line that ends the table.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| column + 1 < row.len()).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + 1
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        out.push_str("  ");
        for (column, cell) in row.iter().enumerate() {
            if column + 1 < row.len() {
                let width = widths.get(column).copied().unwrap_or(0);
                let _ = write!(out, "{cell:<width$}|");
            } else {
                out.push_str(cell);
            }
        }
        out.push('\n');
    }
    out.push_str("  \n");
    out
}

/// A row of cells; each but the first has a space between itself and the line.
fn row(first: impl Into<String>, rest: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(first.into()).chain(rest.into_iter().map(|cell| format!(" {cell}"))).collect()
}

fn objectives(insights: &Insights, slos: &Sides<Limit>) -> Vec<Vec<String>> {
    let versions = 0..insights.num_versions;
    let names: Vec<String> = if insights.num_versions > 1 {
        versions.clone().map(|version| insights.version_name(version)).collect()
    } else {
        vec!["Satisfied".to_owned()]
    };
    let mut rows =
        vec![row("SLO Conditions", names), row("--------------", versions.clone().map(|_| "---------".to_owned()))];
    let sides = [(&slos.upper, true), (&slos.lower, false)];
    for (limits, upper) in sides {
        for (index, limit) in limits.iter().enumerate() {
            let kept = versions.clone().map(|version| satisfied(insights, upper, index, version).to_string());
            rows.push(row(objective(insights, limit, upper), kept));
        }
    }
    rows
}

/// Whether a version keeps an objective; what was not judged is not kept.
pub(super) fn satisfied(insights: &Insights, upper: bool, index: usize, version: usize) -> bool {
    let satisfied = insights.slos_satisfied.as_ref();
    let rows = satisfied.map(|sides| if upper { &sides.upper } else { &sides.lower });
    rows.and_then(|rows| rows.get(index)?.get(version).copied()).unwrap_or(false)
}

/// `http/latency-mean (msec) <= 500`, or the limit first.
pub(super) fn objective(insights: &Insights, limit: &Limit, upper: bool) -> String {
    let (name, limit) = (with_units(insights, &limit.metric), go_number(limit.limit));
    if upper { format!("{name} <= {limit}") } else { format!("{limit} <= {name}") }
}

/// A metric's normal name with its unit, if it has one.
pub(super) fn with_units(insights: &Insights, metric: &str) -> String {
    let name = metrics::normalize(metric);
    // An aggregation has the unit of what it is over.
    let base = name.rsplit_once('/').map(|(base, _)| base).filter(|base| base.contains('/'));
    let meta = insights.metrics_info.get(&name).or_else(|| insights.metrics_info.get(base?));
    match meta.and_then(|meta| meta.units.as_deref()) {
        Some(units) => format!("{name} ({units})"),
        None => name,
    }
}

/// Scalars, and what objectives name, sorted.
pub(super) fn names(insights: &Insights) -> Vec<String> {
    let scalars =
        insights.metrics_info.iter().filter(|(_, meta)| matches!(meta.kind, MetricType::Counter | MetricType::Gauge));
    let mut names: BTreeSet<String> = scalars.map(|(name, _)| metrics::normalize(name)).collect();
    if let Some(slos) = &insights.slos {
        names.extend(slos.upper.iter().chain(&slos.lower).map(|limit| metrics::normalize(&limit.metric)));
    }
    names.into_iter().collect()
}

fn values(insights: &Insights) -> Vec<Vec<String>> {
    let versions = 0..insights.num_versions;
    let several = insights.num_versions > 1;
    let best = several && insights.rewards.is_some();
    let mut head: Vec<String> = if several {
        versions.clone().map(|version| insights.version_name(version)).collect()
    } else {
        vec!["value".to_owned()]
    };
    let mut rule: Vec<String> = versions.clone().map(|_| "-----".to_owned()).collect();
    if best {
        head.push("Best".to_owned());
        rule.push("----".to_owned());
    }
    let mut rows = vec![row("Metric", head), row("-------", rule)];
    for name in names(insights) {
        let shown = versions.clone().map(|version| observed(insights, version, &name));
        let best = best.then(|| self::best(insights, &name));
        rows.push(row(with_units(insights, &name), shown.chain(best)));
    }
    rows
}

/// A value with two digits, or that there is none.
pub(super) fn observed(insights: &Insights, version: usize, metric: &str) -> String {
    metrics::value(insights, version, metric).map_or_else(|| "unavailable".to_owned(), |value| format!("{value:.2}"))
}

/// The version that is best at a metric, if it is a reward.
pub(super) fn best(insights: &Insights, name: &str) -> String {
    let (Some(rewards), Some(winners)) = (&insights.rewards, &insights.rewards_winners) else {
        return "n/a".to_owned();
    };
    let find = |metrics: &[String], winners: &[i64]| {
        let index = metrics.iter().position(|metric| metrics::normalize(metric) == name)?;
        winners.get(index).copied()
    };
    match find(&rewards.max, &winners.max).or_else(|| find(&rewards.min, &winners.min)) {
        None => "n/a".to_owned(),
        Some(winner) => usize::try_from(winner)
            .map_or_else(|_| "insufficient data".to_owned(), |winner| insights.version_name(winner)),
    }
}

/// A number as Go's %v writes it.
pub(super) fn go_number(value: f64) -> String {
    let exponent = format!("{value:e}");
    match exponent.split_once('e').and_then(|(digits, power)| Some((digits, power.parse::<i32>().ok()?))) {
        Some((digits, power)) if value != 0.0 && !(-4..21).contains(&power) => {
            format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::experiment::ResultBody;
    use super::super::experiment::tests::experiment;
    use super::super::insights::{Extremes, MetricMeta};
    use super::*;

    #[test]
    fn the_layout_is_iter8s() {
        let expected = "
Experiment summary:
*******************

  Experiment completed: true
  No task failures: true
  Total number of tasks: 4
  Number of completed tasks: 4
  Number of completed loops: 0

Whether or not service level objectives (SLOs) are satisfied:
*************************************************************

  SLO Conditions                  | Satisfied
  --------------                  | ---------
  http/error-rate <= 0            | true
  http/latency-mean (msec) <= 500 | true
  \n
Latest observed values for metrics:
***********************************

  Metric                    | value
  -------                   | -----
  http/error-count          | 0.00
  http/error-rate           | 0.00
  http/latency-max (msec)   | 272.84
  http/latency-mean (msec)  | 29.62
  http/latency-p99.9 (msec) | 272.47
  \n
";
        assert_eq!(render(&experiment()), expected);
    }

    #[test]
    fn without_insights_a_later_report_is_advised() {
        let mut experiment = experiment();
        experiment.result = Some(ResultBody::default());
        let expected = "
Experiment summary:
*******************

  Experiment completed: false
  No task failures: true
  Total number of tasks: 4
  Number of completed tasks: 0
  Number of completed loops: 0

Metrics-based Insights:
***********************

  Insights not found in experiment results. You may need to retry this report at a later time.

";
        assert_eq!(render(&experiment), expected);
        experiment.result = None;
        assert!(render(&experiment).contains("No task failures: false"));
    }

    #[test]
    fn versions_have_columns_and_rewards_a_best() {
        let mut insights = Insights::default();
        insights.versions(2).unwrap();
        let meta = MetricMeta { description: String::new(), units: None, kind: MetricType::Gauge };
        insights.record_scalar(0, "m/x", meta.clone(), 1.0).unwrap();
        insights.record_scalar(1, "m/x", meta.clone(), 12.5).unwrap();
        insights.record_scalar(1, "m/y", meta, 2.0).unwrap();
        insights.rewards = Some(Extremes { max: vec!["m/x".into(), "m/z".into()], min: vec![] });
        insights.rewards_winners = Some(Extremes { max: vec![1, -1], min: vec![] });
        insights.slos = Some(Sides { upper: vec![], lower: vec![Limit { metric: "m/z".into(), limit: 0.5 }] });
        insights.slos_satisfied = Some(Sides { upper: vec![], lower: vec![vec![false, true]] });
        let mut experiment = experiment();
        experiment.result_mut().insights = Some(insights);
        let text = render(&experiment);
        let expected = "  SLO Conditions | version 0 | version 1
  -------------- | --------- | ---------
  0.5 <= m/z     | false     | true
  \n
Latest observed values for metrics:
***********************************

  Metric  | version 0   | version 1   | Best
  ------- | -----       | -----       | ----
  m/x     | 1.00        | 12.50       | version 1
  m/y     | unavailable | 2.00        | n/a
  m/z     | unavailable | unavailable | insufficient data
  \n
";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn numbers_are_gos() {
        let numbers = [
            (500.0, "500"),
            (0.05, "0.05"),
            (0.0, "0"),
            (0.00005, "5e-05"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (-2.5, "-2.5"),
        ];
        for (value, text) in numbers {
            assert_eq!(go_number(value), text);
        }
    }
}
