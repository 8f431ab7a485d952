//! Requests without a host: they go to the Knative service that the test waits for. Where that is, the cluster says later;
//! until then it is where Knative puts a service.

use super::draft::{Draft, DraftRequest, Sourced};

/// The namespace of a test that says none.
const NAMESPACE: &str = "default";

/// Gives a URL to requests that have none, or only a path, in a test that waits for one Knative service.
pub(super) fn fill(draft: &mut Draft) {
    let mut services = draft.ready.iter().filter_map(|ready| Some((ready, ready.value.ksvc.as_ref()?)));
    let (Some((ready, name)), None, true) = (services.next(), services.next(), draft.versions.is_empty()) else {
        return;
    };
    let namespace = ready.value.namespace.as_ref().or(draft.namespace.as_ref());
    let namespace = namespace.map_or(NAMESPACE, |namespace| namespace.value.as_str());
    let origin = format!("http://{}.{namespace}.svc.cluster.local", name.value);
    let place = name.place.clone();
    draft.requests.iter_mut().for_each(|request| one(request, &origin, &place));
}

fn one(request: &mut DraftRequest, origin: &str, place: &super::Place) {
    if let Some(steps) = &mut request.steps {
        steps.value.iter_mut().for_each(|step| one(step, origin, place));
        return;
    }
    if request.grpc.is_some() {
        return;
    }
    let url = match &request.url {
        None => Sourced { value: format!("{origin}/"), place: request.place.clone().unwrap_or_else(|| place.clone()) },
        Some(url) if url.value.starts_with('/') => {
            Sourced { value: format!("{origin}{}", url.value), place: url.place.clone() }
        }
        Some(_) => return,
    };
    request.url = Some(url);
    request.to_ksvc = true;
}

#[cfg(test)]
mod tests {
    use crate::spec::{Draft, load};

    fn test(ready: &str, request: &str) -> String {
        format!(
            "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {{name: t, namespace: shop}}\nspec:\n  ready: [{ready}]\n  \
             requests:\n    - {request}\n  load: {{rate: 10/s, duration: 1s}}\n"
        )
    }

    fn urls(ready: &str, request: &str) -> Result<(Vec<String>, Vec<usize>), String> {
        let text = test(ready, request);
        let test = load(Some(("t.yaml", &text)), Draft::default()).map_err(|error| error.to_string())?;
        Ok((test.urls, test.to_ksvc))
    }

    #[test]
    fn a_request_without_a_host_goes_to_the_service_that_is_waited_for() {
        let here = "http://hello.shop.svc.cluster.local";
        assert_eq!(urls("{ksvc: hello}", "http: {}").unwrap(), (vec![format!("{here}/")], vec![0]));
        assert_eq!(urls("{ksvc: hello}", "http: {url: /cart?id=1}").unwrap().0, [format!("{here}/cart?id=1")]);
        let other = urls("{ksvc: hello, namespace: other}", "http: {}").unwrap();
        assert_eq!(other.0, ["http://hello.other.svc.cluster.local/"]);
        let own = urls("{ksvc: hello}", "http: {url: 'http://elsewhere/'}").unwrap();
        assert_eq!(own, (vec!["http://elsewhere/".to_owned()], vec![]));
    }

    #[test]
    fn without_such_a_service_or_with_two_a_url_is_missing() {
        assert!(urls("{deploy: hello}", "http: {}").unwrap_err().contains("no url"));
        assert!(urls("{ksvc: a}, {ksvc: b}", "http: {}").unwrap_err().contains("no url"));
    }
}
