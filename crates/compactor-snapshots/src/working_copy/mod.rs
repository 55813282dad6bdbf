//! The directory that a daemon published last, kept for the collection's next cycle.
//!
//! It saves a download, and the upload of what does not change. A cycle uses it only while the pointer
//! names its version, and only if no other program wrote to its files.

mod known_files;

use std::io;
use std::path::Path;

use compactor_core::Version;
use tempfile::TempDir;

pub use known_files::{KnownFile, KnownFiles};

use crate::Scratch;

const NAME: &str = "snapshot";

/// A directory with the content of a published version. Dropping it removes the directory.
#[derive(Debug)]
pub struct WorkingCopy {
    version: Version,
    folder: TempDir,
    files: KnownFiles,
}

impl WorkingCopy {
    /// Moves the directory `dir`, which has the content of `version`, to a place of its own.
    ///
    /// # Errors
    /// The folder cannot be made, or the directory not be moved.
    pub fn keep(
        scratch: &Scratch,
        version: &Version,
        dir: &Path,
        files: KnownFiles,
    ) -> io::Result<Self> {
        let folder = scratch.folder("kept")?;
        fs_err::rename(dir, folder.path().join(NAME))?;
        Ok(Self {
            version: version.clone(),
            folder,
            files,
        })
    }

    /// Moves the directory to `to`, if it is of `version` and still there. Else it is removed.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn take(self, version: &Version, to: &Path) -> io::Result<Option<KnownFiles>> {
        if self.version != *version {
            return Ok(None);
        }
        match fs_err::rename(self.folder.path().join(NAME), to) {
            Ok(()) => Ok(Some(self.files)),
            // A program that tidies temporary folders removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
