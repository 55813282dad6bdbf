//! User metadata beside the bodies. A body without metadata has no sidecar.

use std::io;
use std::path::{Path, PathBuf};

use compactor_core::ports::{Attributes, ETag};

fn path(folder: &Path, etag: &ETag) -> PathBuf {
    folder.join(format!("{}.json", etag.0))
}

/// Reads the sidecar of a body; `None` if there is none.
pub(super) fn read(folder: &Path, etag: &ETag) -> io::Result<Option<Attributes>> {
    match fs_err::read(path(folder, etag)) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// Writes the sidecar of a body that is not in place yet. The folder exists. A torn one does no
/// harm: its body never gets its place.
pub(super) fn write(folder: &Path, etag: &ETag, metadata: &Attributes) -> io::Result<()> {
    let mut file = fs_err::File::create(path(folder, etag))?;
    serde_json::to_writer(&mut file, metadata)?;
    file.sync_all()?;
    fs_err::File::open(folder)?.sync_all()
}

/// Removes every sidecar of a key but the one of the body in place.
pub(super) fn remove_stale(folder: &Path, current: Option<&ETag>) -> io::Result<()> {
    let keep = current.map(|etag| path(folder, etag));
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // Folders hold the sidecars of longer keys.
        if entry.file_type()?.is_file() && Some(entry.path()) != keep {
            fs_err::remove_file(entry.path())?;
        }
    }
    Ok(())
}
