//! The first lines of a store's files, kept so that a list need not open them. It is never the truth: a line counts
//! only while the file's size and tag are those it was read with, and a damaged index is no index.
//!
//! ```text
//! loadgrid-index-1 CRC-32-OF-WHAT-FOLLOWS STORE
//! ULID SIZE TAG 1 {"schema":"loadgrid.dev/stored/v1",…
//! ```

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::environment::Environment;
use super::format::Beginning;
use super::place::Listed;

const MAGIC: &str = "loadgrid-index-1";

/// What was read of a file, and when that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    size: u64,
    tag: String,
    beginning: Beginning,
}

/// A file of a store, and how it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub id: String,
    pub listed: Listed,
    pub beginning: Beginning,
}

/// By the file's id.
pub(super) type Index = HashMap<String, Known>;

/// Where the index of a store is kept; none without a cache folder.
pub(super) fn path(store: &str, environment: &Environment) -> Option<PathBuf> {
    let base = environment.base("XDG_CACHE_HOME", ".cache")?;
    Some(base.join("loadgrid").join(format!("store-{:08x}.index", crc32fast::hash(store.as_bytes()))))
}

/// What is known of a file as it is listed now.
pub(super) fn take(index: &mut Index, id: &str, listed: &Listed) -> Option<Beginning> {
    let known = index.remove(id)?;
    (known.size == listed.size && known.tag == listed.tag).then_some(known.beginning)
}

/// The index of a store; empty if it can't be had, for whatever reason.
pub(super) fn load(path: &Path, store: &str) -> Index {
    fs::read(path).ok().and_then(|bytes| parse(&bytes.into(), store)).unwrap_or_default()
}

/// Keeps the index. That it can't be kept costs time, no more.
pub(super) fn save(path: &Path, store: &str, files: &[Begun]) {
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let bytes = render(store, files);
    let made = path.parent().map_or(Ok(()), fs::create_dir_all);
    // It need not last: a torn one is recognised.
    if made.and_then(|()| fs::write(&part, bytes)).and_then(|()| fs::rename(&part, path)).is_err() {
        let _ = fs::remove_file(&part);
    }
}

fn render(store: &str, files: &[Begun]) -> Vec<u8> {
    let mut body = Vec::new();
    for Begun { id, listed, beginning } in files {
        let ended = u8::from(beginning.ended);
        body.extend_from_slice(format!("{id} {} {} {ended} ", listed.size, listed.tag).as_bytes());
        body.extend_from_slice(&beginning.line);
        body.push(b'\n');
    }
    let mut bytes = head_line(store, &body).into_bytes();
    bytes.append(&mut body);
    bytes
}

fn head_line(store: &str, body: &[u8]) -> String {
    format!("{MAGIC} {:08x} {store}\n", crc32fast::hash(body))
}

fn parse(bytes: &Bytes, store: &str) -> Option<Index> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (first, body) = bytes.split_at_checked(end + 1)?;
    if first != head_line(store, body).as_bytes() {
        return None;
    }
    body.split_inclusive(|byte| *byte == b'\n').map(|part| line(bytes, part)).collect()
}

/// One line; of the whole it shares the bytes.
fn line(whole: &Bytes, part: &[u8]) -> Option<(String, Known)> {
    let mut parts = part.strip_suffix(b"\n")?.splitn(5, |byte| *byte == b' ');
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    let (id, size, tag, ended) = (text()?, text()?, text()?, text()?);
    let (size, tag, ended) = (size.parse().ok()?, tag.to_owned(), ended == "1");
    let beginning = Beginning { line: whole.slice_ref(parts.next()?), ended };
    Some((id.to_owned(), Known { size, tag, beginning }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(id: &str, size: u64, tag: &str, line: &[u8], ended: bool) -> Begun {
        let listed = Listed { name: format!("{id}.jsonl"), size, tag: tag.into() };
        Begun { id: id.into(), listed, beginning: Beginning { line: Bytes::copy_from_slice(line), ended } }
    }

    #[test]
    fn a_line_counts_while_its_file_is_the_same() {
        let a = file("a", 7, "t", b"{} x", true);
        let bytes = Bytes::from(render("s", std::slice::from_ref(&a)));
        let take = |id: &str, size, tag: &str| {
            let listed = Listed { size, tag: tag.into(), ..a.listed.clone() };
            take(&mut parse(&bytes, "s").unwrap(), id, &listed)
        };
        assert_eq!(take("a", 7, "t"), Some(a.beginning.clone()));
        assert_eq!(take("b", 7, "t"), None);
        assert_eq!(take("a", 8, "t"), None);
        assert_eq!(take("a", 7, "u"), None);
    }

    #[test]
    fn an_index_of_another_store_or_a_torn_one_is_none() {
        let bytes = Bytes::from(render("s", &[file("a", 7, "t", b"{}", false), file("b", 7, "t", b"{}", true)]));
        assert_eq!(parse(&bytes, "other"), None);
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes.slice(..length), "s"), None, "{length}");
        }
        for place in 0..bytes.len() {
            let mut altered = bytes.to_vec();
            altered[place] ^= 1;
            assert_eq!(parse(&altered.into(), "s"), None, "{place}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_is_found_again(
            lines in prop::collection::vec((any::<u64>(), "[!-~]{1,20}", "[^\n]{0,80}", any::<bool>()), 0..20),
        ) {
            let of = |(n, (size, tag, line, ended)): (usize, &(u64, String, String, bool))| {
                file(&format!("id{n}"), *size, tag, line.as_bytes(), *ended)
            };
            let files: Vec<Begun> = lines.iter().enumerate().map(of).collect();
            let mut index = parse(&render("a store", &files).into(), "a store").unwrap();
            for file in &files {
                let taken = take(&mut index, &file.id, &file.listed);
                prop_assert_eq!(taken.as_ref(), Some(&file.beginning));
            }
            prop_assert!(index.is_empty());
        }
    }
}
