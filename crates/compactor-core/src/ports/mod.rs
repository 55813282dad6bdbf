//! The ports: what the domain needs from the outside world, as traits.
//!
//! The docs of a trait are the promise that every adapter keeps. Each port has a deterministic fake
//! (feature `fakes`), one adapter per backend in a crate of its own, and one contract suite that all
//! of them pass. Nothing in this module does I/O.
//!
//! # Errors
//!
//! Every fallible call returns a [`PortError`]; its [`Fault`] says what a caller can expect of the
//! next attempt. Unless a call says more, it fails with
//!
//! * [`Fault::Transient`] or [`Fault::Throttled`] where a later attempt may succeed; the call had no
//!   effect, or one that repeating it does not change;
//! * [`Fault::OutcomeUnknown`] where a write may or may not have been applied, and repeating it is
//!   not harmless; an adapter never reports such a write as `Transient`;
//! * [`Fault::Denied`], [`Fault::Missing`], [`Fault::Full`], [`Fault::Corrupt`],
//!   [`Fault::Invalid`] or [`Fault::Unsupported`] where nothing changes until an operator acts.

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
