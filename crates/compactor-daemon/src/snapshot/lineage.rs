//! A collection that has no pointer: it is new, or its pointer was taken away. A new lineage
//! in its place would leave all that was published behind.

use compactor_core::disposition::Resource;
use compactor_core::lost_pointer::{self, Complete};
use compactor_core::ports::ObjectStore;
use compactor_core::{CollectionName, RunId, RunRecord, RunState, Version, keys};

use super::legacy::HASH_BYTES;
use super::{Legacy, NONCE, read_manifest, read_pointer, versions};
use crate::error::About as _;
use crate::inspect::find_files;
use crate::patience::persist;
use crate::{Ports, RunError, Settings};

/// Refuses a collection without a pointer of which something was published. A version that was
/// uploaded before the first swap and never named, as a crash leaves it, is nothing published.
///
/// # Errors
/// [`RunError::PointerGone`], with the version that it has to name again.
pub(crate) async fn refuse_lost_pointer(
    ports: &Ports,
    settings: &Settings,
    collection: &CollectionName,
) -> Result<(), RunError> {
    let listed = persist(ports, settings, || ports.runs.list(usize::MAX)).await;
    let records = listed.about(Resource::RunRecord)?;
    let completed = completed(&records, collection);
    refuse_lost(ports.objects.as_ref(), &completed, collection).await
}

/// The same, where `completed` are the runs of the collection that were published.
pub(crate) async fn refuse_lost(
    objects: &dyn ObjectStore,
    completed: &[RunId],
    collection: &CollectionName,
) -> Result<(), RunError> {
    let (found, has_damaged) = complete(objects, collection, completed).await?;
    if !has_damaged && !lost_pointer::is_lost(&found, completed) {
        return Ok(());
    }
    // Another worker may have published the first version since the pointer was asked for.
    if read_pointer(objects, collection).await?.is_some() {
        return Ok(());
    }
    Err(RunError::PointerGone {
        collection: collection.to_string(),
        newest: lost_pointer::to_put_back(&found).map(ToString::to_string),
    })
}

/// The versions that have all that a version has, and whether there are others with a manifest.
async fn complete(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    completed: &[RunId],
) -> Result<(Vec<Complete>, bool), RunError> {
    let (mut found, mut has_damaged) = (Vec::new(), false);
    for version in versions(objects, collection).await? {
        let manifest = match read_manifest(objects, collection, &version).await {
            Ok(Some(manifest)) => match find_files(objects, &manifest).await {
                Ok(()) => Some(manifest),
                Err(RunError::SnapshotFile { .. }) => {
                    has_damaged = true;
                    continue;
                }
                Err(error) => return Err(error),
            },
            Ok(None) if is_unfinished(objects, collection, &version).await? => continue,
            Ok(None) => match Legacy::find(objects, collection, &version).await? {
                Some(_) => None,
                None => continue,
            },
            // Nobody can go on from it, but it was there.
            Err(RunError::Manifest { .. }) => {
                has_damaged = true;
                continue;
            }
            Err(error) => return Err(error),
        };
        found.push(Complete::new(version, manifest.as_ref(), completed));
    }
    Ok((found, has_damaged))
}

/// Whether a version without a manifest is one of ours that a crash ended before its manifest was
/// written: the objects of ours are marked.
async fn is_unfinished(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    version: &Version,
) -> Result<bool, RunError> {
    let hash = keys::snapshot_hash(collection, version);
    let found = objects.get(&hash, HASH_BYTES).await.about(Resource::Base)?;
    Ok(found.is_some_and(|object| object.metadata.contains_key(NONCE)))
}

/// The runs of the collection of which a record says that they are published.
pub(crate) fn completed(records: &[RunRecord], collection: &CollectionName) -> Vec<RunId> {
    let is_completed = |record: &&RunRecord| {
        let part = record.parts.get(collection);
        part.is_some_and(|part| part.state == RunState::Completed && part.version.is_some())
    };
    let completed = records.iter().filter(is_completed);
    completed.map(|record| record.key.run_id.clone()).collect()
}
