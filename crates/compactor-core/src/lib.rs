//! The compaction domain and the publish protocol, as plain functions and values.
//!
//! The crate has names and identifiers, the layout of keys, the manifest, the messages, the run
//! records, lease arithmetic, the decision after a pointer swap, and the [`ports`] through which all
//! of it meets the outside world.
//!
//! It must not read a clock, draw random numbers, or touch a network or a file system. What depends on
//! time takes the time as an argument, so that a table can test every rule. The one exception is the
//! feature `fakes`: doubles of the ports, and the contract suites that doubles and real adapters pass.

mod collection;
mod delta_digest;
mod fence;
mod lineage;
mod name_error;
mod run;
mod run_id;
mod time;
mod version;
mod work;

pub mod disposition;
pub mod escape;
pub mod keys;
pub mod lease;
pub mod lost_pointer;
pub mod manifest;
pub mod message;
pub mod ports;
pub mod retention;
pub mod retry;
pub mod snapshot_hash;
pub mod swap;

#[cfg(feature = "fakes")]
pub mod contract;
#[cfg(feature = "fakes")]
pub mod fakes;

pub use collection::CollectionName;
pub use delta_digest::DeltaDigest;
pub use fence::Fence;
pub use lineage::Lineage;
pub use manifest::{FileEntry, Manifest};
pub use name_error::NameError;
pub use run::{RunPart, RunRecord, RunState};
pub use run_id::{RunId, RunKey};
pub use time::TimeError;
pub use version::{Version, VersionError};
pub use work::{Source, Work, WorkId};
