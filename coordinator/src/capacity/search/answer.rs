//! What can be said of the capacity from the probes there are, finished or not.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::places::{Bounds, Place, Status, places};
use super::{Edge, Evidence, Settings, estimate};

/// The end of a search.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The capacity lies between a rate that held and one that broke.
    Interval {
        low: Edge,
        high: Edge,
        /// The likeliest rate between them, requests/s.
        estimate: f64,
        /// Its relative standard error; `None` where it is the middle.
        error: Option<f64>,
        method: Method,
        /// That both edges are right, if the share [`WRONG`] of the probes is wrong; at most [`CONFIDENCE_MAX`].
        confidence: f64,
        /// Whether it is as narrow as was asked for.
        precise: bool,
        /// A rate that broke and a higher one that held, both inside: why it is wide.
        contradicted: Option<(f64, f64)>,
    },
    /// It held up to here, and nothing above was measured that says where it ends.
    AtLeast {
        edge: Edge,
        because: Because,
    },
    Refused(Refusal),
}

/// Where an estimate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The zero of a weighted regression of the margins near the boundary.
    Regression { probes: usize },
    /// The geometric middle: the margins say nothing, as at a cliff.
    Middle,
}

/// Why a search has no upper end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Because {
    /// The highest rate that was allowed.
    Max,
    /// The generator could not do more; the lowest rate above the answer where it was the limit.
    Generator { limited_at: f64 },
    /// It was cut short.
    Budget,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refusal {
    /// The lowest rate that was probed broke: `min`, unless the search was cut short.
    FailsAtLowest { rate: f64 },
    /// A rate broke and a much higher one held, and repeats did not settle it.
    Contradiction { broke: f64, held: f64 },
    /// No probe said anything.
    NothingConclusive,
    /// The generator was the limit at the lowest rate that was probed.
    GeneratorAtLowest { rate: f64 },
}

/// How often a conclusive probe is taken to be wrong: 2.5 % by its own judgement, and as often spoilt by a neighbour.
pub const WRONG: f64 = 0.05;

/// The probes share a machine and a quarter of an hour: repeats are never worth more than one interval.
pub const CONFIDENCE_MAX: f64 = 0.95;

/// A contradiction within this ratio of rates, or within four times the precision, widens the interval; beyond it there
/// is no answer.
const CONTRADICTION_MAX: f64 = 1.1;

/// Whether the probes contradict each other over too wide a range of rates.
pub(super) fn refused(settings: &Settings, bounds: &Bounds) -> bool {
    let widest = CONTRADICTION_MAX.max((1.0 + settings.precision).powi(4));
    bounds.contradiction.is_some_and(|(broke, held)| held.rate / broke.rate > widest)
}

/// What the probes so far say. For the end of a search, whatever ended it: the last probe, the budget, a target that
/// died, an interruption.
pub fn conclude(settings: &Settings, history: &[Evidence]) -> Answer {
    let settings = &settings.sane();
    let places = places(settings, history);
    let bounds = Bounds::of(&places);
    if let Some((broke, held)) = bounds.contradiction
        && (refused(settings, &bounds) || bounds.low.is_none())
    {
        return Answer::Refused(Refusal::Contradiction { broke: broke.rate, held: held.rate });
    }
    match (bounds.low, bounds.high) {
        (Some(low), Some(high)) => interval(settings, &places, &bounds, low, high),
        (Some(low), None) => Answer::AtLeast { edge: low.edge(), because: because(settings, &places, low) },
        (None, _) => Answer::Refused(nothing_held(&places)),
    }
}

fn interval(settings: &Settings, places: &[Place], bounds: &Bounds, low: &Place, high: &Place) -> Answer {
    let width = (high.rate / low.rate).ln();
    let (estimate, error, method) = match estimate::zero(places, low.rate, high.rate) {
        Some(zero) => (zero.rate, Some(zero.error), Method::Regression { probes: zero.probes }),
        None => ((low.rate * high.rate).sqrt(), None, Method::Middle),
    };
    let wrong = wrong(low.votes.held, low.votes.broke) + wrong(high.votes.broke, high.votes.held);
    Answer::Interval {
        low: low.edge(),
        high: high.edge(),
        estimate,
        error,
        method,
        confidence: (1.0 - wrong).clamp(0.0, CONFIDENCE_MAX),
        precise: width <= settings.target() * (1.0 + 1e-9),
        contradicted: bounds.contradiction.map(|(broke, held)| (broke.rate, held.rate)),
    }
}

/// How often so many votes for an edge, with so many against, would come from wrong probes alone.
fn wrong(agree: usize, against: usize) -> f64 {
    let of = (agree + against) as u64;
    let Ok(votes) = Binomial::new(WRONG, of) else { return 1.0 };
    votes.sf((agree as u64).saturating_sub(1))
}

fn because(settings: &Settings, places: &[Place], low: &Place) -> Because {
    let over = || places.iter().filter(|place| place.rate > low.rate);
    if let Some(limit) = over().find(|place| place.status == Status::Unusable) {
        return Because::Generator { limited_at: limit.rate };
    }
    let highest = over().next_back().unwrap_or(low);
    if highest.rate >= settings.max && highest.settled { Because::Max } else { Because::Budget }
}

fn nothing_held(places: &[Place]) -> Refusal {
    if let Some(broke) = places.iter().find(|place| place.status == Status::Broke) {
        return Refusal::FailsAtLowest { rate: broke.rate };
    }
    match places.first() {
        Some(lowest) if places.iter().all(|place| place.status == Status::Unusable) => {
            Refusal::GeneratorAtLowest { rate: lowest.rate }
        }
        _ => Refusal::NothingConclusive,
    }
}
