//! Why a local backend cannot be opened, and what to do about it.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

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
