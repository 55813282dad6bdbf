//! The records of runs: what users look at to know what became of their deltas.

use async_trait::async_trait;

use super::{PortResult, WallTime};
use crate::{CollectionName, Fence, RunKey, RunRecord, Version};

/// Whether a record was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    New,
    /// There was one with this key; it was left as it is.
    Existed,
}

/// What a completed run reports, measured on the published snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Records of the delta that are in the snapshot because of this run.
    pub merged_vectors: u64,
    /// Operations of the delta without effect: updates and deletes of ids that do not exist.
    pub ignored_operations: u64,
    /// The version whose lineage contains the run.
    pub version: Version,
    /// The fence it was published under.
    pub fence: Fence,
    /// When.
    pub at: WallTime,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Code and text.
    pub error: String,
    /// When.
    pub at: WallTime,
    /// No attempt follows. Whoever waits for a run takes FAILED for the end.
    pub for_good: bool,
}

/// Run records. Each call touches only the named collection's fields.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Stores a new record, every part PENDING.
    async fn create(&self, record: &RunRecord) -> PortResult<Created>;

    /// Marks the part PROCESSING. A COMPLETED part stays as it is.
    ///
    /// A record that does not exist is made if its key is plain: whoever announced the run may
    /// have stored none. The record of an image's run was deleted by its owner, and stays so:
    /// nothing happens. So for all calls below.
    async fn start(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        prefix: &str,
        at: WallTime,
    ) -> PortResult<()>;

    /// Marks the part COMPLETED and clears its error.
    async fn complete(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        completion: &Completion,
    ) -> PortResult<()>;

    /// Marks the part FAILED for good, or else PENDING again, with the error. A COMPLETED part
    /// stays as it is.
    async fn fail(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        failure: &Failure,
    ) -> PortResult<()>;

    /// Marks the part FAILED with the reason, if it is COMPLETED in exactly `version`, which was
    /// overwritten; tells whether it was.
    async fn retract(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        version: &Version,
        reason: &str,
        at: WallTime,
    ) -> PortResult<bool>;

    /// Reads one record, strongly consistent.
    async fn get(&self, key: &RunKey) -> PortResult<Option<RunRecord>>;

    /// The newest `limit` records by creation time, newest first.
    async fn list(&self, limit: usize) -> PortResult<Vec<RunRecord>>;
}
