//! Bounds what the tar reader reads between two entries: names of any length and PAX records. The
//! reader takes them whole into memory, whatever size their header gives.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::{StoreError, StoreResult};

/// Bytes of the extension headers of one entry.
pub(super) const EXTENSION_BYTES: u64 = 64 << 10;
/// The plain headers of an entry and of its extensions, and the padding before them.
const PLAIN_HEADERS: u64 = 8 << 10;
/// What may follow the last entry. GNU tar fills its last record, of up to some hundred KiB.
pub(super) const TRAILING_BYTES: u64 = 1 << 20;

/// How many bytes the reader may still read. Each call below grants more.
#[derive(Clone, Default)]
pub(super) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    /// Grants the bytes of the headers of one entry.
    pub(super) fn headers(&self) {
        self.0.set(EXTENSION_BYTES + PLAIN_HEADERS);
    }

    /// Grants `bytes` of content.
    pub(super) fn content(&self, bytes: u64) {
        self.0.set(bytes);
    }

    /// Whether the reader asked for more bytes than it was granted.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.get() == 0
    }

    /// The error for an archive that needs more bytes than it was granted.
    pub(super) fn passed(&self) -> StoreError {
        StoreError::ArchiveLimit {
            limit: EXTENSION_BYTES,
            what: "bytes of names and extension headers in one entry",
        }
    }

    /// Reads to the end of the stream, because gzip checks its sum only there. Refuses more than
    /// [`TRAILING_BYTES`].
    pub(super) fn finish(&self, mut rest: impl Read) -> StoreResult<io::Result<u64>> {
        self.0.set(TRAILING_BYTES);
        match io::copy(&mut rest, &mut io::sink()) {
            Err(_) if self.is_used_up() => Err(StoreError::ArchiveLimit {
                limit: TRAILING_BYTES,
                what: "bytes after the last entry",
            }),
            read => Ok(read),
        }
    }
}

/// A reader that gives no more bytes than were granted.
pub(super) struct Allowed<R> {
    pub(super) inner: R,
    pub(super) allowance: Allowance,
}

impl<R: Read> Read for Allowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.0.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::other("more than is allowed"));
        }
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.allowance.0.set(left - read as u64);
        Ok(read)
    }
}
