//! The workers of a served coordinator: their sessions are kept while nothing runs, and lent to one run at a time.
//!
//! One task owns the pool. It passes what a lent worker says on to the dispatcher of its run, and keeps no state of runs.

use std::collections::HashMap;
use std::time::Duration;

use loadgrid_proto::v1;
use loadgrid_proto::v1::coordinator_message::Kind as ToWorker;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::queue::Workers;
use crate::grid::{Event, Events, Heard, Outgoing, PhaseName, Snapshot};

/// A worker that was in a run dials anew; who takes longer is gone.
const RETURN_MAX: Duration = Duration::from_secs(5);

/// How often a run that gathers is looked at: a worker of it may have gone while others are idle.
const LOOK: Duration = Duration::from_millis(500);

/// Orders that may wait for the pool.
const ORDERS_MAX: usize = 64;

/// A worker as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pooled {
    pub name: String,
    pub version: String,
    pub lanes: u32,
    pub joined: jiff::Timestamp,
    /// The run that has it.
    pub run: Option<String>,
    /// Its session is broken: its run waits for it, or it is on its way back from one.
    pub away: bool,
}

/// Workers that are started together come this close to each other.
pub const JOINING: Duration = Duration::from_millis(500);

/// How many there are.
pub fn count(workers: &[Pooled], now: jiff::Timestamp) -> Workers {
    let free = || workers.iter().filter(|worker| worker.run.is_none());
    // A clock that was set back makes nobody new for ever.
    let age = |worker: &Pooled| Duration::try_from(now.duration_since(worker.joined)).ok();
    Workers {
        joining: free().any(|worker| age(worker).is_some_and(|age| age < JOINING)),
        idle: free().filter(|worker| !worker.away).count(),
        returning: free().filter(|worker| worker.away).count(),
        all: workers.len(),
    }
}

enum Order {
    Lend {
        loan: Loan,
        borrower: Borrower,
        done: oneshot::Sender<Loan>,
    },
    /// Whoever waits for it hears when it is done.
    Return {
        run: String,
        done: Option<oneshot::Sender<()>>,
    },
}

/// The way to the pool.
#[derive(Clone)]
pub struct Handle {
    orders: mpsc::Sender<Order>,
    workers: watch::Receiver<Vec<Pooled>>,
}

/// The pool's end of a loan: the workers come back when it is dropped.
pub struct Loan {
    run: String,
    orders: mpsc::Sender<Order>,
}

impl Loan {
    /// Gives the workers back. Who looks at the pool after this sees them there.
    pub async fn back(mut self) {
        let (done, heard) = oneshot::channel();
        let order = Order::Return { run: std::mem::take(&mut self.run), done: Some(done) };
        if self.orders.send(order).await.is_ok() {
            let _ = heard.await;
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.run.is_empty() {
            return;
        }
        let order = Order::Return { run: std::mem::take(&mut self.run), done: None };
        if let Err(mpsc::error::TrySendError::Full(order)) = self.orders.try_send(order) {
            // The pool is slow for a moment; a loan that is not given back would be lost for ever.
            let orders = self.orders.clone();
            std::thread::spawn(move || drop(orders.blocking_send(order)));
        }
    }
}

impl Handle {
    /// Lends up to `wanted` workers to a run: those that are idle now, and others as they come. What they say goes to
    /// `events`, from when this has returned. As long as `snapshots` say that it gathers, one that goes is replaced.
    ///
    /// # Errors
    /// The coordinator is ending.
    pub async fn lend(
        &self,
        run: &str,
        wanted: usize,
        events: Events,
        snapshots: watch::Receiver<Snapshot>,
    ) -> Result<Loan, String> {
        let (done, lent) = oneshot::channel();
        // Wherever it is lost on its way, it is given back.
        let loan = Loan { run: run.to_owned(), orders: self.orders.clone() };
        let order = Order::Lend { loan, borrower: Borrower { events, wanted, snapshots }, done };
        let ending = || "the coordinator is ending".to_owned();
        self.orders.send(order).await.map_err(|_| ending())?;
        lent.await.map_err(|_| ending())
    }

