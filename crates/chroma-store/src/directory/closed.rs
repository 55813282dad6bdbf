//! A store that is proven closed.

use std::path::Path;

use super::Store;
use super::files::StoredFile;
use super::proof::{self, CloseOptions};
use super::stamps::Stamps;
use crate::StoreResult;

/// State of a store that nothing holds any more.
#[derive(Debug)]
pub struct Closed {
    /// As the files were when the proof was made.
    stamps: Stamps,
}

/// A directory proven closed: the only thing that hashing, packing and uploading accept.
pub type ClosedStore = Store<Closed>;

impl ClosedStore {
    /// Proves that another process's directory is closed: no process has a lock on it, and it has no
    /// journal. A client that does nothing holds no lock: [`refuse_open_elsewhere`] looks for it.
    ///
    /// # Errors
    /// As for [`Store::close`].
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

    /// The files: paths below the directory, `/`-separated and sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.state.stamps.paths()
    }

    /// Digests every file, in the order of their paths.
    ///
    /// # Errors
    /// A file cannot be read, or somebody wrote to the directory since it was proven closed.
    pub fn files(&self) -> StoreResult<Vec<StoredFile>> {
        let files = self
            .paths()
            .map(|path| StoredFile::read(self.dir(), path))
            .collect::<StoreResult<_>>()?;
        self.unchanged(files)
    }

    /// Bytes of all files.
    ///
    /// # Errors
    /// A file cannot be looked at.
    pub fn size(&self) -> StoreResult<u64> {
        self.paths()
            .map(|path| Ok(fs_err::metadata(self.dir.join(path))?.len()))
            .sum()
    }

    /// That nobody wrote to the directory since it was proven closed.
    ///
    /// # Errors
    /// Somebody did.
    pub fn still_closed(&self) -> StoreResult<()> {
        self.unchanged(())
    }

    /// Passes `work` on if the directory is as it was when it was proven closed: a proof is of a
    /// moment, and what is read from the directory must be of that moment too.
    pub(crate) fn unchanged<T>(&self, work: T) -> StoreResult<T> {
        self.state.stamps.still_hold(&self.dir).map(|()| work)
    }
}
