//! Published snapshots: how one is found, fetched and checked, how deltas are merged into a copy of it,
//! how the result is published, and how superseded versions are deleted.
//!
//! [`SnapshotRepository`] is the way to everything that is published. [`MergeJob`] makes the directory
//! that is published next. The daemon's cycle, the command line and readers use the same two.
//!
//! This crate knows no queue, no message and no lease. It reads run records only where they tell what
//! was published.

mod complete;
mod error;
mod fetch;
mod history;
mod inspect;
mod legacy;
mod limits;
mod lost_pointer;
mod lost_updates;
mod merge_job;
mod object_path;
mod observe;
mod packed;
mod publish;
mod published;
mod repoint;
mod repository;
mod retry;
mod scratch;
mod shrunk;
mod sweep;
mod working_copy;

pub use error::{About, Error, Result, describe, with_causes};
pub use history::Origins;
pub use inspect::UnpublishedVersion;
pub use legacy::{Ancestor, Legacy, ancestor};
pub use limits::Limits;
pub use lost_pointer::completed_runs;
pub use lost_updates::{CheckedVersions, LostUpdates};
pub use merge_job::{
    Base, Closed, First, FirstSnapshot, Mend, MergeJob, MergeSettings, Merged, Refused, Source,
    Target, Verified, is_mendable,
};
pub use object_path::file_for_object;
pub use observe::{Observed, Observer, Progress, Step};
pub use publish::{NewVersion, Prepared, PublishSettings, Sent, SwapContext, Swapped, Upload};
pub use published::{Content, Pointer, Published};
pub use repository::SnapshotRepository;
pub use retry::{Retry, RetryPolicy};
pub use scratch::Scratch;
pub use sweep::{Sweep, SweepMode, Swept};
pub use working_copy::{KnownFile, KnownFiles, WorkingCopy};
