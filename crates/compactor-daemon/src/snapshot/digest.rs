//! Digests of files on disk.

use std::io::Write;
use std::path::Path;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::RunError;

/// The SHA-256 of a file, in lower-case hex.
pub(super) fn sha256_of(path: &Path) -> Result<String, RunError> {
    digest_of::<Sha256>(path)
}

/// The MD5 of a file, in lower-case hex: what older writers' hash objects have.
pub(crate) fn md5_of(path: &Path) -> Result<String, RunError> {
    digest_of::<Md5>(path)
}

fn digest_of<D: Digest>(path: &Path) -> Result<String, RunError> {
    let mut digest = Digesting(D::new());
    let mut file = fs_err::File::open(path).map_err(chroma_store::StoreError::from)?;
    std::io::copy(&mut file, &mut digest).map_err(chroma_store::StoreError::from)?;
    Ok(hex::encode(digest.0.finalize()))
}

/// [`Write`] for a digest.
struct Digesting<D>(D);

impl<D: Digest> Write for Digesting<D> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
