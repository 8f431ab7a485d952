//! What the pages show, and what they must not.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::versions::Section;
use crate::capacity::model::{CapacityReport, CapacityVerdict, ProbeOutcome};
use crate::compare::model::{Comparison, OutcomeState, Verdict, Versions};
use crate::report::model::{RunVerdict, Validity};
use crate::trend::model::{Trend, TrendVerdict};

const HOSTILE: &str = "<script>alert(1)</script>\"' onload=x";
/// The models' own words: not for others to write.
const WORDS: [&str; 7] = ["verdict", "outcome", "validity", "state", "scale", "direction", "worse_when"];

fn probe(number: usize, rate: f64, outcome: &str) -> Value {
    json!({"number": number, "run": "01P", "purpose": "bracket", "t": 0.0, "rate": rate, "achieved": rate,
        "duration": 6.0, "outcome": outcome, "because": "why",
        "latency": {"count": 600, "p50": 0.01, "p90": 0.02, "p99": 0.03 * rate / 100.0, "max": 0.4},
        "latency_intervals": {"p50": {"low": 0.009, "high": 0.011}, "p99": {"low": 0.02, "high": null}},
        "service_time": {"count": 600, "p99": 0.02}, "sent": 600, "errors": 1, "error_rate": 0.00125, "dropped": 0,
        "backlog": rate / 50.0, "backlog_growth": 0.5, "validity": "valid", "margin": [0.25, 0.1], "settled_after": 1.0,
        "slos": [{"expr": "http/latency-p99 <= 70ms", "metric": "http/latency-p99", "comparison": "<=", "limit": 0.07,
            "observed": 0.05, "interval": null, "effective_samples": 500, "verdict": "pass", "note": null,
            "shown": {"limit": "70ms", "observed": "50ms", "interval": ""}}]})
}

fn capacity_json() -> Value {
    let probes = [(100.0, "held"), (200.0, "held"), (1600.0, "broke"), (210.0, "unclear"), (215.0, "limited")];
    let probes: Vec<_> =
        probes.iter().enumerate().map(|(place, (rate, outcome))| probe(place + 1, *rate, outcome)).collect();
    json!({"schema": "s", "loadgrid": "0.1.0", "run": "01J", "test": "shop", "started_at": "2026-11-24T09:00:00Z",
        "duration": 90.0, "verdict": "found", "summary": "Up to 207/s.", "reasons": ["a reason"], "exit_code": 0,
        "estimate": 207.0, "low": 200.0, "high": 214.0, "confidence": 0.95, "evidence": "held in 2 of 2", "method": "fit",
        "limited_by": "latency", "required": 150.0, "knee": 180.0, "notes": ["a note"],
        "scalability": {"lambda": 50.0, "sigma": 0.02, "kappa": 0.0003, "r2": 0.9, "peak": [57.0, 1500.0]},
        "settings": {"slos": ["http/latency-p99 <= 70ms"], "start": 100.0, "min": 1.0, "max": 5000.0, "precision": 0.03,
            "budget": 600.0, "probes_max": 20, "short_probe": 6.0, "long_probe": 20.0, "warmup": 1.0, "cool_down": 1.0,
            "arrivals": "poisson", "seed": 7, "workers": 1, "connections": null, "requests": {"home": "GET http://a/"}},
        "probes": probes})
}

fn row(name: &str, scale: &str, difference: f64, verdict: &str) -> Value {
    json!({"metric": format!("http/{name}"), "name": name, "scale": scale, "higher_is_better": false, "value_a": 0.01,
        "value_b": 0.02, "difference": difference, "low": difference - 0.02, "high": difference + 0.02, "p": 0.01,
        "smallest": 0.03, "verdict": verdict, "suspected": false, "note": "a note",
        "shown": {"a": "10ms", "b": "20ms", "difference": format!("{difference}!"), "interval": "[i]", "smallest": "3%",
            "p": "0.01"}})
}

