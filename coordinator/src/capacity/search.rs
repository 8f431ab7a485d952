//! The search for the highest rate that holds: a function of the settings and of all probes so far.
//!
//! Bracket from the start rate by factors, bisect by ratio, go around what is unclear, and then repeat both edges: an
//! edge counts when `agree` of at most `repeats` probes say the same. It knows rates, outcomes and margins; how long a
//! probe is, what was measured and how it was judged is the caller's.

mod answer;
mod estimate;
mod places;

pub use self::answer::{Answer, Because, CONFIDENCE_MAX, Method, Refusal, WRONG, conclude};
use self::places::{Bounds, Place, Status, disputed, places};

/// What bounds a search. Rates in requests/s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The first probe; moved into `min ..= max`.
    pub start: f64,
    pub min: f64,
    pub max: f64,
    /// The interval is narrow enough when its ends are at most this share of its middle away from it; 0.03 is 3 %.
    pub precision: f64,
    /// Probes of any kind, invalid ones too.
    pub probes_max: usize,
    /// So many probes have to agree on an edge,
    pub agree: usize,
    /// of at most so many.
    pub repeats: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { start: 100.0, min: 1.0, max: 1e6, precision: 0.03, probes_max: 20, agree: 2, repeats: 3 }
    }
}

impl Settings {
    /// Whether a search can be made of them.
    ///
    /// # Errors
    /// What is wrong and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        let rate = |name: &str, rate: f64| {
            let fits = rate.is_finite() && rate > 0.0;
            fits.then_some(())
                .ok_or_else(|| format!("the {name} rate is {rate}/s: write a rate above 0, such as 100/s"))
        };
        rate("lowest", self.min)?;
        rate("start", self.start)?;
        rate("highest", self.max)?;
        if self.min > self.max {
            return Err(format!(
                "the lowest rate, {}/s, is above the highest, {}/s: raise --max or lower the other",
                self.min, self.max
            ));
        }
        if self.start > self.max || self.start < self.min {
            return Err(format!(
                "the search starts at {}/s, outside of {}/s to {}/s: raise --max, or start lower",
                self.start, self.min, self.max
            ));
        }
        if !(0.001..=0.5).contains(&self.precision) {
            return Err(format!("a precision of {} is not of use: write 0.1% to 50%, such as 3%", self.precision));
        }
        if self.probes_max == 0 || self.agree == 0 || self.repeats < self.agree {
            return Err("a search needs at least one probe, and no more that agree than there are repeats".to_owned());
        }
        Ok(())
    }

    /// The same within bounds in which nothing below can go astray.
    fn sane(&self) -> Self {
        let rate = |rate: f64, or: f64| if rate.is_finite() && rate > 0.0 { rate.clamp(1e-6, 1e12) } else { or };
        let min = rate(self.min, 1.0);
        let max = rate(self.max, 1e6).max(min);
        let precision = if self.precision.is_finite() { self.precision.clamp(1e-3, 0.5) } else { 0.03 };
        let agree = self.agree.max(1);
        let start = rate(self.start, min).clamp(min, max);
        Settings { start, min, max, precision, agree, repeats: self.repeats.max(agree), ..*self }
    }

    /// The widest ratio of an interval that is precise enough, as a logarithm.
    fn target(&self) -> f64 {
        2.0 * self.precision.ln_1p()
    }
}

/// What a probe says. Its verdicts are conclusive at 95 %, two-sided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All objectives lie within their limits, bounds included, and the backlog did not grow.
    Held,
    /// Some objective lies outside of its limit, bounds included, or the backlog grew.
    Broke,
    Unclear,
    /// The generator, not the target, was the limit: the probe is invalid.
    Limited,
}

/// How far the objective nearest to breaking was from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Margin {
    /// ln(observed / limit); above 0 it is broken.
    pub log_ratio: f64,
    /// Its standard error.
    pub error: f64,
}

/// One probe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// As it was asked for, to the bit: probes at one rate are counted together.
    pub rate: f64,
    pub outcome: Outcome,
    pub margin: Option<Margin>,
}

/// By how much of a latency probes at one rate differ from each other besides what each knows of its error, as a
/// standard deviation: every run converges to a value of its own (Treadmill, ISCA'16), and a probe of some seconds sees
/// few of a busy queue's rare waves, so that its own interval is too narrow (the simulations).
pub const BETWEEN: f64 = 0.05;

