//! Unpacks an archive of unknown origin: regular files only, nothing outside the target, and
//! limits on bytes, ratio and entries that hold before anything is written past them.

use std::io::{self, ErrorKind, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Serialize;
use tar::{Archive, Entry, EntryType};

use super::allowance::{Allowance, Allowed};
use crate::{StoreError, StoreResult};

/// Limits on an archive of unknown origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// The most bytes that all files together may have after unpacking.
    pub bytes: u64,
    /// The most unpacked bytes per packed byte, above the first 16 MiB. Fresh Chroma directories
    /// are mostly zeros and reach several hundred.
    pub ratio: u64,
    /// The most entries, folders included.
    pub entries: u64,
}

impl UnpackLimits {
    /// Checks that an archive of `packed` bytes may have `entries` entries and `unpacked` bytes.
    ///
    /// # Errors
    /// `ArchiveLimit` names the limit that it passes.
    pub fn allow(&self, packed: u64, unpacked: u64, entries: u64) -> StoreResult<()> {
        self.allow_entries(entries)?;
        let budget = self.budget(packed);
        match unpacked > budget.left {
            true => Err(budget.passed()),
            false => Ok(()),
        }
    }

    /// The most bytes that an archive of `packed` bytes may have after unpacking.
    pub fn most_bytes(&self, packed: u64) -> u64 {
        self.budget(packed).left
    }

    fn allow_entries(&self, entries: u64) -> StoreResult<()> {
        match entries > self.entries {
            true => Err(StoreError::ArchiveLimit {
                limit: self.entries,
                what: "entries",
            }),
            false => Ok(()),
        }
    }

    fn budget(&self, packed: u64) -> Budget {
        let by_ratio = packed.saturating_mul(self.ratio).max(RATIO_FREE_BYTES);
        if by_ratio < self.bytes {
            Budget {
                left: by_ratio,
                limit: self.ratio,
                what: "unpacked bytes per packed byte",
            }
        } else {
            Budget {
                left: self.bytes,
                limit: self.bytes,
                what: "unpacked bytes",
            }
        }
    }
}

/// Archives may exceed the ratio up to this size: the limit guards against bombs, not against
/// zeros.
const RATIO_FREE_BYTES: u64 = 16 << 20;

/// What [`unpack`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Unpacked {
    /// Number of files.
    pub files: u64,
    /// Bytes of all files together.
    pub bytes: u64,
}

/// Unpacks the gzip tar `archive` of `packed_bytes` bytes into the empty folder `to`.
///
/// # Errors
/// The archive is torn (`ArchiveDamaged`), passes a limit (`ArchiveLimit`), or has an entry that is
/// not a plain file or folder with a relative name (`ArchiveEntry`); a file cannot be written
/// (`Io`). Files that are written by then stay: the caller removes the folder.
pub fn unpack(
    archive: impl Read,
    packed_bytes: u64,
    to: &Path,
    limits: UnpackLimits,
) -> StoreResult<Unpacked> {
    let mut budget = limits.budget(packed_bytes);
    let allowance = Allowance::default();
    let mut archive = Archive::new(Allowed {
        inner: MultiGzDecoder::new(archive),
        allowance: allowance.clone(),
    });
    let mut done = Unpacked::default();
    let mut entries = 0;
    let mut found = archive.entries().map_err(damaged)?;
    loop {
        allowance.headers();
        let Some(entry) = found.next() else { break };
        let mut entry = entry.map_err(|error| match allowance.is_used_up() {
            true => allowance.passed(),
            false => damaged(error),
        })?;
        entries += 1;
        limits.allow_entries(entries)?;
        let Some(path) = target(&entry, to)? else {
            continue;
        };
        let expected = entry.size();
        allowance.content(expected);
        let written = write_file(&mut entry, &path, &mut budget)?;
        if written != expected {
            let detail = format!("it ends inside {}", quoted(&entry));
            return Err(StoreError::ArchiveDamaged { detail });
        }
        done.bytes += written;
        done.files += 1;
    }
    allowance.finish(archive.into_inner())?.map_err(damaged)?;
    Ok(done)
}

struct Budget {
    left: u64,
    limit: u64,
    what: &'static str,
}

impl Budget {
    fn passed(&self) -> StoreError {
        StoreError::ArchiveLimit {
            limit: self.limit,
            what: self.what,
        }
    }
}

/// Characters of a name that errors quote.
const QUOTED: usize = 200;
/// Bytes of one part of a name: the limit of most file systems.
const LONGEST_PART: usize = 255;
/// Bytes of a whole name. The path of the target folder must fit beside it.
const LONGEST_NAME: usize = 1024;

/// The name of an entry, for errors.
fn quoted<R: Read>(entry: &Entry<'_, R>) -> String {
    let name = entry.path_bytes();
    let name = String::from_utf8_lossy(&name);
    match name.char_indices().nth(QUOTED) {
        Some((cut, _)) => format!("{}…", &name[..cut]),
        None => name.into_owned(),
    }
}

fn refused<R: Read>(entry: &Entry<'_, R>, detail: &str) -> StoreError {
    StoreError::ArchiveEntry {
        entry: quoted(entry),
        detail: detail.to_owned(),
    }
}

/// Where an entry goes; `None` for a folder, which is made when a file needs it.
fn target<R: Read>(entry: &Entry<'_, R>, to: &Path) -> StoreResult<Option<PathBuf>> {
    let refuse = |detail: &str| refused(entry, detail);
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Directory => {}
        _ => return Err(refuse("only plain files and folders are allowed")),
    }
    let name = entry
        .path()
        .map_err(|_| refuse("its name cannot be decoded"))?;
    let bytes = entry.path_bytes();
    if bytes.contains(&0) {
        return Err(refuse("its name has a NUL"));
    }
    let parts = bytes.split(|byte| *byte == b'/');
    if bytes.len() > LONGEST_NAME || parts.into_iter().any(|part| part.len() > LONGEST_PART) {
        return Err(refuse(
            "its name, or a part of it, is longer than file systems allow",
        ));
    }
    let mut path = to.to_path_buf();
    for component in name.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => path.push(part),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(refuse("its name leads out of the archive"));
            }
        }
    }
    if entry.header().entry_type() == EntryType::Directory {
        return Ok(None);
    }
    if path == to {
        return Err(refuse("a file without a name"));
    }
    Ok(Some(path))
}

fn write_file<R: Read>(
    entry: &mut Entry<'_, R>,
    path: &Path,
    budget: &mut Budget,
) -> StoreResult<u64> {
    let mut file = create(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => refused(entry, "named twice, or a folder of others"),
        ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            refused(entry, "a part of its name is a file")
        }
        _ => error.into(),
    })?;
    let mut buffer = vec![0; 1 << 16];
    let mut written = 0;
    loop {
        let read = entry.read(&mut buffer).map_err(damaged)?;
        if read == 0 {
            return Ok(written);
        }
        budget.left = budget
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| budget.passed())?;
        file.write_all(&buffer[..read])?;
        written += read as u64;
    }
}

/// Makes a file and its parent folders.
fn create(path: &Path) -> io::Result<fs_err::File> {
    if let Some(parent) = path.parent() {
        match fs_err::create_dir_all(parent) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(ErrorKind::NotADirectory.into());
            }
            made => made?,
        }
    }
    fs_err::File::create_new(path)
}

fn damaged(error: io::Error) -> StoreError {
    let detail = error.to_string();
    match StoreError::from(error) {
        // The fault is the disk that holds the archive.
        error if error.is_of_machine() => error,
        _ => StoreError::ArchiveDamaged { detail },
    }
}
