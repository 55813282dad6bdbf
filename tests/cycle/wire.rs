//! An object store behind a wire that a test can tamper with where a pointer is put.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use compactor_core::ports::{
    Attributes, Condition, ETag, Fault, Object, ObjectInfo, ObjectStore, Page, PortError,
    PortResult, PutOutcome, Uploaded,
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
    /// How many uploads become other bytes on the way.
    spoilt: Mutex<usize>,
}

impl World {
    /// Lets `turns` happen to the next puts of a pointer, one each.
    pub(crate) fn tamper(&mut self, turns: impl IntoIterator<Item = Turn>) {
        self.ports.objects = Arc::new(TamperedStore {
            store: Arc::clone(&self.ports.objects),
            turns: Mutex::new(turns.into_iter().collect()),
            spoilt: Mutex::new(0),
        });
    }

    /// Changes a byte of each of the next `count` uploads of databases, on their way.
    pub(crate) fn spoil_uploads(&mut self, count: usize) {
        self.ports.objects = Arc::new(TamperedStore {
            store: Arc::clone(&self.ports.objects),
            turns: Mutex::default(),
            spoilt: Mutex::new(count),
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
        // A daemon tries at its start whether conditions are kept, with a pointer of no collection.
        if !key.ends_with("/latest-pointer.txt") || key.starts_with("doctor/") {
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
    ) -> PortResult<Uploaded> {
        let is_spoilt = {
            let mut left = self.spoilt.lock().unwrap();
            let is_spoilt = *left > 0 && key.ends_with("chroma.sqlite3");
            *left -= usize::from(is_spoilt);
            is_spoilt
        };
        if !is_spoilt {
            return self.store.upload(key, from, condition, metadata).await;
        }
        let mut body = std::fs::read(from).unwrap();
        *body.last_mut().unwrap() ^= 1;
        let other = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(other.path(), body).unwrap();
        let upload = self.store.upload(key, other.path(), condition, metadata);
        upload.await
    }

    async fn copy(
        &self,
        from: &str,
        tag: &ETag,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        self.store.copy(from, tag, to, condition).await
    }

    async fn remove_abandoned(&self) -> PortResult<()> {
        self.store.remove_abandoned().await
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
