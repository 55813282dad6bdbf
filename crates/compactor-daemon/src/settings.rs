//! What the daemon is built from: ports and validated settings.

use std::sync::Arc;
use std::time::Duration;

use chroma_store::{EmbeddingFunction, MergeOptions, SchemaLevel, UnpackLimits, VerifyLevel};
use compactor_core::lease::LeaseTerm;
use compactor_core::manifest::Layout;
use compactor_core::ports::{Clock, Ids, LeaseStore, ObjectStore, Queue, RunStore};
use compactor_core::retention::RetentionPolicy;
use compactor_core::retry::Backoff;

use crate::Admission;

/// One adapter per port.
#[derive(Clone)]
pub struct Ports {
    /// Snapshots, pointers and deltas.
    pub objects: Arc<dyn ObjectStore>,
    /// Messages.
    pub queue: Arc<dyn Queue>,
    /// Locks and fences.
    pub leases: Arc<dyn LeaseStore>,
    /// Run records.
    pub runs: Arc<dyn RunStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Identifiers.
    pub ids: Arc<dyn Ids>,
}

/// What a collection's first snapshot is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSnapshot {
    /// The first delta: its schema level and its collection's configuration.
    LikeDelta,
    /// An empty directory at this level, with the first delta's space.
    AtLevel(SchemaLevel),
}

/// Upper bounds; nothing grows past them (invariant I8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a packed delta.
    pub archive_bytes: u64,
    /// What an unpacked delta may hold.
    pub unpacked: UnpackLimits,
    /// Bytes of all deltas of a cycle, unpacked.
    pub batch_bytes: u64,
    /// Bytes of one record of a delta.
    pub value_bytes: u32,
    /// Bytes of a snapshot.
    pub snapshot_bytes: u64,
    /// Objects transferred at the same time.
    pub transfers: usize,
}

/// What becomes of messages that other consumers act on, and this one does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unhandled {
    /// They go to the dead-letter queue, with the reason: no other consumer would see them.
    #[default]
    DeadLetter,
    /// They are acknowledged.
    Acknowledge,
}

impl Unhandled {
    /// As the setting is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::DeadLetter => "dead-letter",
            Self::Acknowledge => "acknowledge",
        }
    }
}

/// Settings of a daemon.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Batches merged at the same time, each of another collection.
    pub workers: usize,
    /// Most runs of a batch.
    pub batch_runs: usize,
    /// Most messages held at a time, waiting ones included.
    pub in_flight: usize,
    /// How long a received message stays hidden; it is extended while held.
    pub visibility: Duration,
    /// How long a receive waits for messages.
    pub poll_wait: Duration,
    /// What becomes of messages that other consumers act on.
    pub unhandled: Unhandled,
    /// Lease arithmetic.
    pub lease: LeaseTerm,
    /// Waits between attempts: of port calls, and of runs.
    pub backoff: Backoff,
    /// How often a port call is tried.
    pub attempts: u32,
    /// Percent of the records of our last version that may be gone from another writer's.
    pub max_shrink: u8,
    /// How often a batch starts again from a newer snapshot in one cycle.
    pub rebases: u32,
    /// How long stopping may take.
    pub shutdown: Duration,
    /// Merge options.
    pub merge: MergeOptions,
    /// How many vectors may wait in the log while runs wait to be merged. Beyond that, and when
    /// none wait, what is due is flushed.
    pub flush_backlog: u64,
    /// How thoroughly a snapshot is verified before it is published.
    pub verify: VerifyLevel,
    /// How long closing waits for other processes that hold the files.
    pub close_wait: Duration,
    /// Upper bounds.
    pub limits: Limits,
    /// What is let in.
    pub admission: Admission,
    /// Embedding functions that a first delta may give to its collection, beside chromadb's default.
    pub embedding_functions: Vec<EmbeddingFunction>,
    /// How published files are stored.
    pub layout: Layout,
    /// What the first snapshot of a collection is made from.
    pub first: FirstSnapshot,
    /// Which superseded versions are kept.
    pub retention: RetentionPolicy,
    /// How often they are looked for, per collection, after a publish.
    pub clean_up_every: Duration,
    /// Program name and version, for manifests.
    pub created_by: String,
}
