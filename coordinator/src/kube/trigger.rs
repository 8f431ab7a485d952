//! Knative Services that LoadTests wait for: the newest ready revision of each, watched for as long as somebody asks.
//! What a revision sets off is not known here.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_of};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::controller::of_any_watch;

const GROUP: &str = "serving.knative.dev";

/// What is known of a Knative Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    Unknown,
    /// No revision has become ready; why.
    Waiting(String),
    /// The newest revision that has become ready, as [`revision`] says it.
    Revision(String),
}

/// The Knative Services of all namespaces in which somebody asks for one.
pub struct Triggers {
    client: Client,
    changed: watch::Sender<u64>,
    spaces: Mutex<HashMap<String, Space>>,
}

/// A namespace.
struct Space {
    seen: Arc<Mutex<Seen>>,
    /// Who asks, by uid.
    asking: HashSet<String>,
    task: JoinHandle<()>,
}

impl Drop for Space {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct Seen {
    /// Whether all that there were have been seen.
    listed: bool,
    services: HashMap<String, State>,
    /// Those of a list that is not at its end.
    coming: HashMap<String, State>,
    /// Why nothing is seen.
    trouble: Option<String>,
}

impl Triggers {
    pub fn new(client: Client) -> Self {
        Triggers { client, changed: watch::Sender::new(0), spaces: Mutex::default() }
    }

    /// Changes whenever a state has.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The state of a Service, for the LoadTest with this uid. Its namespace is watched from now on.
    pub fn state(&self, uid: &str, namespace: &str, service: &str) -> State {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let space = spaces.entry(namespace.to_owned()).or_insert_with(|| self.watch(namespace));
        space.asking.insert(uid.to_owned());
        let seen = space.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match (&seen.trouble, seen.services.get(service)) {
            (Some(trouble), None) => State::Waiting(trouble.clone()),
            (_, Some(state)) => state.clone(),
            (None, None) if seen.listed => {
                State::Waiting(format!("there is none of that name in namespace {namespace}"))
            }
            (None, None) => State::Unknown,
        }
    }

    /// The LoadTest with this uid asks no more.
    pub fn forget(&self, uid: &str) {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        spaces.retain(|_, space| !space.asking.remove(uid) || !space.asking.is_empty());
    }

    fn watch(&self, namespace: &str) -> Space {
        let seen = Arc::<Mutex<Seen>>::default();
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "Service"));
        let services: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        let (changed, into, namespace) = (self.changed.clone(), Arc::clone(&seen), namespace.to_owned());
        let task = tokio::spawn(async move {
            let mut events = std::pin::pin!(watch_of(services, watcher::Config::default()).default_backoff());
            while let Some(event) = events.next().await {
                let news = into.lock().unwrap_or_else(PoisonError::into_inner).take(event, &namespace);
                if news {
                    changed.send_modify(|count| *count += 1);
                }
            }
        });
        Space { seen, asking: HashSet::new(), task }
    }
}

impl Seen {
    /// Takes an event in, and says whether anything is different now.
    fn take(&mut self, event: watcher::Result<Event<DynamicObject>>, namespace: &str) -> bool {
        match event {
            Ok(Event::Init) => {
                self.coming.clear();
                false
            }
            Ok(Event::InitApply(service)) => {
                self.coming.insert(service.name_any(), state(&service));
                false
            }
            Ok(Event::InitDone) => {
                let all = std::mem::take(&mut self.coming);
                let news = !self.listed || self.trouble.is_some() || all != self.services;
                (self.listed, self.trouble, self.services) = (true, None, all);
                news
            }
            Ok(Event::Apply(service)) => {
                let state = state(&service);
                let news = self.services.get(&service.name_any()) != Some(&state);
                self.services.insert(service.name_any(), state);
                news
            }
            Ok(Event::Delete(service)) => self.services.remove(&service.name_any()).is_some(),
            // The watch begins anew, as it has to from time to time.
            Err(watcher::Error::WatchError(status)) if status.code == 410 => false,
            Err(error) => {
                let absent = || format!("this cluster has no Knative Services (services.{GROUP})");
                let trouble = Some(of_any_watch(&error, &format!("services.{GROUP}"), Some(namespace), absent));
                let news = self.trouble != trouble;
                self.trouble = trouble;
                news
            }
        }
    }
}

