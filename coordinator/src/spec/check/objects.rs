//! Objects of a cluster that a draft waits for.

use super::{Checked, optional};
use crate::kube::ready::{Condition, Ready};
use crate::spec::draft::{Draft, DraftReady, Sourced};
use crate::spec::{SpecError, units};

const READY_TIMEOUT_NS: u64 = 60_000_000_000;

/// The condition of an object that does not say another.
const CONDITION: &str = "Ready";

/// Whether a condition is of an object in a cluster.
pub(super) fn is_one(ready: &DraftReady) -> bool {
    let service = ready.service.is_some() && ready.grpc_health.is_none() && ready.http.is_none() && ready.tcp.is_none();
    ready.ksvc.is_some() || ready.deploy.is_some() || ready.isvc.is_some() || ready.object.is_some() || service
}

pub(super) fn ready(written: &Sourced<DraftReady>, draft: &Draft) -> Checked<Ready> {
    let Sourced { value: ready, place } = written;
    let wrong = |message: &str| Err(SpecError::new(place.clone(), message));
    let others = [&ready.http, &ready.tcp, &ready.grpc_health, &ready.status].into_iter().flatten().next();
    if others.is_some() || ready.tls.is_some() {
        return wrong("one condition is either of the cluster (ksvc, deploy, service, isvc, object) or of the network");
    }
    let named = |name: &Sourced| match is_label(&name.value) {
        true => Ok(name.value.clone()),
        false => {
            let message = format!("'{}' is no name of an object: write small letters, digits, '-' and '.'", name.value);
            Err(SpecError::new(name.place.clone(), message))
        }
    };
    let condition = match (&ready.ksvc, &ready.deploy, &ready.service, &ready.isvc, &ready.object) {
        (Some(name), None, None, None, None) => Condition::Ksvc { name: named(name)? },
        (None, Some(name), None, None, None) => Condition::Deploy { name: named(name)? },
        (None, None, Some(name), None, None) => Condition::Service { name: named(name)? },
        (None, None, None, Some(name), None) => Condition::Isvc { name: named(name)? },
        (None, None, None, None, Some(object)) => Condition::Object {
            api_version: object.value.api_version.clone(),
            kind: object.value.kind.clone(),
            name: named(&Sourced { value: object.value.name.clone(), place: object.place.clone() })?,
            condition: ready.condition.as_ref().map_or(CONDITION, |condition| condition.value.as_str()).to_owned(),
        },
        _ => return wrong("a condition is of one object: write several conditions for several"),
    };
    if let (Some(condition), None) = (&ready.condition, &ready.object) {
        return Err(SpecError::new(condition.place.clone(), "condition belongs to object: {apiVersion, kind, name}"));
    }
    let namespace = ready.namespace.as_ref().or(draft.namespace.as_ref()).map(named).transpose()?;
    let timeout_ns = optional(&ready.timeout, units::duration_ns)?.unwrap_or(READY_TIMEOUT_NS);
    Ok(Ready { condition, namespace, timeout_ns })
}

/// RFC 1123, as names of objects are.
fn is_label(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| edge(c) || "-.".contains(c);
    !name.is_empty() && name.len() <= 253 && name.starts_with(edge) && name.ends_with(edge) && name.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use crate::spec::{Draft, load};

    fn objects(ready: &str) -> Result<Vec<String>, String> {
        let text = format!(
            "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: t}}\nspec:\n  ready:\n    - {ready}\n  \
             requests:\n    - http: {{url: 'http://h/'}}\n  load: {{rate: 10/s, duration: 1s}}\n"
        );
        let test = load(Some(("t.yaml", &text)), Draft::default()).map_err(|error| error.to_string())?;
        Ok(test.objects.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_kind_is_read() {
        for (written, shown) in [
            ("{ksvc: hello}", "ksvc hello within"),
            ("{ksvc: hello, namespace: shop, timeout: 5s}", "ksvc shop/hello within 5"),
            ("{deploy: api}", "deploy api"),
            ("{service: api}", "service api"),
            ("{isvc: model}", "isvc model"),
            ("{object: {apiVersion: batch/v1, kind: Job, name: j}, condition: Complete}", "Job j"),
        ] {
            let objects = objects(written).unwrap();
            assert!(objects.len() == 1 && objects[0].starts_with(shown), "{written}: {objects:?}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (written, part) in [
            ("{ksvc: Hello}", "no name of an object"),
            ("{ksvc: a, deploy: b}", "several conditions"),
            ("{ksvc: a, http: 'http://h/'}", "either of the cluster"),
            ("{ksvc: a, condition: Ready}", "belongs to object"),
            ("{tcp: 'h:1', namespace: x}", "objects of a cluster"),
            ("{object: {kind: Job, name: x}}", "apiVersion"),
        ] {
            let error = objects(written).unwrap_err();
            assert!(error.starts_with("t.yaml:") && error.contains(part), "{written}: {error}");
        }
    }
}
