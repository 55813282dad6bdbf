//! Everything that can go wrong with a Chroma directory, each case with a stable code.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::handle::holders;
use crate::verify::Problem;
use crate::{DATABASE_NAME, connection};

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
    /// The delta's distance space differs from the base's.
    #[error(
        "collection `{collection}`: space {delta} of the delta differs from {base} of the base"
    )]
    SpaceMismatch {
        /// The collection.
        collection: String,
        /// The base's space.
        base: &'static str,
        /// The delta's space.
        delta: &'static str,
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
    /// The stable code, as listed in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotChroma { .. } => "CS-NOT-CHROMA",
            Self::HotJournal { .. } => "CS-HOT-JOURNAL",
            Self::Locked { .. } => "CS-LOCKED",
            Self::StillOpen { .. } => "CS-STILL-OPEN",
            Self::Truncated { .. } => "CS-TRUNCATED",
            Self::Damaged { .. } => "CS-DAMAGED",
            Self::IndexFile { .. } => "CS-INDEX-FILE",
            Self::UnknownSchema { .. } => "CS-UNKNOWN-SCHEMA",
            Self::CollectionMissing { .. } => "CS-COLLECTION-MISSING",
            Self::DimensionMismatch { .. } => "CS-DIMENSION",
            Self::SpaceMismatch { .. } => "CS-SPACE",
            Self::VectorLength { .. } => "CS-VECTOR-LENGTH",
            Self::NotFinite { .. } => "CS-NOT-FINITE",
            Self::MissingVector { .. } => "CS-MISSING-VECTOR",
            Self::QueueRow { .. } => "CS-QUEUE-ROW",
            Self::ArraysUnsupported { .. } => "CS-ARRAYS",
            Self::Inconsistent { .. } => "CS-INCONSISTENT",
            Self::BadConfiguration { .. } => "CS-CONFIGURATION",
            Self::NotConserved { .. } => "CS-NOT-CONSERVED",
            Self::Engine { .. } => "CS-ENGINE",
            Self::Query { .. } => "CS-QUERY",
            Self::Changed { .. } => "CS-CHANGED",
            Self::AlreadyExists { .. } => "CS-EXISTS",
            Self::NotRegular { .. } => "CS-NOT-REGULAR",
            Self::ArchiveEntry { .. } => "CS-ARCHIVE-ENTRY",
            Self::ArchiveDamaged { .. } => "CS-ARCHIVE-DAMAGED",
            Self::ArchiveLimit { .. } => "CS-ARCHIVE-LIMIT",
            Self::Sqlite { .. } => "CS-SQLITE",
            Self::Io(_) => "CS-IO",
        }
    }

    /// What sort of case this is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Locked { .. } | Self::Changed { .. } => Kind::Busy,
            Self::Sqlite { .. } | Self::Io(_) | Self::AlreadyExists { .. } => Kind::Environment,
            Self::StillOpen { .. } | Self::NotConserved { .. } | Self::Engine { .. } => {
                Kind::SelfCheck
            }
            _ => Kind::BadInput,
        }
    }

    /// Whether index files are damaged: `Store::rebuild` may mend that.
    pub fn is_index_damage(&self) -> bool {
        match self {
            Self::IndexFile { .. } => true,
            Self::Truncated { path, .. } => !path.ends_with(DATABASE_NAME),
            _ => false,
        }
    }

    /// What to do next, in one sentence.
    pub fn help(&self) -> &'static str {
        match self {
            Self::NotChroma { .. } => {
                "name the folder that chromadb.PersistentClient(path=...) was given"
            }
            Self::HotJournal { .. } => {
                "close the client that wrote it (chromadb >= 1.5.2: client.close()), or open it once with that chromadb so that SQLite rolls the journal back, then copy it again; after an interrupted `store fold` or `store rebuild`, run that again"
            }
            Self::Locked { .. } => "stop the named process or wait for it to finish its write",
            Self::StillOpen { .. } => "this is a defect: please report it with the named file",
            Self::IndexFile { .. } => {
                "if its vectors can still be read, `chroma-compactor store rebuild DIR` makes the graph anew; else copy the directory again from its source, after the client that wrote it has been closed"
            }
            Self::Truncated { .. } | Self::Damaged { .. } => {
                "copy the directory again from its source, after the client that wrote it has been closed"
            }
            Self::UnknownSchema { .. } => {
                "supported are directories of chromadb 0.5.6 to 0.6.3 and 1.0 to 1.5; open older ones once with chromadb 0.6.3"
            }
            Self::CollectionMissing { .. } => {
                "pass the name of a collection that is there, or create it in the delta under the snapshot's name"
            }
            Self::DimensionMismatch { .. } => {
                "embed the delta with the model that the snapshot was made with"
            }
            Self::SpaceMismatch { .. } => "create the delta's collection with the snapshot's space",
            Self::VectorLength { .. } | Self::NotFinite { .. } | Self::MissingVector { .. } => {
                "fix the record at its producer and send the delta again"
            }
            Self::QueueRow { .. } => {
                "JSON with NaN or Infinity and foreign operation codes are refused; fix the record at its producer"
            }
            Self::ArraysUnsupported { .. } => {
                "open the snapshot once with chromadb >= 1.5 to raise its schema level, or leave array metadata out"
            }
            Self::Inconsistent { .. } => {
                "run `chroma-compactor store verify DIR --full` for all findings; a producer that copied an open directory makes such"
            }
            Self::BadConfiguration { .. } => {
                "open it with the chromadb that wrote it and check the collection's configuration"
            }
            Self::NotConserved { .. } => "nothing was published; please report it with the delta",
            Self::Engine { .. } => "nothing was changed; use `--engine native`",
            Self::Query { .. } => {
                "`store info` shows the dimension; ids are compared letter by letter"
            }
            Self::Changed { .. } => "close the client that writes to it, then try again",
            Self::AlreadyExists { .. } => "choose a new path or remove what is there",
            Self::NotRegular { .. } => "replace links and special files by plain files",
            Self::ArchiveEntry { .. } => "make the archive of plain files with relative names",
            Self::ArchiveDamaged { .. } => "make and upload the archive again",
            Self::ArchiveLimit { .. } => "split the delta, or raise the limit in the configuration",
            Self::Sqlite { .. } | Self::Io(_) => {
                "check free space, permissions and open-file limits of the named path"
            }
        }
    }

    /// Names who holds `path`, where the system tells.
    pub(crate) fn locked(path: PathBuf, waited: Duration) -> Self {
        Self::Locked {
            holders: holders::of(&path),
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

            Some(rusqlite::ErrorCode::DatabaseBusy) => Self::locked(path, connection::BUSY_WAIT),
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
