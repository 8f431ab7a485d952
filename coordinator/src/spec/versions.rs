//! Versions of a target, measured side by side: each request of the draft becomes one for every version, named
//! `REQUEST@VERSION`, and each objective one for every version. It works on what was written, before it is checked.

use loadgrid_worker::mix::VERSIONS_MAX;

use super::draft::{Draft, DraftProvider, DraftRequest, DraftTls, DraftVersion, Sourced};
use super::{Place, SpecError};

/// What stands between a request's name and its version's.
pub const MARK: char = '@';

/// The name of a request or provider of a version.
pub fn of_version(name: &str, version: &str) -> String {
    format!("{name}{MARK}{version}")
}

/// A name and the version in it, if there is one.
pub fn split(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(MARK) {
        Some((name, version)) => (name, Some(version)),
        None => (name, None),
    }
}

/// Makes each request and each provider that asks for it one a version. Rates are each version's own.
///
/// # Errors
/// Names that are none, a single version, a closed loop, a request that no version says where to send.
pub(super) fn expand(mut draft: Draft) -> Result<Draft, SpecError> {
    let versions = std::mem::take(&mut draft.versions);
    let Some(first) = versions.first() else {
        return match draft.rewards.first() {
            Some((_, reward)) => {
                let message = "rewards choose between versions: write spec.versions, or leave this out";
                Err(SpecError::new(reward.place.clone(), message))
            }
            None => Ok(draft),
        };
    };
    check(&versions, first)?;
    if let Some(place) = &draft.closed_loop {
        let message = "versions need an open loop: in a closed one the slower version would set the pace of both; \
                       give a rate";
        return Err(SpecError::new(place.clone(), message));
    }
    let mut requests = Vec::with_capacity(draft.requests.len() * versions.len());
    for version in &versions {
        for request in &draft.requests {
            requests.push(one(request, version)?);
        }
    }
    draft.requests = requests;
    draft.providers = draft.providers.into_iter().flat_map(|provider| provider_of_each(provider, &versions)).collect();
    draft.versions = versions;
    Ok(draft)
}

fn check(versions: &[DraftVersion], first: &DraftVersion) -> Result<(), SpecError> {
    let wrong = |version: &DraftVersion, message: String| Err(SpecError::new(version.place.clone(), message));
    if versions.len() == 1 {
        return wrong(first, "one version has nothing to be compared with: name at least two".to_owned());
    }
    if versions.len() > VERSIONS_MAX {
        return wrong(first, format!("{} versions: at most {VERSIONS_MAX} can run side by side", versions.len()));
    }
    if let Some(second) = versions.iter().filter(|version| version.baseline).nth(1) {
        return wrong(
            second,
            "two baselines: the others are compared with one, so write it to that one alone".to_owned(),
        );
    }
    for version in versions {
        if !super::check::is_name(&version.name) {
            let message = format!("'{}' is not a version's name: write letters, digits, '-', '_' or '.'", version.name);
            return wrong(version, message);
        }
        if version.url.is_none() && version.target.is_none() && version.headers.is_empty() {
            let message = format!("version {} differs in nothing: give its url, target or headers", version.name);
            return wrong(version, message);
        }
        if let Some(url) = version.url.as_ref().filter(|url| url.value.contains(['?', '#'])) {
            let message = format!("'{}' has a query or fragment: write those to the requests", url.value);
            return Err(SpecError::new(url.place.clone(), message));
        }
        if let Some(url) = version.url.as_ref().filter(|url| !url.value.contains("://")) {
            let message = format!("'{}' is no URL: write http://HOST:PORT or https://HOST:PORT", url.value);
            return Err(SpecError::new(url.place.clone(), message));
        }
    }
    Ok(())
}