/// So many standard errors from its limit a margin is conclusive: 95 %, two-sided.
const CONCLUSIVE: f64 = 1.959_964;

impl Evidence {
    /// What it counts for: a probe that held or broke by less than probes differ from each other is unclear.
    pub fn weighed(&self) -> Outcome {
        let Some(Margin { log_ratio, error }) = self.margin else { return self.outcome };
        let slim = log_ratio.abs() < CONCLUSIVE * error.hypot(BETWEEN);
        if slim && self.outcome != Outcome::Limited { Outcome::Unclear } else { self.outcome }
    }
}

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To find a rate that holds and one that breaks.
    Bracket,
    /// To bring the two together.
    Bisect,
    /// To see whether an earlier one can be believed.
    Repeat,
}

/// The probe to run next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Requests/s.
    pub rate: f64,
    pub purpose: Purpose,
    /// Near the boundary: worth some times as many seconds as another.
    pub long: bool,
}

/// The next probe, or the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Probe(Ask),
    Done(Answer),
}

/// How the probes at one rate went; invalid ones are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Votes {
    pub held: usize,
    pub broke: usize,
    pub unclear: usize,
}

/// One end of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// Requests/s.
    pub rate: f64,
    pub votes: Votes,
}

/// The first step from the start rate, and all further ones: few probes when the truth is orders of magnitude away,
/// and no probe far beyond what the target can bear.
const FIRST_STEP: f64 = 2.0;
const STEP: f64 = 4.0;

/// The first step from where a probe was unclear: the boundary is near.
const NEAR_STEP: f64 = 1.3;

/// Below this ratio of its ends an interval is worth long probes.
const LONG_BELOW: f64 = 1.5;

/// So close below the generator's own limit it is not worth another probe.
const GENERATOR_GAP: f64 = 1.1;

/// An edge that was seen once is probed again after so many moves of the other one: in a bisection every edge would
/// stay put so long once in eight times, one that is wrong always.
const STALE_HIGH: usize = 3;
/// More for the edge that held: a neighbour's noise breaks a probe and does not mend one.
const STALE_LOW: usize = 4;

/// What to do after `history`. Always the same for the same arguments.
pub fn next(settings: &Settings, history: &[Evidence]) -> Next {
    let sane = settings.sane();
    let places = places(&sane, history);
    let search =
        Search { settings: &sane, places: &places, history, left: sane.probes_max.saturating_sub(history.len()) };
    match search.step().filter(|_| search.left > 0) {
        Some(ask) => Next::Probe(ask),
        None => Next::Done(conclude(settings, history)),
    }
}

struct Search<'a> {
    settings: &'a Settings,
    places: &'a [Place],
    history: &'a [Evidence],
    left: usize,
}

