//! The adapters, one for each port, and calls of them side by side.

use std::sync::Arc;
use std::vec::IntoIter;

use compactor_core::ports::{Clock, Ids, LeaseStore, ObjectStore, Queue, RunStore};
use futures_util::stream::{Buffered, Collect, Iter};
use futures_util::{StreamExt as _, stream};

/// Most port calls of one batch that are under way at the same time: each waits for milliseconds, and a
/// batch makes hundreds.
const CALLS_AT_ONCE: usize = 16;

/// One adapter for each port.
#[derive(Clone)]
pub struct Ports {
    /// Snapshots, pointers and deltas.
    pub objects: Arc<dyn ObjectStore>,
    /// Messages.
    pub queue: Arc<dyn Queue>,
    /// Locks and fences.
    pub leases: Arc<dyn LeaseStore>,
    /// Run records.
    pub runs: Arc<dyn RunStore>,
    /// Time, and the only way to wait.
    pub clock: Arc<dyn Clock>,
    /// Identifiers and jitter.
    pub ids: Arc<dyn Ids>,
}

/// Port calls that are made side by side.
pub(crate) type SideBySide<F> = Collect<Buffered<Iter<IntoIter<F>>>, Vec<<F as Future>::Output>>;

/// Makes port calls side by side. The outcomes are in the order of the calls.
pub(crate) fn side_by_side<F: Future>(calls: impl IntoIterator<Item = F>) -> SideBySide<F> {
    // Gathered first: a closure that makes calls would have to outlive the waiting.
    let calls: Vec<F> = calls.into_iter().collect();
    stream::iter(calls).buffered(CALLS_AT_ONCE).collect()
}
