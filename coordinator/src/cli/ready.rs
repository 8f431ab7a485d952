//! Before a load: what it waits for, in the cluster and on the network, and what the test takes from elsewhere.

use std::time::{Duration, Instant};

use loadgrid_worker::client::secure::Tls;
use url::Url;

use super::carry::{Prepared, Workers};
use super::{Failure, exit};
use crate::kube::client::Cluster;
use crate::kube::ready::{Condition, Met, Ready};
use crate::kube::{self, ksvc};
use crate::outside::fetch::{self, Fetch, off_thread};
use crate::outside::ready;
use crate::report::model;
use crate::spec::{self, LoadTest};

/// Everything that has to be there before the load: what the test fetches, and what it waits for. Once it was there,
/// the test needs it no more.
pub(super) async fn make_ready(prepared: &mut Prepared) -> Result<Vec<model::Ready>, Failure> {
    let Prepared { plan, workers, quiet, context, .. } = prepared;
    let (workers, context) = (&*workers, context.as_deref());
    let say = |text: &str| {
        if !*quiet {
            workers.say(text);
        }
    };
    let allowed = |host: &str, port: u16| match workers {
        Workers::Lent(attendance) => attendance.allowed(host, port),
        Workers::Embedded { .. } | Workers::Listen { .. } => Ok(()),
    };
    tokio::select! {
        done = whole(&mut plan.test, context, &say, &allowed) => done,
        () = workers.asked_to_end() => {
            Err(Failure { code: exit::INTERRUPTED, message: "interrupted before the load started".to_owned() })
        }
    }
}

async fn whole(
    test: &mut LoadTest,
    context: Option<&str>,
    say: &dyn Fn(&str),
    allowed: &dyn Fn(&str, u16) -> Result<(), String>,
) -> Result<Vec<model::Ready>, Failure> {
    let conditions = std::mem::take(&mut test.ready);
    let outside = async { ready::wait(&conditions, say).await.map_err(Failure::not_carried_out) };
    let objects = std::mem::take(&mut test.objects);
    let inside = async { in_cluster(&objects, context, say, allowed).await.map_err(Failure::not_carried_out) };
    let (waited, (mut all, found)) = tokio::try_join!(outside, inside)?;
    if let Some(url) = found {
        aim(test, &url).map_err(Failure::not_carried_out)?;
        for request in test.to_ksvc.iter().filter_map(|number| test.requests.get(*number)) {
            allowed(&request.host, request.port).map_err(Failure::usage)?;
        }
    }
    spec::complete::complete(test).await.map_err(|error| match error.elsewhere {
        true => Failure::not_carried_out(error),
        false => Failure::usage(error),
    })?;
    all.extend(waited.into_iter().map(row));
    Ok(all)
}

fn row(waited: ready::Waited) -> model::Ready {
    model::Ready { condition: waited.condition, waited: waited.waited_ns as f64 / 1e9, attempts: waited.attempts }
}

/// Waits for objects of the cluster and warms what of them is scaled to zero. Also where the Knative service is, if there
/// is one.
async fn in_cluster(
    objects: &[Ready],
    context: Option<&str>,
    say: &dyn Fn(&str),
    allowed: &dyn Fn(&str, u16) -> Result<(), String>,
) -> Result<(Vec<model::Ready>, Option<String>), String> {
    if objects.is_empty() {
        return Ok((Vec::new(), None));
    }
    let cluster = kube::client::cluster(context).await?;
    let met = kube::ready::wait(&cluster, objects, say).await?;
    let (mut rows, mut url) = (Vec::new(), None);
    for (object, Met { waited, found }) in objects.iter().zip(met) {
        rows.push(row(waited));
        if let Condition::Ksvc { name } = &object.condition {
            let found = found.map(|found| found.url);
            // Before anything is sent there.
            if let Some(at) = found.as_deref().and_then(|url| Url::parse(url).ok()) {
                let host = at.host_str().unwrap_or_default().trim_matches(['[', ']']);
                allowed(host, at.port_or_known_default().unwrap_or(80))?;
            }
            rows.extend(warm(&cluster, object, name, found.as_deref(), say).await?);
            url = found;
        }
    }
    Ok((rows, url))
}