    pub fn workers(&self) -> Vec<Pooled> {
        self.workers.borrow().clone()
    }

    /// Is marked whenever somebody joins, leaves, is lent or comes back.
    pub fn watch(&self) -> watch::Receiver<Vec<Pooled>> {
        self.workers.clone()
    }
}

/// Starts the pool; `events` is what its sessions say.
pub fn start(events: mpsc::Receiver<Event>) -> Handle {
    let (orders, received) = mpsc::channel(ORDERS_MAX);
    let (seen, workers) = watch::channel(Vec::new());
    tokio::spawn(Pool { members: HashMap::new(), runs: HashMap::new(), seen }.serve(events, received));
    Handle { orders, workers }
}

/// A worker whose session is there, or is missed by its run.
struct Member {
    session: u64,
    hello: v1::Hello,
    /// `None` while its session is broken.
    outgoing: Option<Outgoing>,
    heard: Heard,
    joined: jiff::Timestamp,
    run: Option<String>,
    /// When it was given back without a session.
    returns: Option<Instant>,
}

/// A run that has workers.
struct Borrower {
    events: Events,
    wanted: usize,
    snapshots: watch::Receiver<Snapshot>,
}

impl Borrower {
    /// Whether nothing is dealt out yet: then it has no use for a worker that went.
    fn gathers(&self) -> bool {
        self.snapshots.borrow().phase == PhaseName::Gathering
    }
}

struct Pool {
    members: HashMap<String, Member>,
    runs: HashMap<String, Borrower>,
    seen: watch::Sender<Vec<Pooled>>,
}

impl Pool {
    async fn serve(mut self, mut events: mpsc::Receiver<Event>, mut orders: mpsc::Receiver<Order>) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let late = self.members.values().filter_map(|member| member.returns).min().map(|since| since + RETURN_MAX);
            tokio::select! {
                () = tokio::time::sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => {
                    self.members.retain(|_, member| member.returns.is_none_or(|since| since.elapsed() < RETURN_MAX));
                    self.publish();
                }
                _ = look.tick(), if !self.runs.is_empty() => self.deal_out().await,
                event = events.recv() => match event {
                    Some(event) => self.take(event).await,
                    None => return,
                },
                order = orders.recv() => match order {
                    Some(Order::Lend { loan, borrower, done }) => {
                        let run = loan.run.clone();
                        self.runs.insert(run.clone(), borrower);
                        // It listens from here on: more may be dealt to it than wait in a channel. Who asked may be gone:
                        // then the workers come back with its loan.
                        if done.send(loan).is_ok() {
                            self.deal(&run).await;
                        }
                        self.publish();
                    }
                    Some(Order::Return { run, done }) => {
                        self.take_back(&run);
                        self.publish();
                        // Who gave it back need not wait.
                        if let Some(done) = done {
                            let _ = done.send(());
                        }
                    }
                    None => return,
                },
            }
        }
    }

    async fn take(&mut self, event: Event) {
        match event {
            Event::Joined { session, hello, outgoing, heard } => {
                self.joined(session, hello, outgoing, heard).await;
                self.publish();
            }
            Event::Said { ref worker, .. } => {
                let run = self.members.get(worker).and_then(|member| member.run.clone());
                self.pass_on(run, event).await;
            }
            Event::Left { session, ref worker } => {
                let Some(member) = self.members.get_mut(worker).filter(|member| member.session == session) else {
                    return;
                };
                member.outgoing = None;
                match member.run.clone() {
                    Some(run) => self.pass_on(Some(run), event).await,
                    None => drop(self.members.remove(worker)),
                }
                self.deal_out().await;
                self.publish();
            }
        }
    }

    async fn joined(&mut self, session: u64, hello: v1::Hello, outgoing: Outgoing, heard: Heard) {
        let worker = hello.worker.clone();
        // The successor of one that was killed: nobody else will come back under its name.
        self.members.retain(|id, member| *id == worker || member.returns.is_none() || member.hello.name != hello.name);
        let before = self.members.get(&worker);
        let run = before.and_then(|member| member.run.clone());
        let joined = before.map_or_else(jiff::Timestamp::now, |member| member.joined);
        let member = Member {
            session,
            hello: hello.clone(),
            outgoing: Some(outgoing.clone()),
            heard: heard.clone(),
            joined,
            run: run.clone(),
            returns: None,
        };
        self.members.insert(worker.clone(), member);
        if run.is_some() {
            // Back in its run.
            return self.pass_on(run, Event::Joined { session, hello, outgoing, heard }).await;
        }
        // A run that it still holds is over here, or of another life.
        let welcome = v1::Welcome { protocol_version: loadgrid_proto::PROTOCOL_VERSION, merged: 0, resume: false };
        let _ = outgoing.try_send(Ok(v1::CoordinatorMessage { kind: Some(ToWorker::Welcome(welcome)) }));
        self.deal_out().await;
    }

    /// How many workers a run has.
    fn lent(&self, run: &str) -> usize {
        self.members.values().filter(|member| member.run.as_deref() == Some(run)).count()
    }

    /// A run that has too few workers, and either wants for one that went or could have more.
    fn short(&self) -> Option<String> {
        let short = self.runs.iter().find(|(run, borrower)| self.lent(run) < borrower.wanted || self.misses(run));
        short.map(|(run, _)| run.clone())
    }

    /// Whether a worker went that the run has no share for yet.
    fn misses(&self, run: &str) -> bool {
        let gathers = self.runs.get(run).is_some_and(Borrower::gathers);
        gathers && self.members.values().any(|member| member.run.as_deref() == Some(run) && member.outgoing.is_none())
    }

    /// Idle workers go to a run that has too few.
    async fn deal_out(&mut self) {
        if let Some(run) = self.short() {
            if self.misses(&run) {
                self.members.retain(|_, member| member.run.as_deref() != Some(&*run) || member.outgoing.is_some());
            }
            self.deal(&run).await;
        }
    }

    /// Gives idle workers to a run until it has what it wants.
    async fn deal(&mut self, run: &str) {
        let Some(borrower) = self.runs.get(run) else { return };
        let mut lent = self.lent(run);
        let mut idle: Vec<&mut Member> = self.members.values_mut().filter(|member| member.run.is_none()).collect();
        // By name, so that the same test has the same workers again.
        idle.sort_by(|a, b| a.hello.name.cmp(&b.hello.name));
        for member in idle {
            if lent >= borrower.wanted {
                break;
            }
            let Some(outgoing) = member.outgoing.clone() else { continue };
            member.run = Some(run.to_owned());
            lent += 1;
            let (hello, heard) = (member.hello.clone(), member.heard.clone());
            let joined = Event::Joined { session: member.session, hello, outgoing, heard };
            // A dispatcher that is gone gives its workers back with the loan.
            let _ = borrower.events.send(joined).await;
        }
    }

    fn take_back(&mut self, run: &str) {
        self.runs.remove(run);
        for member in self.members.values_mut().filter(|member| member.run.as_deref() == Some(run)) {
            member.run = None;
            // Its session ends with the run, and it dials anew.
            member.returns = member.outgoing.is_none().then(Instant::now);
        }
    }

    async fn pass_on(&mut self, run: Option<String>, event: Event) {
        if let Some(borrower) = run.and_then(|run| self.runs.get(&run)) {
            let _ = borrower.events.send(event).await;
        }
    }

    fn publish(&self) {
        let mut workers: Vec<Pooled> = self
            .members
            .values()
            .map(|member| Pooled {
                name: member.hello.name.clone(),
                version: member.hello.version.clone(),
                lanes: member.hello.lanes,
                joined: member.joined,
                run: member.run.clone(),
                away: member.outgoing.is_none(),
            })
            .collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        self.seen.send_replace(workers);
    }
}

#[cfg(test)]
mod tests;
