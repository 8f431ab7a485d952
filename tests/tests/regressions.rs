//! What the fuzz targets found, and where their searches begin, given to the same targets once more without a fuzzer.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

// By its path and not as a package, which would bring libFuzzer along: see fuzz/README.md.
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

/// In a fixed order.
fn entries(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("a folder that can be read").path()).collect()
}

#[test]
fn what_was_found_is_not_found_again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut failed = Vec::new();
    for (name, target) in fuzz::TARGETS {
        let corpus = entries(&root.join("corpus").join(name));
        assert!(!corpus.is_empty(), "the target {name} has no corpus");
        for path in corpus.into_iter().chain(entries(&root.join("regressions").join(name))) {
            let bytes = std::fs::read(&path).expect("a file that can be read");
            // Said before, for what ends the process.
            println!("{}", path.display());
            if std::panic::catch_unwind(|| target(&bytes)).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_folder_is_a_targets() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let targets: BTreeSet<&str> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    let binaries = entries(&root.join("targets"));
    let stems: BTreeSet<&str> = binaries.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
    assert_eq!(stems, targets);
    for folder in entries(&root.join("corpus")).into_iter().chain(entries(&root.join("regressions"))) {
        assert!(folder.file_name().is_some_and(|name| targets.contains(name.to_str().unwrap_or(""))), "{folder:?}");
    }
}
