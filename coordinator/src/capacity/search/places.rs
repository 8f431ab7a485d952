//! The history of a search by rate: what each rate's probes say together, and which of them contradict each other.

use super::{Edge, Evidence, Margin, Outcome, Settings, Votes};

/// What the probes at one rate say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Held,
    Broke,
    /// Nothing conclusive, or no majority.
    Unclear,
    /// The generator could not go there; says nothing of the target.
    Unusable,
}

/// All probes at one rate.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub rate: f64,
    pub votes: Votes,
    pub limited: usize,
    pub status: Status,
    /// Enough probes agree, or there were enough of them to know that they do not.
    pub settled: bool,
    pub margins: Vec<Margin>,
    /// Number in the history of the latest probe.
    pub last: usize,
}

impl Place {
    pub fn edge(&self) -> Edge {
        Edge { rate: self.rate, votes: self.votes }
    }

    /// Probes that say something.
    fn valid(&self) -> usize {
        self.votes.held + self.votes.broke + self.votes.unclear
    }

    /// Limited once, and not yet tried again.
    pub fn pending(&self) -> bool {
        self.limited == 1 && self.valid() == 0
    }

    /// The mean of ln(observed / limit).
    pub fn mean_margin(&self) -> Option<f64> {
        let sum: f64 = self.margins.iter().map(|margin| margin.log_ratio).sum();
        (!self.margins.is_empty()).then(|| sum / self.margins.len() as f64)
    }

    fn judge(&mut self, settings: &Settings) {
        let Votes { held, broke, .. } = self.votes;
        self.settled = true;
        self.status = if self.valid() == 0 {
            Status::Unusable
        } else if held >= settings.agree && held > broke {
            Status::Held
        } else if broke >= settings.agree && broke > held {
            Status::Broke
        } else if self.valid() >= settings.repeats {
            Status::Unclear
        } else {
            self.settled = false;
            match held.cmp(&broke) {
                std::cmp::Ordering::Greater => Status::Held,
                std::cmp::Ordering::Less => Status::Broke,
                std::cmp::Ordering::Equal => Status::Unclear,
            }
        };
    }
}

/// All rates that were probed, rising.
pub(super) fn places(settings: &Settings, history: &[Evidence]) -> Vec<Place> {
    let mut places: Vec<Place> = Vec::new();
    let usable = |evidence: &Evidence| evidence.rate.is_finite() && evidence.rate > 0.0;
    for (number, evidence) in history.iter().enumerate().filter(|(_, evidence)| usable(evidence)) {
        let at = places.partition_point(|place| place.rate < evidence.rate);
        if places.get(at).is_none_or(|place| place.rate > evidence.rate) {
            places.insert(at, Place::new(evidence.rate));
        }
        if let Some(place) = places.get_mut(at) {
            place.add(number, evidence);
        }
    }
    places.iter_mut().for_each(|place| place.judge(settings));
    places
}

impl Place {
    fn new(rate: f64) -> Self {
        let votes = Votes::default();
        Place { rate, votes, limited: 0, status: Status::Unusable, settled: false, margins: Vec::new(), last: 0 }
    }

    fn add(&mut self, number: usize, evidence: &Evidence) {
        self.last = number;
        match evidence.weighed() {
            Outcome::Held => self.votes.held += 1,
            Outcome::Broke => self.votes.broke += 1,
            Outcome::Unclear => self.votes.unclear += 1,
            // What an invalid probe measured is not even looked at.
            Outcome::Limited => {
                self.limited += 1;
                return;
            }
        }
        let usable = |margin: &Margin| margin.log_ratio.is_finite() && margin.error.is_finite() && margin.error > 0.0;
        self.margins.extend(evidence.margin.filter(usable));
    }
}

/// Where the boundary lies, by all places.
#[derive(Clone, Debug)]
pub(super) struct Bounds<'a> {
    /// The highest that held, below all that broke.
    pub low: Option<&'a Place>,
    /// The lowest that broke, above all that held.
    pub high: Option<&'a Place>,
    /// The lowest that broke and the highest that held, where the first is below the second.
    pub contradiction: Option<(&'a Place, &'a Place)>,
}

impl<'a> Bounds<'a> {
    pub fn of(places: &'a [Place]) -> Self {
        let held = || places.iter().filter(|place| place.status == Status::Held);
        let broke = || places.iter().filter(|place| place.status == Status::Broke);
        let (first_broke, last_held) = (broke().next(), held().next_back());
        let contradiction = first_broke.zip(last_held).filter(|(broke, held)| broke.rate < held.rate);
        Bounds {
            low: held().rfind(|place| first_broke.is_none_or(|broke| place.rate < broke.rate)),
            high: broke().find(|place| last_held.is_none_or(|held| place.rate > held.rate)),
            contradiction,
        }
    }
}

/// Of the places that contradict each other the one to probe again: that with most others against it, then that with
/// the fewest votes, then one that broke, as more things break a good probe than mend a bad one.
pub(super) fn disputed(places: &[Place]) -> Option<&Place> {
    let against = |place: &Place| {
        let opposed = |other: &&Place| match place.status {
            Status::Held => other.status == Status::Broke && other.rate < place.rate,
            Status::Broke => other.status == Status::Held && other.rate > place.rate,
            Status::Unclear | Status::Unusable => false,
        };
        places.iter().filter(opposed).count()
    };
    places
        .iter()
        .filter(|place| !place.settled && against(place) > 0)
        .max_by_key(|place| (against(place), std::cmp::Reverse(place.valid()), place.status == Status::Broke))
}