/// A revision's name with what tells its service from an earlier one of the same name, whose revisions were counted from 1
/// too.
fn revision(name: &str, service: &DynamicObject) -> String {
    let uid = service.uid().unwrap_or_default();
    match uid.split('-').next().filter(|part| !part.is_empty()) {
        Some(part) => format!("{name}@{part}"),
        None => name.to_owned(),
    }
}

fn state(service: &DynamicObject) -> State {
    let object = service;
    let service = &object.data;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let conditions = service.pointer("/status/conditions").and_then(Value::as_array);
    let condition = |kind: &str| conditions?.iter().find(|each| each.get("type").is_some_and(|is| is == kind));
    if let Some(revision) = text(service.pointer("/status/latestReadyRevisionName")) {
        // A revision is ready before requests come to it.
        match condition("RoutesReady").filter(|routes| routes.get("status").is_some_and(|status| status != "True")) {
            None => return State::Revision(self::revision(&revision, object)),
            Some(routes) => {
                let why = text(routes.get("message")).or_else(|| text(routes.get("reason"))).unwrap_or_default();
                return State::Waiting(format!("revision {revision} is ready, and its route is not: {why}"));
            }
        }
    }
    let told = condition("Ready").and_then(|ready| text(ready.get("message")).or_else(|| text(ready.get("reason"))));
    State::Waiting(told.unwrap_or_else(|| "none has become ready yet".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(name: &str, status: Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "apps"}, "status": status
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_ready_revision_counts_even_while_a_newer_one_is_not() {
        let failing = json!([{"type": "Ready", "status": "False", "reason": "RevisionMissing", "message": "no image"}]);
        let both = json!({"latestCreatedRevisionName": "a-2", "latestReadyRevisionName": "a-1", "conditions": failing});
        assert_eq!(state(&service("a", both)), State::Revision("a-1".to_owned()));
        let none = json!({"latestCreatedRevisionName": "a-1", "conditions": failing});
        assert_eq!(state(&service("a", none)), State::Waiting("no image".to_owned()));
        let routes = |status: &str| json!([{"type": "RoutesReady", "status": status, "message": "not yet migrated"}]);
        let routed = |status: &str| json!({"latestReadyRevisionName": "a-2", "conditions": routes(status)});
        assert_eq!(state(&service("a", routed("True"))), State::Revision("a-2".to_owned()));
        let State::Waiting(why) = state(&service("a", routed("Unknown"))) else { panic!() };
        assert!(why.contains("a-2") && why.contains("not yet migrated"), "{why}");
        let State::Waiting(why) = state(&service("a", json!({}))) else { panic!() };
        assert!(why.contains("none"), "{why}");
    }

    #[test]
    fn news_is_what_is_different() {
        let mut seen = Seen::default();
        let ready = |revision: &str| service("a", json!({"latestReadyRevisionName": revision}));
        let mut take = |event| seen.take(event, "apps");
        assert!(!take(Ok(Event::Init)));
        assert!(!take(Ok(Event::InitApply(ready("a-1")))));
        assert!(take(Ok(Event::InitDone)));
        assert!(!take(Ok(Event::Apply(ready("a-1")))));
        assert!(take(Ok(Event::Apply(ready("a-2")))));
        // A list after a broken watch without anything new.
        assert!(!take(Ok(Event::Init)));
        assert!(!take(Ok(Event::InitApply(ready("a-2")))));
        assert!(!take(Ok(Event::InitDone)));
        assert!(take(Ok(Event::Delete(ready("a-2")))));
        assert!(take(Err(watcher::Error::NoResourceVersion)));
        assert!(!take(Err(watcher::Error::NoResourceVersion)));
        assert!(seen.trouble.is_some());
    }
}
