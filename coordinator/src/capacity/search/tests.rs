use super::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const SETTINGS: Settings =
    Settings { start: 100.0, min: 1.0, max: 1e5, precision: 0.03, probes_max: 20, agree: 2, repeats: 3 };

/// Runs a search against a target that answers by rate and number of the probe.
fn search(settings: &Settings, mut target: impl FnMut(f64, usize) -> Outcome) -> (Answer, Vec<Evidence>) {
    let mut history = Vec::new();
    loop {
        match next(settings, &history) {
            Next::Done(answer) => return (answer, history),
            Next::Probe(Ask { rate, .. }) => {
                history.push(Evidence { rate, outcome: target(rate, history.len()), margin: None });
            }
        }
    }
}

fn cliff(at: f64) -> impl FnMut(f64, usize) -> Outcome {
    move |rate, _| if rate <= at { Outcome::Held } else { Outcome::Broke }
}

fn evidence(history: &[(f64, Outcome)]) -> Vec<Evidence> {
    history.iter().map(|(rate, outcome)| Evidence { rate: *rate, outcome: *outcome, margin: None }).collect()
}

#[test]
fn three_orders_of_magnitude_away() {
    for truth in [1.7, 33.0, 99.0, 101.0, 777.0, 5_432.1, 98_765.0] {
        let (answer, history) = search(&SETTINGS, cliff(truth));
        let Answer::Interval { low, high, estimate, precise, confidence, .. } = answer else {
            panic!("{truth}: {answer:?}")
        };
        assert!(low.rate <= truth && truth < high.rate && precise && confidence == CONFIDENCE_MAX);
        assert!((estimate / truth - 1.0).abs() < 0.03, "{truth}: {estimate}");
        assert!(history.len() <= 16, "{truth}: {}", history.len());
        assert_eq!((low.votes.held, high.votes.broke), (2, 2));
    }
}

#[test]
fn no_probe_is_far_beyond_what_broke() {
    let (_, history) = search(&SETTINGS, cliff(777.0));
    assert!(history.iter().all(|probe| probe.rate < 777.0 * STEP), "{history:?}");
}

#[test]
fn the_highest_rate_holds() {
    let (answer, history) = search(&SETTINGS, cliff(1e9));
    let Answer::AtLeast { edge, because: Because::Max } = answer else { panic!("{answer:?}") };
    assert_eq!((edge.rate, edge.votes.held), (1e5, 2));
    assert!(history.len() <= 8);
    let narrow = Settings { max: 100.0, ..SETTINGS };
    assert!(matches!(search(&narrow, cliff(1e9)).0, Answer::AtLeast { because: Because::Max, .. }));
}

#[test]
fn the_lowest_rate_breaks() {
    let (answer, history) = search(&SETTINGS, cliff(0.5));
    assert_eq!(answer, Answer::Refused(Refusal::FailsAtLowest { rate: 1.0 }));
    assert_eq!(history.iter().filter(|probe| probe.rate == 1.0).count(), 2);
}

#[test]
fn the_generator_is_the_limit() {
    let (answer, history) = search(&SETTINGS, |rate, _| if rate <= 3_000.0 { Outcome::Held } else { Outcome::Limited });
    let Answer::AtLeast { edge, because: Because::Generator { limited_at } } = answer else { panic!("{answer:?}") };
    assert!(edge.rate <= 3_000.0 && limited_at > 3_000.0 && limited_at / edge.rate <= GENERATOR_GAP * 1.001);
    assert_eq!(edge.votes.held, 2);
    assert!(history.len() <= 20);
    let (answer, _) = search(&SETTINGS, |_, _| Outcome::Limited);
    assert_eq!(answer, Answer::Refused(Refusal::GeneratorAtLowest { rate: 1.0 }));
}

#[test]
fn a_limit_that_passes_is_forgotten() {
    let (answer, _) = search(&SETTINGS, |rate, number| match number {
        2 | 5 => Outcome::Limited,
        _ => cliff(777.0)(rate, number),
    });
    assert!(matches!(answer, Answer::Interval { precise: true, .. }), "{answer:?}");
}

#[test]
fn one_spoilt_probe_does_not_move_the_answer() {
    for spoilt in 0..14 {
        let (answer, history) = search(&SETTINGS, |rate, number| match number == spoilt {
            true => Outcome::Broke,
            false => cliff(777.0)(rate, number),
        });
        let Answer::Interval { low, high, .. } = answer else { panic!("{spoilt}: {answer:?}") };
        assert!(low.rate <= 777.0 && 777.0 < high.rate, "{spoilt}: {answer:?} {history:?}");
    }
}

