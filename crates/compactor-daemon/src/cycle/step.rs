//! The boundaries between steps, by name.

use compactor_core::CollectionName;

use crate::RunError;

/// A boundary: the named step is done, the next has not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Messages are in hand.
    Received,
    /// The collection's lease is ours.
    Leased,
    /// The pointer was read.
    Resolved,
    /// Snapshot and deltas are on this machine.
    Fetched,
    /// The deltas are merged.
    Merged,
    /// The directory is proven closed.
    Closed,
    /// The directory is verified.
    Verified,
    /// The new version is uploaded, manifest last.
    Uploaded,
    /// The pointer names the new version.
    Swapped,
    /// The run records say COMPLETED.
    Recorded,
    /// The messages are deleted.
    Acknowledged,
    /// The lease is free.
    Released,
}

impl Step {
    /// All boundaries, in order.
    pub const ALL: [Self; 12] = [
        Self::Received,
        Self::Leased,
        Self::Resolved,
        Self::Fetched,
        Self::Merged,
        Self::Closed,
        Self::Verified,
        Self::Uploaded,
        Self::Swapped,
        Self::Recorded,
        Self::Acknowledged,
        Self::Released,
    ];

    /// The boundary's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Leased => "leased",
            Self::Resolved => "resolved",
            Self::Fetched => "fetched",
            Self::Merged => "merged",
            Self::Closed => "closed",
            Self::Verified => "verified",
            Self::Uploaded => "uploaded",
            Self::Swapped => "swapped",
            Self::Recorded => "recorded",
            Self::Acknowledged => "acknowledged",
            Self::Released => "released",
        }
    }
}

/// Called at every boundary, for progress and for tests that stop there as a crash would.
pub trait StepHooks: Send + Sync {
    /// `step` is done for `collection`.
    ///
    /// # Errors
    /// [`RunError::Killed`] ends the cycle at once, with no clean-up.
    fn reached(&self, step: Step, collection: &CollectionName) -> Result<(), RunError>;
}

/// Does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

impl StepHooks for NoHooks {
    fn reached(&self, step: Step, collection: &CollectionName) -> Result<(), RunError> {
        tracing::debug!(step = step.name(), %collection, "reached");
        Ok(())
    }
}
