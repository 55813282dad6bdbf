//! Packs a closed directory.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::{ClosedStore, StoreResult, files};

/// Writes `store` as a gzip tar whose members are named `./...`, as Python's
/// `tarfile.add(dir, arcname=".")` does. The same content gives the same bytes.
///
/// # Errors
/// A file cannot be read or `output` cannot be written.
pub fn pack<W: Write>(store: &ClosedStore, output: W) -> StoreResult<W> {
    let mut archive = Builder::new(GzEncoder::new(output, Compression::fast()));
    for path in files::regular_files(store.dir())? {
        let file = fs_err::File::open(store.dir().join(&path))?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(file.metadata()?.len());
        header.set_mode(0o644);
        archive.append_data(&mut header, format!("./{path}"), file)?;
    }
    Ok(archive.into_inner()?.finish()?)
}