#[test]
fn contradictions_are_refused() {
    let history = evidence(&[
        (100.0, Outcome::Broke),
        (50.0, Outcome::Held),
        (100.0, Outcome::Broke),
        (200.0, Outcome::Held),
        (200.0, Outcome::Held),
    ]);
    let expected = Answer::Refused(Refusal::Contradiction { broke: 100.0, held: 200.0 });
    assert_eq!(next(&SETTINGS, &history), Next::Done(expected.clone()));
    assert_eq!(conclude(&SETTINGS, &history), expected);
}

#[test]
fn small_contradictions_widen() {
    let history = evidence(&[
        (90.0, Outcome::Held),
        (90.0, Outcome::Held),
        (100.0, Outcome::Broke),
        (100.0, Outcome::Broke),
        (103.0, Outcome::Held),
        (103.0, Outcome::Held),
        (110.0, Outcome::Broke),
    ]);
    let Answer::Interval { low, high, contradicted, .. } = conclude(&SETTINGS, &history) else { panic!() };
    assert_eq!((low.rate, high.rate, contradicted), (90.0, 110.0, Some((100.0, 103.0))));
}

#[test]
fn disputed_probes_are_repeated_first() {
    let history = evidence(&[(100.0, Outcome::Broke), (50.0, Outcome::Held), (200.0, Outcome::Held)]);
    let Next::Probe(ask) = next(&SETTINGS, &history) else { panic!() };
    assert_eq!((ask.rate, ask.purpose), (100.0, Purpose::Repeat));
}

#[test]
fn what_held_by_little_is_unclear() {
    let margin = |log_ratio| Some(Margin { log_ratio, error: 0.001 });
    let weighed = |log_ratio, outcome| Evidence { rate: 1.0, outcome, margin: margin(log_ratio) }.weighed();
    assert_eq!(weighed(-0.09, Outcome::Held), Outcome::Unclear);
    assert_eq!(weighed(-0.11, Outcome::Held), Outcome::Held);
    assert_eq!(weighed(0.09, Outcome::Broke), Outcome::Unclear);
    assert_eq!(weighed(0.0, Outcome::Limited), Outcome::Limited);
}

#[test]
fn cut_short() {
    let (_, history) = search(&SETTINGS, cliff(777.0));
    assert_eq!(conclude(&SETTINGS, &[]), Answer::Refused(Refusal::NothingConclusive));
    assert!(matches!(conclude(&SETTINGS, &history[..2]), Answer::AtLeast { because: Because::Budget, .. }));
    for cut in 3..history.len() {
        let answer = conclude(&SETTINGS, &history[..cut]);
        let Answer::Interval { low, high, confidence, .. } = answer else { panic!("{answer:?}") };
        assert!(low.rate <= 777.0 && 777.0 < high.rate && confidence <= CONFIDENCE_MAX);
    }
    // Seen once each: less sure than 95 %.
    let once = evidence(&[(100.0, Outcome::Held), (105.0, Outcome::Broke)]);
    let Answer::Interval { confidence, .. } = conclude(&SETTINGS, &once) else { panic!() };
    assert!((confidence - 0.9).abs() < 1e-9, "{confidence}");
}

#[test]
fn the_margins_say_where_in_the_interval() {
    let probe = |rate: f64, outcome| {
        let margin = Some(Margin { log_ratio: 6.0 * (rate / 1000.0).ln(), error: 0.01 });
        Evidence { rate, outcome, margin }
    };
    let (held, broke) = (Outcome::Held, Outcome::Broke);
    let history = [probe(970.0, held), probe(970.0, held), probe(1060.0, broke), probe(1060.0, broke)];
    let Answer::Interval { estimate, method, .. } = conclude(&SETTINGS, &history) else { panic!() };
    assert_eq!(method, Method::Regression { probes: 4 });
    assert!((estimate - 1000.0).abs() < 10.0, "{estimate}");
    let blind: Vec<Evidence> = history.iter().map(|probe| Evidence { margin: None, ..*probe }).collect();
    let Answer::Interval { estimate, method, .. } = conclude(&SETTINGS, &blind) else { panic!() };
    assert_eq!(method, Method::Middle);
    assert!((estimate - (970.0f64 * 1060.0).sqrt()).abs() < 1e-9);
}

#[test]
fn settings_are_checked() {
    assert_eq!(SETTINGS.check(), Ok(()));
    assert_eq!(Settings::default().check(), Ok(()));
    let wrong = [
        Settings { start: f64::NAN, ..SETTINGS },
        Settings { min: 0.0, ..SETTINGS },
        Settings { max: 0.5, ..SETTINGS },
        Settings { max: 50.0, ..SETTINGS },
        Settings { precision: 0.0, ..SETTINGS },
        Settings { probes_max: 0, ..SETTINGS },
        Settings { repeats: 1, ..SETTINGS },
    ];
    for settings in wrong {
        assert!(settings.check().is_err(), "{settings:?}");
    }
}

