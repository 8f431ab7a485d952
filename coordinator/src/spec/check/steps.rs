//! The requests of a draft in a row: steps follow each other, names differ, values come from where they were captured.

use std::collections::BTreeSet;

use loadgrid_worker::client::request::Request;

use super::request::{Checkup, capture};
use super::{Base, Checked, grpc, is_name, optional, request};
use crate::spec::complete::Pending;
use crate::spec::draft::{Draft, DraftRequest};
use crate::spec::versions::{self, of_version};
use crate::spec::{Place, SpecError, units};

const REQUESTS_MAX: usize = 100;
const WEIGHTS_MAX: u64 = 10_000;

/// Names that templates know by themselves.
const BUILT_IN: [&str; 9] = [
    "request",
    "worker",
    "uuid",
    "timestamp",
    "timestampUnix",
    "timestampUnixMilli",
    "timestampUnixNano",
    "randomInt",
    "randomString",
];

/// All requests of a test.
#[derive(Default)]
pub(super) struct Requests {
    pub requests: Vec<Request>,
    pub urls: Vec<String>,
    pub to_ksvc: Vec<usize>,
    pub places: Vec<Place>,
    pub captures: Vec<String>,
    pub pending: Vec<Pending>,
    /// Whether any has a name of its own.
    pub named: bool,
}

pub(super) fn requests(draft: &Draft, base: Base) -> Checked<Requests> {
    let list_place = || draft.requests_place.clone().unwrap_or(Place::Test);
    if draft.requests.is_empty() {
        let message = "no request to send: give a URL (--url, or a request in the test's file)";
        return Err(SpecError::new(list_place(), message));
    }
    let mut all = Requests::default();
    for draft in &draft.requests {
        let weight = weight(draft)?;
        match &draft.steps {
            None if !draft.captures.is_empty() => {
                let (name, source) = &draft.captures[0];
                let message = format!("nothing follows that could use '{name}': captures are for steps");
                return Err(SpecError::new(source.place.clone(), message));
            }
            None => all.add(draft, weight, base)?,
            Some(steps) => {
                if steps.value.is_empty() {
                    return Err(SpecError::new(steps.place.clone(), "no steps: write at least one request"));
                }
                group_of_its_own(draft)?;
                if let Some((name, source)) = steps.value.last().and_then(|last| last.captures.first()) {
                    let message = format!("nothing follows the last step that could use '{name}'");
                    return Err(SpecError::new(source.place.clone(), message));
                }
                for (place, step) in steps.value.iter().enumerate() {
                    if let Some(weight) = &step.weight {
                        return Err(SpecError::new(
                            weight.place.clone(),
                            "a step has no weight: give it to the steps together",
                        ));
                    }
                    if step.steps.is_some() {
                        let place = step.place.clone().unwrap_or(Place::Test);
                        return Err(SpecError::new(place, "steps within steps: write them one after the other"));
                    }
                    all.add(step, if place == 0 { weight } else { 0 }, base)?;
                    let number = all.requests.len() - 1;
                    if place + 1 < steps.value.len() {
                        all.requests[number].next = Some(number as u32 + 1);
                    }
                }
            }
        }
    }
    if all.requests.len() > REQUESTS_MAX {
        return Err(SpecError::new(list_place(), format!("more than {REQUESTS_MAX} requests in one test")));
    }
    let sum: u64 = all.requests.iter().map(|request| u64::from(request.weight)).sum();
    if sum > WEIGHTS_MAX {
        let message = format!("the weights add up to {sum}: at most {WEIGHTS_MAX} are told apart");
        return Err(SpecError::new(list_place(), message));
    }
    Ok(all)
}

/// Steps together have a weight and nothing else.
fn group_of_its_own(draft: &DraftRequest) -> Checked<()> {
    let name = draft.name.as_ref().map(|name| (name.place.clone(), "name: metrics are those of each step"));
    let check = draft.checks.first().map(|check| (check.place.clone(), "checks: write them to a step"));
    let capture = draft.captures.first().map(|(_, source)| (source.place.clone(), "captures: write them to a step"));
    match name.or(check).or(capture) {
        Some((place, what)) => Err(SpecError::new(place, format!("steps together have no {what}"))),
        None => Ok(()),
    }
}

