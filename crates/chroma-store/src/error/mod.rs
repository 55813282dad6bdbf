//! Everything that can go wrong with a Chroma directory, each case with a stable code.

mod advice;

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::locks::{self, BUSY_WAIT};
use crate::problem::Problem;

/// Result of an operation of this crate.
pub type StoreResult<T> = Result<T, StoreError>;

/// What sort of case an error is; the caller decides by it whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The directory's content is wrong; it will be wrong next time as well.
    BadInput,
    /// Somebody else holds the directory; later it may be free.
    Busy,
    /// Disk, permissions, limits: a fault of the machine.
    Environment,
    /// A check of our own result failed: the result was not used.
    SelfCheck,
}

/// An error of a Chroma directory. Messages name the thing and the cause; [`StoreError::help`]
/// says what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no `chroma.sqlite3`.
    #[error("{}: not a Chroma directory: {detail}", path.display())]
    NotChroma {
        /// The directory.
        path: PathBuf,
        /// What is there instead.
        detail: &'static str,
    },
    /// A rollback journal, WAL or shared-memory file lies beside the database.
    #[error("{}: the directory was not closed: a hot SQLite side file is present", path.display())]
    HotJournal {
        /// The side file.
        path: PathBuf,
    },
    /// Another process holds a SQLite lock.
    #[error("{}: locked by another process{} after waiting {waited:?}", path.display(), by(holders))]
    Locked {
        /// The locked file.
        path: PathBuf,
        /// Process ids that hold it, where the system tells.
        holders: Vec<u32>,
        /// How long was waited.
        waited: Duration,
    },
    /// Another process has a file of the directory open, and holds no lock at the moment.
    #[error("{}: open in another process{}", path.display(), by(holders))]
    InUse {
        /// The open file.
        path: PathBuf,
        /// Process ids that have it open.
        holders: Vec<u32>,
    },
    /// This process still has a descriptor open inside the directory.
    #[error("{}: still open in this process", path.display())]
    StillOpen {
        /// The open file.
        path: PathBuf,
    },
    /// A file is shorter than its own header says.
    #[error("{}: truncated: {detail}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Found and expected sizes.
        detail: String,
    },
    /// SQLite finds the database damaged.
    #[error("{}: damaged: {detail}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The first finding.
        detail: String,
    },
    /// An HNSW file holds bytes that cannot be right.
    #[error("{}: bad index file: {detail}", path.display())]
    IndexFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the offset or element.
        detail: String,
    },
    /// The migrations are not those of a known schema level.
    #[error("{}: unknown schema level: {detail}", path.display())]
    UnknownSchema {
        /// The database.
        path: PathBuf,
        /// The versions found.
        detail: String,
    },
    /// A collection is not in the directory.
    #[error("{}: no collection named `{name}`{}", path.display(), among(available))]
    CollectionMissing {
        /// The directory.
        path: PathBuf,
        /// The wanted name.
        name: String,
        /// The names that are there.
        available: Vec<String>,
    },
    /// More than one collection has the name.
    #[error("{}: several collections are named `{name}`: {}", path.display(), fitting.join(", "))]
    CollectionAmbiguous {
        /// The directory.
        path: PathBuf,
        /// The wanted name.
        name: String,
        /// Those that it fits, with tenant and database where these are not the default ones.
        fitting: Vec<String>,
    },
    /// The delta's vectors have another dimension than the base's.
    #[error(
        "collection `{collection}`: dimension {delta} of the delta differs from {base} of the base"
    )]
    DimensionMismatch {
        /// The collection.
        collection: String,
        /// The base's dimension.
        base: u32,
        /// The delta's dimension.
        delta: u32,
    },
    /// A vector's byte length does not fit the dimension.
    #[error(
        "collection `{collection}`, record `{id}`: vector of {found} bytes, {expected} expected"
    )]
    VectorLength {
        /// The collection.
        collection: String,
        /// The record.
        id: String,
        /// Bytes found.
        found: usize,
        /// Bytes expected, 4 per dimension.
        expected: usize,
    },
    /// A vector or metadata value is NaN or infinite.
    #[error("collection `{collection}`, record `{id}`: {what} is not a finite number")]
    NotFinite {
        /// The collection.
        collection: String,
        /// The record.
        id: String,
        /// Which number: `vector element 3`, `metadata key price`.
        what: String,
    },
    /// A record that is new to the base has no vector.
    #[error("collection `{collection}`, record `{id}`: a new record without a vector")]
    MissingVector {
        /// The collection.
        collection: String,
        /// The record.
        id: String,
    },
    /// A row of `embeddings_queue` cannot be understood.
    #[error("{}: embeddings_queue row {seq}: {detail}", path.display())]
    QueueRow {
        /// The database.
        path: PathBuf,
        /// Its `seq_id`.
        seq: i64,
        /// What is wrong.
        detail: String,
    },
    /// The delta holds array metadata, which the base's schema level has no table for.
    #[error(
        "collection `{collection}`, record `{id}`: array metadata `{key}` cannot be stored at level {level} of the base"
    )]
    ArraysUnsupported {
        /// The collection.
        collection: String,
        /// The record.
        id: String,
        /// The metadata key.
        key: String,
        /// The base's level.
        level: &'static str,
    },
    /// The directory breaks invariants of the format.
    #[error("{}: {} of Chroma's invariants broken, first: {}", path.display(), problems.len(), first(problems))]
    Inconsistent {
        /// The directory.
        path: PathBuf,
        /// All findings of error severity.
        problems: Vec<Problem>,
    },
    /// The collection's configuration cannot be read.
    #[error("{}: collection `{collection}`: {detail}", path.display())]
    BadConfiguration {
        /// The database.
        path: PathBuf,
        /// The collection.
        collection: String,
        /// What is wrong.
        detail: String,
    },
    /// Rows after a merge are not rows before plus new minus deleted.
    #[error("collection `{collection}`: {found} records after the merge, {expected} expected")]
    NotConserved {
        /// The collection.
        collection: String,
        /// Counted.
        found: u64,
        /// Rows before + new ids - deleted ids.
        expected: u64,
    },
    /// The engine that was asked to build a graph failed.
    #[error("the index engine failed: {detail}")]
    Engine {
        /// What it said.
        detail: String,
    },
    /// A query's vector does not fit the collection.
    #[error("collection `{collection}`: {detail}")]
    Query {
        /// The collection.
        collection: String,
        /// What does not fit.
        detail: String,
    },
    /// There is no room for what is to be written.
    #[error("{}: {needed} bytes are needed, {free} are free", path.display())]
    NoSpace {
        /// Where it would be written.
        path: PathBuf,
        /// How much room it takes.
        needed: u64,
        /// How much there is.
        free: u64,
    },
    /// A directory was written to while it was read.
    #[error("{}: somebody wrote to it meanwhile", path.display())]
    Changed {
        /// The directory.
        path: PathBuf,
    },
    /// Something is where a new directory or file should be made.
    #[error("{}: already exists", path.display())]
    AlreadyExists {
        /// The path.
        path: PathBuf,
    },
    /// Something in the directory is neither a regular file nor a folder.
    #[error("{}: neither a regular file nor a folder", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The name of a file in the directory is not UTF-8.
    #[error("{}: the name of this file is not UTF-8", path.display())]
    FileName {
        /// The path, lossily shown.
        path: PathBuf,
    },
    /// An archive entry is not allowed.
    #[error("archive entry `{entry}`: {detail}")]
    ArchiveEntry {
        /// The entry's name, lossily decoded.
        entry: String,
        /// Why.
        detail: String,
    },
    /// An archive cannot be read to its end.
    #[error("the archive is torn or not a gzip tar: {detail}")]
    ArchiveDamaged {
        /// What the reader said.
        detail: String,
    },
    /// An archive passes a configured limit.
    #[error("the archive passes the limit of {limit} {what}")]
    ArchiveLimit {
        /// The limit.
        limit: u64,
        /// Its unit.
        what: &'static str,
    },
    /// A row or a value is longer than the limit of its connection.
    #[error("{}: {operation}: a record is larger than the limit", path.display())]
    RecordTooLarge {
        /// The database.
        path: PathBuf,
        /// What was attempted.
        operation: &'static str,
    },
    /// What describes the collections of a delta is larger than it may be.
    #[error("{}: {detail}", path.display())]
    ConfigurationTooLarge {
        /// The database.
        path: PathBuf,
        /// Which column or table, found and allowed.
        detail: String,
    },
    /// SQLite refused an operation.
    #[error("{}: {operation} failed", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What was attempted.
        operation: &'static str,
        /// SQLite's answer.
        #[source]
        source: rusqlite::Error,
    },
    /// The operating system refused a file operation (the source names the path).
    #[error("file operation failed")]
    Io(#[from] std::io::Error),
}

