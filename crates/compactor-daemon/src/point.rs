//! What operators do about pointers: put one back, mend one that cannot be understood, or accept what
//! another writer published.

use bytes::Bytes;
use compactor_core::disposition::Resource;
use compactor_core::ports::{Attributes, Condition, ObjectStore, PutOutcome};
use compactor_core::{CollectionName, Version, keys};

use crate::error::About as _;
use crate::inspect::find_files;
use crate::snapshot::{
    ACCEPTED, Content, NONCE, completed, refuse_lost, resolve, resolve_version, versions,
};
use crate::{Ports, RunError};

/// A pointer holds one version.
const POINTER_BYTES: u64 = 1 << 20;

/// Lets the pointer of a collection name a complete version, if it names none that is there: it is
/// gone, or it cannot be understood; or if it names `instead_of`. Nothing else moves a pointer but
/// a cycle.
///
/// # Errors
/// The version is not complete, the pointer names another one that is, or it was changed meanwhile.
pub async fn point(
    ports: &Ports,
    collection: &CollectionName,
    version: &Version,
    instead_of: Option<&Version>,
) -> Result<(), RunError> {
    let objects = ports.objects.as_ref();
    refuse_missing(objects, collection, version).await?;
    let key = keys::pointer(collection);
    let found = objects.get(&key, POINTER_BYTES).await;
    let condition = match found.about(Resource::Pointer)? {
        None => Condition::IfAbsent,
        Some(object) => Condition::IfMatch(object.info.etag),
    };
    if condition != Condition::IfAbsent {
        match resolve(objects, collection).await {
            Ok(Some(published)) if published.version == *version => return Ok(()),
            Ok(Some(published)) if Some(&published.version) == instead_of => {}
            Ok(Some(published)) if !is_complete(objects, &published.content).await? => {}
            Ok(Some(published)) => {
                return Err(RunError::PointerInUse {
                    collection: collection.to_string(),
                    version: published.version.to_string(),
                });
            }
            Ok(None)
            | Err(
                RunError::Pointer { .. }
                | RunError::PointerText { .. }
                | RunError::Manifest { .. }
                | RunError::ManifestMissing { .. },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    let mut metadata = Attributes::new();
    if let Content::Manifest(manifest) =
        resolve_version(objects, collection, version, false).await?
    {
        find_files(objects, &manifest).await?;
        metadata.insert(NONCE.to_owned(), ports.ids.uuid().to_string());
    }
    put(ports, collection, version, condition, &metadata).await
}

/// A mistyped name is told before anything else is wrong with it.
async fn refuse_missing(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    version: &Version,
) -> Result<(), RunError> {
    let all = versions(objects, collection).await?;
    if all.contains(version) {
        return Ok(());
    }
    Err(RunError::VersionMissing {
        collection: collection.to_string(),
        version: version.to_string(),
        newest: all.iter().max().map(ToString::to_string),
    })
}

/// Whether all files are there; a version without a manifest was found by them.
async fn is_complete(objects: &dyn ObjectStore, content: &Content) -> Result<bool, RunError> {
    let Content::Manifest(manifest) = content else {
        return Ok(true);
    };
    match find_files(objects, manifest).await {
        Ok(()) => Ok(true),
        Err(RunError::SnapshotFile { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lets a collection go on from the version that another writer published, although most of our
/// records are gone from it. Returns the version; one of ours needs nothing.
///
/// # Errors
/// Nothing is published, or the pointer was changed meanwhile.
pub async fn accept(ports: &Ports, collection: &CollectionName) -> Result<Version, RunError> {
    let objects = ports.objects.as_ref();
    let Some(published) = resolve(objects, collection).await? else {
        let records = ports.runs.list(usize::MAX).await;
        let completed = completed(&records.about(Resource::RunRecord)?, collection);
        refuse_lost(objects, &completed, collection).await?;
        return Err(RunError::NothingPublished {
            collection: collection.to_string(),
        });
    };
    if let Content::Legacy(_) = published.content {
        let metadata = Attributes::from([(ACCEPTED.to_owned(), published.version.to_string())]);
        let condition = Condition::IfMatch(published.etag);
        put(ports, collection, &published.version, condition, &metadata).await?;
    }
    Ok(published.version)
}

async fn put(
    ports: &Ports,
    collection: &CollectionName,
    version: &Version,
    condition: Condition,
    metadata: &Attributes,
) -> Result<(), RunError> {
    let (key, body) = (keys::pointer(collection), Bytes::from(version.to_string()));
    let put = ports.objects.put(&key, body, condition, metadata).await;
    match put.about(Resource::Pointer)? {
        PutOutcome::Written(_) => Ok(()),
        PutOutcome::PreconditionFailed | PutOutcome::Conflict | PutOutcome::Absent => {
            Err(RunError::Overtaken {
                collection: collection.to_string(),
                times: 1,
            })
        }
    }
}
