use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::kube::server::{Answer, Asked, Notes, client, forbidden, status};

const TARGET: &str = "hello.default.svc.cluster.local:80";

/// An API server with one lease at most, which keeps versions as the real one does.
#[derive(Clone, Default)]
struct Fake {
    lease: Notes<Option<Value>>,
    version: Notes<u64>,
    /// While it is set, nothing can be written.
    broken: Notes<bool>,
    written: Arc<Notify>,
}

impl Fake {
    fn leases(&self, holder: &str, times: Times) -> Leases {
        let fake = self.clone();
        Leases { times, ..Leases::new(client(move |asked| fake.answer(asked)), "ns", holder) }
    }

    fn write(&self, mut lease: Value) -> Answer {
        let version = self.version.with(|version| {
            *version += 1;
            *version
        });
        lease["metadata"]["resourceVersion"] = json!(version.to_string());
        self.lease.with(|kept| *kept = Some(lease.clone()));
        self.written.notify_one();
        Answer::Json(200, lease)
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let kept = self.lease.with(|lease| lease.clone());
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        if asked.method != "GET" && self.broken.with(|broken| *broken) {
            return status(500, "etcd is away");
        }
        match (asked.method.as_str(), kept) {
            ("GET", Some(kept)) => Answer::Json(200, kept),
            ("POST", None) => self.write(asked.body.clone()),
            ("POST", Some(_)) => status(409, "already exists"),
            ("PUT", Some(kept)) if version(&kept) == version(&asked.body) => self.write(asked.body.clone()),
            ("DELETE", Some(kept)) if asked.body["preconditions"]["resourceVersion"] == version(&kept) => {
                self.lease.with(Option::take);
                Answer::Json(200, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}))
            }
            (_, Some(_)) => status(409, "the object has been modified"),
            (_, None) => Answer::Json(
                404,
                json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound",
                    "message": "leases \"x\" not found", "details": {"kind": "leases"}}),
            ),
        }
    }

    fn holder(&self) -> Option<String> {
        self.lease.with(|lease| Some(lease.as_ref()?["spec"]["holderIdentity"].as_str()?.to_owned()))
    }
}

/// Renewals without end, and nothing that runs out.
const EAGER: Times =
    Times { duration: Duration::from_secs(3600), renewal: Duration::from_millis(1), retry: Duration::from_millis(1) };

async fn held(leases: &Leases, run: &str) -> Held {
    match leases.acquire(TARGET, run).await.expect("an answer") {
        Acquired::Held(held) => held,
        Acquired::HeldBy(other) => panic!("{other}"),
    }
}

async fn lost(held: &mut Held) -> String {
    timeout(Duration::from_secs(20), held.lost()).await.expect("it is lost")
}

async fn other(leases: &Leases, run: &str) -> HeldBy {
    match leases.acquire(TARGET, run).await.expect("an answer") {
        Acquired::Held(held) => panic!("{held:?}"),
        Acquired::HeldBy(other) => other,
    }
}

#[tokio::test]
async fn a_target_is_one_runs_at_a_time() {
    let fake = Fake::default();
    let (one, two) = (fake.leases("one", TIMES), fake.leases("two", TIMES));
    let first = held(&one, "01A").await;
    let refused = other(&two, "01B").await;
    assert_eq!((refused.holder.as_str(), refused.run.as_str()), ("one", "01A"));
    assert_eq!(refused.retry_after, TIMES.duration);
    assert!(refused.to_string().starts_with("it is under test by run 01A of one since 20"), "{refused}");
    assert_eq!(other(&one, "01C").await.run, "01A", "two runs of one coordinator, too");
    let annotations = fake.lease.with(|lease| lease.as_ref().expect("a lease")["metadata"]["annotations"].clone());
    assert_eq!(annotations, json!({"loadgrid.dev/target": TARGET, "loadgrid.dev/run": "01A"}));
    first.release().await;
    assert_eq!(fake.holder(), None);
    let second = held(&two, "01B").await;
    assert_eq!(fake.holder().as_deref(), Some("two"));
    second.release().await;
}

#[tokio::test]
async fn dropping_gives_it_back() {
    let fake = Fake::default();
    let leases = fake.leases("one", TIMES);
    drop(held(&leases, "01A").await);
    while fake.holder().is_some() || !leases.known().own.is_empty() {
        tokio::task::yield_now().await;
    }
    held(&leases, "01B").await.release().await;
}

#[tokio::test]
async fn it_is_renewed_also_when_others_write_beside_the_term() {
    let fake = Fake::default();
    let held = held(&fake.leases("one", EAGER), "01A").await;
    let renewed = || fake.lease.with(|lease| lease.as_ref().expect("a lease")["spec"]["renewTime"].clone());
    for _ in 0..3 {
        let before = renewed();
        fake.lease.with(|lease| {
            // What kubectl label does.
            lease.as_mut().expect("a lease")["metadata"]["resourceVersion"] = json!("of another");
        });
        while renewed() == before {
            fake.written.notified().await;
        }
    }
    held.release().await;
    assert_eq!(fake.holder(), None);
}

