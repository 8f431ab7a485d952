//! Runs whose progress a test says, and a LoadTest to start from.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};
use tokio::sync::watch::{Receiver, Sender};

use super::{Declined, Done, Open, Order, Progress, Runs};
use crate::kube::resource::LoadTest;

/// Knows its runs, and what it was told.
#[derive(Default)]
pub(super) struct Fake {
    pub orders: Mutex<Vec<Order>>,
    pub progress: Mutex<BTreeMap<String, Progress>>,
    pub keys: Mutex<BTreeMap<String, String>>,
    pub busy: Mutex<Option<String>>,
    pub changed: Sender<u64>,
}

impl Fake {
    pub(super) fn is(&self, run: &str, progress: Progress) {
        self.progress.lock().unwrap().insert(run.to_owned(), progress);
    }

    pub(super) fn lose(&self) {
        self.progress.lock().unwrap().clear();
        self.keys.lock().unwrap().clear();
    }
}

impl Runs for Fake {
    fn submit(&self, order: Order) -> Result<String, Declined> {
        let run = format!("run-{}", self.orders.lock().unwrap().len() + 1);
        self.keys.lock().unwrap().insert(order.key.clone(), run.clone());
        self.is(&run, Progress::Queued { why: "no workers yet".to_owned() });
        self.orders.lock().unwrap().push(order);
        Ok(run)
    }

    fn busy(&self) -> Option<String> {
        self.busy.lock().unwrap().clone()
    }

    fn open(&self) -> Vec<Open> {
        let progress = self.progress.lock().unwrap();
        let is_open = |run: &String| {
            progress.get(run).is_some_and(|at| !matches!(at, Progress::Done(_) | Progress::Failed { .. }))
        };
        let keys = self.keys.lock().unwrap();
        let open = keys.iter().filter(|(_, run)| is_open(run));
        let by = || "LoadTest apps/hello".to_owned();
        open.map(|(key, run)| Open { key: key.clone(), run: run.clone(), by: by() }).collect()
    }

    fn progress(&self, run: &str) -> Option<Progress> {
        self.progress.lock().unwrap().get(run).cloned()
    }

    fn by_key(&self, key: &str) -> Option<String> {
        self.keys.lock().unwrap().get(key).cloned()
    }

    fn stop(&self, _run: &str, _reason: &str) {}

    fn changes(&self) -> Receiver<u64> {
        self.changed.subscribe()
    }

    fn link(&self, run: &str) -> Option<String> {
        Some(format!("https://grid/runs/{run}"))
    }
}

/// `apps/hello`, generation 3.
pub(super) fn test(spec: Value) -> LoadTest {
    serde_json::from_value(json!({
        "metadata": {"name": "hello", "namespace": "apps", "uid": "u-1", "generation": 3, "resourceVersion": "9"},
        "spec": spec,
    }))
    .unwrap()
}

pub(super) fn done(exit_code: u8, verdict: &str) -> Progress {
    Progress::Done(Done {
        verdict: verdict.to_owned(),
        exit_code,
        rate: Some(499.8),
        p99_s: Some(0.012_34),
        error_rate: Some(0.001),
        started_at: "2026-11-24T19:00:00Z".to_owned(),
        completed_at: "2026-11-24T19:00:30Z".to_owned(),
        summary: "all 3 objectives hold".to_owned(),
    })
}

pub(super) fn running(sent: u64) -> Progress {
    Progress::Running { rate: Some(500.0), sent, errors: 0, p99_s: Some(0.004) }
}
