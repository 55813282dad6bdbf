//! Counters that alarms watch. The first seven have the names that the Python compactor gave them, so that its
//! alarms continue to work. A recorder of the `metrics` crate collects them; without one they are lost.

/// A collection had runs, and its lock was another's: counted as the Python compactor did
/// (`collection::lock_contention`).
pub(crate) const LOCKED_OUT: &str = "CompactionLockAcquisitionFailed";
/// The published snapshot could not be fetched.
pub(crate) const SNAPSHOT_DOWNLOAD: &str = "CompactionSnapshotDownloadError";
/// A new version could not be uploaded, or the pointer not be moved to it.
pub(crate) const SNAPSHOT_UPLOAD: &str = "CompactionSnapshotUploadError";
/// A run's delta could not be fetched or merged.
pub(crate) const DELTA_MERGE: &str = "CompactionDeltaMergeError";
/// A run was merged and published.
pub(crate) const DELTAS_MERGED: &str = "CompactionDeltaMergeCount";
/// A run's record could not be written.
pub(crate) const RUN_STATE: &str = "CompactionRunStateUpdateError";
/// A message could not be understood.
pub(crate) const MESSAGE_PARSE: &str = "CompactionMessageParseError";
/// A message that other consumers act on was taken, and was not acted on.
pub(crate) const UNHANDLED: &str = "CompactionMessagesUnhandled";
/// A message was acknowledged that is about no run, as the Python compactor did.
pub(crate) const ACKNOWLEDGED: &str = "CompactionMessagesAcknowledged";
/// A published version was overwritten by a writer that does not keep the protocol.
pub(crate) const OVERWRITTEN: &str = "CompactionSnapshotOverwritten";

/// Counts one event.
pub(crate) fn count(name: &'static str) {
    ::metrics::counter!(name).increment(1);
}
