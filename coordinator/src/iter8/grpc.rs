//! A `grpc` task's inputs, ghz's keys, as a LoadTest.
//!
//! As with HTTP, a rate is sent in an open loop; `connections` times streams bound what is in flight as `concurrency`
//! did. Without a rate the loop is closed. Calls are plaintext unless a key of TLS is given, where Iter8 made every
//! call plaintext whatever was given.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::load::{self, Length, LoadPlan, MetadataSource, Protocol};
use super::ramp::{Ramp, Shape};
use super::{Iter8Error, grpc_keys, template};

/// Keys that a LoadTest has something for.
const OWN_KEYS: [&str; 37] = [
    "host",
    "call",
    "proto",
    "protoURL",
    "protoset",
    "import-paths",
    "total",
    "concurrency",
    "connections",
    "rps",
    "duration",
    "max-duration",
    "timeout",
    "data",
    "data-file",
    "dataURL",
    "metadata",
    "metadata-file",
    "metadataURL",
    "stream-interval",
    "async",
    "load-schedule",
    "load-start",
    "load-end",
    "load-step",
    "load-step-duration",
    "load-max-duration",
    "skipFirst",
    "authority",
    "cacert",
    "cert",
    "key",
    "cname",
    "skipTLS",
    "insecure",
    "disable-template-functions",
    "disable-template-data",
];

/// Keys of a task and of an endpoint.
pub(super) const KEYS: [&str; 63] = {
    let mut all = [""; 63];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < OWN_KEYS.len() { OWN_KEYS[at] } else { grpc_keys::KEYS[at - OWN_KEYS.len()] };
        at += 1;
    }
    all
};

/// Those that say how much is sent.
pub(super) const MEASURES: [&str; 3] = ["total", "duration", "max-duration"];

const TOTAL: u64 = 200;
const CONCURRENCY: u64 = 50;
const CONNECTIONS: u64 = 1;
const TIMEOUT_NS: u64 = 20_000_000_000;

pub(super) fn plan(prefix: String, mut fields: Fields, wanted: &[f64]) -> Result<LoadPlan, Iter8Error> {
    let mut warnings = Vec::new();
    let total = fields.whole("total")?.filter(|total| *total > 0);
    let lasts = fields.duration("max-duration")?.or(fields.duration("duration")?);
    let given = match (lasts, total) {
        (Some(ns), _) => Length::Duration(ns),
        (None, total) => Length::Requests(total.unwrap_or(TOTAL)),
    };
    grpc_keys::sift(&mut fields, lasts.is_some(), &mut warnings)?;
    let (request, metadata) = request(&mut fields)?;
    let (mut load, length) = load(&mut fields, given)?;
    if let Some(deadline) = request.get("deadline") {
        // Or the load's own timeout would come first.
        load.insert("timeout".to_owned(), deadline.clone());
    }
    fields.finish(&KEYS)?;
    Ok(LoadPlan {
        document: load::document(&prefix, Protocol::Grpc, request, load),
        prefix,
        protocol: Protocol::Grpc,
        percentiles: load::percentiles(&[], wanted),
        error_ranges: Vec::new(),
        length,
        initial_check: false,
        metadata,
        warnings,
    })
}

