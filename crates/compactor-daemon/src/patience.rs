//! Trying port calls again, with waits that grow.

use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use compactor_core::ports::{
    Attributes, Clock, Condition, ETag, Ids, Object, ObjectInfo, ObjectStore, Page, PortResult,
    PutOutcome, Unfinished, Uploaded,
};
use compactor_core::retry::Backoff;

use crate::{Ports, Settings};

/// How often, and with which waits.
#[derive(Clone)]
struct Patience {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    backoff: Backoff,
    attempts: u32,
}

impl Patience {
    fn new(ports: &Ports, settings: &Settings) -> Self {
        Self {
            clock: Arc::clone(&ports.clock),
            ids: Arc::clone(&ports.ids),
            backoff: settings.backoff,
            attempts: settings.attempts,
        }
    }

    async fn persist<T, F>(&self, call: impl Fn() -> F) -> PortResult<T>
    where
        F: Future<Output = PortResult<T>>,
    {
        let mut attempt = 0;
        loop {
            match call().await {
                Err(error) if error.may_pass() && attempt + 1 < self.attempts => {
                    match attempt {
                        // Who looks at a daemon that seems to do nothing has to see for what it
                        // waits. The error names it.
                        0 => tracing::warn!(code = error.code(), %error, "trying again"),
                        _ => tracing::debug!(code = error.code(), %error, attempt, "trying again"),
                    }
                    let wait = self.backoff.delay(attempt, self.ids.fraction());
                    self.clock.sleep(wait).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Repeats a call that may be repeated until it answers, fails for good, or the attempts are used
/// up. Never for the pointer's put.
pub(crate) async fn persist<T, F>(
    ports: &Ports,
    settings: &Settings,
    call: impl Fn() -> F,
) -> PortResult<T>
where
    F: Future<Output = PortResult<T>>,
{
    Patience::new(ports, settings).persist(call).await
}

/// An object store whose reads are repeated. Writes pass through once: whether a write may be
/// repeated is for its caller to know.
pub(crate) struct PatientReads {
    inner: Arc<dyn ObjectStore>,
    patience: Patience,
}

impl PatientReads {
    pub(crate) fn new(ports: &Ports, settings: &Settings) -> Self {
        Self {
            inner: Arc::clone(&ports.objects),
            patience: Patience::new(ports, settings),
        }
    }
}

#[async_trait]
impl ObjectStore for PatientReads {
    async fn get(&self, key: &str, limit: u64) -> PortResult<Option<Object>> {
        self.patience.persist(|| self.inner.get(key, limit)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>> {
        self.patience
            .persist(|| self.inner.get_range(key, range.clone()))
            .await
    }

    async fn head(&self, key: &str) -> PortResult<Option<ObjectInfo>> {
        self.patience.persist(|| self.inner.head(key)).await
    }

    async fn download(&self, key: &str, to: &Path, limit: u64) -> PortResult<Option<ObjectInfo>> {
        // A failed download leaves no file behind.
        self.patience
            .persist(|| self.inner.download(key, to, limit))
            .await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome> {
        self.inner.put(key, body, condition, metadata).await
    }

    async fn upload(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded> {
        self.inner.upload(key, from, condition, metadata).await
    }

    async fn copy(
        &self,
        from: &str,
        tag: &ETag,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        self.inner.copy(from, tag, to, condition).await
    }

    async fn unfinished(&self, prefix: &str) -> PortResult<Vec<Unfinished>> {
        self.patience
            .persist(|| self.inner.unfinished(prefix))
            .await
    }

    async fn abort(&self, upload: &Unfinished) -> PortResult<()> {
        self.inner.abort(upload).await
    }

    async fn remove_abandoned(&self) -> PortResult<()> {
        self.inner.remove_abandoned().await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<ObjectInfo>> {
        self.patience
            .persist(|| self.inner.list(prefix, after))
            .await
    }

    async fn list_folders(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<String>> {
        self.patience
            .persist(|| self.inner.list_folders(prefix, after))
            .await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        self.inner.delete(key).await
    }

    fn is_bucket(&self, name: &str) -> bool {
        self.inner.is_bucket(name)
    }

    fn bucket(&self, name: &str) -> Option<Arc<dyn ObjectStore>> {
        let inner = self.inner.bucket(name)?;
        let patience = self.patience.clone();
        Some(Arc::new(Self { inner, patience }))
    }
}
