//! What is published: the pointer of a collection, the version that it names, and its manifest.

use compactor_core::disposition::Resource;
use compactor_core::manifest::{ManifestError, Rows};
use compactor_core::ports::{ETag, Fault, WallTime};
use compactor_core::{Lineage, Manifest, Version, keys};

use crate::error::About as _;
use crate::legacy::Legacy;
use crate::{Error, Result, SnapshotRepository};

/// Most bytes of a pointer: it is one version id.
const POINTER_BYTES: u64 = 4 << 10;
/// Most bytes of a manifest: it lists files and run ids.
const MANIFEST_BYTES: u64 = 64 << 20;

/// User metadata of a pointer of ours: its version must have a manifest.
pub(crate) const NONCE: &str = "nonce";
/// User metadata of a pointer to another writer's version that an operator accepted although records are
/// missing from it.
pub(crate) const ACCEPTED: &str = "accepted";

/// The version that a collection's pointer names.
#[derive(Debug, Clone)]
pub struct Published {
    /// The collection.
    pub lineage: Lineage,
    /// The version that the pointer named when it was read.
    pub version: Version,
    /// The pointer's tag then. A put on this condition fails if the pointer was written since.
    pub etag: ETag,
    /// Whether an operator accepted the version although records are missing from it.
    pub is_accepted: bool,
    /// What is known of the version.
    pub content: Content,
}

/// What is known of a published version.
#[derive(Debug, Clone)]
pub enum Content {
    /// Its manifest, which lists its files and runs.
    Manifest(Box<Manifest>),
    /// The Python compactor wrote it, which makes no manifests.
    Legacy(Legacy),
}

impl Published {
    /// The version's manifest; none of the Python compactor's versions has one.
    pub fn manifest(&self) -> Option<&Manifest> {
        match &self.content {
            Content::Manifest(manifest) => Some(manifest),
            Content::Legacy(_) => None,
        }
    }
}

/// A pointer as it was read.
#[derive(Debug, Clone)]
pub struct Pointer {
    /// The version that it names.
    pub version: Version,
    /// Its tag.
    pub etag: ETag,
    /// Whether its writer marked it as ours: then its version has a manifest.
    pub is_ours: bool,
    /// Whether an operator accepted its version although records are missing from it.
    pub is_accepted: bool,
    /// When it was written, by the store's clock, if the store tells.
    pub modified: Option<WallTime>,
}

impl SnapshotRepository {
    /// Reads the pointer of a collection and the manifest of the version that it names. Without a pointer
    /// there is no published version.
    ///
    /// # Errors
    /// The pointer cannot be read or parsed, or its version is missing or has no valid manifest.
    pub async fn resolve(&self, lineage: &Lineage) -> Result<Option<Published>> {
        let Some(pointer) = self.pointer(lineage).await? else {
            return Ok(None);
        };
        let content = self
            .resolve_version(lineage, &pointer.version, pointer.is_ours)
            .await?;
        Ok(Some(Published {
            lineage: lineage.clone(),
            version: pointer.version,
            etag: pointer.etag,
            is_accepted: pointer.is_accepted,
            content,
        }))
    }

    /// What is known of a version. One of ours has a manifest.
    ///
    /// # Errors
    /// The version is missing, or has no valid manifest.
    pub(crate) async fn resolve_version(
        &self,
        lineage: &Lineage,
        version: &Version,
        is_ours: bool,
    ) -> Result<Content> {
        let content = match self.manifest(lineage, version).await? {
            Some(manifest) => Some(Content::Manifest(Box::new(manifest))),
            None if is_ours => None,
            None => {
                let found = Legacy::find(self.store(), lineage, version).await?;
                found.map(Content::Legacy)
            }
        };
        content.ok_or_else(|| Error::ManifestMissing {
            version: version.to_string(),
        })
    }

    /// Reads the pointer of a collection.
    ///
    /// # Errors
    /// It cannot be read, or names no version.
    pub async fn pointer(&self, lineage: &Lineage) -> Result<Option<Pointer>> {
        let key = keys::pointer(lineage);
        let object = match self.store().get(&key, POINTER_BYTES).await {
            Err(error) if error.fault == Fault::TooLarge => {
                return Err(Error::PointerText { key });
            }
            found => found.about(Resource::Pointer)?,
        };
        let Some(object) = object else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&object.body)
            .map_err(|_| Error::PointerText { key: key.clone() })?;
        let version = text
            .trim()
            .parse()
            .map_err(|source| Error::Pointer { key, source })?;
        Ok(Some(Pointer {
            version,
            etag: object.info.etag,
            is_ours: object.metadata.contains_key(NONCE),
            is_accepted: object.metadata.contains_key(ACCEPTED),
            modified: object.modified,
        }))
    }

    /// The records, dimension, space and schema level of the published version, if its manifest says them.
    ///
    /// # Errors
    /// The pointer or the manifest cannot be read or parsed.
    pub async fn rows(&self, lineage: &Lineage) -> Result<Option<Rows>> {
        let Some(pointer) = self.pointer(lineage).await? else {
            return Ok(None);
        };
        let manifest = self.manifest(lineage, &pointer.version).await?;
        Ok(manifest.map(|manifest| manifest.rows))
    }

    /// The manifest of a version; none where the version has none of its own.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or has a newer format.
    pub async fn manifest(&self, lineage: &Lineage, version: &Version) -> Result<Option<Manifest>> {
        let dated = self.dated_manifest(lineage, version).await?;
        Ok(dated.map(|(manifest, _)| manifest))
    }

    /// The manifest, and when it was written by the store's clock.
    pub(crate) async fn dated_manifest(
        &self,
        lineage: &Lineage,
        version: &Version,
    ) -> Result<Option<(Manifest, Option<WallTime>)>> {
        let key = keys::manifest(lineage, version);
        let found = self.store().get(&key, MANIFEST_BYTES).await;
        let Some(object) = found.about(Resource::Manifest)? else {
            return Ok(None);
        };
        let manifest = Manifest::parse(&object.body).and_then(|manifest| {
            manifest
                .validate(lineage.collection(), version)
                .map(|()| manifest)
        });
        match manifest {
            Ok(manifest) => Ok(Some((manifest, object.modified))),
            // A Python writer that started from that version took its manifest along.
            Err(ManifestError::Version { .. }) => Ok(None),
            Err(source) => Err(Error::Manifest {
                version: version.to_string(),
                source,
            }),
        }
    }

    /// Every version of a collection that has an object, published or not, oldest first.
    ///
    /// # Errors
    /// The store cannot be listed.
    pub async fn versions(&self, lineage: &Lineage) -> Result<Vec<Version>> {
        let prefix = keys::timestamped_prefix(lineage);
        let folders = self.store().list_all_folders(&prefix).await;
        let folders = folders.about(Resource::Base)?;
        // A folder that is named otherwise is not ours.
        let parsed = folders.iter().filter_map(|folder| folder.parse().ok());
        let mut versions: Vec<Version> = parsed.collect();
        versions.sort_unstable();
        Ok(versions)
    }
}
