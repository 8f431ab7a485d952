//! Files of a store that are not used, and why, for people.

use std::collections::BTreeMap;
use std::fmt;

use super::error::{Cause, Error};
use super::format::Fault;

/// So many files with the same fault are named one by one.
const NAMED: usize = 3;

/// A file that is not used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// Under the store's place: `runs/…`.
    pub name: String,
    pub fault: Fault,
}

impl Skipped {
    pub(super) fn new(name: String, fault: Fault) -> Self {
        Skipped { name, fault }
    }

    /// As the answer to someone who asked for this file.
    pub(super) fn error(&self, store: &str) -> Error {
        let cause = if matches!(self.fault, Fault::Newer { .. }) { Cause::Newer } else { Cause::Damaged };
        Error::new(cause, format!("{self} (store {store})"))
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.name, self.fault)
    }
}

/// A line for each file, or one for all that have the same fault where they are many.
pub fn skipped_lines(skipped: &[Skipped]) -> Vec<String> {
    let mut by_fault: BTreeMap<&Fault, Vec<&Skipped>> = BTreeMap::new();
    for file in skipped {
        by_fault.entry(&file.fault).or_default().push(file);
    }
    let lines = by_fault.into_iter().flat_map(|(fault, files)| match files.as_slice() {
        [first, ..] if files.len() > NAMED => {
            vec![format!("{} files, such as {}, are skipped: each is {fault}", files.len(), first.name)]
        }
        few => few.iter().map(|file| format!("{} is skipped: it is {fault}", file.name)).collect(),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_named_and_many_are_counted() {
        let file = |n: usize, fault| Skipped::new(format!("runs/{n}"), fault);
        let newer = || Fault::Newer { schema: "loadgrid.dev/stored/v2".into() };
        let mut skipped = vec![file(0, Fault::Torn)];
        assert!(skipped_lines(&skipped)[0].starts_with("runs/0 is skipped: it is torn ("));
        skipped.extend((1..=5).map(|n| file(n, newer())));
        let lines = skipped_lines(&skipped);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[1],
            "5 files, such as runs/1, are skipped: each is written by a newer loadgrid (schema loadgrid.dev/stored/v2): \
             use that version"
        );
    }

    #[test]
    fn who_asks_for_one_is_told_why_it_is_not_had() {
        let error = Skipped::new("runs/x".into(), Fault::Altered).error("/s");
        assert_eq!(error.cause(), Cause::Damaged);
        assert!(error.to_string().starts_with("runs/x is altered since"), "{error}");
    }
}
