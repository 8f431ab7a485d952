//! What S3's and the network's errors mean, in sentences. Only codes, statuses and the reasons of the operating system
//! are taken from them: their own texts hold URLs, and some of those hold secrets.

use object_store::client::HttpError;
use object_store::path;
use url::Url;

use super::super::error::{Cause, Doing, Error};

/// Where it is, for people.
#[derive(Debug)]
pub(super) struct Explain {
    bucket: String,
    store: String,
    endpoint: String,
}

/// What is known of a failure.
#[derive(Debug, Default)]
struct Facts {
    /// S3's own word for it.
    code: Option<String>,
    status: Option<u16>,
    /// Why no answer came.
    unreached: Option<String>,
    /// It was not S3 that did not answer, but whoever gives credentials to machines.
    of_metadata: bool,
    /// A redirect that leads nowhere.
    bare_redirect: bool,
    /// An object's name that the library can't say, and so lists nothing.
    odd_name: Option<String>,
}

impl Explain {
    pub(super) fn new(bucket: &str, prefix: &str, endpoint: Option<&Url>) -> Self {
        let slash = if prefix.is_empty() { "" } else { "/" };
        let endpoint = endpoint.map_or("Amazon S3".to_owned(), |url| url.origin().ascii_serialization());
        Explain { bucket: bucket.to_owned(), store: format!("s3://{bucket}{slash}{prefix}"), endpoint }
    }

    pub(super) fn error(&self, doing: Doing, error: &object_store::Error) -> Error {
        self.sentence(doing, &facts(error))
    }

    fn sentence(&self, doing: Doing, facts: &Facts) -> Error {
        let Explain { store, endpoint, .. } = self;
        let done = doing.done();
        if facts.of_metadata {
            return Error::new(
                Cause::Denied,
                format!(
                    "there are no credentials for the store {store}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY \
                     (profiles in ~/.aws are not read)"
                ),
            );
        }
        if let Some(name) = &facts.odd_name {
            let text = format!(
                "the store {store} can't be {done} while an object there is named '{name}': remove that object"
            );
            return Error::new(Cause::Damaged, text);
        }
        if let Some(why) = &facts.unreached {
            let text = format!(
                "the store {store} can't be reached at {endpoint} ({why}): check AWS_ENDPOINT_URL and the network"
            );
            return Error::new(Cause::Unreachable, text);
        }
        self.answered(done, facts)
    }

    /// What the bucket's server said.
    fn answered(&self, done: &str, facts: &Facts) -> Error {
        let Explain { bucket, store, endpoint } = self;
        let code = facts.code.as_deref().unwrap_or_default();
        let saw = match (&facts.code, facts.status) {
            (Some(code), _) => code.clone(),
            (None, Some(status)) => format!("status {status}"),
            (None, None) => "it broke off".to_owned(),
        };
        let (cause, text) = match (code, facts.status) {
            ("NoSuchBucket", _) => (
                Cause::Usage,
                format!("there is no bucket '{bucket}' at {endpoint}: create it, or name another with --store"),
            ),
            (
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "ExpiredToken"
                | "InvalidToken"
                | "TokenRefreshRequired"
                | "InvalidClientTokenId"
                | "ExpiredTokenException",
                _,
            )
            | (_, Some(401)) => (
                Cause::Denied,
                format!(
                    "{endpoint} does not accept the credentials ({saw}): check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY \
                     and AWS_SESSION_TOKEN"
                ),
            ),
            ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "TemporaryRedirect", _) | (_, Some(301 | 307)) => (
                Cause::Usage,
                format!("the bucket '{bucket}' is in another region ({saw}): set AWS_REGION to the bucket's"),
            ),
            _ if facts.bare_redirect => {
                (Cause::Usage, format!("the bucket '{bucket}' is in another region: set AWS_REGION to the bucket's"))
            }
            (_, Some(403)) => (
                Cause::Denied,
                format!(
                    "the store {store} can't be {done} ({saw}): give the credentials s3:ListBucket, s3:GetObject, \
                     s3:PutObject and s3:DeleteObject there"
                ),
            ),
            (_, Some(507)) => return Error::full(store, &saw),
            _ if code.contains("StorageFull") || code.contains("QuotaExceeded") => return Error::full(store, &saw),
            _ => (
                Cause::Failed,
                format!(
                    "the store {store} can't be {done} ({saw} from {endpoint}): try again, or name another with --store"
                ),
            ),
        };
        Error::new(cause, text)
    }
}

/// Whether it is the object that is missing, and not its bucket.
pub(super) fn is_absent(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) && facts(error).code.as_deref() != Some("NoSuchBucket")
}

/// The library hides its own errors' parts; they are found in their texts.
fn facts(error: &object_store::Error) -> Facts {
    let mut facts = Facts::default();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let mut innermost = String::new();
    let mut transport = false;
    while let Some(error) = next {
        let text = error.to_string();
        transport |= error.is::<HttpError>();
        facts.odd_name = facts.odd_name.or_else(|| error.downcast_ref().and_then(odd_name));
        facts.of_metadata |= text.contains("169.254.169.254");
        facts.bare_redirect |= text.contains("redirect without LOCATION");
        facts.code = facts.code.or_else(|| code(&text));
        facts.status = facts.status.or_else(|| status(&text));
        next = error.source();
        innermost = text;
    }
    if transport && facts.status.is_none() {
        // Innermost are the operating system's and the TLS library's own reasons; a URL would be neither.
        facts.unreached = Some(if innermost.contains("://") { "no answer".to_owned() } else { innermost });
    }
    facts
}

fn odd_name(error: &path::Error) -> Option<String> {
    match error {
        path::Error::EmptySegment { path } | path::Error::BadSegment { path, .. } => {
            Some(path.escape_debug().to_string())
        }
        _ => None,
    }
}

/// `<Code>…</Code>` in an answer.
fn code(text: &str) -> Option<String> {
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    let is_word = !code.is_empty() && code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_word.then(|| code.to_owned())
}

fn status(text: &str) -> Option<u16> {
    text.split_once("status code: ")?.1.get(..3)?.parse().ok()
}
