use std::os::unix::fs::symlink;

use super::*;
use crate::store::tests::Scratch;

fn names(folder: &Folder) -> Vec<String> {
    let mut names: Vec<String> = folder.listing("runs").unwrap().into_iter().map(|listed| listed.name).collect();
    names.sort();
    names
}

fn everything(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.path().join("runs")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_folder_that_is_not_there_is_empty_and_made_when_needed() {
    let scratch = Scratch::new();
    let folder = Folder::new(scratch.path().join("a/b"));
    assert_eq!(names(&folder), [""; 0]);
    assert_eq!(folder.read("runs/x").unwrap(), None);
    assert_eq!(folder.beginning("runs/x").unwrap(), Opened::Gone);
    assert!(!folder.remove("runs/x").unwrap());
    folder.write("runs/x", b"1").unwrap();
    folder.write("runs/x", b"2\n3").unwrap();
    assert_eq!(names(&folder), ["x"]);
    assert_eq!(folder.read("runs/x").unwrap().unwrap(), b"2\n3");
    assert!(folder.remove("runs/x").unwrap());
    assert_eq!(names(&folder), [""; 0]);
}

/// A disk that fills up in the middle: what was there stays, and nothing is left of what did not fit.
#[test]
fn a_write_that_fails_leaves_no_trace() {
    let scratch = Scratch::new();
    let good = Folder::new(scratch.path().to_owned());
    good.write("runs/x", b"before").unwrap();
    let full: Writer = |file, bytes| {
        file.write_all(&bytes[..bytes.len() / 2])?;
        Err(io::Error::from_raw_os_error(28))
    };
    let folder = Folder { write: full, ..good.clone() };
    assert_eq!(folder.write("runs/x", b"after").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(folder.write("runs/y", b"after").unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(good.read("runs/x").unwrap().unwrap(), b"before");
    assert_eq!(everything(&scratch), ["x"]);
}

#[test]
fn what_dead_writers_left_behind_is_swept_when_it_is_old() {
    let scratch = Scratch::new();
    let folder = Folder::new(scratch.path().to_owned());
    folder.write("runs/x", b"1").unwrap();
    let runs = scratch.path().join("runs");
    let (old, young) = (".y.01JA0000000000000000000000.part", ".y.01JA0000000000000000000001.part");
    for name in [old, young, ".theirs.part"] {
        fs::write(runs.join(name), "half").unwrap();
    }
    // The age is measured against the file system's clock: what it gave the newest file.
    let now = fs::metadata(runs.join(young)).unwrap().modified().unwrap();
    for name in [old, ".theirs.part"] {
        File::options().write(true).open(runs.join(name)).unwrap().set_modified(now - LEFTOVER_AGE * 2).unwrap();
    }
    assert_eq!(names(&folder), [".theirs.part", "x"]);
    folder.write("runs/z", b"1").unwrap();
    let mut left = everything(&scratch);
    left.sort();
    assert_eq!(left, [".theirs.part", young, "x", "z"]);
}

#[test]
fn what_is_no_file_is_listed_as_a_folder_and_links_are_followed() {
    let scratch = Scratch::new();
    let folder = Folder::new(scratch.path().to_owned());
    folder.write("runs/x", b"123").unwrap();
    let runs = scratch.path().join("runs");
    fs::create_dir(runs.join("d")).unwrap();
    symlink(runs.join("x"), runs.join("link")).unwrap();
    symlink(runs.join("nowhere"), runs.join("broken")).unwrap();
    assert_eq!(names(&folder), ["d/", "link", "x"]);
    let listed = folder.listing("runs").unwrap();
    let of = |name: &str| listed.iter().find(|listed| listed.name == name).unwrap();
    assert_eq!((of("x").size, of("link").size), (3, 3));
    assert_eq!(of("x").tag, of("link").tag);
}

#[test]
fn a_file_written_again_has_another_tag() {
    let scratch = Scratch::new();
    let folder = Folder::new(scratch.path().to_owned());
    let tag = || {
        folder.write("runs/x", b"1").unwrap();
        folder.listing("runs").unwrap()[0].tag.clone()
    };
    let (one, other) = (tag(), tag());
    assert_ne!(one, other);
    assert!(!one.contains(char::is_whitespace));
}

#[test]
fn beginnings_are_read_as_far_as_they_go() {
    let scratch = Scratch::new();
    let folder = Folder::new(scratch.path().to_owned());
    let prefix = "{\"schema\":\"loadgrid.dev/stored/v1\",\"head\":\"";
    let long = format!("{prefix}{}", "x".repeat(FIRST_READ * 5));
    let begun = |bytes: &[u8]| {
        folder.write("runs/x", bytes).unwrap();
        let Opened::Begun { beginning, size, tag } = folder.beginning("runs/x").unwrap() else { panic!("not begun") };
        let listed = folder.listing("runs").unwrap();
        assert_eq!((size, tag), (listed[0].size, listed[0].tag.clone()));
        (beginning.line.len(), beginning.ended)
    };
    assert_eq!(begun(b""), (0, false));
    assert_eq!(begun(b"{}\n{}\n"), (2, true));
    assert_eq!(begun(long.as_bytes()), (long.len(), false));
    assert_eq!(begun(format!("{long}\nmore").as_bytes()), (long.len(), true));
    assert_eq!(begun(&vec![b'z'; 1 << 20]), (256, false));
}