/// Sends one request to a Knative service that has no pod, so that the load meets a running one. Its time is the cold
/// start: shown with what was waited for, and no part of the result.
async fn warm(
    cluster: &Cluster,
    object: &Ready,
    name: &str,
    url: Option<&str>,
    say: &dyn Fn(&str),
) -> Result<Option<model::Ready>, String> {
    let namespace = object.namespace.as_ref().unwrap_or(&cluster.namespace);
    let service = ksvc::ksvc(&cluster.client, namespace, name).await?;
    let Some(url) = url.filter(|_| service.scaled_to_zero == Some(true)) else { return Ok(None) };
    say(&format!("ksvc {namespace}/{name} is scaled to zero: it is warmed by one request"));
    let fetch = Fetch {
        timeout: Duration::from_nanos(object.timeout_ns),
        proxies: false,
        tls: Tls::default(),
        ..Fetch::get(url)
    };
    let begun = Instant::now();
    let answer = off_thread(move || fetch::status(&fetch)).await;
    let waited = begun.elapsed().as_secs_f64();
    let answer = answer.map_err(|why| format!("ksvc {namespace}/{name} can't be warmed: {url}: {why}"))?;
    say(&format!("ksvc {namespace}/{name} answered {} after a cold start of {waited:.2} s", answer.status));
    Ok(Some(model::Ready { condition: format!("cold start of ksvc {namespace}/{name}"), waited, attempts: 1 }))
}

/// Sends the requests that left it open to where the service says it is.
fn aim(test: &mut LoadTest, url: &str) -> Result<(), String> {
    let found =
        Url::parse(url).map_err(|error| format!("the service says it is at '{url}', which is no URL: {error}"))?;
    let host = found.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    for number in &test.to_ksvc {
        let (Some(request), Some(shown)) = (test.requests.get_mut(*number), test.urls.get_mut(*number)) else {
            continue;
        };
        request.host.clone_from(&host);
        request.port = found.port_or_known_default().unwrap_or(80);
        request.tls = match (found.scheme() == "https", request.tls.take()) {
            (true, tls) => Some(tls.unwrap_or_default()),
            (false, _) => None,
        };
        let path = shown.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| rest[at..].to_owned()));
        *shown = format!("{}{}", url.trim_end_matches('/'), path.unwrap_or_else(|| "/".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Draft, load};

    #[test]
    fn requests_follow_the_service_and_keep_their_paths() {
        let text = "apiVersion: loadgrid.dev/v1alpha1\nkind: LoadTest\nmetadata: {name: t}\nspec:\n  ready: [{ksvc: h}]\n  \
                    requests:\n    - {name: a, http: {}}\n    - {name: b, http: {url: '/x?y=1'}}\n    \
                    - {name: c, http: {url: 'http://other/'}}\n  load: {rate: 10/s, duration: 1s}\n";
        let mut test = load(Some(("t.yaml", text)), Draft::default()).unwrap();
        aim(&mut test, "https://h.shop.example.com").unwrap();
        assert_eq!(test.urls, ["https://h.shop.example.com/", "https://h.shop.example.com/x?y=1", "http://other/"]);
        assert_eq!((test.requests[1].host.as_str(), test.requests[1].port), ("h.shop.example.com", 443));
        assert_eq!(test.requests[1].target, "/x?y=1");
        assert!(test.requests[0].tls.is_some() && test.requests[2].tls.is_none());
        aim(&mut test, "http://127.0.0.1:8081").unwrap();
        assert_eq!((test.requests[0].host.as_str(), test.requests[0].port), ("127.0.0.1", 8081));
        assert!(test.requests[0].tls.is_none());
    }
}
