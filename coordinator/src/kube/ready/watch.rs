//! Watching what a condition is about, as one sequence of looks: a listing, then each change; listed again where the
//! server has forgotten where it was. What makes an object ready is not known here.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::time::sleep;
use tokio_stream::{StreamExt, StreamMap};

use super::Condition;
use super::kind::{self, Kind, Unknown, VERBS};
use crate::kube::client::refusal::{Ask, code, explain, refused};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type Events = Pin<Box<dyn Stream<Item = watcher::Result<Event<DynamicObject>>> + Send>>;

/// What there is at an instant.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// The object itself.
    pub object: Option<DynamicObject>,
    /// What belongs to it: the EndpointSlices of a Service.
    pub parts: Vec<DynamicObject>,
}

pub(super) enum Look {
    Seen(Box<Seen>),
    /// Not to be seen at present, and why.
    Failed(String),
    /// Waiting does not help.
    Refused(String),
}

/// What is watched.
pub(super) struct Watch {
    client: Client,
    condition: Condition,
    namespace: String,
    sources: Vec<Source>,
    events: StreamMap<usize, Events>,
    /// Before the server is asked for the kind again.
    pause: Pauses,
}

/// One kind of objects.
struct Source {
    kind: Kind,
    ask: Ask,
    objects: BTreeMap<String, DynamicObject>,
    /// What a listing has brought that has not ended yet.
    listing: BTreeMap<String, DynamicObject>,
    listed: bool,
}

impl Watch {
    /// # Errors
    /// A sentence: an apiVersion that is none.
    pub fn new(client: Client, condition: &Condition, namespace: &str) -> Result<Watch, String> {
        if let Condition::Object { api_version, .. } = condition {
            kind::group_version(api_version)?;
        }
        let mut watch = Watch {
            client,
            condition: condition.clone(),
            namespace: namespace.to_owned(),
            sources: Vec::new(),
            events: StreamMap::new(),
            pause: Pauses::START,
        };
        if let Some(kind) = kind::known(condition) {
            watch.add_all(kind);
        }
        Ok(watch)
    }

    fn add_all(&mut self, kind: Kind) {
        let name = self.condition.name().to_owned();
        // By name, so that a rule for this object alone is enough.
        self.add(kind, watcher::Config::default().fields(&format!("metadata.name={name}")));
        if matches!(self.condition, Condition::Service { .. }) {
            let label = format!("kubernetes.io/service-name={name}");
            self.add(kind::slices(), watcher::Config::default().labels(&label));
        }
    }

    fn add(&mut self, kind: Kind, config: watcher::Config) {
        let resource = &kind.resource;
        let namespace = kind.namespaced.then_some(self.namespace.as_str());
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        let ask = Ask::new(VERBS, &resource.group, &resource.plural, namespace);
        self.events.insert(self.sources.len(), Box::pin(watcher(api, config).backoff(Pauses::START)));
        let (objects, listing) = (BTreeMap::new(), BTreeMap::new());
        self.sources.push(Source { kind, ask, objects, listing, listed: false });
    }

    /// The next look. It can be given up at any instant.
    pub async fn next(&mut self) -> Look {
        while self.sources.is_empty() {
            if let Err(look) = self.find().await {
                return look;
            }
        }
        loop {
            let Some((place, event)) = self.events.next().await else {
                // A watcher has no end.
                return Look::Refused("the watch has ended".to_owned());
            };
            let Some(source) = self.sources.get_mut(place) else { continue };
            let changed = match event {
                Ok(event) => source.apply(event),
                Err(error) => match source.failed(&error) {
                    Some(look) => return look,
                    None => continue,
                },
            };
            if changed && self.sources.iter().all(|source| source.listed) {
                return Look::Seen(Box::new(self.seen()));
            }
        }
    }

    /// Finds the kind of the object.
    async fn find(&mut self) -> Result<(), Look> {
        let Condition::Object { api_version, kind, .. } = &self.condition else { return Ok(()) };
        sleep(self.pause.0).await;
        self.pause.longer();
        match kind::discover(&self.client, api_version, kind).await {
            Ok(kind) => self.add_all(kind),
            Err(Unknown::Yet(why)) => return Err(Look::Failed(why)),
            Err(Unknown::Refused(why)) => return Err(Look::Refused(why)),
        }
        Ok(())
    }

    fn seen(&self) -> Seen {
        let mut sources = self.sources.iter();
        let object = sources.next().and_then(|source| source.objects.get(self.condition.name())).cloned();
        Seen { object, parts: sources.flat_map(|source| source.objects.values().cloned()).collect() }
    }
}

impl Source {
    /// Takes in an event; says whether what there is may have changed.
    fn apply(&mut self, event: Event<DynamicObject>) -> bool {
        match event {
            Event::Init => self.listing.clear(),
            Event::InitApply(object) => {
                self.listing.insert(object.name_any(), object);
            }
            Event::InitDone => {
                self.objects = std::mem::take(&mut self.listing);
                self.listed = true;
                return true;
            }
            Event::Apply(object) => {
                self.objects.insert(object.name_any(), object);
                return true;
            }
            Event::Delete(object) => return self.objects.remove(&object.name_any()).is_some(),
        }
        false
    }

    /// What an error means; none where the watcher mends it by itself. It goes on after each of them, with pauses.
    fn failed(&self, error: &watcher::Error) -> Option<Look> {
        let (code, sentence) = match error {
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => (code(error), explain(error, &self.ask)),
            watcher::Error::WatchError(status) => (Some(status.code), refused(status, &self.ask)),
            watcher::Error::NoResourceVersion => {
                (None, format!("{} can't be watched: its listing has no version", self.ask.resource))
            }
        };
        match code {
            Some(410) => None,
            Some(401 | 403) => Some(Look::Refused(sentence)),
            Some(404) => Some(Look::Failed(kind::unserved(&self.kind.resource))),
            _ => Some(Look::Failed(sentence)),
        }
    }
}

/// From one pause after an error to the next.
struct Pauses(Duration);

impl Pauses {
    const START: Pauses = Pauses(Duration::ZERO);

    fn longer(&mut self) -> Duration {
        self.0 = (self.0 * 3 / 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.0
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.longer())
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        *self = Pauses::START;
    }
}
