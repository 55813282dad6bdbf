//! A store that is proven closed.

use std::path::Path;

use super::Store;
use super::files::StoredFile;
use super::proof::{self, CloseOptions};
use super::stamps::Stamps;
use crate::StoreResult;

/// State of a store that no process has open for writing.
#[derive(Debug)]
pub struct Closed {
    /// The files at the time of the proof.
    stamps: Stamps,
}

/// A directory that is proven closed. Only such a one can be hashed, packed or uploaded.
pub type ClosedStore = Store<Closed>;

impl ClosedStore {
    /// Proves that the directory `dir` is closed: no process has a lock on it, and it has no
    /// journal. An idle client holds no lock;
    /// [`refuse_open_elsewhere`](crate::refuse_open_elsewhere) finds it.
    ///
    /// # Errors
    /// Another process holds a lock for longer than `options` allow (`Locked`), a journal lies
    /// beside the database (`HotJournal`), this process has a file of it open (`StillOpen`), or it
    /// is not a Chroma directory (`NotChroma`, `NotRegular`, `FileName`).
    pub fn prove(dir: &Path, options: &CloseOptions<'_>) -> StoreResult<Self> {
        proof::prove_closed(dir, options)?;
        let state = Closed {
            stamps: Stamps::of(dir)?,
        };
        Ok(Self {
            dir: dir.to_path_buf(),
            state,
        })
    }

    /// The paths of all files below the directory, `/`-separated and sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.state.stamps.paths()
    }

    /// Reads and digests every file, in the order of their paths.
    ///
    /// # Errors
    /// A file cannot be read (`Io`), or another process wrote to the directory since the proof
    /// (`Changed`).
    pub fn files(&self) -> StoreResult<Vec<StoredFile>> {
        let files = self
            .paths()
            .map(|path| StoredFile::read(self.dir(), path))
            .collect::<StoreResult<_>>()?;
        self.unchanged(files)
    }

    /// Bytes of all files together.
    ///
    /// # Errors
    /// The size of a file cannot be read (`Io`).
    pub fn size(&self) -> StoreResult<u64> {
        self.paths()
            .map(|path| Ok(fs_err::metadata(self.dir.join(path))?.len()))
            .sum()
    }

    /// Checks that no process wrote to the directory since the proof.
    ///
    /// # Errors
    /// A process did (`Changed`), or a file cannot be looked at.
    pub fn still_closed(&self) -> StoreResult<()> {
        self.unchanged(())
    }

    /// Returns `work` if no process wrote to the directory since the proof. What is read from the
    /// directory must be of the same moment as the proof.
    ///
    /// # Errors
    /// As for [`ClosedStore::still_closed`].
    pub(crate) fn unchanged<T>(&self, work: T) -> StoreResult<T> {
        self.state.stamps.still_hold(&self.dir).map(|()| work)
    }
}
