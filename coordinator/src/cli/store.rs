//! Where runs are kept, as the flags say it, and keeping them.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::{Failure, exit, output, runtime};
use crate::spec::units;
use crate::store::{Cause, Entry, Environment, Error, Keep, Location, Store, Stored, rescue, skipped_lines};

/// Which store.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Store")]
pub(super) struct StoreFlags {
    /// Where runs are kept: a folder, or s3://BUCKET/PREFIX [default: $XDG_DATA_HOME/loadgrid].
    #[arg(long, value_name = "DIR|s3://…", env = "LOADGRID_STORE")]
    store: Option<String>,
}

impl StoreFlags {
    /// Named by the flag rather than by the environment.
    pub(super) fn is_flag(&self) -> bool {
        let of_environment = std::env::var("LOADGRID_STORE").ok();
        self.store.is_some() && self.store != of_environment
    }
}

/// Whether and how long a run is kept.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Store")]
pub(super) struct KeepFlags {
    #[command(flatten)]
    store: StoreFlags,
    /// Do not keep the result.
    #[arg(long)]
    no_store: bool,
    /// Of this and every other test, keep so many of the newest results; baselines stay [default: all].
    #[arg(long, value_name = "N", env = "LOADGRID_KEEP")]
    keep: Option<NonZeroUsize>,
    /// Keep results for so long, such as 90d; baselines stay [default: for ever].
    #[arg(long, value_name = "TIME", env = "LOADGRID_KEEP_FOR")]
    keep_for: Option<String>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = if error.is_usage() { exit::USAGE } else { exit::NOT_CARRIED_OUT };
        Failure { code, message: error.to_string() }
    }
}

impl StoreFlags {
    pub(super) fn open(&self) -> Result<Store, Failure> {
        let environment = Environment::of_process();
        let location = Location::of(self.store.as_deref(), &environment)?;
        Ok(Store::open(&location, &environment)?)
    }
}

/// How long things are kept, as it is written.
pub(super) fn keep(count: Option<NonZeroUsize>, age: Option<&str>) -> Result<Keep, Failure> {
    let parse = |text: &str| match units::duration_ns(text) {
        Ok(0) => Err(Failure::usage("--keep-for: a time of zero keeps nothing; --no-store does that")),
        Ok(ns) => Ok(Duration::from_nanos(ns)),
        Err(error) => Err(Failure::usage(format!("--keep-for: {error}"))),
    };
    Ok(Keep { per_test: count, max_age: age.map(parse).transpose()? })
}

/// A store that is there, and what it is to hold of old runs.
pub(super) struct Keeper {
    store: Arc<Store>,
    keep: Keep,
    /// Whether somebody asked for this store: then not to have it is a failure.
    asked: bool,
}

impl KeepFlags {
    /// A flag that was given; where a store is named by the environment, it is not meant for this command alone.
    pub(super) fn given(&self) -> Option<&'static str> {
        let store = self.store.store.is_some() && std::env::var_os("LOADGRID_STORE").is_none();
        let flags = [
            ("--no-store", self.no_store),
            ("--store", store),
            ("--keep", self.keep.is_some() && std::env::var_os("LOADGRID_KEEP").is_none()),
            ("--keep-for", self.keep_for.is_some() && std::env::var_os("LOADGRID_KEEP_FOR").is_none()),
        ];
        flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }

    /// The store of a coordinator in service, which is nothing without one.
    pub(super) fn served(&self) -> Result<Keeper, Failure> {
        if self.no_store {
            return Err(Failure::usage(
                "--no-store: a served grid keeps results: leave it out, or bound them by --keep",
            ));
        }
        let keep = keep(self.keep, self.keep_for.as_deref())?;
        let store = self.store.open()?;
        if let Location::Folder(folder) = store.location() {
            writable(folder)?;
        }
        Ok(Keeper { store: Arc::new(store), keep, asked: true })
    }

    /// Opens the store and sees whether it can be reached, before a load whose result it is to keep. `None`: nothing
    /// is to be kept, or there is no place for it.
    pub(super) fn keeper(&self, test: &str) -> Result<Option<Keeper>, Failure> {
        let keep = keep(self.keep, self.keep_for.as_deref())?;
        if self.no_store {
            return Ok(None);
        }
        let asked = self.store.store.is_some();
        let tried = self.store.open().and_then(|store| {
            match store.location() {
                Location::Folder(folder) => writable(folder)?,
                Location::S3 { .. } | Location::Served(_) => drop(runtime()?.block_on(store.baseline(test))?),
            }
            Ok(store)
        });
        match tried {
            Ok(store) => Ok(Some(Keeper { store: Arc::new(store), keep, asked })),
            Err(failure) if asked => Err(failure),
            Err(failure) => {
                output::complain(&format!("warning: this result will not be kept: {}", failure.message));
                Ok(None)
            }
        }
    }
}

fn writable(folder: &Path) -> Result<(), Failure> {
    let runs = folder.join("runs");
    std::fs::create_dir_all(&runs)
        .map_err(|error| error.to_string())
        .and_then(|()| output::check_writable(&runs.join("new")))
        .map_err(|error| {
            Failure::not_carried_out(format!(
                "the store {} can't be written ({error}): choose another with --store DIR, or --no-store",
                folder.display()
            ))
        })
}

impl Keeper {
    pub(super) fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Keeps a result, and lets old ones go. What can't be kept is saved as a file; the result itself is not touched by
    /// that, unless the store was asked for.
    pub(super) fn put(&self, entry: &Entry, document: &str) -> Result<(), Failure> {
        let store = &self.store;
        let runtime = runtime()?;
        if let Err(error) = runtime.block_on(store.put(entry, document)) {
            return self.rescue(entry, document, &error);
        }
        if self.keep == Keep::default() {
            return Ok(());
        }
        match runtime.block_on(store.retain(self.keep, jiff::Timestamp::now())) {
            Ok(lost) if lost.is_empty() => {}
            Ok(lost) => output::complain(&format!("{} old results were removed from {}", lost.len(), store.location())),
            Err(error) => {
                output::complain(&format!("warning: the result was kept, and old ones were not removed: {error}"))
            }
        }
        Ok(())
    }

    /// Keeps a result that is safe elsewhere until it is kept.
    pub(super) fn put_again(&self, entry: &Entry, document: &str) -> Result<(), Failure> {
        Ok(runtime()?.block_on(self.store.put(entry, document))?)
    }

    /// A result, if the store has it.
    pub(super) fn get(&self, id: &str) -> Result<Option<Stored>, Failure> {
        match runtime()?.block_on(self.store.get(id)) {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if error.cause() == Cause::Unknown => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn rescue(&self, entry: &Entry, document: &str, error: &Error) -> Result<(), Failure> {
        let temporary = std::env::temp_dir();
        let saved = match error.cause() {
            // Without a document there is nothing to save.
            Cause::Usage => None,
            _ => rescue(&entry.id, document, &[Path::new("."), &temporary]),
        };
        let saved = saved.map_or(String::new(), |path| format!("; the result is in {}", path.display()));
        let message = format!("the result was not kept: {error}{saved}");
        if self.asked {
            return Err(Failure::not_carried_out(message));
        }
        output::complain(&format!("warning: {message}"));
        Ok(())
    }
}

/// Says what of a store is not used.
pub(super) fn complain_of(skipped: &[crate::store::Skipped]) {
    skipped_lines(skipped).iter().for_each(|line| output::complain(&format!("warning: {line}")));
}
