//! What requests to S3 have in common: addresses, headers, and how long an attempt may take.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use compactor_core::ports::Condition;

use crate::fault::Repeat;

pub(super) fn address(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

/// How long sending one part may take.
pub(super) const SEND: Duration = Duration::from_secs(60);

/// The configuration of a call that takes longer than usual: each attempt may take `attempt`.
pub(super) fn with_time(attempt: Duration) -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt);
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build())
}

/// The configuration of a call that must not be retried: after a lost answer, only the caller can find out
/// whether it took effect.
pub(super) fn once() -> aws_sdk_s3::config::Builder {
    with_time(SEND).retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
}

pub(super) fn repeat(condition: &Condition) -> Repeat {
    match condition {
        Condition::Always => Repeat::Harmless,
        Condition::IfAbsent | Condition::IfMatch(_) => Repeat::Unknown,
    }
}

/// The header `Range` for a range that is not empty: `bytes=first-last`.
pub(super) fn header(range: &Range<u64>) -> String {
    match range.end {
        // No object has that many bytes.
        end if end > i64::MAX as u64 => format!("bytes={}-", range.start),
        end => format!("bytes={}-{}", range.start, end - 1),
    }
}

/// The content type that the Python writers give an object with this key.
pub(super) fn content_type(key: &str) -> &'static str {
    match key.rsplit(['/', '.']).next() {
        Some("txt" | "snapshot_hash") => "text/plain",
        Some("json") => "application/json",
        Some("gz") => "application/gzip",
        _ => "application/octet-stream",
    }
}
