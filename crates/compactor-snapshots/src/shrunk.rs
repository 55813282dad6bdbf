//! A version of another writer that has lost most of our records: a Python process that started with an
//! empty directory publishes a nearly empty snapshot, and a merge on top of it would make the loss
//! permanent. The collection waits until an operator accepts the version.

use std::path::Path;

use chroma_store::{VerifyLevel, survey};
use compactor_core::{Lineage, Manifest};

use crate::published::Published;
use crate::{Error, Result, SnapshotRepository};

impl SnapshotRepository {
    /// Refuses the version `base` of another writer, whose files are in `dir`, if more than `max_shrink`
    /// percent of the records that our last manifest counts are missing from it.
    ///
    /// # Errors
    /// [`Error::Shrunk`], or the store cannot be read.
    pub async fn refuse_shrunk(&self, base: &Published, dir: &Path, max_shrink: u8) -> Result<()> {
        if base.manifest().is_some() || base.is_accepted {
            return Ok(());
        }
        let Some(ours) = self.newest_of_ours(&base.lineage).await? else {
            return Ok(());
        };
        let Some(records) = count(&base.lineage, dir).await? else {
            return Ok(());
        };
        let before = ours.rows.records;
        let gone = before.saturating_sub(records);
        if u128::from(gone) * 100 <= u128::from(before) * u128::from(max_shrink) {
            return Ok(());
        }
        Err(Error::Shrunk {
            collection: base.lineage.to_string(),
            version: base.version.to_string(),
            records,
            ours: ours.version.to_string(),
            before,
        })
    }

    async fn newest_of_ours(&self, lineage: &Lineage) -> Result<Option<Manifest>> {
        for version in self.versions(lineage).await?.iter().rev() {
            match self.manifest(lineage, version).await {
                Ok(Some(manifest)) => return Ok(Some(manifest)),
                Ok(None) | Err(Error::Manifest { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The records of the collection. A directory that cannot be read has none; the merge says what is wrong
/// with it.
async fn count(lineage: &Lineage, dir: &Path) -> Result<Option<u64>> {
    let (lineage, dir) = (lineage.clone(), dir.to_path_buf());
    let survey = tokio::task::spawn_blocking(move || {
        let survey = survey(&dir, VerifyLevel::Quick).ok()?;
        let found = survey.report.collection(lineage.as_str());
        Some(found.map_or(0, |found| found.records))
    });
    Ok(survey.await?)
}
