//! ghz's load schedules as stages of a rate; who sends them is not known here.

use super::load::Length;

/// More would be a schedule of a step a moment.
const STAGES_MAX: usize = 1_000;

/// A rate that changes with time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ramp {
    pub shape: Shape,
    /// Calls per second at first.
    pub start: f64,
    /// Where it stops changing, if it does.
    pub end: Option<f64>,
    /// Calls per second, each step of a staircase or each second of a line.
    pub step: f64,
    /// ns after which it changes no more.
    pub max_ns: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// ns that a step lasts.
    Step(u64),
    Line,
}

/// A rate's way over a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stage {
    pub from: f64,
    pub to: f64,
    pub ns: u64,
}

impl Ramp {
    /// The stages until the length is reached.
    ///
    /// # Errors
    /// A schedule that comes to nothing, or to too many stages.
    pub(super) fn stages(&self, until: Length) -> Result<Vec<Stage>, String> {
        let (mut left_s, mut left) = match until {
            Length::Duration(ns) => (ns as f64 / 1e9, f64::INFINITY),
            Length::Requests(count) => (f64::INFINITY, count as f64),
        };
        let mut stages: Vec<Stage> = Vec::new();
        let mut at_s = 0.0;
        while left_s > 1e-9 && left > 1e-6 {
            if stages.len() >= STAGES_MAX {
                return Err(format!("the schedule has more than {STAGES_MAX} steps: make them longer"));
            }
            let (from, slope, lasts_s) = self.segment(at_s, stages.len())?;
            let lasts_s = lasts_s.min(left_s).min(time_of(left, from, slope));
            if !lasts_s.is_finite() {
                return Err("the schedule never reaches its number of calls".to_owned());
            }
            let to = from + slope * lasts_s;
            left -= (from + to) / 2.0 * lasts_s;
            left_s -= lasts_s;
            at_s += lasts_s;
            let ns = (lasts_s * 1e9).ceil();
            if ns >= 3.2e18 {
                return Err("the schedule lasts longer than a century".to_owned());
            }
            stages.push(Stage { from, to, ns: ns as u64 });
        }
        Ok(stages)
    }

    /// The rate at a time, by how much it changes in a second, and for how many.
    fn segment(&self, at_s: f64, index: usize) -> Result<(f64, f64, f64), String> {
        let max_s = self.max_ns.map_or(f64::INFINITY, |ns| ns as f64 / 1e9);
        let reached = |rate: f64| self.end.is_some_and(|end| if self.step > 0.0 { rate >= end } else { rate <= end });
        let (rate, slope, lasts_s) = match self.shape {
            Shape::Step(ns) => (self.start + self.step * index as f64, 0.0, ns as f64 / 1e9),
            Shape::Line => {
                let to_end = self.end.map_or(f64::INFINITY, |end| (end - self.start) / self.step);
                (self.start + self.step * at_s, self.step, to_end - at_s)
            }
        };
        let ended = self.shape == Shape::Line && lasts_s <= 1e-9;
        let settled = ended || at_s >= max_s - 1e-9 || reached(rate);
        let (rate, slope, lasts_s) = if settled {
            (self.end.unwrap_or(rate), 0.0, f64::INFINITY)
        } else {
            (rate, slope, lasts_s.min(max_s - at_s))
        };
        // A line that falls without an end would pass zero.
        let lasts_s = if slope < 0.0 { lasts_s.min(rate / -slope) } else { lasts_s };
        if rate < 0.0 || (rate <= 1e-9 && slope <= 0.0) {
            return Err("the rate is zero: give a load-start of at least 1, and a load-end if it falls".to_owned());
        }
        Ok((rate, slope, lasts_s))
    }
}

/// Seconds in which a number of calls is made by a rate that changes by `slope` a second.
fn time_of(calls: f64, rate: f64, slope: f64) -> f64 {
    if !calls.is_finite() {
        return f64::INFINITY;
    }
    if slope == 0.0 {
        return calls / rate;
    }
    let root = rate * rate + 2.0 * slope * calls;
    if root < 0.0 { f64::INFINITY } else { (root.sqrt() - rate) / slope }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;

    fn calls(stages: &[Stage]) -> f64 {
        stages.iter().map(|stage| (stage.from + stage.to) / 2.0 * stage.ns as f64 / 1e9).sum()
    }

    #[test]
    fn steps_rise_to_their_end_and_stay_there() {
        let ramp = Ramp { shape: Shape::Step(5 * S), start: 50.0, end: Some(150.0), step: 50.0, max_ns: None };
        let stage = |rate, s| Stage { from: rate, to: rate, ns: s * S };
        let expected = [stage(50.0, 5), stage(100.0, 5), stage(150.0, 20)];
        assert_eq!(ramp.stages(Length::Duration(30 * S)).unwrap(), expected);
        assert_eq!(ramp.stages(Length::Requests(900)).unwrap(), [stage(50.0, 5), stage(100.0, 5), stage(150.0, 1)]);
        let held = Ramp { max_ns: Some(7 * S), ..ramp };
        assert_eq!(held.stages(Length::Duration(9 * S)).unwrap(), [stage(50.0, 5), stage(100.0, 2), stage(150.0, 2)]);
    }

    #[test]
    fn lines_rise_and_fall() {
        let ramp = Ramp { shape: Shape::Line, start: 0.0, end: Some(20.0), step: 2.0, max_ns: None };
        let rising = Stage { from: 0.0, to: 20.0, ns: 10 * S };
        let level = Stage { from: 20.0, to: 20.0, ns: 5 * S };
        assert_eq!(ramp.stages(Length::Duration(15 * S)).unwrap(), [rising, level]);
        assert_eq!(ramp.stages(Length::Requests(200)).unwrap(), [rising, level]);
        let endless = Ramp { end: None, ..ramp };
        assert_eq!(endless.stages(Length::Requests(100)).unwrap(), [rising]);
        let falling = Ramp { start: 20.0, end: None, step: -2.0, ..ramp };
        assert!(falling.stages(Length::Duration(30 * S)).unwrap_err().contains("load-end"));
        assert!(falling.stages(Length::Requests(1000)).is_err());
    }

    #[test]
    fn schedules_that_come_to_nothing_are_refused() {
        let ramp = Ramp { shape: Shape::Step(1), start: 1.0, end: None, step: 1.0, max_ns: None };
        assert!(ramp.stages(Length::Duration(30 * S)).unwrap_err().contains("steps"));
        let silent = Ramp { start: 0.0, ..ramp };
        assert!(silent.stages(Length::Duration(S)).is_err());
    }

    proptest! {
        #[test]
        fn as_many_calls_are_made_as_were_asked_for(
            start in 1u32..500,
            end in 1u32..500,
            step in 1u32..100,
            count in 1u64..100_000,
            line: bool,
        ) {
            let step = f64::from(step) * if end < start { -1.0 } else { 1.0 };
            let shape = if line { Shape::Line } else { Shape::Step(3 * S) };
            let ramp = Ramp { shape, start: start.into(), end: Some(end.into()), step, max_ns: None };
            let stages = ramp.stages(Length::Requests(count)).unwrap();
            prop_assert!((calls(&stages) - count as f64).abs() < 0.01 + count as f64 * 1e-6, "{stages:?}");
        }
    }
}
