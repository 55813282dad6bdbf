//! The lock of a lineage and its fence counter.
//!
//! The lock keeps workers from doing the same work twice. It must never be what keeps the pointer
//! safe: that is the conditional put of the [`ObjectStore`](super::ObjectStore).

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{PortResult, WallTime};
use crate::{Fence, Lineage};

/// The answer to [`LeaseStore::acquire`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// The caller's owner holds the lock for the requested term.
    Held,
    /// Another owner holds the lock: lock contention.
    Busy(LockHolder),
}

/// The holder of a lock, as the stored lock describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// The owner's id; empty if the lock names no owner. Other writers may use ids that are no UUIDs.
    pub owner: String,
    /// When the lock expires, by the clock of the machine that took it. `None` if the lock does not
    /// say.
    pub expires: Option<WallTime>,
}

/// Per lineage one lock, which expires, and one fence counter, which only grows.
///
/// An adapter never lets two owners hold one lock at the same time, in whichever processes they are. It
/// may let a lock expire before its stated time if the holder is dead: if it has not renewed the lock for
/// [`DEAD_HOLDER_AFTER`](crate::lease::DEAD_HOLDER_AFTER).
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes the lock for `term` from now, if it is free, if it has expired, or if `owner` already holds
    /// it. Of several callers at one time at most one gets a free lock.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call. The lock may have been taken all the same; it
    /// then expires after `term`, or the same owner takes it again.
    async fn acquire(&self, lineage: &Lineage, owner: Uuid, term: Duration)
    -> PortResult<Acquired>;

    /// Extends the lock to `term` from now. Returns `false`, and changes nothing, if `owner` does not
    /// hold it any more. A lock that expired and that no other owner has taken since still belongs to
    /// its last owner.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call. The lock may have been extended all the same.
    async fn renew(&self, lineage: &Lineage, owner: Uuid, term: Duration) -> PortResult<bool>;

    /// The holder of the lock, or `None` if it is free or has expired. The answer may be out of date
    /// when it arrives, so nothing may be decided by it alone.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call.
    async fn holder(&self, lineage: &Lineage) -> PortResult<Option<LockHolder>>;

    /// Frees the lock. Returns `false`, and changes nothing, if `owner` does not hold it.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call. The lock may have been freed; if not, it
    /// expires.
    async fn release(&self, lineage: &Lineage, owner: Uuid) -> PortResult<bool>;

    /// Adds one to the lineage's fence counter and returns the new value; the first is 1. No two
    /// calls return the same value, and the counter outlives the lock. Values may be left out.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call ([`Fault`](super::Fault) `Transient`, `Denied` or
    /// `Missing`), or the stored counter is no number (`Corrupt`). The counter may have grown.
    async fn next_fence(&self, lineage: &Lineage) -> PortResult<Fence>;
}
