//! Ctrl-C during offline work: what was begun is removed, nothing half-made is left behind.

use std::path::Path;

use crate::failure::Failure;

/// 128 + SIGINT, as shells report it.
const EXIT_INTERRUPTED: i32 = 130;

/// Removes `scratch` and ends the process when Ctrl-C or SIGTERM comes.
pub(super) fn remove_on_interrupt(scratch: &Path) -> Result<(), Failure> {
    let scratch = scratch.to_path_buf();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io)?;
    std::thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            runtime.block_on(super::run::stop_signal());
            let _ = fs_err::remove_dir_all(&scratch);
            std::process::exit(EXIT_INTERRUPTED);
        })
        .map(drop)
        .map_err(Failure::io)
}