fn comparison_json() -> Value {
    let side = |label: &str| {
        json!({"label": label, "run": "01R", "test": "shop", "started_at": "2026-11-24T09:00:00Z", "verdict": "pass",
            "validity": "valid", "urls": ["http://a/"], "model": "open loop", "arrivals": "poisson",
            "profile": "100/s for 20s", "target_rate": 100.0, "rate": 99.5, "duration": 20.0, "requests": 2000,
            "errors": 3, "dropped": 0})
    };
    let rows = [
        row("worst", "relative", 0.1, "worse"),
        row("best", "relative", -0.1, "better"),
        row("even", "relative", 0.001, "same"),
        row("share", "absolute", 0.01, "unknown"),
    ];
    let section = |name: &str| json!({"name": name, "group": "http", "request": null, "rows": rows});
    let spectrum = [(0.0, 0.001), (0.9, 0.003), (1.0, 0.018)];
    json!({"schema": "s", "loadgrid": "0.1.0", "test": "shop", "a": side("current"), "b": side("candidate"),
        "paired": false, "verdict": "mixed", "summary": "It is mixed.", "confidence": 0.95, "family": 4, "seed": 9,
        "sections": [section("all requests"), section("home")], "notes": ["a note"],
        "spectra": {"latency_a": spectrum, "latency_b": spectrum, "service_time_a": spectrum, "service_time_b": []},
        "fail_if": [{"condition": "http/p99 worse by 5%", "metric": "m", "state": "violated", "because": "so it is"}]})
}

fn trend_json() -> Value {
    let run = |place: usize| json!({"run": format!("01K{place}"), "started_at": format!("2026-11-{:02}T09:00:00Z", place + 1)});
    let at = |place: usize| format!("2026-11-{:02}T09:00:00Z", place + 1);
    let value = |place: usize| {
        if place == 3 {
            0.09
        } else if place < 8 {
            0.04
        } else {
            0.05
        }
    };
    let points: Vec<_> = (0..12)
        .map(|place| {
            json!({"run": format!("01K{place}"), "started_at": at(place), "value": value(place),
                "shown": format!("v{place}"), "outlier": place == 3, "level": usize::from(place >= 8)})
        })
        .collect();
    let level = |from: usize, to: usize, mean: f64| {
        json!({"from": from, "to": to, "from_run": run(from), "to_run": run(to), "runs": to + 1 - from, "mean": mean,
            "median": mean, "spread": 0.001, "shown": "40ms", "shown_spread": "±2%"})
    };
    let around: Vec<_> = [(5, -3), (6, -2), (7, -1), (8, 1), (9, 2), (10, 3)]
        .map(|(place, offset)| {
            json!({"point": place, "run": format!("01K{place}"), "started_at": at(place), "value": value(place),
                "shown": format!("v{place}"), "offset": offset, "outlier": false})
        })
        .into();
    json!({"schema": "s", "loadgrid": "0.1.0", "test": "shop", "verdict": "worse", "exit_code": 1,
        "reasons": ["It is worse.", "And more."], "newest": run(11), "baseline": run(2), "used": 12, "runs": 20,
        "left_out": [{"why": "invalid", "count": 8, "runs": ["01X"]}], "significance": 0.05, "smallest_change": 0.01,
        "seed": 3, "notes": ["a note"],
        "metrics": [{"metric": "http/latency-p99", "kind": "run", "worse_when": "higher", "scale": "ratio",
            "verdict": "worse", "sentence": "A sentence.", "current": true, "points": points,
            "levels": [level(0, 7, 0.04), level(8, 11, 0.05)],
            "changes": [{"at": 8, "before": run(7), "after": run(8), "size": 0.25, "shown": "+25%", "p": 0.001,
                "direction": "worse", "accepted": false, "around": around}],
            "compared_with": 0, "difference": 0.25, "shown_difference": "+25%", "smallest_step": 0.02,
            "shown_smallest_step": "2%", "needed": null}]})
}

fn of<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// The same with `change` made to every text that others may have written, names in maps too.
fn rewritten(value: Value, change: &impl Fn(Value) -> Value) -> Value {
    match value {
        Value::Object(map) => {
            let own = |(key, value): (String, Value)| match WORDS.contains(&key.as_str()) && value.is_string() {
                true => (key, value),
                false => (key, rewritten(value, change)),
            };
            Value::Object(map.into_iter().map(own).collect())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(|value| rewritten(value, change)).collect()),
        leaf => change(leaf),
    }
}

