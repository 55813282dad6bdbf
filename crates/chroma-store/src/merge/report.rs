//! Options of a merge, and its report.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{FlushOptions, FlushReport, FullName, Space, StoreResult};

/// What an upsert of an existing record does to the metadata keys that it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetadataMode {
    /// They stay, as in chromadb.
    #[default]
    Merge,
    /// They are removed; document and uri stay unless the upsert gives them. An update still
    /// merges, because it is partial by nature.
    Replace,
}

/// How to merge deltas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MergeOptions {
    /// What an upsert does to metadata keys that it does not name.
    pub metadata: MetadataMode,
    /// When a flush is due at the end of the merge, and how it makes index files.
    pub flush: FlushOptions,
    /// The most bytes of a record that the merge takes from a delta: its id, vector, document and
    /// metadata together. `None` for SQLite's own limit.
    pub longest_value: Option<u32>,
}

/// How a merge read a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliedAs {
    /// Its log was whole: the merge replayed every operation, deletions and partial updates too.
    OperationLog,
    /// Its log was purged: the merge upserted every live record.
    State,
}

/// Counts of what operations did to records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Effects {
    /// New records.
    pub added: u64,
    /// Operations that changed an existing record.
    pub updated: u64,
    /// Removed records.
    pub deleted: u64,
    /// Operations without effect: updates and deletes of ids that do not exist, and adds of ids that
    /// the delta itself had already.
    pub ignored: u64,
    /// Different records that the operations wrote and that exist at the end of the merge.
    pub merged: u64,
}

impl Effects {
    /// Whether there were operations, none of which had an effect.
    pub fn changed_nothing(&self) -> bool {
        self.ignored > 0 && self.added + self.updated + self.deleted == 0
    }

    /// The sum of both, field by field.
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

/// The result of a merge for one delta.
#[derive(Debug)]
pub struct DeltaOutcome {
    /// The directory of the delta.
    pub dir: PathBuf,
    /// The delta's space, if it differs from the base's. Its vectors are then indexed in the base's
    /// space.
    pub other_space: Option<Space>,
    /// How the merge read it and what it did, or the error for which it was left out.
    pub result: StoreResult<(AppliedAs, Effects)>,
}

/// The result of a merge.
#[derive(Debug)]
pub struct MergeReport {
    /// The full name of the collection.
    pub collection: FullName,
    /// Number of records before the merge.
    pub records_before: u64,
    /// Number of records after the merge.
    pub records_after: u64,
    /// The result of each delta, in the order of the deltas.
    pub outcomes: Vec<DeltaOutcome>,
    /// What the flush did; `None` if no flush was due and the vectors stay in the log.
    pub flushed: Option<FlushReport>,
    /// Whether a flush was due by the collection's threshold, and only
    /// [`FlushOptions::at_least`](crate::FlushOptions::at_least) held it back.
    pub flush_deferred: bool,
}

impl MergeReport {
    /// The sum of the effects of all deltas that were applied.
    pub fn effects(&self) -> Effects {
        self.outcomes
            .iter()
            .filter_map(|outcome| outcome.result.as_ref().ok())
            .fold(Effects::default(), |sum, (_, effects)| sum.plus(*effects))
    }
}
