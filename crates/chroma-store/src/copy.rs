//! Copies a Chroma directory that nobody writes to.

use std::path::Path;
use std::time::SystemTime;

use crate::{StoreError, StoreResult, connection, files};

/// Copies the files of `from` into the new folder `to`, side-cars left out.
///
/// # Errors
/// `from` is not a closed Chroma directory, somebody wrote to it meanwhile, `to` exists, or a file
/// cannot be copied.
pub fn copy_directory(from: &Path, to: &Path) -> StoreResult<()> {
    connection::preflight(from)?;
    let before = stamps(from)?;
    match fs_err::create_dir(to) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(StoreError::AlreadyExists {
                path: to.to_path_buf(),
            });
        }
        Err(error) => return Err(error.into()),
    }
    for Stamp { path, .. } in &before {
        let target = to.join(path);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::copy(from.join(path), &target)?;
    }
    // A copy of a directory that is being written is torn, now and then, and looks whole.
    connection::preflight(from)?;
    if stamps(from)? == before {
        Ok(())
    } else {
        Err(StoreError::Changed {
            path: from.to_path_buf(),
        })
    }
}

/// What changes when a file is written.
#[derive(PartialEq)]
struct Stamp {
    path: String,
    size: u64,
    modified: SystemTime,
}

fn stamps(dir: &Path) -> StoreResult<Vec<Stamp>> {
    files::regular_files(dir)?
        .into_iter()
        .map(|path| {
            let meta = fs_err::metadata(dir.join(&path))?;
            Ok(Stamp {
                size: meta.len(),
                modified: meta.modified()?,
                path,
            })
        })
        .collect()
}
