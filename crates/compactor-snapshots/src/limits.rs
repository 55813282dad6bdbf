//! Upper bounds on what comes from outside.

use chroma_store::UnpackLimits;

/// Upper bounds; nothing grows past them (invariant I8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a packed delta.
    pub archive_bytes: u64,
    /// What an unpacked delta may hold.
    pub unpacked: UnpackLimits,
    /// Most bytes of all deltas of a cycle together, unpacked; while a delta is fetched, its packed bytes count too.
    pub batch_bytes: u64,
    /// Most bytes of one record of a delta: its id, vector, document and metadata.
    pub value_bytes: u32,
    /// Most bytes of a snapshot.
    pub snapshot_bytes: u64,
    /// Most objects that are transferred at the same time.
    pub transfers: usize,
}
