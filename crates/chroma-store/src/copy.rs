//! Copies a Chroma directory that nobody writes to.

use std::path::Path;

use crate::{StoreError, StoreResult, connection, files};

/// Copies the files of `from` into the new folder `to`, side-cars left out.
///
/// # Errors
/// `from` is not a closed Chroma directory, `to` exists, or a file cannot be copied.
pub fn copy_directory(from: &Path, to: &Path) -> StoreResult<()> {
    connection::preflight(from)?;
    match fs_err::create_dir(to) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(StoreError::AlreadyExists {
                path: to.to_path_buf(),
            });
        }
        Err(error) => return Err(error.into()),
    }
    for path in files::regular_files(from)? {
        let target = to.join(&path);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::copy(from.join(&path), &target)?;
    }
    // Written to meanwhile: the copy may be torn.
    connection::preflight(from)?;
    Ok(())
}
