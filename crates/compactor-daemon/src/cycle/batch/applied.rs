//! Runs that the published lineage contains already: delivered again after a crash between swap and
//! acknowledgement, or done by somebody else. They are recorded and acknowledged, and not merged
//! again.

use compactor_core::ports::{Completion, Fault};
use compactor_core::{Manifest, RunId};

use super::Batch;
use crate::RunError;
use crate::snapshot::{Published, read_manifest};

impl Batch<'_> {
    /// Completes the runs that `base` contains. Fails where it cannot be read what they merged: what
    /// is recorded once stays, so it is better said later than wrong.
    pub(in crate::cycle) async fn settle_applied(
        &mut self,
        base: Option<&Published>,
    ) -> Result<(), RunError> {
        // What the Python compactor wrote names no runs: one that it has folded in already is folded
        // in again.
        let Some((base, manifest)) = base.and_then(|base| Some((base, base.manifest()?))) else {
            return Ok(());
        };
        for at in 0..self.entries.len() {
            let entry = &self.entries[at];
            if entry.settled || !manifest.contains_run(&entry.message.key.run_id) {
                continue;
            }
            let run_id = &entry.message.key.run_id;
            let completion = Completion {
                merged_vectors: self.merged_by(run_id, manifest).await?,
                version: base.version.clone(),
                fence: manifest.fence,
                at: self.context.ports.clock.wall(),
            };
            tracing::info!(run = %run_id, version = %base.version, "already in the published lineage");
            if let Err(error) = self.complete_one(at, &completion).await {
                tracing::warn!(code = error.code(), %error, "cannot record a completed run; it comes back");
            }
        }
        Ok(())
    }

    /// How many records a run of the lineage merged: its own version's manifest says it. 0 where that
    /// is not there any more, or will never be readable.
    async fn merged_by(&self, run: &RunId, manifest: &Manifest) -> Result<u64, RunError> {
        let objects = self.context.ports.objects.as_ref();
        let mut manifest = manifest.clone();
        loop {
            if let Some(applied) = manifest.runs.iter().find(|applied| applied.run_id == *run) {
                return Ok(applied.merged);
            }
            let Some(parent) = manifest.parent else {
                return Ok(0);
            };
            manifest = match read_manifest(objects, &self.collection, &parent.version).await {
                Ok(Some(found)) => found,
                // Cleaned up since: the record, if it was written, keeps the figure.
                Ok(None) => return Ok(0),
                Err(error) if is_for_good(&error) => {
                    tracing::warn!(%run, code = error.code(), %error, "cannot tell how many records a run merged");
                    return Ok(0);
                }
                Err(error) => return Err(error),
            };
        }
    }
}

/// Whether a manifest is damaged, of a newer format, or too large.
fn is_for_good(error: &RunError) -> bool {
    match error {
        RunError::Manifest { .. } => true,
        RunError::Port(error) => error.fault == Fault::Full,
        _ => false,
    }
}
