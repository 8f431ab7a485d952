//! One HTTP exchange outside the load: a document, a query, a notification. It measures nothing, and knows nothing of
//! what the answer is for.

mod outward;
mod secured;

use std::time::Duration;

use loadgrid_worker::client::secure::{Tls, handshake_error};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, TcpConnector};
use ureq::{Agent, Proxy, ProxyProtocol, http};
use url::Url;

use self::outward::Outward;
pub use self::outward::refuse_loopback;
use self::secured::Secured;
use crate::spec::units::show_ns;

/// The largest document that is fetched.
pub const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);
const DOCUMENT_REDIRECTS: u32 = 5;

/// An exchange to make.
#[derive(Clone)]
pub struct Fetch {
    /// `http://…` or `https://…`, with the query.
    pub url: String,
    pub method: String,
    pub headers: Vec<(String, String)>,
    /// Announced as JSON where it is, unless a header says what it is.
    pub body: Option<Vec<u8>>,
    /// Of the whole exchange: lookup, connection, redirects and body.
    pub timeout: Duration,
    /// More of a body is an error.
    pub bytes_max: u64,
    /// How many redirects are followed; with 0 a redirect is an answer like any other.
    pub redirects: u32,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are heeded, as loads never do. SOCKS is not
    /// spoken: such a proxy is as good as none.
    pub proxies: bool,
    /// For every `https://` connection of the exchange.
    pub tls: Tls,
}

impl Fetch {
    /// A GET with the bounds of a document, which follows no redirect.
    pub fn get(url: impl Into<String>) -> Self {
        Fetch {
            url: url.into(),
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: None,
            timeout: DOCUMENT_TIMEOUT,
            bytes_max: DOCUMENT_BYTES_MAX,
            redirects: 0,
            proxies: true,
            tls: Tls::default(),
        }
    }
}

/// What came back, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    pub content_type: Option<String>,
    /// Where a redirect that was not followed points to.
    pub location: Option<String>,
    pub body: Vec<u8>,
}

impl Fetched {
    /// Whether the status is one of success: 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// `status 404`, or where a redirect points to.
    pub fn status_text(&self) -> String {
        match &self.location {
            Some(to) => format!("status {}, a redirect to {}", self.status, shown(to)),
            None => format!("status {}", self.status),
        }
    }
}

/// Makes the exchange; blocks up to its timeout. A status of failure is no error here.
///
/// # Errors
/// A sentence: the URL without user and query, and why there is no answer.
pub fn fetch(fetch: &Fetch) -> Result<Fetched, String> {
    let url = parsed(&fetch.url)?;
    exchange(fetch, &url).map_err(|why| format!("{}: {why}", shown(&fetch.url)))
}

/// As [`fetch()`], off the runtime's thread.
///
/// # Errors
/// As [`fetch()`].
pub async fn fetch_async(wanted: Fetch) -> Result<Fetched, String> {
    off_thread(move || fetch(&wanted)).await
}

/// The answer without its body, which may be long in coming and is not waited for. Blocks.
///
/// # Errors
/// Why there is no answer, for callers that name the URL in their own way.
pub fn status(fetch: &Fetch) -> Result<Fetched, String> {
    respond(fetch, &parsed(&fetch.url)?).map(|answer| head(&answer))
}

/// A document of at most 16 MiB within 30 s, over at most 5 redirects; blocks. A page with any status but success is
/// an error, not a document.
///
/// # Errors
/// A sentence: the URL without user and query, and why there is no document.
pub fn get_once(url: &str) -> Result<Vec<u8>, String> {
    let answer = fetch(&Fetch { redirects: DOCUMENT_REDIRECTS, ..Fetch::get(url) })?;
    if answer.is_success() {
        return Ok(answer.body);
    }
    Err(format!("{}: {}, not a document", shown(url), answer.status_text()))
}

/// As [`get_once`], off the runtime's thread.
///
/// # Errors
/// As [`get_once`].
pub async fn get_once_async(url: String) -> Result<Vec<u8>, String> {
    off_thread(move || get_once(&url)).await
}

/// Runs what blocks where it may.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(_) => Err("the program is ending".to_owned()),
    }
}

/// A URL for people: without user, password, query and fragment, which is where secrets are.
pub fn shown(url: &str) -> String {
    if let Ok(mut url) = Url::parse(url)
        && url.has_host()
    {
        // Refused only by URLs that have no host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        return url.to_string();
    }
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let bare = url.get(..end).unwrap_or_default();
    match bare.rsplit_once('@') {
        Some((_, behind)) => format!("…@{behind}"),
        None => bare.to_owned(),
    }
}

