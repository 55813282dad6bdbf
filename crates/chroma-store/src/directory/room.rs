//! Whether a disk has room for the next write.

use std::io;
use std::path::Path;

use crate::{StoreError, StoreResult};

/// The size of the file system that holds a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that this process may still write.
    pub free: u64,
    /// Bytes of the whole file system.
    pub total: u64,
}

impl Room {
    /// Asks the system about the file system that holds `dir`.
    ///
    /// # Errors
    /// There is no such folder, or the file system does not say.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(Self {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }
}

/// Checks that the file system that holds `dir` has `needed` free bytes.
///
/// # Errors
/// `NoSpace`; the system does not say.
pub(crate) fn check_room(dir: &Path, needed: u64) -> StoreResult<()> {
    let Room { free, .. } = Room::of(dir)?;
    if free < needed {
        return Err(StoreError::NoSpace {
            path: dir.to_path_buf(),
            needed,
            free,
        });
    }
    Ok(())
}
