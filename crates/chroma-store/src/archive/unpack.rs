//! Unpacks an archive of unknown origin: regular files only, nothing outside the target, and
//! limits on bytes, ratio and entries that hold before anything is written past them.

use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::Serialize;
use tar::{Archive, Entry, EntryType};

use crate::{StoreError, StoreResult};

/// What an archive may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Bytes of all files together, unpacked.
    pub bytes: u64,
    /// Unpacked bytes per packed byte. Fresh Chroma directories are mostly zeros and reach
    /// several hundred.
    pub ratio: u64,
    /// Entries, folders included.
    pub entries: u64,
}

impl UnpackLimits {
    /// Whether an archive of `packed` bytes with so many entries and bytes would be unpacked.
    ///
    /// # Errors
    /// The limit that it passes.
    pub fn allow(&self, packed: u64, unpacked: u64, entries: u64) -> StoreResult<()> {
        self.allow_entries(entries)?;
        let budget = self.budget(packed);
        match unpacked > budget.left {
            true => Err(budget.passed()),
            false => Ok(()),
        }
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

/// Small archives may exceed the ratio up to this size: it protects from bombs, not from zeros.
const RATIO_FREE_BYTES: u64 = 16 << 20;

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Unpacked {
    /// Files written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Unpacks the gzip tar `archive` of `packed_bytes` into the empty folder `to`.
///
/// # Errors
/// The archive is torn, passes a limit, or has an entry that is not a plain file or folder with a
/// relative name. What was written until then stays; the folder is the caller's to remove.
pub fn unpack(
    archive: impl Read,
    packed_bytes: u64,
    to: &Path,
    limits: UnpackLimits,
) -> StoreResult<Unpacked> {
    let mut budget = limits.budget(packed_bytes);
    // Headers and extended names are decompressed by the reader: bound the whole stream as well.
    let stream_limit = budget
        .left
        .saturating_add(limits.entries.saturating_mul(8 << 10));
    let mut archive = Archive::new(MultiGzDecoder::new(archive).take(stream_limit));
    let mut done = Unpacked::default();
    let mut entries = 0;
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        entries += 1;
        limits.allow_entries(entries)?;
        let Some(path) = target(&entry, to)? else {
            continue;
        };
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let expected = entry.size();
        let written = write_file(&mut entry, &path, &mut budget)?;
        if written != expected {
            let detail = format!("it ends inside `{}`", path.display());
            return Err(StoreError::ArchiveDamaged { detail });
        }
        done.bytes += written;
        done.files += 1;
    }
    // A gzip checks its own sum at the end only.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(damaged)?;
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

/// Where an entry goes; `None` for folders, which are made as files need them.
fn target<R: Read>(entry: &Entry<'_, R>, to: &Path) -> StoreResult<Option<PathBuf>> {
    let refuse = |detail: &str| StoreError::ArchiveEntry {
        entry: String::from_utf8_lossy(&entry.path_bytes()).into_owned(),
        detail: detail.to_owned(),
    };
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Directory => {}
        _ => return Err(refuse("only plain files and folders are allowed")),
    }
    let name = entry
        .path()
        .map_err(|_| refuse("its name cannot be decoded"))?;
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

fn write_file(entry: &mut impl Read, path: &Path, budget: &mut Budget) -> StoreResult<u64> {
    let mut file = match fs_err::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let (entry, detail) = (path.display().to_string(), "named twice".to_owned());
            return Err(StoreError::ArchiveEntry { entry, detail });
        }
        Err(error) => return Err(error.into()),
    };
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

fn damaged(error: io::Error) -> StoreError {
    let detail = error.to_string();
    match StoreError::from(error) {
        // The disk that the archive is on.
        error if error.is_of_machine() => error,
        _ => StoreError::ArchiveDamaged { detail },
    }
}
