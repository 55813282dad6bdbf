//! The handle on a directory: open, or proven closed. The type says which.
//!
//! Dropping an open store abandons it: uncommitted work is rolled back and nothing that takes a
//! [`ClosedStore`] can be done with it.

mod holders;
mod proof;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::collection::load_all;
use crate::schema::detect;
use crate::{Collection, SchemaLevel, StoreError, StoreResult, connection};

pub use proof::{CloseOptions, Pause, ThreadPause};

/// State of a store that can be read and written.
#[derive(Debug)]
pub struct Open {
    connection: Connection,
    level: SchemaLevel,
    collections: Vec<Collection>,
}

/// State of a store that nothing holds any more.
#[derive(Debug)]
pub struct Closed {
    _private: (),
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
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            busy: Duration::from_secs(2),
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
        let connection = connection::open_write(dir, options.busy)?;
        let path = connection::database_path(dir);
        // A database left in WAL mode keeps that mode for every later reader; Chroma's is DELETE.
        connection
            .query_row("PRAGMA journal_mode=DELETE", [], |row| {
                row.get::<_, String>(0)
            })
            .map_err(|error| locked_or(error, &path, "set the journal mode"))?;
        let level = detect(&connection, &path)?;
        let collections = load_all(&connection, &path, level)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            state: Open {
                connection,
                level,
                collections,
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

    pub(crate) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.state.connection
    }

    /// Reads the collections again after a change.
    pub(crate) fn reload(&mut self) -> StoreResult<()> {
        let path = connection::database_path(&self.dir);
        self.state.collections = load_all(&self.state.connection, &path, self.state.level)?;
        Ok(())
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
        proof::sync(&dir)?;
        ClosedStore::prove(&dir, options)
    }
}

impl ClosedStore {
    /// Proves that nothing holds a directory that somebody else wrote.
    ///
    /// # Errors
    /// As for [`Store::close`].
    pub fn prove(dir: &Path, options: &CloseOptions<'_>) -> StoreResult<Self> {
        proof::prove_closed(dir, options)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            state: Closed { _private: () },
        })
    }
}

/// Turns "database is locked" into an error that names who holds it.
pub(crate) fn locked_or(
    error: rusqlite::Error,
    path: &Path,
    operation: &'static str,
) -> StoreError {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) {
        let holders = holders::of(path);
        return StoreError::Locked {
            path: path.to_path_buf(),
            holders,
            waited: Duration::ZERO,
        };
    }
    StoreError::sqlite(path, operation)(error)
}
