//! So many workers of one process, without load: they join a coordinator in plaintext, and report every second as if
//! they drove it. For measuring what a large grid costs its coordinator.
//!
//! Usage: simulated-workers http://ADDRESS:PORT COUNT

use std::collections::BTreeMap;
use std::time::Duration;

use loadgrid_proto::histogram::Recorder;
use loadgrid_proto::v1::coordinator_message::Kind as FromCoordinator;
use loadgrid_proto::v1::grid_client::GridClient;
use loadgrid_proto::v1::worker_message::Kind;
use loadgrid_proto::{PROTOCOL_VERSION, v1};
use loadgrid_worker::clock::now_ns;
use loadgrid_worker::interval::{Health, Interval, Key, Series};
use loadgrid_worker::schedule::counts;
use loadgrid_worker::session::job;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// While no load runs they are heard so often.
const PING_EVERY: Duration = Duration::from_millis(500);

const SECOND_NS: u64 = 1_000_000_000;

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let (url, count) = (arguments.next(), arguments.next().and_then(|count| count.parse::<u32>().ok()));
    let (Some(url), Some(count)) = (url, count) else {
        return Err("usage: simulated-workers http://ADDRESS:PORT COUNT".into());
    };
    loadgrid_worker::limits::raise_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let workers: Vec<_> = (0..count).map(|number| tokio::spawn(work(url.clone(), number))).collect();
        for worker in workers {
            worker.await??;
        }
        Ok(())
    })
}

async fn work(url: String, number: u32) -> Outcome {
    let mut client = GridClient::connect(url).await?;
    let (said, messages) = mpsc::channel(64);
    let say =
        |kind: Kind| said.try_send(v1::WorkerMessage { kind: Some(kind) }).map_err(|_| "the coordinator does not read");
    say(Kind::Hello(v1::Hello {
        protocol_version: PROTOCOL_VERSION,
        worker: format!("simulated-{number:05}"),
        name: format!("s{number}"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        lanes: 1,
        max_connections: 1000,
        run: String::new(),
    }))?;
    let mut incoming = client.session(ReceiverStream::new(messages)).await?.into_inner();
    let mut tick = tokio::time::interval(PING_EVERY);
    let mut run: Option<Run> = None;
    loop {
        tokio::select! {
            message = incoming.message() => match message?.and_then(|message| message.kind) {
                Some(FromCoordinator::Assignment(assignment)) => {
                    let (prepared, ready) = Run::prepare(&assignment)?;
                    say(Kind::Ready(ready))?;
                    run = Some(prepared);
                }
                Some(FromCoordinator::Start(start)) => {
                    let until_start = Duration::from_nanos(start.start_ns.saturating_sub(now_ns()));
                    let second = Duration::from_nanos(SECOND_NS);
                    tick = tokio::time::interval_at(Instant::now() + until_start + second, second);
                    run.iter_mut().for_each(|run| run.started = true);
                }
                Some(FromCoordinator::Release(_)) | None => return Ok(()),
                Some(_) => {}
            },
            _ = tick.tick() => say(match &mut run {
                Some(run) if run.started => run.next(),
                _ => Kind::Ping(v1::ClockPing { worker_ns: now_ns() }),
            })?,
        }
    }
}

struct Run {
    run: String,
    started: bool,
    requests: u32,
    planned: u64,
    seconds: u64,
    sequence: u64,
}

impl Run {
    fn prepare(assignment: &v1::Assignment) -> Result<(Run, v1::Ready), String> {
        let load = job::load(assignment.load.clone().unwrap_or_default())?;
        let (planned_warmup, planned) =
            counts(&load, assignment.seed, assignment.first_lane, 1, assignment.total_lanes)[0];
        let run = assignment.run.clone();
        let ready = v1::Ready { run: run.clone(), planned_warmup, planned, clock_offset_ns: 0, clock_bound_ns: 1000 };
        let seconds = load.duration_ns() / SECOND_NS;
        Ok((
            Run { run, started: false, requests: assignment.requests.len() as u32, planned, seconds, sequence: 0 },
            ready,
        ))
    }

    /// A second's interval, or the farewell.
    fn next(&mut self) -> Kind {
        if self.sequence >= self.seconds {
            return Kind::Farewell(v1::Farewell {
                run: self.run.clone(),
                last_sequence: self.sequence,
                ..v1::Farewell::default()
            });
        }
        let upto = |sequence: u64| self.planned * sequence / self.seconds;
        let mut left = upto(self.sequence + 1) - upto(self.sequence);
        self.sequence += 1;
        let mut all = BTreeMap::new();
        for request in 0..self.requests {
            let count = left / u64::from(self.requests - request);
            left -= count;
            all.insert(Key { warmup: false, request }, series(count));
        }
        let interval = Interval {
            first_sequence: self.sequence,
            sequence: self.sequence,
            start_ns: (self.sequence - 1) * SECOND_NS,
            end_ns: self.sequence * SECOND_NS,
            series: all,
            health: Health { busy_ns: SECOND_NS / 10, wall_ns: SECOND_NS, ..Health::default() },
            ..Interval::default()
        };
        Kind::Interval(interval.encode(&self.run, "", 1))
    }
}

/// Latencies from 1 ms to 20 ms, most of them early.
fn series(count: u64) -> Series {
    let mut recorders: [Recorder; 5] = Default::default();
    for i in 0..count {
        let share = (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1u64 << 53) as f64;
        let ns = 1_000_000 + (19e6 * share.powi(3)) as u64;
        let [latency, lag, wait, service, first_byte] = &mut recorders;
        latency.record(ns + 30_000);
        lag.record(20_000 + i % 40 * 500);
        wait.record(0);
        service.record(ns);
        first_byte.record(ns - 1000);
    }
    let [latency, dispatch_lag, connection_wait, service_time, time_to_first_byte] =
        recorders.map(|mut recorder| recorder.drain());
    Series {
        due: count,
        started: count,
        completed: count,
        statuses: BTreeMap::from([(200, count)]),
        latency,
        dispatch_lag,
        connection_wait,
        service_time,
        time_to_first_byte,
        ..Series::default()
    }
}
