//! The state of a run and everything that can happen to it, as a pure function: [`RunState::apply`].
//!
//! No clock, no sockets: commands carry their instants. The same function can be driven by a log.

use std::collections::BTreeMap;
use std::time::Duration;

use loadgrid_worker::interval::Interval;

use crate::plan::{Capacity, Plan, Share};
use crate::results::{Merged, Results, WorkerResults};

/// What to do when a worker is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The others go on; what it owed is lost, and the verdict inconclusive.
    Continue,
    /// The run is stopped and has failed.
    Fail,
}

/// Why a run was stopped before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Ctrl-C or a signal.
    Interrupted,
    /// By an operator, with these words.
    Operator(String),
    /// An objective that can't be met any more.
    LostCause(String),
    /// The policy for a lost worker.
    WorkerLost(String),
    /// The coordinator itself ended while the run was going on.
    BrokenOff,
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StopReason::Interrupted => f.write_str("interrupted"),
            StopReason::Operator(words) => write!(f, "stopped by an operator: {words}"),
            StopReason::LostCause(why) => write!(f, "an objective can't be met any more: {why}"),
            StopReason::WorkerLost(name) => write!(f, "worker {name} is gone (--on-worker-loss fail)"),
            StopReason::BrokenOff => {
                f.write_str("broken off with its coordinator; this is what was merged until shortly before")
            }
        }
    }
}

/// Why a run was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    #[error(
        "{wanted} workers are wanted and {joined} came within {seconds} s: start `loadgrid-worker --coordinator …`, or ask for fewer (--workers)"
    )]
    TooFewWorkers { wanted: usize, joined: usize, seconds: u64 },
    #[error("worker {worker} can't carry its part out: {message}")]
    Trouble { worker: String, message: String },
    #[error("worker {worker} was not ready within {seconds} s")]
    NotReady { worker: String, seconds: u64 },
    #[error("{0}")]
    Plan(String),
    #[error("worker {worker} planned {theirs} requests where the coordinator planned {ours}: their versions differ")]
    PlansDiffer { worker: String, ours: u64, theirs: u64 },
    #[error("worker {worker} went away before the load began, and was not back within {within:?} (--rejoin)")]
    Gone { worker: String, within: Duration },
    #[error("worker {worker} left before the load began: {reason}")]
    Left { worker: String, reason: String },
    #[error("stopped before the load began: {0}")]
    Stopped(StopReason),
}

/// Where a worker is in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    Joined,
    Assigned,
    Ready,
    /// Said farewell: everything it had to say is merged.
    Complete,
    /// Gone for good.
    Lost,
}

/// A worker's membership in a run.
#[derive(Clone, Debug)]
pub struct Member {
    pub name: String,
    pub capacity: Capacity,
    pub state: MemberState,
    pub share: Option<Share>,
    /// Since when its session is broken or silent, ns; `None` while it is there.
    pub away_ns: Option<u64>,
    pub clock_bound_ns: u64,
}

/// Where the run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    Gathering,
    Preparing,
    Running { start_ns: u64 },
    Over,
}

/// What happens.
#[derive(Debug)]
pub enum Command {
    Join {
        worker: String,
        name: String,
        capacity: Capacity,
    },
    /// The session broke, or fell silent.
    Away {
        worker: String,
        now_ns: u64,
    },
    Back {
        worker: String,
    },
    /// Deal the plan out to those who joined. `planned` is [`Plan::planned`] of each share, in order.
    Assign {
        planned: Vec<(u64, Option<u64>)>,
    },
    Ready {
        worker: String,
        planned_warmup: u64,
        planned: u64,
        clock_bound_ns: u64,
    },
    Start {
        start_ns: u64,
    },
    Interval {
        worker: String,
        interval: Box<Interval>,
    },
    /// `reason` is why it left early, empty for the plan's own end.
    Farewell {
        worker: String,
        last_sequence: u64,
        not_started_warmup: u64,
        not_started: u64,
        reason: String,
    },
    /// It will not come back; `why` is empty where its silence is all that is known.
    Lose {
        worker: String,
        why: String,
    },
    Stop {
        reason: StopReason,
    },
    End,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    Done,
    /// Merged up to this number, now or before: to be acknowledged.
    Merged {
        up_to: u64,
    },
}

