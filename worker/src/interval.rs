//! What a worker measured in a second or more of a run, as it is kept, merged and sent.
//!
//! Merging is addition throughout, so the order of intervals and the number of lanes or workers do not matter.

use std::collections::BTreeMap;

use loadgrid_proto::{DecodeError, ErrorKind, Recorded, v1};

/// One request in one phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Arrivals taken up by the lane.
    pub due: u64,
    /// Arrivals taken up by a connection, counted when that happened.
    pub started: u64,
    /// Ended without an error.
    pub completed: u64,
    /// Ended with one.
    pub errors: u64,
    /// In flight when the run was stopped, and given up: in no histogram.
    pub cancelled: u64,
    /// Waited for a connection longer than the bound.
    pub dropped: u64,
    /// Dispatched more than 1 ms after the intended start.
    pub late: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub statuses: BTreeMap<u16, u64>,
    pub error_kinds: BTreeMap<ErrorKind, u64>,
    /// By gRPC status code.
    pub grpc_codes: BTreeMap<u16, u64>,
    /// By the check's number in its request.
    pub failed_checks: BTreeMap<u32, u64>,
    /// gRPC messages.
    pub messages_sent: u64,
    pub messages_received: u64,
    /// End − intended start. The next three add up to it.
    pub latency: Recorded,
    pub dispatch_lag: Recorded,
    pub connection_wait: Recorded,
    pub service_time: Recorded,
    pub time_to_first_byte: Recorded,
    /// Of streams: first byte sent to first message, and between messages.
    pub time_to_first_message: Recorded,
    pub message_gap: Recorded,
}

impl Series {
    /// Requests that ended, well or not.
    pub fn ended(&self) -> u64 {
        self.completed + self.errors
    }

    /// Adds another one of the same request and phase.
    pub fn merge(&mut self, other: &Series) {
        self.due += other.due;
        self.started += other.started;
        self.completed += other.completed;
        self.errors += other.errors;
        self.cancelled += other.cancelled;
        self.dropped += other.dropped;
        self.late += other.late;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        add(&mut self.statuses, &other.statuses);
        add(&mut self.error_kinds, &other.error_kinds);
        add(&mut self.grpc_codes, &other.grpc_codes);
        add(&mut self.failed_checks, &other.failed_checks);
        self.messages_sent += other.messages_sent;
        self.messages_received += other.messages_received;
        self.latency.merge(&other.latency);
        self.dispatch_lag.merge(&other.dispatch_lag);
        self.connection_wait.merge(&other.connection_wait);
        self.service_time.merge(&other.service_time);
        self.time_to_first_byte.merge(&other.time_to_first_byte);
        self.time_to_first_message.merge(&other.time_to_first_message);
        self.message_gap.merge(&other.message_gap);
    }
}

/// Adds counts by key.
pub fn add<K: Ord + Copy>(sums: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    more.iter().for_each(|(key, count)| *sums.entry(*key).or_default() += count);
}

/// What the self-audit judges. Times in ns. Counters cover the interval; of lanes the worst is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Health {
    /// CPU time and wall time of the busiest lane.
    pub busy_ns: u64,
    pub wall_ns: u64,
    /// Ready to run but without a CPU, the worst lane.
    pub starved_ns: u64,
    /// From cgroup cpu.stat.
    pub throttled_ns: u64,
    pub throttled_periods: u64,
    pub descriptors_exhausted: u64,
    pub ports_exhausted: u64,
    pub connections_opened: u64,
    pub connections_open: u64,
    pub in_flight: u64,
    pub waiting: u64,
    pub clock_offset_ns: i64,
    pub clock_bound_ns: u64,
    /// The first dispatch after its intended start.
    pub start_skew_ns: Option<i64>,
    pub merged_intervals: u64,
    pub unsolicited: u64,
    /// Sent again because the server had not taken them up.
    pub retried: u64,
    /// Connections that a server ended by GOAWAY.
    pub goaways: u64,
}

impl Health {
    /// Puts two lanes of the same interval together.
    pub fn merge_lane(&mut self, other: &Health) {
        if other.share() > self.share() {
            self.busy_ns = other.busy_ns;
            self.wall_ns = other.wall_ns;
        }
        self.starved_ns = self.starved_ns.max(other.starved_ns);
        self.connections_open += other.connections_open;
        self.in_flight += other.in_flight;
        self.waiting += other.waiting;
        self.merge_counters(other);
    }

    /// Puts two neighbouring intervals of the same worker together.
    pub fn merge_next(&mut self, next: &Health) {
        self.busy_ns += next.busy_ns;
        self.wall_ns += next.wall_ns;
        self.starved_ns += next.starved_ns;
        self.connections_open = next.connections_open;
        self.in_flight = next.in_flight;
        self.waiting = next.waiting;
        self.clock_offset_ns = next.clock_offset_ns;
        self.clock_bound_ns = self.clock_bound_ns.max(next.clock_bound_ns);
        self.merge_counters(next);
    }

