use proptest::prelude::*;

use super::*;
use crate::store::tests::entry;

const DAY: u64 = 86_400;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + day * DAY as i64).unwrap()
}

/// One run a day of each test, the kinds in turns, named `TEST DAY`.
fn runs(tests: usize, days: usize) -> Vec<Entry> {
    let of = |day: usize| {
        (0..tests).map(move |test| Entry {
            id: format!("{test} {day}"),
            test: format!("t{test}"),
            kind: if day.is_multiple_of(2) { Kind::Run } else { Kind::Capacity },
            started_at: at(day as i64),
            ..entry("01JA0000000000000000000000")
        })
    };
    (0..days).flat_map(of).collect()
}

fn keep(count: usize, days: u64) -> Keep {
    let max_age = (days > 0).then(|| Duration::from_secs(days * DAY));
    Keep { per_test: NonZeroUsize::new(count), max_age }
}

#[test]
fn count_and_age_are_limits_of_their_own() {
    let lost = |keep, baselines: &[&str]| surplus(&runs(1, 10), &baselines.iter().copied().collect(), keep, at(10));
    assert_eq!(lost(Keep::default(), &[]), [""; 0]);
    // As many runs as capacity searches.
    assert_eq!(lost(keep(3, 0), &[]), ["0 0", "0 1", "0 2", "0 3"]);
    assert_eq!(lost(keep(0, 8), &[]), ["0 0", "0 1"]);
    assert_eq!(lost(keep(3, 1), &[]).len(), 9);
    assert_eq!(lost(keep(3, 0), &["0 0"]), ["0 1", "0 2", "0 3"]);
    // Nothing is older than time itself.
    assert_eq!(lost(Keep { max_age: Some(Duration::MAX), per_test: None }, &[]), [""; 0]);
}

proptest! {
    #[test]
    fn no_more_is_lost_than_may_be(tests in 1usize..4, days in 0usize..30, count in 0usize..8, age in 0u64..40, base in 0usize..30) {
        let entries = runs(tests, days);
        let baseline = format!("0 {base}");
        let keep = keep(count, age);
        let lost = surplus(&entries, &BTreeSet::from([baseline.as_str()]), keep, at(days as i64));
        prop_assert!(!lost.contains(&baseline));
        let kept: Vec<&Entry> = entries.iter().filter(|entry| !lost.contains(&entry.id)).collect();
        let oldest = |days: u64| at(entries.len() as i64 / tests as i64 - days as i64);
        for entry in &entries {
            let same = |other: &&Entry| other.test == entry.test && other.kind == entry.kind;
            let newer = entries.iter().filter(same).filter(|other| other.started_at > entry.started_at).count();
            let must_go = count > 0 && newer >= count || age > 0 && entry.started_at < oldest(age);
            prop_assert_eq!(kept.iter().any(|other| other.id == entry.id), !must_go || entry.id == baseline);
        }
        // Nothing more is lost the next time.
        let kept: Vec<Entry> = kept.into_iter().cloned().collect();
        prop_assert!(surplus(&kept, &BTreeSet::from([baseline.as_str()]), keep, at(days as i64)).is_empty());
    }
}
