//! A draft to a test: every value understood, every contradiction named.

use loadgrid_worker::client::request::Request;
use loadgrid_worker::schedule::{Arrivals, Load, Stage};
use url::Url;

use super::draft::{Draft, DraftRequest, DraftStage, Sourced};
use super::{LoadTest, Place, SpecError, secret, units};
use crate::slo::Slo;

/// Defaults of what a test may leave out.
const TIMEOUT_NS: u64 = 10_000_000_000;
const MAX_WAIT_NS: u64 = 10_000_000_000;
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;

/// Bounds of what a test may ask for.
const TIMEOUT_NS_MAX: u64 = 600_000_000_000;
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
const REQUESTS_MAX: usize = 100;
const WEIGHTS_MAX: u64 = 10_000;
const RATE_MAX: f64 = 1e8;

type Checked<T> = Result<T, SpecError>;

pub(super) fn check(draft: Draft) -> Checked<LoadTest> {
    let mut requests = Vec::new();
    let mut urls = Vec::new();
    if draft.requests.is_empty() {
        let place = draft.requests_place.clone().unwrap_or(Place::Test);
        return Err(SpecError::new(place, "no request to send: give a URL (--url, or a request in the test's file)"));
    }
    if draft.requests.len() > REQUESTS_MAX {
        let place = draft.requests_place.clone().unwrap_or(Place::Test);
        return Err(SpecError::new(place, format!("more than {REQUESTS_MAX} requests in one test")));
    }
    let named = draft.requests.iter().any(|request| request.name.is_some());
    for (number, draft) in draft.requests.iter().enumerate() {
        let (request, url) = request(draft, number)?;
        if let Some(twin) = requests.iter().position(|other: &Request| other.name == request.name) {
            let place = draft.name.as_ref().map(|name| name.place.clone()).or(draft.place.clone());
            return Err(SpecError::new(
                place.unwrap_or(Place::Test),
                format!(
                    "requests {} and {} are both named '{}': names must differ",
                    twin + 1,
                    number + 1,
                    request.name
                ),
            ));
        }
        requests.push(request);
        urls.push(url);
    }
    check_weights(&draft, &requests)?;
    let names: Vec<&str> = requests.iter().map(|request| request.name.as_str()).collect();
    let slos = draft.slos.iter().map(|slo| check_slo(slo, &names, named)).collect::<Checked<_>>()?;
    let timeout_ns = optional(&draft.timeout, units::duration_ns)?.unwrap_or(TIMEOUT_NS);
    if timeout_ns == 0 || timeout_ns > TIMEOUT_NS_MAX {
        return Err(at(&draft.timeout, "a timeout lies between 1ms and 600s"));
    }
    Ok(LoadTest {
        name: name(&draft)?,
        named,
        load: load(&draft)?,
        connections: connections(&draft)?,
        timeout_ns,
        max_wait_ns: optional(&draft.max_wait, units::duration_ns)?.unwrap_or(MAX_WAIT_NS),
        max_body_bytes: optional(&draft.max_body, |text| units::whole(text, "a size in bytes"))?
            .unwrap_or(MAX_BODY_BYTES),
        seed: optional(&draft.seed, |text| units::whole(text, "a seed"))?,
        spin: draft.spin,
        slos,
        requests,
        urls,
    })
}

fn at(value: &Option<Sourced>, message: impl Into<String>) -> SpecError {
    SpecError::new(value.as_ref().map_or(Place::Test, |value| value.place.clone()), message)
}

fn optional<T>(value: &Option<Sourced>, parse: impl Fn(&str) -> Result<T, String>) -> Checked<Option<T>> {
    value.as_ref().map(|value| required(value, parse)).transpose()
}

fn required<T>(value: &Sourced, parse: impl Fn(&str) -> Result<T, String>) -> Checked<T> {
    parse(&value.value).map_err(|message| SpecError::new(value.place.clone(), message))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 63 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn name(draft: &Draft) -> Checked<String> {
    let Some(name) = &draft.name else { return Ok("adhoc".to_owned()) };
    if !is_name(&name.value) {
        let message = format!("'{}' is not a name: write up to 63 letters, digits, '-', '_' or '.'", name.value);
        return Err(SpecError::new(name.place.clone(), message));
    }
    Ok(name.value.clone())
}

fn request(draft: &DraftRequest, number: usize) -> Checked<(Request, String)> {
    let place = || draft.place.clone().unwrap_or(Place::Test);
    let Some(url_text) = &draft.url else { return Err(SpecError::new(place(), "the request has no url")) };
    let url = required(url_text, check_url)?;
    let name = match &draft.name {
        Some(name) if is_name(&name.value) => name.value.clone(),
        Some(name) => {
            let message = format!("'{}' is not a name: write letters, digits, '-', '_' or '.'", name.value);
            return Err(SpecError::new(name.place.clone(), message));
        }
        None if number == 0 => "http".to_owned(),
        None => format!("request-{}", number + 1),
    };
    let weight = optional(&draft.weight, |text| match units::whole(text, "a weight") {
        Ok(0) => Err("weight 0: such a request is never sent; leave it out, or give it a weight of 1 or more".into()),
        Ok(weight) if weight <= WEIGHTS_MAX => Ok(weight as u32),
        Ok(_) => Err(format!("a weight is at most {WEIGHTS_MAX}")),
        Err(wrong) => Err(wrong),
    })?;
    let body = match &draft.body {
        None => Vec::new(),
        Some(body) => required(body, secret::resolve)?.into_bytes(),
    };
    if body.len() > BODY_BYTES_MAX {
        let message = format!("a body of {} bytes is over the bound of {BODY_BYTES_MAX}", body.len());
        return Err(at(&draft.body, message));
    }
    let method = method(draft, !body.is_empty())?;
    let mut headers = headers(draft)?;
    if draft.body_is_json && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let request = Request {
        name,
        weight: weight.unwrap_or(1),
        method,
        host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
        port: url.port_or_known_default().unwrap_or(80),
        target: format!("{}{query}", url.path()),
        headers,
        body,
        error_ranges: error_ranges(draft)?,
    };
    Ok((request, url_text.value.clone()))
}

fn check_url(text: &str) -> Result<Url, String> {
    let resolved = secret::resolve(text)?;
    if !resolved.contains("://") {
        return Err(format!("'{text}' has no scheme: write http://{text}"));
    }
    // The parser would take what follows three slashes for the host.
    if resolved.split_once("://").is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(['/', '?', '#', ':'])) {
        return Err(format!("'{text}' has no host: write http://HOST/PATH"));
    }
    let url = Url::parse(&resolved)
        .map_err(|error| format!("'{text}' is not a URL ({error}): write http://HOST[:PORT]/PATH"))?;
    match url.scheme() {
        "http" if !url.username().is_empty() || url.password().is_some() => {
            Err("a user in the URL is not sent: write a header Authorization instead".to_owned())
        }
        "http" => Ok(url),
        "https" => Err(format!("'{text}': https is not supported yet; this version speaks http://")),
        scheme => Err(format!("'{text}': the scheme {scheme} is not supported: write http://")),
    }
}

