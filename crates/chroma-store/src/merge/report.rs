//! What a merge is asked for and what it reports.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{FlushOptions, FlushReport, Space, StoreResult};

/// What an upsert of an existing record does to metadata keys that it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetadataMode {
    /// They stay, as in chromadb.
    #[default]
    Merge,
    /// They go; document and uri stay unless given. An update still merges: it is partial by
    /// nature.
    Replace,
}

/// Options of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MergeOptions {
    /// See [`MetadataMode`].
    pub metadata: MetadataMode,
    /// When and how vectors go into the index files.
    pub flush: FlushOptions,
    /// Bytes of the longest record that is taken from a delta: its id, vector, document and metadata
    /// together. `None` for as long as SQLite allows.
    pub longest_value: Option<u32>,
}

/// How a delta was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliedAs {
    /// Its log was whole: every operation counted, deletions and partial updates too.
    OperationLog,
    /// Its log was purged: every live record was upserted.
    State,
}

/// What operations did to the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Effects {
    /// Records that are new.
    pub added: u64,
    /// Changes of records that existed.
    pub updated: u64,
    /// Records that were removed.
    pub deleted: u64,
    /// Operations without effect: updates and deletes of ids that do not exist, and adds of ids that
    /// the delta itself had already.
    pub ignored: u64,
    /// Different records that were written and are there at the end of the merge.
    pub merged: u64,
}

impl Effects {
    /// Whether there were operations, and none had an effect.
    pub fn changed_nothing(&self) -> bool {
        self.ignored > 0 && self.added + self.updated + self.deleted == 0
    }

    /// Sums two effects.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            added: self.added + other.added,
            updated: self.updated + other.updated,
            deleted: self.deleted + other.deleted,
            ignored: self.ignored + other.ignored,
            merged: self.merged + other.merged,
        }
    }
}

/// What became of one delta.
#[derive(Debug)]
pub struct DeltaOutcome {
    /// Its directory.
    pub dir: PathBuf,
    /// Its space, if that is not the base's: its vectors are indexed in the base's.
    pub other_space: Option<Space>,
    /// How it was read and what it did, or why it was left out.
    pub result: StoreResult<(AppliedAs, Effects)>,
}

/// What became of a merge.
#[derive(Debug)]
pub struct MergeReport {
    /// The collection.
    pub collection: String,
    /// Records before.
    pub records_before: u64,
    /// Records after.
    pub records_after: u64,
    /// One per delta, in order.
    pub outcomes: Vec<DeltaOutcome>,
    /// What became of the index files; `None` when vectors were left in the log.
    pub flushed: Option<FlushReport>,
    /// As many vectors wait as the collection's threshold says, and were left in the log only
    /// because of [`FlushOptions::at_least`](crate::FlushOptions::at_least).
    pub flush_deferred: bool,
}

impl MergeReport {
    /// Effects of all deltas that were applied.
    pub fn effects(&self) -> Effects {
        self.outcomes
            .iter()
            .filter_map(|outcome| outcome.result.as_ref().ok())
            .fold(Effects::default(), |sum, (_, effects)| sum.plus(*effects))
    }
}
