//! The thread that writes records, in the order in which things happened: a volume that stalls holds nobody else up.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use super::records::{Checkpoint, Record, Records};

/// Orders that may wait for the disk; who has one more waits too.
const ORDERS_MAX: usize = 1024;

/// Nobody waits longer to know whether something was written.
const FLUSH_MAX: Duration = Duration::from_secs(5);

enum Order {
    Record(Box<Record>),
    Checkpoint(String, Box<Checkpoint>),
    DropCheckpoint(String),
    Forget(String),
    Flush(SyncSender<Option<String>>),
}

/// The way to it. It ends when this is dropped and everything is written.
pub(super) struct Writer {
    orders: SyncSender<Order>,
}

impl Writer {
    /// # Errors
    /// No thread can be had.
    pub(super) fn start(records: Arc<Records>) -> Result<Self, String> {
        let (orders, received) = mpsc::sync_channel(ORDERS_MAX);
        let started = std::thread::Builder::new().name("records".to_owned()).spawn(move || write(&records, &received));
        started.map_err(|error| format!("no thread for the records: {error}"))?;
        Ok(Writer { orders })
    }

    pub(super) fn record(&self, record: Record) {
        self.order(Order::Record(Box::new(record)));
    }

    pub(super) fn checkpoint(&self, run: &str, checkpoint: Checkpoint) {
        self.order(Order::Checkpoint(run.to_owned(), Box::new(checkpoint)));
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

fn write(records: &Records, orders: &Receiver<Order>) {
    let mut failed: Option<String> = None;
    for order in orders {
        let done = match order {
            Order::Record(record) => records.put(&record),
            Order::Checkpoint(run, checkpoint) => records.put_checkpoint(&run, &checkpoint),
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
