//! Bounds what the reader of a tar takes in between two entries: names of any length, and PAX
//! records. It reads these as a whole into memory, whatever size their header gives.

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

/// How much may be read before the next call says more.
#[derive(Clone, Default)]
pub(super) struct Allowance(Rc<Cell<u64>>);

impl Allowance {
    /// The headers of one entry come next.
    pub(super) fn headers(&self) {
        self.0.set(EXTENSION_BYTES + PLAIN_HEADERS);
    }

    /// So many bytes of content come next.
    pub(super) fn content(&self, bytes: u64) {
        self.0.set(bytes);
    }

    /// Whether more was asked for than was allowed.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.get() == 0
    }

    /// What an archive is refused with that needs more.
    pub(super) fn passed(&self) -> StoreError {
        StoreError::ArchiveLimit {
            limit: EXTENSION_BYTES,
            what: "bytes of names and extension headers in one entry",
        }
    }

    /// Reads to the end, of which there must not be much: a gzip checks its own sum only there.
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

/// A reader that gives no more than is allowed.
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