fn pages(change: &impl Fn(Value) -> Value) -> Vec<String> {
    let mut search = rewritten(capacity_json(), change);
    search["settings"]["requests"] = json!({HOSTILE: "GET http://a/"});
    vec![
        super::capacity(&of::<CapacityReport>(search)).unwrap(),
        super::compare(&of::<Comparison>(rewritten(comparison_json(), change))).unwrap(),
        super::trend(&of::<Trend>(rewritten(trend_json(), change))).unwrap(),
        section(&of::<Comparison>(rewritten(comparison_json(), change)), false),
    ]
}

fn versions(comparison: &Comparison) -> Versions {
    let (a, b) = (comparison.a.label.clone(), comparison.b.label.clone());
    of(json!({"names": [a, b], "summary": "current wins", "winner": a, "comparisons": [comparison],
        "rewards": [{"goal": "min", "metric": HOSTILE, "winner": a, "because": HOSTILE,
            "values": [[a, 0.04, "40ms"], [b, null, "NaN"]]}]}))
}

#[derive(Serialize)]
struct Fragment<'a> {
    versions: Section<'a>,
    invalid: bool,
}

fn section(comparison: &Comparison, invalid: bool) -> String {
    let versions = versions(comparison);
    super::render("versions.html", &Fragment { versions: Section::of(&versions, invalid), invalid }).unwrap()
}

#[test]
fn what_others_wrote_is_text() {
    let hostile = |leaf: Value| if leaf.is_string() { HOSTILE.into() } else { leaf };
    for page in pages(&hostile) {
        assert!(!page.contains("<script") && !page.contains("\"' onload"), "{page}");
        assert!(page.matches("&lt;script&gt;alert(1)").count() > 20);
        // In pictures too: those are not escaped by the template.
        assert!(page.split("<svg").skip(1).any(|rest| rest.split("</svg>").next().unwrap().contains("&lt;scr")));
    }
}

