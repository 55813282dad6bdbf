//! The bucket.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use compactor_core::ports::{
    Attributes, Clock, Condition, ETag, Object, ObjectInfo, ObjectStore, Page, PortResult,
    PutOutcome, Uploaded,
};

use super::Remote;
use crate::simulation::mistake::Mistake;
use crate::simulation::weather::Fate;

impl Remote {
    fn condition(&self, key: &str, condition: Condition) -> Condition {
        let is_wrong = self.services.mistake == Some(Mistake::PutUnconditionally);
        match is_wrong && key.ends_with("latest-pointer.txt") {
            true => Condition::Always,
            false => condition,
        }
    }

    /// A put that takes effect after its caller has given it up.
    fn arrives_late(
        &self,
        after: Duration,
        key: &str,
        body: Bytes,
        condition: Condition,
        metadata: &Attributes,
    ) {
        let services = self.services.clone();
        let (key, metadata) = (key.to_owned(), metadata.clone());
        tokio::spawn(async move {
            services.time.sleep(after).await;
            services.count(|figures| figures.late_puts += 1);
            let put = services.objects.put(&key, body, condition, &metadata);
            let outcome = put.await;
            services.note(&format!("a late put of {key}: {outcome:?}"));
            if matches!(outcome, Ok(PutOutcome::Written(_))) {
                services.written(&key);
            }
        });
    }

    fn believes(&self, key: &str) -> bool {
        let is_wrong = self.services.mistake == Some(Mistake::SilenceIsSuccess);
        is_wrong && key.ends_with("latest-pointer.txt")
    }
}

#[async_trait]
impl ObjectStore for Remote {
    async fn get(&self, key: &str, limit: u64) -> PortResult<Option<Object>> {
        let request = self.services.objects.get(key, limit);
        self.ask("get", key, request).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>> {
        let request = self.services.objects.get_range(key, range);
        self.ask("get_range", key, request).await
    }

    async fn head(&self, key: &str) -> PortResult<Option<ObjectInfo>> {
        self.ask("head", key, self.services.objects.head(key)).await
    }

    async fn download(&self, key: &str, to: &Path, limit: u64) -> PortResult<Option<ObjectInfo>> {
        let request = self.services.objects.download(key, to, limit);
        self.ask("download", key, request).await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome> {
        let condition = self.condition(key, condition);
        let put = async |services: &super::Services| {
            let (body, condition) = (body.clone(), condition.clone());
            let outcome = services.objects.put(key, body, condition, metadata).await?;
            if matches!(outcome, PutOutcome::Written(_)) {
                services.written(key);
            }
            Ok(outcome)
        };
        let (fate, answer) = self.call("put", key, true, put(&self.services)).await;
        match fate {
            Fate::Late(after) => {
                self.arrives_late(after, key, body, condition, metadata);
                match self.believes(key) {
                    true => Ok(PutOutcome::Written(ETag(String::new()))),
                    false => answer,
                }
            }
            Fate::Conflict if condition != Condition::Always => Ok(PutOutcome::Conflict),
            Fate::Refused(_) if self.believes(key) => Ok(PutOutcome::Written(ETag(String::new()))),
            _ => answer,
        }
    }

    async fn upload(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded> {
        let request = self.services.objects.upload(key, from, condition, metadata);
        self.change("upload", key, request).await
    }

    async fn copy(
        &self,
        from: &str,
        tag: &ETag,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        let request = self.services.objects.copy(from, tag, to, condition);
        self.change("copy", to, request).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<ObjectInfo>> {
        let request = self.services.objects.list(prefix, after);
        self.ask("list", prefix, request).await
    }

    async fn list_folders(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<String>> {
        let request = self.services.objects.list_folders(prefix, after);
        self.ask("list_folders", prefix, request).await
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        let delete = async {
            self.services.objects.delete(key).await?;
            self.services.deleted(key);
            Ok(())
        };
        self.change("delete", key, delete).await
    }
}
