//! LoadTest files and objectives.

use loadgrid::slo::Slo;
use loadgrid::spec::{self, Draft, Place};

/// A LoadTest file. Paths in it lead nowhere.
pub fn load_test(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let test = match spec::load(Some(("no-such-folder/test.yaml", text)), Draft::default()) {
        Ok(test) => test,
        Err(error) => {
            assert!(!error.message.trim().is_empty(), "{error:?}");
            match error.place {
                Place::File { line, column } => super::assert_placed(&format!("{line}:{column}: -"), text),
                // What lacks altogether stands nowhere; there are no flags.
                Place::Test => {}
                Place::Flag(_) => panic!("{error:?}"),
            }
            return;
        }
    };
    assert_eq!((test.requests.len(), test.places.len()), (test.urls.len(), test.urls.len()));
    assert_eq!(test.groups().len(), test.requests.len());
    test.slos.iter().for_each(assert_shown_and_read);
    test.follow_ups();
    // What a plan begins with.
    let _ = (test.load.warmup().count(), test.load.main().count());
    for number in 0..test.requests.len() {
        test.drawn_weight(number);
    }
}

/// An objective.
pub fn slo(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Slo>() {
        Ok(slo) => assert_shown_and_read(&slo),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What it is shown as means the same, to twelve digits.
fn assert_shown_and_read(slo: &Slo) {
    let shown = slo.to_string();
    let again: Slo = shown.parse().unwrap_or_else(|error| panic!("'{shown}' of {slo:?}: {error}"));
    assert_eq!((&again.metric, again.comparison), (&slo.metric, slo.comparison), "{shown}");
    let tolerance = slo.limit.abs() * 1e-9 + 1e-15;
    assert!((again.limit - slo.limit).abs() <= tolerance, "{shown}: {} and {}", again.limit, slo.limit);
    assert_eq!(again.to_string(), shown);
}
