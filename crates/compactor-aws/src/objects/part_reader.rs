//! Reads a file in parts, in order, and digests it on the way. S3 verifies each part, so the digest of the
//! whole is that of what S3 has received.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use compactor_core::ports::{Fault, PortError, PortResult};
use sha2::{Digest, Sha256};

use super::local_file::{blocking, disk};

/// One part of a file, in memory.
pub(super) struct Part {
    /// The number of the part, from 1.
    pub(super) number: i32,
    pub(super) body: Bytes,
    /// The SHA-256 of the part in base 64, as S3 expects it.
    pub(super) sha256: String,
}

/// A file that is read once, from its beginning to its end.
pub(super) struct PartReader {
    path: PathBuf,
    file: Arc<File>,
    size: u64,
    part_bytes: u64,
    offset: u64,
    parts: i32,
    whole: Sha256,
}

impl PartReader {
    pub(super) async fn open(path: &Path, size: u64, part_bytes: u64) -> PortResult<Self> {
        let owned = path.to_path_buf();
        let file = blocking(move || File::open(owned)).await;
        let file = file.map_err(|error| disk(path, error))?;
        Ok(Self {
            path: path.to_path_buf(),
            file: Arc::new(file),
            size,
            part_bytes,
            offset: 0,
            parts: 0,
            whole: Sha256::new(),
        })
    }

    /// Reads the next part; an empty one at the end.
    pub(super) async fn next(&mut self) -> PortResult<Part> {
        let length = self.part_bytes.min(self.size - self.offset);
        let (file, mut whole, offset) = (Arc::clone(&self.file), self.whole.clone(), self.offset);
        let read = blocking(move || {
            let mut body = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut body, offset)?;
            whole.update(&body);
            let sha256 = BASE64_STANDARD.encode(Sha256::digest(&body));
            Ok((body, sha256, whole))
        });
        let (body, sha256, whole) = read.await.map_err(|error| self.failed(error))?;
        self.whole = whole;
        self.offset += length;
        self.parts += 1;
        Ok(Part {
            number: self.parts,
            body: Bytes::from(body),
            sha256,
        })
    }

    /// The SHA-256 of everything that was read, in lower-case hex.
    pub(super) fn sha256(self) -> String {
        hex::encode(self.whole.finalize())
    }

    fn failed(&self, error: std::io::Error) -> PortError {
        if error.kind() != std::io::ErrorKind::UnexpectedEof {
            return disk(&self.path, error);
        }
        let reason = "the file became shorter while it was read";
        let target = self.path.display().to_string();
        PortError::new("upload file", target, Fault::Invalid, reason)
    }
}