fn weight(draft: &DraftRequest) -> Checked<u32> {
    let weight = optional(&draft.weight, |text| match units::whole(text, "a weight") {
        Ok(0) => Err("weight 0: such a request is never sent; leave it out, or give it a weight of 1 or more".into()),
        Ok(weight) if weight <= WEIGHTS_MAX => Ok(weight as u32),
        Ok(_) => Err(format!("a weight is at most {WEIGHTS_MAX}")),
        Err(wrong) => Err(wrong),
    })?;
    Ok(weight.unwrap_or(1))
}

/// Whether a request goes to the version.
fn of_side(request: &Request, side: &Option<String>) -> bool {
    side.as_deref() == versions::split(&request.name).1
}

impl Requests {
    fn add(&mut self, draft: &DraftRequest, weight: u32, base: Base) -> Checked<()> {
        let number = self.requests.len();
        let place = draft.place.clone().unwrap_or(Place::Test);
        let Checkup { mut request, url, pending } = match &draft.grpc {
            Some(call) => grpc::grpc(draft, call, number, base)?,
            None => request::http(draft, number, base)?,
        };
        request.weight = weight;
        request.name = self.name(draft, number)?;
        for (name, source) in &draft.captures {
            let into = self.capture_number(name, source.place.clone())?;
            request.captures.push(capture(source, into, draft.grpc.is_some())?);
        }
        if draft.to_ksvc {
            self.to_ksvc.push(number);
        }
        self.requests.push(request);
        self.urls.push(url);
        self.places.push(place);
        self.pending.extend(pending);
        Ok(())
    }

    fn name(&mut self, draft: &DraftRequest, number: usize) -> Checked<String> {
        // Among those of its version: each has the same names.
        let number = number - self.requests.iter().take_while(|other| !of_side(other, &draft.side)).count();
        let name = match &draft.name {
            Some(name) if is_name(&name.value) => {
                self.named = true;
                name.value.clone()
            }
            Some(name) => {
                let message = format!("'{}' is not a name: write letters, digits, '-', '_' or '.'", name.value);
                return Err(SpecError::new(name.place.clone(), message));
            }
            None if number == 0 => if draft.grpc.is_some() { "grpc" } else { "http" }.to_owned(),
            None => format!("request-{}", number + 1),
        };
        let name = match &draft.side {
            Some(version) => of_version(&name, version),
            None => name,
        };
        if let Some(twin) = self.requests.iter().position(|other| other.name == name) {
            let place = draft.name.as_ref().map(|name| name.place.clone()).or(draft.place.clone());
            let message =
                format!("requests {} and {} are both named '{name}': names must differ", twin + 1, number + 1);
            return Err(SpecError::new(place.unwrap_or(Place::Test), message));
        }
        Ok(name)
    }

    fn capture_number(&mut self, name: &str, place: Place) -> Checked<usize> {
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if !plain || BUILT_IN.contains(&name) {
            let message = format!(
                "'{name}' can't be a captured value's name: write letters, digits, '-' or '_', and none of {}",
                BUILT_IN.join(", ")
            );
            return Err(SpecError::new(place, message));
        }
        let known = self.captures.iter().position(|own| own == name);
        Ok(known.unwrap_or_else(|| {
            self.captures.push(name.to_owned());
            self.captures.len() - 1
        }))
    }
}

/// For each request the captures that are there when it is sent: those of the steps before it.
pub(in crate::spec) fn captured_before(requests: &[Request]) -> Vec<BTreeSet<usize>> {
    let mut before: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); requests.len()];
    for (number, request) in requests.iter().enumerate() {
        if let Some(next) = request.next.filter(|next| (*next as usize) < requests.len()) {
            let mut known = before[number].clone();
            known.extend(request.captures.iter().map(|capture| capture.into));
            before[next as usize] = known;
        }
    }
    before
}