fn request(fields: &mut Fields) -> Result<(Map<String, Value>, Option<MetadataSource>), Iter8Error> {
    let mut request = Map::new();
    for (key, name) in [("host", "target"), ("call", "call")] {
        let value = fields.filled(key)?.ok_or_else(|| {
            fields.error(
                key,
                "it is missing: give the task, or every endpoint, such as host=hello:80 and call=pkg.Service.Method",
            )
        })?;
        request.insert(name.to_owned(), Value::String(value));
    }
    // A file that Iter8's chart made names the fetched file; a URL is fetched before the load.
    one_of(fields, &mut request, &[("protoURL", "proto"), ("protoset", "protoset"), ("proto", "proto")])?;
    let paths = fields.texts("import-paths")?;
    if !paths.is_empty() {
        request.insert("importPaths".to_owned(), json!(paths));
    }
    let plain = fields.boolean("disable-template-data")?.unwrap_or(false);
    let filled = !(fields.boolean("disable-template-functions")?.unwrap_or(false) && plain);
    match fields.take("data") {
        Some(data @ (Value::Object(_) | Value::Array(_))) => {
            let place = fields.at("data");
            let data =
                template::deep(data, &|text| fill(text, filled)).map_err(|message| Iter8Error::new(place, message))?;
            request.insert("data".to_owned(), data);
            for other in ["dataURL", "data-file"] {
                if fields.filled(other)?.is_some() {
                    return Err(fields.error(other, "data is set too: give one of them"));
                }
            }
        }
        Some(_) => return Err(fields.error("data", "a message is a map, such as data.name=frodo, or a list of maps")),
        None => one_of(fields, &mut request, &[("dataURL", "dataUrl"), ("data-file", "dataFile")])?,
    }
    let metadata = fields.strings("metadata")?;
    if !metadata.is_empty() {
        request.insert("metadata".to_owned(), Value::Object(self::metadata(&fields.at("metadata"), metadata, filled)?));
    }
    let source = match (fields.filled("metadataURL")?, fields.filled("metadata-file")?) {
        (Some(url), _) => Some(MetadataSource::Url(url)),
        (None, file) => file.map(MetadataSource::File),
    };
    let timeout = fields.duration("timeout")?.unwrap_or(TIMEOUT_NS);
    request.insert("deadline".to_owned(), load::duration(timeout));
    if let Some(authority) = fields.filled("authority")? {
        request.insert("authority".to_owned(), Value::String(authority));
    }
    if let Some(interval) = fields.duration("stream-interval")? {
        request.insert("messageInterval".to_owned(), load::duration(interval));
    }
    if let Some(tls) = tls(fields)? {
        request.insert("tls".to_owned(), Value::Object(tls));
    }
    Ok((request, source))
}

/// Puts in the first of the keys that is given; the others are taken.
fn one_of(fields: &mut Fields, request: &mut Map<String, Value>, keys: &[(&str, &str)]) -> Result<(), Iter8Error> {
    let mut found = false;
    for (key, name) in keys {
        if let Some(value) = fields.filled(key)?
            && !found
        {
            request.insert((*name).to_owned(), Value::String(value));
            found = true;
        }
    }
    Ok(())
}

fn fill(text: &str, filled: bool) -> Result<String, String> {
    if filled { template::go(text) } else { Ok(template::literal(text)) }
}

/// Metadata with its placeholders as loadgrid's.
pub(super) fn metadata(
    place: &str,
    metadata: Vec<(String, String)>,
    filled: bool,
) -> Result<Map<String, Value>, Iter8Error> {
    let entry = |(name, value): (String, String)| match fill(&value, filled) {
        Ok(value) => Ok((name, Value::String(template::secrets(&value)))),
        Err(message) => Err(Iter8Error::new(format!("{place}.{name}"), message)),
    };
    metadata.into_iter().map(entry).collect()
}

/// TLS, if a key asks for it.
fn tls(fields: &mut Fields) -> Result<Option<Map<String, Value>>, Iter8Error> {
    let mut tls = Map::new();
    for (key, name) in [("cacert", "ca"), ("cert", "cert"), ("key", "key"), ("cname", "serverName")] {
        if let Some(value) = fields.filled(key)? {
            tls.insert(name.to_owned(), Value::String(value));
        }
    }
    if tls.contains_key("cert") != tls.contains_key("key") {
        return Err(fields.error("cert", "a certificate goes with its key: give cert and key"));
    }
    if fields.boolean("skipTLS")? == Some(true) {
        tls.insert("insecureSkipVerify".to_owned(), json!(true));
    }
    match fields.boolean("insecure")? {
        // Plaintext; as in ghz it wins over the other keys.
        Some(true) => Ok(None),
        // An empty map is TLS with the system's authorities.
        Some(false) => Ok(Some(tls)),
        None => Ok(Some(tls).filter(|tls| !tls.is_empty())),
    }
}

