//! The run second by second: what the time plots show and what confidence intervals take as blocks.
//!
//! Its size is bounded by time, not by requests: seconds that are past are kept encoded, and beyond
//! [`SECONDS_MAX`] neighbours are put together.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use loadgrid_proto::{Recorded, v1};
use loadgrid_worker::interval::{Interval, Key, Series};

use super::Which;
use crate::slo::Part;

/// Seconds (or, in a longer run, pairs, fours, … of seconds) that are kept apart.
pub const SECONDS_MAX: usize = 3600;

/// The parts that are kept per second: all of them, for any may have an objective.
const PARTS: [Part; 7] = Part::ALL;

/// How many seconds behind the newest one a second is still expected to change.
const OPEN_SECONDS: usize = 3;

/// One step of the timeline. Counts are of both phases, and of arrivals of the plan; errors are those of the steps that
/// follow them as well.
#[derive(Clone, Debug, Default)]
pub struct Second {
    pub due: u64,
    pub started: u64,
    pub completed: u64,
    pub errors: u64,
    pub dropped: u64,
    pub in_flight: u64,
    pub waiting: u64,
    pub connections: u64,
    cells: BTreeMap<Key, Cells>,
}

/// One request in one phase and step.
#[derive(Clone, Debug, Default)]
struct Cells {
    counts: Counts,
    parts: [Cell; PARTS.len()],
}

/// What became of a request in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Well or not.
    pub ended: u64,
    pub errors: u64,
    /// Waited too long for a connection.
    pub dropped: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.ended += other.ended;
        self.errors += other.errors;
        self.dropped += other.dropped;
    }
}

#[derive(Clone, Debug)]
enum Cell {
    Open(Recorded),
    Packed(Box<v1::Histogram>),
}

impl Default for Cell {
    fn default() -> Self {
        Cell::Open(Recorded::default())
    }
}

impl Cell {
    fn merge(&mut self, recorded: &Recorded) {
        if let Cell::Packed(_) = self {
            *self = Cell::Open(self.recorded());
        }
        if let Cell::Open(own) = self {
            own.merge(recorded);
        }
    }

    fn recorded(&self) -> Recorded {
        match self {
            Cell::Open(recorded) => recorded.clone(),
            // It was encoded here.
            Cell::Packed(message) => Recorded::decode(message).unwrap_or_default(),
        }
    }

    fn pack(&mut self) {
        if let Cell::Open(recorded) = self {
            let mut message = Box::new(recorded.encode());
            message.counts.shrink_to_fit();
            *self = Cell::Packed(message);
        }
    }
}

impl Second {
    fn merge_series(&mut self, key: Key, series: &Series, is_arrival: bool) {
        if is_arrival {
            self.due += series.due;
            self.started += series.started;
            self.completed += series.completed;
            self.dropped += series.dropped;
        }
        self.errors += series.errors;
        let parts = PARTS.map(|part| match part {
            Part::Latency => &series.latency,
            Part::DispatchLag => &series.dispatch_lag,
            Part::ConnectionWait => &series.connection_wait,
            Part::ServiceTime => &series.service_time,
            Part::TimeToFirstByte => &series.time_to_first_byte,
            Part::TimeToFirstMessage => &series.time_to_first_message,
            Part::MessageGap => &series.message_gap,
        });
        let cells = self.cells.entry(key).or_default();
        cells.counts.add(Counts { ended: series.ended(), errors: series.errors, dropped: series.dropped });
        cells.parts.iter_mut().zip(parts).for_each(|(cell, recorded)| cell.merge(recorded));
    }

    /// Takes up the second that follows.
    pub fn merge_next(&mut self, next: &Second) {
        self.due += next.due;
        self.started += next.started;
        self.completed += next.completed;
        self.errors += next.errors;
        self.dropped += next.dropped;
        self.in_flight = next.in_flight;
        self.waiting = next.waiting;
        self.connections = next.connections;
        for (key, cells) in &next.cells {
            let own = self.cells.entry(*key).or_default();
            own.counts.add(cells.counts);
            own.parts.iter_mut().zip(&cells.parts).for_each(|(cell, other)| cell.merge(&other.recorded()));
        }
    }

