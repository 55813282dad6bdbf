//! Reading what is published: the pointer, the manifest, the files.

use std::path::Path;
use std::sync::Arc;

use compactor_core::manifest::Layout;
use compactor_core::ports::{ETag, Fault, ObjectStore};
use compactor_core::{CollectionName, Manifest, Version, keys};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::{Limits, RunError};

/// A pointer is one version id; manifests list files and run ids.
const POINTER_BYTES: u64 = 4 << 10;
const MANIFEST_BYTES: u64 = 64 << 20;

/// What a collection's pointer names.
#[derive(Debug, Clone)]
pub struct Published {
    /// The version.
    pub version: Version,
    /// The pointer's tag when it was read.
    pub etag: ETag,
    /// The version's manifest.
    pub manifest: Manifest,
}

/// Reads pointer and manifest; `None` when nothing was published yet.
///
/// # Errors
/// The pointer cannot be read or understood, or its version has no valid manifest.
pub async fn resolve(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
) -> Result<Option<Published>, RunError> {
    let Some((version, etag)) = read_pointer(objects, collection).await? else {
        return Ok(None);
    };
    let manifest = read_manifest(objects, collection, &version)
        .await?
        .ok_or_else(|| RunError::ManifestMissing {
            version: version.to_string(),
        })?;
    Ok(Some(Published {
        version,
        etag,
        manifest,
    }))
}

pub(crate) async fn read_pointer(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
) -> Result<Option<(Version, ETag)>, RunError> {
    let key = keys::pointer(collection);
    let object = match objects.get(&key, POINTER_BYTES).await {
        Err(error) if error.fault == Fault::Full => return Err(RunError::PointerText { key }),
        found => found?,
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
    Ok(Some((version, object.info.etag)))
}

pub(crate) async fn read_manifest(
    objects: &dyn ObjectStore,
    collection: &CollectionName,
    version: &Version,
) -> Result<Option<Manifest>, RunError> {
    let Some(object) = objects
        .get(&keys::manifest(collection, version), MANIFEST_BYTES)
        .await?
    else {
        return Ok(None);
    };
    Manifest::parse(&object.body)
        .and_then(|manifest| manifest.validate(collection, version).map(|()| manifest))
        .map(Some)
        .map_err(|source| RunError::Manifest {
            version: version.to_string(),
            source,
        })
}

/// Downloads a published version into the empty folder `to` and checks every file against the
/// manifest, size and SHA-256.
///
/// # Errors
/// A file is missing or differs, or the snapshot passes a limit.
pub async fn download(
    objects: &Arc<dyn ObjectStore>,
    published: &Published,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let manifest = &published.manifest;
    if manifest.layout != Layout::Files {
        return Err(RunError::Layout {
            version: published.version.to_string(),
        });
    }
    let bytes: u64 = manifest
        .files
        .iter()
        .fold(0, |sum, file| sum.saturating_add(file.size));
    if bytes > limits.snapshot_bytes {
        let what = format!("snapshot {}", published.version);
        return Err(RunError::TooLarge {
            what,
            limit: limits.snapshot_bytes,
        });
    }
    let slots = Arc::new(Semaphore::new(limits.transfers));
    let mut transfers = JoinSet::new();
    for file in manifest.files.clone() {
        let key = keys::file(&manifest.collection, &manifest.version, &file.path);
        let target = to.join(&file.path);
        let (objects, slots) = (Arc::clone(objects), Arc::clone(&slots));
        transfers.spawn(async move {
            // The semaphore is never closed.
            let _slot = slots.acquire().await;
            if let Some(parent) = target.parent() {
                tokio::fs::create_dir_all(parent)
                    .await
                    .map_err(chroma_store::StoreError::from)?;
            }
            let differs = |detail: String| RunError::SnapshotFile {
                key: key.clone(),
                detail,
            };
            let found = match objects.download(&key, &target, file.size).await {
                Err(error)
                    if error.fault == Fault::Full && is_larger(&objects, &key, file.size).await =>
                {
                    return Err(differs(format!(
                        "more than the manifest's {} bytes",
                        file.size
                    )));
                }
                found => found?,
            };
            match found {
                None => return Err(differs("it is missing".to_owned())),
                Some(info) if info.size != file.size => {
                    let detail = format!("{} bytes, the manifest says {}", info.size, file.size);
                    return Err(differs(detail));
                }
                Some(_) => {}
            }
            let sha256 = tokio::task::spawn_blocking(move || sha256_of(&target)).await??;
            if sha256 == file.sha256 {
                Ok(())
            } else {
                Err(differs(format!(
                    "SHA-256 {sha256}, the manifest says {}",
                    file.sha256
                )))
            }
        });
    }
    while let Some(outcome) = transfers.join_next().await {
        outcome??;
    }
    Ok(())
}

/// "Full" is said of objects past the limit and of disks: the object's size tells which.
async fn is_larger(objects: &Arc<dyn ObjectStore>, key: &str, size: u64) -> bool {
    matches!(objects.head(key).await, Ok(Some(info)) if info.size > size)
}

fn sha256_of(path: &Path) -> Result<String, RunError> {
    let mut hash = Sha256::new();
    let mut file = fs_err::File::open(path).map_err(chroma_store::StoreError::from)?;
    std::io::copy(&mut file, &mut HashWriter(&mut hash)).map_err(chroma_store::StoreError::from)?;
    Ok(hex::encode(hash.finalize()))
}

/// `std::io::Write` for a digest.
struct HashWriter<'h>(&'h mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
