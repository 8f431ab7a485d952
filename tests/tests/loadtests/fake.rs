//! Runs whose progress a test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use loadgrid::kube::controller::{Declined, Done, Open, Order, Progress, Refused, Runs};
use tokio::sync::watch::{Receiver, Sender};

#[derive(Default)]
pub struct Fake {
    pub orders: Mutex<Vec<Order>>,
    progress: Mutex<BTreeMap<String, Progress>>,
    keys: Mutex<BTreeMap<String, String>>,
    pub stopped: Mutex<Vec<(String, String)>>,
    busy: Mutex<Option<String>>,
    changed: Sender<u64>,
}

impl Fake {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn is(&self, run: &str, progress: Progress) {
        self.progress.lock().unwrap().insert(run.to_owned(), progress);
        self.changed.send_modify(|count| *count += 1);
    }

    pub fn is_busy(&self, why: Option<&str>) {
        *self.busy.lock().unwrap() = why.map(str::to_owned);
        self.changed.send_modify(|count| *count += 1);
    }

    pub fn run_of(&self, key: &str) -> Option<String> {
        self.keys.lock().unwrap().iter().find(|(own, _)| own.contains(key)).map(|(_, run)| run.clone())
    }
}

impl Runs for Fake {
    fn submit(&self, order: Order) -> Result<String, Declined> {
        if order.text.contains("elsewhere.example") {
            let message = "elsewhere.example is not in the list of allowed targets".to_owned();
            let field = Some("spec.requests[0].http.url".to_owned());
            return Err(Declined::Refused(Refused { message, field }));
        }
        let run = format!("run-{}-{}", order.name, self.orders.lock().unwrap().len() + 1);
        self.keys.lock().unwrap().insert(order.key.clone(), run.clone());
        self.orders.lock().unwrap().push(order);
        self.is(&run, Progress::Queued { why: "no workers yet".to_owned() });
        Ok(run)
    }

    fn busy(&self) -> Option<String> {
        self.busy.lock().unwrap().clone()
    }

    fn open(&self) -> Vec<Open> {
        let keys: Vec<(String, String)> =
            self.keys.lock().unwrap().iter().map(|(key, run)| (key.clone(), run.clone())).collect();
        let is_open =
            |run: &str| self.progress(run).is_some_and(|at| !matches!(at, Progress::Done(_) | Progress::Failed { .. }));
        let open = keys.into_iter().filter(|(_, run)| is_open(run));
        open.map(|(key, run)| Open { key, run, by: "its LoadTest".to_owned() }).collect()
    }

    fn progress(&self, run: &str) -> Option<Progress> {
        self.progress.lock().unwrap().get(run).cloned()
    }

    fn by_key(&self, key: &str) -> Option<String> {
        self.keys.lock().unwrap().get(key).cloned()
    }

    fn stop(&self, run: &str, reason: &str) {
        self.stopped.lock().unwrap().push((run.to_owned(), reason.to_owned()));
        self.is(run, Progress::Failed { message: format!("stopped: {reason}"), field: None, exit_code: 4 });
    }

    fn changes(&self) -> Receiver<u64> {
        self.changed.subscribe()
    }

    fn link(&self, run: &str) -> Option<String> {
        Some(format!("http://loadgrid/runs/{run}"))
    }
}

pub fn running(sent: u64) -> Progress {
    Progress::Running { rate: Some(500.0), sent, errors: 0, p99_s: Some(0.004) }
}

pub fn done(exit_code: u8, verdict: &str) -> Progress {
    Progress::Done(Done {
        verdict: verdict.to_owned(),
        exit_code,
        rate: Some(499.8),
        p99_s: Some(0.012_34),
        error_rate: Some(0.0),
        started_at: "2026-11-24T19:00:00Z".to_owned(),
        completed_at: "2026-11-24T19:00:30Z".to_owned(),
        summary: "1 of 1 objectives".to_owned(),
    })
}
