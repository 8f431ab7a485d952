//! To and from HdrHistogram's own formats: the compressed encoding in a stored run, and the interval log.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use loadgrid_proto::Recorded;
use loadgrid_proto::histogram::{VALUE_MAX, highest, index_of};

use super::model::Report;

type Hdr = hdrhistogram::Histogram<u64>;

/// Values in the log are nanoseconds; readers show milliseconds.
const VALUE_DIVISOR: f64 = 1e6;

/// The encoding of [`encode`].
pub const ENCODING: &str = "HdrHistogram V2, deflate, base64; ns";

/// Encodes counts for any HdrHistogram library.
///
/// # Errors
/// The library's own.
pub fn encode(recorded: &Recorded) -> Result<String, String> {
    let mut hdr = Hdr::new_with_bounds(1, VALUE_MAX, 3).map_err(|error| error.to_string())?;
    for (index, count) in recorded.buckets() {
        hdr.record_n(highest(index), count).map_err(|error| error.to_string())?;
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&hdr, &mut bytes).map_err(|error| error.to_string())?;
    Ok(STANDARD.encode(bytes))
}

fn decode(text: &str) -> Result<Hdr, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("a histogram of the report can't be read: {error}");
    let bytes = STANDARD.decode(text).map_err(|error| wrong(&error))?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| wrong(&error))
}

/// Counts out of any HdrHistogram library's encoding; an empty text is an empty histogram.
///
/// # Errors
/// It is no such encoding.
pub fn decode_recorded(text: &str) -> Result<Recorded, String> {
    if text.is_empty() {
        return Ok(Recorded::default());
    }
    let hdr = decode(text)?;
    let counts =
        hdr.iter_recorded().map(|value| (index_of(value.value_iterated_to().min(VALUE_MAX)), value.count_at_value()));
    Ok(Recorded::from_counts(counts))
}

/// The latency of a run as an HdrHistogram interval log (format version 1.3), one line a second.
///
/// # Errors
/// A histogram of the report that can't be read.
pub fn log(report: &Report) -> Result<String, String> {
    let started: SystemTime = report
        .started_at
        .parse::<jiff::Timestamp>()
        .map_err(|error| format!("the report's start '{}' can't be read: {error}", report.started_at))?
        .into();
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    // The library writes neither version nor legend, and other readers look for the first.
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("[Histogram log format version 1.3]")
        .add_comment(&format!("[loadgrid {}: latency from the intended start, run {}]", report.loadgrid, report.run))
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(VALUE_DIVISOR);
    let mut writer = builder.begin_log_with(&mut bytes, &mut serializer).map_err(|error| error.to_string())?;
    for second in &report.histograms.latency_by_second {
        let hdr = decode(&second.latency)?;
        let (start, length) = (Duration::from_secs_f64(second.t), Duration::from_secs_f64(second.length));
        writer.write_histogram(&hdr, start, length, Tag::new("latency")).map_err(|error| format!("{error:?}"))?;
    }
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use loadgrid_proto::histogram::Recorder;

    #[test]
    fn counts_come_back_as_they_went() {
        let mut recorder = Recorder::default();
        (0..2000u64).for_each(|n| recorder.record(n * n * 97));
        recorder.record(VALUE_MAX);
        let recorded = recorder.drain();
        let back = decode_recorded(&encode(&recorded).unwrap()).unwrap();
        assert_eq!(back.buckets().collect::<Vec<_>>(), recorded.buckets().collect::<Vec<_>>());
        assert_eq!(back.count(), recorded.count());
        let (mean, exact) = (back.summary().mean().unwrap(), recorded.summary().mean().unwrap());
        assert!((mean / exact - 1.0).abs() < 1e-3, "{mean} {exact}");
        assert_eq!(decode_recorded("").unwrap(), Recorded::default());
        assert!(decode_recorded("nonsense").is_err());
    }
}
