//! What was published, and by when, as far as the clean-up has to know: manifests name the version
//! that they were made from, and the store dates them.

use compactor_core::ports::{ObjectStore, WallTime};
use compactor_core::retention::{Publication, RetentionPolicy};
use compactor_core::{CollectionName, Manifest, Version};

use super::{Pointer, read_dated_manifest};
use crate::RunError;

/// The publications that `policy` counts, newest first, and one that is old enough, if need be.
/// `versions` are all that have objects.
pub(crate) async fn history(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    pointer: Pointer,
    versions: &[Version],
    policy: RetentionPolicy,
    now: WallTime,
) -> Result<Vec<Publication>, RunError> {
    let mut known = vec![Publication {
        version: pointer.version,
        by: pointer.modified,
    }];
    while known.len() < policy.versions {
        let newest = &known[known.len() - 1].version;
        match before(objects, collection, newest, versions).await? {
            Some(publication) => known.push(publication),
            None => return Ok(known),
        }
    }
    let is_settled = |one: &Publication| one.by.is_some_and(|by| policy.is_past(by, now));
    if !known.iter().any(is_settled) {
        let oldest = &known[known.len() - 1].version;
        let older = versions.iter().filter(|version| *version < oldest);
        known.extend(settled(objects, collection, older, policy, now).await?);
    }
    Ok(known)
}

/// With when it was written. One that is damaged, or too new, tells nothing, and is no reason to
/// keep everything for ever.
async fn manifest_of(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    version: &Version,
) -> Result<Option<(Manifest, Option<WallTime>)>, RunError> {
    match read_dated_manifest(objects, collection, version).await {
        Err(RunError::Manifest { .. }) => Ok(None),
        read => read,
    }
}

/// What was published before `version` was.
async fn before(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    version: &Version,
    versions: &[Version],
) -> Result<Option<Publication>, RunError> {
    if let Some((manifest, by)) = manifest_of(objects, collection, version).await? {
        return Ok(manifest.parent.map(|parent| Publication {
            version: parent.version,
            by,
        }));
    }
    // Python's have none. Any older version may have been published, at any time.
    let older = versions.iter().filter(|other| *other < version).max();
    Ok(older.map(|older| Publication {
        version: older.clone(),
        by: None,
    }))
}

/// The newest publication of which a version old enough tells: the one that it was made from.
/// Whether that version itself was published does not matter.
async fn settled(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    versions: impl Iterator<Item = &Version>,
    policy: RetentionPolicy,
    now: WallTime,
) -> Result<Option<Publication>, RunError> {
    let mut old: Vec<&Version> = versions
        .filter(|version| policy.is_past(version.time(), now))
        .collect();
    old.sort();
    for version in old.into_iter().rev() {
        let Some((manifest, Some(by))) = read_dated_manifest(objects, collection, version).await?
        else {
            continue;
        };
        if policy.is_past(by, now) {
            return Ok(manifest.parent.map(|parent| Publication {
                version: parent.version,
                by: Some(by),
            }));
        }
    }
    Ok(None)
}
