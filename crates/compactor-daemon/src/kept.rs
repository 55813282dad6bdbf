//! Working copies of what was published last, for the next cycle of the same collection.
//!
//! They save a download and the upload of what does not change: a copy is used only while the
//! pointer names its version, and only if nobody wrote to its files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use compactor_core::{CollectionName, Version};
use tempfile::TempDir;

use crate::Scratch;
use crate::snapshot::KnownFiles;

const NAME: &str = "snapshot";

/// At most one copy per collection.
#[derive(Debug, Default)]
pub(crate) struct KeptCopies {
    copies: Mutex<BTreeMap<CollectionName, Kept>>,
}

#[derive(Debug)]
struct Kept {
    version: Version,
    folder: TempDir,
    files: KnownFiles,
}

impl KeptCopies {
    /// Takes over the directory `dir`, the content of `version`.
    pub(crate) fn keep(
        &self,
        scratch: &Scratch,
        collection: &CollectionName,
        version: &Version,
        dir: &Path,
        files: KnownFiles,
    ) -> io::Result<()> {
        let folder = scratch.folder("kept")?;
        fs_err::rename(dir, folder.path().join(NAME))?;
        let kept = Kept {
            version: version.clone(),
            folder,
            files,
        };
        self.lock().insert(collection.clone(), kept);
        Ok(())
    }

    /// Moves the copy of `version` to `to`; `None` if there is none. A copy of another version is
    /// removed.
    pub(crate) fn take(
        &self,
        collection: &CollectionName,
        version: &Version,
        to: &Path,
    ) -> io::Result<Option<KnownFiles>> {
        let kept = self.lock().remove(collection);
        match kept {
            Some(kept) if kept.version == *version => {
                match fs_err::rename(kept.folder.path().join(NAME), to) {
                    Ok(()) => Ok(Some(kept.files)),
                    // Something tidied it up.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error),
                }
            }
            _ => Ok(None),
        }
    }

    /// Removes all copies: there is no room for them.
    pub(crate) fn remove_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<CollectionName, Kept>> {
        // A map of whole entries at every instant.
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
