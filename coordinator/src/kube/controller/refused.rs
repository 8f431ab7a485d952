//! What the API server said no to, for people: with the rule that is missing, or the definition.

use kube::runtime::watcher;

use crate::kube::client::refusal::{self, Ask};
use crate::kube::crd::INSTALL;
use crate::kube::resource::{GROUP, PLURAL};

/// Who gives the controller its rights.
const HINT: &str = "the chart's role of the coordinator has it (controller.enabled)";

/// A sentence without a full stop.
pub(super) fn explain(
    error: &kube::Error,
    verbs: &'static [&'static str],
    resource: &str,
    namespace: Option<&str>,
) -> String {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    refusal::explain(error, &Ask::new(verbs, group, plural, namespace).hint(HINT))
}

/// The same for a watch of LoadTests.
pub(super) fn of_watch(error: &watcher::Error, namespace: Option<&str>) -> String {
    of_any_watch(error, &format!("{PLURAL}.{GROUP}"), namespace, || {
        format!("this cluster has no LoadTests: install their definition with `{INSTALL}`")
    })
}

/// The same for a watch; `absent` says that there is no such kind.
pub(in crate::kube) fn of_any_watch(
    error: &watcher::Error,
    resource: &str,
    namespace: Option<&str>,
    absent: impl Fn() -> String,
) -> String {
    let verbs = &["get", "list", "watch"];
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match refusal::code(error) {
            Some(404) => absent(),
            _ => explain(error, verbs, resource, namespace),
        },
        watcher::Error::WatchError(status) => {
            refusal::refused(status, &Ask::new(verbs, group, plural, namespace).hint(HINT))
        }
        watcher::Error::NoResourceVersion => format!("the API server has no watch for {resource}"),
    }
}
