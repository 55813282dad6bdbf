//! Ctrl-C during offline work: what was begun is removed, nothing half-made is left behind.

use std::path::Path;

use super::signals::{EXIT_INTERRUPTED, StopSignals};
use crate::failure::Failure;

/// Removes `scratch` and ends the process when Ctrl-C or SIGTERM comes.
pub(super) fn remove_on_interrupt(scratch: &Path) -> Result<(), Failure> {
    let scratch = scratch.to_path_buf();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io)?;
    let mut signals = {
        let _within = runtime.enter();
        StopSignals::listen()?
    };
    std::thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            runtime.block_on(signals.next());
            let _ = fs_err::remove_dir_all(&scratch);
            std::process::exit(EXIT_INTERRUPTED);
        })
        .map(drop)
        .map_err(Failure::io)
}