fn load(fields: &mut Fields, given: Length) -> Result<(Map<String, Value>, Length), Iter8Error> {
    let concurrency = fields.whole("concurrency")?.filter(|count| *count > 0).unwrap_or(CONCURRENCY);
    let connections = fields.whole("connections")?.filter(|count| *count > 0).unwrap_or(CONNECTIONS);
    if connections > concurrency {
        let message =
            format!("{connections} connections for a concurrency of {concurrency}: set concurrency at least as high");
        return Err(fields.error("connections", message));
    }
    let unbounded = fields.boolean("async")?.unwrap_or(false);
    let rps = fields.number("rps")?.unwrap_or(0.0);
    if rps < 0.0 {
        return Err(fields.error("rps", "a rate is above zero, or 0 for as fast as the target answers"));
    }
    let skip = fields.whole("skipFirst")?.filter(|skip| *skip > 0);
    let ramp = ramp(fields)?;
    let mut load = Map::new();
    let mut length = given;
    if let Some(ramp) = &ramp {
        let stages = ramp.stages(given).map_err(|message| fields.error("load-schedule", message))?;
        let stages: Vec<Value> = stages
            .iter()
            .map(|stage| {
                let mut entry = Map::from_iter([("rate".to_owned(), load::rate(stage.from))]);
                if stage.to != stage.from {
                    entry.insert("to".to_owned(), load::rate(stage.to));
                }
                entry.insert("duration".to_owned(), load::duration(stage.ns));
                Value::Object(entry)
            })
            .collect();
        load.insert("stages".to_owned(), Value::Array(stages));
    } else if rps > 0.0 {
        load.insert("arrivals".to_owned(), json!("uniform"));
        load.insert("rate".to_owned(), load::rate(rps));
    } else if unbounded {
        return Err(fields.error("async", "without a rate there is no end to what is sent at once: give rps too"));
    } else {
        load.insert("closedLoop".to_owned(), json!(true));
    }
    if let Some(skip) = skip {
        length = skipped(fields, &mut load, given, skip, if ramp.is_none() { rps } else { 0.0 })?;
    }
    if ramp.is_none() {
        match length {
            Length::Requests(count) => load.insert("requests".to_owned(), json!(count)),
            Length::Duration(ns) => load.insert("duration".to_owned(), load::duration(ns)),
        };
    }
    load.insert("connections".to_owned(), json!(connections));
    if !unbounded {
        load.insert("streams".to_owned(), json!(concurrency.div_ceil(connections)));
    }
    if !load.contains_key("closedLoop") {
        load.insert("maxWait".to_owned(), json!(load::MAX_WAIT));
    }
    Ok((load, length))
}

/// The calls that are not counted, as a warm-up at the rate; they are part of the length.
fn skipped(
    fields: &Fields,
    load: &mut Map<String, Value>,
    given: Length,
    skip: u64,
    rps: f64,
) -> Result<Length, Iter8Error> {
    if rps <= 0.0 {
        let message = "skipFirst needs a constant rate: give rps, or warm up with warmupNumRequests";
        return Err(fields.error("skipFirst", message));
    }
    let ns = (skip as f64 / rps * 1e9).round() as u64;
    let left = match given {
        Length::Requests(count) => count.checked_sub(skip).filter(|left| *left > 0).map(Length::Requests),
        Length::Duration(all) => all.checked_sub(ns).filter(|left| *left > 0).map(Length::Duration),
    };
    load.insert("warmup".to_owned(), load::duration(ns));
    left.ok_or_else(|| {
        fields.error("skipFirst", format!("{skip} calls are all that there are: nothing would be measured"))
    })
}

fn ramp(fields: &mut Fields) -> Result<Option<Ramp>, Iter8Error> {
    let schedule = fields.filled("load-schedule")?;
    let start = fields.number("load-start")?.unwrap_or(0.0);
    let end = fields.number("load-end")?.filter(|end| *end != 0.0);
    let step = fields.number("load-step")?.unwrap_or(0.0);
    let lasts = fields.duration("load-step-duration")?;
    let max_ns = fields.duration("load-max-duration")?;
    let shape = match schedule.as_deref() {
        None | Some("const") => {
            let given = [start != 0.0, end.is_some(), step != 0.0, lasts.is_some(), max_ns.is_some()];
            if given.contains(&true) {
                let message = "load-start and the like need a schedule: write load-schedule=step or load-schedule=line";
                return Err(fields.error("load-schedule", message));
            }
            return Ok(None);
        }
        Some("line") => Shape::Line,
        Some("step") => match lasts {
            Some(ns) => Shape::Step(ns),
            None => return Err(fields.error("load-step-duration", "say how long a step lasts, such as 5s")),
        },
        Some(other) => {
            return Err(fields.error("load-schedule", format!("'{other}' is not known: write const, step or line")));
        }
    };
    if step == 0.0 {
        return Err(fields.error("load-step", "say by how much the rate changes, such as 10"));
    }
    if end.is_some_and(|end| end < 0.0) || start < 0.0 {
        return Err(fields.error("load-start", "a rate is not below zero"));
    }
    Ok(Some(Ramp { shape, start, end, step, max_ns }))
}

#[cfg(test)]
mod tests;
