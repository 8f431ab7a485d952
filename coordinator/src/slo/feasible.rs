//! Whether an objective can still be met, while the run goes on: for `--abort-on-fail`.
//!
//! It is certain or it says nothing: even if everything that is still to come were perfect.

use super::{Comparison, Part, Slo, Statistic};
use crate::results::{Results, Which};

/// Why an objective can't be met any more; `None` while it can. `planned` is what the main phase holds of these
/// requests.
pub fn lost_cause(slo: &Slo, results: &Results, which: &Which, planned: u64, max_wait_ns: u64) -> Option<String> {
    if slo.comparison == Comparison::AtLeast {
        return None;
    }
    let totals = results.totals(which, false);
    let planned = planned.max(totals.ended() + totals.dropped) as f64;
    match slo.metric.statistic {
        Statistic::Quantile(part, quantile) => {
            // What was dropped is judged as a latency of max_wait.
            let drops_count = part == Part::Latency && max_wait_ns as f64 > slo.limit;
            let dropped = if drops_count { totals.dropped } else { 0 };
            let above = totals.part(part).to_recorded().count_above(slo.limit as u64) + dropped;
            // The quantile's rank among all that was planned leaves this many above it.
            let allowed = planned - (quantile * planned).ceil();
            (above as f64 > allowed).then(|| format!("{above} requests above the limit, {allowed:.0} would be allowed"))
        }
        Statistic::Max(part) => {
            let above = totals.part(part).to_recorded().count_above(slo.limit as u64);
            (above > 0).then(|| format!("{above} requests above the limit, none is allowed"))
        }
        Statistic::Mean(part) => {
            let sum = totals.part(part).summary().sum as f64;
            (sum / planned > slo.limit).then(|| "the sum of the times so far is too large".to_owned())
        }
        Statistic::ErrorCount => (totals.errors as f64 > slo.limit).then(|| format!("{} errors", totals.errors)),
        Statistic::ErrorRate => {
            let allowed = (slo.limit * planned).floor();
            (totals.errors as f64 > allowed).then(|| format!("{} errors, {allowed:.0} would be allowed", totals.errors))
        }
        Statistic::RequestCount => (totals.ended() as f64 > slo.limit).then(|| format!("{} requests", totals.ended())),
        Statistic::Min(_) | Statistic::Stddev(_) | Statistic::Rate | Statistic::MessageRate | Statistic::Outside => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use loadgrid_proto::histogram::Recorder;
    use loadgrid_worker::interval::{Interval, Key, Series};

    use super::*;
    use crate::results::WorkerResults;

    fn results(slow: u64, errors: u64) -> Results {
        let mut results = Results::new(BTreeMap::from([("w".to_owned(), WorkerResults::default())]), 1_000_000_000);
        let mut recorder = Recorder::default();
        (0..100).for_each(|i| recorder.record(if i < slow { 200_000_000 } else { 1_000_000 }));
        let series = Series { completed: 100 - errors, errors, latency: recorder.drain(), ..Series::default() };
        let series = BTreeMap::from([(Key { warmup: false, request: 0 }, series)]);
        results.merge("w", &Interval { first_sequence: 1, sequence: 1, series, ..Interval::default() });
        results
    }

    fn is_lost(slo: &str, slow: u64, errors: u64) -> bool {
        lost_cause(&slo.parse().unwrap(), &results(slow, errors), &Which::All, 1000, 10_000_000_000).is_some()
    }

    #[test]
    fn only_what_the_rest_can_not_mend_is_lost() {
        // 1 % of the 1,000 planned may be slow.
        assert!(!is_lost("http/latency-p99 <= 100ms", 10, 0));
        assert!(is_lost("http/latency-p99 <= 100ms", 11, 0));
        assert!(!is_lost("http/latency-p99 >= 100ms", 0, 0));
        assert!(is_lost("http/latency-max <= 100ms", 1, 0));
        assert!(!is_lost("http/latency-mean <= 10ms", 45, 0));
        assert!(is_lost("http/latency-mean <= 10ms", 55, 0));
        assert!(!is_lost("http/error-rate <= 1%", 0, 10));
        assert!(is_lost("http/error-rate <= 1%", 0, 11));
        assert!(is_lost("http/error-count <= 0", 0, 1));
    }
}
