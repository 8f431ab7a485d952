//! The page of a comparison, and the table of differences that the report of several versions shows too.

use serde::Serialize;

use super::Badge;
use crate::compare::model::{Comparison, Head, Outcome, OutcomeState, Row, Section, Verdict};
use crate::report::charts;
use crate::report::model::{RunVerdict, Validity};

/// Renders a comparison.
///
/// # Errors
/// The template's, which no comparison causes.
pub fn page(of: &Comparison) -> Result<String, tera::Error> {
    super::render("compare.html", &Page::of(of))
}

/// What the template sees.
#[derive(Serialize)]
struct Page<'a> {
    of: &'a Comparison,
    /// One of the sides is no measurement of its target.
    invalid: bool,
    badge: Badge,
    sides: [Side<'a>; 2],
    outcomes: Vec<Judged<'a>>,
    differences: Differences<'a>,
    spectra: String,
}

#[derive(Serialize)]
struct Side<'a> {
    of: &'a Head,
    badge: Badge,
    validity: Badge,
}

#[derive(Serialize)]
struct Judged<'a> {
    of: &'a Outcome,
    badge: Badge,
}

/// The differences of all sections, as a picture and as tables.
#[derive(Serialize)]
pub(super) struct Differences<'a> {
    a: &'a str,
    b: &'a str,
    /// 0.95
    confidence: f64,
    forest: String,
    sections: Vec<Part<'a>>,
    /// Whether verdicts are shown, and whether there is a suspicion among them.
    judged: bool,
    suspected: bool,
}

#[derive(Serialize)]
struct Part<'a> {
    name: &'a str,
    rows: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    of: &'a Row,
    badge: Badge,
}

/// The verdict of the whole.
pub(super) fn badge(verdict: Verdict) -> Badge {
    match verdict {
        Verdict::Better => Badge::new("BETTER", "▲", "good"),
        Verdict::Worse => Badge::new("WORSE", "▼", "bad"),
        Verdict::Mixed => Badge::new("MIXED", "◆", "open"),
        Verdict::Same => Badge::new("NO DIFFERENCE SHOWN", "=", "plain"),
        Verdict::Unknown => Badge::new("CAN'T TELL", "?", "open"),
    }
}

fn row_badge(row: &Row) -> Badge {
    match row.verdict {
        Verdict::Better => Badge::new("better", "▲", "good"),
        Verdict::Worse => Badge::new("worse", "▼", "bad"),
        Verdict::Mixed => Badge::new("mixed", "◆", "open"),
        Verdict::Same if row.suspected => Badge::new("suspected", "□", "open"),
        Verdict::Same => Badge::new("none shown", "=", "void"),
        Verdict::Unknown => Badge::new("n too small", "?", "void"),
    }
}

fn outcome_badge(state: OutcomeState) -> Badge {
    match state {
        OutcomeState::Violated => Badge::new("VIOLATED", "✗", "bad"),
        OutcomeState::Holds => Badge::new("HOLDS", "✓", "good"),
        OutcomeState::Inconclusive => Badge::new("INCONCLUSIVE", "?", "open"),
    }
}

impl<'a> Differences<'a> {
    /// `void`: no row's verdict is shown, for the run is invalid.
    pub(super) fn of(of: &'a Comparison, void: bool) -> Differences<'a> {
        let shown = |row: &'a Row| Shown { of: row, badge: if void { VOID } else { row_badge(row) } };
        let part = |section: &'a Section| Part { name: &section.name, rows: section.rows.iter().map(shown).collect() };
        Differences {
            a: &of.a.label,
            b: &of.b.label,
            confidence: of.confidence,
            forest: charts::forest(of, void),
            sections: of.sections.iter().map(part).collect(),
            judged: !void,
            suspected: !void && of.sections.iter().flat_map(|section| &section.rows).any(|row| row.suspected),
        }
    }
}

pub(super) const VOID: Badge = Badge { class: "void", ..super::INVALID };

impl<'a> Page<'a> {
    fn of(of: &'a Comparison) -> Page<'a> {
        let invalid =
            [&of.a, &of.b].iter().any(|side| side.validity == Validity::Invalid || side.verdict == RunVerdict::Invalid);
        // An invalid run has passed nothing, whatever its file says.
        let verdict = |of: &Head| Badge::objective(of.verdict, of.validity == Validity::Invalid);
        let side = |of: &'a Head| Side { of, badge: verdict(of), validity: Badge::validity(of.validity) };
        let judged = |of: &'a Outcome| Judged { of, badge: if invalid { VOID } else { outcome_badge(of.state) } };
        Page {
            of,
            invalid,
            badge: if invalid { super::INVALID } else { badge(of.verdict) },
            sides: [side(&of.a), side(&of.b)],
            outcomes: of.fail_if.iter().map(judged).collect(),
            differences: Differences::of(of, invalid),
            spectra: charts::spectra(of),
        }
    }
}
