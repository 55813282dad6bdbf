//! Uploads: small files in one put, larger ones in parts, each with a SHA-256 that S3 checks.

use std::path::Path;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use compactor_core::ports::{
    Attributes, Condition, Fault, ObjectStore, PortError, PortResult, PutOutcome,
};
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::download::disk;
use super::{PART_BYTES, PARTS, S3ObjectStore, content_type, etag, refusal, repeat, with_time};
use crate::fault::{Repeat, port_error};

const UPLOAD: &str = "upload file";
/// The most that S3 takes.
const MOST_PARTS: u64 = 10_000;

/// A multipart upload that was begun.
pub(super) struct Begun {
    pub(super) key: String,
    pub(super) id: String,
}

impl S3ObjectStore {
    pub(super) async fn upload_file(
        &self,
        key: &str,
        from: &Path,
        condition: Condition,
        metadata: &Attributes,
    ) -> PortResult<PutOutcome> {
        let size = tokio::fs::metadata(from).await;
        let size = size.map_err(|error| disk(from, error))?.len();
        if size <= PART_BYTES {
            let _permit = self.parts.acquire().await;
            let body = read(from, 0, size).await?;
            return self.put(key, body, condition, metadata).await;
        }
        let begun = self.begin(key, metadata).await?;
        let part_bytes = PART_BYTES.max(size.div_ceil(MOST_PARTS));
        let numbered =
            (1..).zip((0..size).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX)));
        let parts = stream::iter(numbered)
            .map(|(number, start)| {
                let length = part_bytes.min(size - start);
                self.upload_part(&begun, number, from, start, length)
            })
            .buffered(PARTS)
            .try_collect()
            .await;
        self.end(begun, parts, condition).await
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
            .map_err(|error| port_error(UPLOAD, key, Repeat::Harmless, error))?;
        let id = begun.upload_id().unwrap_or_default().to_owned();
        let key = key.to_owned();
        Ok(Begun { key, id })
    }

    async fn upload_part(
        &self,
        begun: &Begun,
        number: i32,
        from: &Path,
        start: u64,
        length: u64,
    ) -> PortResult<CompletedPart> {
        let _permit = self.parts.acquire().await;
        let body = read(from, start, length).await?;
        let request = self.client.upload_part().bucket(&self.bucket);
        let part = request
            .key(&begun.key)
            .upload_id(&begun.id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| port_error(UPLOAD, &begun.key, Repeat::Harmless, error))?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag().map(str::to_owned))
            .set_checksum_sha256(part.checksum_sha256().map(str::to_owned))
            .build())
    }

    /// Makes the parts one object, or leaves nothing.
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
        if !matches!(outcome, Ok(PutOutcome::Written(_))) {
            // What this cannot remove, clean-up does: nobody sees it.
            let request = self.client.abort_multipart_upload().bucket(&self.bucket);
            let _ = request.key(&begun.key).upload_id(&begun.id).send().await;
        }
        outcome
    }

    async fn complete(
        &self,
        begun: &Begun,
        parts: Vec<CompletedPart>,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
        let mut request = self
            .client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .key(&begun.key)
            .upload_id(&begun.id)
            .multipart_upload(parts.build());
        let repeat = repeat(&condition);
        match condition {
            Condition::Always => {}
            Condition::IfAbsent => request = request.if_none_match("*"),
            Condition::IfMatch(etag) => request = request.if_match(etag.0),
        }
        // Completed twice, the second answer would be that there is no such upload.
        let config = with_time().retry_config(RetryConfig::disabled());
        match request.customize().config_override(config).send().await {
            Ok(answer) => Ok(PutOutcome::Written(etag(answer.e_tag()))),
            Err(error) => refusal(UPLOAD, &begun.key, repeat, error),
        }
    }
}

async fn read(from: &Path, start: u64, length: u64) -> PortResult<Bytes> {
    let reading = async {
        let mut file = tokio::fs::File::open(from).await?;
        file.seek(std::io::SeekFrom::Start(start)).await?;
        let mut body = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        file.take(length).read_to_end(&mut body).await?;
        Ok(body)
    };
    let body = reading.await.map_err(|error| disk(from, error))?;
    if body.len() as u64 != length {
        let reason = "the file became shorter while it was read";
        return Err(PortError::new(
            UPLOAD,
            from.display().to_string(),
            Fault::Invalid,
            reason,
        ));
    }
    Ok(Bytes::from(body))
}
