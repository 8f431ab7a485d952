//! Where a store is, as people write it. Whether something is there it does not know.

use std::fmt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::{Cause, Error};

/// The place of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A folder, absolute.
    Folder(PathBuf),
    /// What lies under `prefix/` in a bucket; the prefix may be empty.
    S3 { bucket: String, prefix: String },
    /// A coordinator that serves its own; for people.
    Served(String),
}

impl Location {
    /// `DIR` or `s3://BUCKET[/PREFIX]`.
    ///
    /// # Errors
    /// What to write instead.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return s3(rest);
        }
        let wrong = |why: String| Err(Error::new(Cause::Usage, why));
        match text {
            "" => wrong("the store's place is empty: write a folder or s3://BUCKET/PREFIX".to_owned()),
            _ if text == "~" || text.starts_with("~/") => {
                wrong(format!("the shell did not replace the '~' of the store '{text}': write $HOME instead"))
            }
            _ if text.contains("://") => {
                let scheme = text.split("://").next().unwrap_or_default();
                wrong(format!("a store can't be at {scheme}://…: write a folder or s3://BUCKET/PREFIX"))
            }
            _ => match std::path::absolute(Path::new(text)) {
                Ok(path) => Ok(Location::Folder(path)),
                Err(error) => wrong(format!("the store '{text}' is no folder here ({error}): write its whole path")),
            },
        }
    }

    /// Where the user wants it: `--store`, or else `$XDG_DATA_HOME/loadgrid`, or `~/.local/share/loadgrid`.
    ///
    /// # Errors
    /// As [`Location::parse`], or that there is no home folder.
    pub fn of(flag: Option<&str>, environment: &Environment) -> Result<Self, Error> {
        match (flag, environment.base("XDG_DATA_HOME", ".local/share")) {
            (Some(text), _) => Location::parse(text),
            (None, Some(base)) => Ok(Location::Folder(base.join("loadgrid"))),
            (None, None) => {
                let why = "there is no home folder to keep runs in: set HOME or XDG_DATA_HOME, or write --store DIR";
                Err(Error::new(Cause::Usage, why))
            }
        }
    }
}

fn s3(rest: &str) -> Result<Location, Error> {
    let wrong = |why: &str| Err(Error::new(Cause::Usage, why));
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    // What stands before an @ is a secret; it is not shown.
    if bucket.contains('@') {
        return wrong(
            "the store's place holds credentials: write s3://BUCKET/PREFIX and set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY",
        );
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if bucket.is_empty() || bucket.len() > 255 || !bucket.chars().all(allowed) {
        return wrong(
            "the store's place names no bucket: write s3://BUCKET/PREFIX, the bucket in letters, digits, '-' and '.'",
        );
    }
    let parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.=+,()!'".contains(c);
    if parts.iter().any(|part| matches!(*part, "." | "..") || !part.chars().all(allowed)) {
        return wrong(
            "the store's prefix can't be used: write s3://BUCKET/PREFIX, the prefix in letters, digits, '-', '_', '.' and '/'",
        );
    }
    Ok(Location::S3 { bucket: bucket.to_owned(), prefix: parts.join("/") })
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(path) => path.display().fmt(f),
            Location::Served(at) => f.write_str(at),
            Location::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Location::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_become_absolute_and_buckets_lose_their_slashes() {
        assert_eq!(Location::parse("/a/b").unwrap(), Location::Folder("/a/b".into()));
        let here = std::env::current_dir().unwrap();
        assert_eq!(Location::parse("runs").unwrap(), Location::Folder(here.join("runs")));
        for (text, shown) in [
            ("s3://b", "s3://b"),
            ("s3://b/", "s3://b"),
            ("s3://b//x/y/", "s3://b/x/y"),
            ("s3://my.b-1/a", "s3://my.b-1/a"),
        ] {
            assert_eq!(Location::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_place_is_told_what_to_write() {
        for text in [
            "",
            "~",
            "~/runs",
            "gs://b/x",
            "http://host/x",
            "s3://",
            "s3:///x",
            "s3://b/../x",
            "s3://b/x?y",
            "s3://b c",
        ] {
            let error = Location::parse(text).unwrap_err();
            assert_eq!(error.cause(), Cause::Usage, "{text}");
            assert!(error.to_string().contains("write"), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_in_a_place_are_not_shown() {
        for text in ["s3://AKIA:hush@bucket/x", "https://AKIA:hush@bucket/x"] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hush") && !error.contains("AKIA"), "{error}");
        }
    }

    #[test]
    fn without_a_flag_it_is_in_the_data_folder() {
        let home: Environment = [("HOME".to_owned(), "/home/a".to_owned())].into_iter().collect();
        assert_eq!(Location::of(None, &home).unwrap(), Location::Folder("/home/a/.local/share/loadgrid".into()));
        assert_eq!(Location::of(Some("/x"), &home).unwrap(), Location::Folder("/x".into()));
        assert!(Location::of(None, &Environment::default()).unwrap_err().to_string().contains("--store DIR"));
    }
}
