//! A worker's session with its coordinator: joins, keeps its clock, takes an assignment, reports what it measured, and
//! carries on where it was when the stream breaks.
//!
//! The lanes run on while the coordinator is away; what they measure waits in the spool.

mod active;
pub mod clock_offset;
pub mod job;

use std::time::Duration;

use futures_core::future::BoxFuture;
use loadgrid_proto::v1::coordinator_message::Kind as FromCoordinator;
use loadgrid_proto::v1::grid_client::GridClient;
use loadgrid_proto::v1::worker_message::Kind as FromWorker;
use loadgrid_proto::{MESSAGE_BYTES_MAX, PROTOCOL_VERSION, v1};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use self::active::Active;
use self::clock_offset::ClockOffset;
use crate::allow::AllowList;
use crate::clock;

/// Messages that may wait on their way out. What does not fit waits in the spool; nothing else comes in such numbers.
const OUTGOING_MAX: usize = 64;

/// How often the coordinator hears from this worker, at the least, while it has a part in a run.
const PING_EVERY: Duration = Duration::from_millis(500);

/// And while it waits for one: of a large pool these are most of what its coordinator does.
const PING_EVERY_IDLE: Duration = Duration::from_secs(1);

/// How often while the clock is not settled.
const PING_EVERY_UNSETTLED: Duration = Duration::from_millis(5);

/// Silence after which a stream is given up and dialled anew.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// Between two attempts to reach the coordinator.
const REDIAL: Duration = Duration::from_millis(250);

/// How a worker presents itself.
#[derive(Clone, Debug)]
pub struct Options {
    /// Unique to this process.
    pub id: String,
    /// For people.
    pub name: String,
    pub lanes: u32,
    pub max_connections: u64,
    /// Leave after the first run instead of waiting for the next one.
    pub once: bool,
    /// Leave when no coordinator was reached for so long.
    pub give_up: Option<Duration>,
}

/// Opens a channel to the coordinator.
pub type Dial = Box<dyn Fn() -> BoxFuture<'static, Result<Channel, String>> + Send + Sync>;

/// Why a worker leaves for good.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the coordinator refused this worker: {0}")]
    Refused(String),
    #[error("no coordinator was reached for {0:?}: {1}")]
    GaveUp(Duration, String),
    #[error(
        "the TLS connection to the coordinator failed: {0}. Worker and coordinator need certificates of the same CA \
         (`loadgrid certs DIR` makes them), and the worker's --coordinator a name that the coordinator's is for"
    )]
    Certificate(String),
}

/// A worker, from its first dial to its last farewell.
pub struct Worker {
    dial: Dial,
    options: Options,
    allow: AllowList,
    /// Whether a session is open, for others.
    in_session: watch::Sender<bool>,
    /// It was in a session before: its certificates were once good, and may be so again.
    joined: bool,
    clock: ClockOffset,
    active: Option<Active>,
}

/// Why a stream was left.
enum Left {
    /// It broke, or never came about: dial again.
    Broken(String),
    /// The run is over, and with it this session.
    Released,
    /// The worker's process may end.
    Dismissed,
    /// It did not come about over a certificate.
    Certificate(String),
    Fatal(Error),
}

type Outgoing = mpsc::Sender<v1::WorkerMessage>;

impl Worker {
    pub fn new(dial: Dial, options: Options) -> Self {
        Worker {
            dial,
            options,
            allow: AllowList::everything(),
            in_session: watch::channel(false).0,
            joined: false,
            clock: ClockOffset::default(),
            active: None,
        }
    }

    /// Takes no assignment with a target outside this list; otherwise everything is allowed.
    #[must_use]
    pub fn allowing(mut self, allow: AllowList) -> Self {
        self.allow = allow;
        self
    }

    /// Whether a session is open.
    pub fn in_session(&self) -> watch::Receiver<bool> {
        self.in_session.subscribe()
    }

