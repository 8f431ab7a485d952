//! An `http` task's inputs as a LoadTest.
//!
//! Iter8 paces a closed loop and starts the clock when a request leaves, so that what waited for a slow target is not
//! seen. The same rate is sent here in an open loop, bounded by the same connections, and latency counts from the
//! intended start. Only without a rate (a negative qps) is the loop a closed one.

use serde_json::{Map, Value, json};

use super::fields::{Fields, number};
use super::load::{self, Length, LoadPlan, Protocol};
use super::{Iter8Error, template};

/// Keys of a task and of an endpoint.
pub(super) const KEYS: [&str; 13] = [
    "url",
    "headers",
    "numRequests",
    "duration",
    "qps",
    "connections",
    "payloadStr",
    "payloadURL",
    "payloadFile",
    "contentType",
    "errorRanges",
    "percentiles",
    "allowInitialErrors",
];

/// Those that say how much is sent.
pub(super) const MEASURES: [&str; 2] = ["numRequests", "duration"];

const NUM_REQUESTS: u64 = 100;
const QPS: f64 = 8.0;
const CONNECTIONS: u64 = 4;
/// Fortio's, which Iter8 does not let anybody set.
const TIMEOUT: &str = "3s";
const STATUS_MAX: u64 = 999;

pub(super) fn plan(prefix: String, mut fields: Fields, wanted: &[f64]) -> Result<LoadPlan, Iter8Error> {
    let url = fields.filled("url")?.ok_or_else(|| {
        fields.error("url", "there is no url: give one, such as http.url=http://HOST/PATH, or one to every endpoint")
    })?;
    let url = if url.contains("://") { url } else { format!("http://{url}") };
    let mut request = Map::new();
    request.insert("url".to_owned(), Value::String(template::fortio(&url)));
    let headers = fields.strings("headers")?;
    let body = body(&mut fields, &mut request, &headers)?;
    if !headers.is_empty() || body.is_some() {
        let headers = headers.into_iter().map(|(name, value)| (name, template::secrets(&template::literal(&value))));
        let headers: Map<String, Value> =
            body.into_iter().chain(headers).map(|(name, value)| (name, Value::String(value))).collect();
        request.insert("headers".to_owned(), Value::Object(headers));
    }
    request.insert("version".to_owned(), json!("1.1"));
    let error_ranges = error_ranges(&mut fields)?;
    let statuses: Vec<String> = error_ranges.iter().map(|(lower, upper)| format!("{lower}-{upper}")).collect();
    request.insert("errorStatuses".to_owned(), json!(statuses));
    let percentiles = load::percentiles(&percentiles(&mut fields)?, wanted);

    let mut warnings = Vec::new();
    let given = fields.whole("numRequests")?;
    let duration = fields.duration("duration")?;
    if given.is_some() && duration.is_some() {
        warnings.push(format!("{}: numRequests is set too, and wins", fields.at("duration")));
    }
    if given == Some(0) {
        return Err(fields.error("numRequests", "0 requests: nothing would be sent"));
    }
    let qps = fields.number("qps")?.filter(|qps| *qps != 0.0).unwrap_or(QPS);
    let connections = fields.whole("connections")?.filter(|count| *count > 0).unwrap_or(CONNECTIONS);
    let allow = fields.boolean("allowInitialErrors")?.unwrap_or(false);
    let (length, connections) = length(given, duration, qps, connections);
    let initial_check = given.is_none() && duration.is_some() && !allow;
    fields.finish(&KEYS)?;
    let document = load::document(&prefix, Protocol::Http, request, load(length, qps, connections));
    Ok(LoadPlan {
        prefix,
        protocol: Protocol::Http,
        document,
        percentiles,
        error_ranges,
        length,
        initial_check,
        metadata: None,
        warnings,
    })
}

/// Puts a body and the method that goes with it into the request; gives the header that says what the body is.
fn body(
    fields: &mut Fields,
    request: &mut Map<String, Value>,
    headers: &[(String, String)],
) -> Result<Option<(String, String)>, Iter8Error> {
    let text = fields.filled("payloadStr")?;
    let url = fields.filled("payloadURL")?;
    let file = fields.filled("payloadFile")?;
    if url.is_some() && file.is_some() {
        return Err(fields.error("payloadFile", "payloadURL is set too: give one of them"));
    }
    let content_type = fields.filled("contentType")?;
    let body = match (url, file, text) {
        (Some(url), _, _) => Some(json!({"url": url})),
        (_, Some(file), _) => Some(json!({"file": file})),
        (_, _, Some(text)) => Some(json!({"text": template::fortio(&text)})),
        _ => None,
    };
    if body.is_none() && content_type.is_none() {
        return Ok(None);
    }
    request.insert("method".to_owned(), json!("POST"));
    if let Some(body) = body {
        request.insert("body".to_owned(), body);
    }
    let said = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    match content_type {
        Some(_) if said => Err(fields.error("contentType", "the headers have a Content-Type too: give one of them")),
        None if said => Ok(None),
        kind => Ok(Some(("Content-Type".to_owned(), kind.unwrap_or_else(|| "application/octet-stream".to_owned())))),
    }
}

