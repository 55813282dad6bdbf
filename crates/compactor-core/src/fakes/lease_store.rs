//! The double of the port `LeaseStore`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Faults, lock};
use crate::ports::{Acquired, Clock, LeaseStore, LockHolder, PortResult, WallTime};
use crate::{Fence, Lineage};

/// Locks and fences in memory. Locks expire by the wall clock of the caller, as in the real stores.
pub struct FakeLeaseStore {
    /// The faults to inject, and the record of all calls.
    pub faults: Arc<Faults>,
    clock: Arc<dyn Clock>,
    table: Arc<Table>,
}

#[derive(Default)]
struct Table {
    locks: Mutex<BTreeMap<Lineage, (Uuid, WallTime)>>,
    fences: Mutex<BTreeMap<Lineage, u64>>,
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
    pub fn lock_of(&self, lineage: &Lineage) -> Option<(Uuid, WallTime)> {
        lock(&self.table.locks).get(lineage).copied()
    }

    /// Makes `owner` the holder for `term`, without faults or conditions, as a careless writer does.
    pub fn seize(&self, lineage: &Lineage, owner: Uuid, term: Duration) {
        let expires = self.clock.wall().plus(term);
        lock(&self.table.locks).insert(lineage.clone(), (owner, expires));
    }
}

#[async_trait]
impl LeaseStore for FakeLeaseStore {
    async fn acquire(
        &self,
        lineage: &Lineage,
        owner: Uuid,
        term: Duration,
    ) -> PortResult<Acquired> {
        let pending = self.faults.begin("acquire", lineage.as_str())?;
        let now = self.clock.wall();
        let mut locks = lock(&self.table.locks);
        let acquired = match locks.get(lineage) {
            Some((holder, expires)) if *holder != owner && *expires >= now => {
                Acquired::Busy(LockHolder {
                    owner: holder.to_string(),
                    expires: Some(*expires),
                })
            }
            _ => {
                locks.insert(lineage.clone(), (owner, now.plus(term)));
                Acquired::Held
            }
        };
        pending.end(acquired)
    }

    async fn renew(&self, lineage: &Lineage, owner: Uuid, term: Duration) -> PortResult<bool> {
        let pending = self.faults.begin("renew", lineage.as_str())?;
        let expires = self.clock.wall().plus(term);
        let mut locks = lock(&self.table.locks);
        let ours = locks
            .get_mut(lineage)
            .filter(|(holder, _)| *holder == owner);
        let renewed = ours.map(|lock| lock.1 = expires).is_some();
        pending.end(renewed)
    }

    async fn holder(&self, lineage: &Lineage) -> PortResult<Option<LockHolder>> {
        let pending = self.faults.begin("holder", lineage.as_str())?;
        let now = self.clock.wall();
        let held = lock(&self.table.locks).get(lineage).copied();
        let holder = held.filter(|(_, expires)| *expires >= now);
        pending.end(holder.map(|(owner, expires)| LockHolder {
            owner: owner.to_string(),
            expires: Some(expires),
        }))
    }

    async fn release(&self, lineage: &Lineage, owner: Uuid) -> PortResult<bool> {
        let pending = self.faults.begin("release", lineage.as_str())?;
        let mut locks = lock(&self.table.locks);
        let ours = locks
            .get(lineage)
            .is_some_and(|(holder, _)| *holder == owner);
        if ours {
            locks.remove(lineage);
        }
        pending.end(ours)
    }

    async fn next_fence(&self, lineage: &Lineage) -> PortResult<Fence> {
        let pending = self.faults.begin("next_fence", lineage.as_str())?;
        let mut fences = lock(&self.table.fences);
        let fence = fences.entry(lineage.clone()).or_default();
        *fence += 1;
        pending.end(Fence(*fence))
    }
}