/// Why a command was refused. The state is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("there is no such worker in this run")]
    Stranger,
    #[error("the run is past that")]
    TooLate,
    #[error("results are missing before these")]
    Gap,
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A run, complete: what is planned, who takes part, what was measured.
#[derive(Clone, Debug)]
pub struct RunState {
    pub plan: Plan,
    pub phase: Phase,
    pub members: BTreeMap<String, Member>,
    pub results: Results,
    pub stopped: Option<StopReason>,
}

impl RunState {
    pub fn new(plan: Plan) -> Self {
        RunState { plan, phase: Phase::Gathering, members: BTreeMap::new(), results: Results::default(), stopped: None }
    }

    /// The only way a run changes.
    ///
    /// # Errors
    /// The command does not fit the state, which is left as it was.
    pub fn apply(&mut self, command: Command) -> Result<Applied, Rejected> {
        match command {
            Command::Join { worker, name, capacity } => self.join(worker, name, capacity)?,
            Command::Away { worker, now_ns } => {
                self.member(&worker)?.away_ns.get_or_insert(now_ns);
                if self.phase == Phase::Gathering {
                    // Nothing is dealt out yet: it is as if it had never come.
                    self.members.remove(&worker);
                }
            }
            Command::Back { worker } => self.member(&worker)?.away_ns = None,
            Command::Assign { planned } => self.assign(planned)?,
            Command::Ready { worker, planned_warmup, planned, clock_bound_ns } => {
                self.ready(&worker, planned_warmup, planned, clock_bound_ns)?;
            }
            Command::Start { start_ns } => {
                if self.phase != Phase::Preparing || self.members.values().any(|m| m.state != MemberState::Ready) {
                    return Err(Rejected::TooLate);
                }
                self.phase = Phase::Running { start_ns };
            }
            Command::Interval { worker, interval } => return self.interval(&worker, &interval),
            Command::Farewell { worker, last_sequence, not_started_warmup, not_started, reason } => {
                self.farewell(&worker, last_sequence, (not_started_warmup, not_started), reason)?;
            }
            Command::Lose { worker, why } => self.lose(&worker, why)?,
            Command::Stop { reason } => {
                self.stopped.get_or_insert(reason);
            }
            Command::End => self.phase = Phase::Over,
        }
        Ok(Applied::Done)
    }

    /// Shows the run as it would stand if its coordinator ended now: what is merged counts, everything else is lost. What
    /// was measured, which may be large, is not copied for that.
    pub fn as_broken_off<T>(&mut self, look: impl FnOnce(&RunState) -> T) -> T {
        let (members, stopped, phase) = (self.members.clone(), self.stopped.clone(), self.phase.clone());
        self.stopped.get_or_insert(StopReason::BrokenOff);
        for member in self.members.values_mut().filter(|member| member.state != MemberState::Complete) {
            member.state = MemberState::Lost;
        }
        self.phase = Phase::Over;
        let seen = look(self);
        (self.members, self.stopped, self.phase) = (members, stopped, phase);
        seen
    }

    /// Whether nothing more is to come.
    pub fn is_settled(&self) -> bool {
        self.members.values().all(|member| matches!(member.state, MemberState::Complete | MemberState::Lost))
    }

    /// The lost ones' names.
    pub fn lost(&self) -> Vec<String> {
        let lost = self.members.values().filter(|member| member.state == MemberState::Lost);
        lost.map(|member| member.name.clone()).collect()
    }

    fn member(&mut self, worker: &str) -> Result<&mut Member, Rejected> {
        self.members.get_mut(worker).ok_or(Rejected::Stranger)
    }

    fn lose(&mut self, worker: &str, why: String) -> Result<(), Rejected> {
        let member = self.member(worker)?;
        if member.state == MemberState::Complete {
            return Ok(());
        }
        member.state = MemberState::Lost;
        if let Some(results) = self.results.workers.get_mut(worker).filter(|_| !why.is_empty()) {
            results.left_early.get_or_insert(why);
        }
        Ok(())
    }

