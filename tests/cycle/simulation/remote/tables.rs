//! Locks, fences and records.

use std::time::Duration;

use async_trait::async_trait;
use compactor_core::ports::{
    Acquired, Completion, Created, Failure, LeaseStore, LockHolder, PortResult, RunStore, WallTime,
};
use compactor_core::{CollectionName, Fence, Lineage, RunKey, RunRecord, Version};
use uuid::Uuid;

use super::Remote;

#[async_trait]
impl LeaseStore for Remote {
    async fn acquire(
        &self,
        lineage: &Lineage,
        owner: Uuid,
        term: Duration,
    ) -> PortResult<Acquired> {
        let request = self.leases.acquire(lineage, owner, term);
        self.change("acquire", lineage.as_str(), request).await
    }

    async fn renew(&self, lineage: &Lineage, owner: Uuid, term: Duration) -> PortResult<bool> {
        let request = self.leases.renew(lineage, owner, term);
        self.change("renew", lineage.as_str(), request).await
    }

    async fn holder(&self, lineage: &Lineage) -> PortResult<Option<LockHolder>> {
        let request = self.leases.holder(lineage);
        self.ask("holder", lineage.as_str(), request).await
    }

    async fn release(&self, lineage: &Lineage, owner: Uuid) -> PortResult<bool> {
        let request = self.leases.release(lineage, owner);
        self.change("release lease", lineage.as_str(), request)
            .await
    }

    async fn next_fence(&self, lineage: &Lineage) -> PortResult<Fence> {
        let request = self.leases.next_fence(lineage);
        self.change("next_fence", lineage.as_str(), request).await
    }
}

#[async_trait]
impl RunStore for Remote {
    async fn create(&self, record: &RunRecord) -> PortResult<Created> {
        let request = self.services.runs.create(record);
        self.change("create", record.key.run_id.as_str(), request)
            .await
    }

    async fn start(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        prefix: &str,
        at: WallTime,
    ) -> PortResult<()> {
        let request = self.services.runs.start(key, collection, prefix, at);
        self.change("start", key.run_id.as_str(), request).await
    }

    async fn complete(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        completion: &Completion,
    ) -> PortResult<()> {
        let complete = async {
            let runs = &self.services.runs;
            runs.complete(key, collection, completion).await?;
            self.services.promises.completed(key, collection);
            Ok(())
        };
        self.change("complete", key.run_id.as_str(), complete).await
    }

    async fn fail(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        failure: &Failure,
    ) -> PortResult<()> {
        let request = self.services.runs.fail(key, collection, failure);
        self.change("fail", key.run_id.as_str(), request).await
    }

    async fn retract(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        version: &Version,
        reason: &str,
        at: WallTime,
    ) -> PortResult<bool> {
        let runs = &self.services.runs;
        let request = runs.retract(key, collection, version, reason, at);
        self.change("retract", key.run_id.as_str(), request).await
    }

    async fn get(&self, key: &RunKey) -> PortResult<Option<RunRecord>> {
        let request = self.services.runs.get(key);
        self.ask("get record", key.run_id.as_str(), request).await
    }

    async fn list(&self, limit: usize) -> PortResult<Vec<RunRecord>> {
        self.ask("list records", "", self.services.runs.list(limit))
            .await
    }
}
