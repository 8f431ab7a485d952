//! A lane's measurements: recorded without allocation or lock, drained once per interval.

use std::collections::BTreeMap;

use loadgrid_proto::ErrorKind;
use loadgrid_proto::error_kind::ERROR_KINDS;
use loadgrid_proto::histogram;

use crate::interval::{Interval, Key, Series};

/// Dispatched later than this after the intended start, an arrival counts as late; ns.
pub const LATE_NS: u64 = 1_000_000;

/// One past the largest status that a response can have.
const STATUSES: usize = 1000;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete response; and why it counts as an error, if it does.
    Response { status: u16, error: Option<ErrorKind> },
    /// A gRPC call that ended with a code.
    Call { code: u16, error: Option<ErrorKind> },
    /// None.
    Failure(ErrorKind),
}

/// The instants of a request that ended, ns of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub request: u32,
    pub warmup: bool,
    pub intended: u64,
    pub dispatched: u64,
    /// When its first byte was written; `None` if no connection was had.
    pub sent: Option<u64>,
    pub first_byte: Option<u64>,
    pub end: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub messages_sent: u64,
    pub messages_received: u64,
    /// The first check that did not hold.
    pub failed_check: Option<u32>,
    pub outcome: Outcome,
}

/// Everything of one lane since it was last drained.
pub struct Recorder {
    /// Main phase first, then warm-up, each in order of the requests; made at the first sample.
    slots: Vec<Option<Box<Slot>>>,
    requests: usize,
    pub connect_time: histogram::Recorder,
    pub handshake_time: histogram::Recorder,
}

struct Slot {
    latency: histogram::Recorder,
    dispatch_lag: histogram::Recorder,
    connection_wait: histogram::Recorder,
    service_time: histogram::Recorder,
    time_to_first_byte: histogram::Recorder,
    due: u64,
    started: u64,
    completed: u64,
    cancelled: u64,
    dropped: u64,
    late: u64,
    bytes_sent: u64,
    bytes_received: u64,
    statuses: Box<[u64]>,
    error_kinds: [u64; ERROR_KINDS],
    messages_sent: u64,
    messages_received: u64,
    grpc_codes: BTreeMap<u16, u64>,
    failed_checks: BTreeMap<u32, u64>,
    streams: Option<Box<Streams>>,
}

/// Of calls with streams of messages alone.
#[derive(Default)]
struct Streams {
    time_to_first_message: histogram::Recorder,
    message_gap: histogram::Recorder,
}

impl Default for Slot {
    fn default() -> Self {
        Slot {
            latency: Default::default(),
            dispatch_lag: Default::default(),
            connection_wait: Default::default(),
            service_time: Default::default(),
            time_to_first_byte: Default::default(),
            due: 0,
            started: 0,
            completed: 0,
            cancelled: 0,
            dropped: 0,
            late: 0,
            bytes_sent: 0,
            bytes_received: 0,
            statuses: vec![0; STATUSES].into_boxed_slice(),
            error_kinds: [0; ERROR_KINDS],
            messages_sent: 0,
            messages_received: 0,
            grpc_codes: BTreeMap::new(),
            failed_checks: BTreeMap::new(),
            streams: None,
        }
    }
}

impl Recorder {
    /// A recorder for a test of so many requests.
    pub fn new(requests: usize) -> Self {
        let slots = std::iter::repeat_with(|| None).take(requests * 2).collect();
        Recorder { slots, requests, connect_time: Default::default(), handshake_time: Default::default() }
    }

    #[inline]
    fn slot(&mut self, warmup: bool, request: u32) -> &mut Slot {
        let index = usize::from(warmup) * self.requests + request as usize;
        self.slots[index].get_or_insert_default()
    }

    /// An arrival fell due and was taken up.
    #[inline]
    pub fn due(&mut self, warmup: bool, request: u32) {
        self.slot(warmup, request).due += 1;
    }

    /// An arrival got its connection.
    #[inline]
    pub fn started(&mut self, warmup: bool, request: u32) {
        self.slot(warmup, request).started += 1;
    }

