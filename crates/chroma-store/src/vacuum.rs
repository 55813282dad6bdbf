//! Gives the unused pages of the database back to the file system.
//!
//! A flush frees log rows, and SQLite keeps their pages for later rows.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::limits::Limit;

use crate::directory::room::check_room;
use crate::{
    DATABASE_NAME, FileStamp, Open, OpenOptions, Store, StoreError, StoreResult, connection,
};

/// The new database, before it replaces the old one.
const NEW_NAME: &str = "chroma.sqlite3.vacuum";

/// The files that a killed vacuum may leave in the directory `dir`. They may not exist.
pub fn vacuum_leftovers(dir: &Path) -> Vec<PathBuf> {
    vec![dir.join(NEW_NAME), dir.join(format!("{NEW_NAME}-journal"))]
}

/// The size of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct DatabaseSize {
    /// Bytes of the database file.
    pub bytes: u64,
    /// Bytes of its unused pages.
    pub free_bytes: u64,
}

impl DatabaseSize {
    pub(crate) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
        let page = number("page_size")?;
        Ok(Self {
            bytes: number("page_count")? * page,
            free_bytes: number("freelist_count")? * page,
        })
    }

    /// The share of unused pages in percent, rounded down.
    pub fn free_percent(&self) -> u64 {
        self.free_bytes * 100 / self.bytes.max(1)
    }
}

impl Store<Open> {
    /// Measures the database.
    ///
    /// # Errors
    /// SQLite cannot read it.
    pub fn database_size(&self) -> StoreResult<DatabaseSize> {
        let path = connection::database_path(self.dir());
        DatabaseSize::of(self.connection())
            .map_err(StoreError::sqlite(&path, "measure the database"))
    }

    /// Vacuums the database if more than `percent` of its pages are unused. Returns whether it did.
    ///
    /// # Errors
    /// As for [`Store::vacuum`].
    pub fn vacuum_above(&mut self, percent: u8) -> StoreResult<bool> {
        let is_due = self.database_size()?.free_percent() > u64::from(percent);
        if is_due {
            self.vacuum()?;
        }
        Ok(is_due)
    }

    /// Writes a copy of the database without unused pages, and replaces the database by it. A crash
    /// leaves the old one or the new one.
    ///
    /// # Errors
    /// There is no room for the new one beside the old (`NoSpace`), another process has locked the
    /// database (`Locked`) or writes to it meanwhile (`Changed`), or a file cannot be written. The
    /// old database stays.
    pub fn vacuum(&mut self) -> StoreResult<()> {
        let dir = self.dir().to_path_buf();
        let (path, new) = (connection::database_path(&dir), dir.join(NEW_NAME));
        vacuum_leftovers(&dir)
            .iter()
            .try_for_each(|path| remove_if_there(path))?;
        let size = self.database_size()?;
        check_room(&dir, size.bytes - size.free_bytes)?;
        let (before, stamp) = (fs_err::metadata(&path)?, FileStamp::of(&path)?);
        let written = write_into(self.connection(), &new);
        if let Err(error) = written {
            remove_if_there(&new)?;
            return Err(StoreError::sqlite(&path, "vacuum")(error));
        }
        fs_err::File::open(&new)?.sync_all()?;
        self.replace_database(|| {
            if FileStamp::of(&path)? != stamp {
                remove_if_there(&new)?;
                return Err(StoreError::Changed { path: dir.clone() });
            }
            fs_err::set_permissions(&new, before.permissions())?;
            // Only root may give files away. Another user owns it already.
            let _ = std::os::unix::fs::chown(&new, Some(before.uid()), Some(before.gid()));
            fs_err::rename(&new, dir.join(DATABASE_NAME))?;
            Ok(fs_err::File::open(&dir)?.sync_all()?)
        })
    }

    /// Closes the database, lets `replace` install another one, and opens that.
    fn replace_database(&mut self, replace: impl FnOnce() -> StoreResult<()>) -> StoreResult<()> {
        let dir = self.dir().to_path_buf();
        let path = connection::database_path(&dir);
        let placeholder = Connection::open_in_memory()
            .map_err(StoreError::sqlite(&path, "replace the database"))?;
        let old = std::mem::replace(self.connection_mut(), placeholder);
        old.flush_prepared_statement_cache();
        old.close()
            .map_err(|(_, error)| StoreError::sqlite(&path, "close")(error))?;
        let replaced = replace();
        *self.connection_mut() = connection::open_write(&dir, OpenOptions::default())?;
        replaced
    }
}

fn write_into(connection: &Connection, new: &Path) -> rusqlite::Result<()> {
    // `VACUUM INTO` attaches the new database.
    let attached = connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1)?;
    let written = connection
        .prepare("VACUUM INTO ?1")
        .and_then(|mut statement| statement.execute([new.to_string_lossy()]));
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, attached)?;
    written.map(drop)
}

fn remove_if_there(path: &Path) -> StoreResult<()> {
    match fs_err::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
