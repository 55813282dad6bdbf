//! The SQLite file that queue, leases and run records share.
//!
//! Every change is one IMMEDIATE transaction, which is on disk when the call returns. One connection per
//! process is enough, because each transaction touches a few rows.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compactor_core::ports::{Fault, PortError, PortResult};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::access::{narrow_unopened, open_private};
use crate::blocking::blocking;
use crate::fault::sqlite_error;
use crate::lock_file::{LOCK_WAIT, lock_file};
use crate::open_error::OpenError;

const SCHEMA: i64 = 3;
const BUSY: Duration = Duration::from_secs(10);

/// An open `coordination.sqlite3`.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    connection: Arc<Mutex<Connection>>,
    file: Arc<OpenFile>,
}

/// The identity of the file that was opened. A connection to a file that was removed or replaced goes on
/// without an error, and no other process sees what it writes.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl OpenFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        let found = std::fs::metadata(&path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            path,
        })
    }

    fn is_in_place(&self) -> bool {
        match std::fs::metadata(&self.path) {
            Ok(found) => found.dev() == self.device && found.ino() == self.inode,
            // SQLite reports every other error.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

impl Database {
    /// Opens `coordination.sqlite3` in a directory that already has the folder `.locks`.
    pub(crate) fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_within(directory, LOCK_WAIT)
    }

    fn open_within(directory: &Path, patience: Duration) -> Result<Self, OpenError> {
        let path = directory.join("coordination.sqlite3");
        let unusable = |source| OpenError::Directory {
            path: directory.to_owned(),
            source,
        };
        // Switching to WAL does not wait for other openers, so they take turns.
        let lock = directory.join(".locks").join("open");
        let _turn = lock_file(&lock, patience).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => OpenError::Locked { path: lock.clone() },
            _ => unusable(error),
        })?;
        keep_private(&path).map_err(unusable)?;
        let failed = |source| OpenError::Database {
            path: path.clone(),
            source,
        };
        let mut connection = Connection::open(&path).map_err(failed)?;
        let found = prepare(&mut connection).map_err(failed)?;
        if found > SCHEMA {
            return Err(OpenError::NewerSchema {
                path,
                found,
                known: SCHEMA,
            });
        }
        let file = OpenFile::at(path).map_err(unusable)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            file: Arc::new(file),
        })
    }

    /// Runs a transaction that only reads. All its reads see one state of the data.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        target: &str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> PortResult<T> {
        self.run(operation, target, TransactionBehavior::Deferred, work)
            .await
    }

    /// Runs a transaction that writes, while no other one writes. It takes effect as a whole or not at
    /// all.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        target: &str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> PortResult<T> {
        self.run(operation, target, TransactionBehavior::Immediate, work)
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        target: &str,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> PortResult<T> {
        let (connection, owned) = (self.connection.clone(), target.to_owned());
        let transact = move || {
            // A panic rolled the transaction back, so the connection can still be used.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            let transaction = connection.transaction_with_behavior(behavior)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        let file = self.file.clone();
        let owned = match owned.is_empty() {
            true => file.path.display().to_string(),
            false => owned,
        };
        blocking(operation, target, move || {
            if !file.is_in_place() {
                let path = file.path.display().to_string();
                let reason = "it was removed or replaced while it was open";
                return Err(PortError::new(operation, path, Fault::Missing, reason));
            }
            transact().map_err(|error| sqlite_error(operation, &owned, error))
        })
        .await
    }
}

/// Makes the file of the database for its owner alone, or removes the rights of all others. SQLite gives
/// the files that it makes beside the database the same mode.
fn keep_private(path: &Path) -> io::Result<()> {
    match open_private(path, OpenOptions::new().write(true).create_new(true)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            ["", "-wal", "-shm"].iter().try_for_each(|suffix| {
                let mut file = path.as_os_str().to_owned();
                file.push(suffix);
                narrow_unopened(Path::new(&file))
            })
        }
        result => result.map(drop),
    }
}