impl Search<'_> {
    /// The next probe; `None` when there is nothing left to find out.
    fn step(&self) -> Option<Ask> {
        let bounds = Bounds::of(self.places);
        let repeat = |place: &Place, long| Ask { rate: place.rate, purpose: Purpose::Repeat, long };
        // A limited probe above one that held, or below one that broke, still leaves a rate without evidence.
        if let Some(place) = self.places.iter().find(|place| place.pending()) {
            return Some(repeat(place, false));
        }
        if let Some(place) = disputed(self.places) {
            return Some(repeat(place, true));
        }
        if answer::refused(self.settings, &bounds) {
            return None;
        }
        match (bounds.low, bounds.high) {
            (Some(low), Some(high)) => self.between(low, high),
            (Some(low), None) => self.above(low),
            (None, _) => self.below(),
        }
    }

    fn start(&self) -> Option<Ask> {
        Some(Ask { rate: self.settings.start, purpose: Purpose::Bracket, long: false })
    }

    fn bracket(&self, from: &Place, rate: f64) -> Option<Ask> {
        let Settings { min, max, .. } = *self.settings;
        let (low, high) = if rate < from.rate { (min, from.rate) } else { (from.rate, max) };
        let rate = round(rate.clamp(low, high), low, high);
        let long = (rate / from.rate).ln().abs() <= LONG_BELOW.ln();
        Some(Ask { rate, purpose: Purpose::Bracket, long })
    }

    /// By what factor to go on outwards from `outer`: where that was unclear the boundary is near, and as far again as
    /// it has been unclear already since `known` is far enough.
    fn factor(&self, outer: &Place, known: &Place) -> f64 {
        match outer.status {
            Status::Unclear => (outer.rate / known.rate).ln().abs().exp().powi(2).clamp(NEAR_STEP, STEP),
            _ if self.places.len() == 1 => FIRST_STEP,
            _ => STEP,
        }
    }

    /// Nothing held yet (below what broke): downwards, or from the start.
    fn below(&self) -> Option<Ask> {
        let (Some(lowest), Some(highest)) = (self.places.first(), self.places.last()) else {
            return self.start();
        };
        // Nothing broke either, and something looked good: more requests say more.
        let good =
            |place: &Place| place.status == Status::Unclear && place.mean_margin().is_some_and(|mean| mean < 0.0);
        let broke = self.places.iter().find(|place| place.status == Status::Broke);
        if broke.is_none() && highest.rate < self.settings.max && self.places.iter().any(good) {
            return self.bracket(highest, highest.rate * self.factor(highest, lowest));
        }
        // Lower rates mean fewer requests: where it only was too short, longer says more than lower.
        let once = |place: &&Place| good(place) && place.votes == Votes { unclear: 1, ..Votes::default() };
        let clear_of = broke.map_or(f64::INFINITY, |broke| broke.rate / (1.0 + self.settings.target()));
        if let Some(place) = self.places.iter().filter(once).rfind(|place| place.rate <= clear_of) {
            return Some(Ask { rate: place.rate, purpose: Purpose::Repeat, long: true });
        }
        if lowest.rate > self.settings.min {
            return self.bracket(lowest, lowest.rate / self.factor(lowest, broke.unwrap_or(highest)));
        }
        // At the lowest rate: this is what the answer will rest on.
        let again = !lowest.settled || (lowest.status == Status::Unusable && lowest.limited < 2);
        again.then_some(Ask { rate: lowest.rate, purpose: Purpose::Repeat, long: true })
    }

    /// Nothing broke above `low`: upwards, until the highest rate or the generator's limit.
    fn above(&self, low: &Place) -> Option<Ask> {
        let over = || self.places.iter().filter(|place| place.rate > low.rate);
        let confirm = || {
            let short = low.votes.held < self.settings.agree && !low.settled;
            short.then_some(Ask { rate: low.rate, purpose: Purpose::Repeat, long: true })
        };
        let narrow = |ceiling: &Place, enough: f64| {
            let next = over().next().unwrap_or(ceiling);
            // The last probe is kept for the edge.
            if (next.rate / low.rate).ln() > enough && self.left > 1 {
                return Some(self.bisect(low.rate, next.rate, (low.rate * next.rate).sqrt()));
            }
            confirm()
        };
        if let Some(limit) = over().find(|place| place.status == Status::Unusable) {
            return narrow(limit, GENERATOR_GAP.ln());
        }
        let Some(front) = self.places.last() else { return self.start() };
        if front.rate < self.settings.max {
            return self.bracket(front, front.rate * self.factor(front, low));
        }
        if front.status == Status::Unclear && !front.settled {
            return Some(Ask { rate: front.rate, purpose: Purpose::Repeat, long: true });
        }
        if front.status == Status::Unclear { narrow(front, self.settings.target()) } else { confirm() }
    }

    /// One that held and one that broke: bring them together, then repeat both.
    fn between(&self, low: &Place, high: &Place) -> Option<Ask> {
        let target = self.settings.target();
        let missing = |votes: usize| self.settings.agree.saturating_sub(votes);
        let (low_missing, high_missing) = (missing(low.votes.held), missing(high.votes.broke));
        if (high.rate / low.rate).ln() > target * (1.0 + 1e-9) && self.left > low_missing + high_missing {
            if let Some(stale) = self.stale(low, high) {
                return Some(Ask { rate: stale.rate, purpose: Purpose::Repeat, long: true });
            }
            if let Some(ask) = self.narrow(low, high) {
                return Some(ask);
            }
        }
        // The edge with fewer votes first; then the one that broke, as a spoilt probe breaks.
        let place = if low_missing > high_missing { low } else { high };
        (low_missing + high_missing > 0).then_some(Ask { rate: place.rate, purpose: Purpose::Repeat, long: true })
    }

    /// An edge that rests on one probe while the other one comes ever closer.
    fn stale<'p>(&self, low: &'p Place, high: &'p Place) -> Option<&'p Place> {
        let moves = |edge: &Place, outcome: Outcome| {
            let since = self.history.get(edge.last + 1..).unwrap_or_default();
            if since.iter().all(|probe| probe.outcome == outcome) { since.len() } else { 0 }
        };
        if !high.settled && moves(high, Outcome::Held) >= STALE_HIGH {
            return Some(high);
        }
        (!low.settled && moves(low, Outcome::Broke) >= STALE_LOW).then_some(low)
    }

    /// The probe that narrows the interval; `None` if what is left is unclear throughout.
    fn narrow(&self, low: &Place, high: &Place) -> Option<Ask> {
        let inside = || self.places.iter().filter(|place| place.rate > low.rate && place.rate < high.rate);
        let (Some(first), Some(last)) = (inside().next(), inside().next_back()) else {
            return Some(self.bisect(low.rate, high.rate, (low.rate * high.rate).sqrt()));
        };
        // One for and one against: the third decides.
        if let Some(tied) = inside().find(|place| !place.settled && place.votes.held + place.votes.broke > 0) {
            return Some(Ask { rate: tied.rate, purpose: Purpose::Repeat, long: true });
        }
        // Unclear far apart: one of them was too short rather than near the boundary.
        let apart = inside().zip(inside().skip(1)).find(|(under, over)| over.rate / under.rate > LONG_BELOW);
        if let Some((under, over)) = apart {
            return Some(self.bisect(under.rate, over.rate, (under.rate * over.rate).sqrt()));
        }
        let target = self.settings.target();
        let fits = |rate: &f64| (*rate > low.rate && *rate < first.rate) || (*rate > last.rate && *rate < high.rate);
        if let Some(aim) = self.aim(low.rate, high.rate).filter(fits) {
            return Some(self.bisect(low.rate, high.rate, aim));
        }
        let (under, over) = ((first.rate / low.rate).ln(), (high.rate / last.rate).ln());
        if under.max(over) <= target / 4.0 {
            return None;
        }
        // The boundary is near what was unclear, not in the middle of a wide gap.
        if under >= over {
            let step = (under / 2.0).min(target * 1.5);
            Some(self.bisect(low.rate, first.rate, first.rate * (-step).exp()))
        } else {
            let step = (over / 2.0).min(target * 1.5);
            Some(self.bisect(last.rate, high.rate, last.rate * step.exp()))
        }
    }

    /// Where the margins say where the boundary is: the next edge, so far from it that the probe can be conclusive and no
    /// farther than the precision asks for.
    fn aim(&self, low: f64, high: f64) -> Option<f64> {
        let zero = estimate::zero(self.places, low, high).filter(|_| high / low <= LONG_BELOW)?;
        let target = self.settings.target();
        let distance = (zero.conclusive * 1.1).max(target * 0.45);
        let (under, over) = ((zero.rate / low).ln() - distance, (high / zero.rate).ln() - distance);
        let worth = under.max(over) >= target / 4.0;
        worth.then(|| if under > over { zero.rate * (-distance).exp() } else { zero.rate * distance.exp() })
    }

    fn bisect(&self, low: f64, high: f64, rate: f64) -> Ask {
        let rate = round(rate, low, high).clamp(self.settings.min, self.settings.max);
        Ask { rate, purpose: Purpose::Bisect, long: high / low <= LONG_BELOW }
    }
}

/// `rate` to four digits where that leaves it strictly between the two: people read it.
fn round(rate: f64, low: f64, high: f64) -> f64 {
    let unit = 10f64.powf(rate.log10().floor() - 3.0);
    let rounded = (rate / unit).round() * unit;
    // Powers of ten below 1 are not exact: what is written is what is meant.
    let rounded = format!("{rounded:.9}").parse().unwrap_or(rate);
    let inside = |rate: f64| rate > low && rate < high;
    if inside(rounded) { rounded } else { rate }
}

#[cfg(test)]
mod tests;
