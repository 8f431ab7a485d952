use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::*;
use crate::serve::service::Settings;
use crate::serve::{Attendance, Checked, Execute, Failed, Refusal, Service, pool};
use crate::store::{Entry, Kind};

/// A store that may be away, beside an executor that has nothing to execute.
#[derive(Default)]
struct Store {
    away: Mutex<bool>,
    kept: Mutex<BTreeMap<String, (Entry, String)>>,
}

impl Execute for Store {
    fn check(&self, _: &Submission) -> Result<Checked, Refusal> {
        Err(Refusal::Mistake("nothing is run here".to_owned()))
    }

    fn execute(&self, _: Submission, _: Arc<Attendance>) -> Result<Finished, Failed> {
        unreachable!("nothing is run here")
    }

    fn allowed(&self, _: &str, _: u16) -> Result<(), String> {
        Ok(())
    }

    fn keep(&self, entry: &Entry, document: &str) -> Result<(), String> {
        if *self.away.lock().unwrap() {
            return Err("it is away".to_owned());
        }
        self.kept.lock().unwrap().insert(entry.id.clone(), (entry.clone(), document.to_owned()));
        Ok(())
    }

    fn kept(&self, run: &str) -> Result<Option<Finished>, String> {
        if *self.away.lock().unwrap() {
            return Err("it is away".to_owned());
        }
        let kept = self.kept.lock().unwrap().get(run).cloned();
        Ok(kept.map(|(entry, document)| Finished { entry, document, exit_code: 0, warning: None, unkept: false }))
    }
}

fn entry(run: &str, verdict: &str) -> Entry {
    Entry {
        id: run.to_owned(),
        kind: Kind::Run,
        test: "t".to_owned(),
        started_at: Timestamp::UNIX_EPOCH,
        duration: 1.0,
        model: "open loop".to_owned(),
        arrivals: "uniform".to_owned(),
        target_rate: Some(1.0),
        requests: String::new(),
        verdict: verdict.to_owned(),
        validity: "valid".to_owned(),
        metrics: BTreeMap::new(),
        loadgrid: String::new(),
    }
}

/// What a coordinator that was killed in the middle of a run has left.
fn killed(folder: &Path, run: &str, checkpoint: bool) {
    let records = Records::open(folder).unwrap();
    let record = Record {
        run: run.to_owned(),
        test: "t".to_owned(),
        kind: Kind::Run,
        targets: vec!["a:80".to_owned()],
        by: String::new(),
        key: String::new(),
        workers: Some(1),
        submitted: Timestamp::UNIX_EPOCH,
        started: Some(Timestamp::UNIX_EPOCH),
        submission: None,
        outcome: None,
    };
    records.put(&record).unwrap();
    if checkpoint {
        let merged = Checkpoint { entry: entry(run, "inconclusive"), document: "merged".to_owned() };
        records.put_checkpoint(run, &merged).unwrap();
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("loadgrid-recovery-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

fn start(folder: &Path, store: &Arc<Store>) -> Service {
    let (_, events) = tokio::sync::mpsc::channel(1);
    let executor: Arc<dyn Execute> = store.clone();
    Service::start(Settings { state: Some(folder.to_owned()), pool: pool::start(events), executor }).unwrap()
}

#[tokio::test]
async fn a_result_that_was_kept_before_the_end_is_not_replaced_by_what_was_merged() {
    let (folder, store) = (folder("kept"), Arc::new(Store::default()));
    killed(&folder, "A", true);
    store.kept.lock().unwrap().insert("A".to_owned(), (entry("A", "pass"), "whole".to_owned()));
    let service = start(&folder, &store);
    let outcome = service.outcome("A").unwrap();
    assert_eq!((outcome.exit_code, outcome.figures.unwrap().verdict), (0, "pass".to_owned()));
    assert_eq!(store.kept.lock().unwrap()["A"].1, "whole");
    service.end().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn what_was_merged_is_kept_and_said_to_be_broken_off() {
    let (folder, store) = (folder("merged"), Arc::new(Store::default()));
    killed(&folder, "A", true);
    killed(&folder, "B", false);
    let service = start(&folder, &store);
    let outcome = service.outcome("A").unwrap();
    assert_eq!((outcome.exit_code, outcome.unkept), (BROKEN_OFF, false));
    assert!(outcome.warning.contains("broken off"), "{}", outcome.warning);
    assert_eq!(store.kept.lock().unwrap()["A"].1, "merged");
    let nothing = service.outcome("B").unwrap();
    assert!(nothing.message.contains("nothing of it had been merged"), "{}", nothing.message);
    assert!(!store.kept.lock().unwrap().contains_key("B"));
    service.end().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_store_that_is_away_loses_nothing_over_any_number_of_restarts() {
    let (folder, store) = (folder("away"), Arc::new(Store::default()));
    killed(&folder, "A", true);
    *store.away.lock().unwrap() = true;
    for _ in 0..2 {
        let service = start(&folder, &store);
        let outcome = service.outcome("A").unwrap();
        assert!(outcome.unkept && outcome.figures.is_some());
        assert_eq!(service.document("A").as_deref(), Some("merged"));
        service.end().await;
    }
    *store.away.lock().unwrap() = false;
    let service = start(&folder, &store);
    assert!(!service.outcome("A").unwrap().unkept);
    assert_eq!(store.kept.lock().unwrap()["A"].1, "merged");
    service.end().await;
    assert!(Records::open(&folder).unwrap().checkpoint("A").is_none());
    std::fs::remove_dir_all(folder).unwrap();
}