fn method(draft: &DraftRequest, has_body: bool) -> Checked<String> {
    let Some(method) = &draft.method else { return Ok(if has_body { "POST" } else { "GET" }.to_owned()) };
    let name = method.value.trim().to_ascii_uppercase();
    // RFC 9110 §9.1: a token. CONNECT turns the connection into a tunnel.
    if name.is_empty() || name == "CONNECT" || !name.chars().all(|c| c.is_ascii_alphabetic() || c == '-') {
        let message = format!("'{}' is not a method to test with: write GET, POST, PUT, DELETE, …", method.value);
        return Err(SpecError::new(method.place.clone(), message));
    }
    Ok(name)
}

fn headers(draft: &DraftRequest) -> Checked<Vec<(String, String)>> {
    let mut headers = Vec::with_capacity(draft.headers.len());
    for (name, value) in &draft.headers {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            let message = format!("'{name}' is not a header's name (RFC 9110 §5.6.2)");
            return Err(SpecError::new(value.place.clone(), message));
        }
        // Framing is ours: a length that does not fit the body would be the end of the connection.
        if ["content-length", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
            let message = format!("the header {name} follows from the body: leave it out");
            return Err(SpecError::new(value.place.clone(), message));
        }
        let resolved = required(value, secret::resolve)?;
        if resolved.chars().any(|c| c.is_control() && c != '\t') {
            let message = format!("the value of header {name} has a control character");
            return Err(SpecError::new(value.place.clone(), message));
        }
        headers.push((name.clone(), resolved.trim().to_owned()));
    }
    Ok(headers)
}

fn error_ranges(draft: &DraftRequest) -> Checked<Vec<(u16, u16)>> {
    let Some(ranges) = &draft.error_statuses else { return Ok(vec![(400, 999)]) };
    let parse = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
            (Ok(first), Ok(last)) if (100..=999).contains(&first) && first <= last => Ok((first, last.min(999))),
            _ => Err(format!("'{text}' is not a range of statuses: write 404 or 400-599")),
        }
    };
    ranges.iter().map(|range| required(range, parse)).collect()
}

fn check_weights(draft: &Draft, requests: &[Request]) -> Checked<()> {
    let sum: u64 = requests.iter().map(|request| u64::from(request.weight)).sum();
    if sum > WEIGHTS_MAX {
        let place = draft.requests_place.clone().unwrap_or(Place::Test);
        return Err(SpecError::new(
            place,
            format!("the weights add up to {sum}: at most {WEIGHTS_MAX} are told apart"),
        ));
    }
    Ok(())
}

fn check_slo(slo: &Sourced, names: &[&str], named: bool) -> Checked<Slo> {
    let parsed = required(slo, |text| text.parse::<Slo>().map_err(|error| error.to_string()))?;
    match parsed.metric.request() {
        Some(request) if !(named || names.len() > 1) || !names.contains(&request) => {
            let known = match (named || names.len() > 1, names) {
                (false, _) => "the test's only request has no name: write http/…".to_owned(),
                (true, names) => format!("its requests are {}", names.join(", ")),
            };
            Err(SpecError::new(slo.place.clone(), format!("the test has no request '{request}': {known}")))
        }
        _ => Ok(parsed),
    }
}

fn connections(draft: &Draft) -> Checked<Option<u32>> {
    let Some(connections) = &draft.connections else { return Ok(None) };
    if connections.value.trim() == "auto" {
        return Ok(None);
    }
    let wrong =
        || SpecError::new(connections.place.clone(), "write a number of connections from 1 to 1000000, or auto");
    match units::whole(&connections.value, "a number of connections") {
        Ok(count @ 1..=1_000_000) => Ok(Some(count as u32)),
        _ => Err(wrong()),
    }
}

fn load(draft: &Draft) -> Checked<Load> {
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
    Ok(Load { arrivals, stages, warmup_ns, requests })
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
