//! Whether somebody wrote to a directory meanwhile.

use std::path::Path;
use std::time::SystemTime;

use super::files;
use crate::{StoreError, StoreResult};

/// What changes when a file is written, for every file of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Stamp>);

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: String,
    size: u64,
    modified: SystemTime,
}

impl Stamps {
    pub(crate) fn of(dir: &Path) -> StoreResult<Self> {
        files::regular_files(dir)?
            .into_iter()
            .map(|path| {
                let meta = fs_err::metadata(dir.join(&path))?;
                Ok(Stamp {
                    size: meta.len(),
                    modified: meta.modified()?,
                    path,
                })
            })
            .collect::<StoreResult<_>>()
            .map(Self)
    }

    /// The files, relative and sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|stamp| stamp.path.as_str())
    }

    /// An error if any file was written, made or removed since.
    pub(crate) fn still_hold(&self, dir: &Path) -> StoreResult<()> {
        if Self::of(dir)? == *self {
            Ok(())
        } else {
            Err(StoreError::Changed {
                path: dir.to_path_buf(),
            })
        }
    }
}
