//! Copies inside the bucket: the bytes do not pass through this machine.

use std::time::Duration;

use aws_sdk_s3::types::{CompletedPart, MetadataDirective};
use bytes::Bytes;
use compactor_core::ports::{
    Attributes, Condition, ETag, ObjectInfo, ObjectStore, PortResult, PutOutcome,
};
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::multipart::Begun;
use super::requests::{SEND, header, with_time};
use super::responses::{etag, info, is_absent, refusal, size_of};
use super::{PARTS, S3ObjectStore};
use crate::fault::{Repeat, port_error};

/// The characters that are not escaped in a URL's path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const COPY: &str = "copy object";
/// The largest object that S3 copies at once.
const MOST_AT_ONCE: u64 = 5 << 30;
/// The size of a part of a copy. S3 copies larger parts more slowly.
const COPY_PART_BYTES: u64 = 512 << 20;

/// How many bytes S3 copies in a second where it is slow.
const SLOW: u64 = 10 << 20;

/// How long a copy may take. S3 answers only at its end, and a stuck copy never does.
fn time(bytes: u64) -> Duration {
    SEND + Duration::from_secs(bytes / SLOW)
}

impl S3ObjectStore {
    pub(super) async fn copy_object(
        &self,
        from: &str,
        tag: &ETag,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        let source = self.head_with_metadata(from).await?;
        let Some((source, metadata)) = source.filter(|(source, _)| source.etag == *tag) else {
            return Ok(PutOutcome::Absent);
        };
        match condition {
            Condition::Always if source.size <= MOST_AT_ONCE => {
                self.copy_at_once(&source, to).await
            }
            // An empty object has no parts.
            condition if source.size == 0 => self.put(to, Bytes::new(), condition, &metadata).await,
            // Conditions on the target of a plain copy are newer than those of an upload, and not every
            // S3-compatible store checks them.
            condition => self.copy_in_parts(&source, &metadata, to, condition).await,
        }
    }

    async fn copy_at_once(&self, source: &ObjectInfo, to: &str) -> PortResult<PutOutcome> {
        let request = self.client.copy_object().bucket(&self.bucket).key(to);
        let copied = request
            .copy_source(self.source(source))
            .copy_source_if_match(&source.etag.0)
            .metadata_directive(MetadataDirective::Copy)
            .customize()
            .config_override(with_time(time(source.size)))
            .send()
            .await;
        match copied {
            Ok(answer) => {
                let result = answer.copy_object_result();
                Ok(PutOutcome::Written(etag(
                    result.and_then(|copy| copy.e_tag()),
                )))
            }
            Err(error) if is_absent(&error) => Ok(PutOutcome::Absent),
            Err(error) => refusal(COPY, &self.at(to), Repeat::Harmless, error),
        }
    }

    async fn copy_in_parts(
        &self,
        source: &ObjectInfo,
        metadata: &Attributes,
        to: &str,
        condition: Condition,
    ) -> PortResult<PutOutcome> {
        let begun = self.begin(to, metadata).await?;
        let step = usize::try_from(COPY_PART_BYTES).unwrap_or(usize::MAX);
        let parts = stream::iter((1..).zip((0..source.size).step_by(step)))
            .map(|(number, start)| self.copy_part(&begun, number, source, start))
            .buffered(PARTS)
            .try_collect()
            .await;
        self.end(begun, parts, condition).await
    }

    async fn copy_part(
        &self,
        begun: &Begun,
        number: i32,
        source: &ObjectInfo,
        start: u64,
    ) -> PortResult<CompletedPart> {
        let range = start..source.size.min(start + COPY_PART_BYTES);
        let request = self.client.upload_part_copy().bucket(&self.bucket);
        let answer = request
            .key(begun.key())
            .upload_id(begun.id())
            .part_number(number)
            .copy_source(self.source(source))
            .copy_source_if_match(&source.etag.0)
            .copy_source_range(header(&range))
            .customize()
            .config_override(with_time(time(range.end - range.start)))
            .send()
            .await
            .map_err(|error| port_error(COPY, &self.at(begun.key()), Repeat::Harmless, error))?;
        let part = answer.copy_part_result();
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.and_then(|part| part.e_tag()).map(str::to_owned))
            .set_checksum_sha256(
                part.and_then(|part| part.checksum_sha256())
                    .map(str::to_owned),
            )
            .build())
    }

    async fn head_with_metadata(&self, key: &str) -> PortResult<Option<(ObjectInfo, Attributes)>> {
        let request = self.client.head_object().bucket(&self.bucket).key(key);
        match request.send().await {
            Ok(answer) => {
                let metadata = answer.metadata().cloned().unwrap_or_default();
                let info = info(key, size_of(answer.content_length()), answer.e_tag());
                Ok(Some((info, metadata.into_iter().collect())))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(port_error(COPY, &self.at(key), Repeat::Harmless, error)),
        }
    }

    /// `bucket/key`, escaped as a part of a URL.
    fn source(&self, source: &ObjectInfo) -> String {
        format!(
            "{}/{}",
            self.bucket,
            utf8_percent_encode(&source.key, PLAIN)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limit_of_a_copy_grows_with_its_size() {
        assert_eq!(time(0), SEND);
        assert_eq!(time(COPY_PART_BYTES).as_secs(), 60 + 51);
        assert_eq!(time(MOST_AT_ONCE).as_secs(), 60 + 512);
    }
}
