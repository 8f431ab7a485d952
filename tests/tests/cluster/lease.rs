//! Leases against a real API server.

use crate::common::Place;
use loadgrid::kube::lease::{Acquired, Held, HeldBy, Leases};
use serde_json::json;

const TARGET: &str = "hello.default.svc.cluster.local:80";

async fn held(leases: &Leases, run: &str) -> Held {
    match leases.acquire(TARGET, run).await.expect("an answer") {
        Acquired::Held(held) => held,
        Acquired::HeldBy(other) => panic!("{other}"),
    }
}

async fn other(leases: &Leases, run: &str) -> HeldBy {
    match leases.acquire(TARGET, run).await.expect("an answer") {
        Acquired::Held(held) => panic!("{held:?}"),
        Acquired::HeldBy(other) => other,
    }
}

/// As the chart has it.
fn rules() -> serde_json::Value {
    json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
        "verbs": ["get", "create", "update", "patch", "delete"]}])
}

#[tokio::test]
async fn one_of_many_has_it_and_the_next_after_it() {
    let Some(place) = Place::new("lease").await else { return };
    let user = place.user("coordinator", rules()).await;
    let mut contenders = tokio::task::JoinSet::new();
    for number in 0..8 {
        let leases = Leases::new(user.client.clone(), &place.namespace, &format!("c-{number}"));
        contenders.spawn(async move { (leases.clone(), leases.acquire(TARGET, &format!("run-{number}")).await) });
    }
    let (mut winner, mut losers) = (None, Vec::new());
    while let Some(done) = contenders.join_next().await {
        let (leases, acquired) = done.expect("no panic");
        match acquired.expect("an answer") {
            Acquired::Held(held) => assert!(winner.replace((leases, held)).is_none(), "two have it"),
            Acquired::HeldBy(by) => losers.push((leases, by)),
        }
    }
    let (_, held_by_winner) = winner.expect("one has it");
    assert_eq!(losers.len(), 7);
    let runs: std::collections::BTreeSet<String> = losers.iter().map(|(_, by)| by.run.clone()).collect();
    assert_eq!(runs.len(), 1, "all are told the same: {runs:?}");
    held_by_winner.release().await;
    let next = held(&losers[0].0, "next").await;
    assert_eq!(other(&losers[1].0, "x").await.run, "next");
    next.release().await;
    let gone = kube::Api::<k8s_openapi::api::coordination::v1::Lease>::namespaced(
        place.admin.client.clone(),
        &place.namespace,
    );
    assert!(gone.list(&Default::default()).await.expect("a listing").items.is_empty(), "what is given back is gone");
}

#[tokio::test]
async fn one_that_is_not_renewed_is_taken_over_whatever_the_clock_says() {
    let Some(place) = Place::new("expired").await else { return };
    let (dead, next) = ("dead", "next");
    let leases = |holder| Leases::new(place.admin.client.clone(), &place.namespace, holder);
    let first = held(&leases(dead), "01A").await;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": first.name()}});
    // Its process ends here, as far as the server knows: another's hand, and a clock that is far ahead.
    let spec = json!({"holderIdentity": "gone", "renewTime": "2099-01-01T00:00:00.000000Z", "leaseDurationSeconds": 1});
    place.patch(lease, json!({"spec": spec})).await;
    let next = leases(next);
    let by = other(&next, "01B").await;
    assert_eq!((by.holder.as_str(), by.run.as_str()), ("gone", "01A"));
    tokio::time::sleep(by.retry_after).await;
    let taken = held(&next, "01B").await;
    let mut first = first;
    let why = first.lost().await;
    assert!(why.contains("was taken by run 01B of next") || why.contains("of gone"), "{why}");
    taken.release().await;
}

#[tokio::test]
async fn it_is_renewed_for_as_long_as_it_is_held() {
    let Some(place) = Place::new("renewed").await else { return };
    let leases = Leases::new(place.admin.client.clone(), &place.namespace, "one");
    let first = held(&leases, "01A").await;
    let api = kube::Api::<k8s_openapi::api::coordination::v1::Lease>::namespaced(
        place.admin.client.clone(),
        &place.namespace,
    );
    let renewed = || async { api.get(first.name()).await.expect("a lease").spec.expect("a spec").renew_time };
    let before = renewed().await;
    let second = Leases::new(place.admin.client.clone(), &place.namespace, "two");
    let mut tries = 0;
    // A renewal is due after 5 s; the other looks as a queue does.
    while renewed().await == before {
        let by = other(&second, "01B").await;
        assert_eq!(by.run, "01A");
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        tries += 1;
        assert!(tries < 120, "it is not renewed");
    }
    // The same coordinator, started again, has what it had.
    let again = Leases::new(place.admin.client.clone(), &place.namespace, "one");
    let mut first = first;
    let second_life = held(&again, "01C").await;
    assert!(first.lost().await.contains("was taken by run 01C of one"));
    first.release().await;
    assert_eq!(other(&second, "01B").await.run, "01C", "the first life gives nothing back that is not its own");
    second_life.release().await;
}

#[tokio::test]
async fn rules_are_named() {
    let Some(place) = Place::new("norules").await else { return };
    let user = place.user("nobody", json!([])).await;
    let leases = Leases::new(user.client.clone(), &place.namespace, "one");
    let why = leases.acquire(TARGET, "01A").await.expect_err("refused");
    let namespace = &place.namespace;
    let expected = format!(
        "nobody may not get leases.coordination.k8s.io in namespace {namespace}: needs a rule with the \
                            verbs get, create, update, delete"
    );
    assert_eq!(why, expected);
    let nowhere = Leases::new(place.admin.client.clone(), "no-such-namespace", "one");
    let why = nowhere.acquire(TARGET, "01A").await.expect_err("no namespace");
    assert!(why.contains("namespaces \"no-such-namespace\" not found"), "{why}");
}
