//! Blocking work, kept off the async threads.

use compactor_core::ports::{Fault, PortError, PortResult};

/// Runs `work` on a blocking thread. Dropping the future does not stop the work.
///
/// # Errors
/// Those of `work`, or `OutcomeUnknown` if it panicked or the runtime ended.
pub(crate) async fn blocking<T: Send + 'static>(
    operation: &'static str,
    target: &str,
    work: impl FnOnce() -> PortResult<T> + Send + 'static,
) -> PortResult<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            let reason = "the blocking task did not finish";
            Err(PortError::new(operation, target, Fault::OutcomeUnknown, reason).with_source(error))
        }
    }
}
