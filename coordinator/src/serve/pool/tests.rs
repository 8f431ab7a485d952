use tonic::Status;

use super::*;

type Orders = mpsc::Receiver<Result<v1::CoordinatorMessage, Status>>;

/// A pool with so many idle workers, `w0000` and so on. Their orders have to be kept: without them a session is broken.
async fn pool(workers: usize) -> (mpsc::Sender<Event>, Handle, Vec<Orders>) {
    let (events, received) = mpsc::channel(16);
    let handle = start(received);
    let mut kept = Vec::new();
    for number in 0..workers {
        kept.push(join(&events, number).await);
    }
    count_is(&handle, workers).await;
    (events, handle, kept)
}

async fn join(events: &mpsc::Sender<Event>, number: usize) -> Orders {
    let (outgoing, orders) = mpsc::channel(8);
    let name = format!("w{number:04}");
    let hello = v1::Hello { worker: name.clone(), name, lanes: 1, ..v1::Hello::default() };
    let joined = Event::Joined { session: number as u64, hello, outgoing, heard: Heard::default() };
    events.send(joined).await.unwrap();
    orders
}

async fn count_is(handle: &Handle, workers: usize) {
    let mut seen = handle.watch();
    let all = seen.wait_for(|all| all.len() == workers);
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("in time").unwrap();
}

fn in_phase(phase: PhaseName) -> (watch::Sender<Snapshot>, watch::Receiver<Snapshot>) {
    watch::channel(Snapshot { phase, ..Snapshot::default() })
}

async fn joined(events: &mut mpsc::Receiver<Event>) -> String {
    loop {
        match tokio::time::timeout(Duration::from_secs(30), events.recv()).await.expect("in time") {
            Some(Event::Joined { hello, .. }) => return hello.name,
            Some(_) => {}
            None => panic!("the pool is gone"),
        }
    }
}

#[tokio::test]
async fn more_workers_than_wait_in_a_channel_are_lent_and_come_back() {
    const WORKERS: usize = 1500;
    let (_events, handle, _orders) = pool(WORKERS).await;
    let (lent, mut received) = crate::grid::events();
    let (_phase, snapshots) = in_phase(PhaseName::Gathering);
    let loan = tokio::time::timeout(Duration::from_secs(30), handle.lend("r", WORKERS, lent, snapshots));
    let loan = loan.await.expect("in time").unwrap();
    for number in 0..WORKERS {
        assert_eq!(joined(&mut received).await, format!("w{number:04}"));
    }
    assert!(handle.workers().iter().all(|worker| worker.run.as_deref() == Some("r")));
    loan.back().await;
    // No waiting: whoever gave them back sees them there.
    assert!(handle.workers().iter().all(|worker| worker.run.is_none()));
}

#[tokio::test]
async fn who_goes_while_a_run_gathers_is_replaced() {
    let (events, handle, _orders) = pool(3).await;
    let (lent, mut received) = crate::grid::events();
    let (phase, snapshots) = in_phase(PhaseName::Gathering);
    let _loan = handle.lend("r", 2, lent, snapshots).await.unwrap();
    assert_eq!([joined(&mut received).await, joined(&mut received).await], ["w0000", "w0001"]);
    events.send(Event::Left { session: 0, worker: "w0000".to_owned() }).await.unwrap();
    assert_eq!(joined(&mut received).await, "w0002");
    // Once shares are dealt out nobody can take another's place, and it may come back.
    phase.send_modify(|snapshot| snapshot.phase = PhaseName::Running);
    events.send(Event::Left { session: 1, worker: "w0001".to_owned() }).await.unwrap();
    let _later = join(&events, 7).await;
    count_is(&handle, 3).await;
    let idle: Vec<String> =
        handle.workers().into_iter().filter(|worker| worker.run.is_none()).map(|worker| worker.name).collect();
    assert_eq!(idle, ["w0007"]);
}

#[tokio::test]
async fn who_asks_and_is_gone_keeps_no_worker() {
    let (_events, handle, _orders) = pool(1).await;
    let (lent, _received) = crate::grid::events();
    let (_phase, snapshots) = in_phase(PhaseName::Gathering);
    drop(handle.lend("r", 1, lent, snapshots).await.unwrap());
    let mut seen = handle.watch();
    let idle = seen.wait_for(|all| all.iter().all(|worker| worker.run.is_none()));
    tokio::time::timeout(Duration::from_secs(30), idle).await.expect("in time").unwrap();
}
