//! A store that can be read and written.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};

use super::Store;
use super::closed::ClosedStore;
use super::proof::{self, CloseOptions};
use super::sound::Sound;
use crate::collection::{find, load_all, load_one};
use crate::database::Database;
use crate::schema::detect;
use crate::{
    Collection, FullName, OpenOptions, SchemaLevel, StoreError, StoreResult, Which, connection,
};

/// State of a store that can be read and written.
#[derive(Debug)]
pub struct Open {
    connection: Connection,
    level: SchemaLevel,
    collections: Vec<Collection>,
    /// Deltas that SQLite found sound.
    sound: Sound,
    /// The thread that removes folders which no segment names any more.
    removal: Option<JoinHandle<std::io::Result<()>>>,
}

impl Store<Open> {
    /// Opens the directory `dir` for writing. The client that wrote it must have closed it.
    ///
    /// # Errors
    /// `dir` is not a Chroma directory (`NotChroma`, `NotRegular`), was not closed (`HotJournal`),
    /// is torn (`Truncated`) or damaged, has an unknown schema level (`UnknownSchema`), or is
    /// locked by another process (`Locked`).
    pub fn open(dir: &Path, options: OpenOptions) -> StoreResult<Self> {
        let connection = connection::open_write(dir, options)?;
        let path = connection::database_path(dir);
        // The mode stays in the file for every later reader, and Chroma's is DELETE.
        connection
            .query_row("PRAGMA journal_mode=DELETE", [], |row| {
                row.get::<_, String>(0)
            })
            .map_err(StoreError::sqlite(&path, "set the journal mode"))?;
        let level = detect(&connection, &path)?;
        let collections = load_all(Database {
            connection: &connection,
            dir,
            level,
        })?;
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

    /// The schema level of the directory. A merge keeps it.
    pub fn level(&self) -> SchemaLevel {
        self.state.level
    }

    /// All collections, sorted by name.
    pub fn collections(&self) -> &[Collection] {
        &self.state.collections
    }

    /// The collection that `which` names.
    ///
    /// # Errors
    /// No collection fits (`CollectionMissing`), or several do (`CollectionAmbiguous`). The error
    /// lists the candidates.
    pub fn find<'a>(&self, which: impl Into<Which<'a>>) -> StoreResult<&Collection> {
        find(&self.state.collections, which.into(), &self.dir)
    }

    pub(crate) fn database(&self) -> Database<'_> {
        Database {
            connection: &self.state.connection,
            dir: &self.dir,
            level: self.state.level,
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.state.connection
    }

    pub(crate) fn connection_mut(&mut self) -> &mut Connection {
        &mut self.state.connection
    }

    /// Reads a collection again after a change to its rows.
    pub(crate) fn reload(&mut self, name: &FullName) -> StoreResult<()> {
        let changed = load_one(self.database(), name.into())?;
        let collections = self.state.collections.iter_mut();
        for collection in collections.filter(|one| one.name == *name) {
            collection.clone_from(&changed);
        }
        Ok(())
    }

    /// Runs `work` in one transaction of its own.
    pub(crate) fn in_transaction<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(Database<'_>) -> rusqlite::Result<T>,
    ) -> StoreResult<()> {
        let path = connection::database_path(&self.dir);
        let (
            dir,
            Open {
                connection, level, ..
            },
        ) = (&self.dir, &mut self.state);
        let transaction = || -> rusqlite::Result<()> {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(Database {
                connection: &transaction,
                dir,
                level: *level,
            })?;
            transaction.commit()
        };
        transaction().map_err(StoreError::sqlite(&path, operation))
    }

    /// Lends the record of sound deltas, so that the store stays free to borrow. Give it back with
    /// [`Store::put_sound`].
    pub(crate) fn take_sound(&mut self) -> Sound {
        std::mem::take(&mut self.state.sound)
    }

    pub(crate) fn put_sound(&mut self, sound: Sound) {
        self.state.sound = sound;
    }

    /// Removes folders on another thread. [`Store::close`] waits for it.
    pub(crate) fn remove_meanwhile(&mut self, folders: Vec<PathBuf>) -> StoreResult<()> {
        self.removed()?;
        let mut folders = folders.into_iter();
        let removing = move || folders.try_for_each(fs_err::remove_dir_all);
        self.state.removal = Some(std::thread::Builder::new().spawn(removing)?);
        Ok(())
    }

    /// Waits for the thread that removes folders.
    pub(crate) fn removed(&mut self) -> StoreResult<()> {
        joined(self.state.removal.take())
    }

    /// Finalises all statements, closes SQLite, writes everything to disk, and proves that the
    /// directory is closed (invariant I5): this process has no file of it open, no process has a
    /// SQLite lock on it, and no side file lies beside it.
    ///
    /// # Errors
    /// SQLite cannot close, a file cannot be synced, this process still has a file open
    /// (`StillOpen`), or another process holds a lock for longer than `options` allow (`Locked`,
    /// `HotJournal`).
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
        // The closure does not panic. If it did, this thread panics too.
        Some(Err(panic)) => std::panic::resume_unwind(panic),
    }
}
