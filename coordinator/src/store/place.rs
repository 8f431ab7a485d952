//! A folder, a bucket, or a server before them, asked in the same words. It does not know what is kept there.

use std::io;

use super::bucket::Bucket;
use super::error::{Doing, Error};
use super::folder::Folder;
use super::format::Beginning;
use super::served::Served;

/// A file as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Without its folder.
    pub name: String,
    pub size: u64,
    /// Another one when the file was written again; without blanks.
    pub tag: String,
}

/// What became of an attempt to read a file's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// With the size and tag it had then: it may have been written again since it was listed.
    Begun { size: u64, tag: String, beginning: Beginning },
    /// It was removed meanwhile.
    Gone,
    /// It may not be read.
    Closed,
}

#[derive(Debug)]
pub(super) enum Place {
    Folder { folder: Folder, shown: String },
    Bucket(Bucket),
    Served(Served),
}

impl Place {
    /// Writes a file whole or not at all.
    pub(super) async fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        match self {
            Place::Folder { folder, shown } => {
                let path = path.to_owned();
                off_thread(shown, Doing::Write, folder, move |folder| folder.write(&path, &bytes)).await
            }
            Place::Bucket(bucket) => bucket.write(path, bytes).await,
            Place::Served(served) => served.write(path, bytes).await,
        }
    }

    /// What is in a folder, folders with a slash at their end; nothing if it is not there.
    pub(super) async fn listing(&self, of: &str) -> Result<Vec<Listed>, Error> {
        match self {
            Place::Folder { folder, shown } => {
                let of = of.to_owned();
                off_thread(shown, Doing::Read, folder, move |folder| folder.listing(&of)).await
            }
            Place::Bucket(bucket) => bucket.listing(of).await,
            Place::Served(served) => served.listing(of).await,
        }
    }

    /// The beginnings of files of these sizes, in their order.
    pub(super) async fn beginnings(&self, paths: Vec<(String, u64)>) -> Result<Vec<Opened>, Error> {
        match self {
            Place::Folder { folder, shown } => {
                let read = move |folder: &Folder| paths.iter().map(|(path, _)| folder.beginning(path)).collect();
                off_thread(shown, Doing::Read, folder, read).await
            }
            Place::Bucket(bucket) => bucket.beginnings(paths).await,
            Place::Served(served) => served.beginnings(paths).await,
        }
    }

    /// A whole file; none if there is none.
    pub(super) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Place::Folder { folder, shown } => {
                let path = path.to_owned();
                off_thread(shown, Doing::Read, folder, move |folder| folder.read(&path)).await
            }
            Place::Bucket(bucket) => bucket.read(path).await,
            Place::Served(served) => served.read(path).await,
        }
    }

    /// Removes a file; whether there was one.
    pub(super) async fn remove(&self, path: &str) -> Result<bool, Error> {
        match self {
            Place::Folder { folder, shown } => {
                let path = path.to_owned();
                off_thread(shown, Doing::Remove, folder, move |folder| folder.remove(&path)).await
            }
            Place::Bucket(bucket) => bucket.remove(path).await,
            Place::Served(served) => served.remove(path).await,
        }
    }
}

/// Does what blocks where it may.
async fn off_thread<T: Send + 'static>(
    shown: &str,
    doing: Doing,
    folder: &Folder,
    work: impl FnOnce(&Folder) -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let folder = folder.clone();
    let done = tokio::task::spawn_blocking(move || work(&folder)).await;
    let done = done.unwrap_or_else(|_| Err(io::Error::other("the program is ending")));
    done.map_err(|error| Error::of_io(shown, doing, &error))
}