    /// An arrival waited longer than the bound. Its dispatch lag counts all the same: it is the generator's.
    pub fn dropped(&mut self, warmup: bool, request: u32, lag: u64) {
        let slot = self.slot(warmup, request);
        slot.dropped += 1;
        slot.dispatch_lag.record(lag);
        slot.late += u64::from(lag > LATE_NS);
    }

    /// A request was given up because the run was stopped: how long it would have taken nobody knows.
    pub fn cancelled(&mut self, warmup: bool, request: u32) {
        self.slot(warmup, request).cancelled += 1;
    }

    /// A request ended. Its latency is the sum of the three parts, to the nanosecond.
    #[inline]
    pub fn record(&mut self, sample: &Sample) {
        let slot = self.slot(sample.warmup, sample.request);
        let lag = sample.dispatched.saturating_sub(sample.intended);
        let sent = sample.sent.unwrap_or(sample.end);
        slot.latency.record(sample.end.saturating_sub(sample.intended));
        slot.dispatch_lag.record(lag);
        slot.connection_wait.record(sent.saturating_sub(sample.dispatched));
        slot.service_time.record(sample.end.saturating_sub(sent));
        if let Some(first_byte) = sample.first_byte {
            slot.time_to_first_byte.record(first_byte.saturating_sub(sent));
        }
        slot.late += u64::from(lag > LATE_NS);
        slot.bytes_sent += sample.bytes_sent;
        slot.bytes_received += sample.bytes_received;
        slot.messages_sent += sample.messages_sent;
        slot.messages_received += sample.messages_received;
        if let Some(check) = sample.failed_check {
            *slot.failed_checks.entry(check).or_default() += 1;
        }
        let error = match sample.outcome {
            Outcome::Response { status, error } => {
                slot.statuses[usize::from(status).min(STATUSES - 1)] += 1;
                error
            }
            Outcome::Call { code, error } => {
                *slot.grpc_codes.entry(code).or_default() += 1;
                error
            }
            Outcome::Failure(kind) => Some(kind),
        };
        match error {
            Some(kind) => slot.error_kinds[kind as usize] += 1,
            None => slot.completed += 1,
        }
    }

    /// A message of a stream came: so long after the first byte was sent, or after the message before it.
    pub fn message(&mut self, warmup: bool, request: u32, first: bool, ns: u64) {
        let streams = self.slot(warmup, request).streams.get_or_insert_default();
        if first {
            streams.time_to_first_message.record(ns);
        } else {
            streams.message_gap.record(ns);
        }
    }

    /// Takes everything and leaves it empty. The caller fills in times, sequence and health.
    pub fn drain(&mut self) -> Interval {
        let mut series = BTreeMap::new();
        let requests = self.requests;
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(slot) = slot else { continue };
            let key = Key { warmup: index >= requests, request: (index % requests) as u32 };
            series.insert(key, slot.drain());
        }
        let (connect_time, handshake_time) = (self.connect_time.drain(), self.handshake_time.drain());
        Interval { series, connect_time, handshake_time, ..Interval::default() }
    }
}

