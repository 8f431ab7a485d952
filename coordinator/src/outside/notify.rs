//! Notifications: a text made of a report, sent once over HTTP. When one is due, and what its failure means for a run,
//! is not known here.

use serde_json::Value;
use tera::{Context, ErrorKind, Kwargs, State, Tera};

use super::fetch::{self, Fetch, off_thread, parsed, shown_origin};
use super::gotemplate;

/// The name that tera knows a template by.
const TEMPLATE: &str = "template";

/// A notification, with secrets resolved and its text made.
#[derive(Clone, PartialEq, Eq)]
pub struct Notice {
    pub url: String,
    pub method: String,
    pub headers: Vec<(String, String)>,
    /// Added to the URL's query.
    pub params: Vec<(String, String)>,
    pub body: Option<String>,
}

/// Fills in loadgrid's own template: tera's language over the JSON report, whose keys are variables. `json_encode`
/// makes JSON of a value, and nothing is escaped otherwise.
///
/// # Errors
/// A sentence: line and column of the template, and what is wrong there.
pub fn own_body(template: &str, report: &Value) -> Result<String, String> {
    let wrong = |error: tera::Error| tera_error(&error);
    let mut tera = Tera::default();
    tera.autoescape_on(Vec::<&str>::new());
    tera.register_filter("json_encode", json_encode);
    tera.add_raw_template(TEMPLATE, template).map_err(wrong)?;
    let context = Context::from_serialize(report).map_err(wrong)?;
    tera.render(TEMPLATE, &context).map_err(wrong)
}

/// Whether a template of loadgrid's own can be read at all.
///
/// # Errors
/// As [`own_body`].
pub fn check_own(template: &str) -> Result<(), String> {
    let mut tera = Tera::default();
    tera.register_filter("json_encode", json_encode);
    tera.add_raw_template(TEMPLATE, template).map_err(|error| tera_error(&error))
}

/// Fills in a template of Iter8's `notify` task: Go's language with the report under `.Report`.
///
/// # Errors
/// As [`gotemplate::render`].
pub fn iter8_body(template: &str, report: &Value) -> Result<String, String> {
    gotemplate::render(template, &serde_json::json!({"Report": report}))
}

/// Sends a notification, within 30 s. Redirects are not followed: what is behind one would get the headers too.
///
/// # Errors
/// A sentence without the URL's path and query, which are secrets where webhooks are: no answer, or a status other
/// than success.
pub async fn send(notice: &Notice) -> Result<(), String> {
    let origin = shown_origin(&notice.url);
    let wrong = |_| format!("{origin} can't be notified: write http://HOST/… or https://HOST/…");
    let mut url = parsed(&notice.url).map_err(wrong)?;
    for (name, value) in &notice.params {
        url.query_pairs_mut().append_pair(name, value);
    }
    let exchange = Fetch {
        method: notice.method.clone(),
        headers: notice.headers.clone(),
        body: notice.body.clone().map(String::into_bytes),
        ..Fetch::get(url)
    };
    let answer = off_thread(move || fetch::status(&exchange)).await;
    let answer = answer.map_err(|why| format!("{origin}: {why}"))?;
    if answer.is_success() {
        return Ok(());
    }
    let redirect = if answer.location.is_some() { ", a redirect, which is not followed" } else { "" };
    Err(format!("{origin}: status {}{redirect}", answer.status))
}

fn json_encode(value: tera::Value, _: Kwargs, _: &State) -> tera::TeraResult<String> {
    serde_json::to_string(&value).map_err(|error| tera::Error::message(error.to_string()))
}

fn tera_error(error: &tera::Error) -> String {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
            let (line, column) = (report.span().start_line, report.span().start_col + 1);
            format!("{line}:{column}: {}", report.message())
        }
        other => first_of(&other.to_string()),
    }
}

/// The first of the mistakes that tera found together, which it draws over several lines.
fn first_of(drawn: &str) -> String {
    let what = drawn.lines().next().unwrap_or_default().trim_start_matches("error: ");
    let place = drawn.lines().find_map(|line| line.trim().strip_prefix("--> template:"));
    place.map_or(what.to_owned(), |place| format!("{place}: {what}"))
}

#[cfg(test)]
mod tests;
