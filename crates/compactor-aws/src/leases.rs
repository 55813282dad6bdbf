//! Locks and fences in DynamoDB.
//!
//! A lock is the item that the Python writers use, attribute by attribute, and times compare as text, as
//! in those writers. A collection may have several locks, because its writers never agreed on one: a
//! worker holds all of them or none. The fence counter is an item of its own, which is never deleted.

mod dead_holder;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use compactor_core::ports::{
    Acquired, Clock, Fault, LeaseStore, LockHolder, PortError, PortResult, WallTime,
};
use compactor_core::{Fence, Lineage};
use uuid::Uuid;

use self::dead_holder::{Holder, WatchedLocks};
use crate::attribute_values::{
    Item, address, null, number, number_of, text, text_of, time, time_of,
};
use crate::fault::{Repeat, port_error, unless_refused};

const LOCK: &str = "LOCK";
const LOCK_TYPE: &str = "COMPACTION_LOCK";
const FENCE: &str = "FENCE";
const FENCE_COUNT: &str = "fence";
/// DynamoDB's name for the type of texts.
const TEXT: &str = "S";
/// The placeholder for the collection's name in a configured lock id.
const PLACEHOLDER: &str = "{c}";

/// The locks and fences in a DynamoDB table.
#[derive(Clone)]
pub struct DynamoLeaseStore {
    client: Client,
    table: String,
    /// In the order in which every writer takes them, so that no two wait for each other.
    lock_ids: Vec<String>,
    clock: Arc<dyn Clock>,
    watched: Arc<WatchedLocks>,
}

impl std::fmt::Debug for DynamoLeaseStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DynamoLeaseStore")
            .field("table", &self.table)
            .field("lock_ids", &self.lock_ids)
            .finish_non_exhaustive()
    }
}

impl DynamoLeaseStore {
    /// `lock_ids` are the ids of a collection's locks; `{c}` in them stands for its name.
    pub(crate) fn new(
        client: Client,
        table: String,
        lock_ids: Vec<String>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client,
            table,
            lock_ids,
            clock,
            watched: Arc::default(),
        }
    }

    /// The name of an item in errors.
    fn at(&self, key: &str) -> String {
        address(&self.table, key)
    }

    fn locks(&self, lineage: &Lineage) -> Vec<String> {
        let ids = self.lock_ids.iter();
        ids.map(|id| {
            format!(
                "LOCK#{lineage}#{}",
                id.replace(PLACEHOLDER, lineage.as_str())
            )
        })
        .collect()
    }

    async fn acquire_one(
        &self,
        lock: &str,
        lineage: &Lineage,
        owner: Uuid,
        term: Duration,
    ) -> PortResult<Acquired> {
        let now = self.clock.wall();
        let item = lock_item(lock, lineage, owner, now.plus(term));
        let put = self
            .client
            .put_item()
            .condition_expression("attribute_not_exists(PK) OR expires < :now OR #owner = :owner")
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":owner", text(owner.to_string()));
        let Some(found) = self.put_lock(lock, item.clone(), put).await? else {
            return Ok(Acquired::Held);
        };
        let holder = Holder::of(&found);
        if self.seems_dead(lock, &holder) {
            // Only if the lock has not changed since the dead holder's item was read.
            let (same_owner, same_expires) = (
                match holder.owner.is_empty() {
                    true => "attribute_not_exists(#owner)",
                    false => "#owner = :silent",
                },
                match holder.expires {
                    None => "NOT attribute_type(expires, :expires)",
                    Some(_) => "expires = :expires",
                },
            );
            let mut put = self
                .client
                .put_item()
                .condition_expression(format!(
                    "{same_owner} AND {same_expires} OR #owner = :owner"
                ))
                .expression_attribute_values(
                    ":expires",
                    text(holder.expires.as_deref().unwrap_or(TEXT)),
                )
                .expression_attribute_values(":owner", text(owner.to_string()));
            if !holder.owner.is_empty() {
                put = put.expression_attribute_values(":silent", text(&holder.owner));
            }
            if self.put_lock(lock, item, put).await?.is_none() {
                return Ok(Acquired::Held);
            }
        }
        Ok(Acquired::Busy(LockHolder {
            owner: holder.owner,
            expires: time_of(&found, "expires"),
        }))
    }

    /// Puts a lock if the condition of `put` holds. Otherwise returns the item that is stored instead.
    async fn put_lock(
        &self,
        lock: &str,
        item: Item,
        put: PutItemFluentBuilder,
    ) -> PortResult<Option<Item>> {
        let put = put
            .table_name(&self.table)
            .set_item(Some(item))
            .expression_attribute_names("#owner", "owner")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = put else {
            self.watched.forget(lock);
            return Ok(None);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                Ok(Some(refused.item().cloned().unwrap_or_default()))
            }
            _ => Err(port_error(
                "acquire",
                &self.at(lock),
                Repeat::Harmless,
                error,
            )),
        }
    }

    async fn renew_one(
        &self,
        lock: &str,
        owner: Uuid,
        now: WallTime,
        term: Duration,
    ) -> PortResult<bool> {
        let expires = now.plus(term).to_iso();
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("PK", text(lock))
            .key("SK", text(LOCK))
            .update_expression("SET expires = :expires, heartbeat = :now, GSI1SK = :sort")
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner.to_string()))
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":sort", text(format!("EXPIRES#{expires}")))
            .expression_attribute_values(":expires", text(expires))
            .send()
            .await;
        unless_refused(update, |error| {
            port_error("renew", &self.at(lock), Repeat::Harmless, error)
        })
    }

    async fn release_one(&self, lock: &str, owner: Uuid) -> PortResult<bool> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("PK", text(lock))
            .key("SK", text(LOCK))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", text(owner.to_string()))
            .send()
            .await;
        unless_refused(delete, |error| {
            port_error("release", &self.at(lock), Repeat::Harmless, error)
        })
    }

    fn seems_dead(&self, lock: &str, holder: &Holder) -> bool {
        self.watched
            .seems_dead(lock, holder, self.clock.monotonic())
    }

    async fn read(&self, lock: &str) -> PortResult<Option<Item>> {
        let found = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("PK", text(lock))
            .key("SK", text(LOCK))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| port_error("read lock", &self.at(lock), Repeat::Harmless, error))?;
        Ok(found.item)
    }

    async fn holder_of_one(&self, lock: &str) -> PortResult<Option<LockHolder>> {
        // As text, as all writers compare.
        let now = self.clock.wall().to_iso();
        let held = self.read(lock).await?.filter(|item| {
            // A lock without an expiry is held, as in `acquire`, until its holder seems dead.
            text_of(item, "expires").is_none_or(|expires| expires >= now.as_str())
        });
        let living = held.filter(|item| !self.seems_dead(lock, &Holder::of(item)));
        Ok(living.map(|item| LockHolder {
            owner: Holder::of(&item).owner,
            expires: time_of(&item, "expires"),
        }))
    }
}