    /// A part of the time in this second, of some requests, in one phase or both. What is not kept is empty.
    pub fn part(&self, part: Part, which: &Which, warmup: Option<bool>) -> Recorded {
        let mut sum = Recorded::default();
        let Some(place) = PARTS.iter().position(|kept| *kept == part) else { return sum };
        for (key, cells) in &self.cells {
            if which.has(key.request) && warmup.is_none_or(|w| w == key.warmup) {
                sum.merge(&cells.parts[place].recorded());
            }
        }
        sum
    }

    /// What became of some requests in the main phase.
    pub fn counts(&self, which: &Which) -> Counts {
        let main = self.cells.iter().filter(|(key, _)| !key.warmup && which.has(key.request));
        main.fold(Counts::default(), |mut sum, (_, cells)| {
            sum.add(cells.counts);
            sum
        })
    }
}

/// The seconds of a run, from the start of the warm-up.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Length of a step, ns.
    step_ns: u64,
    interval_ns: u64,
    seconds: Vec<Second>,
    packed: usize,
}

impl Timeline {
    pub fn new(interval_ns: u64) -> Self {
        Timeline { step_ns: interval_ns.max(1), interval_ns: interval_ns.max(1), ..Timeline::default() }
    }

    /// Length of a step, ns.
    pub fn step_ns(&self) -> u64 {
        self.step_ns
    }

    /// How many steps make a second.
    fn together(&self) -> usize {
        (1_000_000_000 / self.step_ns.max(1)).max(1) as usize
    }

    /// The `back`-th whole second from the end, with its length.
    pub fn recent(&self, back: usize) -> Option<(u64, Second)> {
        let together = self.together();
        let place = (self.seconds.len() / together).checked_sub(back)?;
        let mut second = Second::default();
        self.seconds.get(place * together..(place + 1) * together)?.iter().for_each(|step| second.merge_next(step));
        Some((self.step_ns * together as u64, second))
    }

    /// Whole seconds in order, with their length: the steps themselves, or as many of them as make a second.
    pub fn whole_seconds(&self) -> (u64, Cow<'_, [Second]>) {
        let together = self.together();
        if together == 1 {
            return (self.step_ns, Cow::Borrowed(&self.seconds));
        }
        let seconds = self.seconds.chunks(together).map(|steps| {
            let mut second = Second::default();
            steps.iter().for_each(|step| second.merge_next(step));
            second
        });
        (self.step_ns * together as u64, Cow::Owned(seconds.collect()))
    }

    /// The steps in order.
    pub fn seconds(&self) -> &[Second] {
        &self.seconds
    }

    pub(super) fn merge(&mut self, interval: &Interval, follow_ups: &BTreeSet<u32>) {
        // Lanes report some ms after an interval's end: the middle says which it is. A merged one goes to its last.
        let last_start = interval.end_ns.saturating_sub(self.interval_ns / 2);
        let middle = last_start.max(interval.start_ns.midpoint(interval.end_ns));
        let place = loop {
            let place = (middle / self.step_ns) as usize;
            if place < SECONDS_MAX {
                break place;
            }
            self.halve();
        };
        if self.seconds.len() <= place {
            self.seconds.resize_with(place + 1, Second::default);
        }
        let second = &mut self.seconds[place];
        second.in_flight += interval.health.in_flight;
        second.waiting += interval.health.waiting;
        second.connections += interval.health.connections_open;
        for (key, series) in &interval.series {
            second.merge_series(*key, series, !follow_ups.contains(&key.request));
        }
        let settled = self.seconds.len().saturating_sub(OPEN_SECONDS);
        while self.packed < settled {
            let cells = self.seconds[self.packed].cells.values_mut().flat_map(|cells| &mut cells.parts);
            cells.for_each(Cell::pack);
            self.packed += 1;
        }
    }

    fn halve(&mut self) {
        let old = std::mem::take(&mut self.seconds);
        for (place, second) in old.into_iter().enumerate() {
            match self.seconds.last_mut() {
                Some(previous) if place % 2 == 1 => previous.merge_next(&second),
                _ => self.seconds.push(second),
            }
        }
        self.step_ns *= 2;
        self.packed = 0;
    }

    /// A part of the time in the main phase, by second: the blocks of a confidence interval.
    pub fn blocks(&self, part: Part, which: &Which) -> Vec<Recorded> {
        self.seconds
            .iter()
            .map(|second| second.part(part, which, Some(false)))
            .filter(|recorded| recorded.count() > 0)
            .collect()
    }
}
