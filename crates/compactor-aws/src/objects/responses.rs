//! What the answers of S3 mean to a caller of the port.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::Object as Listed;
use compactor_core::ports::{ETag, Fault, ObjectInfo, PortError, PortResult, PutOutcome, WallTime};

use crate::fault::{Repeat, code, port_error, status};

/// The outcome of a put for an answer that is an error.
///
/// # Errors
/// The answer is no refusal of the condition.
pub(super) fn refusal<E>(
    operation: &'static str,
    target: &str,
    repeat: Repeat,
    error: SdkError<E, HttpResponse>,
) -> PortResult<PutOutcome>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match (status(&error), code(&error)) {
        // By the code too: a copy or a completion can fail after it has sent status 200.
        (Some(412), _) | (_, Some("PreconditionFailed")) => Ok(PutOutcome::PreconditionFailed),
        (Some(409), _) | (_, Some("ConditionalRequestConflict")) if repeat == Repeat::Unknown => {
            Ok(PutOutcome::Conflict)
        }
        (Some(404), Some("NoSuchKey")) => Ok(PutOutcome::Absent),
        _ => Err(port_error(operation, target, repeat, error)),
    }
}

/// Whether the key does not exist. A missing bucket does not count, except for a HEAD, whose answer has no
/// code.
pub(super) fn is_absent<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    status(error) == Some(404) && code(error) != Some("NoSuchBucket")
}

pub(super) fn too_large(operation: &'static str, key: &str, size: u64, limit: u64) -> PortError {
    let reason = format!("it has {size} bytes, at most {limit} are allowed");
    PortError::new(operation, key, Fault::TooLarge, reason)
}

/// Adds to an error of a conditional put that the store lacks conditional writes.
pub(super) fn without_conditions(mut error: PortError) -> PortError {
    if error.fault == Fault::Unsupported {
        let answer = error.reason;
        error.reason =
            format!("the store has no conditional writes (If-Match, If-None-Match): {answer}");
    }
    error
}

pub(super) fn cut_short(
    operation: &'static str,
    key: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> PortError {
    let reason = "the answer broke off";
    PortError::new(operation, key, Fault::Transient, reason).with_source(error)
}

pub(super) fn info(key: &str, size: u64, tag: Option<&str>) -> ObjectInfo {
    ObjectInfo {
        key: key.to_owned(),
        size,
        etag: etag(tag),
    }
}

pub(super) fn listed(object: &Listed) -> Option<ObjectInfo> {
    let size = size_of(object.size());
    Some(info(object.key()?, size, object.e_tag()))
}

pub(super) fn wall_time(time: &DateTime) -> Option<WallTime> {
    let microseconds = time.as_nanos() / 1000;
    Some(WallTime(i64::try_from(microseconds).ok()?))
}

pub(super) fn etag(tag: Option<&str>) -> ETag {
    ETag(tag.unwrap_or_default().to_owned())
}

pub(super) fn size_of(length: Option<i64>) -> u64 {
    length
        .and_then(|size| u64::try_from(size).ok())
        .unwrap_or(0)
}
