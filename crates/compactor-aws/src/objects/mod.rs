//! The port `ObjectStore` on one S3 bucket.

mod buckets;
mod copy;
mod download;
mod local_file;
mod multipart;
mod multipart_listing;
mod part_reader;
mod requests;
mod responses;
mod stall_guard;
mod upload;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumAlgorithm;
use bytes::Bytes;
use compactor_core::ports::{
    Attributes, Clock, Condition, ETag, Fault, Object, ObjectInfo, ObjectStore, Page, PortError,
    PortResult, PutOutcome, Unfinished, Uploaded,
};
use tokio::sync::Semaphore;

pub(crate) use buckets::Buckets;
use multipart::{Abandoned, UploadId};
use requests::{SEND, address, content_type, header, once, repeat, with_time};
use responses::{
    etag, info, is_absent, listed, refusal, size_of, too_large, wall_time, without_conditions,
};
use stall_guard::StallGuard;

use crate::fault::{Repeat, code, port_error, status};

/// The size of a part of a transfer. S3 takes no part below 5 MiB but the last.
const PART_BYTES: u64 = 8 << 20;
/// How many parts are in memory at the same time, of all transfers together.
const PARTS: usize = 16;

/// The objects of one bucket. Clones share their limit on parts in memory.
#[derive(Debug, Clone)]
pub struct S3ObjectStore {
    client: Client,
    bucket: String,
    buckets: Arc<Buckets>,
    parts: Arc<Semaphore>,
    stall_guard: StallGuard,
    abandoned: Abandoned,
}

impl S3ObjectStore {
    /// Makes the store of `bucket`. A download that stalls for as long as `stall` gets a new connection.
    pub(crate) fn new(
        buckets: Buckets,
        bucket: String,
        clock: Arc<dyn Clock>,
        stall: Duration,
    ) -> Self {
        Self {
            client: buckets.client(&bucket),
            bucket,
            buckets: Arc::new(buckets),
            stall_guard: StallGuard::new(clock, stall),
            parts: Arc::new(Semaphore::new(PARTS)),
            abandoned: Abandoned::default(),
        }
    }

    /// The name of an object in errors: its key alone would not show a wrong bucket.
    fn at(&self, key: &str) -> String {
        address(&self.bucket, key)
    }
}

