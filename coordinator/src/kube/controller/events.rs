//! What is worth an event: the steps from one status to the next, told once. Nobody is asked whether it was heard.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, Resource, ResourceExt};

use super::MANAGER;
use crate::kube::resource::{LoadTest, Phase, Status};

const CONTROLLER: &str = "loadgrid.dev/controller";

/// The API server takes no more, bytes.
const NOTE_MAX: usize = 1000;

/// An event, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub reason: &'static str,
    pub note: String,
    pub warning: bool,
}

/// The events between two statuses.
pub(super) fn between(before: &Status, now: &Status) -> Vec<Told> {
    let mut told = Vec::new();
    let mut tell = |reason, note: String, warning| told.push(Told { reason, note, warning });
    let message = now.message.as_deref().unwrap_or_default();
    let fresh = now.run.is_some() && before.run != now.run;
    let reached = |phase| now.phase == Some(phase) && (fresh || before.phase != Some(phase));
    let run = now.run.as_deref().unwrap_or_default();
    if fresh {
        let of = now.revision.as_ref().map(|revision| format!(" for revision {revision}")).unwrap_or_default();
        tell("Submitted", format!("run {run}{of}"), false);
    }
    if reached(Phase::Running) {
        tell("Started", format!("run {run}"), false);
    }
    let same_spec = before.observed_generation == now.observed_generation
        && (&before.revision, &before.revision_of) == (&now.revision, &now.revision_of);
    match now.phase {
        Some(Phase::Done) if reached(Phase::Done) => {
            let passed = now.conditions.iter().find(|condition| condition.kind == "Passed");
            let (reason, warning) = match passed.map(|passed| passed.reason.as_str()) {
                Some("Passed") => ("Passed", false),
                Some("Failed") => ("Failed", true),
                Some("Inconclusive") => ("Inconclusive", true),
                Some("Invalid") => ("Invalid", true),
                _ => ("NotCarriedOut", true),
            };
            tell(reason, format!("run {run}: {message}"), warning);
        }
        Some(Phase::Failed) if reached(Phase::Failed) || !same_spec => {
            let ready = now.conditions.iter().find(|condition| condition.kind == "Ready");
            let reason = match ready.map(|ready| ready.reason.as_str()) {
                Some("Refused") => "Refused",
                Some("BrokenOff") => "BrokenOff",
                _ => "NotCarriedOut",
            };
            tell(reason, message.to_owned(), true);
        }
        _ => {}
    }
    told
}

/// Tells of a LoadTest. What can't be told is logged, and no more.
pub(super) async fn tell(client: &Client, test: &LoadTest, told: &Told) {
    let namespace = test.namespace().unwrap_or_default();
    let now = Timestamp::now();
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{:x}", test.name_any(), now.as_nanosecond())),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        action: Some("Run".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(cut(&told.note)),
        reason: Some(told.reason.to_owned()),
        regarding: Some(regarding(test)),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(MANAGER.to_owned()),
        type_: Some(if told.warning { "Warning" } else { "Normal" }.to_owned()),
        ..Event::default()
    };
    let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
    if let Err(error) = events.create(&PostParams::default(), &event).await {
        let why = super::refused::explain(&error, &["create"], "events.events.k8s.io", Some(&namespace));
        tracing::warn!("LoadTest {namespace}/{}: no event {}: {why}", test.name_any(), told.reason);
    }
}

fn regarding(test: &LoadTest) -> ObjectReference {
    ObjectReference { uid: test.uid(), resource_version: test.resource_version(), ..test.object_ref(&()) }
}

fn cut(note: &str) -> String {
    if note.len() <= NOTE_MAX {
        return note.to_owned();
    }
    let mut end = NOTE_MAX;
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", note.get(..end).unwrap_or_default())
}
