//! The keys of ghz that a LoadTest has nothing for: each is refused or remarked upon when it asks for something.

use super::Iter8Error;
use super::fields::{Fields, text};
use super::load::is_zero;

/// Refused, with what to do instead.
const REFUSED: [(&str, &str); 17] = [
    ("binary-file", "binary messages are not sent: give the message as JSON in data, data-file or dataURL"),
    ("binaryDataURL", "binary messages are not sent: give the message as JSON in data, data-file or dataURL"),
    ("reflect-metadata", "metadata for reflection is not sent: give proto or protoset"),
    ("stream-call-duration", "a stream ends with its messages: list them in data, with a stream-interval"),
    ("stream-call-count", "a stream ends with its messages: list as many of them in data"),
    ("stream-dynamic-messages", "messages of a stream are filled in as a call's are: leave it out"),
    ("concurrency-start", "concurrency does not change during a load: let the rate change, with load-schedule"),
    ("concurrency-end", "concurrency does not change during a load: let the rate change, with load-schedule"),
    ("concurrency-step", "concurrency does not change during a load: let the rate change, with load-schedule"),
    ("concurrency-step-duration", "concurrency does not change during a load: let the rate change, with load-schedule"),
    ("concurrency-max-duration", "concurrency does not change during a load: let the rate change, with load-schedule"),
    ("enable-compression", "messages are not compressed: leave it out"),
    ("max-recv-message-size", "messages are bounded by loadgrid's own limit: leave it out"),
    ("max-send-message-size", "messages are bounded by loadgrid's own limit: leave it out"),
    ("output", "results go to the experiment's file: leave it out"),
    ("lb-strategy", "calls are spread over the connections: set connections, and leave it out"),
    ("keepalive", "connections are kept alive by their calls: leave it out"),
];

/// Without effect.
const IDLE: [&str; 5] = ["cpus", "name", "tags", "debug", "connect-timeout"];

/// All keys of this file.
pub(super) const KEYS: [&str; 26] = [
    "binary-file",
    "binaryDataURL",
    "reflect-metadata",
    "stream-call-duration",
    "stream-call-count",
    "stream-dynamic-messages",
    "concurrency-start",
    "concurrency-end",
    "concurrency-step",
    "concurrency-step-duration",
    "concurrency-max-duration",
    "enable-compression",
    "max-recv-message-size",
    "max-send-message-size",
    "output",
    "lb-strategy",
    "keepalive",
    "cpus",
    "name",
    "tags",
    "debug",
    "connect-timeout",
    "concurrency-schedule",
    "duration-stop",
    "count-errors",
    "format",
];

/// Takes the keys of this file.
///
/// # Errors
/// One that asks for what loadgrid does not do.
pub(super) fn sift(fields: &mut Fields, lasts: bool, warnings: &mut Vec<String>) -> Result<(), Iter8Error> {
    for (key, instead) in REFUSED {
        let Some(value) = fields.take(key).filter(|value| !is_zero(value)) else { continue };
        // A file that Iter8 wrote holds ghz's defaults.
        let default = match key {
            "lb-strategy" => "pick_first",
            "concurrency-start" => "1",
            _ => "",
        };
        if text(&value).is_none_or(|text| text != default) {
            return Err(fields.error(key, instead));
        }
    }
    for key in IDLE {
        let Some(value) = fields.take(key).filter(|value| !is_zero(value)) else { continue };
        if (key, value.as_str()) != ("connect-timeout", Some("10s")) {
            warnings.push(format!("{}: without effect here", fields.at(key)));
        }
    }
    if let Some(schedule) = fields.filled("concurrency-schedule")?.filter(|schedule| schedule != "const") {
        let message =
            format!("'{schedule}': concurrency does not change during a load; let the rate change, with load-schedule");
        return Err(fields.error("concurrency-schedule", message));
    }
    if let Some(stop) = fields.filled("duration-stop")?
        && lasts
        && stop != "wait"
    {
        let at = fields.at("duration-stop");
        warnings.push(format!("{at}: calls in flight at the end are waited for, as with wait; none is cut off"));
    }
    if fields.boolean("count-errors")? == Some(false) {
        warnings.push(format!("{}: failed calls count in latencies all the same", fields.at("count-errors")));
    }
    match fields.filled("format")?.as_deref() {
        None | Some("summary") => Ok(()),
        Some(_) => Err(fields.error("format", "results go to the experiment's file: leave it out")),
    }
}
