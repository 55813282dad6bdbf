//! Runs that the published lineage contains already: delivered again after a crash between swap and
//! acknowledgement, or done by somebody else. They are recorded and acknowledged, and not merged
//! again.

use compactor_core::ports::{Completion, Fault};
use compactor_core::{Manifest, RunId};

use super::Batch;
use crate::RunError;
use crate::snapshot::{Published, read_manifest};
use crate::waiting::has_receives_left;

impl Batch<'_> {
    /// Completes the runs that `base` contains.
    pub(in crate::cycle) async fn settle_applied(&mut self, base: Option<&Published>) {
        // What the Python compactor wrote names no runs: one that it has folded in already is folded
        // in again.
        let Some((base, manifest)) = base.and_then(|base| Some((base, base.manifest()?))) else {
            return;
        };
        for at in 0..self.entries.len() {
            let entry = &self.entries[at];
            if entry.settled || !manifest.contains_run(&entry.message.key.run_id) {
                continue;
            }
            let run_id = &entry.message.key.run_id;
            let merged_vectors = match self.merged_by(run_id, manifest).await {
                Ok(merged) => merged,
                // What is recorded once stays: better said later than wrong.
                Err(error) if !is_for_good(&error) && self.can_come_back(at) => {
                    tracing::warn!(run = %run_id, code = error.code(), %error, "cannot read what a run merged; it comes back");
                    self.forget(at);
                    continue;
                }
                Err(error) => {
                    tracing::warn!(run = %run_id, code = error.code(), %error, "cannot tell how many records a run merged");
                    0
                }
            };
            let completion = Completion {
                merged_vectors,
                version: base.version.clone(),
                fence: manifest.fence,
                at: self.context.ports.clock.wall(),
            };
            tracing::info!(run = %run_id, version = %base.version, "already in the published lineage");
            if let Err(error) = self.complete_one(at, &completion).await {
                tracing::warn!(code = error.code(), %error, "cannot record a completed run; it comes back");
            }
        }
    }

    /// Whether half of the receives are left. The run is published; nothing is won by burying it.
    fn can_come_back(&self, at: usize) -> bool {
        let max_receives = self.context.ports.queue.max_receives();
        let deliveries = &self.entries[at].deliveries;
        let receives = deliveries.iter().map(|delivery| delivery.receive_count);
        has_receives_left(receives.max().unwrap_or(0), max_receives)
    }

    /// How many records a run of the lineage merged: its own version's manifest says it. 0 where that
    /// is not there any more.
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
            match read_manifest(objects, &self.collection, &parent.version).await? {
                Some(found) => manifest = found,
                // Cleaned up since: the record, if it was written, keeps the figure.
                None => return Ok(0),
            }
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
