//! Getting the published snapshot into the working space: the copy that was kept of it, or a download.

use std::path::Path;

use chroma_store::StoreError;
use compactor_snapshots::{Ancestor, KnownFiles, Published, WorkingCopy, ancestor};

use crate::Result;
use crate::context::Context;

/// The published snapshot in the working space.
#[derive(Debug, Default)]
pub(in crate::cycle) struct Base {
    /// Its files, and the objects that they are equal to.
    pub(in crate::cycle) files: KnownFiles,
    /// What a version of a Python writer was made from.
    pub(in crate::cycle) ancestor: Ancestor,
}

/// Gets the published snapshot, if there is one, into the new folder `work`.
pub(in crate::cycle) async fn base(
    context: &Context,
    published: Option<&Published>,
    kept: Option<WorkingCopy>,
    work: &Path,
) -> Result<Base> {
    let Some(published) = published else {
        return Ok(Base::default());
    };
    if let Some(files) = unchanged(published, kept, work).await? {
        return Ok(Base {
            files,
            ..Base::default()
        });
    }
    tokio::fs::create_dir(work)
        .await
        .map_err(StoreError::from)?;
    let (repository, limits) = (&context.repository, &context.settings.limits);
    let files = repository.fetch(published, work, limits).await?;
    let ancestor = match published.manifest() {
        Some(_) => Ancestor::None,
        None => ancestor(&published.lineage, work).await?,
    };
    Ok(Base { files, ancestor })
}

/// The files of a working copy that still is what was published; then it is at `work`.
async fn unchanged(
    published: &Published,
    kept: Option<WorkingCopy>,
    work: &Path,
) -> Result<Option<KnownFiles>> {
    let (Some(manifest), Some(kept)) = (published.manifest(), kept) else {
        return Ok(None);
    };
    let taken = kept
        .take(&published.version, work)
        .map_err(StoreError::from)?;
    let Some(files) = taken else {
        return Ok(None);
    };
    if files.are(manifest, work) {
        return Ok(Some(files));
    }
    tracing::info!(version = %published.version, "another program wrote to the kept copy: downloading it again");
    tokio::fs::remove_dir_all(work)
        .await
        .map_err(StoreError::from)?;
    Ok(None)
}
