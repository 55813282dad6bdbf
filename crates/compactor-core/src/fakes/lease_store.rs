//! The double of the port `LeaseStore`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Faults, lock};
use crate::ports::{Acquired, Clock, LeaseStore, LockHolder, PortResult, WallTime};
use crate::{CollectionName, Fence};

/// Locks and fences in memory. Locks expire by the wall clock of the caller, as in the real stores.
pub struct FakeLeaseStore {
    /// The faults to inject, and the record of all calls.
    pub faults: Arc<Faults>,
    clock: Arc<dyn Clock>,
    table: Arc<Table>,
}

#[derive(Default)]
struct Table {
    locks: Mutex<BTreeMap<CollectionName, (Uuid, WallTime)>>,
    fences: Mutex<BTreeMap<CollectionName, u64>>,
}

impl FakeLeaseStore {
    /// A store without locks and fences, whose caller has this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (faults, table) = Default::default();
        Self {
            faults,
            clock,
            table,
        }
    }

    /// A view of the same locks and fences for a machine with another clock.
    pub fn seen_by(&self, clock: Arc<dyn Clock>) -> Self {
        Self {
            faults: Arc::clone(&self.faults),
            clock,
            table: Arc::clone(&self.table),
        }
    }

    /// The owner of a lock and its expiry, even if it has expired. For assertions; not a call of the port.
    pub fn lock_of(&self, collection: &CollectionName) -> Option<(Uuid, WallTime)> {
        lock(&self.table.locks).get(collection).copied()
    }

    /// Makes `owner` the holder for `term`, without faults or conditions, as a careless writer does.
    pub fn seize(&self, collection: &CollectionName, owner: Uuid, term: Duration) {
        let expires = self.clock.wall().plus(term);
        lock(&self.table.locks).insert(collection.clone(), (owner, expires));
    }
}

#[async_trait]
impl LeaseStore for FakeLeaseStore {
    async fn acquire(
        &self,
        collection: &CollectionName,
        owner: Uuid,
        term: Duration,
    ) -> PortResult<Acquired> {
        let pending = self.faults.begin("acquire", collection.as_str())?;
        let now = self.clock.wall();
        let mut locks = lock(&self.table.locks);
        let acquired = match locks.get(collection) {
            Some((holder, expires)) if *holder != owner && *expires >= now => {
                Acquired::Busy(LockHolder {
                    owner: holder.to_string(),
                    expires: Some(*expires),
                })
            }
            _ => {
                locks.insert(collection.clone(), (owner, now.plus(term)));
                Acquired::Held
            }
        };
        pending.end(acquired)
    }

    async fn renew(
        &self,
        collection: &CollectionName,
        owner: Uuid,
        term: Duration,
    ) -> PortResult<bool> {
        let pending = self.faults.begin("renew", collection.as_str())?;
        let expires = self.clock.wall().plus(term);
        let mut locks = lock(&self.table.locks);
        let ours = locks
            .get_mut(collection)
            .filter(|(holder, _)| *holder == owner);
        let renewed = ours.map(|lock| lock.1 = expires).is_some();
        pending.end(renewed)
    }

    async fn holder(&self, collection: &CollectionName) -> PortResult<Option<LockHolder>> {
        let pending = self.faults.begin("holder", collection.as_str())?;
        let now = self.clock.wall();
        let held = lock(&self.table.locks).get(collection).copied();
        let holder = held.filter(|(_, expires)| *expires >= now);
        pending.end(holder.map(|(owner, expires)| LockHolder {
            owner: owner.to_string(),
            expires: Some(expires),
        }))
    }

    async fn release(&self, collection: &CollectionName, owner: Uuid) -> PortResult<bool> {
        let pending = self.faults.begin("release", collection.as_str())?;
        let mut locks = lock(&self.table.locks);
        let ours = locks
            .get(collection)
            .is_some_and(|(holder, _)| *holder == owner);
        if ours {
            locks.remove(collection);
        }
        pending.end(ours)
    }

    async fn next_fence(&self, collection: &CollectionName) -> PortResult<Fence> {
        let pending = self.faults.begin("next_fence", collection.as_str())?;
        let mut fences = lock(&self.table.fences);
        let fence = fences.entry(collection.clone()).or_default();
        *fence += 1;
        pending.end(Fence(*fence))
    }
}
