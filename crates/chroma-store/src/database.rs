//! A database whose schema level is known: what a function needs to read its rows, and to say where an
//! error comes from.
//!
//! Nothing here looks at rows; the modules that own a table do.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::schema::detect;
use crate::{SchemaLevel, StoreError, StoreResult, connection};

/// The database of a directory, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Database<'c> {
    pub(crate) connection: &'c Connection,
    /// The directory that has the database and the folders of its index files.
    pub(crate) dir: &'c Path,
    pub(crate) level: SchemaLevel,
}

impl<'c> Database<'c> {
    /// The database file.
    pub(crate) fn path(self) -> PathBuf {
        connection::database_path(self.dir)
    }

    /// Turns an error of SQLite into one that names the file and the failed `operation`.
    pub(crate) fn failed(
        self,
        operation: &'static str,
    ) -> impl FnOnce(rusqlite::Error) -> StoreError + Copy + use<'c> {
        move |error| StoreError::sqlite(&self.path(), operation)(error)
    }

    /// The error for content that SQLite reads and Chroma would not write.
    pub(crate) fn damaged(self, detail: String) -> StoreError {
        StoreError::Damaged {
            path: self.path(),
            detail,
        }
    }
}

/// A database that is open for reading.
#[derive(Debug)]
pub(crate) struct OpenDatabase {
    connection: Connection,
    dir: PathBuf,
    level: SchemaLevel,
}

impl OpenDatabase {
    /// Opens the database of `dir` for reading.
    ///
    /// # Errors
    /// `dir` is not a closed Chroma directory, its database is torn, or its level is unknown.
    pub(crate) fn read(dir: &Path) -> StoreResult<Self> {
        Self::of(connection::open_read(dir)?, dir)
    }

    /// Opens the database of a delta; see [`connection::open_delta`].
    ///
    /// # Errors
    /// As for [`OpenDatabase::read`].
    pub(crate) fn delta(dir: &Path, longest_value: Option<u32>) -> StoreResult<Self> {
        Self::of(connection::open_delta(dir, longest_value)?, dir)
    }

    /// Detects the level of a database that is open already.
    ///
    /// # Errors
    /// The level is unknown.
    pub(crate) fn of(connection: Connection, dir: &Path) -> StoreResult<Self> {
        let level = detect(&connection, &connection::database_path(dir))?;
        Ok(Self {
            connection,
            dir: dir.to_path_buf(),
            level,
        })
    }

    /// Lends the database.
    pub(crate) fn get(&self) -> Database<'_> {
        Database {
            connection: &self.connection,
            dir: &self.dir,
            level: self.level,
        }
    }
}