#[tokio::test]
async fn one_that_was_taken_away_is_lost() {
    let fake = Fake::default();
    let mut first = held(&fake.leases("one", EAGER), "01A").await;
    let mut taken = fake.lease.with(|lease| lease.clone()).expect("a lease");
    taken["spec"]["holderIdentity"] = json!("two");
    taken["metadata"]["annotations"]["loadgrid.dev/run"] = json!("01B");
    fake.write(taken);
    let why = lost(&mut first).await;
    assert!(why.ends_with("was taken by run 01B of two"), "{why}");
    first.release().await;
    assert_eq!(fake.holder().as_deref(), Some("two"), "another's is not given back");
    let mut second = held(&Fake::default().leases("one", EAGER), "01A").await;
    drop(fake);
    let fake = Fake::default();
    let mut third = held(&fake.leases("one", EAGER), "01A").await;
    fake.lease.with(Option::take);
    assert!(lost(&mut third).await.ends_with("was deleted"));
    tokio::select! {
        biased;
        why = second.lost() => panic!("{why}"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn one_that_cannot_be_renewed_is_lost_in_time() {
    let fake = Fake::default();
    let times = Times { duration: Duration::from_millis(300), ..EAGER };
    let mut held = held(&fake.leases("one", times), "01A").await;
    fake.broken.with(|broken| *broken = true);
    let why = lost(&mut held).await;
    assert!(why.contains("could not be renewed"), "{why}");
}

#[test]
fn one_runs_out_when_it_has_not_changed_for_its_duration() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let fake = Fake::default();
    let leases = fake.leases("two", TIMES);
    let mut lease = object::new("x", TARGET, "01A", "one", TIMES.duration);
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let left = |lease: &Lease, seconds| leases.other("x", lease, at(seconds)).map(|other| other.retry_after.as_secs());
    let whole = TIMES.duration.as_secs();
    assert_eq!(left(&lease, 0), Some(whole));
    assert_eq!(left(&lease, 10), Some(whole - 10));
    lease = object::renewed(lease);
    assert_eq!(left(&lease, 14), Some(whole), "it was renewed");
    // Clocks that differ do not matter: only that it changes does.
    lease.spec.as_mut().expect("a spec").renew_time = None;
    assert_eq!(left(&lease, 20), Some(whole));
    assert_eq!(left(&lease, 19 + whole), Some(1));
    assert_eq!(left(&lease, 20 + whole), None);
    let own = object::taken(lease, TARGET, "01B", "two", TIMES.duration);
    assert_eq!(left(&own, 21 + whole), None, "of this coordinator before it was started again");
    assert_eq!(own.spec.as_ref().expect("a spec").lease_transitions, Some(1));
}

#[test]
fn a_duration_is_bounded_whatever_is_written() {
    let mut lease = object::new("x", TARGET, "01A", "one", Duration::ZERO);
    assert_eq!(Term::of(&lease).duration, Duration::from_secs(1));
    lease.spec.as_mut().expect("a spec").lease_duration_seconds = Some(i32::MAX);
    assert_eq!(Term::of(&lease).duration, Duration::from_secs(600));
    lease.spec = None;
    assert_eq!((Term::of(&lease).duration, Term::of(&lease).holder.as_str()), (TIMES.duration, ""));
}

#[tokio::test]
async fn refusals_are_told_and_leave_nothing_held() {
    let leases = Leases::new(client(|_| forbidden("get", "leases")), "ns", "one");
    let expected = "jo may not get leases.coordination.k8s.io in namespace ns: needs a rule with the verbs get, create, \
                    update, delete";
    for _ in 0..2 {
        assert_eq!(leases.acquire(TARGET, "01A").await.expect_err("refused"), expected);
    }
    let nowhere = |asked: &Asked| match asked.method.as_str() {
        "GET" => Answer::Json(
            404,
            json!({"kind": "Status", "code": 404, "reason": "NotFound", "details": {"kind": "leases"}}),
        ),
        _ => Answer::Json(
            404,
            json!({"kind": "Status", "code": 404, "message": "namespaces \"ns\" not found",
            "details": {"kind": "namespaces"}}),
        ),
    };
    let why = Leases::new(client(nowhere), "ns", "one").acquire(TARGET, "01A").await.expect_err("no namespace");
    assert!(why.contains("namespaces \"ns\" not found"), "{why}");
}

#[test]
fn names_are_labels_and_told_apart() {
    let name = name::of(TARGET);
    assert!(name.starts_with("loadgrid-hello-default-svc-cluster-local-80-"), "{name}");
    assert_eq!(name, name::of(&TARGET.to_uppercase()));
    let long = "a.".repeat(100);
    for target in [TARGET, "[::1]:80", "", "--", "ü:1", &long, &format!("{long}b")] {
        let name = name::of(target);
        assert!(name.len() <= 63, "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'), "{name}");
        assert!(!name.contains("--") && !name.ends_with('-'), "{name}");
    }
    assert_ne!(name::of(&long), name::of(&format!("{long}b")));
    assert_ne!(name::of("a.b:80"), name::of("a-b:80"));
}