/// Scheme, host and port of a URL: for those whose path is a secret, as webhooks' are.
pub fn shown_origin(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) if url.has_host() => format!("{}/…", url.origin().ascii_serialization()),
        _ => "the URL".to_owned(),
    }
}

/// A URL that can be fetched.
///
/// # Errors
/// What to write instead.
pub fn parsed(url: &str) -> Result<Url, String> {
    let parsed = Url::parse(url)
        .map_err(|error| format!("'{}' is no URL ({error}): write http://HOST/… or https://HOST/…", shown(url)))?;
    match parsed.scheme() {
        "http" | "https" => Ok(parsed),
        scheme => Err(format!("'{}' can't be fetched over {scheme}: write http:// or https://", shown(url))),
    }
}

fn exchange(fetch: &Fetch, url: &Url) -> Result<Fetched, String> {
    let mut answer = respond(fetch, url)?;
    // A limit that is reached exactly is not passed.
    let limit = fetch.bytes_max.saturating_add(1);
    let body = answer.body_mut().with_config().limit(limit).read_to_vec().map_err(|error| why(&error, fetch))?;
    if body.len() as u64 > fetch.bytes_max {
        return Err(too_large(fetch));
    }
    Ok(Fetched { body, ..head(&answer) })
}

fn head(answer: &http::Response<ureq::Body>) -> Fetched {
    let status = answer.status();
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Fetched {
        status: status.as_u16(),
        content_type: header(http::header::CONTENT_TYPE),
        location: header(http::header::LOCATION).filter(|_| status.is_redirection()),
        body: Vec::new(),
    }
}

fn respond(fetch: &Fetch, url: &Url) -> Result<http::Response<ureq::Body>, String> {
    let mut request = http::Request::builder().method(fetch.method.as_bytes()).uri(url.as_str());
    for (name, value) in &fetch.headers {
        request = request.header(name, value);
    }
    // Many servers refuse JSON that does not say what it is.
    let is_json = |body: &Vec<u8>| serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    let is_typed = fetch.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !is_typed && fetch.body.as_ref().is_some_and(is_json) {
        request = request.header(http::header::CONTENT_TYPE, "application/json");
    }
    let agent = agent(fetch);
    let wrong = |error: http::Error| format!("the request can't be sent ({error})");
    let answer = match &fetch.body {
        Some(body) => agent.run(request.body(body.as_slice()).map_err(wrong)?),
        None => agent.run(request.body(()).map_err(wrong)?),
    };
    answer.map_err(|error| why(&error, fetch))
}

fn agent(fetch: &Fetch) -> Agent {
    let usable =
        |proxy: &Proxy| fetch.proxies && matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https);
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(fetch.timeout))
        .max_redirects(fetch.redirects)
        .max_idle_connections(0)
        .proxy(Proxy::try_from_env().filter(usable))
        .user_agent(concat!("loadgrid/", env!("CARGO_PKG_VERSION")));
    let connector =
        ().chain(ConnectProxyConnector::default()).chain(TcpConnector::default()).chain(Secured::new(&fetch.tls));
    Agent::with_parts(config.build(), connector, Outward::default())
}

/// What went wrong, without the URL: ureq's own texts may hold it.
fn why(error: &ureq::Error, fetch: &Fetch) -> String {
    use ureq::Error as Wrong;
    match error {
        Wrong::Timeout(_) => format!("no answer within {}", show_ns(fetch.timeout.as_nanos() as f64)),
        Wrong::BodyExceedsLimit(_) => too_large(fetch),
        Wrong::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            handshake_error(error).1
        }
        Wrong::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        Wrong::Io(error) => error.to_string(),
        Wrong::Http(error) => format!("the request can't be sent ({error})"),
        Wrong::Protocol(error) => format!("its answer is not HTTP ({error})"),
        Wrong::TooManyRedirects => format!("it redirects more than {} times", fetch.redirects),
        Wrong::RedirectFailed => "it redirects a request with a body: write the URL that it redirects to".to_owned(),
        Wrong::BadUri(_) => "it redirects to what is no URL".to_owned(),
        Wrong::HostNotFound => "the host has no address".to_owned(),
        Wrong::InvalidProxyUrl => "the environment names a proxy that can't be used".to_owned(),
        _ => "the exchange failed".to_owned(),
    }
}

fn too_large(fetch: &Fetch) -> String {
    format!("its answer is larger than {} bytes", fetch.bytes_max)
}

#[cfg(test)]
mod tests;