    /// Serves until it is released for good, refused, or `stop` turns true. A stop ends the load first and lets the
    /// coordinator know.
    ///
    /// # Errors
    /// What makes another attempt pointless, see [`Error`].
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
        let mut reached = Instant::now();
        let mut said = String::new();
        loop {
            let began = Instant::now();
            let left = self.serve(&mut stop).await;
            self.in_session.send_if_modified(|open| std::mem::replace(open, false));
            match left {
                Left::Dismissed => return Ok(()),
                Left::Released if self.options.once => return Ok(()),
                Left::Released => {
                    reached = Instant::now();
                    said.clear();
                    tracing::info!("waiting for the next run");
                }
                Left::Fatal(error) => return Err(error),
                // Certificates are renewed on both sides, and not in the same moment.
                Left::Certificate(why) if !self.joined => return Err(Error::Certificate(why)),
                Left::Broken(why) | Left::Certificate(why) => {
                    if began.elapsed() > SILENCE_MAX {
                        reached = Instant::now();
                    }
                    if said != why && self.active.is_some() {
                        tracing::warn!("the session with the coordinator broke: {why}; trying again");
                        said = why;
                    } else if said != why {
                        tracing::info!("no coordinator yet: {why}; trying again");
                        said = why;
                    }
                }
            }
            if *stop.borrow() {
                return Ok(());
            }
            if let Some(limit) = self.options.give_up.filter(|limit| reached.elapsed() > *limit) {
                return Err(Error::GaveUp(limit, said));
            }
            self.wait_offline(REDIAL, &mut stop).await;
        }
    }

    /// Between two streams: lanes go on, their results are collected, and orphans stop.
    async fn wait_offline(&mut self, pause: Duration, stop: &mut watch::Receiver<bool>) {
        let until = Instant::now() + pause;
        loop {
            let active = async {
                match &mut self.active {
                    Some(active) => active.progress().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                _ = stop.changed() => return,
                () = active => {}
            }
            if self.active.as_ref().is_some_and(Active::is_orphaned) {
                tracing::error!("the coordinator is away for longer than the test allows: the load stops");
                self.active = None;
            }
        }
    }

    async fn serve(&mut self, stop: &mut watch::Receiver<bool>) -> Left {
        let (outgoing, mut incoming) = match self.open().await {
            Ok(streams) => streams,
            Err(left) => return left,
        };
        let mut ping = tokio::time::interval(PING_EVERY_UNSETTLED);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        let mut leaving = false;
        loop {
            if let Some(active) = &mut self.active
                && let Err(why) = active.send(&outgoing, &self.clock)
            {
                return Left::Broken(why);
            }
            let progress = async {
                match &mut self.active {
                    Some(active) => active.progress().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                message = incoming.message() => match message {
                    Ok(Some(message)) => {
                        heard = Instant::now();
                        if let Err(left) = self.take(message) {
                            return left;
                        }
                    }
                    Ok(None) => return Left::Broken("the coordinator closed the session".to_owned()),
                    Err(status) => return left_by(&status),
                },
                () = progress => {}
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE_MAX {
                        return Left::Broken("the coordinator is silent".to_owned());
                    }
                    let every = if self.active.is_some() { PING_EVERY } else { PING_EVERY_IDLE };
                    if self.clock.is_settled() && ping.period() != every {
                        ping = tokio::time::interval_at(Instant::now() + every, every);
                    }
                    // With a full channel the coordinator does not read: its silence will tell.
                    let _ = outgoing.try_send(wrap(FromWorker::Ping(v1::ClockPing { worker_ns: clock::now_ns() })));
                }
                _ = stop.changed(), if !leaving => {
                    leaving = true;
                    match &mut self.active {
                        Some(active) => active.stop("the worker was told to stop"),
                        None => return Left::Dismissed,
                    }
                }
            }
        }
    }

    async fn open(&mut self) -> Result<(Outgoing, Streaming<v1::CoordinatorMessage>), Left> {
        let channel = tokio::time::timeout(SILENCE_MAX, (self.dial)()).await;
        let channel = match channel {
            Err(_) => return Err(Left::Broken("the coordinator does not answer".to_owned())),
            Ok(Err(why)) if is_about_certificates(&why) => return Err(Left::Certificate(why)),
            Ok(Err(why)) => return Err(Left::Broken(why)),
            Ok(Ok(channel)) => channel,
        };
        let mut client = GridClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (outgoing, messages) = mpsc::channel(OUTGOING_MAX);
        let hello = v1::Hello {
            protocol_version: PROTOCOL_VERSION,
            worker: self.options.id.clone(),
            name: self.options.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            lanes: self.options.lanes,
            max_connections: self.options.max_connections,
            run: self.active.as_ref().map(|active| active.run().to_owned()).unwrap_or_default(),
        };
        // The channel is new and empty.
        let _ = outgoing.try_send(wrap(FromWorker::Hello(hello)));
        let opened = tokio::time::timeout(SILENCE_MAX, client.session(ReceiverStream::new(messages))).await;
        match opened {
            Err(_) => Err(Left::Broken("the coordinator does not answer".to_owned())),
            Ok(Err(status)) => Err(left_by(&status)),
            Ok(Ok(response)) => Ok((outgoing, response.into_inner())),
        }
    }

    fn take(&mut self, message: v1::CoordinatorMessage) -> Result<(), Left> {
        if let Some(active) = &mut self.active {
            active.heard();
        }
        match message.kind {
            Some(FromCoordinator::Welcome(welcome)) => {
                tracing::info!("joined the coordinator as {}", self.options.name);
                self.joined = true;
                self.in_session.send_replace(true);
                match &mut self.active {
                    Some(active) if welcome.resume => active.reconnected(welcome.merged),
                    _ => self.active = None,
                }
            }
            Some(FromCoordinator::Pong(pong)) => {
                self.clock.take(pong.worker_ns, pong.coordinator_ns, clock::now_ns());
            }
            Some(FromCoordinator::Assignment(assignment)) => {
                tracing::info!("run {}: {} lanes assigned", assignment.run, assignment.lanes);
                self.active = Some(Active::new(assignment, self.options.lanes, self.allow.clone()));
            }
            Some(FromCoordinator::Start(start)) => {
                let start_ns = self.clock.to_local(start.start_ns);
                if let Some(active) = self.active_run(&start.run) {
                    active.start(start_ns);
                }
            }
            Some(FromCoordinator::Stop(stop)) => {
                if let Some(active) = self.active_run(&stop.run) {
                    active.stop(&stop.reason);
                }
            }
            Some(FromCoordinator::Ack(ack)) => {
                if let Some(active) = self.active_run(&ack.run) {
                    active.acknowledged(ack.sequence);
                }
            }
            Some(FromCoordinator::Release(release)) => {
                tracing::info!("run {} is over", release.run);
                self.active = None;
                return Err(if release.shutdown { Left::Dismissed } else { Left::Released });
            }
            // From a coordinator that knows more than this worker: it asked for the protocol's version.
            None => {}
        }
        Ok(())
    }

    fn active_run(&mut self, run: &str) -> Option<&mut Active> {
        self.active.as_mut().filter(|active| active.run() == run)
    }
}

fn wrap(kind: FromWorker) -> v1::WorkerMessage {
    v1::WorkerMessage { kind: Some(kind) }
}

fn left_by(status: &Status) -> Left {
    let message = status_text(status);
    match status.code() {
        Code::FailedPrecondition | Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument => {
            Left::Fatal(Error::Refused(status.message().to_owned()))
        }
        _ if is_about_certificates(&message) => Left::Certificate(message),
        _ => Left::Broken(message),
    }
}

/// A status in words: its message, and what caused it.
pub fn status_text(status: &Status) -> String {
    let source = std::error::Error::source(status).map(error_chain).unwrap_or_default();
    match (status.message(), source.as_str()) {
        ("", "") => status.code().description().to_owned(),
        (message, "") => message.to_owned(),
        ("", source) => source.to_owned(),
        (message, source) => format!("{message}: {source}"),
    }
}

/// Another attempt would meet the same certificates, unless they are renewed.
fn is_about_certificates(message: &str) -> bool {
    ["certificate", "UnknownIssuer", "alert", "CertificateRequired"].iter().any(|word| message.contains(word))
}

/// An error with all its causes: the first alone often says no more than "transport error".
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += ": ";
            text += &cause_text;
        }
        source = cause.source();
    }
    text
}