impl StoreError {
    /// Names who holds `path`, where the system tells.
    pub(crate) fn locked(path: PathBuf, waited: Duration) -> Self {
        Self::Locked {
            holders: locks::holders(&path),
            path,
            waited,
        }
    }

    pub(crate) fn sqlite(
        path: &std::path::Path,
        operation: &'static str,
    ) -> impl FnOnce(rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.sqlite_error_code() {
            // Not what a machine does to a sound file: wrong pages, tables, types or values.
            None
            | Some(
                rusqlite::ErrorCode::DatabaseCorrupt
                | rusqlite::ErrorCode::NotADatabase
                | rusqlite::ErrorCode::ConstraintViolation
                | rusqlite::ErrorCode::TypeMismatch
                | rusqlite::ErrorCode::Unknown,
            ) => Self::Damaged {
                path,
                detail: format!("{operation}: {source}"),
            },

            Some(rusqlite::ErrorCode::TooBig) => Self::RecordTooLarge { path, operation },
            Some(rusqlite::ErrorCode::DatabaseBusy) => Self::locked(path, BUSY_WAIT),
            _ => Self::Sqlite {
                path,
                operation,
                source,
            },
        }
    }
}

fn by(holders: &[u32]) -> String {
    match holders {
        [] => String::new(),
        [one] => format!(" (pid {one})"),
        many => {
            let pids: Vec<_> = many.iter().map(u32::to_string).collect();
            format!(" (pids {})", pids.join(", "))
        }
    }
}

fn among(available: &[String]) -> String {
    if available.is_empty() {
        "; it has none".to_owned()
    } else {
        format!("; it has: {}", available.join(", "))
    }
}

fn first(problems: &[Problem]) -> String {
    problems
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}
