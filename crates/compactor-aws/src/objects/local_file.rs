//! Files of this machine: work on them off the async threads, and their errors.

use std::path::Path;

use compactor_core::ports::PortError;

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(std::io::Error::other(error)),
    }
}

/// The error of a port call for an error of a local file.
pub(super) fn disk(path: &Path, error: std::io::Error) -> PortError {
    PortError::of_file("transfer file", path, error)
}
