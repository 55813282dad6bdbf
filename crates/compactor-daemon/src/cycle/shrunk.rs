//! A base of another writer that has lost most of what ours had: a Python process that started with an
//! empty directory publishes a nearly empty snapshot, and what is built upon it makes the loss the
//! truth. The collection waits until someone says that it is meant.

use std::path::Path;

use chroma_store::{VerifyLevel, survey};
use compactor_core::{CollectionName, Manifest};

use super::Context;
use crate::snapshot::{read_manifest, versions};
use crate::{Published, RunError};

/// Refuses the version `base` of another writer, whose files are in `dir`, if more than the share
/// `snapshot.max_shrink` of the records that the last manifest of ours counts is gone.
///
/// # Errors
/// [`RunError::Shrunk`].
pub(super) async fn refuse(
    context: &Context,
    base: &Published,
    dir: &Path,
) -> Result<(), RunError> {
    if base.manifest().is_some() || base.is_accepted {
        return Ok(());
    }
    let Some(ours) = newest_of_ours(context, &base.collection).await? else {
        return Ok(());
    };
    let Some(records) = count(&base.collection, dir).await? else {
        return Ok(());
    };
    let before = ours.rows.records;
    let gone = before.saturating_sub(records);
    if u128::from(gone) * 100 <= u128::from(before) * u128::from(context.settings.max_shrink) {
        return Ok(());
    }
    Err(RunError::Shrunk {
        collection: base.collection.to_string(),
        version: base.version.to_string(),
        records,
        ours: ours.version.to_string(),
        before,
    })
}

async fn newest_of_ours(
    context: &Context,
    collection: &CollectionName,
) -> Result<Option<Manifest>, RunError> {
    let objects = context.ports.objects.as_ref();
    let mut all = versions(objects, collection).await?;
    all.sort_unstable_by(|one, other| other.cmp(one));
    for version in all {
        match read_manifest(objects, collection, &version).await {
            Ok(Some(manifest)) => return Ok(Some(manifest)),
            Ok(None) | Err(RunError::Manifest { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The records of the collection; `None` where the directory cannot be read, of which the merge tells.
async fn count(collection: &CollectionName, dir: &Path) -> Result<Option<u64>, RunError> {
    let (collection, dir) = (collection.clone(), dir.to_path_buf());
    let survey = tokio::task::spawn_blocking(move || {
        let survey = survey(&dir, VerifyLevel::Quick).ok()?;
        let found = survey.report.collection(collection.as_str());
        Some(found.map_or(0, |found| found.records))
    });
    Ok(survey.await?)
}
