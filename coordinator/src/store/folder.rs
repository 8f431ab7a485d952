//! A store in a folder. Files appear whole or not at all, and last once they are there. It does not know what is in
//! them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::format::Beginning;
use super::place::{Listed, Opened};

/// No writer takes longer than this: what it left behind is nobody's.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);

/// Most first lines fit.
const FIRST_READ: usize = 8 << 10;

/// How bytes go into a file; tests let it fail.
type Writer = fn(&mut File, &[u8]) -> io::Result<()>;

#[derive(Clone, Debug)]
pub(super) struct Folder {
    root: PathBuf,
    write: Writer,
}

impl Folder {
    pub(super) fn new(root: PathBuf) -> Self {
        Folder { root, write: |file, bytes| file.write_all(bytes) }
    }

    /// Writes a file whole or not at all: `path` is relative to the root, its folder is made.
    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let target = self.root.join(path);
        let folder = target.parent().unwrap_or(&self.root);
        if !folder.is_dir() {
            fs::create_dir_all(folder)?;
            sync_folder(folder.parent().unwrap_or(folder))?;
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let part = folder.join(format!(".{name}.{}.part", ulid::Ulid::generate()));
        let written = self.write_part(&part, bytes).and_then(|()| fs::rename(&part, &target));
        if written.is_err() {
            // What is left of it is of no use, and takes up room.
            let _ = fs::remove_file(&part);
        }
        written?;
        sync_folder(folder)
    }

    fn write_part(&self, part: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::options().write(true).create_new(true).open(part)?;
        if let (Some(folder), Ok(now)) = (part.parent(), file.metadata().and_then(|metadata| metadata.modified())) {
            sweep(folder, now);
        }
        (self.write)(&mut file, bytes)?;
        file.sync_all()
    }

    /// The files in a folder under the root, without leftovers; none if it is not there. Folders end in a slash.
    pub(super) fn listing(&self, folder: &str) -> io::Result<Vec<Listed>> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut listed = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_leftover(&name) {
                continue;
            }
            let metadata = match entry.metadata() {
                Ok(metadata) if metadata.is_symlink() => fs::metadata(entry.path()),
                metadata => metadata,
            };
            match metadata {
                Ok(metadata) if metadata.is_file() => {
                    listed.push(Listed { name, size: metadata.len(), tag: tag(&metadata) });
                }
                Ok(_) => listed.push(Listed { name: format!("{name}/"), size: 0, tag: String::new() }),
                // Removed meanwhile, or a link to nowhere.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(listed)
    }

    /// The beginning of a file.
    pub(super) fn beginning(&self, path: &str) -> io::Result<Opened> {
        let file = match File::open(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Opened::Gone),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Opened::Closed),
            file => file?,
        };
        let metadata = file.metadata()?;
        let begun = |beginning| Opened::Begun { size: metadata.len(), tag: tag(&metadata), beginning };
        let mut bytes = Vec::with_capacity(FIRST_READ);
        loop {
            let wanted = bytes.len().max(FIRST_READ) as u64;
            let read = (&file).take(wanted).read_to_end(&mut bytes)?;
            if let Some(beginning) = Beginning::of(&bytes) {
                return Ok(begun(beginning));
            }
            if (read as u64) < wanted {
                return Ok(begun(Beginning::of_all(&bytes)));
            }
        }
    }

    /// A whole file; none if there is none.
    pub(super) fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.root.join(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some),
        }
    }

    /// Removes a file; whether there was one.
    pub(super) fn remove(&self, path: &str) -> io::Result<bool> {
        let target = self.root.join(path);
        match fs::remove_file(&target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            removed => removed.and_then(|()| sync_folder(target.parent().unwrap_or(&self.root))).map(|()| true),
        }
    }
}

/// Another one when the file was written again.
fn tag(metadata: &fs::Metadata) -> String {
    format!("{}.{:09}-{}", metadata.mtime(), metadata.mtime_nsec(), metadata.ino())
}

/// `.NAME.ULID.part`, so that nobody else's file is taken for one.
fn is_leftover(name: &str) -> bool {
    let ulid = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".part")?.rsplit_once('.'));
    ulid.is_some_and(|(_, ulid)| ulid::Ulid::from_string(ulid).is_ok())
}

/// Removes what writers that died left behind. `now` is the file system's, whose clock may not be this machine's.
fn sweep(folder: &Path, now: SystemTime) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_leftover(&entry.file_name().to_string_lossy())) {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| now.duration_since(modified).ok());
        if age.is_some_and(|age| age >= LEFTOVER_AGE) {
            // Somebody else may have swept it.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes names in a folder last.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        // Some file systems have no such thing.
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests;