#[async_trait]
impl ObjectStore for S3ObjectStore {
    async fn get(&self, key: &str, limit: u64) -> PortResult<Option<Object>> {
        const GET: &str = "get object";
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let ask = || async {
            let answer = match request.clone().send().await {
                Ok(answer) => answer,
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(port_error(GET, &self.at(key), Repeat::Harmless, error)),
            };
            match size_of(answer.content_length()) {
                size if size > limit => Err(too_large(GET, key, size, limit)),
                _ => Ok(Some(answer)),
            }
        };
        let Some((answer, body)) = self.stall_guard.read(GET, key, ask).await? else {
            return Ok(None);
        };
        let size = size_of(answer.content_length());
        let info = info(key, size, answer.e_tag());
        let metadata = answer.metadata().cloned().unwrap_or_default();
        // S3 cuts off fractions of a second, so round up.
        let modified = answer.last_modified().and_then(wall_time);
        let modified = modified.map(|time| time.plus(Duration::from_secs(1)));
        if body.len() as u64 != size {
            let reason = format!("{} bytes came, {size} were announced", body.len());
            return Err(PortError::new(GET, key, Fault::Transient, reason));
        }
        Ok(Some(Object {
            info,
            body,
            metadata: metadata.into_iter().collect(),
            modified,
        }))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> PortResult<Option<Bytes>> {
        if range.is_empty() {
            return Ok(self.head(key).await?.map(|_| Bytes::new()));
        }
        const GET: &str = "get range";
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let request = request.range(header(&range));
        let ask = || async {
            match request.clone().send().await {
                Ok(answer) => Ok(Some(answer)),
                // The range begins past the end.
                Err(error) if status(&error) == Some(416) => {
                    Ok(Some(GetObjectOutput::builder().build()))
                }
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(port_error(GET, &self.at(key), Repeat::Harmless, error)),
            }
        };
        let read = self.stall_guard.read(GET, key, ask).await?;
        Ok(read.map(|(_, body)| body))
    }

    async fn head(&self, key: &str) -> PortResult<Option<ObjectInfo>> {
        let request = self.client.head_object().bucket(&self.bucket).key(key);
        match request.send().await {
            Ok(answer) => {
                let size = size_of(answer.content_length());
                Ok(Some(info(key, size, answer.e_tag())))
            }
            Err(error) if is_absent(&error) => Ok(None),
            // The answer to a HEAD has no body, and so no code. The answer to a GET has one.
            Err(error) if code(&error).is_none() && status(&error).is_some() => {
                Err(match self.get_range(key, 0..1).await {
                    Err(named) => named,
                    Ok(_) => port_error("head object", &self.at(key), Repeat::Harmless, error),
                })
            }
            Err(error) => Err(port_error(
                "head object",
                &self.at(key),
                Repeat::Harmless,
                error,
            )),
        }
    }

    async fn download(&self, key: &str, to: &Path, limit: u64) -> PortResult<Option<ObjectInfo>> {
        self.download_parts(key, to, limit).await
    }

    async fn put(
        &self,
        key: &str,
        body: Bytes,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome> {
        let mut request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type(key))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_metadata(Some(metadata.clone().into_iter().collect()));
        let repeat = repeat(&condition);
        let is_conditional = condition != Condition::Always;
        match condition {
            Condition::Always => {}
            Condition::IfAbsent => request = request.if_none_match("*"),
            Condition::IfMatch(etag) => request = request.if_match(etag.0),
        }
        let config = match repeat {
            Repeat::Harmless => with_time(SEND),
            Repeat::Unknown => once(),
        };
        let request = request.body(ByteStream::from(body)).customize();
        let sent = request.config_override(config).send().await;
        match sent {
            Ok(answer) => Ok(PutOutcome::Written(etag(answer.e_tag()))),
            Err(error) => {
                let refused = refusal("put object", &self.at(key), repeat, error);
                refused.map_err(|error| match is_conditional {
                    true => without_conditions(error),
                    false => error,
                })
            }
        }
    }

    async fn upload(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded> {
        self.upload_file(key, from, condition, metadata).await
    }

    async fn copy(
        &self,
        from: &str,
        tag: &ETag,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        self.copy_object(from, tag, to, condition).await
    }

    async fn remove_abandoned(&self) -> PortResult<()> {
        self.abandoned.abort(&self.client).await
    }

    async fn unfinished(&self, prefix: &str) -> PortResult<Vec<Unfinished>> {
        multipart_listing::list(&self.client, &self.bucket, prefix).await
    }

    async fn abort(&self, upload: &Unfinished) -> PortResult<()> {
        let upload = UploadId {
            bucket: self.bucket.clone(),
            key: upload.key.clone(),
            id: upload.id.clone(),
        };
        upload.abort(&self.client).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<ObjectInfo>> {
        let request = self.client.list_objects_v2().bucket(&self.bucket);
        let request = request
            .prefix(prefix)
            .set_start_after(after.map(str::to_owned));
        let answer = request.send().await;
        let answer = answer.map_err(|error| {
            port_error("list objects", &self.at(prefix), Repeat::Harmless, error)
        })?;
        let more = answer.is_truncated().unwrap_or(false);
        let entries: Vec<ObjectInfo> = answer.contents().iter().filter_map(listed).collect();
        let next = entries.last().filter(|_| more).map(|last| last.key.clone());
        Ok(Page { entries, next })
    }

    async fn list_folders(&self, prefix: &str, after: Option<&str>) -> PortResult<Page<String>> {
        let request = self.client.list_objects_v2().bucket(&self.bucket);
        let request = request
            .prefix(prefix)
            .delimiter("/")
            .set_continuation_token(after.map(str::to_owned));
        let answer = request.send().await;
        let answer = answer.map_err(|error| {
            port_error("list folders", &self.at(prefix), Repeat::Harmless, error)
        })?;
        let entries = answer
            .common_prefixes()
            .iter()
            .filter_map(|folder| folder.prefix()?.strip_prefix(prefix)?.strip_suffix('/'))
            .map(str::to_owned)
            .collect();
        let next = answer.next_continuation_token().map(str::to_owned);
        Ok(Page { entries, next })
    }

    async fn delete(&self, key: &str) -> PortResult<()> {
        let request = self.client.delete_object().bucket(&self.bucket).key(key);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(port_error(
                "delete object",
                &self.at(key),
                Repeat::Harmless,
                error,
            )),
        }
    }

    fn is_bucket(&self, name: &str) -> bool {
        self.bucket == name
    }

    fn bucket(&self, name: &str) -> Option<Arc<dyn ObjectStore>> {
        let client = self.buckets.delta_client(name)?;
        Some(Arc::new(Self {
            client,
            bucket: name.to_owned(),
            ..self.clone()
        }))
    }
}
