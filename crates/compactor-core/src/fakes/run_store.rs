//! The double of the port `RunStore`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;

use super::{Faults, lock};
use crate::ports::{Completion, Created, Failure, PortResult, RunStore, WallTime};
use crate::{CollectionName, RunKey, RunRecord, Version};

/// Run records in memory.
#[derive(Debug, Default)]
pub struct FakeRunStore {
    /// The faults to inject, and the record of all calls.
    pub faults: Faults,
    records: Mutex<BTreeMap<RunKey, RunRecord>>,
}

impl FakeRunStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn change(
        &self,
        operation: &'static str,
        key: &RunKey,
        at: WallTime,
        transition: impl FnOnce(&mut RunRecord),
    ) -> PortResult<()> {
        let pending = self.faults.begin(operation, key.run_id.as_str())?;
        let mut records = lock(&self.records);
        if key.is_plain() && !records.contains_key(key) {
            records.insert(key.clone(), RunRecord::new(key.clone(), [], at));
        }
        if let Some(record) = records.get_mut(key) {
            transition(record);
        }
        pending.end(())
    }
}

#[async_trait]
impl RunStore for FakeRunStore {
    async fn create(&self, record: &RunRecord) -> PortResult<Created> {
        let pending = self.faults.begin("create", record.key.run_id.as_str())?;
        let mut records = lock(&self.records);
        let created = if records.contains_key(&record.key) {
            Created::Existed
        } else {
            records.insert(record.key.clone(), record.clone());
            Created::New
        };
        pending.end(created)
    }

    async fn start(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        prefix: &str,
        at: WallTime,
    ) -> PortResult<()> {
        self.change("start", key, at, |record| {
            record.start(collection, prefix, at);
        })
    }

    async fn complete(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        completion: &Completion,
    ) -> PortResult<()> {
        self.change("complete", key, completion.at, |record| {
            record.complete(collection, completion);
        })
    }

    async fn fail(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        failure: &Failure,
    ) -> PortResult<()> {
        self.change("fail", key, failure.at, |record| {
            record.fail(collection, failure);
        })
    }

    async fn retract(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        version: &Version,
        reason: &str,
        at: WallTime,
    ) -> PortResult<bool> {
        let pending = self.faults.begin("retract", key.run_id.as_str())?;
        let mut records = lock(&self.records);
        let record = records.get_mut(key);
        let retracted = record.is_some_and(|r| r.retract(collection, version, reason, at));
        pending.end(retracted)
    }

    async fn get(&self, key: &RunKey) -> PortResult<Option<RunRecord>> {
        let pending = self.faults.begin("get", key.run_id.as_str())?;
        pending.end(lock(&self.records).get(key).cloned())
    }

    async fn list(&self, limit: usize) -> PortResult<Vec<RunRecord>> {
        let pending = self.faults.begin("list", "")?;
        let mut records: Vec<_> = lock(&self.records).values().cloned().collect();
        records.sort_by(|a, b| b.created_at.cmp(&a.created_at).then(b.key.cmp(&a.key)));
        records.truncate(limit);
        pending.end(records)
    }
}
