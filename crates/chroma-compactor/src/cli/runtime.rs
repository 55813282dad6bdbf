//! The asynchronous runtime of one command.

use std::time::Duration;

use crate::failure::Failure;

/// Runs `work` on a new runtime, and does not wait for blocking work that was abandoned.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::io)?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}
