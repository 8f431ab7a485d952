//! A test as it was written, each value with its place: what a file and flags have in common before it is checked.

use super::Place;

/// A value as text, and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Sourced<T = String> {
    pub value: T,
    pub place: Place,
}

impl Sourced {
    /// A flag's value.
    pub fn flag(name: &str, value: impl Into<String>) -> Self {
        Sourced { value: value.into(), place: Place::Flag(name.to_owned()) }
    }
}

/// One request as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DraftRequest {
    pub place: Option<Place>,
    pub name: Option<Sourced>,
    pub weight: Option<Sourced>,
    pub url: Option<Sourced>,
    pub method: Option<Sourced>,
    pub headers: Vec<(String, Sourced)>,
    pub body: Option<Sourced>,
    /// A JSON body brings its content type.
    pub body_is_json: bool,
    pub error_statuses: Option<Vec<Sourced>>,
}

/// One stage as written.
#[derive(Clone, Debug, PartialEq)]
pub struct DraftStage {
    pub place: Place,
    pub rate: Option<Sourced>,
    pub to: Option<Sourced>,
    pub duration: Option<Sourced>,
}

/// A whole test as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    pub name: Option<Sourced>,
    pub requests: Vec<DraftRequest>,
    /// Where the list of requests stands, if it is there but empty.
    pub requests_place: Option<Place>,
    pub arrivals: Option<Sourced>,
    pub warmup: Option<Sourced>,
    pub stages: Option<Sourced<Vec<DraftStage>>>,
    pub rate: Option<Sourced>,
    pub duration: Option<Sourced>,
    pub count: Option<Sourced>,
    pub closed_loop: Option<Place>,
    pub connections: Option<Sourced>,
    pub timeout: Option<Sourced>,
    pub max_wait: Option<Sourced>,
    pub max_body: Option<Sourced>,
    pub seed: Option<Sourced>,
    pub spin: bool,
    pub slos: Vec<Sourced>,
}

impl Draft {
    /// This draft with the other one's values where it has any.
    ///
    /// A profile is overridden whole: `--rate` or `--duration` against a file's stages would mean half of each.
    /// Flags for a request (URL, headers, …) go to every request of the file.
    pub fn overridden_by(mut self, flags: Draft) -> Draft {
        let profile = flags.rate.is_some() || flags.stages.is_some() || flags.closed_loop.is_some();
        if profile {
            let duration = self.duration.take().filter(|_| self.stages.is_none() && flags.count.is_none());
            (self.stages, self.rate, self.closed_loop) = (flags.stages, flags.rate, flags.closed_loop);
            self.duration = flags.duration.or(duration);
            self.count = flags.count.or(self.count.take().filter(|_| self.duration.is_none()));
            if self.closed_loop.is_some() {
                self.arrivals = None;
            }
        } else if flags.duration.is_some() || flags.count.is_some() {
            (self.duration, self.count) = (flags.duration, flags.count);
        }
        for flag in flags.requests {
            if self.requests.is_empty() {
                self.requests.push(DraftRequest::default());
            }
            self.requests.iter_mut().for_each(|request| request.override_by(&flag));
        }
        self.slos.extend(flags.slos);
        self.spin |= flags.spin;
        Draft {
            name: flags.name.or(self.name),
            arrivals: flags.arrivals.or(self.arrivals),
            warmup: flags.warmup.or(self.warmup),
            connections: flags.connections.or(self.connections),
            timeout: flags.timeout.or(self.timeout),
            max_wait: flags.max_wait.or(self.max_wait),
            max_body: flags.max_body.or(self.max_body),
            seed: flags.seed.or(self.seed),
            ..self
        }
    }
}

impl DraftRequest {
    fn override_by(&mut self, flag: &DraftRequest) {
        let replace = |old: &mut Option<Sourced>, new: &Option<Sourced>| {
            if new.is_some() {
                old.clone_from(new);
            }
        };
        replace(&mut self.url, &flag.url);
        replace(&mut self.method, &flag.method);
        if flag.body.is_some() {
            self.body.clone_from(&flag.body);
            self.body_is_json = flag.body_is_json;
        }
        for (name, value) in &flag.headers {
            self.headers.retain(|(old, _)| !old.eq_ignore_ascii_case(name));
            self.headers.push((name.clone(), value.clone()));
        }
    }
}
