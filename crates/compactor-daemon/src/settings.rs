//! The validated settings of a daemon.

use std::time::Duration;

use chroma_store::{EmbeddingFunction, MergeOptions, VerifyLevel};
use compactor_core::lease::LeaseTerm;
use compactor_core::manifest::Layout;
use compactor_core::retention::RetentionPolicy;
use compactor_core::retry::Backoff;
use compactor_snapshots::{FirstSnapshot, Limits, MergeSettings, PublishSettings, RetryPolicy};

use crate::Admission;

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
    /// Which collections and delta prefixes messages may name.
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

impl Settings {
    /// How port calls are repeated.
    pub(crate) fn retry(&self) -> RetryPolicy {
        RetryPolicy {
            backoff: self.backoff,
            attempts: self.attempts,
        }
    }

    /// How a batch is merged. While runs wait, vectors are flushed later.
    pub(crate) fn merge_job(&self, has_runs: bool) -> MergeSettings {
        let mut merge = MergeOptions {
            longest_value: Some(self.limits.value_bytes),
            ..self.merge
        };
        if has_runs {
            merge.flush.at_least = self.flush_backlog;
        }
        MergeSettings {
            vacuum_above: self.merge.flush.vacuum_above_free_percent,
            merge,
            verify: self.verify,
            close_wait: self.close_wait,
        }
    }

    /// How a version is published.
    pub(crate) fn publish(&self) -> PublishSettings {
        PublishSettings {
            layout: self.layout,
            limits: self.limits,
            created_by: self.created_by.clone(),
        }
    }
}