/// Configures the connection, and makes or migrates the schema. Returns the schema of the database, which
/// stays as it is if it is newer than [`SCHEMA`].
fn prepare(connection: &mut Connection) -> rusqlite::Result<i64> {
    connection.busy_timeout(BUSY)?;
    let found = schema(connection)?;
    if found > SCHEMA {
        return Ok(found);
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let one_to_two = include_str!("schema_1_to_2.sql");
    let two_to_three = include_str!("schema_2_to_3.sql");
    let missing: &[&str] = match schema(&transaction)? {
        0 => &[include_str!("schema.sql")],
        1 => &[one_to_two, two_to_three],
        2 => &[two_to_three],
        _ => &[],
    };
    for part in missing {
        transaction.execute_batch(part)?;
    }
    if !missing.is_empty() {
        transaction.pragma_update(None, "user_version", SCHEMA)?;
    }
    transaction.commit()?;
    Ok(SCHEMA)
}

fn schema(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Converts a number for SQLite, whose integers are signed.
pub(crate) fn integer(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// The error for stored text that cannot be understood.
pub(crate) fn misread(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".locks")).unwrap();
        folder
    }

    #[test]
    fn reopened_database_stays_the_same() {
        let folder = folder();
        for _ in 0..2 {
            Database::open(folder.path()).unwrap();
        }
        let connection = Connection::open(folder.path().join("coordination.sqlite3")).unwrap();
        let mode: String = connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .unwrap();
        assert_eq!(
            (schema(&connection).unwrap(), mode.as_str()),
            (SCHEMA, "wal")
        );
    }

    #[test]
    fn older_schema_is_migrated() {
        let folder = folder();
        let path = folder.path().join("coordination.sqlite3");
        let connection = Connection::open(&path).unwrap();
        let as_it_was = "CREATE TABLE messages (
                id            INTEGER PRIMARY KEY AUTOINCREMENT,
                message_id    TEXT NOT NULL UNIQUE,
                body          TEXT NOT NULL,
                attributes    TEXT NOT NULL,
                visible_at    INTEGER NOT NULL,
                receive_count INTEGER NOT NULL DEFAULT 0,
                receipt       TEXT UNIQUE
            ) STRICT;
            CREATE INDEX messages_by_visibility ON messages (visible_at, id);
            CREATE TABLE locks (
                collection TEXT PRIMARY KEY,
                owner      TEXT NOT NULL,
                expires    INTEGER NOT NULL
            ) STRICT;
            CREATE TABLE run_parts (run_id TEXT PRIMARY KEY) STRICT;
            INSERT INTO messages VALUES (1, 'm', 'body', '{}', 5, 0, NULL);
            INSERT INTO locks VALUES ('words', 'somebody', 5);
            PRAGMA user_version = 1;";
        connection.execute_batch(as_it_was).unwrap();
        Database::open(folder.path()).unwrap();
        let kept = "SELECT visible_at + hidden_at + expires + taken_at FROM messages, locks";
        let kept: i64 = connection.query_row(kept, [], |row| row.get(0)).unwrap();
        assert_eq!((schema(&connection).unwrap(), kept), (SCHEMA, 10));
    }

    #[test]
    fn newer_schema_is_refused_and_left_alone() {
        let folder = folder();
        let path = folder.path().join("coordination.sqlite3");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 7).unwrap();
        let error = Database::open(folder.path()).unwrap_err();
        assert_eq!(error.code(), "CC-LOCAL-SCHEMA");
        assert!(
            error
                .to_string()
                .contains("schema 7, this build knows schema 3"),
            "{error}"
        );
        assert_eq!(schema(&connection).unwrap(), 7);
    }

    #[test]
    fn lock_file_that_is_never_freed_is_named() {
        let folder = folder();
        let path = folder.path().join(".locks/open");
        let held = std::fs::File::create(&path).unwrap();
        held.lock().unwrap();
        let opened = Database::open_within(folder.path(), Duration::from_millis(100));
        let error = opened.unwrap_err();
        assert_eq!(error.code(), "CC-LOCAL-LOCKED");
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        held.unlock().unwrap();
        Database::open(folder.path()).unwrap();
    }

    #[test]
    fn coordination_file_that_is_no_database_is_refused() {
        let folder = folder();
        std::fs::write(folder.path().join("coordination.sqlite3"), "x".repeat(4096)).unwrap();
        assert_eq!(
            Database::open(folder.path()).unwrap_err().code(),
            "CC-LOCAL-DATABASE"
        );
    }

    #[tokio::test]
    async fn failed_transaction_leaves_nothing() {
        let folder = folder();
        let database = Database::open(folder.path()).unwrap();
        let failed: PortResult<()> = database
            .write("test", "t", |transaction| {
                transaction.execute("INSERT INTO fences VALUES ('lines', 1)", [])?;
                Err(rusqlite::Error::QueryReturnedNoRows)
            })
            .await;
        assert!(failed.is_err());
        let count: i64 = database
            .read("test", "t", |t| {
                t.query_row("SELECT count(*) FROM fences", [], |r| r.get(0))
            })
            .await
            .unwrap();
        assert_eq!(count, 0);
    }

    #[tokio::test]
    async fn database_that_was_removed_or_replaced_is_missing() {
        let folder = folder();
        let path = folder.path().join("coordination.sqlite3");
        let database = Database::open(folder.path()).unwrap();
        let read = || database.read("test", "t", schema_of);
        assert_eq!(read().await.unwrap(), SCHEMA);
        std::fs::rename(&path, folder.path().join("aside")).unwrap();
        assert_eq!(read().await.unwrap_err().fault, Fault::Missing);
        std::fs::copy(folder.path().join("aside"), &path).unwrap();
        assert_eq!(read().await.unwrap_err().fault, Fault::Missing);
        std::fs::rename(folder.path().join("aside"), &path).unwrap();
        assert_eq!(read().await.unwrap(), SCHEMA);
    }

    fn schema_of(transaction: &Transaction<'_>) -> rusqlite::Result<i64> {
        schema(transaction)
    }
}
