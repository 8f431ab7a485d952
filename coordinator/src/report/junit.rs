//! The report as JUnit XML: each objective a test case, the audit and the run itself one each.

use std::fmt::Write;

use super::model::{Report, RunVerdict, Slo, Validity};

pub(super) fn render(report: &Report) -> String {
    let mut cases = String::new();
    let mut failures = 0;
    let mut errors = 0;
    let mut skipped = 0;
    let suite = escape(&report.test);
    let mut case = |name: &str, outcome: Outcome, message: &str| {
        let (name, message) = (escape(name), escape(message));
        // Writing to a string can't fail.
        let _ = match outcome {
            Outcome::Passed => writeln!(cases, r#"    <testcase classname="{suite}" name="{name}"/>"#),
            Outcome::Failed => {
                failures += 1;
                writeln!(
                    cases,
                    "    <testcase classname=\"{suite}\" name=\"{name}\">\n      <failure message=\"{message}\"/>\n    </testcase>"
                )
            }
            Outcome::Error => {
                errors += 1;
                writeln!(
                    cases,
                    "    <testcase classname=\"{suite}\" name=\"{name}\">\n      <error message=\"{message}\"/>\n    </testcase>"
                )
            }
            Outcome::Skipped => {
                skipped += 1;
                writeln!(
                    cases,
                    "    <testcase classname=\"{suite}\" name=\"{name}\">\n      <skipped message=\"{message}\"/>\n    </testcase>"
                )
            }
        };
    };
    let invalid = report.validity == Validity::Invalid;
    for slo in &report.slos {
        let (outcome, message) = if invalid {
            (Outcome::Skipped, "the run is invalid: nothing is judged out of it".to_owned())
        } else {
            (outcome(slo.verdict), message(slo))
        };
        case(&slo.expr, outcome, &message);
    }
    let gates: Vec<String> = report
        .audit
        .iter()
        .filter(|gate| gate.state == "invalid")
        .map(|gate| format!("{}: {}. {}", gate.gate, gate.saw, gate.means))
        .collect();
    case("self-audit", if invalid { Outcome::Error } else { Outcome::Passed }, &gates.join("; "));
    // Never green as a whole when the run is not.
    let verdict = match report.verdict {
        RunVerdict::Pass => Outcome::Passed,
        RunVerdict::Fail => Outcome::Failed,
        RunVerdict::Inconclusive | RunVerdict::Invalid => Outcome::Error,
    };
    case("verdict", verdict, &report.reasons.join("; "));
    let tests = report.slos.len() + 2;
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{suite}\" tests=\"{tests}\" \
         failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\" timestamp=\"{}\">\n{cases}  \
         </testsuite>\n</testsuites>\n",
        report.load.duration + report.load.warmup,
        escape(&report.started_at),
    )
}

enum Outcome {
    Passed,
    Failed,
    Error,
    Skipped,
}

fn outcome(verdict: RunVerdict) -> Outcome {
    match verdict {
        RunVerdict::Pass => Outcome::Passed,
        RunVerdict::Fail => Outcome::Failed,
        // Not shown to hold: a pipeline must not take it for a pass.
        RunVerdict::Inconclusive | RunVerdict::Invalid => Outcome::Error,
    }
}

fn message(slo: &Slo) -> String {
    let note = slo.note.as_deref().unwrap_or_default();
    let interval =
        if slo.shown.interval.is_empty() { String::new() } else { format!(", 95% interval {}", slo.shown.interval) };
    format!("observed {}{interval}{}{note}", slo.shown.observed, if note.is_empty() { "" } else { "; " })
}

/// For text and attributes; what XML can't hold at all becomes a question mark.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() => escaped.push('?'),
            c => escaped.push(c),
        }
    }
    escaped
}
