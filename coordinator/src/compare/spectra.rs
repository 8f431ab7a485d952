//! The spectra of two versions in one report, for plots: those of a whole run are in the report already.

use loadgrid_proto::histogram::Histogram;

use super::model::Spectra;
use crate::report::hdr;
use crate::report::model::Report;

/// Points per tenfold of 1 / (1 − share), as in reports.
const POINTS: usize = 40;

/// Of the requests that `has` says are of side 0 and 1.
///
/// # Errors
/// A histogram that can't be read: a sentence for people.
pub fn of_versions(report: &Report, has: impl Fn(&str, usize) -> bool) -> Result<Spectra, String> {
    let of = |side: usize| -> Result<[Vec<(f64, f64)>; 2], String> {
        let (mut latency, mut service_time) = (Histogram::default(), Histogram::default());
        for (_, own) in report.histograms.requests.iter().filter(|(name, _)| has(name, side)) {
            latency.merge(&hdr::decode_recorded(&own.latency)?);
            service_time.merge(&hdr::decode_recorded(&own.service_time)?);
        }
        Ok([spectrum(&latency), spectrum(&service_time)])
    };
    let ([latency_a, service_time_a], [latency_b, service_time_b]) = (of(0)?, of(1)?);
    Ok(Spectra { latency_a, latency_b, service_time_a, service_time_b })
}

/// Evenly on a log-percentile axis, to the last sample.
fn spectrum(histogram: &Histogram) -> Vec<(f64, f64)> {
    let Some(last) = histogram.quantile(1.0) else { return Vec::new() };
    let points = ((histogram.count() as f64).log10() * POINTS as f64).ceil() as usize;
    let seconds = |ns: u64| ns as f64 / 1e9;
    let share = |point: usize| 1.0 - 10f64.powf(-(point as f64) / POINTS as f64);
    let point = |point: usize| Some((share(point), seconds(histogram.quantile(share(point))?)));
    (0..points).filter_map(point).chain([(1.0, seconds(last))]).collect()
}