/// How much is sent over how many connections: no more than half as many as there are requests, and for a duration a
/// multiple of them.
fn length(given: Option<u64>, duration: Option<u64>, qps: f64, connections: u64) -> (Length, u64) {
    let lowered = |count: u64| connections.min((count / 2).max(1));
    match (given, duration) {
        (None, Some(ns)) if qps < 0.0 => (Length::Duration(ns), connections),
        (None, Some(ns)) => match (qps * (ns as f64 / 1e9)).floor() as u64 {
            0 | 1 => (Length::Requests(2), 1),
            total => {
                let connections = lowered(total);
                (Length::Requests(total / connections * connections), connections)
            }
        },
        (given, _) => {
            let count = given.unwrap_or(NUM_REQUESTS);
            (Length::Requests(count), lowered(count))
        }
    }
}

fn load(length: Length, qps: f64, connections: u64) -> Map<String, Value> {
    let mut load = Map::new();
    if qps < 0.0 {
        load.insert("closedLoop".to_owned(), json!(true));
    } else {
        load.insert("arrivals".to_owned(), json!("uniform"));
        load.insert("rate".to_owned(), load::rate(qps));
    }
    match length {
        Length::Requests(count) => load.insert("requests".to_owned(), json!(count)),
        Length::Duration(ns) => load.insert("duration".to_owned(), load::duration(ns)),
    };
    load.insert("connections".to_owned(), json!(connections));
    load.insert("timeout".to_owned(), json!(TIMEOUT));
    if qps >= 0.0 {
        load.insert("maxWait".to_owned(), json!(load::MAX_WAIT));
    }
    load
}

fn error_ranges(fields: &mut Fields) -> Result<Vec<(u16, u16)>, Iter8Error> {
    let place = fields.at("errorRanges");
    let mut ranges = Vec::new();
    for (index, range) in fields.list("errorRanges").into_iter().enumerate() {
        let mut range = Fields::new(format!("{place}[{index}]"), range)?;
        let lower = range.whole("lower")?.unwrap_or(0).max(100);
        let upper = range.whole("upper")?.unwrap_or(STATUS_MAX).min(STATUS_MAX);
        if lower > upper {
            return Err(range.error("upper", "the range holds no status: write such as {lower: 400, upper: 599}"));
        }
        range.finish(&["lower", "upper"])?;
        ranges.push((lower as u16, upper as u16));
    }
    Ok(if ranges.is_empty() { vec![(400, STATUS_MAX as u16)] } else { ranges })
}

