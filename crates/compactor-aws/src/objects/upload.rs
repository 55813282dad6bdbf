//! Uploads: small files in one put, larger ones in parts, each with a SHA-256 that S3 checks.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use compactor_core::ports::{Attributes, Condition, ObjectStore, PortResult, PutOutcome, Uploaded};
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::sync::Mutex;

use super::local_file::disk;
use super::multipart::{Begun, UploadId};
use super::part_reader::PartReader;
use super::requests::{SEND, content_type, repeat, with_time};
use super::responses::{etag, refusal};
use super::{PART_BYTES, PARTS, S3ObjectStore};
use crate::fault::{Repeat, port_error};

const UPLOAD: &str = "upload file";
/// How long S3 may take to put the parts together.
const COMPLETE: Duration = Duration::from_secs(600);
/// The most parts that S3 takes.
const MOST_PARTS: u64 = 10_000;

impl S3ObjectStore {
    pub(super) async fn upload_file(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<Uploaded> {
        let size = tokio::fs::metadata(from).await;
        let size = size.map_err(|error| disk(from, error))?.len();
        if size <= PART_BYTES {
            let _permit = self.parts.acquire().await;
            let mut file = PartReader::open(from, size, size).await?;
            let body = file.next().await?.body;
            return Ok(Uploaded {
                outcome: self.put(key, body, condition, metadata).await?,
                sha256: Some(file.sha256()),
            });
        }
        let begun = self.begin(key, metadata).await?;
        let part_bytes = PART_BYTES.max(size.div_ceil(MOST_PARTS));
        let file = Mutex::new(PartReader::open(from, size, part_bytes).await?);
        let parts: Vec<_> = (0..size.div_ceil(part_bytes))
            .map(|_| self.upload_next(&begun, &file))
            .collect();
        let parts = stream::iter(parts).buffer_unordered(PARTS);
        let parts = parts.try_collect().await;
        let outcome = self.end(begun, parts, condition).await?;
        Ok(Uploaded {
            outcome,
            sha256: Some(file.into_inner().sha256()),
        })
    }

    pub(super) async fn begin(&self, key: &str, metadata: &Attributes) -> PortResult<Begun> {
        let request = self.client.create_multipart_upload().bucket(&self.bucket);
        let begun = request
            .key(key)
            .content_type(content_type(key))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .set_metadata(Some(metadata.clone().into_iter().collect()))
            .send()
            .await
            .map_err(|error| port_error(UPLOAD, &self.at(key), Repeat::Harmless, error))?;
        let upload = UploadId {
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            id: begun.upload_id().unwrap_or_default().to_owned(),
        };
        Ok(Begun::new(upload, self.abandoned.clone()))
    }

    /// Reads the next part of the file and sends it.
    async fn upload_next(
        &self,
        begun: &Begun,
        file: &Mutex<PartReader>,
    ) -> PortResult<CompletedPart> {
        // Held from before the part is in memory until it is sent.
        let _slot = self.parts.acquire().await;
        let part = file.lock().await.next().await?;
        let request = self.client.upload_part().bucket(&self.bucket);
        let answer = request
            .key(begun.key())
            .upload_id(begun.id())
            .part_number(part.number)
            .checksum_sha256(&part.sha256)
            .body(ByteStream::from(part.body))
            .customize()
            .config_override(with_time(SEND))
            .send()
            .await
            .map_err(|error| port_error(UPLOAD, &self.at(begun.key()), Repeat::Harmless, error))?;
        Ok(CompletedPart::builder()
            .part_number(part.number)
            .set_e_tag(answer.e_tag().map(str::to_owned))
            .checksum_sha256(part.sha256)
            .build())
    }

    /// Makes one object of the parts, which may be in any order, or aborts the upload.
    pub(super) async fn end(
        &self,
        begun: Begun,
        parts: PortResult<Vec<CompletedPart>>,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        let outcome = match parts {
            Ok(parts) => self.complete(&begun, parts, condition).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(PutOutcome::Written(_)) => begun.completed(),
            _ => begun.abort(&self.client).await,
        }
        outcome
    }

    async fn complete(
        &self,
        begun: &Begun,
        mut parts: Vec<CompletedPart>,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        parts.sort_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let mut request = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(begun.key())
            .upload_id(begun.id())
            .multipart_upload(parts.build());
        let repeat = repeat(&condition);
        match condition {
            Condition::Always => {}
            Condition::IfAbsent => request = request.if_none_match("*"),
            Condition::IfMatch(etag) => request = request.if_match(etag.0),
        }
        // A retry of a completion that succeeded would find no such upload.
        let config = with_time(COMPLETE).retry_config(RetryConfig::disabled());
        match request.customize().config_override(config).send().await {
            Ok(answer) => Ok(PutOutcome::Written(etag(answer.e_tag()))),
            Err(error) => refusal(UPLOAD, &self.at(begun.key()), repeat, error),
        }
    }
}
