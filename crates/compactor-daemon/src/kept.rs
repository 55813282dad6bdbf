//! Working copies of what was published last, for the next cycle of the same collection.
//!
//! They save a download and nothing else: a copy is used only while the pointer names its version,
//! and only after every file of it was checked again.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use compactor_core::{CollectionName, Version};
use tempfile::TempDir;

use crate::Scratch;

const NAME: &str = "snapshot";

/// At most one copy per collection.
#[derive(Debug, Default)]
pub(crate) struct KeptCopies {
    copies: Mutex<BTreeMap<CollectionName, (Version, TempDir)>>,
}

impl KeptCopies {
    /// Takes over the directory `dir`, the content of `version`.
    pub(crate) fn keep(
        &self,
        scratch: &Scratch,
        collection: &CollectionName,
        version: &Version,
        dir: &Path,
    ) -> io::Result<()> {
        let folder = scratch.folder("kept")?;
        fs_err::rename(dir, folder.path().join(NAME))?;
        self.lock()
            .insert(collection.clone(), (version.clone(), folder));
        Ok(())
    }

    /// Moves the copy of `version` to `to`; `false` if there is none. A copy of another version is
    /// removed.
    pub(crate) fn take(
        &self,
        collection: &CollectionName,
        version: &Version,
        to: &Path,
    ) -> io::Result<bool> {
        let kept = self.lock().remove(collection);
        match kept {
            Some((of, folder)) if of == *version => {
                fs_err::rename(folder.path().join(NAME), to)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<CollectionName, (Version, TempDir)>> {
        // A map of whole entries at every instant.
        self.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