#[test]
fn nothing_is_fetched_and_no_tag_is_left_open() {
    for page in pages(&|leaf| leaf) {
        for part in ["src=", "@import", "url(", "<link", "href=\"h", "href=\"/", "<img", "<script", "{{", "{%"] {
            assert!(!page.contains(part), "{part}");
        }
        for tag in ["section", "table", "svg", "g", "tr", "td", "th", "ul", "div", "figure", "title", "text"] {
            let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}

#[test]
fn the_answer_comes_first() {
    let [search, compared, history, versions] = pages(&|leaf| leaf).try_into().unwrap();
    let before = |page: &str, one: &str, other: &str| {
        let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing"));
        assert!(place(one) < place(other), "{one} comes after {other}");
    };
    before(&search, "Up to 207/s.", "<table");
    before(&search, "held in 2 of 2", "<svg class=\"chart");
    before(&compared, "It is mixed.", "<table");
    before(&compared, "so it is", "<section");
    before(&history, "It is worse.", "<table");
    before(&versions, "current wins", "<table");
}

#[test]
fn every_verdict_of_a_search_is_told() {
    use CapacityVerdict::{AtLeast, BrokenOff, Fails, Found, Refused};
    let mut report: CapacityReport = of(capacity_json());
    for (verdict, word) in
        [(Found, "FOUND"), (AtLeast, "AT LEAST"), (Fails, "FAILS"), (Refused, "NO ANSWER"), (BrokenOff, "BROKEN OFF")]
    {
        report.verdict = verdict;
        let page = super::capacity(&report).unwrap();
        assert!(page.contains(&format!("</span> {word}</span>")) && page.contains(&format!("<title>{word}")), "{word}");
        assert_eq!(page.contains("≥\u{a0}200/s"), verdict == AtLeast);
        assert_eq!(page.contains("class=\"answer beyond\""), verdict == AtLeast);
    }
    let page = super::capacity(&of::<CapacityReport>(capacity_json())).unwrap();
    for word in ["held", "broke", "unclear", "limited"] {
        assert!(
            page.contains(&format!("<path class=\"mark {word}\"")) && page.contains(&format!("</span> {word}</span>"))
        );
    }
    for figure in ["207/s", "200 – 214/s", "±\u{a0}", "150/s", "180/s", "128%", "0.12%", "≥\u{a0}20ms", "0.0003"] {
        assert!(page.contains(figure) || page.contains(&figure.replace('\u{a0}', "&nbsp;")), "{figure}");
    }
}

#[test]
fn an_invalid_probe_is_marked_and_judges_nothing() {
    let mut report: CapacityReport = of(capacity_json());
    let shown = super::capacity(&report).unwrap().matches("128%").count();
    if let Some(probe) = report.probes.first_mut() {
        (probe.validity, probe.outcome) = (Validity::Invalid, ProbeOutcome::Held);
    }
    let page = super::capacity(&report).unwrap();
    assert!(page.contains("void-row") && page.contains("</span> invalid</span>"));
    assert_eq!(page.matches("128%").count(), shown - 1);
}

#[test]
fn every_verdict_of_a_comparison_is_told() {
    use Verdict::{Better, Mixed, Same, Unknown, Worse};
    let mut compared: Comparison = of(comparison_json());
    let words = [
        (Better, "BETTER"),
        (Worse, "WORSE"),
        (Mixed, "MIXED"),
        (Same, "NO DIFFERENCE SHOWN"),
        (Unknown, "CAN&#39;T TELL"),
    ];
    for (verdict, word) in words {
        compared.verdict = verdict;
        for row in compared.sections.iter_mut().flat_map(|section| &mut section.rows) {
            (row.verdict, row.suspected) = (verdict, verdict == Same);
        }
        let page = super::compare(&compared).unwrap().replace("&#x27;", "&#39;");
        assert!(page.contains(&format!("</span> {word}</span>")), "{word}");
        assert!(section(&compared, false).replace("&#x27;", "&#39;").contains(&format!("</span> {word}</span>")));
        assert_eq!(page.contains("<g class=\"worse\">"), verdict == Worse);
        assert_eq!(page.contains("<g class=\"suspected\">"), verdict == Same);
    }
    for (state, word) in [
        (OutcomeState::Violated, "VIOLATED"),
        (OutcomeState::Holds, "HOLDS"),
        (OutcomeState::Inconclusive, "INCONCLUSIVE"),
    ] {
        compared.fail_if.iter_mut().for_each(|outcome| outcome.state = state);
        assert!(super::compare(&compared).unwrap().contains(&format!("</span> {word}</span>")));
    }
}

#[test]
fn an_invalid_side_compares_nothing() {
    let mut compared: Comparison = of(comparison_json());
    let told = |page: &str| {
        let words = ["MIXED", "VIOLATED", "</span> worse", "</span> better", "It is mixed", "so it is", ", worse<"];
        words.into_iter().filter(|word| page.contains(word)).count()
    };
    assert_eq!(told(&super::compare(&compared).unwrap()), 7);
    compared.b.validity = Validity::Invalid;
    let page = super::compare(&compared).unwrap();
    assert_eq!((told(&page), page.contains("class=\"greyed\"")), (0, true), "{page}");
    assert!(page.contains("not a measurement") && page.contains(", not judged<"));
    // The side's own verdict neither.
    assert_eq!(page.matches("</span> PASS</span>").count(), 1);
    compared.b.validity = Validity::Valid;
    compared.a.verdict = RunVerdict::Invalid;
    assert_eq!(told(&super::compare(&compared).unwrap()), 0);
}

#[test]
fn out_of_an_invalid_run_no_version_wins() {
    let compared: Comparison = of(comparison_json());
    let page = section(&compared, false);
    assert!(
        page.contains("</span> WINNER</span> <b>current</b>") && page.contains("✓ current") && !page.contains("NaN")
    );
    let page = section(&compared, true);
    for word in ["WINNER", "current wins", "✓", "MIXED", "It is mixed", "</span> worse", "class=\"winner\"", "alert"]
    {
        assert!(word == "alert" || !page.contains(word), "{word}");
    }
    assert!(page.contains("not judged"));
    let mut none = versions(&compared);
    (none.winner, none.rewards) = (None, vec![]);
    let shown = |of: &Versions| {
        super::render("versions.html", &Fragment { versions: Section::of(of, false), invalid: false }).unwrap()
    };
    assert!(!shown(&none).contains("WINNER"));
    none.rewards = versions(&compared).rewards;
    none.rewards.iter_mut().for_each(|reward| reward.winner = None);
    assert!(shown(&none).contains("NO WINNER SHOWN") && shown(&none).contains("none shown"));
    none.comparisons.clear();
    assert!(shown(&none).contains("nothing to compare"));
}

#[test]
fn every_verdict_of_a_history_is_told() {
    use TrendVerdict::{Better, Changed, Steady, TooFew, Worse};
    let mut history: Trend = of(trend_json());
    for (verdict, word) in
        [(Steady, "STEADY"), (Better, "BETTER"), (Worse, "WORSE"), (Changed, "CHANGED"), (TooFew, "TOO FEW RUNS")]
    {
        history.verdict = verdict;
        history.metrics.iter_mut().for_each(|metric| metric.verdict = verdict);
        let page = super::trend(&history).unwrap();
        assert!(page.contains(&format!("</span> {word}</span>")), "{word}");
        assert!(page.contains(&format!("</span> {}</span>", word.to_lowercase())), "{word}");
        history.reasons.clear();
        assert!(super::trend(&history).unwrap().contains("class=\"answer-text\">"));
    }
}

#[test]
fn a_history_shows_levels_changes_and_the_runs_around() {
    let mut history: Trend = of(trend_json());
    let page = super::trend(&history).unwrap();
    let drawn = |what: &str| page.matches(&format!("class=\"{what}\"")).count();
    // Twice each, wide and narrow; the key repeats some.
    assert_eq!((drawn("baseline"), drawn("mark newest worse"), drawn("change worse")), (2, 2, 2));
    assert_eq!((drawn("level"), drawn("spread"), drawn("mark outlier")), (5, 5, 3));
    assert!(page.contains("↑ v3"), "an outlier beyond the axis has its figure");
    assert_eq!(page.matches("<tr class=\"after\">").count(), 3);
    assert!(page.contains("and 7 older"));
    // A step that the baseline accepts is no alarm.
    history.metrics[0].changes[0].accepted = true;
    let page = super::trend(&history).unwrap();
    assert!(!page.contains("change worse") && page.contains("change accepted"));
    // Another metric's newest run is not this one's.
    history.metrics[0].current = false;
    assert!(!super::trend(&history).unwrap().contains("mark newest"));
}

#[test]
fn empty_lists_are_shown() {
    let empty = |value: Value| {
        let none = |(key, value): (String, Value)| match value {
            Value::Array(_) => (key, json!([])),
            value => (key, value),
        };
        match value {
            Value::Object(map) => Value::Object(map.into_iter().map(none).collect()),
            other => other,
        }
    };
    let mut search: CapacityReport = of(empty(capacity_json()));
    assert!(super::capacity(&search).unwrap().contains("No probe ran."));
    (search.estimate, search.low, search.high, search.knee, search.confidence) = (None, None, None, None, None);
    (search.scalability, search.limited_by, search.required) = (None, None, None);
    assert!(super::capacity(&search).unwrap().contains("<b class=\"nowrap\">–</b>"));
    let compared: Comparison = of(empty(comparison_json()));
    assert!(super::compare(&compared).unwrap().contains("nothing that both sides measured"));
    let mut history: Trend = of(empty(trend_json()));
    (history.newest, history.baseline) = (None, None);
    assert!(super::trend(&history).unwrap().contains("No run has a metric"));
    let mut history: Trend = of(trend_json());
    for metric in &mut history.metrics {
        (metric.points, metric.levels, metric.changes) = (vec![], vec![], vec![]);
    }
    assert!(super::trend(&history).unwrap().contains("No run has a value"));
}

/// Pictures hold nothing that is not a number.
fn no_figure_is_none(page: &str, odd: f64) {
    for bad in ["NaN", ">inf", " inf", "\"inf", "-inf", "inf/s", "infs"] {
        let place = page.find(bad).unwrap_or(page.len());
        assert!(!page.contains(bad), "{odd:e}: {bad} in {:?}", page.get(place.saturating_sub(200)..place + 20));
    }
}

#[test]
fn nothing_that_is_not_a_number_is_shown() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e-300, 1e300, f64::MAX] {
        let mut search: CapacityReport = of(capacity_json());
        for verdict in [CapacityVerdict::Found, CapacityVerdict::AtLeast] {
            search.verdict = verdict;
            (search.estimate, search.low, search.high) = (Some(odd), Some(odd), Some(odd));
            (search.knee, search.required, search.confidence) = (Some(odd), Some(odd), Some(odd));
            if let Some(fit) = &mut search.scalability {
                (fit.lambda, fit.sigma, fit.kappa, fit.r2, fit.peak) = (odd, odd, odd, odd, Some((odd, odd)));
            }
            no_figure_is_none(&super::capacity(&search).unwrap(), odd);
        }
        for probe in &mut search.probes {
            (probe.rate, probe.achieved, probe.backlog, probe.backlog_growth) = (odd, odd, odd, Some(odd));
            (probe.latency.p50, probe.latency.p99, probe.margin) = (Some(odd), Some(odd), Some((odd, odd)));
            (probe.duration, probe.error_rate) = (odd, odd);
            probe.slos.iter_mut().for_each(|slo| slo.limit = odd);
            probe.latency_intervals.values_mut().for_each(|of| (of.low, of.high) = (Some(odd), Some(odd)));
            let shown = of::<CapacityReport>(capacity_json());
            let one = CapacityReport { probes: vec![probe.clone()], ..shown };
            no_figure_is_none(&super::capacity(&one).unwrap(), odd);
        }
        no_figure_is_none(&super::capacity(&search).unwrap(), odd);

        let mut compared: Comparison = of(comparison_json());
        (compared.a.rate, compared.a.duration, compared.a.target_rate) = (odd, odd, Some(odd));
        compared.spectra.latency_a = vec![(odd, 0.1), (0.5, odd), (1.0, odd)];
        for row in compared.sections.iter_mut().flat_map(|section| &mut section.rows) {
            (row.low, row.high, row.smallest) = (Some(odd), Some(odd), Some(odd));
        }
        no_figure_is_none(&super::compare(&compared).unwrap(), odd);
        compared.sections.iter_mut().flat_map(|of| &mut of.rows).for_each(|row| row.difference = Some(odd));
        no_figure_is_none(&super::compare(&compared).unwrap(), odd);

        let mut history: Trend = of(trend_json());
        (history.significance, history.smallest_change) = (odd, odd);
        for metric in &mut history.metrics {
            metric.points.iter_mut().step_by(2).for_each(|point| point.value = odd);
            metric.levels.iter_mut().for_each(|level| (level.mean, level.spread) = (odd, Some(odd)));
            metric.changes.iter_mut().for_each(|change| (change.size, change.p) = (odd, odd));
        }
        no_figure_is_none(&super::trend(&history).unwrap(), odd);
        history.metrics.iter_mut().flat_map(|of| &mut of.points).for_each(|point| point.value = odd);
        no_figure_is_none(&super::trend(&history).unwrap(), odd);
    }
}

#[test]
fn a_value_that_is_none_is_a_dash_whatever_is_written_beside_it() {
    let mut history: Trend = of(trend_json());
    for point in history.metrics.iter_mut().flat_map(|metric| &mut metric.points) {
        (point.value, point.shown) = (f64::NAN, "NaN".into());
    }
    history.metrics[0].changes.clear();
    assert!(!super::trend(&history).unwrap().contains("NaN"));
    let mut compared: Comparison = of(comparison_json());
    for row in compared.sections.iter_mut().flat_map(|section| &mut section.rows) {
        (row.value_a, row.shown.a) = (None, "NaN".into());
        row.difference = None;
    }
    assert!(!super::compare(&compared).unwrap().contains("NaN"));
}

#[test]
fn indexes_beyond_the_lists_do_no_harm() {
    let mut history: Trend = of(trend_json());
    for metric in &mut history.metrics {
        metric.compared_with = Some(99);
        metric.levels.iter_mut().for_each(|level| (level.from, level.to) = (1000, 7));
        metric.changes.iter_mut().for_each(|change| change.at = 5000);
    }
    history.left_out.iter_mut().for_each(|left| left.count = 0);
    no_figure_is_none(&super::trend(&history).unwrap(), 0.0);
}
