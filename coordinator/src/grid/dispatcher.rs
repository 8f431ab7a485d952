//! The dispatcher: the only one who changes the state of a run.
//!
//! It takes events in one line, turns them into commands, and sends what follows from them. Time comes in here alone.

mod workers;

use std::collections::HashMap;
use std::time::Duration;

use loadgrid_proto::v1;
use loadgrid_proto::v1::coordinator_message::Kind as ToWorker;
use loadgrid_proto::v1::worker_message::Kind as FromWorker;
use loadgrid_worker::clock;
use loadgrid_worker::interval::Interval;
use loadgrid_worker::schedule::Profile;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::run::{Applied, Command, MemberState, Phase, Policy, Rejected, RunError, RunState, StopReason};
use super::server::Event;
use super::session::Session;
use super::{CHECKPOINT_EVERY, Checkpoint, LastSecond, Options, PhaseName, Snapshot};
use crate::plan::{Capacity, Plan};
use crate::results::{Which, WorkerResults};
use crate::slo::Part;
use crate::slo::evaluate::which;
use crate::slo::feasible::lost_cause;

/// How often silence, patience and progress are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Between two looks there is a [`TICK`], unless this machine stood still.
const STANDSTILL_NS: u64 = 1_000_000_000;

/// How long workers may take to look up targets, beside the time for counting their shards.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// What a slow machine takes to draw an arrival, ns. They are counted by drawing.
const DRAW_NS: u64 = 200;

/// From the decision to start to the start: at least this, and four times the clock's error.
const START_LEAD_NS: u64 = 30_000_000;

/// A network on which clocks can't be read more closely than this is one that may lose the order to start.
const FAR_NS: u64 = 2_000_000;

/// Then there is time to send it again, twice: TCP waits 200 ms at least, and double that the next time.
const RESEND_NS: u64 = 700_000_000;

/// After an order to stop, farewells are waited for so long.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// After the release, sessions may take so long to end.
const FAREWELL_PATIENCE: Duration = Duration::from_millis(300);

/// Beyond the last timeout, farewells are waited for so long.
const END_PATIENCE_NS: u64 = 10_000_000_000;

/// A checkpoint may take this share of the dispatcher's time, 1 of so many.
const CHECKPOINT_SHARE: u32 = 10;

/// How often objectives are looked at with `--abort-on-fail`.
const FEASIBLE_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Dispatcher {
    state: RunState,
    options: Options,
    events: mpsc::Receiver<Event>,
    stop: watch::Receiver<Option<StopReason>>,
    snapshots: watch::Sender<Snapshot>,
    sessions: HashMap<String, Session>,
    planned: u64,
    /// When silence was last looked for.
    looked_ns: u64,
    stopped_at: Option<Instant>,
    checkpoint: Option<Checkpoint>,
    /// Λ of warm-up and main phase; `None` in a closed loop.
    profiles: Option<(Profile, Profile)>,
}

impl Dispatcher {
    pub(super) fn new(
        plan: Plan,
        options: Options,
        events: mpsc::Receiver<Event>,
        stop: watch::Receiver<Option<StopReason>>,
        snapshots: watch::Sender<Snapshot>,
        checkpoint: Option<Checkpoint>,
    ) -> Self {
        let load = &plan.test.load;
        let profiles = plan.is_open_loop().then(|| (load.warmup(), load.main()));
        Dispatcher {
            state: RunState::new(plan),
            options,
            events,
            stop,
            snapshots,
            sessions: HashMap::new(),
            planned: 0,
            looked_ns: clock::now_ns(),
            stopped_at: None,
            checkpoint,
            profiles,
        }
    }

    pub(super) async fn run(mut self) -> Result<RunState, RunError> {
        let carried_out = self.carry_out().await;
        let run = self.state.plan.run.clone();
        for worker in self.sessions.keys() {
            let release = v1::Release { run: run.clone(), shutdown: false };
            self.send(worker, ToWorker::Release(release));
        }
        self.see_off().await;
        carried_out?;
        Ok(self.state)
    }

