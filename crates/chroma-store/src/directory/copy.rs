//! Copies a Chroma directory that nobody writes to.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::io::Errno;

use super::orphans;
use super::room::check_room;
use super::stamps::Stamps;
use crate::{StoreError, StoreResult, connection};

/// What `st_blocks` counts, whatever the file system.
const BLOCK_BYTES: u64 = 512;

/// Copies the files of `from` into the new folder `to`: what its segments name, and holes as
/// holes. Side-cars and what no segment names stay behind.
///
/// # Errors
/// The disk has no room for the copy, `from` is not a closed Chroma directory, another process
/// wrote to `from` during the copy, `to` exists, or a file cannot be copied.
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
    // What a hole does not take up is not needed.
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
        // Not `fs::copy`: a read-only original would make a copy that cannot be merged into.
        let source = fs_err::File::open(from.join(path))?;
        let copy = fs_err::File::create_new(&target)?;
        copy_data(&source, &copy)?;
    }
    // A copy of a directory that is being written is torn, now and then, and looks whole.
    connection::preflight(from)?;
    before.still_hold(from)
}

/// Copies what is written in a file; what never was stays a hole.
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

/// Where the next data begins and ends; a file system that does not tell has no holes.
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
