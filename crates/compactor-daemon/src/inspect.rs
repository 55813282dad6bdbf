//! Looking at what is published, without reading it as a whole and without changing anything.

use std::collections::BTreeMap;

use compactor_core::disposition::Resource;
use compactor_core::manifest::Layout;
use compactor_core::ports::ObjectStore;
use compactor_core::{CollectionName, Manifest, RunRecord, Version, keys};
use serde::Serialize;

use crate::RunError;
use crate::error::About as _;
use crate::snapshot::{Content, completed, read_pointer, refuse_lost, resolve, versions};

/// A version that is newer than the one that the pointer names. A put that is late may still name
/// it, so nobody deletes it before the pointer has passed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewerVersion {
    /// Which one.
    pub version: Version,
    /// Its objects.
    pub objects: u64,
    /// And bytes.
    pub bytes: u64,
}

/// Follows a collection's pointer to the manifest and on to the files: are they there, each as
/// long as it should be? `None` where nothing was published. `records` are those of the newest runs.
///
/// # Errors
/// What is published is damaged, or cannot be read; or a pointer is gone.
pub async fn inspect(
    objects: &dyn ObjectStore,
    records: &[RunRecord],
    collection: &CollectionName,
) -> Result<Option<Version>, RunError> {
    let Some(published) = resolve(objects, collection).await? else {
        refuse_lost(objects, &completed(records, collection), collection).await?;
        return Ok(None);
    };
    // One without a manifest was found by its objects.
    if let Content::Manifest(manifest) = &published.content {
        find_files(objects, manifest).await?;
    }
    Ok(Some(published.version))
}

/// Whether the files of a version are all there, each as long as its manifest says.
pub(crate) async fn find_files(
    objects: &dyn ObjectStore,
    manifest: &Manifest,
) -> Result<(), RunError> {
    let (collection, version) = (&manifest.collection, &manifest.version);
    let prefix = keys::version_prefix(collection, version);
    let found = objects.list_all(&prefix).await.about(Resource::Base)?;
    let found: BTreeMap<String, u64> = found
        .into_iter()
        .map(|info| (info.key, info.size))
        .collect();
    let mut expected = vec![(keys::snapshot_hash(collection, version), None)];
    match manifest.layout {
        Layout::Archive => expected.push((keys::snapshot_archive(collection, version), None)),
        Layout::Files => expected.extend(manifest.files.iter().map(|file| {
            let key = keys::file(collection, version, &file.path);
            (key, Some(file.size))
        })),
    }
    let mut wrong = expected.into_iter().filter_map(|(key, size)| {
        let detail = match (found.get(&key), size) {
            (None, _) => "it is missing".to_owned(),
            (Some(found), Some(size)) if *found != size => {
                format!("{found} bytes, the manifest says {size}")
            }
            (Some(_), _) => return None,
        };
        Some((key, detail))
    });
    let Some((key, mut detail)) = wrong.next() else {
        return Ok(());
    };
    let more = wrong.count();
    if more > 0 {
        detail.push_str(&format!(
            "; {more} more of the version are missing or differ"
        ));
    }
    Err(RunError::SnapshotFile { key, detail })
}

/// All versions of a collection that have an object, published or not; oldest first.
///
/// # Errors
/// The store cannot be read.
pub async fn all_versions(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
) -> Result<Vec<Version>, RunError> {
    let mut all = versions(objects, collection).await?;
    all.sort_unstable();
    Ok(all)
}

/// The versions of a collection that are newer than what its pointer names, or all where it has
/// none; oldest first.
///
/// # Errors
/// The store cannot be read, or the pointer not be understood.
pub async fn newer_versions(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
) -> Result<Vec<NewerVersion>, RunError> {
    // In this order a version that is published meanwhile is not taken for a newer one.
    let mut all = versions(objects, collection).await?;
    let pointer = read_pointer(objects, collection).await?;
    all.retain(|version| pointer.as_ref().is_none_or(|now| *version > now.version));
    all.sort_unstable();
    let mut newer = Vec::new();
    for version in all {
        let prefix = keys::version_prefix(collection, &version);
        let found = objects.list_all(&prefix).await.about(Resource::Base)?;
        newer.push(NewerVersion {
            version,
            objects: found.len() as u64,
            bytes: found.iter().map(|info| info.size).sum(),
        });
    }
    Ok(newer)
}