    /// A released worker ends its session: that is how it is known that the release arrived.
    async fn see_off(&mut self) {
        let until = Instant::now() + FAREWELL_PATIENCE;
        while !self.sessions.is_empty() {
            match tokio::time::timeout_at(until, self.events.recv()).await {
                Ok(Some(Event::Left { worker, .. })) => drop(self.sessions.remove(&worker)),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    async fn carry_out(&mut self) -> Result<(), RunError> {
        let until = Instant::now() + self.options.join_timeout;
        let planned = loop {
            self.gather(until).await?;
            if let Some(planned) = self.count().await? {
                break planned;
            }
        };
        self.prepare(planned).await?;
        self.start()?;
        self.follow().await;
        let _ = self.state.apply(Command::End);
        Ok(())
    }

    async fn gather(&mut self, until: Instant) -> Result<(), RunError> {
        while self.state.members.len() < self.options.workers {
            self.publish(PhaseName::Gathering);
            // Whoever fell silent makes room: it has no share yet, and comes in again when it is back.
            self.find_silent(clock::now_ns());
            if !self.step(until.min(Instant::now() + TICK)).await? && Instant::now() >= until {
                return Err(RunError::TooFewWorkers {
                    wanted: self.options.workers,
                    joined: self.state.members.len(),
                    seconds: self.options.join_timeout.as_secs(),
                });
            }
        }
        Ok(())
    }

    async fn prepare(&mut self, planned: Vec<(u64, Option<u64>)>) -> Result<(), RunError> {
        self.state.apply(Command::Assign { planned }).map_err(into_run_error)?;
        self.planned = self.state.results.workers.values().filter_map(|worker| worker.planned).sum();
        self.publish(PhaseName::Preparing);
        let plan = &self.state.plan;
        for (worker, member) in &self.state.members {
            if let Some(share) = member.share {
                self.send(worker, ToWorker::Assignment(plan.assignment(share)));
            }
        }
        let (began_ns, patience) = (clock::now_ns(), self.ready_patience());
        let until = Instant::now() + patience;
        let rejoin_ns = self.options.rejoin.as_nanos() as u64;
        loop {
            let waiting = self.state.members.values().find(|member| member.state != MemberState::Ready);
            let Some(waiting) = waiting.map(|member| member.name.clone()) else { return Ok(()) };
            self.find_silent(clock::now_ns());
            // As long as later in the run: a worker on a lossy line comes back, and its share waits for it. Before its
            // share was dealt it owed nothing.
            let gone = |since: u64| clock::now_ns().saturating_sub(since.max(began_ns)) > rejoin_ns;
            let gone = self.state.members.values().find(|member| member.away_ns.is_some_and(gone));
            if let Some(gone) = gone {
                return Err(RunError::Gone { worker: gone.name.clone(), within: self.options.rejoin });
            }
            if !self.step(until.min(Instant::now() + TICK)).await? && Instant::now() >= until {
                return Err(RunError::NotReady { worker: waiting, seconds: patience.as_secs() });
            }
        }
    }

    fn ready_patience(&self) -> Duration {
        let planned = |worker: &WorkerResults| worker.planned_warmup + worker.planned.unwrap_or(0);
        let most = self.state.results.workers.values().map(planned).max().unwrap_or(0);
        READY_PATIENCE + Duration::from_nanos(most.saturating_mul(DRAW_NS))
    }

    /// Counts the shares in a thread of its own: Poisson arrivals have to be drawn, and workers want their answers
    /// meanwhile. None: somebody left or came meanwhile, and the shares are others.
    async fn count(&mut self) -> Result<Option<Vec<(u64, Option<u64>)>>, RunError> {
        self.publish(PhaseName::Preparing);
        let of: Vec<String> = self.state.members.keys().cloned().collect();
        let (shares, plan) = (self.state.shares()?, self.state.plan.clone());
        let mut counting = tokio::task::spawn_blocking(move || {
            shares.into_iter().map(|share| plan.planned(share)).collect::<Vec<_>>()
        });
        loop {
            tokio::select! {
                counted = &mut counting => {
                    let counted = counted.map_err(|error| RunError::Plan(error.to_string()))?;
                    return Ok(self.state.members.keys().eq(&of).then_some(counted));
                }
                stepped = self.step(Instant::now() + TICK) => stepped.map(drop)?,
            }
        }
    }

    fn start(&mut self) -> Result<(), RunError> {
        let bound = self.state.members.values().map(|member| member.clock_bound_ns).max().unwrap_or(0);
        let resend_ns = if bound > FAR_NS { RESEND_NS } else { 0 };
        let start_ns = clock::now_ns() + START_LEAD_NS + bound.saturating_mul(4).min(10 * START_LEAD_NS) + resend_ns;
        self.state.apply(Command::Start { start_ns }).map_err(into_run_error)?;
        let run = self.state.plan.run.clone();
        for worker in self.sessions.keys() {
            self.send(worker, ToWorker::Start(v1::StartAt { run: run.clone(), start_ns }));
        }
        Ok(())
    }

    /// From the start to the last farewell, or to the end of patience.
    async fn follow(&mut self) {
        let mut tick = tokio::time::interval(TICK);
        // What was missed is not made up for: events come first.
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut feasible_at = Instant::now() + FEASIBLE_EVERY;
        let mut checkpoint_at = Instant::now() + CHECKPOINT_EVERY;
        while !self.state.is_settled() {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => {
                        // After the start nothing that one worker says ends the run of the others.
                        if let Err(error) = self.take(event) {
                            tracing::warn!("{error}");
                        }
                    }
                    None => return,
                },
                _ = tick.tick() => {
                    self.look_after_workers();
                    if self.options.abort_on_fail && Instant::now() >= feasible_at {
                        feasible_at = Instant::now() + FEASIBLE_EVERY;
                        self.abort_if_lost();
                    }
                    if let Some(checkpoint) = self.checkpoint.as_mut().filter(|_| Instant::now() >= checkpoint_at) {
                        let began = Instant::now();
                        self.state.as_broken_off(checkpoint);
                        checkpoint_at = Instant::now() + CHECKPOINT_EVERY.max(began.elapsed() * CHECKPOINT_SHARE);
                    }
                    self.publish(if self.stopped_at.is_some() { PhaseName::Ending } else { PhaseName::Running });
                }
                reason = stop_asked(&mut self.stop), if self.stopped_at.is_none() => self.stop_all(reason),
            }
        }
    }

    /// Waits for one event before `until`; false when the time is up.
    async fn step(&mut self, until: Instant) -> Result<bool, RunError> {
        tokio::select! {
            event = self.events.recv() => match event {
                Some(event) => self.take(event).map(|()| true),
                None => Err(RunError::Stopped(StopReason::Interrupted)),
            },
            () = tokio::time::sleep_until(until) => Ok(false),
            reason = stop_asked(&mut self.stop) => Err(RunError::Stopped(reason)),
        }
    }

    fn take(&mut self, event: Event) -> Result<(), RunError> {
        match event {
            Event::Joined { session, hello, outgoing, heard } => {
                self.joined(Session::new(session, hello, outgoing, heard));
                Ok(())
            }
            Event::Left { session, worker } => {
                if self.sessions.get(&worker).is_some_and(|current| current.number == session) {
                    self.sessions.remove(&worker);
                    self.left(worker, clock::now_ns());
                }
                Ok(())
            }
            Event::Said { session, worker, kind } => {
                // Not from a stream that was given up for a newer one.
                if self.sessions.get(&worker).is_none_or(|current| current.number != session) {
                    return Ok(());
                }
                let _ = self.state.apply(Command::Back { worker: worker.clone() });
                self.said(worker, *kind)
            }
        }
    }

    fn joined(&mut self, session: Session) {
        let hello = session.hello.clone();
        let worker = hello.worker.clone();
        self.sessions.insert(worker.clone(), session);
        let known = self.state.members.contains_key(&worker);
        self.admit(&hello);
        let merged = self.state.results.workers.get(&worker).map_or(0, |results| results.merged());
        let lost = self.state.members.get(&worker).is_some_and(|member| member.state == MemberState::Lost);
        let resume = known && !lost && hello.run == self.state.plan.run;
        let protocol_version = loadgrid_proto::PROTOCOL_VERSION;
        self.send(&worker, ToWorker::Welcome(v1::Welcome { protocol_version, merged, resume }));
        if known && (resume || self.state.phase == Phase::Preparing) {
            self.retell(&worker, resume);
        }
    }

    /// Takes a worker in, or back.
    fn admit(&mut self, hello: &v1::Hello) {
        let worker = hello.worker.clone();
        let capacity = Capacity { lanes: hello.lanes, max_connections: hello.max_connections };
        let gathering = self.state.phase == Phase::Gathering;
        if gathering && self.state.members.len() < self.options.workers {
            let _ = self.state.apply(Command::Join { worker, name: hello.name.clone(), capacity });
        } else if self.state.members.contains_key(&worker) {
            tracing::info!("worker {} is back", hello.name);
            let _ = self.state.apply(Command::Back { worker });
        } else {
            tracing::info!("worker {} came too late for this run and waits", hello.name);
        }
    }

    /// Tells a worker of this run how things stand: what it was told may have been lost.
    fn retell(&self, worker: &str, has_assignment: bool) {
        let run = self.state.plan.run.clone();
        match &self.state.phase {
            Phase::Preparing if !has_assignment => {
                // It lost its assignment with the stream, or never got it.
                let share = self.state.members.get(worker).and_then(|member| member.share);
                share.into_iter().for_each(|s| self.send(worker, ToWorker::Assignment(self.state.plan.assignment(s))));
            }
            Phase::Running { start_ns } => {
                self.send(worker, ToWorker::Start(v1::StartAt { run: run.clone(), start_ns: *start_ns }));
                if let Some(reason) = &self.state.stopped {
                    self.send(worker, ToWorker::Stop(v1::Stop { run, reason: reason.to_string() }));
                }
            }
            _ => {}
        }
    }

    fn said(&mut self, worker: String, kind: FromWorker) -> Result<(), RunError> {
        let run = self.state.plan.run.clone();
        let applied = match kind {
            FromWorker::Ready(ready) if ready.run == run => self.state.apply(Command::Ready {
                worker: worker.clone(),
                planned_warmup: ready.planned_warmup,
                planned: ready.planned,
                clock_bound_ns: ready.clock_bound_ns,
            }),
            FromWorker::Trouble(trouble) if trouble.run == run => {
                if self.is_running() {
                    self.lose(worker, trouble.message);
                    return Ok(());
                }
                return Err(RunError::Trouble { worker: self.name(&worker), message: trouble.message });
            }
            FromWorker::Interval(message) if message.run == run => match Interval::decode(&message) {
                Ok(interval) => {
                    self.state.apply(Command::Interval { worker: worker.clone(), interval: Box::new(interval) })
                }
                Err(error) => {
                    self.lose(worker, format!("what it measured can't be read: {error}"));
                    return Ok(());
                }
            },
            FromWorker::Farewell(farewell) if farewell.run == run && self.state.phase == Phase::Preparing => {
                // Its share would be missing from the beginning.
                return Err(RunError::Left { worker: self.name(&worker), reason: farewell.reason });
            }
            FromWorker::Farewell(farewell) if farewell.run == run => self.farewell(&worker, farewell),
            // Of a run that is over, or not for the dispatcher.
            _ => return Ok(()),
        };
        match applied {
            Ok(Applied::Merged { up_to }) => self.send(&worker, ToWorker::Ack(v1::Ack { run, sequence: up_to })),
            Ok(Applied::Done) => {}
            Err(Rejected::Run(error)) => return Err(error),
            Err(rejected) => tracing::warn!("worker {}: {rejected}", self.name(&worker)),
        }
        Ok(())
    }

    fn farewell(&mut self, worker: &str, farewell: v1::Farewell) -> Result<Applied, Rejected> {
        let early = !farewell.reason.is_empty() && self.stopped_at.is_none();
        if early {
            tracing::warn!("worker {} leaves before the end: {}", self.name(worker), farewell.reason);
        }
        let applied = self.state.apply(Command::Farewell {
            worker: worker.to_owned(),
            last_sequence: farewell.last_sequence,
            not_started_warmup: farewell.not_started_warmup,
            not_started: farewell.not_started,
            reason: farewell.reason,
        });
        if early {
            self.let_go(worker);
        }
        if early && self.options.on_worker_loss == Policy::Fail {
            self.stop_all(StopReason::WorkerLost(self.name(worker)));
        }
        applied
    }

    fn stop_all(&mut self, reason: StopReason) {
        self.stopped_at = Some(Instant::now());
        let stop = v1::Stop { run: self.state.plan.run.clone(), reason: reason.to_string() };
        let _ = self.state.apply(Command::Stop { reason });
        for worker in self.sessions.keys() {
            self.send(worker, ToWorker::Stop(stop.clone()));
        }
    }

    fn abort_if_lost(&mut self) {
        if self.stopped_at.is_some() || !self.state.plan.is_open_loop() {
            return;
        }
        let test = &self.state.plan.test;
        let weights: u64 = test.requests.iter().map(|request| u64::from(request.weight)).sum();
        let groups = test.groups();
        let cause = test.slos.iter().find_map(|slo| {
            let which = which(&slo.metric, &groups);
            // A request's share of the plan, rounded up: it may allow a little more, never less. A step that follows
            // another one is sent as often as that one, at the most.
            let weight_of = |number: usize| test.drawn_weight(number);
            let numbers = (0..test.requests.len()).filter(|number| which.has(*number as u32));
            let planned = numbers.map(|n| (self.planned * weight_of(n)).div_ceil(weights.max(1)) + weights).sum();
            let why = lost_cause(slo, &self.state.results, &which, planned, test.max_wait_ns)?;
            Some(format!("{} ({why})", slo.text))
        });
        if let Some(cause) = cause {
            self.stop_all(StopReason::LostCause(cause));
        }
    }

    fn send(&self, worker: &str, kind: ToWorker) {
        if let Some(session) = self.sessions.get(worker) {
            session.send(kind);
        }
    }

    fn name(&self, worker: &str) -> String {
        self.state.members.get(worker).map_or_else(|| worker.to_owned(), |member| member.name.clone())
    }

    fn publish(&self, phase: PhaseName) {
        if self.snapshots.receiver_count() == 0 {
            return;
        }
        let (sent, errors) = self.state.results.sent_and_errors();
        let elapsed = match self.state.phase {
            Phase::Running { start_ns } => clock::now_ns().checked_sub(start_ns).map(Duration::from_nanos),
            _ => None,
        };
        let away = self.state.members.values().filter(|member| member.away_ns.is_some());
        self.snapshots.send_replace(Snapshot {
            phase,
            joined: self.state.members.len(),
            wanted: self.options.workers,
            elapsed,
            planned_rate: elapsed.and_then(|elapsed| self.planned_rate(elapsed)),
            planned: self.planned,
            sent,
            errors,
            last_second: self.last_second(),
            away: away.map(|member| member.name.clone()).collect(),
        });
    }

    /// λ of the second that is shown, which is the last whole one.
    fn planned_rate(&self, elapsed: Duration) -> Option<f64> {
        let (warmup, main) = self.profiles.as_ref()?;
        let at = elapsed.saturating_sub(Duration::from_secs(1)).as_nanos() as u64;
        let warmup_ns = self.state.plan.test.load.warmup_ns;
        Some(if at < warmup_ns { warmup.rate(at) } else { main.rate(at - warmup_ns) })
    }

    /// The newest second but one: workers report the newest at slightly different times.
    fn last_second(&self) -> LastSecond {
        let back = if self.state.members.len() > 1 { 2 } else { 1 };
        let Some((step_ns, second)) = self.state.results.timeline.recent(back) else {
            return LastSecond::default();
        };
        let latency = second.part(Part::Latency, &Which::All, None);
        LastSecond {
            achieved: (second.started as f64 * 1e9 / step_ns as f64) as u64,
            errors: second.errors,
            in_flight: second.in_flight,
            waiting: second.waiting,
            p50_ns: latency.quantile(0.5),
            p99_ns: latency.quantile(0.99),
        }
    }
}

/// Resolves once there is a reason to stop.
async fn stop_asked(stop: &mut watch::Receiver<Option<StopReason>>) -> StopReason {
    match stop.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or(StopReason::Interrupted),
        // Nobody is left who could ask.
        Err(_) => std::future::pending().await,
    }
}

fn into_run_error(rejected: Rejected) -> RunError {
    match rejected {
        Rejected::Run(error) => error,
        other => RunError::Plan(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
