//! The errors of this crate, each with a stable code.

mod advice;

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::locks::{self, BUSY_WAIT};
use crate::problem::Problem;

/// The result of an operation of this crate.
pub type StoreResult<T> = Result<T, StoreError>;

/// The kind of an error. A caller decides by it whether another try can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The content of the directory is wrong. It will be wrong next time as well.
    BadInput,
    /// Another process uses the directory. Later it may be free.
    Busy,
    /// The machine is at fault: disk, permissions, limits.
    Environment,
    /// A check of this crate's own result failed. The result is not used.
    SelfCheck,
}

/// An error of a Chroma directory. The message names the thing and the cause; [`StoreError::help`]
/// says what to do next.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory has no `chroma.sqlite3`, or is no directory.
    #[error("{}: not a Chroma directory: {detail}", path.display())]
    NotChroma {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the path.
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
        /// Ids of the processes that hold the lock. Empty where the system does not say.
        holders: Vec<u32>,
        /// How long this process waited for the lock.
        waited: Duration,
    },
    /// Another process has a file of the directory open but holds no lock.
    #[error("{}: open in another process{}", path.display(), by(holders))]
    InUse {
        /// The open file.
        path: PathBuf,
        /// Ids of the processes that have it open.
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
        /// The found and the expected size, in bytes.
        detail: String,
    },
    /// SQLite finds the database damaged.
    #[error("{}: damaged: {detail}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// The first finding of SQLite's check.
        detail: String,
    },
    /// An HNSW file holds bytes that cannot be right.
    #[error("{}: bad index file: {detail}", path.display())]
    IndexFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and at which offset or element.
        detail: String,
    },
    /// The migrations are not those of a known schema level.
    #[error("{}: unknown schema level: {detail}", path.display())]
    UnknownSchema {
        /// The database.
        path: PathBuf,
        /// The migrations that the database has.
        detail: String,
    },
    /// The directory has no such collection.
    #[error("{}: no collection named `{name}`{}", path.display(), among(available))]
    CollectionMissing {
        /// The directory.
        path: PathBuf,
        /// The name that the caller asked for.
        name: String,
        /// The full names of the collections that the directory has.
        available: Vec<String>,
    },
    /// Several collections fit the name.
    #[error("{}: several collections are named `{name}`: {}", path.display(), fitting.join(", "))]
    CollectionAmbiguous {
        /// The directory.
        path: PathBuf,
        /// The name that the caller asked for.
        name: String,
        /// The full names of the fitting collections. Tenant and database are left out where they
        /// are the default ones.
        fitting: Vec<String>,
    },
    /// The delta's vectors have another dimension than the base's.
    #[error(
        "collection `{collection}`: dimension {delta} of the delta differs from {base} of the base"
    )]
    DimensionMismatch {
        /// The collection.
        collection: String,
        /// Elements per vector of the base.
        base: u32,
        /// Elements per vector of the delta.
        delta: u32,
    },
    /// The byte length of a vector does not fit the dimension.
    #[error(
        "collection `{collection}`, record `{id}`: vector of {found} bytes, {expected} expected"
    )]
    VectorLength {
        /// The collection.
        collection: String,
        /// The id of the record.
        id: String,
        /// Bytes of the vector.
        found: usize,
        /// Bytes that it should have: four per element.
        expected: usize,
    },
    /// A vector or metadata value is NaN or infinite.
    #[error("collection `{collection}`, record `{id}`: {what} is not a finite number")]
    NotFinite {
        /// The collection.
        collection: String,
        /// The id of the record.
        id: String,
        /// Which number, such as `vector element 3` or `metadata key price`.
        what: String,
    },
    /// A record that is new to the base has no vector.
    #[error("collection `{collection}`, record `{id}`: a new record without a vector")]
    MissingVector {
        /// The collection.
        collection: String,
        /// The id of the record.
        id: String,
    },
    /// A row of the log (`embeddings_queue`) cannot be understood.
    #[error("{}: embeddings_queue row {seq}: {detail}", path.display())]
    QueueRow {
        /// The database.
        path: PathBuf,
        /// The `seq_id` of the row.
        seq: i64,
        /// What is wrong.
        detail: String,
    },
    /// The delta has array metadata, and the base's schema level has no table for it.
    #[error(
        "collection `{collection}`, record `{id}`: array metadata `{key}` cannot be stored at level {level} of the base"
    )]
    ArraysUnsupported {
        /// The collection.
        collection: String,
        /// The id of the record.
        id: String,
        /// The metadata key.
        key: String,
        /// The name of the base's schema level.
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
    /// The number of records after a merge is not the one before, plus new ids, minus deleted ids.
    #[error("collection `{collection}`: {found} records after the merge, {expected} expected")]
    NotConserved {
        /// The collection.
        collection: String,
        /// Records that were counted after the merge.
        found: u64,
        /// Records before, plus new ids, minus deleted ids.
        expected: u64,
    },
    /// The engine failed to build a graph.
    #[error("the index engine failed: {detail}")]
    Engine {
        /// The reason that the engine gave.
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
    /// The disk has no room for the next write.
    #[error("{}: {needed} bytes are needed, {free} are free", path.display())]
    NoSpace {
        /// The folder on that disk.
        path: PathBuf,
        /// Bytes that the write needs.
        needed: u64,
        /// Bytes that this process may still write.
        free: u64,
    },
    /// Another process wrote to the directory while this one read it.
    #[error("{}: another process wrote to it meanwhile", path.display())]
    Changed {
        /// The directory.
        path: PathBuf,
    },
    /// A new directory or file should be made, and the path exists.
    #[error("{}: already exists", path.display())]
    AlreadyExists {
        /// The path.
        path: PathBuf,
    },
    /// An entry of the directory is neither a regular file nor a folder.
    #[error("{}: neither a regular file nor a folder", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The name of a file in the directory is not UTF-8.
    #[error("{}: the name of this file is not UTF-8", path.display())]
    FileName {
        /// The path. Bytes that are not UTF-8 are replaced.
        path: PathBuf,
    },
    /// An archive entry is not allowed.
    #[error("archive entry `{entry}`: {detail}")]
    ArchiveEntry {
        /// The name of the entry. Bytes that are not UTF-8 are replaced.
        entry: String,
        /// The rule that it breaks.
        detail: String,
    },
    /// An archive cannot be read to its end.
    #[error("the archive is torn or not a gzip tar: {detail}")]
    ArchiveDamaged {
        /// The message of the reader.
        detail: String,
    },
    /// An archive passes a configured limit.
    #[error("the archive passes the limit of {limit} {what}")]
    ArchiveLimit {
        /// The most that the limit allows.
        limit: u64,
        /// The unit of the limit.
        what: &'static str,
    },
    /// A row or a value has more bytes than its connection allows.
    #[error("{}: {operation}: a record is larger than the limit", path.display())]
    RecordTooLarge {
        /// The database.
        path: PathBuf,
        /// The operation that failed.
        operation: &'static str,
    },
    /// The configurations or metadata of a delta's collections are too large.
    #[error("{}: {detail}", path.display())]
    ConfigurationTooLarge {
        /// The database.
        path: PathBuf,
        /// Which column or table, and its found and allowed bytes.
        detail: String,
    },
    /// SQLite refused an operation.
    #[error("{}: {operation} failed", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// The operation that failed.
        operation: &'static str,
        /// The error that SQLite returned.
        #[source]
        source: rusqlite::Error,
    },
    /// The operating system refused a file operation (the source names the path).
    #[error("file operation failed")]
    Io(#[from] std::io::Error),
}

impl StoreError {
    /// The error for a locked file. Names the processes that hold `path`, where the system says so.
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
            // A faulty machine does not give these: pages, tables, types or values are wrong.
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