fn one(request: &DraftRequest, version: &DraftVersion) -> Result<DraftRequest, SpecError> {
    let mut own = DraftRequest { side: Some(version.name.clone()), ..request.clone() };
    if let Some(steps) = &mut own.steps {
        for step in &mut steps.value {
            *step = one(step, version)?;
        }
        return Ok(own);
    }
    if let Some(grpc) = &mut own.grpc {
        match (&version.target, &version.url) {
            (Some(target), _) => grpc.target.clone_from(target),
            (None, Some(url)) => {
                grpc.target = Sourced { value: as_target(&url.value), place: url.place.clone() };
                if url.value.starts_with("https:") && own.tls.is_none() {
                    own.tls = Some(Sourced { value: DraftTls::default(), place: url.place.clone() });
                }
            }
            (None, None) => {}
        }
        for (name, value) in &version.headers {
            grpc.metadata.retain(|(old, _)| !old.eq_ignore_ascii_case(name));
            grpc.metadata.push((name.clone(), value.clone()));
        }
        return Ok(own);
    }
    match (&mut own.url, &version.url) {
        (Some(url), Some(origin)) => {
            *url = Sourced { value: moved(&url.value, &origin.value), place: url.place.clone() };
        }
        (None, Some(origin)) => own.url = Some(origin.clone()),
        (Some(url), None) if url.value.starts_with('/') => {
            let message = format!("version {} has no url that '{}' could follow: give one", version.name, url.value);
            return Err(SpecError::new(version.place.clone(), message));
        }
        _ => {}
    }
    for (name, value) in &version.headers {
        own.headers.retain(|(old, _)| !old.eq_ignore_ascii_case(name));
        own.headers.push((name.clone(), value.clone()));
    }
    Ok(own)
}

/// A request's URL at another origin: path and query stay; a path of the origin goes before them.
fn moved(url: &str, origin: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("", |at| &rest[at..]),
        None => url,
    };
    let origin = origin.trim_end_matches('/');
    if path.starts_with('?') { format!("{origin}/{path}") } else { format!("{origin}{path}") }
}

/// Where a gRPC call goes if only a URL is given.
fn as_target(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split('/').next().unwrap_or(rest);
    let ported = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = match (ported, scheme) {
        (true, _) => "",
        (false, "https") => ":443",
        (false, _) => ":80",
    };
    format!("{host}{port}")
}

/// A provider whose queries name `{{version}}` is asked for each of them.
fn provider_of_each(provider: Sourced<DraftProvider>, versions: &[DraftVersion]) -> Vec<Sourced<DraftProvider>> {
    let texts = |provider: &DraftProvider| {
        let own = provider.params.iter().chain(provider.metrics.iter().flat_map(|metric| &metric.value.params));
        let bodies = provider.metrics.iter().filter_map(|metric| metric.value.body.clone());
        let texts = own.map(|(_, text)| text.clone()).chain(bodies).chain(provider.body.clone());
        texts.chain([provider.url.clone()]).any(|text| filled(&text, "") != text)
    };
    if !texts(&provider.value) {
        return vec![provider];
    }
    let of = |version: &DraftVersion| {
        let mut own = provider.clone();
        let fill = |text: &mut String| *text = filled(text, &version.name);
        let value = &mut own.value;
        value.side = Some(version.name.clone());
        fill(&mut value.url);
        value.params.iter_mut().for_each(|(_, text)| fill(text));
        value.body.iter_mut().for_each(fill);
        for metric in &mut value.metrics {
            metric.value.params.iter_mut().for_each(|(_, text)| fill(text));
            metric.value.body.iter_mut().for_each(fill);
        }
        own
    };
    versions.iter().map(of).collect()
}

/// A text with `{{version}}` replaced.
fn filled(text: &str, version: &str) -> String {
    text.replace("{{version}}", version).replace("{{ version }}", version)
}

/// The baseline first, and the others as they are written.
pub(super) fn in_order(mut versions: Vec<DraftVersion>) -> Vec<DraftVersion> {
    let at = |version: &DraftVersion| match version.place {
        Place::File { line, column } => (!version.baseline, line, column),
        _ => (!version.baseline, 0, 0),
    };
    versions.sort_by_key(at);
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_move_to_another_origin() {
        for (url, origin, moved_to) in [
            ("http://a/", "http://b:8080", "http://b:8080/"),
            ("http://a", "http://b:8080/", "http://b:8080"),
            ("https://a:1/x?y=1", "http://b/v2/", "http://b/v2/x?y=1"),
            ("/orders", "http://b", "http://b/orders"),
            ("http://a?x=1", "http://b", "http://b/?x=1"),
        ] {
            assert_eq!(moved(url, origin), moved_to);
        }
        assert_eq!(as_target("http://a:9000/x"), "a:9000");
        assert_eq!(as_target("https://a"), "a:443");
        assert_eq!(as_target("http://[::1]"), "[::1]:80");
        assert_eq!(split("home@v2"), ("home", Some("v2")));
        assert_eq!(split("home"), ("home", None));
    }
}
