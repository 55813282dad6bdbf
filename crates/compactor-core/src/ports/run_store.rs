//! The records of runs, in which users look up what became of their deltas.

use async_trait::async_trait;

use super::{Completion, Failure, PortResult, WallTime};
use crate::{CollectionName, RunKey, RunRecord, Version};

/// Whether [`RunStore::create`] stored a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The record is stored.
    New,
    /// A record with this key already exists, and stays as it is.
    Existed,
}

/// Run records, one part per collection.
///
/// An adapter applies exactly the transitions of [`RunRecord`], each atomically, and writes only the
/// fields of the named collection and the time of the change. Workers of several collections can so
/// change one record at the same time.
///
/// `start`, `complete` and `fail` make a record that does not exist if its key is
/// [plain](RunKey::is_plain): the producer of such a run may have stored none. The record of an image's
/// run was stored by its producer, so a missing one was deleted: the call succeeds and changes nothing.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Stores a new record as it is, unless one with this key exists.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call. `OutcomeUnknown` if the record may have been
    /// stored.
    async fn create(&self, record: &RunRecord) -> PortResult<Created>;

    /// Marks the part PROCESSING since `at`, with its delta at `prefix`. A COMPLETED part stays as it is.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call. The change may have been made; repeating it is
    /// harmless.
    async fn start(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        prefix: &str,
        at: WallTime,
    ) -> PortResult<()>;

    /// Marks the part COMPLETED, with what the attempt reports, and clears its error. A part that is
    /// COMPLETED already keeps its first report.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    async fn complete(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        completion: &Completion,
    ) -> PortResult<()>;

    /// Records a failed attempt: the part is FAILED if the failure is for good, else PENDING again, and
    /// has the error. A COMPLETED part stays as it is.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    async fn fail(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        failure: &Failure,
    ) -> PortResult<()>;

    /// Takes a completion back after a lost update: marks the part FAILED with `reason`, if it is
    /// COMPLETED in exactly `version`, which another writer overwrote. Returns whether it did.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    async fn retract(
        &self,
        key: &RunKey,
        collection: &CollectionName,
        version: &Version,
        reason: &str,
        at: WallTime,
    ) -> PortResult<bool>;

    /// Reads one record, or `None` if there is none with this key. Sees every change that was
    /// acknowledged before.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call, or the record cannot be understood (`Corrupt`).
    async fn get(&self, key: &RunKey) -> PortResult<Option<RunRecord>>;

    /// The newest `limit` records by creation time, newest first. May lack the latest changes.
    ///
    /// # Errors
    /// The store cannot be reached or refuses the call.
    async fn list(&self, limit: usize) -> PortResult<Vec<RunRecord>>;
}
