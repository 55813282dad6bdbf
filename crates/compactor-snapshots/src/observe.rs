//! What a cycle tells about itself while it goes on: which step is done, how long it took, how much it
//! moved. An observer cannot fail, and cannot change what happens.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compactor_core::CollectionName;
use compactor_core::ports::{Clock, Monotonic};

/// A boundary: the named step is done, the next has not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The cycle has its messages.
    Received,
    /// The worker holds the collection's lease.
    Leased,
    /// The pointer was read.
    Resolved,
    /// Snapshot and deltas are on this machine.
    Fetched,
    /// The deltas are merged.
    Merged,
    /// The directory is proven closed.
    Closed,
    /// The directory is verified.
    Verified,
    /// The new version is uploaded, manifest last.
    Uploaded,
    /// The pointer names the new version.
    Swapped,
    /// The run records say COMPLETED.
    Recorded,
    /// The messages are deleted.
    Acknowledged,
    /// The lease is free.
    Released,
}

impl Step {
    /// All boundaries, in order.
    pub const ALL: [Self; 12] = [
        Self::Received,
        Self::Leased,
        Self::Resolved,
        Self::Fetched,
        Self::Merged,
        Self::Closed,
        Self::Verified,
        Self::Uploaded,
        Self::Swapped,
        Self::Recorded,
        Self::Acknowledged,
        Self::Released,
    ];

    /// The boundary's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Leased => "leased",
            Self::Resolved => "resolved",
            Self::Fetched => "fetched",
            Self::Merged => "merged",
            Self::Closed => "closed",
            Self::Verified => "verified",
            Self::Uploaded => "uploaded",
            Self::Swapped => "swapped",
            Self::Recorded => "recorded",
            Self::Acknowledged => "acknowledged",
            Self::Released => "released",
        }
    }
}

/// A step that is done.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// The step.
    pub step: Step,
    /// The collection whose cycle it is part of.
    pub collection: &'a CollectionName,
    /// The time since the step before it, or since the cycle began.
    pub took: Duration,
    /// Bytes: of deltas and base after [`Step::Fetched`], of the new version after [`Step::Uploaded`];
    /// 0 after others.
    pub bytes: u64,
    /// Records of the collection after [`Step::Merged`] and [`Step::Verified`]; 0 after others.
    pub rows: u64,
}

/// Is told of each step that is done. Calls come from threads of the runtime and from blocking ones.
pub trait Observer: Send + Sync {
    /// A step is done.
    fn observe(&self, observed: &Observed<'_>);
}

/// How far one cycle is. Clones share it.
#[derive(Clone)]
pub struct Progress {
    collection: CollectionName,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    last: Arc<Mutex<Monotonic>>,
}

impl Progress {
    /// A cycle of `collection` begins now.
    pub fn new(
        collection: CollectionName,
        observer: Arc<dyn Observer>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let last = Arc::new(Mutex::new(clock.monotonic()));
        Self {
            collection,
            observer,
            clock,
            last,
        }
    }

    /// Tells the observer that a step is done.
    pub fn done(&self, step: Step) {
        self.done_with(step, 0, 0);
    }

    /// The same, with the bytes and rows of the step, as [`Observed`] defines them.
    pub fn done_with(&self, step: Step, bytes: u64, rows: u64) {
        let now = self.clock.monotonic();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let took = now.0.saturating_sub(last.0);
        *last = now;
        // An observer may take its time, or panic, so the lock is not held while it runs.
        drop(last);
        self.observer.observe(&Observed {
            step,
            collection: &self.collection,
            took,
            bytes,
            rows,
        });
    }
}
