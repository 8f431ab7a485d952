//! What the end-to-end tests are written with: real programs, a target, broken targets, a proxy that breaks streams.
//!
//! A helper that meets an error panics with what it saw: it is only ever called by tests.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod browser;
pub mod cluster;
pub mod peers;
pub mod program;
pub mod proxy;
pub mod served;
pub mod targets;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tests that measure time run one after the other: two at once would measure each other.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder for one test, emptied at its beginning.
pub fn scratch(name: &str) -> std::path::PathBuf {
    let dir = program::target_dir().join("scratch").join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).expect("a scratch folder");
    dir
}