impl Slot {
    fn drain(&mut self) -> Series {
        use std::mem::take;
        let statuses = self.statuses.iter_mut().enumerate().filter(|(_, count)| **count > 0);
        let statuses = statuses.map(|(status, count)| (status as u16, take(count))).collect();
        let kinds = ErrorKind::ALL.into_iter().zip(self.error_kinds.iter_mut()).filter(|(_, count)| **count > 0);
        let error_kinds: BTreeMap<ErrorKind, u64> = kinds.map(|(kind, count)| (kind, take(count))).collect();
        let (time_to_first_message, message_gap) = match &mut self.streams {
            Some(streams) => (streams.time_to_first_message.drain(), streams.message_gap.drain()),
            None => Default::default(),
        };
        Series {
            due: take(&mut self.due),
            started: take(&mut self.started),
            completed: take(&mut self.completed),
            errors: error_kinds.values().sum(),
            cancelled: take(&mut self.cancelled),
            dropped: take(&mut self.dropped),
            late: take(&mut self.late),
            bytes_sent: take(&mut self.bytes_sent),
            bytes_received: take(&mut self.bytes_received),
            statuses,
            error_kinds,
            latency: self.latency.drain(),
            dispatch_lag: self.dispatch_lag.drain(),
            connection_wait: self.connection_wait.drain(),
            service_time: self.service_time.drain(),
            time_to_first_byte: self.time_to_first_byte.drain(),
            grpc_codes: take(&mut self.grpc_codes),
            failed_checks: take(&mut self.failed_checks),
            messages_sent: take(&mut self.messages_sent),
            messages_received: take(&mut self.messages_received),
            time_to_first_message,
            message_gap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(outcome: Outcome) -> Sample {
        Sample {
            request: 0,
            warmup: false,
            intended: 1_000,
            dispatched: 1_100,
            sent: Some(1_300),
            first_byte: Some(1_600),
            end: 1_700,
            bytes_sent: 10,
            bytes_received: 20,
            messages_sent: 0,
            messages_received: 0,
            failed_check: None,
            outcome,
        }
    }

    #[test]
    fn the_three_parts_add_up_to_the_latency() {
        let mut recorder = Recorder::new(1);
        recorder.record(&sample(Outcome::Response { status: 200, error: None }));
        // Without a connection all is waiting.
        recorder.record(&Sample {
            sent: None,
            first_byte: None,
            ..sample(Outcome::Failure(ErrorKind::ConnectRefused))
        });
        let drained = recorder.drain();
        let series = &drained.series[&Key { warmup: false, request: 0 }];
        let sum = |recorded: &loadgrid_proto::Recorded| recorded.summary().sum;
        assert_eq!(sum(&series.latency), 1400);
        assert_eq!(sum(&series.dispatch_lag) + sum(&series.connection_wait) + sum(&series.service_time), 1400);
        assert_eq!(sum(&series.service_time), 400);
        assert_eq!(series.time_to_first_byte.count(), 1);
        assert_eq!((series.completed, series.errors), (1, 1));
    }

    #[test]
    fn late_is_more_than_a_millisecond_after_the_intended_start() {
        let mut recorder = Recorder::new(1);
        for lag in [LATE_NS, LATE_NS + 1] {
            let at = 1_000 + lag;
            let outcome = Outcome::Response { status: 200, error: None };
            recorder.record(&Sample { dispatched: at, sent: Some(at), end: at, ..sample(outcome) });
        }
        assert_eq!(recorder.drain().series[&Key { warmup: false, request: 0 }].late, 1);
    }

    #[test]
    fn calls_count_by_code_and_messages_by_their_gaps() {
        let mut recorder = Recorder::new(1);
        recorder.message(false, 0, true, 500);
        recorder.message(false, 0, false, 20);
        let outcome = Outcome::Call { code: 5, error: Some(ErrorKind::GrpcStatus) };
        recorder.record(&Sample { messages_received: 2, failed_check: Some(3), ..sample(outcome) });
        let drained = recorder.drain();
        let series = &drained.series[&Key { warmup: false, request: 0 }];
        assert_eq!(series.grpc_codes, BTreeMap::from([(5, 1)]));
        assert_eq!(series.failed_checks, BTreeMap::from([(3, 1)]));
        assert_eq!((series.messages_received, series.errors, series.statuses.len()), (2, 1, 0));
        assert_eq!((series.time_to_first_message.count(), series.message_gap.summary().max), (1, 20));
    }

    #[test]
    fn an_error_status_is_counted_as_both() {
        let mut recorder = Recorder::new(2);
        let outcome = Outcome::Response { status: 503, error: Some(ErrorKind::Status) };
        recorder.record(&Sample { request: 1, warmup: true, ..sample(outcome) });
        let drained = recorder.drain();
        let series = &drained.series[&Key { warmup: true, request: 1 }];
        assert_eq!(series.statuses, BTreeMap::from([(503, 1)]));
        assert_eq!(series.error_kinds, BTreeMap::from([(ErrorKind::Status, 1)]));
        assert_eq!(series.ended(), 1);
        assert_eq!(recorder.drain().series[&Key { warmup: true, request: 1 }], Series::default());
    }
}
