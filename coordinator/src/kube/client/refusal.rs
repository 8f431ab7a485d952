//! What an API server's refusal, or its silence, means for people. It does not know why something was asked.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use kube::client::AuthError;
use kube::core::Status;

/// Something that is asked of the API server, for the sentence about its refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What a rule has to allow for the whole of the work: `["get", "list", "watch"]`.
    pub verbs: &'static [&'static str],
    /// With its group, and its subresource: `services.serving.knative.dev`, `pods/portforward`.
    pub resource: String,
    /// None: in the cluster as a whole.
    pub namespace: Option<String>,
    /// Where the rule is to be had: `the chart's Role x has it`.
    pub hint: Option<String>,
}

/// A server that could not be spoken to.
#[derive(Debug)]
pub struct Unreachable {
    server: String,
    cause: Box<dyn StdError + Send + Sync>,
}

impl Ask {
    pub fn new(verbs: &'static [&'static str], group: &str, plural: &str, namespace: Option<&str>) -> Ask {
        let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        Ask { verbs, resource, namespace: namespace.map(str::to_owned), hint: None }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Ask {
        Ask { hint: Some(hint.into()), ..self }
    }
}

impl Unreachable {
    pub(super) fn new(server: &str, cause: Box<dyn StdError + Send + Sync>) -> Unreachable {
        Unreachable { server: server.to_owned(), cause }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = last(self.cause.as_ref());
        write!(out, "the API server {} can't be reached: {why}", self.server)?;
        let refused = chain(self.cause.as_ref()).any(|error| {
            error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
        });
        let mend = match () {
            () if refused => "is the cluster up, and this the right context?",
            () if why.contains("certificate") => "is it the cluster that the kubeconfig was made for?",
            () => return Ok(()),
        };
        write!(out, " ({mend})")
    }
}

impl StdError for Unreachable {}

/// What became of an ask, as a sentence without a full stop.
pub fn explain(error: &kube::Error, ask: &Ask) -> String {
    match error {
        kube::Error::Api(status) => refused(status, ask),
        kube::Error::Service(cause) => match cause.downcast_ref::<Unreachable>() {
            Some(unreachable) => unreachable.to_string(),
            None => format!("the API server can't be reached: {}", last(cause.as_ref())),
        },
        kube::Error::Auth(error) => credentials(error),
        kube::Error::SerdeError(error) => format!("{} can't be understood: {error}", ask.resource),
        other => format!("the API server's answer about {} can't be used: {}", ask.resource, last(other)),
    }
}

/// Why there are no credentials. What a command has written to its stdout is not shown: it may be a token.
pub(super) fn credentials(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecStart(error) => {
            format!("the command that the kubeconfig names for credentials can't be run: {error}; install it")
        }
        AuthError::AuthExecRun { out, .. } => {
            let said = one_line(&String::from_utf8_lossy(&out.stderr));
            format!("the command that the kubeconfig names for credentials failed ({}): {said}", out.status)
        }
        AuthError::AuthExecParse(_) => {
            "what the command that the kubeconfig names for credentials has printed is no ExecCredential".to_owned()
        }
        other => format!("no credentials for the API server: {}", last(other)),
    }
}

/// The code of an answer: 404.
pub fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// What a status that the server gave means.
pub fn refused(status: &Status, ask: &Ask) -> String {
    match status.code {
        401 => "the API server does not take these credentials (401): sign in again, or choose another context with \
                --context"
            .to_owned(),
        403 => forbidden(&status.message, ask),
        code => format!("the API server refuses {}: {} ({code})", ask.resource, one_line(&status.message)),
    }
}

fn forbidden(message: &str, ask: &Ask) -> String {
    // Quotas and admission refuse with the same code, and say why.
    let Some((user, verb)) = denied(message) else {
        return format!("the API server refuses {}: {} (403)", ask.resource, one_line(message));
    };
    let place = ask.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    let nobody = (user == "system:anonymous").then_some("the context gives no credentials that the API server takes");
    let hint = nobody.or(ask.hint.as_deref()).map(|hint| format!("; {hint}")).unwrap_or_default();
    let (verbs, resource) = (ask.verbs.join(", "), &ask.resource);
    let word = if ask.verbs.len() == 1 { "verb" } else { "verbs" };
    format!("{user} may not {verb} {resource}{place}: needs a rule with the {word} {verbs}{hint}")
}

/// Who may not do what, of `x is forbidden: User "u" cannot list resource "r" in …`.
fn denied(message: &str) -> Option<(&str, &str)> {
    let (_, from_user) = message.split_once("User \"")?;
    let (user, rest) = from_user.split_once('"')?;
    let verb = rest.strip_prefix(" cannot ")?.split_once(" resource ")?.0;
    Some((user, verb))
}

/// The innermost cause, which is what happened; with the words of the outer ones there would be three of each.
pub fn last(error: &(dyn StdError + 'static)) -> String {
    let io = chain(error).filter_map(|error| error.downcast_ref::<io::Error>()).last();
    if io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
        return "connection refused".to_owned();
    }
    one_line(&chain(error).last().map(ToString::to_string).unwrap_or_default())
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        // An io::Error shows what it holds as itself, and leaves it out of its sources.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        held.map(|held| held as &(dyn StdError + 'static)).or_else(move || error.source())
    })
}

/// Servers answer in pages, too.
pub fn one_line(text: &str) -> String {
    const MOST: usize = 400;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
