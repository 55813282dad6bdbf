//! Whether another process wrote to a directory while it was read.

use std::path::Path;

use super::file_stamp::FileStamp;
use super::files;
use crate::{StoreError, StoreResult};

/// The stamp of every file of a directory, with its path below the directory, sorted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<(String, FileStamp)>);

impl Stamps {
    /// Takes the stamps of the directory `dir`.
    ///
    /// # Errors
    /// A file is a link or a special file, or cannot be looked at.
    pub(crate) fn of(dir: &Path) -> StoreResult<Self> {
        files::regular_files(dir)?
            .into_iter()
            .map(|path| {
                let stamp = FileStamp::of(&dir.join(&path))?;
                Ok((path, stamp))
            })
            .collect::<StoreResult<_>>()
            .map(Self)
    }

    /// The files, relative and sorted.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(path, _)| path.as_str())
    }

    /// Checks that no file was written, made or removed since.
    ///
    /// # Errors
    /// `Changed` if one was; a file cannot be looked at.
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
