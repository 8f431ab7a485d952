//! The report as one HTML page of the same content as the text: no script, nothing fetched, the same bytes each time.
//! What an objective's verdict means for a run is not known here.

use std::fmt::Write;

use serde::Serialize;
use tera::{Context, Tera};

use super::Iter8Error;
use super::experiment::Experiment;
use super::insights::{Bucket, Insights, MetricType};
use super::text;

/// Escaping goes by the name's end.
const NAME: &str = "report.html";
const TEMPLATE: &str = include_str!("report.html.tera");

/// Bars of a histogram.
const BARS: usize = 32;
/// A logarithmic scale where the longest latency is more than this many times the shortest.
const LOG_FROM: f64 = 50.0;
/// Below this share of the longest latency nothing is told apart.
const LEAST: f64 = 1e-5;

/// Renders a report.
///
/// # Errors
/// The template's, which no experiment causes.
pub fn render(experiment: &Experiment) -> Result<String, Iter8Error> {
    let broken = |error: tera::Error| Iter8Error::new("the HTML report", error.to_string());
    let mut tera = Tera::default();
    tera.add_raw_template(NAME, TEMPLATE).map_err(broken)?;
    tera.render(NAME, &Context::from_serialize(&Page::of(experiment)).map_err(broken)?).map_err(broken)
}

/// A state, told by word and symbol as well as by colour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Badge {
    word: &'static str,
    symbol: &'static str,
    class: &'static str,
}

fn good(word: &'static str) -> Badge {
    Badge { word, symbol: "✓", class: "good" }
}

fn bad(word: &'static str) -> Badge {
    Badge { word, symbol: "✗", class: "bad" }
}

/// What the template sees.
#[derive(Serialize)]
struct Page {
    state: Badge,
    /// `None`: there are no objectives.
    slos: Option<Badge>,
    /// In Iter8's words.
    summary: Vec<String>,
    started_at: Option<String>,
    writer: Option<String>,
    measured: bool,
    versions: Vec<String>,
    objectives: Vec<Objective>,
    metrics: Vec<Metric>,
    rewards: bool,
    histograms: Vec<Histogram>,
}

#[derive(Serialize)]
struct Objective {
    text: String,
    /// One a version.
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    observed: String,
    badge: Badge,
}

#[derive(Serialize)]
struct Metric {
    name: String,
    description: String,
    values: Vec<String>,
    best: String,
}

#[derive(Serialize)]
struct Histogram {
    name: String,
    /// Empty if there is but one.
    version: String,
    count: u64,
    /// A picture, made of numbers alone.
    svg: String,
}