    fn merge_counters(&mut self, other: &Health) {
        self.throttled_ns += other.throttled_ns;
        self.throttled_periods += other.throttled_periods;
        self.descriptors_exhausted += other.descriptors_exhausted;
        self.ports_exhausted += other.ports_exhausted;
        self.connections_opened += other.connections_opened;
        self.merged_intervals += other.merged_intervals;
        self.unsolicited += other.unsolicited;
        self.retried += other.retried;
        self.goaways += other.goaways;
        self.start_skew_ns = match (self.start_skew_ns, other.start_skew_ns) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// The busiest lane's share of a core, 0 to 1.
    pub fn share(&self) -> f64 {
        if self.wall_ns == 0 { 0.0 } else { self.busy_ns as f64 / self.wall_ns as f64 }
    }
}

/// Whose request: phase and number in the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub warmup: bool,
    pub request: u32,
}

/// One worker's results between two instants of a run, or one lane's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interval {
    /// Covers the sequence numbers `first_sequence ..= sequence`, counted from 1.
    pub first_sequence: u64,
    pub sequence: u64,
    /// After the start of the warm-up, ns.
    pub start_ns: u64,
    pub end_ns: u64,
    pub series: BTreeMap<Key, Series>,
    pub connect_time: Recorded,
    /// TLS handshakes.
    pub handshake_time: Recorded,
    pub health: Health,
}

impl Interval {
    /// Adds another lane's results of the same interval.
    pub fn merge_lane(&mut self, other: &Interval) {
        self.start_ns = self.start_ns.min(other.start_ns);
        self.end_ns = self.end_ns.max(other.end_ns);
        self.merge_results(other);
        self.health.merge_lane(&other.health);
    }

    /// Takes up the interval that follows: time resolution is lost, never data.
    pub fn merge_next(&mut self, next: &Interval) {
        self.sequence = next.sequence;
        self.end_ns = next.end_ns;
        self.merge_results(next);
        self.health.merge_next(&next.health);
        self.health.merged_intervals += 1;
    }

    fn merge_results(&mut self, other: &Interval) {
        for (key, series) in &other.series {
            self.series.entry(*key).or_default().merge(series);
        }
        self.connect_time.merge(&other.connect_time);
        self.handshake_time.merge(&other.handshake_time);
    }

    /// The message for the wire.
    pub fn encode(&self, run: &str, worker: &str, epoch: u64) -> v1::Interval {
        v1::Interval {
            run: run.to_owned(),
            worker: worker.to_owned(),
            epoch,
            first_sequence: self.first_sequence,
            sequence: self.sequence,
            start_ns: self.start_ns,
            end_ns: self.end_ns,
            series: self.series.iter().map(|(key, series)| encode_series(*key, series)).collect(),
            connect_time: Some(self.connect_time.encode()),
            handshake_time: Some(self.handshake_time.encode()),
            health: Some(encode_health(&self.health)),
        }
    }

    /// Reads the message back.
    ///
    /// # Errors
    /// A histogram that could not have been encoded by a worker.
    pub fn decode(message: &v1::Interval) -> Result<Self, DecodeError> {
        let mut series = BTreeMap::new();
        for part in &message.series {
            series.insert(Key { warmup: part.warmup, request: part.request }, decode_series(part)?);
        }
        Ok(Interval {
            first_sequence: message.first_sequence,
            sequence: message.sequence,
            start_ns: message.start_ns,
            end_ns: message.end_ns,
            series,
            connect_time: decode_histogram(message.connect_time.as_ref())?,
            handshake_time: decode_histogram(message.handshake_time.as_ref())?,
            health: decode_health(message.health.as_ref()),
        })
    }
}

fn encode_series(key: Key, series: &Series) -> v1::Series {
    let count = |(key, count): (u32, &u64)| v1::Count { key, count: *count };
    v1::Series {
        warmup: key.warmup,
        request: key.request,
        due: series.due,
        started: series.started,
        completed: series.completed,
        errors: series.errors,
        cancelled: series.cancelled,
        dropped: series.dropped,
        late: series.late,
        bytes_sent: series.bytes_sent,
        bytes_received: series.bytes_received,
        statuses: series.statuses.iter().map(|(status, n)| count((u32::from(*status), n))).collect(),
        error_kinds: series.error_kinds.iter().map(|(kind, n)| count((*kind as u32, n))).collect(),
        grpc_codes: series.grpc_codes.iter().map(|(code, n)| count((u32::from(*code), n))).collect(),
        failed_checks: series.failed_checks.iter().map(|(check, n)| count((*check, n))).collect(),
        messages_sent: series.messages_sent,
        messages_received: series.messages_received,
        latency: Some(series.latency.encode()),
        dispatch_lag: Some(series.dispatch_lag.encode()),
        connection_wait: Some(series.connection_wait.encode()),
        service_time: Some(series.service_time.encode()),
        time_to_first_byte: Some(series.time_to_first_byte.encode()),
        time_to_first_message: Some(series.time_to_first_message.encode()),
        message_gap: Some(series.message_gap.encode()),
    }
}

