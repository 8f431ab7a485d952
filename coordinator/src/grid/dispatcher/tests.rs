use std::sync::{Arc, Mutex};

use loadgrid_proto::v1::{CoordinatorMessage, WorkerMessage};
use tonic::Status;

use super::*;
use crate::grid::{Events, Heard};
use crate::spec::{Draft, Sourced, load};

/// A worker that a test plays.
struct Played {
    id: String,
    events: Events,
    orders: mpsc::Receiver<Result<CoordinatorMessage, Status>>,
}

impl Played {
    async fn join(id: &str, events: &Events) -> Self {
        let (outgoing, orders) = mpsc::channel(64);
        let heard = Heard::default();
        // It is heard for as long as a test takes.
        heard.now(u64::MAX / 2);
        let hello = v1::Hello { worker: id.to_owned(), name: format!("n{id}"), lanes: 1, ..v1::Hello::default() };
        let hello = v1::Hello { max_connections: 1000, ..hello };
        events.send(Event::Joined { session: 1, hello, outgoing, heard }).await.unwrap();
        Played { id: id.to_owned(), events: events.clone(), orders }
    }

    async fn say(&self, kind: FromWorker) {
        let kind = Box::new(WorkerMessage { kind: Some(kind) }.kind.unwrap());
        self.events.send(Event::Said { session: 1, worker: self.id.clone(), kind }).await.unwrap();
    }

    /// The next order that a test is interested in.
    async fn order<T>(&mut self, wanted: impl Fn(ToWorker) -> Option<T>) -> T {
        loop {
            let order = self.orders.recv().await.expect("an order").unwrap();
            if let Some(found) = order.kind.and_then(&wanted) {
                return found;
            }
        }
    }

    async fn assigned(&mut self) -> v1::Assignment {
        self.order(|order| if let ToWorker::Assignment(assignment) = order { Some(assignment) } else { None }).await
    }

    async fn ready(&self, planned: u64) {
        let run = "r".to_owned();
        self.say(FromWorker::Ready(v1::Ready { run, planned, clock_bound_ns: 1, ..v1::Ready::default() })).await;
    }

    async fn started(&mut self) {
        self.order(|order| matches!(order, ToWorker::Start(_)).then_some(())).await;
    }

    async fn released(&mut self) {
        self.order(|order| matches!(order, ToWorker::Release(_)).then_some(())).await;
    }

    async fn farewell(&self, reason: &str) {
        let (run, reason) = ("r".to_owned(), reason.to_owned());
        self.say(FromWorker::Farewell(v1::Farewell { run, reason, ..v1::Farewell::default() })).await;
    }
}

fn plan() -> Plan {
    let mut flags = Draft {
        requests: vec![Default::default()],
        rate: Some(Sourced::flag("--rate", "100/s")),
        duration: Some(Sourced::flag("--duration", "3s")),
        ..Draft::default()
    };
    flags.requests[0].url = Some(Sourced::flag("--url", "http://a/"));
    Plan { run: "r".into(), seed: 1, test: load(None, flags).unwrap() }
}

fn options(on_worker_loss: Policy) -> Options {
    Options {
        workers: 2,
        join_timeout: Duration::from_secs(30),
        on_worker_loss,
        rejoin: Duration::from_secs(10),
        abort_on_fail: false,
    }
}

type Done = tokio::task::JoinHandle<Result<RunState, RunError>>;

fn begin(policy: Policy, checkpoint: Option<Checkpoint>) -> (Events, Done) {
    let (events, received) = crate::grid::events();
    let (_, stop) = watch::channel(None);
    let snapshots = watch::channel(Snapshot::default()).0;
    let run = crate::grid::carry_out(plan(), options(policy), received, stop, snapshots, checkpoint);
    (events, tokio::task::spawn_local(run))
}

async fn two_that_run(events: &Events) -> (Played, Played) {
    let (mut one, mut two) = (Played::join("1", events).await, Played::join("2", events).await);
    for worker in [&mut one, &mut two] {
        worker.assigned().await;
        worker.ready(150).await;
    }
    one.started().await;
    two.started().await;
    (one, two)
}

#[tokio::test(flavor = "local")]
async fn who_can_not_go_on_is_lost_with_its_words_and_the_others_are_not_held_up() {
    let (events, run) = begin(Policy::Continue, None);
    let (mut one, two) = two_that_run(&events).await;
    let message = "the lanes can't be started: no threads".to_owned();
    one.say(FromWorker::Trouble(v1::Trouble { run: "r".into(), message: message.clone() })).await;
    one.released().await;
    two.farewell("").await;
    let state = run.await.unwrap().unwrap();
    assert_eq!(state.lost(), ["n1"]);
    assert_eq!(state.results.workers["1"].left_early.as_deref(), Some(message.as_str()));
    assert_eq!(state.stopped, None);
}

#[tokio::test(flavor = "local")]
async fn what_can_not_be_read_is_not_waited_for() {
    let (events, run) = begin(Policy::Fail, None);
    let (mut one, two) = two_that_run(&events).await;
    let histogram = Some(v1::Histogram { counts: vec![0xff; 3], count: 1, ..v1::Histogram::default() });
    let torn = v1::Interval { run: "r".into(), sequence: 1, connect_time: histogram, ..v1::Interval::default() };
    one.say(FromWorker::Interval(torn)).await;
    one.released().await;
    two.farewell("").await;
    let state = run.await.unwrap().unwrap();
    assert!(state.results.workers["1"].left_early.as_deref().unwrap().contains("can't be read"));
    assert_eq!(state.stopped, Some(StopReason::WorkerLost("n1".to_owned())));
}

#[tokio::test(flavor = "local")]
async fn who_leaves_before_the_load_says_why() {
    let (events, run) = begin(Policy::Continue, None);
    let (mut one, mut two) = (Played::join("1", &events).await, Played::join("2", &events).await);
    one.assigned().await;
    two.assigned().await;
    one.farewell("the worker was told to stop").await;
    let error = run.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("n1") && error.contains("told to stop"), "{error}");
    two.released().await;
}

#[tokio::test(flavor = "local")]
async fn who_leaves_early_need_not_wait_for_the_end() {
    let (events, run) = begin(Policy::Continue, None);
    let (mut one, two) = two_that_run(&events).await;
    one.farewell("the worker was told to stop").await;
    one.released().await;
    assert!(!run.is_finished());
    two.farewell("").await;
    let state = run.await.unwrap().unwrap();
    assert!(state.lost().is_empty() && state.results.workers["1"].left_early.is_some());
}

#[tokio::test(flavor = "local")]
async fn a_checkpoint_sees_a_run_that_is_broken_off_and_the_run_goes_on() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let checkpoint: Checkpoint =
        Box::new(move |state| into.lock().unwrap().push((state.stopped.clone(), state.lost())));
    let (events, run) = begin(Policy::Continue, Some(checkpoint));
    let (one, two) = two_that_run(&events).await;
    one.farewell("").await;
    tokio::time::timeout(Duration::from_secs(30), async {
        while seen.lock().unwrap().is_empty() {
            tokio::time::sleep(TICK).await;
        }
    })
    .await
    .unwrap();
    two.farewell("").await;
    let state = run.await.unwrap().unwrap();
    assert_eq!(seen.lock().unwrap()[0], (Some(StopReason::BrokenOff), vec!["n2".to_owned()]));
    assert_eq!((state.stopped.clone(), state.lost()), (None, Vec::new()));
}
