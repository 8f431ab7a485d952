//! The result store: every run, kept whole in a folder or a bucket, listed by what its first line says. What a run's
//! document means it does not know.
//!
//! ```text
//! runs/ULID.jsonl      a run: see `format`
//! baselines/TEST.json  which run of a test the others are measured against
//! ```

mod baseline;
mod bucket;
mod entry;
mod environment;
mod error;
mod folder;
mod format;
mod index;
mod location;
mod place;
mod resolve;
mod retention;
mod served;
mod skipped;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ulid::Ulid;

use self::bucket::Bucket;
pub use self::entry::{Entry, Filter, Kind};
pub use self::environment::Environment;
pub use self::error::{Cause, Error};
use self::folder::Folder;
use self::format::head;
pub use self::format::{Fault, SCHEMA, Stored};
use self::index::{Begun, Index};
pub use self::location::Location;
use self::place::{Listed, Opened, Place};
pub use self::retention::Keep;
use self::served::Served;
pub use self::served::{Answer, Answering, Ask, Serves};
pub use self::skipped::{Skipped, skipped_lines};

const RUNS: &str = "runs";
const BASELINES: &str = "baselines";

/// Runs, the newest last, and what is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    pub entries: Vec<Entry>,
    pub skipped: Vec<Skipped>,
}

impl Listing {
    fn skip(&mut self, id: &str, fault: Fault) {
        self.skipped.push(Skipped::new(run_path(id), fault));
    }
}

/// Ids of runs by test, and files that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baselines {
    pub runs: BTreeMap<String, String>,
    pub skipped: Vec<Skipped>,
}

/// A place where runs are kept. Nothing is opened before the first call; what is not there yet is empty.
#[derive(Debug)]
pub struct Store {
    location: Location,
    place: Place,
    index: Option<PathBuf>,
    /// What the index is kept for.
    key: String,
}

/// Where a run is kept.
fn run_path(id: &str) -> String {
    format!("{RUNS}/{id}.jsonl")
}

/// That there is nothing to show.
fn empty(store: &str) -> Error {
    Error::new(Cause::Empty, format!("the store {store} has no runs yet: `loadgrid run TEST.yaml` keeps one"))
}

/// The id as it is written in names of files.
fn checked_id(id: &str) -> Result<String, Error> {
    let wrong = |_| Error::new(Cause::Usage, format!("'{id}' is not the id of a run: `loadgrid runs` lists them"));
    Ulid::from_string(id).map(|ulid| ulid.to_string()).map_err(wrong)
}

impl Store {
    /// # Errors
    /// What of the environment can't be used to reach a bucket.
    pub fn open(location: &Location, environment: &Environment) -> Result<Self, Error> {
        let shown = location.to_string();
        let endpoint = environment.get("AWS_ENDPOINT_URL_S3").or(environment.get("AWS_ENDPOINT_URL"));
        let (place, key) = match location {
            Location::Folder(path) => {
                (Place::Folder { folder: Folder::new(path.clone()), shown: shown.clone() }, shown)
            }
            Location::Served(at) => {
                return Err(Error::new(Cause::Usage, format!("the store of {at} is not opened here")));
            }
            Location::S3 { bucket, prefix } => {
                let place = Place::Bucket(Bucket::new(bucket, prefix, environment)?);
                (place, format!("{shown} {}", endpoint.unwrap_or_default()))
            }
        };
        Ok(Store { location: location.clone(), place, index: index::path(&key, environment), key })
    }

    /// The store of somebody who serves it; `shown` is where, for people.
    pub fn served(shown: &str, serves: Box<dyn Serves>) -> Self {
        let location = Location::Served(shown.to_owned());
        Store { location, place: Place::Served(Served(serves)), index: None, key: String::new() }
    }

    /// Answers for somebody who asks from elsewhere.
    ///
    /// # Errors
    /// A path that is none of a store, and as the store's own errors.
    pub async fn answer(&self, ask: Ask) -> Result<Answer, Error> {
        served::answer(&self.place, ask).await
    }

    pub fn location(&self) -> &Location {
        &self.location
    }

    /// That the store has no runs, for people.
    pub fn empty(&self) -> Error {
        empty(&self.location.to_string())
    }

    /// Keeps a run, whole or not at all. A run of the same id is replaced.
    ///
    /// # Errors
    /// The store is full, can't be written or reached; what was in it stays as it was.
    pub async fn put(&self, entry: &Entry, document: &str) -> Result<(), Error> {
        let entry = Entry { id: checked_id(&entry.id)?, ..entry.clone() };
        let bytes = format::encode(&entry, document)
            .map_err(|why| Error::new(Cause::Usage, format!("the run {} can't be stored: {why}", entry.id)))?;
        self.place.write(&run_path(&entry.id), bytes).await
    }

