//! `embeddings_queue`, Chroma's write-ahead log: operations, and the rows that hold them.

mod dimension;
mod history;
mod operation;
mod overlay;
mod payload;
mod read;
mod write;

pub(crate) use dimension::logged_dimension;
pub(crate) use history::{explains_all_records, log_is_whole, starts_at_one};
pub use operation::{Operation, OperationKind, Patch};
pub(crate) use overlay::Overlay;
pub(crate) use payload::encode;
pub(crate) use read::{WalReader, check_vector};
pub(crate) use write::{WalWriter, purge_below, purges};
