//! Whether a disk has room for what is about to be written.

use std::path::Path;

use crate::{StoreError, StoreResult};

/// # Errors
/// `NoSpace`, where `dir` is.
pub(crate) fn check_room(dir: &Path, needed: u64) -> StoreResult<()> {
    let stat = rustix::fs::statvfs(dir).map_err(std::io::Error::from)?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if free < needed {
        return Err(StoreError::NoSpace {
            path: dir.to_path_buf(),
            needed,
            free,
        });
    }
    Ok(())
}