    /// The runs that are wanted, by their first lines, and every file that is none.
    ///
    /// # Errors
    /// The store can't be read or reached. Files that are no runs are no errors.
    pub async fn list(&self, filter: &Filter) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        let mut files = Vec::new();
        let (listed, index) = tokio::join!(self.place.listing(RUNS), self.load_index());
        for listed in listed?.into_iter().filter(|listed| !listed.name.is_empty()) {
            match id_of(&listed.name) {
                Some(id) => files.push((id, listed)),
                None => listing.skipped.push(Skipped::new(format!("{RUNS}/{}", listed.name), Fault::Foreign)),
            }
        }
        for file in self.beginnings(files, index, &mut listing.skipped).await? {
            match head(&file.beginning, file.listed.size) {
                Ok(head) if head.entry.id != file.id => listing.skip(&file.id, Fault::Misnamed),
                Ok(head) if filter.has(&head.entry) => listing.entries.push(head.entry),
                Ok(_) => {}
                Err(fault) => listing.skip(&file.id, fault),
            }
        }
        listing.entries.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        listing.skipped.sort();
        Ok(listing)
    }

    /// The files' beginnings, from the index as far as it knows them, without files that are gone.
    async fn beginnings(
        &self,
        files: Vec<(String, Listed)>,
        mut index: Index,
        skipped: &mut Vec<Skipped>,
    ) -> Result<Vec<Begun>, Error> {
        let indexed = index.len();
        let (mut begun, mut unknown) = (Vec::with_capacity(files.len()), Vec::new());
        for (id, listed) in files {
            match index::take(&mut index, &id, &listed) {
                Some(beginning) => begun.push(Begun { id, listed, beginning }),
                None => unknown.push((id, listed)),
            }
        }
        if unknown.is_empty() && begun.len() == indexed {
            return Ok(begun);
        }
        let paths = unknown.iter().map(|(id, listed)| (run_path(id), listed.size)).collect();
        for ((id, listed), opened) in unknown.into_iter().zip(self.place.beginnings(paths).await?) {
            match opened {
                Opened::Begun { size, tag, beginning } => {
                    begun.push(Begun { id, listed: Listed { size, tag, ..listed }, beginning });
                }
                Opened::Gone => {}
                Opened::Closed => skipped.push(Skipped::new(run_path(&id), Fault::Closed)),
            }
        }
        Ok(self.save_index(begun).await)
    }

    async fn load_index(&self) -> Index {
        let Some(path) = self.index.clone() else { return Index::new() };
        let key = self.key.clone();
        tokio::task::spawn_blocking(move || index::load(&path, &key)).await.unwrap_or_default()
    }

    async fn save_index(&self, files: Vec<Begun>) -> Vec<Begun> {
        let Some(path) = self.index.clone() else { return files };
        let key = self.key.clone();
        let saved = tokio::task::spawn_blocking(move || {
            index::save(&path, &key, &files);
            files
        });
        saved.await.unwrap_or_default()
    }

    /// A run, checked to the byte.
    ///
    /// # Errors
    /// There is none of this id, it is torn, altered or of a newer version, or the store can't be read.
    pub async fn get(&self, id: &str) -> Result<Stored, Error> {
        let id = checked_id(id)?;
        let skipped = |fault| Skipped::new(run_path(&id), fault).error(&self.location.to_string());
        let bytes = self.place.read(&run_path(&id)).await?.ok_or_else(|| self.no_such(&id))?;
        let stored = format::decode(bytes).map_err(skipped)?;
        if stored.entry.id == id { Ok(stored) } else { Err(skipped(Fault::Misnamed)) }
    }

    fn no_such(&self, id: &str) -> Error {
        Error::new(Cause::Unknown, format!("the store {} has no run {id}: `loadgrid runs` lists them", self.location))
    }

    /// Removes a run, also one that can't be read.
    ///
    /// # Errors
    /// There is none of this id, it is a baseline, or the store can't be written.
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        let id = checked_id(id)?;
        let baselines = self.readable_baselines().await?;
        if let Some((test, _)) = baselines.iter().find(|(_, run)| **run == id) {
            let mend = "set another with `loadgrid baseline set RUN`, or clear it, first";
            return Err(Error::new(Cause::Usage, format!("{id} is the baseline of '{test}' and stays: {mend}")));
        }
        if self.place.remove(&run_path(&id)).await? { Ok(()) } else { Err(self.no_such(&id)) }
    }

    /// The id that is meant by a ULID, the beginning of one, `latest`, `NAME@latest` or `NAME@baseline`. With a kind,
    /// only runs of that kind are meant.
    ///
    /// # Errors
    /// None or several are meant: which there are; or the store can't be read.
    pub async fn resolve(&self, what: &str, kind: Option<Kind>) -> Result<String, Error> {
        let listing = self.list(&Filter::default()).await?;
        let baselines = if what.ends_with("@baseline") { self.readable_baselines().await? } else { BTreeMap::new() };
        resolve::resolve(what, kind, &listing, &baselines, &self.location.to_string())
    }

    /// Removes what is not to be kept, the oldest first, and says what that was. Baselines stay, and so does what
    /// can't be read.
    ///
    /// # Errors
    /// A baseline can't be read, so that it is not known what has to stay, or the store can't be written: what was
    /// removed until then is gone.
    pub async fn retain(&self, keep: Keep, now: Timestamp) -> Result<Vec<String>, Error> {
        let listing = self.list(&Filter::default()).await?;
        let baselines = self.readable_baselines().await?;
        let kept: BTreeSet<&str> = baselines.values().map(String::as_str).collect();
        let lost = retention::surplus(&listing.entries, &kept, keep, now);
        for id in &lost {
            // Whether somebody else has removed it meanwhile is all the same.
            self.place.remove(&run_path(id)).await?;
        }
        Ok(lost)
    }

    /// All baselines.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn baselines(&self) -> Result<Baselines, Error> {
        let mut baselines = Baselines::default();
        for listed in self.place.listing(BASELINES).await?.into_iter().filter(|listed| !listed.name.is_empty()) {
            let path = format!("{BASELINES}/{}", listed.name);
            if listed.name.ends_with('/') {
                baselines.skipped.push(Skipped::new(path, Fault::Foreign));
                continue;
            }
            let Some(bytes) = self.place.read(&path).await? else { continue };
            match baseline::decode(&listed.name, &bytes) {
                Ok((test, run)) => drop(baselines.runs.insert(test, run)),
                Err(fault) => baselines.skipped.push(Skipped::new(path, fault)),
            }
        }
        baselines.skipped.sort();
        Ok(baselines)
    }

    /// Baselines where one that can't be read might be the one that matters.
    async fn readable_baselines(&self) -> Result<BTreeMap<String, String>, Error> {
        let baselines = self.baselines().await?;
        // One that should be a baseline and is none may hide which run has to stay.
        let matters = |skipped: &&Skipped| skipped.fault != Fault::Foreign || skipped.name.ends_with(".json");
        match baselines.skipped.iter().find(matters) {
            Some(skipped) => Err(skipped.error(&self.location.to_string())),
            None => Ok(baselines.runs),
        }
    }

    /// The id of a test's baseline, if it has one.
    ///
    /// # Errors
    /// Its file can't be read, or the store can't.
    pub async fn baseline(&self, test: &str) -> Result<Option<String>, Error> {
        let name = baseline::file_name(test);
        let path = format!("{BASELINES}/{name}");
        let Some(bytes) = self.place.read(&path).await? else { return Ok(None) };
        match baseline::decode(&name, &bytes) {
            Ok((_, run)) => Ok(Some(run)),
            Err(fault) => Err(Skipped::new(path, fault).error(&self.location.to_string())),
        }
    }

    /// Makes a run the baseline of its test, and says which one it is.
    ///
    /// # Errors
    /// As [`Store::get`], or the store can't be written.
    pub async fn set_baseline(&self, id: &str) -> Result<Entry, Error> {
        let entry = self.get(id).await?.entry;
        let bytes = baseline::encode(&entry.test, &entry.id).map_err(|why| Error::new(Cause::Failed, why))?;
        self.place.write(&format!("{BASELINES}/{}", baseline::file_name(&entry.test)), bytes).await?;
        Ok(entry)
    }

    /// Takes a test's baseline away; whether there was one.
    ///
    /// # Errors
    /// The store can't be written.
    pub async fn clear_baseline(&self, test: &str) -> Result<bool, Error> {
        self.place.remove(&format!("{BASELINES}/{}", baseline::file_name(test))).await
    }
}

/// The id in a file's name, if it is a run's.
fn id_of(name: &str) -> Option<String> {
    let stem = name.strip_suffix(".jsonl")?;
    let id = Ulid::from_string(stem).ok()?.to_string();
    // One spelling alone, so that no run is there twice.
    (id == stem).then_some(id)
}

/// Saves the document of a run that could not be kept: `loadgrid-ID.json` in the first folder that takes it. Blocks.
pub fn rescue(id: &str, document: &str, folders: &[&Path]) -> Option<PathBuf> {
    let name = format!("loadgrid-{}.json", checked_id(id).ok()?);
    let kept = folders.iter().find(|folder| {
        // A folder that is not there is not made: nobody would look there.
        folder.is_dir() && Folder::new(folder.to_path_buf()).write(&name, document.as_bytes()).is_ok()
    })?;
    Some(kept.join(name))
}

#[cfg(test)]
mod tests;
