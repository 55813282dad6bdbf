//! Copies a Chroma directory that nobody writes to.

use std::path::Path;

use crate::stamps::Stamps;
use crate::{StoreError, StoreResult, connection};

/// Copies the files of `from` into the new folder `to`, side-cars left out.
///
/// # Errors
/// `from` is not a closed Chroma directory, somebody wrote to it meanwhile, `to` exists, or a file
/// cannot be copied.
pub fn copy_directory(from: &Path, to: &Path) -> StoreResult<()> {
    connection::preflight(from)?;
    let before = Stamps::of(from)?;
    match fs_err::create_dir(to) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(StoreError::AlreadyExists {
                path: to.to_path_buf(),
            });
        }
        Err(error) => return Err(error.into()),
    }
    for path in before.paths() {
        let target = to.join(path);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        // Not `fs::copy`: a read-only original would make a copy that cannot be merged into.
        let mut source = fs_err::File::open(from.join(path))?.into_parts().0;
        let mut copy = fs_err::File::create_new(&target)?.into_parts().0;
        std::io::copy(&mut source, &mut copy)?;
    }
    // A copy of a directory that is being written is torn, now and then, and looks whole.
    connection::preflight(from)?;
    before.still_hold(from)
}
