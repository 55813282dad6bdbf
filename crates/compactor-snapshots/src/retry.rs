//! Making port calls again, with waits that grow.

use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use compactor_core::ports::{
    Attributes, Clock, Condition, ETag, Ids, Object, ObjectInfo, ObjectStore, Page, PortResult,
    PutOutcome, Unfinished, Uploaded,
};
use compactor_core::retry::Backoff;

/// How often a call is made, and how long the waits between are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The waits. They double, and each is shortened at random.
    pub backoff: Backoff,
    /// Most calls, the first one among them.
    pub attempts: u32,
}

/// Makes a port call again while its error may pass.
///
/// Which calls may be repeated depends on the method, and on who calls it:
///
/// | port | repeated | made once |
/// |---|---|---|
/// | `ObjectStore` | all reads ([`RetryingReads`]); a put or upload of an object that only this version has | the pointer's put: `publish::swap` reads it back instead; deletions of a sweep |
/// | `LeaseStore` | `acquire`, `next_fence`, `holder` before the first receive, `renew` before a swap | `renew` in the background, which is repeated by its own timer; `release`: the term ends by itself |
/// | `RunStore` | `complete`, `fail`, `retract`, `list` | `start`, which is for people; `fail` of a refused message, for which a stop waits; `create` |
/// | `Queue` | `delete` of a completed run | all others: a message comes back by itself |
#[derive(Clone, Default)]
pub struct Retry(Option<Repeated>);

#[derive(Clone)]
struct Repeated {
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    policy: RetryPolicy,
}

impl Retry {
    /// Calls are made once.
    pub fn once() -> Self {
        Self(None)
    }

    /// Calls are repeated as `policy` says; `ids` draw the lengths of the waits.
    pub fn new(policy: RetryPolicy, clock: &Arc<dyn Clock>, ids: &Arc<dyn Ids>) -> Self {
        Self(Some(Repeated {
            clock: Arc::clone(clock),
            ids: Arc::clone(ids),
            policy,
        }))
    }

    /// Makes a call until it succeeds, fails for good, or was made as often as the policy says.
    ///
    /// # Errors
    /// The last one.
    pub async fn call<T, F>(&self, call: impl Fn() -> F) -> PortResult<T>
    where
        F: Future<Output = PortResult<T>>,
    {
        let mut attempt = 0;
        loop {
            match (call().await, &self.0) {
                (Err(error), Some(repeated))
                    if error.may_pass() && attempt + 1 < repeated.policy.attempts =>
                {
                    match attempt {
                        // A daemon that seems to do nothing says what it waits for: the error names it.
                        0 => tracing::warn!(code = error.code(), %error, "trying again"),
                        _ => tracing::debug!(code = error.code(), %error, attempt, "trying again"),
                    }
                    repeated.clock.sleep(repeated.delay(attempt)).await;
                    attempt += 1;
                }
                (outcome, _) => return outcome,
            }
        }
    }

    /// The wait after failed attempt number `attempt` (0 is the first), at most `longest`.
    pub(crate) fn delay(&self, attempt: u32, longest: Duration) -> Duration {
        let delay = self.0.as_ref().map(|repeated| repeated.delay(attempt));
        delay.unwrap_or(longest).min(longest)
    }
}

impl Repeated {
    fn delay(&self, attempt: u32) -> Duration {
        self.policy.backoff.delay(attempt, self.ids.fraction())
    }
}

/// An object store whose reads are repeated. Writes pass through once: whether a write may be
/// repeated is for its caller to know.
pub(crate) struct RetryingReads {
    inner: Arc<dyn ObjectStore>,
    retry: Retry,
}

impl RetryingReads {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, retry: Retry) -> Self {
        Self { inner, retry }
    }
}

#[async_trait]
impl ObjectStore for RetryingReads {
    async fn get(&self, key: &str, limit: u64) -> PortResult<Option<Object>> {
        self.retry.call(|| self.inner.get(key, limit)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>> {
        self.retry
            .call(|| self.inner.get_range(key, range.clone()))
            .await
    }

    async fn head(&self, key: &str) -> PortResult<Option<ObjectInfo>> {
        self.retry.call(|| self.inner.head(key)).await
    }

    async fn download(&self, key: &str, to: &Path, limit: u64) -> PortResult<Option<ObjectInfo>> {
        // A failed download leaves no file behind.
        self.retry
            .call(|| self.inner.download(key, to, limit))
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
        self.retry.call(|| self.inner.unfinished(prefix)).await
    }

    async fn abort(&self, upload: &Unfinished) -> PortResult<()> {
        self.inner.abort(upload).await
    }

    async fn remove_abandoned(&self) -> PortResult<()> {
        self.inner.remove_abandoned().await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<ObjectInfo>> {
        self.retry.call(|| self.inner.list(prefix, after)).await
    }

    async fn list_folders(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<String>> {
        self.retry
            .call(|| self.inner.list_folders(prefix, after))
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
        let retry = self.retry.clone();
        Some(Arc::new(Self { inner, retry }))
    }
}
