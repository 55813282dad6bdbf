//! Copies a closed Chroma directory.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::io::Errno;

use super::orphans;
use super::room::check_room;
use super::stamps::Stamps;
use crate::{StoreError, StoreResult, connection};

/// Bytes of a block in `st_blocks`, on every file system.
const BLOCK_BYTES: u64 = 512;

/// Copies the directory `from` into the new folder `to`: the database and the folders that its
/// segments name. Holes stay holes. Side-cars and orphans are left out.
///
/// # Errors
/// The disk has no room (`NoSpace`), `from` is not a closed Chroma directory, another process wrote
/// to `from` during the copy (`Changed`), `to` exists (`AlreadyExists`), or a file cannot be copied
/// (`Io`).
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
    let paths = {
        let connection = connection::open_read(from)?;
        orphans::leave_out(&connection, from, before.paths())?
    };
    // Holes take up no room.
    let blocks = paths
        .iter()
        .map(|path| Ok(fs_err::metadata(from.join(path))?.blocks()));
    let blocks = blocks.sum::<io::Result<u64>>()?;
    check_room(to, blocks.saturating_mul(BLOCK_BYTES))?;
    for path in paths {
        let target = to.join(path);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        // Not `fs::copy`: the copy of a read-only file would be read-only too, and a merge could
        // not write to it.
        let source = fs_err::File::open(from.join(path))?;
        let copy = fs_err::File::create_new(&target)?;
        copy_data(&source, &copy)?;
    }
    // A copy that is made during a write is sometimes torn, and looks whole.
    connection::preflight(from)?;
    before.still_hold(from)
}

/// Copies the data of a file, and leaves its holes.
fn copy_data(mut source: &fs_err::File, mut copy: &fs_err::File) -> io::Result<()> {
    let size = source.metadata()?.len();
    let mut at = 0;
    while let Some((data, hole)) = next_data(source, at)? {
        source.seek(SeekFrom::Start(data))?;
        copy.seek(SeekFrom::Start(data))?;
        io::copy(&mut source.take(hole - data), &mut copy)?;
        at = hole;
    }
    copy.set_len(size)
}

/// Where the next data begins and ends, in bytes. A file system that does not say so has no holes.
fn next_data(source: &fs_err::File, at: u64) -> io::Result<Option<(u64, u64)>> {
    let data = match rustix::fs::seek(source, rustix::fs::SeekFrom::Data(at)) {
        Ok(data) => data,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::NOTSUP) => {
            let size = source.metadata()?.len();
            return Ok((at < size).then_some((at, size)));
        }
        Err(error) => return Err(error.into()),
    };
    let hole = rustix::fs::seek(source, rustix::fs::SeekFrom::Hole(data))?;
    Ok(Some((data, hole)))
}
