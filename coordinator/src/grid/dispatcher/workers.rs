//! Who of the workers is silent, away, back, or of no more use.

use std::time::Duration;

use loadgrid_proto::v1;
use loadgrid_proto::v1::coordinator_message::Kind as ToWorker;
use loadgrid_worker::clock;

use super::{Dispatcher, END_PATIENCE_NS, STANDSTILL_NS, STOP_PATIENCE};
use crate::grid::SILENCE_MAX;
use crate::grid::run::{Command, MemberState, Phase, Policy, RunState, StopReason};
use crate::grid::session::Change;

impl Dispatcher {
    /// A worker is away, and was last heard at `heard_ns`.
    pub(super) fn left(&mut self, worker: String, heard_ns: u64) {
        let complete = self.state.members.get(&worker).is_none_or(|member| member.state == MemberState::Complete);
        if !complete {
            tracing::warn!("worker {} is away", self.name(&worker));
            let _ = self.state.apply(Command::Away { worker, now_ns: heard_ns });
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state.phase, Phase::Running { .. })
    }

    /// A worker that can't go on is not waited for.
    pub(super) fn lose(&mut self, worker: String, why: String) {
        tracing::error!("worker {}: {why}: what it owed is lost", self.name(&worker));
        let _ = self.state.apply(Command::Lose { worker: worker.clone(), why });
        self.let_go(&worker);
        if self.options.on_worker_loss == Policy::Fail && self.stopped_at.is_none() {
            self.stop_all(StopReason::WorkerLost(self.name(&worker)));
        }
    }

    /// A worker that has nothing more to say to this run need not wait for its end.
    pub(super) fn let_go(&self, worker: &str) {
        let run = self.state.plan.run.clone();
        self.send(worker, ToWorker::Release(v1::Release { run, shutdown: false }));
    }

    /// Finds who is silent, and who is away for too long.
    pub(super) fn look_after_workers(&mut self) {
        let now_ns = clock::now_ns();
        self.find_silent(now_ns);
        let overdue = self.is_overdue(now_ns);
        let unsettled = |state: MemberState| !matches!(state, MemberState::Complete | MemberState::Lost);
        let others_settled = |worker: &str, state: &RunState| {
            state
                .members
                .iter()
                .all(|(id, member)| id == worker || !unsettled(member.state) || member.away_ns.is_some())
        };
        let away: Vec<(String, u64)> = self
            .state
            .members
            .iter()
            .filter(|(_, member)| unsettled(member.state))
            .filter_map(|(id, member)| Some((id.clone(), member.away_ns?)))
            .collect();
        for (worker, since_ns) in away {
            let away_for = Duration::from_nanos(now_ns.saturating_sub(since_ns));
            if self.options.on_worker_loss == Policy::Fail && away_for > SILENCE_MAX && self.stopped_at.is_none() {
                self.stop_all(StopReason::WorkerLost(self.name(&worker)));
            }
            let patience = if self.stopped_at.is_some() { STOP_PATIENCE } else { self.options.rejoin };
            if overdue || (away_for > patience && others_settled(&worker, &self.state)) {
                tracing::warn!("worker {} did not come back: what it owed is lost", self.name(&worker));
                let _ = self.state.apply(Command::Lose { worker, why: String::new() });
            }
        }
        if overdue {
            let late: Vec<String> =
                self.state.members.iter().filter(|(_, m)| unsettled(m.state)).map(|(id, _)| id.clone()).collect();
            for worker in late {
                tracing::warn!("worker {} did not end in time: what it owed is lost", self.name(&worker));
                let _ = self.state.apply(Command::Lose { worker, why: String::new() });
            }
        }
    }

    pub(super) fn find_silent(&mut self, now_ns: u64) {
        // After a standstill of our own, what was said meanwhile comes first.
        let looked_ns = std::mem::replace(&mut self.looked_ns, now_ns);
        if now_ns.saturating_sub(looked_ns) > STANDSTILL_NS {
            return;
        }
        let changes: Vec<(String, Change)> = self
            .sessions
            .iter_mut()
            .filter_map(|(worker, session)| Some((worker.clone(), session.look(now_ns)?)))
            .collect();
        for (worker, change) in changes {
            match change {
                Change::Silent(heard_ns) => self.left(worker, heard_ns),
                Change::Back => {
                    let hello = self.sessions.get(&worker).map(|session| session.hello.clone());
                    hello.iter().for_each(|hello| self.admit(hello));
                }
            }
        }
        let missed = self.sessions.iter().filter(|(_, session)| session.takes_up());
        for (worker, _) in missed {
            let state = self.state.members.get(worker).map(|member| member.state);
            self.retell(worker, state != Some(MemberState::Assigned));
        }
    }

    /// Whether even the slowest worker should have said farewell.
    pub(super) fn is_overdue(&self, now_ns: u64) -> bool {
        if self.stopped_at.is_some_and(|at| at.elapsed() > STOP_PATIENCE) {
            return true;
        }
        let test = &self.state.plan.test;
        let Phase::Running { start_ns } = self.state.phase else { return false };
        // A closed loop with a count ends when it is done.
        let endless = !self.state.plan.is_open_loop() && test.load.requests.is_some();
        let end = start_ns + test.load.duration_ns() + test.max_wait_ns + test.timeout_ns + END_PATIENCE_NS;
        !endless && now_ns > end
    }
}