/// Many cheap searches against a target that is unclear near its limit, spoilt at times, and limits the generator.
#[test]
fn thousands_of_searches() {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let (mut intervals, mut covered) = (0, 0);
    for _ in 0..3_000 {
        let truth = 10f64.powf(rng.random_range(0.5..4.5));
        let generator = if rng.random_bool(0.3) { truth * 10f64.powf(rng.random_range(-1.0..1.0)) } else { f64::MAX };
        let settings = Settings { start: 10f64.powf(rng.random_range(0.0..5.0)), ..SETTINGS };
        let (answer, history) = search(&settings, |rate, _| {
            let distance = (rate / truth).ln() + rng.random_range(-0.01..0.01);
            match distance {
                _ if rate > generator => Outcome::Limited,
                _ if rng.random_bool(0.02) => Outcome::Broke,
                d if d.abs() < 0.015 => Outcome::Unclear,
                d if d < 0.0 => Outcome::Held,
                _ => Outcome::Broke,
            }
        });
        sane(&settings, &history, &answer);
        match answer {
            Answer::Interval { low, high, .. } => {
                intervals += 1;
                covered += usize::from(low.rate <= truth && truth <= high.rate);
                assert!(high.rate <= generator);
            }
            Answer::AtLeast { edge, because: Because::Generator { limited_at } } => {
                assert!(edge.rate <= generator && limited_at > generator);
            }
            _ => {}
        }
    }
    assert!(intervals > 2_000 && covered * 100 >= intervals * 95, "{covered} of {intervals}");
}

/// What holds of any search, however it went.
fn sane(settings: &Settings, history: &[Evidence], answer: &Answer) {
    assert!(history.len() <= settings.probes_max);
    assert!(history.iter().all(|probe| probe.rate >= settings.min && probe.rate <= settings.max));
    let seen = |edge: &Edge, outcome: Outcome| {
        assert!(history.iter().any(|probe| probe.rate == edge.rate && probe.weighed() == outcome), "{answer:?}");
    };
    match answer {
        Answer::Interval { low, high, estimate, confidence, .. } => {
            assert!(
                low.rate < high.rate && (low.rate..=high.rate).contains(estimate) && (0.0..=0.95).contains(confidence)
            );
            seen(low, Outcome::Held);
            seen(high, Outcome::Broke);
            assert!(low.votes.held > low.votes.broke && high.votes.broke > high.votes.held);
        }
        Answer::AtLeast { edge, .. } => seen(edge, Outcome::Held),
        Answer::Refused(_) => {}
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Held), Just(Outcome::Broke), Just(Outcome::Unclear), Just(Outcome::Limited)]
}

fn any_margin() -> impl Strategy<Value = Option<Margin>> {
    proptest::option::of((-3.0f64..3.0, 0.0f64..0.5).prop_map(|(log_ratio, error)| Margin { log_ratio, error }))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// A target that says anything: the search ends, stays in bounds, and answers with what was seen. So it does
    /// wherever it is cut off.
    #[test]
    fn any_target(
        said in proptest::collection::vec((any_outcome(), any_margin()), 40),
        start in 0.1f64..1e6, min in 0.5f64..100.0, factor in 1.0f64..1e5, probes_max in 0usize..40,
        agree in 0usize..4, repeats in 0usize..6, precision in 0.0f64..1.0,
    ) {
        let settings = Settings { start, min, max: min * factor, precision, probes_max, agree, repeats };
        let mut history = Vec::new();
        let answer = loop {
            match next(&settings, &history) {
                Next::Done(answer) => break answer,
                Next::Probe(ask) => {
                    prop_assert!(history.len() < probes_max);
                    let (outcome, margin) = said[history.len()];
                    history.push(Evidence { rate: ask.rate, outcome, margin });
                }
            }
        };
        sane(&settings, &history, &answer);
        prop_assert_eq!(&answer, &conclude(&settings, &history));
        for cut in 0..history.len() {
            sane(&settings, &history[..cut], &conclude(&settings, &history[..cut]));
        }
        // What limited probes claim to have measured changes nothing.
        let mut blind = history.clone();
        blind.iter_mut().filter(|probe| probe.outcome == Outcome::Limited).for_each(|probe| probe.margin = None);
        prop_assert_eq!(conclude(&settings, &blind), answer);
    }

    /// A history that no search of ours has made.
    #[test]
    fn any_history(
        history in proptest::collection::vec((proptest::num::f64::ANY, any_outcome(), any_margin()), 0..30),
        numbers in proptest::array::uniform4(proptest::num::f64::ANY),
    ) {
        let history: Vec<Evidence> =
            history.into_iter().map(|(rate, outcome, margin)| Evidence { rate, outcome, margin }).collect();
        let [start, min, max, precision] = numbers;
        let settings = Settings { start, min, max, precision, ..SETTINGS };
        if let Next::Probe(ask) = next(&settings, &history) {
            prop_assert!(ask.rate > 0.0 && ask.rate.is_finite());
        }
        let _ = conclude(&settings, &history);
    }
}