fn decode_series(message: &v1::Series) -> Result<Series, DecodeError> {
    let kinds = message.error_kinds.iter().filter_map(|c| Some((ErrorKind::from_number(c.key)?, c.count)));
    Ok(Series {
        due: message.due,
        started: message.started,
        completed: message.completed,
        errors: message.errors,
        cancelled: message.cancelled,
        dropped: message.dropped,
        late: message.late,
        bytes_sent: message.bytes_sent,
        bytes_received: message.bytes_received,
        statuses: message.statuses.iter().map(|count| (count.key as u16, count.count)).collect(),
        error_kinds: kinds.collect(),
        grpc_codes: message.grpc_codes.iter().map(|count| (count.key as u16, count.count)).collect(),
        failed_checks: message.failed_checks.iter().map(|count| (count.key, count.count)).collect(),
        messages_sent: message.messages_sent,
        messages_received: message.messages_received,
        latency: decode_histogram(message.latency.as_ref())?,
        dispatch_lag: decode_histogram(message.dispatch_lag.as_ref())?,
        connection_wait: decode_histogram(message.connection_wait.as_ref())?,
        service_time: decode_histogram(message.service_time.as_ref())?,
        time_to_first_byte: decode_histogram(message.time_to_first_byte.as_ref())?,
        time_to_first_message: decode_histogram(message.time_to_first_message.as_ref())?,
        message_gap: decode_histogram(message.message_gap.as_ref())?,
    })
}

fn decode_histogram(message: Option<&v1::Histogram>) -> Result<Recorded, DecodeError> {
    message.map_or_else(|| Ok(Recorded::default()), Recorded::decode)
}

fn encode_health(health: &Health) -> v1::Health {
    v1::Health {
        busy_ns: health.busy_ns,
        wall_ns: health.wall_ns,
        starved_ns: health.starved_ns,
        throttled_ns: health.throttled_ns,
        throttled_periods: health.throttled_periods,
        descriptors_exhausted: health.descriptors_exhausted,
        ports_exhausted: health.ports_exhausted,
        connections_opened: health.connections_opened,
        connections_open: health.connections_open,
        in_flight: health.in_flight,
        waiting: health.waiting,
        clock_offset_ns: health.clock_offset_ns,
        clock_bound_ns: health.clock_bound_ns,
        has_start_skew: health.start_skew_ns.is_some(),
        start_skew_ns: health.start_skew_ns.unwrap_or(0),
        merged_intervals: health.merged_intervals,
        unsolicited: health.unsolicited,
        retried: health.retried,
        goaways: health.goaways,
    }
}

fn decode_health(message: Option<&v1::Health>) -> Health {
    let Some(message) = message else { return Health::default() };
    Health {
        busy_ns: message.busy_ns,
        wall_ns: message.wall_ns,
        starved_ns: message.starved_ns,
        throttled_ns: message.throttled_ns,
        throttled_periods: message.throttled_periods,
        descriptors_exhausted: message.descriptors_exhausted,
        ports_exhausted: message.ports_exhausted,
        connections_opened: message.connections_opened,
        connections_open: message.connections_open,
        in_flight: message.in_flight,
        waiting: message.waiting,
        clock_offset_ns: message.clock_offset_ns,
        clock_bound_ns: message.clock_bound_ns,
        start_skew_ns: message.has_start_skew.then_some(message.start_skew_ns),
        merged_intervals: message.merged_intervals,
        unsolicited: message.unsolicited,
        retried: message.retried,
        goaways: message.goaways,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(sequence: u64) -> Interval {
        let mut recorder = loadgrid_proto::histogram::Recorder::default();
        (1..50).for_each(|value| recorder.record(value * sequence * 1000));
        let series = Series {
            completed: 49,
            statuses: BTreeMap::from([(200, 48), (503, 1)]),
            error_kinds: BTreeMap::from([(ErrorKind::Reset, sequence)]),
            latency: recorder.drain(),
            ..Series::default()
        };
        Interval {
            first_sequence: sequence,
            sequence,
            start_ns: (sequence - 1) * 1000,
            end_ns: sequence * 1000,
            series: BTreeMap::from([(Key { warmup: false, request: 1 }, series)]),
            connect_time: Recorded::default(),
            handshake_time: Recorded::default(),
            health: Health { busy_ns: 5, wall_ns: 10, start_skew_ns: Some(-4), ..Health::default() },
        }
    }

    #[test]
    fn survives_the_wire() {
        let sent = interval(3);
        assert_eq!(Interval::decode(&sent.encode("run", "w1", 1)), Ok(sent));
    }

    #[test]
    fn a_merged_interval_covers_both_and_loses_no_sample() {
        let mut merged = interval(1);
        merged.merge_next(&interval(2));
        assert_eq!((merged.first_sequence, merged.sequence, merged.start_ns, merged.end_ns), (1, 2, 0, 2000));
        let series = &merged.series[&Key { warmup: false, request: 1 }];
        assert_eq!(series.completed, 98);
        assert_eq!(series.latency.count(), 98);
        assert_eq!(series.error_kinds[&ErrorKind::Reset], 3);
        assert_eq!(merged.health.merged_intervals, 1);
        assert_eq!(merged.health.wall_ns, 20);
    }
}
