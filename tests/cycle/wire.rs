//! An object store behind a wire that a test can tamper with where a pointer is put.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use compactor_core::ports::{
    Attributes, Condition, Fault, Object, ObjectInfo, ObjectStore, Page, PortError, PortResult,
    PutOutcome,
};
use tokio_util::bytes::Bytes;

use crate::world::World;

/// What happens to one put of a pointer.
pub(crate) enum Turn {
    /// It takes effect and its answer is lost.
    LoseTheAnswer,
    /// Something happens first.
    After(Box<dyn FnOnce() + Send>),
}

struct TamperedStore {
    store: Arc<dyn ObjectStore>,
    turns: Mutex<VecDeque<Turn>>,
}

impl World {
    /// Lets `turns` happen to the next puts of a pointer, one each.
    pub(crate) fn tamper(&mut self, turns: impl IntoIterator<Item = Turn>) {
        self.ports.objects = Arc::new(TamperedStore {
            store: Arc::clone(&self.ports.objects),
            turns: Mutex::new(turns.into_iter().collect()),
        });
    }
}

#[async_trait]
impl ObjectStore for TamperedStore {
    async fn put(
        &self,
        key: &str,
        body: Bytes,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome> {
        if !key.ends_with("/latest-pointer.txt") {
            return self.store.put(key, body, condition, metadata).await;
        }
        let turn = self.turns.lock().unwrap().pop_front();
        let lost = matches!(turn, Some(Turn::LoseTheAnswer));
        if let Some(Turn::After(first)) = turn {
            first();
        }
        let answer = self.store.put(key, body, condition, metadata).await;
        if lost {
            let fault = Fault::OutcomeUnknown;
            return Err(PortError::new("put", key, fault, "the answer was lost"));
        }
        answer
    }

    async fn get(&self, key: &str, limit: u64) -> PortResult<Option<Object>> {
        self.store.get(key, limit).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>> {
        self.store.get_range(key, range).await
    }

    async fn head(&self, key: &str) -> PortResult<Option<ObjectInfo>> {
        self.store.head(key).await
    }

    async fn download(&self, key: &str, to: &Path, limit: u64) -> PortResult<Option<ObjectInfo>> {
        self.store.download(key, to, limit).await
    }

    async fn upload(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome> {
        self.store.upload(key, from, condition, metadata).await
    }

    async fn copy(&self, from: &str, to: &str, condition: Condition) -> PortResult<PutOutcome> {
        self.store.copy(from, to, condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<ObjectInfo>> {
        self.store.list(prefix, after).await
    }

    async fn list_folders(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<String>> {
        self.store.list_folders(prefix, after).await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        self.store.delete(key).await
    }
}
