//! What a coordinator knows again after a restart: a file for each test that was submitted, and one with what was merged of
//! each that goes on. Files hold secrets while their test waits: they are their owner's alone.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::job::{Job, Outcome, State};
use super::{Checked, Submission};
use crate::store::{Entry, Kind};

/// Tests that are over and still known by their key and outcome.
const OVER_MAX: usize = 1000;

/// With less than this on its volume the next record or report may not find room, bytes.
const ROOM_MIN: u64 = 4 << 20;

/// A file.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub run: String,
    pub test: String,
    pub kind: Kind,
    pub targets: Vec<String>,
    pub by: String,
    pub key: String,
    pub workers: Option<usize>,
    pub submitted: Timestamp,
    pub started: Option<Timestamp>,
    pub submission: Option<Submission>,
    pub outcome: Option<Outcome>,
}

/// What was merged of a run.
#[derive(Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub entry: Entry,
    pub document: String,
}

/// The folder.
pub(super) struct Records {
    jobs: PathBuf,
    checkpoints: PathBuf,
}

impl Record {
    pub(super) fn of(job: &Job) -> Self {
        Record {
            run: job.run.clone(),
            test: job.checked.test.clone(),
            kind: job.checked.kind,
            targets: job.checked.targets.clone(),
            by: job.by.clone(),
            key: job.key.clone(),
            workers: job.workers,
            submitted: job.submitted,
            started: job.started,
            submission: job.submission.clone(),
            outcome: match &job.state {
                State::Over(outcome) => Some(outcome.clone()),
                State::Queued { .. } | State::Going => None,
            },
        }
    }

    pub(super) fn checked(&self) -> Checked {
        Checked { test: self.test.clone(), kind: self.kind, targets: self.targets.clone() }
    }
}

impl Records {
    /// # Errors
    /// A sentence: the folder can't be used, and what to do.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let records = Records { jobs: folder.join("jobs"), checkpoints: folder.join("checkpoints") };
        match records.usable() {
            Ok(()) => Ok(records),
            // Room is made through a coordinator that lives.
            Err((folder, error)) if error.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!("{}: nothing is remembered until there is room", unusable(folder, &error));
                Ok(records)
            }
            Err((folder, error)) => {
                Err(format!("{}: name another state folder with --state DIR", unusable(folder, &error)))
            }
        }
    }

    /// Why nothing can be remembered now.
    pub(super) fn trouble(&self) -> Option<String> {
        self.usable().err().map(|(folder, error)| unusable(folder, &error))
    }

    fn usable(&self) -> Result<(), (&Path, io::Error)> {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        [&self.jobs, &self.checkpoints].into_iter().try_for_each(|folder| {
            // Several may look at the same time.
            let new = folder.join(format!(".new-{}", LOOKS.fetch_add(1, Ordering::Relaxed)));
            let usable = fs::create_dir_all(folder).and_then(|()| {
                write(&new, b"x").inspect_err(|_| drop(fs::remove_file(&new)))?;
                fs::remove_file(&new)
            });
            usable.map_err(|error| (folder.as_path(), error))
        })
    }

    /// Why no more tests should be taken: one byte fits into a volume that has no room for a report.
    pub(super) fn lacks_room(&self) -> Option<String> {
        let volume = rustix::fs::statvfs(&self.jobs).ok()?;
        let room = volume.f_bavail.saturating_mul(volume.f_frsize);
        // A file system that does not count its blocks has none at all.
        (volume.f_blocks > 0 && room < ROOM_MIN).then(|| {
            let (folder, has, least) = (self.jobs.display(), room >> 10, ROOM_MIN >> 10);
            format!("the volume of {folder} has {has} KiB left, of {least} KiB at least: `loadgrid rm` makes room")
        })
    }

    /// All records, the oldest first, and what can't be read.
    pub(super) fn read(&self) -> (Vec<Record>, Vec<String>) {
        let (mut records, mut warnings) = (Vec::new(), Vec::new());
        for path in files(&self.jobs, "json") {
            match read::<Record>(&path) {
                Ok(record) => records.push(record),
                Err(error) => warnings.push(format!("{} is skipped: {error}", path.display())),
            }
        }
        // Of a write that was broken off nothing is left, secrets least of all.
        for part in files(&self.jobs, "part").into_iter().chain(files(&self.checkpoints, "part")) {
            let _ = fs::remove_file(part);
        }
        records.sort_by(|a, b| a.run.cmp(&b.run));
        let over: Vec<String> =
            records.iter().filter(|record| record.outcome.is_some()).map(|record| record.run.clone()).collect();
        for run in over.iter().take(over.len().saturating_sub(OVER_MAX)) {
            self.forget(run);
        }
        (records, warnings)
    }

    pub(super) fn put(&self, record: &Record) -> Result<(), String> {
        put(&self.jobs, &record.run, record)
    }

    pub(super) fn forget(&self, run: &str) {
        // What stays is read again and forgotten then.
        let _ = fs::remove_file(self.jobs.join(format!("{run}.json")));
        self.drop_checkpoint(run);
    }

    pub(super) fn put_checkpoint(&self, run: &str, checkpoint: &Checkpoint) -> Result<(), String> {
        put(&self.checkpoints, run, checkpoint)
    }

    pub(super) fn checkpoint(&self, run: &str) -> Option<Checkpoint> {
        read(&self.checkpoints.join(format!("{run}.json"))).ok()
    }

    pub(super) fn drop_checkpoint(&self, run: &str) {
        let _ = fs::remove_file(self.checkpoints.join(format!("{run}.json")));
    }
}

fn unusable(folder: &Path, error: &io::Error) -> String {
    format!("the state folder {} can't be written ({error})", folder.display())
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|own| own == end)).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn put<T: Serialize>(folder: &Path, run: &str, value: &T) -> Result<(), String> {
    let text = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    let (part, whole) = (folder.join(format!("{run}.part")), folder.join(format!("{run}.json")));
    write(&part, &text).and_then(|()| fs::rename(&part, &whole)).map_err(|error| {
        let _ = fs::remove_file(&part);
        format!("{} can't be written: {error}", whole.display())
    })
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}
