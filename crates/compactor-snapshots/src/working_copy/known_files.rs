//! The digests of a working copy's files, and the objects that have the same content. They hold as long as no
//! program writes to the files.

use std::collections::BTreeMap;
use std::path::Path;

use chroma_store::{DATABASE_NAME, FileStamp, StoreError, StoredFile};
use compactor_core::Manifest;
use compactor_core::ports::ObjectInfo;

use crate::Result;

/// A file that was read as a whole.
#[derive(Debug, Clone)]
pub struct KnownFile {
    /// Path, size and digests.
    pub file: StoredFile,
    /// The object with the same content, if it was uploaded or downloaded as one.
    pub object: Option<ObjectInfo>,
    stamp: FileStamp,
}

impl KnownFile {
    /// Reads and digests the file `path` below `dir`.
    pub(crate) fn read(dir: &Path, path: &str) -> Result<Self> {
        // Before the first byte is read: what is written meanwhile shows.
        let stamp = FileStamp::of(&dir.join(path)).map_err(StoreError::from)?;
        Ok(Self {
            file: StoredFile::read(dir, path)?,
            object: None,
            stamp,
        })
    }

    /// The same file with its object.
    pub(crate) fn stored_as(self, object: ObjectInfo) -> Self {
        Self {
            object: Some(object),
            ..self
        }
    }

    fn holds(&self, dir: &Path) -> bool {
        FileStamp::of(&dir.join(&self.file.path)).is_ok_and(|stamp| stamp == self.stamp)
    }
}

/// The files of a working copy.
#[derive(Debug, Clone, Default)]
pub struct KnownFiles(BTreeMap<String, KnownFile>);

impl KnownFiles {
    /// Whether the files of `manifest` are in `dir` as they were when they were read.
    pub fn are(&self, manifest: &Manifest, dir: &Path) -> bool {
        manifest.files.iter().all(|entry| {
            self.0.get(&entry.path).is_some_and(|known| {
                (known.file.size, &known.file.sha256) == (entry.size, &entry.sha256)
                    && known.holds(dir)
            })
        })
    }

    /// The bytes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files()
            .fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// A file that a merge has left as it was. The database is never one: it is written in place,
    /// and the times of files are too coarse to tell what happened within a few milliseconds.
    /// Index files are only ever replaced.
    pub(crate) fn untouched(&self, dir: &Path, path: &str) -> Option<&KnownFile> {
        let known = self.0.get(path)?;
        (path != DATABASE_NAME && known.holds(dir)).then_some(known)
    }

    /// The files, in the order of their paths.
    pub(crate) fn files(&self) -> impl Iterator<Item = &StoredFile> {
        self.0.values().map(|known| &known.file)
    }
}

impl FromIterator<KnownFile> for KnownFiles {
    fn from_iter<I: IntoIterator<Item = KnownFile>>(files: I) -> Self {
        let files = files.into_iter();
        Self(
            files
                .map(|known| (known.file.path.clone(), known))
                .collect(),
        )
    }
}
