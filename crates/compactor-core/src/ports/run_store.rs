//! The records of runs: what users look at to know what became of their deltas.

use async_trait::async_trait;

use super::{Completion, Failure, PortResult, WallTime};
use crate::{CollectionName, RunKey, RunRecord, Version};

/// Whether a record was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    New,
    /// There was one with this key; it was left as it is.
    Existed,
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