impl Page {
    fn of(experiment: &Experiment) -> Page {
        let result = experiment.result.clone().unwrap_or_default();
        let insights = result.insights.as_ref();
        let (completed, healthy) = (experiment.completed(), experiment.no_failure());
        let state = match (healthy, completed) {
            (false, _) if experiment.result.is_some() => bad("FAILED"),
            (true, true) => good("COMPLETED"),
            _ => Badge { word: "NOT COMPLETED", symbol: "…", class: "open" },
        };
        let has_slos = insights.and_then(|insights| insights.slos.as_ref()).is_some_and(|slos| !slos.is_empty());
        let slos = if experiment.slos_satisfied() { good("SLOs SATISFIED") } else { bad("SLOs NOT SATISFIED") };
        let summary = vec![
            format!("Experiment {}.", if completed { "completed" } else { "not completed" }),
            format!("Experiment has {}.", if healthy { "no failures" } else { "failures" }),
            format!("{} out of {} tasks are complete.", result.num_completed_tasks, experiment.spec.len()),
            format!("{} loops have completed.", result.num_loops),
        ];
        Page {
            state,
            slos: has_slos.then_some(slos),
            summary,
            started_at: result.start_time.map(|time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
            writer: result.iter8_version.clone(),
            measured: insights.is_some(),
            versions: insights.map(versions).unwrap_or_default(),
            objectives: insights.map(objectives).unwrap_or_default(),
            metrics: insights.map(self::metrics).unwrap_or_default(),
            rewards: insights.is_some_and(|insights| insights.rewards.is_some() && insights.num_versions > 1),
            histograms: insights.map(histograms).unwrap_or_default(),
        }
    }
}

fn versions(insights: &Insights) -> Vec<String> {
    (0..insights.num_versions).map(|version| insights.version_name(version)).collect()
}

fn objectives(insights: &Insights) -> Vec<Objective> {
    let Some(slos) = &insights.slos else { return Vec::new() };
    let mut found = Vec::new();
    for (limits, upper) in [(&slos.upper, true), (&slos.lower, false)] {
        for (index, limit) in limits.iter().enumerate() {
            let cell = |version| Cell {
                observed: text::observed(insights, version, &limit.metric),
                badge: if text::satisfied(insights, upper, index, version) {
                    good("satisfied")
                } else {
                    bad("not satisfied")
                },
            };
            let cells = (0..insights.num_versions).map(cell).collect();
            found.push(Objective { text: text::objective(insights, limit, upper), cells });
        }
    }
    found
}

fn metrics(insights: &Insights) -> Vec<Metric> {
    let of = |name: String| Metric {
        description: insights.metrics_info.get(&name).map(|meta| meta.description.clone()).unwrap_or_default(),
        values: (0..insights.num_versions).map(|version| text::observed(insights, version, &name)).collect(),
        best: text::best(insights, &name),
        name: text::with_units(insights, &name),
    };
    text::names(insights).into_iter().map(of).collect()
}

fn histograms(insights: &Insights) -> Vec<Histogram> {
    let mut found = Vec::new();
    for (name, meta) in &insights.metrics_info {
        for version in 0..insights.num_versions {
            let buckets = match meta.kind {
                MetricType::Histogram => insights.hist_metric_values.get(version).and_then(|of| of.get(name)).cloned(),
                MetricType::Sample => {
                    insights.non_hist_metric_values.get(version).and_then(|of| of.get(name)).map(|sample| {
                        sample.iter().map(|value| Bucket { lower: *value, upper: *value, count: 1 }).collect()
                    })
                }
                _ => None,
            };
            let Some(svg) = buckets.as_deref().and_then(draw) else { continue };
            let count = buckets.iter().flatten().map(|bucket| bucket.count).fold(0, u64::saturating_add);
            let version = if insights.num_versions > 1 { insights.version_name(version) } else { String::new() };
            found.push(Histogram { name: text::with_units(insights, name), version, count, svg });
        }
    }
    found
}

/// The edges of bars, and the shares of observations in them.
struct Shape {
    edges: Vec<f64>,
    shares: Vec<f64>,
}

/// `None` where there is nothing to draw.
fn shape(buckets: &[Bucket]) -> Option<Shape> {
    let filled: Vec<&Bucket> = buckets
        .iter()
        .filter(|bucket| {
            bucket.count > 0 && bucket.lower.is_finite() && bucket.upper.is_finite() && bucket.lower >= 0.0
        })
        .collect();
    let all: f64 = filled.iter().map(|bucket| bucket.count as f64).sum();
    let mut high = filled.iter().map(|bucket| bucket.upper.max(bucket.lower)).max_by(f64::total_cmp)?;
    let mut low = filled.iter().map(|bucket| bucket.lower).min_by(f64::total_cmp)?;
    if high <= low {
        // One value stands in the middle.
        (low, high) = ((low - 0.5).max(0.0), high + 0.5);
    }
    let logarithmic = high / low.max(high * LEAST) > LOG_FROM;
    if logarithmic {
        low = low.max(high * LEAST);
    }
    let edge = |index: usize| {
        let share = index as f64 / BARS as f64;
        if logarithmic { low * (high / low).powf(share) } else { low + (high - low) * share }
    };
    let edges: Vec<f64> = (0..=BARS).map(edge).collect();
    let mut shares = vec![0.0; BARS];
    for bucket in filled {
        let middle = f64::midpoint(bucket.lower, bucket.upper.max(bucket.lower));
        let index = edges.iter().skip(1).position(|edge| middle < *edge).unwrap_or(BARS - 1);
        if let Some(share) = shares.get_mut(index) {
            *share += bucket.count as f64 / all;
        }
    }
    Some(Shape { edges, shares })
}

/// A picture of a histogram, ms across and percent of observations up; legible at 400 pixels.
fn draw(buckets: &[Bucket]) -> Option<String> {
    let Shape { edges, shares } = shape(buckets)?;
    let most = shares.iter().copied().fold(0.0, f64::max);
    let (left, top, width, height) = (44.0, 12.0, 346.0, 150.0);
    let floor = top + height;
    let mut svg =
        String::from(r#"<svg class="chart" viewBox="0 0 400 200" role="img" aria-label="Histogram of latency">"#);
    for (share, label) in [(1.0, most), (0.5, most / 2.0)] {
        let y = floor - share * height;
        let _ = write!(svg, r#"<path class="grid" d="M{left} {y:.1}h{width}"/>"#);
        let _ = write!(
            svg,
            r#"<text class="end" x="{:.1}" y="{:.1}">{}%</text>"#,
            left - 6.0,
            y + 4.0,
            short(label * 100.0)
        );
    }
    let bar = width / BARS as f64;
    for ((index, share), edge) in shares.iter().enumerate().zip(edges.windows(2)) {
        if *share <= 0.0 {
            continue;
        }
        let [from, to] = edge else { continue };
        // What happened is seen, however seldom.
        let tall = (share / most * height).max(1.5);
        let (x, y) = (left + bar * index as f64, floor - tall);
        let title = format!("{} to {} ms: {}%", short(*from), short(*to), short(share * 100.0));
        let _ = write!(svg, r#"<rect class="bar" x="{x:.1}" y="{y:.1}" width="{:.1}" height="{tall:.1}">"#, bar - 1.0);
        let _ = write!(svg, "<title>{title}</title></rect>");
    }
    let _ = write!(svg, r#"<path class="axis" d="M{left} {floor}h{width}"/>"#);
    for (index, class) in [(0, "start"), (BARS / 2, "mid"), (BARS, "end")] {
        let x = left + bar * index as f64;
        let edge = edges.get(index).copied().unwrap_or(0.0);
        let _ = write!(svg, r#"<text class="{class}" x="{x:.1}" y="{:.1}">{} ms</text>"#, floor + 17.0, short(edge));
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// Three digits that matter.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::experiment::tests::experiment;
    use super::super::insights::{Limit, MetricMeta, VersionName};
    use super::*;

    const HOSTILE: &str = "<script>alert(1)</script>\"' onload=x";

    #[test]
    fn the_page_says_what_the_text_says() {
        let page = render(&experiment()).unwrap();
        for part in [
            "Iter8 Experiment Report",
            "COMPLETED",
            "SLOs SATISFIED",
            "4 out of 4 tasks are complete.",
            "0 loops have completed.",
            "http/latency-mean (msec) &lt;= 500",
            "29.62",
            "272.47",
            "2022-06-27 15:48:59 UTC",
            "<svg",
            "16 observations",
        ] {
            assert!(page.contains(part), "{part}");
        }
        for part in ["<script", "http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(part), "{part}");
        }
        assert_eq!(page, render(&experiment()).unwrap());
    }

    #[test]
    fn missing_metrics_and_missing_insights_break_nothing() {
        let mut experiment = experiment();
        if let Some(slos) = &mut experiment.insights_mut().slos {
            slos.upper.push(Limit { metric: "http/nope".into(), limit: 1.0 });
        }
        let page = render(&experiment).unwrap();
        assert!(page.contains("unavailable") && page.contains("SLOs NOT SATISFIED"));
        experiment.result = None;
        let page = render(&experiment).unwrap();
        assert!(page.contains("NOT COMPLETED") && page.contains("Insights not found in experiment results."));
    }

    #[test]
    fn everything_is_escaped() {
        let mut experiment = experiment();
        experiment.result_mut().iter8_version = Some(HOSTILE.into());
        let insights = experiment.insights_mut();
        insights.version_names = Some(vec![VersionName { version: HOSTILE.into(), track: HOSTILE.into() }]);
        let meta = |kind| MetricMeta { description: HOSTILE.into(), units: Some(HOSTILE.into()), kind };
        insights.record_scalar(0, &format!("m/{HOSTILE}"), meta(MetricType::Gauge), 1.0).unwrap();
        insights.record_scalar(0, &format!("s/{HOSTILE}"), meta(MetricType::Sample), 1.0).unwrap();
        let page = render(&experiment).unwrap();
        assert!(page.contains("&lt;script&gt;"));
        assert!(!page.contains("<script") && !page.contains("\"' onload"));
    }

    proptest! {
        #[test]
        fn no_observation_is_lost(buckets in prop::collection::vec((0f64..1e5, 0f64..1e4, 0u64..1000), 0..50)) {
            let buckets: Vec<Bucket> =
                buckets.into_iter().map(|(lower, wide, count)| Bucket { lower, upper: lower + wide, count }).collect();
            match shape(&buckets) {
                None => prop_assert!(buckets.iter().all(|bucket| bucket.count == 0)),
                Some(shape) => {
                    prop_assert!((shape.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                    prop_assert!(shape.edges.windows(2).all(|edge| edge[0] < edge[1]));
                }
            }
            prop_assert!(draw(&buckets).is_none_or(|svg| !svg.contains("NaN") && !svg.contains("inf")));
        }
    }
}
