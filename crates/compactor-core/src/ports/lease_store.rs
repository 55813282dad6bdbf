//! The lock of a collection and its fence counter. For efficiency, never for safety.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{PortResult, WallTime};
use crate::{CollectionName, Fence};

/// The answer to an acquire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// It is ours for the asked term.
    Held,
    /// Somebody else holds it.
    Busy(LockHolder),
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// As the lock says.
    pub owner: String,
    /// Until when, by the wall clock of the store's writers; none if the lock does not say.
    pub expires: Option<WallTime>,
}

/// One lock item and one fence counter per collection.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes the lock if it is free or expired. The same `owner` may take it again.
    async fn acquire(
        &self,
        collection: &CollectionName,
        owner: Uuid,
        term: Duration,
    ) -> PortResult<Acquired>;

    /// Extends the lock to `term` from now; `false` if `owner` does not hold it (any more). A lock
    /// that expired but that nobody took since is still its last owner's.
    async fn renew(
        &self,
        collection: &CollectionName,
        owner: Uuid,
        term: Duration,
    ) -> PortResult<bool>;

    /// Who holds the lock now, if anybody does. By the time of the answer it may be another.
    async fn holder(&self, collection: &CollectionName) -> PortResult<Option<LockHolder>>;

    /// Frees the lock; `false` if `owner` did not hold it. Never frees another owner's.
    async fn release(&self, collection: &CollectionName, owner: Uuid) -> PortResult<bool>;

    /// Adds one to the fence counter and gives the new value. It never goes back and survives
    /// the lock. The first value is 1.
    async fn next_fence(&self, collection: &CollectionName) -> PortResult<Fence>;
}
