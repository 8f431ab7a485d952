//! Why the store did not do what it was asked: one sentence with the place and the mend. Texts of other libraries are
//! not passed on, for they may hold URLs with secrets.

use std::{fmt, io};

/// What kind of thing went wrong: what callers choose an exit code by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Something was written that can't be meant.
    Usage,
    /// The store has no run that could have been meant.
    Empty,
    /// No run is meant by this, or several are.
    Unknown,
    /// A file is torn, altered or not ours.
    Damaged,
    /// A file was written by a newer version.
    Newer,
    /// There is no room.
    Full,
    /// The store may not be read or written, or its credentials are missing or not accepted.
    Denied,
    /// The store can't be reached.
    Unreachable,
    /// Anything else that reading and writing gives.
    Failed,
}

/// A sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    cause: Cause,
    text: String,
}

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Read,
    Write,
    Remove,
}

impl Doing {
    /// As in "can't be …".
    pub(super) fn done(self) -> &'static str {
        match self {
            Doing::Read => "read",
            Doing::Write => "written",
            Doing::Remove => "removed from",
        }
    }
}

impl Error {
    pub(super) fn new(cause: Cause, text: impl Into<String>) -> Self {
        Error { cause, text: text.into() }
    }

    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Whether the user can mend it by writing something else.
    pub fn is_usage(&self) -> bool {
        matches!(self.cause, Cause::Usage | Cause::Empty | Cause::Unknown)
    }

    /// Of a folder.
    pub(super) fn of_io(place: &str, doing: Doing, error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        let done = doing.done();
        match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => Error::full(place, &error.to_string()),
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => Error::new(
                Cause::Denied,
                format!(
                    "the store {place} can't be {done} ({error}): give yourself access, or name another with --store"
                ),
            ),
            Kind::NotADirectory | Kind::AlreadyExists => Error::new(
                Cause::Usage,
                format!(
                    "the store {place} can't be {done}: a file is where its folder should be; name another with --store"
                ),
            ),
            _ => Error::new(
                Cause::Failed,
                format!("the store {place} can't be {done} ({error}): mend that, or name another with --store"),
            ),
        }
    }

    pub(super) fn full(place: &str, why: &str) -> Self {
        let mend = "make room there, remove runs with `loadgrid rm`, or name another with --store";
        Error::new(Cause::Full, format!("the store {place} is full ({why}): {mend}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_of_a_disk_has_its_mend() {
        let of = |code| Error::of_io("/s", Doing::Write, &io::Error::from_raw_os_error(code));
        // ENOSPC, EDQUOT, EACCES, EROFS, ENOTDIR, EIO.
        let cases = [
            (28, Cause::Full, "`loadgrid rm`"),
            (122, Cause::Full, "`loadgrid rm`"),
            (13, Cause::Denied, "access"),
            (30, Cause::Denied, "access"),
            (20, Cause::Usage, "a file is where"),
            (5, Cause::Failed, "mend"),
        ];
        for (code, cause, mend) in cases {
            let error = of(code);
            assert_eq!(error.cause(), cause, "{code}");
            let text = error.to_string();
            assert!(text.contains("/s ") && text.contains(mend) && text.contains("--store"), "{text}");
        }
    }
}
