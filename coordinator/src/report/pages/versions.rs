//! Versions of the target side by side: a section of the report's page.

use serde::Serialize;

use super::Badge;
use super::compare::{Differences, VOID, badge};
use crate::compare::model::{Comparison, RewardOutcome, Versions};
use crate::report::charts;
use crate::report::figures::NONE;

/// What the template sees.
#[derive(Serialize)]
pub struct Section<'a> {
    names: &'a [String],
    /// Empty out of an invalid run.
    summary: &'a str,
    badge: Option<Badge>,
    winner: Option<&'a str>,
    rewards: Vec<Reward<'a>>,
    comparisons: Vec<Compared<'a>>,
}

#[derive(Serialize)]
struct Reward<'a> {
    of: &'a RewardOutcome,
    /// Of whichever has the most, or the least; `None` where none is shown to have, or the run is invalid.
    winner: Option<&'a str>,
    /// In the order of the names: the figure, and whether it is the winner's.
    values: Vec<(&'a str, bool)>,
}

#[derive(Serialize)]
struct Compared<'a> {
    of: &'a Comparison,
    badge: Badge,
    differences: Differences<'a>,
    spectra: String,
}

impl<'a> Section<'a> {
    /// Out of an invalid run nobody wins.
    pub fn of(of: &'a Versions, invalid: bool) -> Section<'a> {
        let compared = |of: &'a Comparison| Compared {
            of,
            badge: if invalid { VOID } else { badge(of.verdict) },
            differences: Differences::of(of, invalid),
            spectra: charts::spectra(of),
        };
        Section {
            names: &of.names,
            summary: if invalid { "" } else { &of.summary },
            // Without rewards there is nothing to win.
            badge: match (invalid, &of.winner) {
                (true, _) => Some(VOID),
                (false, Some(_)) => Some(Badge::new("WINNER", "✓", "good")),
                (false, None) if of.rewards.is_empty() => None,
                (false, None) => Some(Badge::new("NO WINNER SHOWN", "=", "plain")),
            },
            winner: of.winner.as_deref().filter(|_| !invalid),
            rewards: of.rewards.iter().map(|reward| rewarded(reward, &of.names, invalid)).collect(),
            comparisons: of.comparisons.iter().map(compared).collect(),
        }
    }
}

fn rewarded<'a>(of: &'a RewardOutcome, names: &'a [String], invalid: bool) -> Reward<'a> {
    let winner = of.winner.as_deref().filter(|_| !invalid);
    let value = |name: &'a String| {
        let found = of.values.iter().find(|(own, _, _)| own == name);
        let known = found.filter(|(_, value, _)| value.is_some_and(f64::is_finite));
        (known.map_or(NONE, |(_, _, shown)| shown.as_str()), winner == Some(name.as_str()))
    };
    Reward { of, winner, values: names.iter().map(value).collect() }
}
