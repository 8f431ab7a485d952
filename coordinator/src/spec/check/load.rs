//! The load profile of a draft: arrivals, stages, how long or how many.

use loadgrid_worker::schedule::{Arrivals, Load, Stage};

use super::{Checked, optional, required};
use crate::spec::draft::{Draft, DraftStage, Sourced};
use crate::spec::{Place, SpecError, units};

const RATE_MAX: f64 = 1e8;

/// Poisson arrivals are counted by drawing them: minutes for so many.
const POISSON_MAX: f64 = 1e10;

/// A century; all instants of a run fit into 64 bits then.
const DURATION_NS_MAX: u64 = 3_200_000_000_000_000_000;

pub(super) fn load(draft: &Draft) -> Checked<Load> {
    let warmup_ns = optional(&draft.warmup, units::duration_ns)?.unwrap_or(0);
    let requests = optional(&draft.count, |text| match units::whole(text, "a number of requests")? {
        0 => Err("0 requests: nothing would be sent".to_owned()),
        count => Ok(count),
    })?;
    let duration = optional(&draft.duration, |text| match units::duration_ns(text)? {
        0 => Err("a duration of zero: nothing would be sent".to_owned()),
        duration => Ok(duration),
    })?;
    if let (Some(count), Some(_)) = (&draft.count, &draft.duration) {
        return Err(SpecError::new(count.place.clone(), "give either a duration or a number of requests, not both"));
    }
    if let Some(place) = &draft.closed_loop {
        return closed_loop(draft, place, warmup_ns, duration, requests);
    }
    let arrivals = match draft.arrivals.as_ref().map(|arrivals| (arrivals, arrivals.value.as_str())) {
        None | Some((_, "uniform")) => Arrivals::Uniform,
        Some((_, "poisson")) => Arrivals::Poisson,
        Some((arrivals, other)) => {
            let message = format!("arrivals '{other}' are not known: write uniform or poisson");
            return Err(SpecError::new(arrivals.place.clone(), message));
        }
    };
    let stages = match (&draft.stages, &draft.rate) {
        (Some(stages), Some(_)) => {
            return Err(SpecError::new(stages.place.clone(), "give either stages or a rate with a duration, not both"));
        }
        (Some(stages), None) => {
            if let Some(other) = draft.duration.as_ref().or(draft.count.as_ref()) {
                return Err(SpecError::new(other.place.clone(), "stages have their own durations: leave this out"));
            }
            if stages.value.is_empty() {
                return Err(SpecError::new(
                    stages.place.clone(),
                    "no stages: write at least one, such as {rate: 500/s, duration: 30s}",
                ));
            }
            stages.value.iter().map(stage).collect::<Checked<Vec<_>>>()?
        }
        (None, Some(rate)) => {
            let per_s = required(rate, positive_rate)?;
            let duration_ns = match (duration, requests) {
                (Some(duration), _) => duration,
                (None, Some(count)) => (count as f64 / per_s * 1e9).ceil() as u64,
                (None, None) => {
                    return Err(SpecError::new(
                        rate.place.clone(),
                        "for how long? Give a duration (30s) or a number of requests",
                    ));
                }
            };
            vec![Stage { from: per_s, to: per_s, duration_ns }]
        }
        (None, None) => {
            return Err(SpecError::new(
                Place::Test,
                "no load: give a rate with a duration (--rate 500/s --duration 30s), stages in the file, or --closed-loop",
            ));
        }
    };
    let total = stages.iter().try_fold(warmup_ns, |sum, stage| sum.checked_add(stage.duration_ns));
    if total.is_none_or(|total| total > DURATION_NS_MAX) {
        let place = draft.stages.as_ref().map_or(Place::Test, |stages| stages.place.clone());
        return Err(SpecError::new(place, "the load is longer than a century"));
    }
    let load = Load { arrivals, stages, warmup_ns, requests };
    let drawn: f64 = [load.warmup(), load.main()].iter().map(|profile| profile.cumulative(profile.duration_ns())).sum();
    if let (Arrivals::Poisson, Some(place)) = (arrivals, draft.arrivals.as_ref().filter(|_| drawn > POISSON_MAX)) {
        let message = format!(
            "{drawn:.1e} Poisson arrivals are too many to be counted beforehand ({POISSON_MAX:.0e} at most): write uniform, or \
             give a shorter duration"
        );
        return Err(SpecError::new(place.place.clone(), message));
    }
    Ok(load)
}

fn closed_loop(
    draft: &Draft,
    place: &Place,
    warmup_ns: u64,
    duration: Option<u64>,
    requests: Option<u64>,
) -> Checked<Load> {
    let refuse = |value: &Option<Sourced>, message: &str| match value {
        Some(value) => Err(SpecError::new(value.place.clone(), message)),
        None => Ok(()),
    };
    refuse(&draft.rate, "a closed loop has no rate: it sends as fast as the target answers; leave out one of the two")?;
    refuse(&draft.arrivals, "a closed loop has no arrivals: a request starts when a connection is free")?;
    if let Some(stages) = &draft.stages {
        return Err(SpecError::new(stages.place.clone(), "a closed loop has no stages: give a duration or a number"));
    }
    if duration.is_none() && requests.is_none() {
        return Err(SpecError::new(place.clone(), "for how long? Give a duration (30s) or a number of requests"));
    }
    // Rates of a closed loop mean nothing; its stages only hold its length.
    let stages = duration.map(|duration_ns| Stage { from: 0.0, to: 0.0, duration_ns }).into_iter().collect();
    Ok(Load { arrivals: Arrivals::Closed, stages, warmup_ns, requests })
}

fn positive_rate(text: &str) -> Result<f64, String> {
    let rate = units::rate(text)?;
    if rate <= 0.0 {
        return Err(format!("'{text}' sends nothing: write a rate above zero"));
    }
    if rate > RATE_MAX {
        return Err(format!("'{text}' is over the bound of {RATE_MAX:.0}/s"));
    }
    Ok(rate)
}

fn stage(stage: &DraftStage) -> Checked<Stage> {
    let missing = |what: &str| SpecError::new(stage.place.clone(), format!("the stage has no {what}"));
    let rate_from_zero = |text: &str| match units::rate(text)? {
        0.0 => Ok(0.0),
        _ => positive_rate(text),
    };
    let rate = stage.rate.as_ref().ok_or_else(|| missing("rate: write such as {rate: 500/s, duration: 30s}"))?;
    let (from, to) = match &stage.to {
        None => {
            let rate = required(rate, positive_rate)?;
            (rate, rate)
        }
        Some(to) => (required(rate, rate_from_zero)?, required(to, rate_from_zero)?),
    };
    let duration = stage.duration.as_ref().ok_or_else(|| missing("duration: say how long it lasts, such as 30s"))?;
    let duration_ns = required(duration, units::duration_ns)?;
    if duration_ns == 0 {
        return Err(SpecError::new(duration.place.clone(), "a duration of zero: leave the stage out"));
    }
    if from + to == 0.0 {
        return Err(SpecError::new(rate.place.clone(), "a ramp from zero to zero sends nothing"));
    }
    Ok(Stage { from, to, duration_ns })
}
