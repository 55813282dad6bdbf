//! Remembers which delta databases SQLite found sound.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::file_stamp::FileStamp;
use crate::StoreResult;

/// Databases that SQLite found sound, each with the stamp of its file. A delta with many
/// collections is opened once for each of them, and checked once.
#[derive(Debug, Default)]
pub(crate) struct Sound(HashSet<(PathBuf, FileStamp)>);

impl Sound {
    /// Runs `check` on the database `path`, unless it passed before and the file is unchanged.
    ///
    /// # Errors
    /// Those of `check`; the file cannot be looked at (`Io`).
    pub(crate) fn check(
        &mut self,
        path: &Path,
        check: impl FnOnce() -> StoreResult<()>,
    ) -> StoreResult<()> {
        let state = (path.to_path_buf(), FileStamp::of(path)?);
        if !self.0.contains(&state) {
            check()?;
            self.0.insert(state);
        }
        Ok(())
    }
}
