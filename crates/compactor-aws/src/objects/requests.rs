//! What requests to S3 have in common: addresses, headers, and how long an attempt may take.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use compactor_core::ports::Condition;

use crate::fault::Repeat;

pub(super) fn address(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

/// Time for a part that is sent: it takes no longer on any line that is worth using.
pub(super) const SEND: Duration = Duration::from_secs(60);

/// For calls that take longer than the answer to a question: each attempt has so much time.
pub(super) fn with_time(attempt: Duration) -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(attempt);
    aws_sdk_s3::config::Builder::new().timeout_config(timeouts.build())
}

/// One attempt: whether a lost answer stands for success only the caller can find out.
pub(super) fn once() -> aws_sdk_s3::config::Builder {
    with_time(SEND).retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
}

pub(super) fn repeat(condition: &Condition) -> Repeat {
    match condition {
        Condition::Always => Repeat::Harmless,
        Condition::IfAbsent | Condition::IfMatch(_) => Repeat::Unknown,
    }
}

/// `bytes=first-last`, of a range that is not empty.
pub(super) fn header(range: &Range<u64>) -> String {
    match range.end {
        // More than any object has.
        end if end > i64::MAX as u64 => format!("bytes={}-", range.start),
        end => format!("bytes={}-{}", range.start, end - 1),
    }
}

/// As the existing writers name them.
pub(super) fn content_type(key: &str) -> &'static str {
    match key.rsplit(['/', '.']).next() {
        Some("txt" | "snapshot_hash") => "text/plain",
        Some("json") => "application/json",
        Some("gz") => "application/gzip",
        _ => "application/octet-stream",
    }
}
