//! Locks and fences in SQLite.
//!
//! Locks expire by the wall clock, which all writers of one database share. A lock is free once its
//! `expires` is past, or if `taken_at` shows that a clock wrote it that was
//! [ahead](crate::clock_skew).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use compactor_core::ports::{Acquired, Clock, LeaseStore, LockHolder, PortResult, WallTime};
use compactor_core::{Fence, Lineage};
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use crate::clock_skew::skewed_after;
use crate::coordination::Database;

/// The locks and fences of a local backend.
#[derive(Clone)]
pub struct SqliteLeaseStore {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl SqliteLeaseStore {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }
}

#[async_trait]
impl LeaseStore for SqliteLeaseStore {
    async fn acquire(
        &self,
        lineage: &Lineage,
        owner: Uuid,
        term: Duration,
    ) -> PortResult<Acquired> {
        let take = "INSERT INTO locks (collection, owner, expires, taken_at)
                    VALUES (?1, ?2, ?3, ?4)
                    ON CONFLICT (collection) DO UPDATE
                    SET owner = excluded.owner, expires = excluded.expires,
                        taken_at = excluded.taken_at
                    WHERE locks.owner = excluded.owner OR locks.expires < ?4
                        OR locks.taken_at > ?5";
        let holder = "SELECT owner, expires FROM locks WHERE collection = ?1";
        let now = self.clock.wall();
        let (name, owner, expires) = (lineage.clone(), owner.to_string(), now.plus(term));
        self.database
            .write("acquire lock", lineage.as_str(), move |transaction| {
                let ahead = skewed_after(now);
                let values = params![name.as_str(), owner, expires.0, now.0, ahead.0];
                if transaction.prepare_cached(take)?.execute(values)? == 1 {
                    return Ok(Acquired::Held);
                }
                transaction
                    .prepare_cached(holder)?
                    .query_row([name.as_str()], |row| {
                        Ok(Acquired::Busy(LockHolder {
                            owner: row.get(0)?,
                            expires: Some(WallTime(row.get(1)?)),
                        }))
                    })
            })
            .await
    }

    async fn renew(&self, lineage: &Lineage, owner: Uuid, term: Duration) -> PortResult<bool> {
        let sql = "UPDATE locks SET expires = ?3, taken_at = ?4
                   WHERE collection = ?1 AND owner = ?2";
        let (name, now) = (lineage.clone(), self.clock.wall());
        self.database
            .write("renew lock", lineage.as_str(), move |transaction| {
                let expires = now.plus(term);
                let values = params![name.as_str(), owner.to_string(), expires.0, now.0];
                Ok(transaction.prepare_cached(sql)?.execute(values)? == 1)
            })
            .await
    }

    async fn holder(&self, lineage: &Lineage) -> PortResult<Option<LockHolder>> {
        let sql = "SELECT owner, expires FROM locks
                   WHERE collection = ?1 AND expires >= ?2 AND taken_at <= ?3";
        let (name, now) = (lineage.clone(), self.clock.wall());
        self.database
            .read("read lock", lineage.as_str(), move |transaction| {
                transaction
                    .prepare_cached(sql)?
                    .query_row(params![name.as_str(), now.0, skewed_after(now).0], |row| {
                        Ok(LockHolder {
                            owner: row.get(0)?,
                            expires: Some(WallTime(row.get(1)?)),
                        })
                    })
                    .optional()
            })
            .await
    }

    async fn release(&self, lineage: &Lineage, owner: Uuid) -> PortResult<bool> {
        let sql = "DELETE FROM locks WHERE collection = ?1 AND owner = ?2";
        let name = lineage.clone();
        self.database
            .write("release lock", lineage.as_str(), move |transaction| {
                let values = params![name.as_str(), owner.to_string()];
                Ok(transaction.prepare_cached(sql)?.execute(values)? == 1)
            })
            .await
    }

    async fn next_fence(&self, lineage: &Lineage) -> PortResult<Fence> {
        let sql = "INSERT INTO fences (collection, value) VALUES (?1, 1)
                   ON CONFLICT (collection) DO UPDATE SET value = value + 1
                   RETURNING value";
        let name = lineage.clone();
        self.database
            .write("take fence", lineage.as_str(), move |transaction| {
                let value = |row: &rusqlite::Row<'_>| row.get(0).map(i64::unsigned_abs);
                transaction
                    .prepare_cached(sql)?
                    .query_row([name.as_str()], value)
                    .map(Fence)
            })
            .await
    }
}

impl std::fmt::Debug for SqliteLeaseStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteLeaseStore").finish_non_exhaustive()
    }
}