fn percentiles(fields: &mut Fields) -> Result<Vec<f64>, Iter8Error> {
    let place = fields.at("percentiles");
    let own = fields.list("percentiles");
    own.iter()
        .map(|value| match number(value) {
            Some(percent) if percent > 0.0 && percent < 100.0 => Ok(percent),
            _ => Err(Iter8Error::new(
                place.as_str(),
                format!("{value} is no percentile: write numbers between 0 and 100"),
            )),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::load::{LoadTask, read};
    use super::*;

    fn task(with: Value) -> Result<LoadTask, Iter8Error> {
        read(Protocol::Http, "http", with, &[97.5])
    }

    fn only(with: Value) -> LoadPlan {
        task(with).unwrap().loads.remove(0)
    }

    #[test]
    fn defaults_are_iter8s() {
        let plan = only(json!({"url": "hello.default/get"}));
        let expected = json!({
            "apiVersion": "loadgrid.dev/v1alpha1", "kind": "LoadTest", "metadata": {"name": "http"},
            "spec": {
                "requests": [{"http":
                    {"url": "http://hello.default/get", "version": "1.1", "errorStatuses": ["400-999"]}}],
                "load": {"arrivals": "uniform", "rate": "8/s", "requests": 100, "connections": 4, "timeout": "3s",
                    "maxWait": "1h"},
            },
        });
        assert_eq!(plan.document, expected);
        assert_eq!((plan.prefix.as_str(), plan.initial_check), ("http", false));
        assert_eq!(plan.percentiles, [50.0, 75.0, 90.0, 95.0, 97.5, 99.0, 99.9]);
    }

    #[test]
    fn bodies_make_posts() {
        let request = |with: Value| only(with).document["spec"]["requests"][0]["http"].clone();
        let posted = request(json!({"url": "http://x", "payloadStr": "{\"id\": \"{uuid}\"}", "headers": {"N": 1}}));
        assert_eq!(posted["method"], "POST");
        assert_eq!(posted["body"], json!({"text": "{\"id\": \"{{uuid}}\"}"}));
        assert_eq!(posted["headers"], json!({"Content-Type": "application/octet-stream", "N": "1"}));
        let typed = request(json!({"url": "http://x", "contentType": "application/json", "payloadURL": "http://y"}));
        assert_eq!(
            (&typed["headers"]["Content-Type"], &typed["body"]["url"]),
            (&json!("application/json"), &json!("http://y"))
        );
        let file = request(
            json!({"url": "http://x", "payloadFile": "a.dat", "payloadStr": "b", "headers": {"content-type": "t"}}),
        );
        assert_eq!((&file["body"], &file["headers"]), (&json!({"file": "a.dat"}), &json!({"content-type": "t"})));
    }

    #[test]
    fn how_much_is_sent_is_as_in_iter8() {
        for (with, length, connections, check) in [
            (json!({"url": "x", "duration": "2s"}), Length::Requests(16), 4, true),
            (json!({"url": "x", "duration": "2s", "numRequests": 7}), Length::Requests(7), 3, false),
            (json!({"url": "x", "duration": "3s", "qps": "20.5", "connections": 8}), Length::Requests(56), 8, true),
            (json!({"url": "x", "duration": "10ms", "allowInitialErrors": true}), Length::Requests(2), 1, false),
            (json!({"url": "x", "duration": "3s", "qps": -1}), Length::Duration(3_000_000_000), 4, true),
            (json!({"url": "x", "numRequests": 1}), Length::Requests(1), 1, false),
        ] {
            let plan = only(with.clone());
            let load = &plan.document["spec"]["load"];
            assert_eq!(
                (plan.length, load["connections"].as_u64(), plan.initial_check),
                (length, Some(connections), check),
                "{with}"
            );
        }
        let load = only(json!({"url": "x", "duration": "3s", "qps": -1})).document["spec"]["load"].clone();
        assert_eq!(load, json!({"closedLoop": true, "duration": "3s", "connections": 4, "timeout": "3s"}));
    }

    #[test]
    fn endpoints_are_sorted_and_filled_up() {
        let task = task(json!({
            "numRequests": 50, "headers": {"a": "1", "b": "2"}, "warmup": true, "errorRanges": [{"lower": 500}],
            "endpoints": {"post": {"url": "http://x/post", "PAYLOADSTR": "hello", "headers": {"b": "3"}},
                          "get": {"url": "http://x/get", "duration": "2s", "errorRanges": [{"upper": 399}]}},
        }));
        let task = task.unwrap();
        assert!(task.warmup);
        let [get, post] = task.loads.as_slice() else { panic!("{task:?}") };
        assert_eq!((get.prefix.as_str(), post.prefix.as_str()), ("http-get", "http-post"));
        assert_eq!((get.length, post.length), (Length::Requests(16), Length::Requests(50)));
        assert_eq!((&get.error_ranges, &post.error_ranges), (&vec![(100, 399)], &vec![(500, 999)]));
        let headers = &post.document["spec"]["requests"][0]["http"]["headers"];
        assert_eq!(*headers, json!({"Content-Type": "application/octet-stream", "a": "1", "b": "3"}));
    }

    #[test]
    fn mistakes_are_named() {
        for (with, expected) in [
            (json!({}), "http.url: there is no url"),
            (json!({"url": "x", "qpss": 1}), "http.qpss: there is no key 'qpss': did you mean qps?"),
            (json!({"endpoints": {"a": {"url": "x", "warmup": true}}}), "http.endpoints.a.warmup: there is no key"),
            (json!({"endpoints": {"a/b": {"url": "x"}}}), "http.endpoints.a/b: an endpoint's name"),
            (json!({"endpoints": {}}), "http.endpoints: there is no endpoint"),
            (json!({"url": "x", "numRequests": 0}), "http.numRequests: 0 requests"),
            (json!({"url": "x", "percentiles": [101]}), "http.percentiles: 101 is no percentile"),
            (json!({"url": "x", "errorRanges": [{"lower": 500, "upper": 400}]}), "http.errorRanges[0].upper: "),
            (json!({"url": "x", "payloadURL": "a", "payloadFile": "b"}), "http.payloadFile: payloadURL is set too"),
        ] {
            let error = task(with.clone()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{with}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_duration_sends_a_multiple_of_the_connections_and_never_too_much(
            ms in 1u64..100_000,
            qps in 0.1f64..1e4,
            connections in 1u64..300,
        ) {
            let (length, used) = length(None, Some(ms * 1_000_000), qps, connections);
            let Length::Requests(count) = length else { panic!("{length:?}") };
            prop_assert!(used >= 1 && used <= connections && count % used == 0 && count >= 2 * used);
            prop_assert!(count == 2 || count as f64 <= qps * ms as f64 / 1e3);
        }
    }
}