    fn join(&mut self, worker: String, name: String, capacity: Capacity) -> Result<(), Rejected> {
        if self.phase != Phase::Gathering {
            return Err(Rejected::TooLate);
        }
        let member =
            Member { name, capacity, state: MemberState::Joined, share: None, away_ns: None, clock_bound_ns: 0 };
        self.members.insert(worker, member);
        Ok(())
    }

    /// What each of those who joined would send.
    ///
    /// # Errors
    /// The plan can't be dealt out to them.
    pub fn shares(&self) -> Result<Vec<Share>, RunError> {
        let capacities: Vec<Capacity> = self.members.values().map(|member| member.capacity).collect();
        self.plan.shares(&capacities).map_err(RunError::Plan)
    }

    fn assign(&mut self, planned: Vec<(u64, Option<u64>)>) -> Result<(), Rejected> {
        if self.phase != Phase::Gathering {
            return Err(Rejected::TooLate);
        }
        let shares = self.shares()?;
        if shares.len() != planned.len() {
            return Err(Rejected::TooLate);
        }
        let mut workers = BTreeMap::new();
        for (((id, member), share), planned) in self.members.iter_mut().zip(shares).zip(planned) {
            member.state = MemberState::Assigned;
            member.share = Some(share);
            let (planned_warmup, planned) = planned;
            let name = member.name.clone();
            let results =
                WorkerResults { name, lanes: share.lanes, planned, planned_warmup, ..WorkerResults::default() };
            workers.insert(id.clone(), results);
        }
        let follow_ups = self.plan.test.follow_ups();
        self.results = Results::new(workers, self.plan.interval_ns()).with_follow_ups(follow_ups);
        self.phase = Phase::Preparing;
        Ok(())
    }

    fn ready(&mut self, worker: &str, planned_warmup: u64, planned: u64, clock_bound_ns: u64) -> Result<(), Rejected> {
        let ours = self.results.workers.get(worker).ok_or(Rejected::Stranger)?;
        let open_loop = self.plan.is_open_loop();
        let (ours_warmup, ours) = (ours.planned_warmup, ours.planned.unwrap_or(0));
        if open_loop && (planned != ours || planned_warmup != ours_warmup) {
            let worker = worker.to_owned();
            return Err(RunError::PlansDiffer { worker, ours, theirs: planned }.into());
        }
        let member = self.member(worker)?;
        if member.state == MemberState::Assigned {
            member.state = MemberState::Ready;
        }
        member.clock_bound_ns = clock_bound_ns;
        Ok(())
    }

    fn interval(&mut self, worker: &str, interval: &Interval) -> Result<Applied, Rejected> {
        let member = self.member(worker)?;
        if member.state == MemberState::Lost {
            // Its share is counted as lost already: two accounts of it would not add up.
            return Err(Rejected::TooLate);
        }
        match self.results.merge(worker, interval) {
            Merged::Fresh | Merged::Duplicate => {
                let merged = self.results.workers.get(worker).map_or(0, WorkerResults::merged);
                Ok(Applied::Merged { up_to: merged })
            }
            Merged::Foreign => Err(Rejected::Gap),
        }
    }

    fn farewell(
        &mut self,
        worker: &str,
        last_sequence: u64,
        not_started: (u64, u64),
        reason: String,
    ) -> Result<(), Rejected> {
        let member = self.member(worker)?;
        if member.state == MemberState::Lost {
            return Err(Rejected::TooLate);
        }
        let results = self.results.workers.get_mut(worker).ok_or(Rejected::Stranger)?;
        if results.merged() != last_sequence {
            return Err(Rejected::Gap);
        }
        (results.not_started_warmup, results.not_started) = not_started;
        results.complete = true;
        if !reason.is_empty() && self.stopped.is_none() {
            results.left_early = Some(reason);
        }
        self.member(worker)?.state = MemberState::Complete;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
