//! A store that somebody else serves: the same questions as to a folder or a bucket, in words that travel.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::{Cause, Error};
use super::format::Beginning;
use super::place::{Listed, Opened, Place};

/// What is asked of a store. Bytes are base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    Write { path: String, bytes: String },
    Listing { of: String },
    Beginnings { of: Vec<(String, u64)> },
    Read { path: String },
    Remove { path: String },
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    Written,
    /// Name, size and tag of each.
    Listed(Vec<(String, u64, String)>),
    Begun(Vec<Head>),
    Read(Option<String>),
    Removed(bool),
}

/// How a file begins, if it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    Here { size: u64, tag: String, line: String, ended: bool },
    Gone,
    Closed,
}

/// An answer that is on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, String>> + Send + 'a>>;

/// Who serves it.
pub trait Serves: fmt::Debug + Send + Sync {
    fn ask(&self, ask: Ask) -> Answering<'_>;
}

/// A few folders deep at the most, in plain letters: a store has no other paths.
fn is_path(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.=".contains(c))
    };
    let parts: Vec<&str> = path.split('/').collect();
    parts.len() <= 3 && parts.into_iter().all(plain)
}

/// Answers out of a place.
pub(super) async fn answer(place: &Place, ask: Ask) -> Result<Answer, Error> {
    let paths: Vec<&String> = match &ask {
        Ask::Write { path, .. } | Ask::Read { path } | Ask::Remove { path } => vec![path],
        Ask::Listing { of } => vec![of],
        Ask::Beginnings { of } => of.iter().map(|(path, _)| path).collect(),
    };
    if let Some(path) = paths.into_iter().find(|path| !is_path(path)) {
        return Err(Error::new(Cause::Usage, format!("'{path}' is no path of a store")));
    }
    Ok(match ask {
        Ask::Write { path, bytes } => {
            let bytes = STANDARD.decode(bytes);
            let bytes = bytes.map_err(|_| Error::new(Cause::Usage, "what is to be written is torn"))?;
            place.write(&path, bytes).await?;
            Answer::Written
        }
        Ask::Listing { of } => {
            let listed = place.listing(&of).await?;
            Answer::Listed(listed.into_iter().map(|file| (file.name, file.size, file.tag)).collect())
        }
        Ask::Beginnings { of } => {
            let opened = place.beginnings(of).await?.into_iter().map(|opened| match opened {
                Opened::Begun { size, tag, beginning } => {
                    Head::Here { size, tag, line: STANDARD.encode(&beginning.line), ended: beginning.ended }
                }
                Opened::Gone => Head::Gone,
                Opened::Closed => Head::Closed,
            });
            Answer::Begun(opened.collect())
        }
        Ask::Read { path } => Answer::Read(place.read(&path).await?.map(|bytes| STANDARD.encode(bytes))),
        Ask::Remove { path } => Answer::Removed(place.remove(&path).await?),
    })
}

/// A store behind a server, as a place.
#[derive(Debug)]
pub(super) struct Served(pub Box<dyn Serves>);

impl Served {
    async fn ask(&self, ask: Ask) -> Result<Answer, Error> {
        self.0.ask(ask).await.map_err(|why| Error::new(Cause::Unreachable, why))
    }

    pub(super) async fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        self.ask(Ask::Write { path: path.to_owned(), bytes: STANDARD.encode(bytes) }).await.map(drop)
    }

    pub(super) async fn listing(&self, of: &str) -> Result<Vec<Listed>, Error> {
        match self.ask(Ask::Listing { of: of.to_owned() }).await? {
            Answer::Listed(files) => {
                Ok(files.into_iter().map(|(name, size, tag)| Listed { name, size, tag }).collect())
            }
            _ => Err(unfit()),
        }
    }

    pub(super) async fn beginnings(&self, of: Vec<(String, u64)>) -> Result<Vec<Opened>, Error> {
        let Answer::Begun(begun) = self.ask(Ask::Beginnings { of }).await? else { return Err(unfit()) };
        let opened = begun.into_iter().map(|begun| match begun {
            Head::Here { size, tag, line, ended } => {
                let line = STANDARD.decode(line).map_err(|_| unfit())?.into();
                Ok(Opened::Begun { size, tag, beginning: Beginning { line, ended } })
            }
            Head::Gone => Ok(Opened::Gone),
            Head::Closed => Ok(Opened::Closed),
        });
        opened.collect()
    }

    pub(super) async fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.ask(Ask::Read { path: path.to_owned() }).await? {
            Answer::Read(None) => Ok(None),
            Answer::Read(Some(bytes)) => STANDARD.decode(bytes).map(Some).map_err(|_| unfit()),
            _ => Err(unfit()),
        }
    }

    pub(super) async fn remove(&self, path: &str) -> Result<bool, Error> {
        match self.ask(Ask::Remove { path: path.to_owned() }).await? {
            Answer::Removed(was) => Ok(was),
            _ => Err(unfit()),
        }
    }
}

fn unfit() -> Error {
    Error::new(
        Cause::Unreachable,
        "the grid answers something else than it was asked: are its version and this one the same?",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_the_store() {
        for good in ["runs", "runs/01ABC.jsonl", "baselines/a=2Fb.json", "runs/a/b"] {
            assert!(is_path(good), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "runs/../x", "runs/.x", "a/b/c/d", "runs//x", "runs/a b"] {
            assert!(!is_path(bad), "{bad}");
        }
    }
}
