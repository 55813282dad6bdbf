//! The daemon: takes runs from the queue, merges them, and publishes snapshots.
//!
//! [`Daemon`] receives and dispatches; [`cycle`] is the way of one batch from its messages to the
//! moved pointer. All outside effects go through the ports of `compactor-core`; all work on Chroma
//! directories is `chroma-store`'s and runs on blocking threads.

mod admission;
mod alarms;
mod clean_up;
pub mod cycle;
mod daemon;
mod delta;
mod error;
mod held;
mod inbox;
mod inspect;
mod kept;
mod patience;
mod point;
mod polling;
mod queue_rights;
mod refusal;
mod scratch;
mod settings;
mod side_tasks;
mod snapshot;
mod submit;
mod together;
mod waiting;

pub use admission::Admission;
pub use clean_up::{CleanUp, clean_up};
pub use daemon::{Daemon, Mode, Summary};
pub use error::RunError;
pub use inspect::{NewerVersion, all_versions, inspect, newer_versions};
pub use point::{accept, point};
pub use queue_rights::check_queue_rights;
pub use scratch::Scratch;
pub use settings::{FirstSnapshot, Limits, Ports, Settings, Unhandled};
pub use snapshot::{Content, Legacy, Published, download, resolve};
pub use submit::{Submission, Submitted, announce_again, submit};
