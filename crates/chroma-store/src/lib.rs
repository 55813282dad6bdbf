//! Chroma's own on-disk directories, natively: open → merge → verify → close.
//!
//! This is the only crate that opens a Chroma directory's SQLite or index files. It knows nothing
//! of object stores, queues or leases, takes no wall-clock time and makes no identifiers: what it
//! needs of either is passed in.
//!
//! The way in is [`Store::open`]; the way out is [`Store::close`], which proves that this process
//! has nothing of the directory open, nor anybody a lock on it, and returns the [`ClosedStore`] that hashing, packing and uploading
//! accept. Format facts were established by experiment with chromadb 0.5.23 to 1.5.9.

mod archive;
mod collection;
mod connection;
mod copy;
mod delta;
mod engine;
mod error;
mod files;
mod fold;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod graph;
mod handle;
mod index;
mod info;
mod merge;
mod metadata;
mod orphans;
mod query;
mod queue;
mod repair;
mod room;
mod salvage;
mod schema;
mod sqlite_indexes;
mod stamps;
mod vacuum;
mod verify;

pub use archive::{ARCHIVE_NAME, UnpackLimits, Unpacked, pack, unpack};
pub use collection::{
    Collection, EmbeddingFunction, FullName, HnswConfig, Parameters, Space, Which,
};
pub use connection::{keep_temporary_files_in, try_temporary_files};
pub use copy::copy_directory;
pub use delta::refuse_long_records;
pub use error::{Kind, StoreError, StoreResult};
pub use files::{SIDE_CAR_NAMES, StoredFile};
pub use fold::{Engine, FoldOptions, FoldReport, FoldWhen};
pub use handle::{
    CloseOptions, Closed, ClosedStore, Open, OpenOptions, Pause, Store, ThreadPause,
    refuse_open_elsewhere,
};
pub use info::{CollectionInfo, StoreInfo, VectorPlaces, collection_names};
pub use merge::{AppliedAs, DeltaOutcome, Effects, MergeOptions, MergeReport, MetadataMode};
pub use metadata::{Array, DOCUMENT_KEY, MetadataValue, Scalar, URI_KEY};
pub use orphans::Orphan;
pub use query::{Like, Neighbour, Searcher};
pub use queue::{Operation, OperationKind, Patch};
pub use room::Room;
pub use salvage::{Lost, Salvaged, salvage};
pub use schema::{
    CreateOptions, LikeOptions, NewIds, SchemaLevel, create, create_like, functions_left_out,
    space_of,
};
pub use sqlite_indexes::replace_sqlite_indexes;
pub use vacuum::{DatabaseSize, vacuum_leftovers};
pub use verify::{
    CheckedCollection, IndexDamage, Problem, Remedy, Severity, Survey, VerifyLevel, VerifyReport,
    survey, verify,
};

/// The file every Chroma directory has.
pub const DATABASE_NAME: &str = "chroma.sqlite3";
