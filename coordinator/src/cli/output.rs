//! Stdout, stderr and files, written so that a full disk or a closed pipe is an error and not a panic.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::Failure;
use crate::report::Format;

/// Writes data to stdout. A reader that has seen enough (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::not_carried_out(format!("stdout can't be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes what was asked for to stdout and to files. All files are tried; the last that can't be written is the error,
/// those before it are said.
pub(super) fn deliver(
    render: impl Fn(Format, bool) -> Result<String, String>,
    to_stdout: Format,
    files: &[(Format, PathBuf)],
) -> Result<(), Failure> {
    print(&render(to_stdout, stdout_has_colour()).map_err(Failure::not_carried_out)?)?;
    let mut failed = None;
    for (format, path) in files {
        let written = render(*format, false)
            .and_then(|text| write_file(path, &text).map_err(|error| format!("the {format} report: {error}")))
            .map_err(Failure::not_carried_out);
        if let Err(failure) = written
            && let Some(Failure { message, .. }) = failed.replace(failure)
        {
            complain(&format!("error: {message}"));
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Says something on stderr. If nobody listens there is nobody to tell.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether stdout is a terminal that takes colours (NO_COLOR, no-color.org).
pub(super) fn stdout_has_colour() -> bool {
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && !no_colour && !dumb
}

/// Whether a file could be written here, without touching what is there.
pub(super) fn check_writable(path: &Path) -> Result<(), String> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok(());
    }
    let part = part_of(path);
    fs::File::create(&part).map_err(|error| format!("{} can't be written: {error}", path.display()))?;
    // An empty leftover would be a nuisance, no more.
    let _ = fs::remove_file(part);
    Ok(())
}

/// Where a file is written until it is complete.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(std::ffi::OsStr::to_owned).unwrap_or_default();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

/// Writes a file whole or not at all: what was there before stays until the new one is complete.
pub(super) fn write_file(path: &Path, text: &str) -> Result<(), String> {
    let failed = |error: io::Error| format!("{} can't be written: {error}", path.display());
    // A device such as /dev/stdout or a named pipe is written to, not replaced.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(failed);
    }
    let part = part_of(path);
    let written = fs::File::create(&part)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&part, path));
    written.map_err(|error| {
        // What is left of it is of no use.
        let _ = fs::remove_file(&part);
        failed(error)
    })
}
