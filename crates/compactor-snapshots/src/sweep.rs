//! Deleting versions that no reader uses any more, and uploads that were never finished.
//! `compactor_core::retention` decides which versions may go; this module asks, looks again, and deletes.

use std::time::Duration;

use compactor_core::disposition::Resource;
use compactor_core::ports::WallTime;
use compactor_core::retention::{RetentionPolicy, superseded};
use compactor_core::{CollectionName, Lineage, Version, keys};
use serde::Serialize;

use crate::error::About as _;
use crate::history::{Listing, Origins};
use crate::{Result, SnapshotRepository};

/// What a sweep deleted, or would delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// The collection.
    pub collection: CollectionName,
    /// The versions, oldest first.
    pub versions: Vec<Version>,
    /// The number of their objects.
    pub objects: u64,
    /// The bytes of their objects together.
    pub bytes: u64,
    /// Uploads that were begun and never finished.
    pub uploads: u64,
}

/// Whether a sweep deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepMode {
    /// It deletes.
    Delete,
    /// It only tells what it would delete.
    DryRun,
}

/// How a sweep goes.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// Which superseded versions are kept.
    pub policy: RetentionPolicy,
    /// Whether it deletes.
    pub mode: SweepMode,
    /// The time that ages are counted to, UTC.
    pub now: WallTime,
}

/// No upload takes longer. What was begun earlier belongs to a process that has ended.
const LONGEST_UPLOAD: Duration = Duration::from_secs(24 * 60 * 60);

impl SnapshotRepository {
    /// Deletes the superseded versions of a collection, and ends its uploads that were never finished.
    /// Returns nothing if the collection has no pointer. `origins` remembers what manifests said, for
    /// the next sweep.
    ///
    /// # Errors
    /// The store cannot be read, an object not be deleted, or the pointer names no version. What was
    /// deleted until then stays deleted; the next sweep deletes the rest.
    pub async fn sweep(
        &self,
        lineage: &Lineage,
        sweep: Sweep,
        origins: &mut Origins,
    ) -> Result<Option<Swept>> {
        let Some(pointer) = self.pointer(lineage).await? else {
            return Ok(None);
        };
        let versions = self.versions(lineage).await?;
        let listing = Listing {
            repository: self,
            lineage,
            versions: &versions,
        };
        let Sweep { policy, now, .. } = sweep;
        let published = origins.history(&listing, pointer, policy, now).await?;
        let doomed = superseded(&versions, &published, policy, now);
        let mut swept = Swept {
            collection: lineage.collection().clone(),
            versions: Vec::new(),
            objects: 0,
            bytes: 0,
            uploads: 0,
        };
        for version in doomed {
            // An operator may have put the pointer on an old version meanwhile.
            let now = self.pointer(lineage).await?;
            if now.is_none_or(|now| now.version <= version) {
                break;
            }
            let (count, bytes) = self.delete(lineage, &version, sweep.mode).await?;
            swept.objects += count;
            swept.bytes += bytes;
            swept.versions.push(version);
        }
        match self.end_uploads(lineage, sweep).await {
            Ok(uploads) => swept.uploads = uploads,
            // The right to list them may be missing, and not every store has them.
            Err(error) => {
                tracing::warn!(collection = %lineage, code = error.code(), %error, "cannot look for unfinished uploads");
            }
        }
        Ok(Some(swept))
    }

    /// Ends uploads whose process has ended.
    async fn end_uploads(&self, lineage: &Lineage, sweep: Sweep) -> Result<u64> {
        let prefix = keys::timestamped_prefix(lineage);
        let uploads = self.store().unfinished(&prefix).await;
        let mut uploads = uploads.about(Resource::Base)?;
        uploads.retain(|upload| upload.begun.plus(LONGEST_UPLOAD) <= sweep.now);
        if sweep.mode == SweepMode::Delete {
            for upload in &uploads {
                self.store().abort(upload).await.about(Resource::Base)?;
                tracing::info!(collection = %lineage, key = upload.key, "ended an upload that was never finished");
            }
        }
        Ok(uploads.len() as u64)
    }

    /// Deletes the manifest last: as long as it is there, a sweep that was interrupted finds the rest.
    async fn delete(
        &self,
        lineage: &Lineage,
        version: &Version,
        mode: SweepMode,
    ) -> Result<(u64, u64)> {
        let (prefix, manifest) = (
            keys::version_prefix(lineage, version),
            keys::manifest(lineage, version),
        );
        let found = self.store().list_all(&prefix).await;
        let mut found = found.about(Resource::Base)?;
        found.sort_by_key(|info| info.key == manifest);
        if mode == SweepMode::Delete {
            for info in &found {
                let deleted = self.store().delete(&info.key).await;
                deleted.about(Resource::Base)?;
            }
            tracing::info!(collection = %lineage, %version, objects = found.len(), "deleted a superseded version");
        }
        let bytes = found.iter().map(|info| info.size).sum();
        Ok((found.len() as u64, bytes))
    }
}
