//! A collection that has no pointer: it is new, or its pointer was taken away. A new lineage
//! in its place would leave all that was published behind.

use compactor_core::disposition::Resource;
use compactor_core::ports::ObjectStore;
use compactor_core::{CollectionName, RunState, Version, keys};

use super::legacy::HASH_BYTES;
use super::{Legacy, NONCE, read_manifest, read_pointer, versions};
use crate::error::About as _;
use crate::patience::persist;
use crate::{Ports, RunError, Settings};

/// Refuses a collection without a pointer of which something was published. A version that was
/// uploaded before the first swap and never named, as a crash leaves it, is nothing published.
///
/// # Errors
/// [`RunError::PointerGone`], with the newest complete version.
pub(crate) async fn refuse_lost_pointer(
    ports: &Ports,
    settings: &Settings,
    collection: &CollectionName,
) -> Result<(), RunError> {
    let objects = ports.objects.as_ref();
    let found = complete(objects, collection).await?;
    let follows = found.iter().any(|version| version.follows_another);
    if !follows && !is_completed(ports, settings, collection).await? {
        return Ok(());
    }
    // Another worker may have published the first version since the pointer was asked for.
    if read_pointer(objects, collection).await?.is_some() {
        return Ok(());
    }
    Err(RunError::PointerGone {
        collection: collection.to_string(),
        newest: found.first().map(|found| found.version.to_string()),
    })
}

/// A version that has all that a version has.
struct Complete {
    version: Version,
    /// It was made from another one, or by a writer that says nothing of it.
    follows_another: bool,
}

/// Complete versions, newest first.
async fn complete(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
) -> Result<Vec<Complete>, RunError> {
    let mut all = versions(objects, collection).await?;
    all.sort_unstable_by(|one, other| other.cmp(one));
    let mut found = Vec::new();
    for version in all {
        let follows_another = match read_manifest(objects, collection, &version).await {
            Ok(Some(manifest)) => manifest.parent.is_some(),
            Ok(None) if is_unfinished(objects, collection, &version).await? => continue,
            Ok(None) => match Legacy::find(objects, collection, &version).await? {
                Some(_) => true,
                None => continue,
            },
            // It cannot be read, and so not be published.
            Err(RunError::Manifest { .. }) => continue,
            Err(error) => return Err(error),
        };
        found.push(Complete {
            version,
            follows_another,
        });
    }
    Ok(found)
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

/// Whether a record says that a run of the collection was published.
async fn is_completed(
    ports: &Ports,
    settings: &Settings,
    collection: &CollectionName,
) -> Result<bool, RunError> {
    let listed = persist(ports, settings, || ports.runs.list(usize::MAX)).await;
    let records = listed.about(Resource::RunRecord)?;
    let mut parts = records
        .iter()
        .filter_map(|record| record.parts.get(collection));
    Ok(parts.any(|part| part.state == RunState::Completed && part.version.is_some()))
}
