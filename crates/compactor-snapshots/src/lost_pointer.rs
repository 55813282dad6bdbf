//! A collection that has no pointer: it is new, or its pointer was deleted. A new lineage in place of a
//! lost one would leave behind everything that was published.

use compactor_core::disposition::Resource;
use compactor_core::lost_pointer::{self, Complete};
use compactor_core::{CollectionName, Lineage, RunId, RunRecord, RunState, Version, keys};

use crate::error::About as _;
use crate::legacy::{HASH_BYTES, Legacy};
use crate::published::NONCE;
use crate::{Error, Result, SnapshotRepository};

impl SnapshotRepository {
    /// Refuses a collection without a pointer if something of it was published. `completed` are its runs
    /// whose records say that they are published. A version that a crash left before the first swap
    /// proves nothing.
    ///
    /// # Errors
    /// [`Error::PointerGone`], with the version that the pointer has to name again.
    pub async fn refuse_lost_pointer(&self, completed: &[RunId], lineage: &Lineage) -> Result<()> {
        let (found, has_damaged) = self.complete_versions(lineage, completed).await?;
        if !has_damaged && !lost_pointer::is_lost(&found, completed) {
            return Ok(());
        }
        // Another worker may have published the first version since the pointer was read.
        if self.pointer(lineage).await?.is_some() {
            return Ok(());
        }
        Err(Error::PointerGone {
            collection: lineage.to_string(),
            newest: lost_pointer::to_put_back(&found).map(ToString::to_string),
        })
    }

    /// The complete versions, and whether there are damaged ones.
    async fn complete_versions(
        &self,
        lineage: &Lineage,
        completed: &[RunId],
    ) -> Result<(Vec<Complete>, bool)> {
        let (mut found, mut has_damaged) = (Vec::new(), false);
        for version in self.versions(lineage).await? {
            let manifest = match self.manifest(lineage, &version).await {
                Ok(Some(manifest)) => match self.refuse_incomplete(&manifest).await {
                    Ok(()) => Some(manifest),
                    Err(Error::SnapshotFile { .. }) => {
                        has_damaged = true;
                        continue;
                    }
                    Err(error) => return Err(error),
                },
                Ok(None) if self.is_unfinished(lineage, &version).await? => continue,
                Ok(None) => match Legacy::find(self.store(), lineage, &version).await? {
                    Some(_) => None,
                    None => continue,
                },
                // No cycle can go on from it, but it proves that something was published.
                Err(Error::Manifest { .. }) => {
                    has_damaged = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            found.push(Complete::new(version, manifest.as_ref(), completed));
        }
        Ok((found, has_damaged))
    }

    /// Whether a version without a manifest is one of ours that a crash cut short: ours are marked.
    async fn is_unfinished(&self, lineage: &Lineage, version: &Version) -> Result<bool> {
        let hash = keys::snapshot_hash(lineage, version);
        let found = self.store().get(&hash, HASH_BYTES).await;
        let found = found.about(Resource::Base)?;
        Ok(found.is_some_and(|object| object.metadata.contains_key(NONCE)))
    }
}

/// The runs of a collection whose records say that a version contains them.
pub fn completed_runs(records: &[RunRecord], collection: &CollectionName) -> Vec<RunId> {
    let is_completed = |record: &&RunRecord| {
        let part = record.parts.get(collection);
        part.is_some_and(|part| part.state == RunState::Completed && part.version.is_some())
    };
    let completed = records.iter().filter(is_completed);
    completed.map(|record| record.key.run_id.clone()).collect()
}
