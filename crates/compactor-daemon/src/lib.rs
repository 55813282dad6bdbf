//! The daemon: takes work from the queue, merges it, and publishes snapshots.
//!
//! A message becomes a version in three hops: [`Daemon`] receives it and dispatches its collection, one cycle
//! (`cycle`) takes the collection's work from its messages to the moved pointer, and `compactor-snapshots` merges
//! and publishes. All outside effects go through the ports of `compactor-core`; all work on Chroma directories runs
//! on blocking threads.

mod admission;
mod announce;
mod collection;
mod context;
mod crash_points;
mod cycle;
mod daemon;
mod error;
mod in_flight;
mod intake;
mod metrics;
mod observe;
mod ports;
mod receives;
mod settings;
mod settler;
mod submit;

pub use admission::Admission;
pub use announce::announce_again;
pub use collection::{LastCycle, PauseReason};
#[cfg(feature = "crash-points")]
pub use crash_points::{CrashPlan, Crashed};
pub use daemon::{CollectionStatus, Daemon, Mode, PhaseStatus, Status, Summary};
pub use error::{Error, Result};
pub use intake::check_queue_rights;
pub use observe::LogObserver;
pub use ports::Ports;
pub use settings::{Settings, Unhandled};
pub use submit::{Submission, Submitted, submit};
