//! Waiting until objects of the cluster are ready: each is watched, none is polled. What starts after them, and what
//! else a test waits for, is not known here.

mod judge;
mod kind;
mod watch;

use std::fmt;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::client::Cluster;
use crate::outside::ready::Waited;
use crate::spec::units::show_ns;
use judge::Judgement;
use watch::{Look, Watch};

/// The first look gets so much even where the condition's time is over before.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(2);

/// Pieces of news that have not been told yet.
const NEWS_MAX: usize = 64;

/// What has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Knative's Service: its present generation is `Ready`.
    Ksvc { name: String },
    /// A Deployment: `Available`, and all of its replicas are of the present generation.
    Deploy { name: String },
    /// A Service that has a ready endpoint, or is another name for a host.
    Service { name: String },
    /// KServe's InferenceService: `Ready`.
    Isvc { name: String },
    /// An object of any kind with a condition that is true: `{apiVersion: batch/v1, kind: Job, name: x}`, `Complete`.
    Object { api_version: String, kind: String, name: String, condition: String },
}

/// A condition, where, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    pub condition: Condition,
    /// None: the client's namespace.
    pub namespace: Option<String>,
    pub timeout_ns: u64,
}

/// A condition that has come to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub waited: Waited,
    /// Where a `ksvc` or an `isvc` says that it is served: in the cluster its local address, outside its URL.
    pub found: Option<Found>,
}

/// What an object says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub url: String,
}

impl Condition {
    pub fn name(&self) -> &str {
        match self {
            Condition::Ksvc { name }
            | Condition::Deploy { name }
            | Condition::Service { name }
            | Condition::Isvc { name }
            | Condition::Object { name, .. } => name,
        }
    }

    /// The word for its kind.
    fn word(&self) -> &str {
        match self {
            Condition::Ksvc { .. } => "ksvc",
            Condition::Deploy { .. } => "deploy",
            Condition::Service { .. } => "service",
            Condition::Isvc { .. } => "isvc",
            Condition::Object { kind, .. } => kind,
        }
    }
}

impl Ready {
    /// For people: `ksvc default/hello`.
    fn title(&self, cluster: &Cluster) -> String {
        let namespace = self.namespace.as_ref().unwrap_or(&cluster.namespace);
        format!("{} {namespace}/{}", self.condition.word(), self.condition.name())
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ", self.condition.word())?;
        if let Some(namespace) = &self.namespace {
            write!(out, "{namespace}/")?;
        }
        write!(out, "{} within {}", self.condition.name(), show_ns(self.timeout_ns as f64))
    }
}

/// Watches all objects at the same time until each has been ready once; answers in their order. `progress` hears what
/// is not ready yet whenever the reason changes, and what has become ready.
///
/// # Errors
/// A sentence, the first there is: an object whose time is over and what its conditions are, or that it is not there;
/// at once, a rule that is missing.
pub async fn wait(cluster: &Cluster, ready: &[Ready], mut progress: impl FnMut(&str)) -> Result<Vec<Met>, String> {
    let (news, mut heard) = mpsc::channel(NEWS_MAX);
    let mut watches = JoinSet::new();
    for (place, ready) in ready.iter().cloned().enumerate() {
        let (cluster, news) = (cluster.clone(), news.clone());
        watches.spawn(async move { (place, one(&cluster, &ready, &news).await) });
    }
    drop(news);
    let mut met: Vec<Option<Met>> = vec![None; ready.len()];
    loop {
        tokio::select! {
            biased;
            Some(line) = heard.recv() => progress(&line),
            done = watches.join_next() => match done {
                None => break,
                Some(Err(_)) => return Err("the program is ending".to_owned()),
                Some(Ok((place, done))) => {
                    if let Some(slot) = met.get_mut(place) {
                        *slot = Some(done?);
                    }
                }
            },
        }
    }
    // The last task may have told its news and ended between two looks.
    while let Ok(line) = heard.try_recv() {
        progress(&line);
    }
    Ok(met.into_iter().flatten().collect())
}

/// Waits for one.
async fn one(cluster: &Cluster, ready: &Ready, news: &mpsc::Sender<String>) -> Result<Met, String> {
    let start = Instant::now();
    let allowed = Duration::from_nanos(ready.timeout_ns);
    let title = ready.title(cluster);
    let namespace = ready.namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
    let mut watch = Watch::new(cluster.client.clone(), &ready.condition, &namespace)?;
    let (mut attempts, mut last, mut rest) = (0, String::new(), None);
    loop {
        let bound = if attempts == 0 { allowed.max(FIRST_LOOK_MAX) } else { allowed };
        let look = tokio::select! {
            biased;
            look = watch.next() => look,
            () = sleep_until(start + bound) => {
                let allowed = show_ns(ready.timeout_ns as f64);
                let last = if last.is_empty() { "no answer from the API server" } else { &last };
                let rest = rest.map(|rest| format!("; its other conditions: {rest}")).unwrap_or_default();
                return Err(format!("{title} was not ready in {allowed}: {last}{rest}"));
            }
        };
        attempts += 1;
        let judged = match look {
            Look::Seen(seen) => judge::judge(&ready.condition, &title, &seen, cluster.inside),
            Look::Failed(why) => Judgement::Not { why, rest: None },
            Look::Refused(why) => return Err(format!("{title}: {why}")),
        };
        match judged {
            Judgement::Ready { url } => {
                let waited_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                tell(news, format!("{title} is ready after {}", show_ns(waited_ns as f64))).await;
                let waited = Waited { condition: title, waited_ns, attempts };
                return Ok(Met { waited, found: url.map(|url| Found { url }) });
            }
            Judgement::Not { why, rest: others } => {
                rest = others;
                if why != last {
                    tell(news, format!("{title} is not ready yet: {why}")).await;
                    last = why;
                }
            }
        }
    }
}

async fn tell(news: &mpsc::Sender<String>, line: String) {
    // Nobody listens any more once another condition has failed.
    let _ = news.send(line).await;
}

#[cfg(test)]
mod tests;
