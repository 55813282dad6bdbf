//! Runs that the published lineage contains already: delivered again after a crash between swap and
//! acknowledgement, or published by another worker. They are recorded and acknowledged, and not merged
//! again.

use std::collections::{BTreeMap, BTreeSet};

use compactor_core::disposition::Disposition;
use compactor_core::ports::{Completion, Fault};
use compactor_core::{Lineage, Manifest, RunId};
use compactor_snapshots::{Error as SnapshotError, Published};

use super::Settlement;
use crate::cycle::disposition::{Failed, disposition};
use crate::{Error, Result};

/// What runs merged: records, and operations without effect.
#[derive(Debug, Default)]
pub(in crate::cycle) struct Figures {
    merged: BTreeMap<RunId, [u64; 2]>,
    /// Why the others' could not be read, if that is so.
    unread: Option<Error>,
}

impl Settlement<'_> {
    /// Looks up how many records the runs that `base` contains merged: the manifest of a run's own
    /// version says it. Where that is not there any more, nothing does.
    pub(in crate::cycle) async fn figures(&self, base: Option<&Published>) -> Result<Figures> {
        let mut figures = Figures::default();
        let Some(newest) = base.and_then(Published::manifest) else {
            return Ok(figures);
        };
        let open = (0..self.batch.items.len()).filter(|at| self.is_applied(*at, newest));
        let mut wanted: BTreeSet<&RunId> = open.map(|at| self.run_id(at)).collect();
        let (mut manifest, mut older) = (newest, None);
        loop {
            for applied in &manifest.runs {
                if let Some(run) = wanted.take(&applied.run_id) {
                    figures
                        .merged
                        .insert(run.clone(), [applied.merged, applied.ignored]);
                }
            }
            let Some(parent) = manifest.parent.as_ref().filter(|_| !wanted.is_empty()) else {
                return Ok(figures);
            };
            let repository = &self.context.repository;
            let lineage = Lineage::from(&self.collection);
            let read = repository.manifest(&lineage, &parent.version).await;
            match read.map_err(Error::from) {
                Ok(Some(found)) => manifest = older.insert(found),
                // Cleaned up since: the record, if it was written, keeps the figure.
                Ok(None) => return Ok(figures),
                // Another receive may help, or nothing does, and a figure is not worth a pause.
                Err(error) if may_pass(&error) || is_for_good(&error) => {
                    figures.unread = Some(error);
                    return Ok(figures);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Completes the runs that `base` contains.
    pub(in crate::cycle) async fn settle_applied(
        &mut self,
        base: Option<&Published>,
        figures: &Figures,
    ) {
        // What the Python compactor wrote names no runs: one that it has merged already is merged
        // again.
        let Some((base, manifest)) = base.and_then(|base| Some((base, base.manifest()?))) else {
            return;
        };
        for at in 0..self.batch.items.len() {
            if !self.is_applied(at, manifest) {
                continue;
            }
            let run_id = self.run_id(at);
            let merged = figures.merged.get(run_id).copied();
            if let (None, Some(error)) = (merged, &figures.unread) {
                // A record is never corrected, so it is written later rather than wrong.
                if !is_for_good(error) && self.can_come_back(at) {
                    tracing::warn!(run = %run_id, code = error.code(), %error, "cannot read what a run merged; it comes back");
                    self.leave_one(at).await;
                    continue;
                }
                tracing::warn!(run = %run_id, code = error.code(), %error, "cannot tell how many records a run merged");
            }
            let [merged_vectors, ignored_operations] = merged.unwrap_or_default();
            let completion = Completion {
                merged_vectors,
                ignored_operations,
                version: base.version.clone(),
                fence: manifest.fence,
                at: self.context.ports.clock.wall(),
            };
            tracing::info!(run = %run_id, version = %base.version, "already in the published lineage");
            self.complete_one(at, &completion).await;
        }
    }

    fn run_id(&self, at: usize) -> &RunId {
        self.batch.items[at].run_id()
    }

    /// Whether it is open, and published.
    fn is_applied(&self, at: usize, manifest: &Manifest) -> bool {
        self.batch.items[at].is_open() && manifest.contains_run(self.run_id(at))
    }

    /// Whether another receive is left: the run is published, and nothing is won by burying it.
    fn can_come_back(&self, at: usize) -> bool {
        self.batch.items[at].receives() < self.context.ports.queue.max_receives()
    }
}

fn may_pass(error: &Error) -> bool {
    disposition(Failed::Cycle, error) == Disposition::Keep
}

/// Whether a manifest is damaged, of a newer format, or too large.
fn is_for_good(error: &Error) -> bool {
    let is_too_large = matches!(error, Error::Snapshot(SnapshotError::Port { error, .. }) if error.fault == Fault::TooLarge);
    is_too_large || matches!(error, Error::Snapshot(SnapshotError::Manifest { .. }))
}
