//! Why a local backend cannot be opened, and what to do about it.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why a local backend cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory, or a file in it, cannot be made, read or written.
    #[error("the directory {path} cannot be used")]
    Directory {
        /// The directory of the backend.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// Other accounts could put files into the folder, or remove ours.
    #[error("other accounts can write to the folder {path}: {detail}")]
    Writable {
        /// The folder that others can write to.
        path: PathBuf,
        /// Which accounts can write, and by which mode.
        detail: String,
    },
    /// Another process holds the lock that each opener takes, and did not free it in time.
    #[error("another process holds the lock file {path}")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The file system keeps no nanoseconds, so tags of objects would repeat.
    #[error("the file system of {path} does not keep nanosecond times; use another one")]
    CoarseTimes {
        /// The directory of the backend.
        path: PathBuf,
    },
    /// The database cannot be opened.
    #[error("the database {path} cannot be used")]
    Database {
        /// The file of the database.
        path: PathBuf,
        /// The error of SQLite.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer build made the database.
    #[error(
        "the database {path} has schema {found}, this build knows schema {known}; use a newer build"
    )]
    NewerSchema {
        /// The file of the database.
        path: PathBuf,
        /// The schema of the database.
        found: i64,
        /// The newest schema that this build knows.
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

    /// What the user can do about it, in one sentence.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Directory { .. } => {
                "name a folder on a local disk that you may write to: --data DIR or storage.path"
            }
            // The folder is shared on purpose (it has the sticky bit), or belongs to another user.
            Self::Writable { detail, .. } if !detail.contains("(mode 0") => {
                "name a folder of your own, for instance a new one below it"
            }
            Self::Writable { .. } => {
                "remove the right with `chmod -R go-w FOLDER`, or name a folder of your own, for instance a new one below it"
            }
            Self::Locked { .. } => {
                "find the process that holds it with `fuser FILE` or `lsof FILE`"
            }
            Self::CoarseTimes { .. } => "name a folder on another disk: --data DIR or storage.path",
            Self::Database { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                    "it has the queue, the locks and the records of runs, but no snapshots: restore a copy of it, or move it away and submit again what waited in it"
                }
                _ => {
                    "it must be on a local disk that is not full, and you need the right to write to it"
                }
            },
            Self::NewerSchema { .. } => "use a newer build",
        }
    }
}
