//! The thread that writes records, in the order in which things happened: a volume that stalls holds nobody else up.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::records::{Checkpoint, Record, Records};

/// Orders that may wait for the disk; who has one more waits too.
const ORDERS_MAX: usize = 1024;

/// Nobody waits longer to know whether something was written.
const FLUSH_MAX: Duration = Duration::from_secs(5);

enum Order {
    Record(Box<Record>),
    /// The newest that is there by then.
    Checkpoint(String),
    /// The whole result, which no older checkpoint may stand for.
    Last(String, Box<Checkpoint>),
    DropCheckpoint(String),
    Forget(String),
    Flush(SyncSender<Option<String>>),
}

/// The way to it. It ends when this is dropped and everything is written.
pub(super) struct Writer {
    orders: SyncSender<Order>,
    waiting: Arc<Waiting>,
}

/// Checkpoints that are not written yet, one of each run: a disk that is slow has the newest to write alone.
#[derive(Default)]
struct Waiting(Mutex<HashMap<String, Checkpoint>>);

impl Waiting {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Checkpoint>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// # Errors
    /// No thread can be had.
    pub(super) fn start(records: Arc<Records>) -> Result<Self, String> {
        let (orders, received) = mpsc::sync_channel(ORDERS_MAX);
        let waiting = Arc::new(Waiting::default());
        let theirs = Arc::clone(&waiting);
        let thread = std::thread::Builder::new().name("records".to_owned());
        let started = thread.spawn(move || write(&records, &received, &theirs));
        started.map_err(|error| format!("no thread for the records: {error}"))?;
        Ok(Writer { orders, waiting })
    }

    pub(super) fn record(&self, record: Record) {
        self.order(Order::Record(Box::new(record)));
    }

    pub(super) fn checkpoint(&self, run: &str, checkpoint: Checkpoint) {
        let older = self.waiting.all().insert(run.to_owned(), checkpoint);
        if older.is_none() {
            self.order(Order::Checkpoint(run.to_owned()));
        }
    }

    /// What is left in the place of all checkpoints: a result that the store did not take.
    pub(super) fn last(&self, run: &str, result: Checkpoint) {
        self.order(Order::Last(run.to_owned(), Box::new(result)));
    }

    pub(super) fn drop_checkpoint(&self, run: &str) {
        self.order(Order::DropCheckpoint(run.to_owned()));
    }

    pub(super) fn forget(&self, run: &str) {
        self.order(Order::Forget(run.to_owned()));
    }

    /// Waits until everything before is written. What could not be since the last time, if there was anything.
    pub(super) fn flush(&self) -> Option<String> {
        let (done, written) = mpsc::sync_channel(1);
        self.order(Order::Flush(done));
        written.recv_timeout(FLUSH_MAX).unwrap_or_else(|_| Some("the state folder's disk does not answer".to_owned()))
    }

    fn order(&self, order: Order) {
        // The thread lives as long as this does.
        let _ = self.orders.send(order);
    }
}

fn write(records: &Records, orders: &Receiver<Order>, waiting: &Waiting) {
    let mut failed: Option<String> = None;
    for order in orders {
        let done = match order {
            // What is there of it says less than nothing: a test that is over would begin again. To remove takes no room.
            Order::Record(record) => records.put(&record).inspect_err(|_| records.forget(&record.run)),
            Order::Checkpoint(run) => {
                let newest = waiting.all().remove(&run);
                newest.map_or(Ok(()), |newest| records.put_checkpoint(&run, &newest))
            }
            Order::Last(run, result) => {
                waiting.all().remove(&run);
                // Half of a result is not offered as the whole.
                records.put_checkpoint(&run, &result).inspect_err(|_| records.drop_checkpoint(&run))
            }
            Order::DropCheckpoint(run) => {
                records.drop_checkpoint(&run);
                Ok(())
            }
            Order::Forget(run) => {
                records.forget(&run);
                Ok(())
            }
            Order::Flush(done) => {
                // Who asked may have given up.
                let _ = done.send(failed.take());
                Ok(())
            }
        };
        if let Err(why) = done {
            tracing::warn!("{why}: a restart now would forget it");
            failed = Some(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::Kind;

    fn record(run: &str) -> Record {
        Record {
            run: run.to_owned(),
            test: "t".to_owned(),
            kind: Kind::Run,
            targets: vec!["a:80".to_owned()],
            by: String::new(),
            key: String::new(),
            workers: None,
            submitted: jiff::Timestamp::UNIX_EPOCH,
            started: None,
            submission: None,
            outcome: None,
        }
    }

    #[test]
    fn what_can_not_be_written_again_is_forgotten() {
        let folder = std::env::temp_dir().join(format!("loadgrid-writer-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let records = Arc::new(Records::open(&folder).unwrap());
        let writer = Writer::start(Arc::clone(&records)).unwrap();
        writer.record(record("A"));
        writer.record(record("B"));
        assert_eq!(writer.flush(), None);
        assert_eq!(records.read().0.len(), 2);
        // As on a full disk: the new one has no place to be written to.
        fs::create_dir(folder.join("jobs/A.part")).unwrap();
        writer.record(record("A"));
        assert!(writer.flush().unwrap().contains("A.json can't be written"));
        assert_eq!(writer.flush(), None, "said once");
        let left: Vec<String> = records.read().0.into_iter().map(|record| record.run).collect();
        assert_eq!(left, ["B"]);
        fs::remove_dir_all(folder).unwrap();
    }
}
