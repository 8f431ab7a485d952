use super::*;
use crate::kube::controller::fake::{done, running};

const NOW: &str = "2026-11-24T19:01:00Z";
const LATER: &str = "2026-11-24T19:02:00Z";

fn of<'a>(before: &'a Status, now: &'a str) -> Of<'a> {
    Of { generation: 3, revision: None, before, now }
}

fn condition<'a>(status: &'a Status, kind: &str) -> &'a Condition {
    status.conditions.iter().find(|condition| condition.kind == kind).unwrap()
}

fn said<'a>(status: &'a Status, kind: &str) -> (&'a str, &'a str) {
    let condition = condition(status, kind);
    (&condition.status, &condition.reason)
}

#[test]
fn each_end_has_its_own_reason() {
    let none = Status::default();
    for (progress, passed) in [
        (done(0, "pass"), ("True", "Passed")),
        (done(1, "fail"), ("False", "Failed")),
        (done(3, "inconclusive"), ("False", "Inconclusive")),
        (done(3, "invalid"), ("False", "Invalid")),
        (done(4, "pass"), ("False", "NotCarriedOut")),
        (done(130, "pass"), ("False", "NotCarriedOut")),
        (Progress::Failed { message: "no workers".to_owned(), field: None, exit_code: 4 }, ("False", "NotCarriedOut")),
    ] {
        let status = of(&none, NOW).at("r", &progress, None);
        assert_eq!(said(&status, "Passed"), passed, "{progress:?}");
        assert_eq!(said(&status, "Complete").0, "True");
        assert!(status.phase.unwrap().is_over());
        assert!(status.completed_at.is_some());
    }
}

#[test]
fn figures_are_for_people() {
    let none = Status::default();
    let status = of(&none, NOW).at("r", &done(0, "pass"), Some("https://grid/runs/r".to_owned()));
    let shown = [&status.rate, &status.p99, &status.error_rate].map(|figure| figure.as_deref().unwrap_or_default());
    assert_eq!(shown, ["500/s", "12.3 ms", "0.1%"]);
    assert_eq!(status.report.as_deref(), Some("https://grid/runs/r"));
    assert_eq!(status.started_at.as_deref(), Some("2026-11-24T19:00:00Z"));
    for (rate, shown) in [(0.5, "0.5/s"), (12.0, "12/s"), (12.34, "12.3/s"), (12_345.6, "12346/s"), (0.0, "0/s")] {
        assert_eq!(show_rate(rate), shown);
    }
    for (share, shown) in [(0.0, "0%"), (1.0, "100%"), (0.000_001, "under 0.01%"), (0.999_99, "over 99.99%")] {
        assert_eq!(show_share(share), shown);
    }
    // What is no instant is not told as one: the API server would refuse the whole status.
    let Progress::Done(done) = done(0, "pass") else { panic!() };
    let odd = Done { started_at: "just now".to_owned(), rate: Some(f64::NAN), ..done };
    let status = of(&none, NOW).at("r", &Progress::Done(odd), None);
    assert_eq!((status.started_at, status.rate), (None, None));
}

#[test]
fn a_condition_keeps_its_instant_until_it_changes() {
    let none = Status::default();
    let first = of(&none, NOW).at("r", &running(10), None);
    assert_eq!(said(&first, "Ready"), ("True", "Running"));
    assert_eq!(said(&first, "Passed"), ("Unknown", "Running"));
    let last = of(&first, LATER).at("r", &done(1, "fail"), None);
    assert_eq!(condition(&last, "Ready").last_transition_time, NOW);
    assert_eq!(condition(&last, "Passed").last_transition_time, LATER);
    assert_eq!(first.started_at.as_deref(), Some(NOW));
    // Another run of the same test does not take over what belongs to the one before.
    let next = of(&last, LATER).at("s", &Progress::Ready, None);
    assert_eq!((next.started_at.as_deref(), next.verdict.as_deref(), next.completed_at.as_deref()), (None, None, None));
    assert_eq!(said(&next, "Passed"), ("Unknown", "WaitingForTarget"));
}

#[test]
fn figures_alone_can_wait_and_nothing_new_is_nothing() {
    let none = Status::default();
    let first = of(&none, NOW).at("r", &running(10), None);
    let more = of(&first, LATER).at("r", &running(20), None);
    assert_ne!(first, more);
    let since = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(due(&first, &first, since(100)), None);
    assert_eq!(due(&first, &more, since(2)), Some(Duration::from_secs(3)));
    assert_eq!(due(&first, &more, since(5)), Some(Duration::ZERO));
    assert_eq!(due(&first, &more, None), Some(Duration::ZERO));
    let over = of(&first, LATER).at("r", &done(0, "pass"), None);
    assert_eq!(due(&first, &over, since(0)), Some(Duration::ZERO));
}

#[test]
fn a_refusal_says_its_field_first() {
    let none = Status::default();
    let refused = Refused { message: "'5' has no unit".to_owned(), field: Some("spec.load.rate".to_owned()) };
    let status = of(&none, NOW).refused(&refused);
    assert_eq!(status.message.as_deref(), Some("spec.load.rate: '5' has no unit"));
    assert_eq!((status.phase, &status.run), (Some(Phase::Failed), &None));
    assert_eq!(said(&status, "Ready"), ("False", "Refused"));
}
