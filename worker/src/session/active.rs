//! An assignment under way: prepared, started, measured, reported to the last interval.

use std::sync::Arc;
use std::time::Duration;

use loadgrid_proto::v1;
use loadgrid_proto::v1::worker_message::Kind as FromWorker;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::clock_offset::ClockOffset;
use super::{Outgoing, job, wrap};
use crate::allow::AllowList;
use crate::assemble::Assembler;
use crate::engine::{CgroupCpu, Engine, Job, LaneReport};
use crate::spool::Spool;

/// A worker's part in a run.
pub(super) struct Active {
    run: String,
    worker_epoch: u64,
    orphan: Duration,
    /// When the coordinator was last heard.
    heard: Instant,
    stage: Stage,
    spool: Spool,
    assembler: Assembler,
    cgroup: CgroupCpu,
    stop_reason: Option<String>,
    farewell_sent: bool,
}

enum Stage {
    /// Targets are looked up and tried.
    Preparing(JoinHandle<Result<Arc<Job>, String>>),
    /// Ready, or not: to be said as soon as the clock is settled.
    Prepared(Arc<Job>, bool),
    /// To be started once the lanes are there.
    Running(Engine),
    /// The assignment could not be carried out.
    Failed(String, bool),
    Ended,
}

impl Active {
    /// Begins to prepare an assignment.
    pub(super) fn new(assignment: v1::Assignment, lanes_max: u32, allow: AllowList) -> Self {
        let run = assignment.run.clone();
        let orphan = Duration::from_nanos(assignment.orphan_ns);
        let assembler = Assembler::new(assignment.lanes);
        let preparing = tokio::spawn(async move { Ok(Arc::new(job::prepare(assignment, lanes_max, &allow).await?)) });
        Active {
            run,
            worker_epoch: 1,
            orphan,
            heard: Instant::now(),
            stage: Stage::Preparing(preparing),
            spool: Spool::default(),
            assembler,
            cgroup: CgroupCpu::new(),
            stop_reason: None,
            farewell_sent: false,
        }
    }

    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// The coordinator lives.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Whether the coordinator is away for longer than the test allows.
    pub(super) fn is_orphaned(&self) -> bool {
        self.heard.elapsed() > self.orphan
    }

    /// A new stream: what was said on the old one may not have arrived.
    pub(super) fn reconnected(&mut self, merged: u64) {
        self.spool.reconnected(merged);
        self.farewell_sent = false;
        match &mut self.stage {
            Stage::Prepared(_, said) | Stage::Failed(_, said) => *said = false,
            _ => {}
        }
    }

    pub(super) fn acknowledged(&mut self, sequence: u64) {
        self.spool.acknowledge(sequence);
    }

    /// Starts the lanes. `start_ns` is on this worker's clock.
    pub(super) fn start(&mut self, start_ns: u64) {
        let Stage::Prepared(job, _) = &self.stage else { return };
        if self.stop_reason.is_some() {
            return;
        }
        self.cgroup = CgroupCpu::new();
        self.stage = match Engine::start(job.clone(), start_ns) {
            Ok(engine) => Stage::Running(engine),
            Err(error) => Stage::Failed(format!("the lanes can't be started: {error}"), false),
        };
    }

    /// Has the lanes end; their last results still come.
    pub(super) fn stop(&mut self, reason: &str) {
        self.stop_reason.get_or_insert_with(|| reason.to_owned());
        match &self.stage {
            Stage::Running(engine) => engine.stop(),
            Stage::Preparing(_) | Stage::Prepared(..) => self.stage = Stage::Ended,
            Stage::Failed(..) | Stage::Ended => {}
        }
    }

    /// Waits for the next thing that happens here, and takes it up.
    pub(super) async fn progress(&mut self) {
        match &mut self.stage {
            Stage::Preparing(preparing) => {
                let prepared = preparing.await.unwrap_or_else(|error| Err(error.to_string()));
                self.stage = match prepared {
                    Ok(job) => Stage::Prepared(job, false),
                    Err(message) => Stage::Failed(message, false),
                };
            }
            Stage::Running(engine) => match engine.reports.recv().await {
                Some(report) => self.take(report),
                None => self.stage = Stage::Ended,
            },
            Stage::Prepared(..) | Stage::Failed(..) | Stage::Ended => std::future::pending().await,
        }
    }

    fn take(&mut self, report: LaneReport) {
        for mut interval in self.assembler.take(report) {
            self.cgroup.lap(&mut interval.health);
            self.spool.push(interval);
        }
        if self.assembler.is_finished() {
            self.stage = Stage::Ended;
        }
    }

    /// Says what there is to say.
    ///
    /// # Errors
    /// The stream takes no more: it is broken.
    pub(super) fn send(&mut self, outgoing: &Outgoing, clock: &ClockOffset) -> Result<(), String> {
        let say = |kind| outgoing.try_send(wrap(kind)).map_err(|_| "the session takes no more messages".to_owned());
        let (offset, bound) = clock.estimate();
        match &mut self.stage {
            Stage::Prepared(job, said) if !*said && clock.is_settled() => {
                *said = true;
                say(FromWorker::Ready(v1::Ready {
                    run: self.run.clone(),
                    planned_warmup: job.planned.iter().map(|lane| lane.0).sum(),
                    planned: job.planned.iter().map(|lane| lane.1).sum(),
                    clock_offset_ns: offset,
                    clock_bound_ns: bound,
                }))?;
            }
            Stage::Failed(message, said) if !*said => {
                *said = true;
                say(FromWorker::Trouble(v1::Trouble { run: self.run.clone(), message: message.clone() }))?;
            }
            _ => {}
        }
        while outgoing.capacity() > 1
            && let Some(interval) = self.spool.next_to_send()
        {
            let mut message = interval.encode(&self.run, "", self.worker_epoch);
            if let Some(health) = &mut message.health {
                (health.clock_offset_ns, health.clock_bound_ns) = (offset, bound);
            }
            say(FromWorker::Interval(message))?;
        }
        if matches!(self.stage, Stage::Ended) && !self.farewell_sent && self.spool.is_empty() {
            self.farewell_sent = true;
            let (not_started_warmup, not_started) = self.assembler.not_started();
            say(FromWorker::Farewell(v1::Farewell {
                run: self.run.clone(),
                last_sequence: self.spool.last_sequence(),
                not_started_warmup,
                not_started,
                reason: self.stop_reason.clone().unwrap_or_default(),
            }))?;
        }
        Ok(())
    }
}
