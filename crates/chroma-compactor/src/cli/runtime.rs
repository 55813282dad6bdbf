//! The asynchronous runtime of one command.

use std::time::Duration;

use crate::error::CommandError;

/// Runs `work` on a new runtime. Blocking calls that `work` has abandoned may not hold up the end of the
/// process: they get 100 milliseconds.
///
/// # Errors
/// Those of `work`; the runtime cannot start its threads.
pub(super) fn block_on<T>(
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(CommandError::io)?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_millis(100));
    outcome
}
