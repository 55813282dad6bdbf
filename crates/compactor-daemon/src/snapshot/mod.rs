//! Reading what is published: the pointer, the manifest, the files.

mod download;
mod history;
mod known;
mod legacy;
mod lineage;

use compactor_core::disposition::Resource;
use compactor_core::manifest::{ManifestError, Rows};
use compactor_core::ports::{ETag, Fault, ObjectStore, WallTime};
use compactor_core::{CollectionName, Manifest, Version, keys};

use crate::RunError;
use crate::error::About as _;

pub use download::download;
pub(crate) use download::fetch;
pub(crate) use history::{Listing, Origins};
pub(crate) use known::{KnownFile, KnownFiles};
pub use legacy::Legacy;
pub(crate) use legacy::{Ancestor, ancestor};
pub(crate) use lineage::{completed, refuse_lost, refuse_lost_pointer};

/// A pointer is one version id; manifests list files and run ids.
const POINTER_BYTES: u64 = 4 << 10;
const MANIFEST_BYTES: u64 = 64 << 20;

/// Marks a pointer of ours: its version must have a manifest.
pub(crate) const NONCE: &str = "nonce";
/// Marks a pointer to a version of another writer that someone has accepted although it shrank.
pub(crate) const ACCEPTED: &str = "accepted";

/// What a collection's pointer names.
#[derive(Debug, Clone)]
pub struct Published {
    /// The collection.
    pub collection: CollectionName,
    /// The version.
    pub version: Version,
    /// The pointer's tag when it was read.
    pub etag: ETag,
    /// Whether someone has accepted the version although it has lost records.
    pub is_accepted: bool,
    /// What is known of the version.
    pub content: Content,
}

/// What is known of a published version.
#[derive(Debug, Clone)]
pub enum Content {
    /// Everything.
    Manifest(Box<Manifest>),
    /// It was written by the Python compactor, which makes no manifests.
    Legacy(Legacy),
}

impl Published {
    /// The version's manifest, if it has one.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.content {
            Content::Manifest(manifest) => Some(manifest),
            Content::Legacy(_) => None,
        }
    }
}

/// A pointer as it was read.
pub(crate) struct Pointer {
    pub(crate) version: Version,
    pub(crate) etag: ETag,
    /// Whether a version with a manifest was named.
    pub(crate) is_ours: bool,
    pub(crate) is_accepted: bool,
    /// When it was written, by the store's clock.
    pub(crate) modified: Option<WallTime>,
}

/// Reads pointer and manifest; `None` when nothing was published yet.
///
/// # Errors
/// The pointer cannot be read or understood, or its version is not there or has no valid manifest.
pub async fn resolve(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
) -> Result<Option<Published>, RunError> {
    let Some(pointer) = read_pointer(objects, collection).await? else {
        return Ok(None);
    };
    let Pointer {
        version,
        etag,
        is_ours,
        is_accepted,
        ..
    } = pointer;
    let content = resolve_version(objects, collection, &version, is_ours).await?;
    Ok(Some(Published {
        collection: collection.clone(),
        version,
        etag,
        is_accepted,
        content,
    }))
}

/// What is known of a version. One of ours has a manifest.
///
/// # Errors
/// It is not there, or has no valid manifest.
pub(crate) async fn resolve_version(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    version: &Version,
    is_ours: bool,
) -> Result<Content, RunError> {
    let content = match read_manifest(objects, collection, version).await? {
        Some(manifest) => Some(Content::Manifest(Box::new(manifest))),
        None if is_ours => None,
        None => {
            let found = Legacy::find(objects, collection, version).await?;
            found.map(Content::Legacy)
        }
    };
    content.ok_or_else(|| RunError::ManifestMissing {
        version: version.to_string(),
    })
}

pub(crate) async fn read_pointer(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
) -> Result<Option<Pointer>, RunError> {
    let key = keys::pointer(collection);
    let object = match objects.get(&key, POINTER_BYTES).await {
        Err(error) if error.fault == Fault::TooLarge => return Err(RunError::PointerText { key }),
        found => found.about(Resource::Pointer)?,
    };
    let Some(object) = object else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&object.body)
        .map_err(|_| RunError::PointerText { key: key.clone() })?;
    let version = text
        .trim()
        .parse()
        .map_err(|source| RunError::Pointer { key, source })?;
    Ok(Some(Pointer {
        version,
        etag: object.info.etag,
        is_ours: object.metadata.contains_key(NONCE),
        is_accepted: object.metadata.contains_key(ACCEPTED),
        modified: object.modified,
    }))
}

/// What is in the published version, if its manifest says so.
///
/// # Errors
/// The pointer or the manifest cannot be read or understood.
pub(crate) async fn rows(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
) -> Result<Option<Rows>, RunError> {
    let Some(pointer) = read_pointer(objects, collection).await? else {
        return Ok(None);
    };
    let manifest = read_manifest(objects, collection, &pointer.version).await?;
    Ok(manifest.map(|manifest| manifest.rows))
}

pub(crate) async fn read_manifest(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    version: &Version,
) -> Result<Option<Manifest>, RunError> {
    let dated = read_dated_manifest(objects, collection, version).await?;
    Ok(dated.map(|(manifest, _)| manifest))
}

/// With when it was written, by the store's clock.
async fn read_dated_manifest(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    version: &Version,
) -> Result<Option<(Manifest, Option<WallTime>)>, RunError> {
    let Some(object) = objects
        .get(&keys::manifest(collection, version), MANIFEST_BYTES)
        .await
        .about(Resource::Manifest)?
    else {
        return Ok(None);
    };
    let manifest = Manifest::parse(&object.body)
        .and_then(|manifest| manifest.validate(collection, version).map(|()| manifest));
    match manifest {
        Ok(manifest) => Ok(Some((manifest, object.modified))),
        // A Python writer that started from that version took its manifest along.
        Err(ManifestError::Version { .. }) => Ok(None),
        Err(source) => Err(RunError::Manifest {
            version: version.to_string(),
            source,
        }),
    }
}

/// Every version of a collection that has an object, in no order.
pub(crate) async fn versions(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
) -> Result<Vec<Version>, RunError> {
    let prefix = keys::timestamped_prefix(collection);
    let folders = objects.list_all_folders(&prefix).await;
    let folders = folders.about(Resource::Base)?;
    // What is no version is none of ours.
    Ok(folders
        .iter()
        .filter_map(|folder| folder.parse().ok())
        .collect())
}
