//! Packs a closed directory into a gzip tar.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::{ClosedStore, StoreResult};

/// Writes `store` to `output` as a gzip tar. Its members are named `./...`, as Python's
/// `tarfile.add(dir, arcname=".")` names them. The same content gives the same bytes.
///
/// `notes` are further members, as pairs of name and content, that are no files of the directory.
///
/// # Errors
/// A file cannot be read (`Io`), another process wrote to the directory since it was proven closed
/// (`Changed`), or `output` cannot be written (`Io`).
pub fn pack<W: Write>(store: &ClosedStore, notes: &[(&str, &[u8])], output: W) -> StoreResult<W> {
    let mut archive = Builder::new(GzEncoder::new(output, Compression::fast()));
    for path in store.paths() {
        let file = fs_err::File::open(store.dir().join(path))?;
        let size = file.metadata()?.len();
        // A file that grows must not break the archive; the check below finds that it grew.
        archive.append_data(&mut header(size), format!("./{path}"), file.take(size))?;
    }
    for (name, content) in notes {
        archive.append_data(
            &mut header(content.len() as u64),
            format!("./{name}"),
            *content,
        )?;
    }
    store.unchanged(archive.into_inner()?.finish()?)
}

fn header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header
}