/// The item of a lock, as the Python writers put it.
fn lock_item(lock: &str, lineage: &Lineage, owner: Uuid, expires: WallTime) -> Item {
    let expires = expires.to_iso();
    [
        ("PK", text(lock)),
        ("SK", text(LOCK)),
        ("GSI1PK", text(format!("LOCK#{lineage}"))),
        ("GSI1SK", text(format!("EXPIRES#{expires}"))),
        ("TYPE", text(LOCK_TYPE)),
        ("owner", text(owner.to_string())),
        ("expires", text(expires)),
        ("collection", text(lineage.as_str())),
        ("heartbeat", null()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[async_trait]
impl LeaseStore for DynamoLeaseStore {
    async fn acquire(
        &self,
        lineage: &Lineage,
        owner: Uuid,
        term: Duration,
    ) -> PortResult<Acquired> {
        let locks = self.locks(lineage);
        for (taken, lock) in locks.iter().enumerate() {
            let acquired = self.acquire_one(lock, lineage, owner, term).await;
            if matches!(acquired, Ok(Acquired::Held)) {
                continue;
            }
            if acquired.is_ok() {
                // Watch the locks behind it from now on, not only once their turn comes.
                for lock in &locks[taken + 1..] {
                    if let Ok(Some(found)) = self.read(lock).await {
                        self.seems_dead(lock, &Holder::of(&found));
                    }
                }
            }
            // This one too, if its answer is unknown. Locks that cannot be released now expire.
            let taken = taken + usize::from(acquired.is_err());
            for lock in locks[..taken].iter().rev() {
                let _ = self.release_one(lock, owner).await;
            }
            return acquired;
        }
        Ok(Acquired::Held)
    }

    async fn renew(&self, lineage: &Lineage, owner: Uuid, term: Duration) -> PortResult<bool> {
        let now = self.clock.wall();
        for lock in self.locks(lineage) {
            if !self.renew_one(&lock, owner, now, term).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn holder(&self, lineage: &Lineage) -> PortResult<Option<LockHolder>> {
        for lock in self.locks(lineage) {
            if let Some(holder) = self.holder_of_one(&lock).await? {
                return Ok(Some(holder));
            }
        }
        Ok(None)
    }

    async fn release(&self, lineage: &Lineage, owner: Uuid) -> PortResult<bool> {
        let (mut held, mut failed) = (true, None);
        for lock in self.locks(lineage).iter().rev() {
            match self.release_one(lock, owner).await {
                Ok(released) => held &= released,
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(held), Err)
    }

    async fn next_fence(&self, lineage: &Lineage) -> PortResult<Fence> {
        const NEXT: &str = "next fence";
        let key = format!("FENCE#{lineage}");
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("PK", text(&key))
            .key("SK", text(FENCE))
            .update_expression("ADD #fence :one")
            .expression_attribute_names("#fence", FENCE_COUNT)
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            // A fence that is counted twice leaves a harmless gap.
            .map_err(|error| port_error(NEXT, &self.at(&key), Repeat::Harmless, error))?;
        let fence = update
            .attributes()
            .and_then(|item| number_of(item, FENCE_COUNT));
        fence
            .map(Fence)
            .ok_or_else(|| PortError::new(NEXT, &key, Fault::Corrupt, "the answer has no number"))
    }
}
