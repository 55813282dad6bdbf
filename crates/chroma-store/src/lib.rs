//! Reads, merges, verifies and closes Chroma's own on-disk directories, without Python: open →
//! merge → verify → close.
//!
//! This is the only crate that opens the SQLite database or the index files of a Chroma directory.
//! It does not know object stores, message queues or leases. It reads no wall clock and makes no
//! identifiers: the caller passes both in.
//!
//! Work starts at [`Store::open`] and ends at [`Store::close`], which proves that this process has
//! no file of the directory open and that no process has a lock on it. It returns the
//! [`ClosedStore`] that can be hashed, packed and uploaded. Facts about the format come from
//! experiments with chromadb 0.5.23 to 1.5.9.

mod archive;
mod collection;
mod connection;
mod create;
mod database;
mod delta;
mod directory;
mod engine;
mod error;
mod flush;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod index;
mod info;
mod locks;
mod merge;
mod problem;
mod query;
mod records;
mod repair;
mod salvage;
mod schema;
mod sqlite_indexes;
mod vacuum;
mod verify;
mod wal;

pub use archive::{ARCHIVE_NAME, UnpackLimits, Unpacked, pack, unpack};
pub use collection::{
    Collection, EmbeddingFunction, FullName, HnswConfig, Parameters, Which, collection_names,
};
pub use connection::{OpenOptions, keep_temporary_files_in, try_temporary_files};
pub use create::{
    CreateOptions, LikeOptions, NewIds, create, create_like, functions_left_out, space_of,
};
pub use delta::refuse_long_records;
pub use directory::{
    CloseOptions, Closed, ClosedStore, FileStamp, Open, Orphan, Pause, Room, SIDE_CAR_NAMES, Store,
    StoredFile, ThreadPause, copy_directory, refuse_open_elsewhere,
};
pub use error::{Kind, StoreError, StoreResult};
pub use flush::{Engine, FlushOptions, FlushReport, FlushWhen};
pub use hnsw_graph::{GraphHealth, Space};
pub use info::{CollectionInfo, StoreInfo, VectorPlaces};
pub use merge::{AppliedAs, DeltaOutcome, Effects, MergeOptions, MergeReport, MetadataMode};
pub use problem::{Problem, Remedy, Severity};
pub use query::{Like, Neighbour, Searcher};
pub use records::{Array, DOCUMENT_KEY, MetadataValue, Scalar, URI_KEY};
pub use salvage::{Lost, Salvaged, salvage};
pub use schema::SchemaLevel;
pub use sqlite_indexes::replace_sqlite_indexes;
pub use vacuum::{DatabaseSize, vacuum_leftovers};
pub use verify::{
    CheckedCollection, IndexDamage, Survey, VerifyLevel, VerifyReport, survey, verify,
};
pub use wal::{Operation, OperationKind, Patch};

/// The name of the SQLite database, which every Chroma directory has.
pub const DATABASE_NAME: &str = "chroma.sqlite3";
