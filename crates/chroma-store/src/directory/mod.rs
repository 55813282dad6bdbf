//! The handle on a directory: open, or proven closed. The type says which.
//!
//! Dropping an open store abandons it: uncommitted work is rolled back and nothing that takes a
//! [`ClosedStore`] can be done with it.

mod copy;
pub(crate) mod files;
pub(crate) mod holders;
pub(crate) mod orphans;
mod proof;
pub(crate) mod room;
pub(crate) mod stamps;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use crate::collection::{find, load_all, load_one};
use crate::delta::Sound;
use crate::schema::detect;
use crate::{Collection, FullName, SchemaLevel, StoreError, StoreResult, Which, connection};

use stamps::Stamps;

pub use copy::copy_directory;
pub use files::{SIDE_CAR_NAMES, StoredFile};
pub use orphans::Orphan;
pub use proof::{CloseOptions, Pause, ThreadPause, refuse_open_elsewhere};
pub use room::Room;

/// State of a store that can be read and written.
#[derive(Debug)]
pub struct Open {
    connection: Connection,
    level: SchemaLevel,
    collections: Vec<Collection>,
    /// Deltas that were found sound.
    sound: Sound,
    /// Folders that nothing names any more are being removed.
    removal: Option<JoinHandle<std::io::Result<()>>>,
}

/// State of a store that nothing holds any more.
#[derive(Debug)]
pub struct Closed {
    /// As the files were when the proof was made.
    stamps: Stamps,
}

/// A Chroma directory in state `S`.
#[derive(Debug)]
pub struct Store<S> {
    dir: PathBuf,
    state: S,
}

/// A directory proven closed: the only thing that hashing, packing and uploading accept.
pub type ClosedStore = Store<Closed>;

/// How to open a directory.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// How long SQLite waits for another process's lock.
    pub busy: Duration,
    /// Lets SQLite roll back what an interrupted writer left, instead of refusing the directory.
    /// Only for whoever changes directories in place.
    pub roll_back: bool,
    /// Nothing is on disk before the store is closed: for a copy that a crash throws away.
    pub is_scratch: bool,
}

impl OpenOptions {
    /// For a working copy, which a crash throws away.
    pub fn scratch() -> Self {
        Self {
            is_scratch: true,
            ..Self::default()
        }
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            busy: connection::BUSY_WAIT,
            roll_back: false,
            is_scratch: false,
        }
    }
}

impl<S> Store<S> {
    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Store<Open> {
    /// Opens a directory for writing. It must have been closed by whoever wrote it.
    ///
    /// # Errors
    /// Not a Chroma directory, not closed, torn, of an unknown schema level, or locked.
    pub fn open(dir: &Path, options: OpenOptions) -> StoreResult<Self> {
        let connection = connection::open_write(dir, options)?;
        let path = connection::database_path(dir);
        // A database left in WAL mode keeps that mode for every later reader; Chroma's is DELETE.
        connection
            .query_row("PRAGMA journal_mode=DELETE", [], |row| {
                row.get::<_, String>(0)
            })
            .map_err(StoreError::sqlite(&path, "set the journal mode"))?;
        let level = detect(&connection, &path)?;
        let collections = load_all(&connection, &path, level)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            state: Open {
                connection,
                level,
                collections,
                sound: Sound::default(),
                removal: None,
            },
        })
    }

    /// The schema level; a merge keeps it.
    pub fn level(&self) -> SchemaLevel {
        self.state.level
    }

    /// The collections, by name.
    pub fn collections(&self) -> &[Collection] {
        &self.state.collections
    }

    /// The collection that is meant.
    ///
    /// # Errors
    /// There is none, or more than one; the error lists those that there are.
    pub fn find<'a>(&self, which: impl Into<Which<'a>>) -> StoreResult<&Collection> {
        find(&self.state.collections, which.into(), &self.dir)
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.state.connection
    }

    pub(crate) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.state.connection
    }

    /// Reads a collection again after a change.
    pub(crate) fn reload(&mut self, name: &FullName) -> StoreResult<()> {
        let path = connection::database_path(&self.dir);
        let Open {
            connection,
            level,
            collections,
            ..
        } = &mut self.state;
        let changed = load_one(connection, &path, *level, name.into(), &self.dir)?;
        for collection in collections.iter_mut().filter(|one| one.name == *name) {
            collection.clone_from(&changed);
        }
        Ok(())
    }

    /// What is known of deltas; to be put back.
    pub(crate) fn take_sound(&mut self) -> Sound {
        std::mem::take(&mut self.state.sound)
    }

    pub(crate) fn put_sound(&mut self, sound: Sound) {
        self.state.sound = sound;
    }

    /// Removes folders while something else goes on; [`Store::close`] waits for it.
    pub(crate) fn remove_meanwhile(&mut self, folders: Vec<PathBuf>) -> StoreResult<()> {
        self.removed()?;
        let mut folders = folders.into_iter();
        let removing = move || folders.try_for_each(fs_err::remove_dir_all);
        self.state.removal = Some(std::thread::Builder::new().spawn(removing)?);
        Ok(())
    }

    /// Waits for what is being removed.
    pub(crate) fn removed(&mut self) -> StoreResult<()> {
        joined(self.state.removal.take())
    }

    /// Finalises all statements, closes SQLite, writes everything to disk, and proves that the
    /// directory is closed (invariant I5): no descriptor of this process in it, no SQLite lock on
    /// it, no side file beside it.
    ///
    /// # Errors
    /// SQLite could not close, a file is still open here, or another process holds a lock beyond
    /// the bound of `options`.
    pub fn close(self, options: &CloseOptions<'_>) -> StoreResult<ClosedStore> {
        let Self { dir, state } = self;
        let path = connection::database_path(&dir);
        state.connection.flush_prepared_statement_cache();
        state
            .connection
            .close()
            .map_err(|(_, error)| StoreError::sqlite(&path, "close")(error))?;
        joined(state.removal)?;
        proof::sync(&dir)?;
        ClosedStore::prove(&dir, options)
    }
}

fn joined(removal: Option<JoinHandle<std::io::Result<()>>>) -> StoreResult<()> {
    match removal.map(JoinHandle::join) {
        None => Ok(()),
        Some(Ok(removed)) => Ok(removed?),
        // It does not panic; if it did, so did this.
        Some(Err(panic)) => std::panic::resume_unwind(panic),
    }
}

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
