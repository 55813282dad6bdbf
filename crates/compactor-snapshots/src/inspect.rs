//! Looking at what is published without reading its files, and without changing anything.

use compactor_core::disposition::Resource;
use compactor_core::{Lineage, RunRecord, Version, keys};
use serde::Serialize;

use crate::error::About as _;
use crate::lost_pointer::completed_runs;
use crate::published::Content;
use crate::{Result, SnapshotRepository};

/// A version that is newer than the one that the pointer names. A late put may still name it, so no sweep
/// deletes it before the pointer has passed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnpublishedVersion {
    /// The version.
    pub version: Version,
    /// The number of its objects.
    pub objects: u64,
    /// The bytes of its objects together.
    pub bytes: u64,
}

impl SnapshotRepository {
    /// Follows a collection's pointer to the manifest and on to the files: each is there, with the right
    /// size. Returns the version, if one is published. `records` are those of the newest runs.
    ///
    /// # Errors
    /// What is published is damaged or cannot be read, or the pointer is missing although something was
    /// published.
    pub async fn inspect(
        &self,
        records: &[RunRecord],
        lineage: &Lineage,
    ) -> Result<Option<Version>> {
        let Some(published) = self.resolve(lineage).await? else {
            let completed = completed_runs(records, lineage.collection());
            self.refuse_lost_pointer(&completed, lineage).await?;
            return Ok(None);
        };
        // A version without a manifest was found by its objects.
        if let Content::Manifest(manifest) = &published.content {
            self.refuse_incomplete(manifest).await?;
        }
        Ok(Some(published.version))
    }

    /// The versions of a collection that are newer than the one that its pointer names, or all of them
    /// where it has no pointer; oldest first.
    ///
    /// # Errors
    /// The store cannot be read, or the pointer names no version.
    pub async fn unpublished(&self, lineage: &Lineage) -> Result<Vec<UnpublishedVersion>> {
        // In this order: a version that is published meanwhile must not look unpublished.
        let mut versions = self.versions(lineage).await?;
        let pointer = self.pointer(lineage).await?;
        versions.retain(|version| pointer.as_ref().is_none_or(|now| *version > now.version));
        let mut unpublished = Vec::new();
        for version in versions {
            let prefix = keys::version_prefix(lineage, &version);
            let found = self.store().list_all(&prefix).await;
            let found = found.about(Resource::Base)?;
            unpublished.push(UnpublishedVersion {
                version,
                objects: found.len() as u64,
                bytes: found.iter().map(|info| info.size).sum(),
            });
        }
        Ok(unpublished)
    }
}
