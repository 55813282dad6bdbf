//! What every part of a daemon works with. One value, made when the daemon is made; clones share it.

use std::sync::Arc;

use compactor_core::CollectionName;
use compactor_snapshots::{Observer, Progress, Retry, Scratch, SnapshotRepository};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::crash_points::CrashPoints;
use crate::in_flight::InFlight;
use crate::{Ports, Settings};

#[derive(Clone)]
pub(crate) struct Context {
    /// The adapters. Reads of `objects` are repeated.
    pub(crate) ports: Ports,
    pub(crate) repository: SnapshotRepository,
    pub(crate) retry: Retry,
    pub(crate) settings: Arc<Settings>,
    pub(crate) scratch: Arc<Scratch>,
    pub(crate) in_flight: InFlight,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) crash_points: CrashPoints,
    /// Cancelled when the daemon stops.
    pub(crate) stop: CancellationToken,
    /// Tracks what must not be cancelled: from the swap until its runs are recorded and acknowledged.
    pub(crate) settling: TaskTracker,
}

impl Context {
    /// A cycle of `collection` begins.
    pub(crate) fn progress(&self, collection: &CollectionName) -> Progress {
        let clock = Arc::clone(&self.ports.clock);
        Progress::new(collection.clone(), Arc::clone(&self.observer), clock)
    }
}
