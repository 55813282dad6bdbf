//! Downloading a published version, every file checked.

use std::path::Path;
use std::sync::Arc;

use chroma_store::{StoreError, UnpackLimits, unpack};
use compactor_core::manifest::Layout;
use compactor_core::ports::{Fault, ObjectStore};
use compactor_core::{FileEntry, Manifest, keys};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::digest::sha256_of;
use super::{Content, Published};
use crate::{Limits, RunError};

/// Downloads a published version into the empty folder `to` and checks it: every file against the
/// manifest, size and SHA-256; a version without one against its hash object, if that can be.
///
/// # Errors
/// A file is missing or differs, or the snapshot passes a limit.
pub async fn download(
    objects: &Arc<dyn ObjectStore>,
    published: &Published,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let manifest = match &published.content {
        Content::Manifest(manifest) => manifest,
        Content::Legacy(legacy) => return legacy.download(objects, published, to, limits).await,
    };
    let bytes: u64 = manifest
        .files
        .iter()
        .fold(0, |sum, file| sum.saturating_add(file.size));
    if bytes > limits.snapshot_bytes {
        return Err(too_large(published, limits));
    }
    match manifest.layout {
        Layout::Files => files(objects, manifest, to, limits).await,
        Layout::Archive => {
            let key = keys::snapshot_archive(&published.collection, &published.version);
            archive(objects, &key, to, limits).await?;
            tokio::fs::remove_file(to.with_extension("tar.gz"))
                .await
                .map_err(StoreError::from)?;
            check_files(manifest, &key, to).await
        }
    }
}

pub(super) fn too_large(published: &Published, limits: &Limits) -> RunError {
    RunError::TooLarge {
        what: format!("snapshot {}", published.version),
        limit: limits.snapshot_bytes,
    }
}

/// Downloads and unpacks a snapshot that is one archive; the archive is left beside `to`.
pub(super) async fn archive(
    objects: &Arc<dyn ObjectStore>,
    key: &str,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let packed = to.with_extension("tar.gz");
    let found = objects
        .download(key, &packed, limits.snapshot_bytes)
        .await?;
    let info = found.ok_or_else(|| RunError::SnapshotFile {
        key: key.to_owned(),
        detail: "it is missing".to_owned(),
    })?;
    let limits = UnpackLimits {
        bytes: limits.snapshot_bytes,
        ..limits.unpacked
    };
    let (key, to) = (key.to_owned(), to.to_path_buf());
    tokio::task::spawn_blocking(move || {
        let archive = fs_err::File::open(&packed).map_err(StoreError::from)?;
        unpack(archive, info.size, &to, limits).map_err(|error| RunError::SnapshotFile {
            key,
            detail: error.to_string(),
        })?;
        Ok(())
    })
    .await?
}

/// Files on disk against the manifest. `key` is what they came from. Others do no harm: what is
/// published next lists its own.
pub(crate) async fn check_files(manifest: &Manifest, key: &str, to: &Path) -> Result<(), RunError> {
    let (files, key, to) = (manifest.files.clone(), key.to_owned(), to.to_path_buf());
    tokio::task::spawn_blocking(move || files.iter().try_for_each(|file| check(file, &key, &to)))
        .await?
}

fn check(file: &FileEntry, key: &str, to: &Path) -> Result<(), RunError> {
    let differs = |detail: String| RunError::SnapshotFile {
        key: format!("{key} ({})", file.path),
        detail,
    };
    let path = to.join(&file.path);
    if !path.is_file() {
        return Err(differs("it is missing".to_owned()));
    }
    let sha256 = sha256_of(&path)?;
    if sha256 == file.sha256 {
        return Ok(());
    }
    Err(differs(format!(
        "SHA-256 {sha256}, the manifest says {}",
        file.sha256
    )))
}

async fn files(
    objects: &Arc<dyn ObjectStore>,
    manifest: &Manifest,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
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
