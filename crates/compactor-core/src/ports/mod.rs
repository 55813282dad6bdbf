//! The ports: what the domain needs from the outside world, as traits.
//!
//! Each port has a deterministic fake here (feature `fakes`), one adapter per backend in its own
//! crate, and one contract suite that all of them pass. Nothing in this module does I/O.

mod clock;
mod error;
mod ids;
mod lease_store;
mod object_store;
mod queue;
mod run_store;

pub use clock::Clock;
pub use error::{Fault, PortError, PortResult};
pub use ids::Ids;
pub use lease_store::{Acquired, LeaseStore, LockHolder};
pub use object_store::{
    Attributes, Condition, ETag, Object, ObjectInfo, ObjectStore, Page, PutOutcome, Unfinished,
    Uploaded,
};
pub use queue::{Delivery, Depth, Held, Queue, Receipt};
pub use run_store::{Created, RunStore};

pub use crate::run::{Completion, Failure};
pub use crate::time::{Monotonic, WallTime};
