use loadgrid_proto::histogram::Recorder;
use proptest::prelude::*;

use super::coverage::Coverage;
use super::*;

const SECOND: u64 = 1_000_000_000;
const KEY: Key = Key { warmup: false, request: 0 };

fn interval(sequence: u64, values: &[u64]) -> Interval {
    let mut recorder = Recorder::default();
    values.iter().for_each(|value| recorder.record(*value));
    let latency = recorder.drain();
    let series = Series { completed: values.len() as u64, service_time: latency.clone(), latency, ..Series::default() };
    Interval {
        first_sequence: sequence,
        sequence,
        start_ns: (sequence - 1) * SECOND,
        end_ns: sequence * SECOND,
        series: BTreeMap::from([(KEY, series)]),
        ..Interval::default()
    }
}

fn worker(planned: u64) -> WorkerResults {
    WorkerResults { planned: Some(planned), ..WorkerResults::default() }
}

fn results(workers: usize, planned: u64) -> Results {
    let workers = (0..workers).map(|id| (format!("w{id}"), worker(planned))).collect();
    Results::new(workers, SECOND)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any number of workers, any order between them, every interval resent up to three times.
    #[test]
    fn merged_results_are_those_of_one_histogram_fed_with_every_sample(
        values in prop::collection::vec(prop::collection::vec(1u64..10_000_000_000, 0..20), 1..257),
        resends in prop::collection::vec((0usize..257, 1u64..4), 0..200),
        seconds in 1u64..4,
    ) {
        let mut results = results(values.len(), 60);
        let mut whole = Recorder::default();
        for sequence in 1..=seconds {
            for (id, values) in values.iter().enumerate().rev() {
                values.iter().for_each(|value| whole.record(*value));
                prop_assert_eq!(results.merge(&format!("w{id}"), &interval(sequence, values)), Merged::Fresh);
            }
            for (id, back) in &resends {
                let again = sequence.saturating_sub(*back).max(1);
                let id = id % values.len();
                prop_assert_eq!(results.merge(&format!("w{id}"), &interval(again, &values[id])), Merged::Duplicate);
            }
        }
        let whole = whole.drain();
        prop_assert_eq!(results.totals(&Which::All, false).latency.to_recorded(), whole.clone());
        let mut blocks = loadgrid_proto::Recorded::default();
        results.timeline.blocks(Part::Latency, &Which::All).iter().for_each(|block| blocks.merge(block));
        prop_assert_eq!(blocks, whole);
        let coverage = Coverage::of(&results);
        prop_assert!(coverage.adds_up(), "{coverage:?}");
    }
}

#[test]
fn a_lost_worker_owes_what_it_did_not_report() {
    let mut results = results(2, 10);
    results.merge("w0", &interval(1, &[1; 10]));
    results.merge("w1", &interval(1, &[1; 4]));
    let coverage = Coverage::of(&results);
    assert_eq!((coverage.planned, coverage.completed, coverage.lost), (20, 14, 6));
    assert!(coverage.adds_up());
    assert_eq!(coverage.share(), 0.7);
}

#[test]
fn gaps_and_strangers_are_not_counted() {
    let mut results = results(1, 10);
    assert_eq!(results.merge("w0", &interval(2, &[1])), Merged::Foreign);
    assert_eq!(results.merge("stranger", &interval(1, &[1])), Merged::Foreign);
    let merged = Interval { first_sequence: 1, sequence: 3, ..interval(1, &[5, 6]) };
    assert_eq!(results.merge("w0", &merged), Merged::Fresh);
    assert_eq!(results.merge("w0", &interval(3, &[1])), Merged::Duplicate);
    assert_eq!(results.merge("w0", &interval(4, &[1])), Merged::Fresh);
    assert_eq!(results.totals(&Which::All, false).completed, 3);
}

#[test]
fn a_long_run_keeps_every_sample_in_fewer_steps() {
    let mut results = results(1, 0);
    let seconds = timeline::SECONDS_MAX as u64 + 10;
    for sequence in 1..=seconds {
        results.merge("w0", &interval(sequence, &[sequence]));
    }
    assert_eq!(results.timeline.step_ns(), 2 * SECOND);
    assert!(results.timeline.seconds().len() <= timeline::SECONDS_MAX);
    let blocks = results.timeline.blocks(Part::Latency, &Which::All);
    assert_eq!(blocks.iter().map(loadgrid_proto::Recorded::count).sum::<u64>(), seconds);
}
