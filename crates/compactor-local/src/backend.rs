//! Opening everything that is below one directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use compactor_core::ports::{Clock, Ids};
use rusqlite::ErrorCode;
use thiserror::Error;

use crate::coordination::Database;
use crate::{Access, DirectoryObjectStore, SqliteLeaseStore, SqliteQueue, SqliteRunStore};

/// What can be chosen about the local backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalOptions {
    /// After how many receives a message that is not deleted becomes a dead letter.
    pub max_receives: u32,
    /// Who besides the owner may read the objects. `None`: those who may now, and no other account in a
    /// new directory.
    pub access: Option<Access>,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            max_receives: 5,
            access: None,
        }
    }
}

/// All four ports on one directory.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    /// Objects as plain files.
    pub objects: Arc<DirectoryObjectStore>,
    /// Messages.
    pub queue: Arc<SqliteQueue>,
    /// Locks and fences.
    pub leases: Arc<SqliteLeaseStore>,
    /// Run records.
    pub runs: Arc<SqliteRunStore>,
}

impl LocalBackend {
    /// Opens the backend in `directory`, making what is missing, and takes from other accounts what
    /// earlier builds let them do. Blocks; any number of processes may do it at once.
    pub fn open(
        directory: &Path,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        options: LocalOptions,
    ) -> Result<Self, OpenError> {
        let objects = DirectoryObjectStore::open(directory, options.access, &*clock, ids.clone())?;
        let database = Database::open(directory)?;
        let queue = SqliteQueue::new(database.clone(), clock.clone(), ids, options.max_receives);
        let leases = SqliteLeaseStore::new(database.clone(), clock);
        let runs = SqliteRunStore::new(database);
        Ok(Self {
            objects: Arc::new(objects),
            queue: Arc::new(queue),
            leases: Arc::new(leases),
            runs: Arc::new(runs),
        })
    }
}

/// Why a local backend cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory cannot be made, read or written.
    #[error("the directory {path} cannot be used")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Other accounts could put files of theirs in it, or take ours away.
    #[error("other accounts can write to the folder {path}: {detail}")]
    Writable {
        /// The folder.
        path: PathBuf,
        /// Who can, and by what.
        detail: String,
    },
    /// Another process has the lock that each opener takes, and does not give it back.
    #[error("another process holds the lock file {path}")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Tags of objects would repeat there.
    #[error("the file system of {path} does not keep nanosecond times; use another one")]
    CoarseTimes {
        /// The directory.
        path: PathBuf,
    },
    /// The database cannot be opened.
    #[error("the database {path} cannot be used")]
    Database {
        /// The database.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// The database was made by a newer build.
    #[error(
        "the database {path} has schema {found}, this build knows schema {known}; use a newer build"
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
}

impl OpenError {
    /// The stable code of this error, `CC-LOCAL-...`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "CC-LOCAL-DIRECTORY",
            Self::Writable { .. } => "CC-LOCAL-WRITABLE",
            Self::Locked { .. } => "CC-LOCAL-LOCKED",
            Self::CoarseTimes { .. } => "CC-LOCAL-TIMES",
            Self::Database { .. } => "CC-LOCAL-DATABASE",
            Self::NewerSchema { .. } => "CC-LOCAL-SCHEMA",
        }
    }

    /// What to do next, in one sentence.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Directory { .. } => {
                "name a folder on a local disk that you may write to: --data DIR or storage.path"
            }
            // One that is meant for all, or is another's.
            Self::Writable { detail, .. } if !detail.contains("(mode 0") => {
                "name a folder of your own, for instance a new one below it"
            }
            Self::Writable { .. } => {
                "take the right from others with `chmod -R go-w` and its name, or name a folder of your own, for instance a new one below it"
            }
            Self::Locked { .. } => "see who holds it: `fuser FILE` or `lsof FILE`",
            Self::CoarseTimes { .. } => "name a folder on another disk: --data DIR or storage.path",
            Self::Database { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                    "it has the queue, the locks and the records of runs: put a copy of it back, or move it away, and submit anew what waited in it; what is published is not in it"
                }
                _ => {
                    "it must be on a local disk that is not full, and you must be allowed to write to it"
                }
            },
            Self::NewerSchema { .. } => "use a newer build",
        }
    }
}
