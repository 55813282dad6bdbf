//! Downloading a published version, every file checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chroma_store::{StoreError, StoredFile, UnpackLimits, unpack};
use compactor_core::disposition::Resource;
use compactor_core::manifest::{ArchiveEntry, Layout};
use compactor_core::ports::{Fault, ObjectInfo, ObjectStore};
use compactor_core::{FileEntry, Manifest, keys};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{Content, KnownFile, KnownFiles, Published};
use crate::error::About as _;
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
    fetch(objects, published, to, limits).await.map(drop)
}

/// [`download`], with what is known of the files then; of a version without a manifest, nothing.
pub(crate) async fn fetch(
    objects: &Arc<dyn ObjectStore>,
    published: &Published,
    to: &Path,
    limits: &Limits,
) -> Result<KnownFiles, RunError> {
    let manifest = match &published.content {
        Content::Manifest(manifest) => manifest,
        Content::Legacy(legacy) => {
            legacy.download(objects, published, to, limits).await?;
            return Ok(KnownFiles::default());
        }
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
            let info = fetch_archive(objects, &key, to, limits).await?;
            if let Some(archive) = &manifest.archive {
                check_archive(archive, &key, to).await?;
            }
            unpack_archive(&key, info.size, to, limits).await?;
            let checks = manifest.files.iter().map(|file| check(file, &key, to));
            let known: Vec<KnownFile> = futures_util::future::try_join_all(checks).await?;
            Ok(known.into_iter().collect())
        }
    }
}

pub(super) fn too_large(published: &Published, limits: &Limits) -> RunError {
    RunError::TooLarge {
        what: format!("snapshot {}", published.version),
        limit: limits.snapshot_bytes,
        unit: "bytes",
        setting: "limits.snapshot",
    }
}

/// Where the archive of the snapshot that goes to `to` is meanwhile.
pub(super) fn packed(to: &Path) -> PathBuf {
    to.with_extension("tar.gz")
}

/// Downloads a snapshot that is one archive, beside `to`.
pub(super) async fn fetch_archive(
    objects: &Arc<dyn ObjectStore>,
    key: &str,
    to: &Path,
    limits: &Limits,
) -> Result<ObjectInfo, RunError> {
    let packed = packed(to);
    let found = match objects.download(key, &packed, limits.snapshot_bytes).await {
        Err(error) if error.fault == Fault::TooLarge => {
            return Err(RunError::TooLarge {
                what: format!("snapshot {key}"),
                limit: limits.snapshot_bytes,
                unit: "bytes",
                setting: "limits.snapshot",
            });
        }
        found => found.about(Resource::Base)?,
    };
    found.ok_or_else(|| RunError::SnapshotFile {
        key: key.to_owned(),
        detail: "it is missing".to_owned(),
    })
}

/// The downloaded archive against what the manifest says of it.
async fn check_archive(entry: &ArchiveEntry, key: &str, to: &Path) -> Result<(), RunError> {
    let packed = packed(to);
    let found = tokio::task::spawn_blocking(move || {
        let folder = packed.parent().unwrap_or(&packed);
        let name = packed.file_name().unwrap_or_default().to_string_lossy();
        StoredFile::read(folder, &name)
    })
    .await??;
    if (found.size, &found.sha256) == (entry.size, &entry.sha256) {
        return Ok(());
    }
    Err(RunError::SnapshotFile {
        key: key.to_owned(),
        detail: format!(
            "{} bytes with SHA-256 {}, the manifest says {} with {}",
            found.size, found.sha256, entry.size, entry.sha256
        ),
    })
}

/// Unpacks the downloaded archive of `size` bytes into `to`, and removes it.
pub(super) async fn unpack_archive(
    key: &str,
    size: u64,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let limits = UnpackLimits {
        bytes: limits.snapshot_bytes,
        ..limits.unpacked
    };
    let (key, to) = (key.to_owned(), to.to_path_buf());
    tokio::task::spawn_blocking(move || {
        let packed = packed(&to);
        let archive = fs_err::File::open(&packed).map_err(StoreError::from)?;
        match unpack(archive, size, &to, limits) {
            Ok(_) => Ok(fs_err::remove_file(packed).map_err(StoreError::from)?),
            // Of this machine, not of the archive.
            Err(error) if error.is_of_machine() => Err(error.into()),
            // It may be sound; someone raises the limit.
            Err(StoreError::ArchiveLimit { limit, what: unit }) => Err(RunError::TooLarge {
                what: format!("snapshot {key}"),
                limit,
                unit,
                setting: "limits.snapshot, limits.ratio or limits.entries",
            }),
            Err(error) => Err(RunError::SnapshotFile {
                key,
                detail: error.to_string(),
            }),
        }
    })
    .await?
}

/// A file on disk against its entry in the manifest. `key` is what it came from. Other files do no
/// harm: what is published next lists its own.
async fn check(entry: &FileEntry, key: &str, dir: &Path) -> Result<KnownFile, RunError> {
    let differs = |detail: String| RunError::SnapshotFile {
        key: format!("{key} ({})", entry.path),
        detail,
    };
    if !dir.join(&entry.path).is_file() {
        return Err(differs("it is missing".to_owned()));
    }
    let (dir, path) = (dir.to_path_buf(), entry.path.clone());
    let known = tokio::task::spawn_blocking(move || KnownFile::read(&dir, &path)).await??;
    if known.file.sha256 == entry.sha256 {
        return Ok(known);
    }
    Err(differs(format!(
        "SHA-256 {}, the manifest says {}",
        known.file.sha256, entry.sha256
    )))
}

async fn files(
    objects: &Arc<dyn ObjectStore>,
    manifest: &Manifest,
    to: &Path,
    limits: &Limits,
) -> Result<KnownFiles, RunError> {
    let transfers: Vec<_> = manifest
        .files
        .iter()
        .map(|entry| async move {
            let key = keys::file(&manifest.collection, &manifest.version, &entry.path);
            let object = file(objects, &key, entry, to).await?;
            let known = check(entry, &key, to).await?;
            Ok::<_, RunError>(known.stored_as(object))
        })
        .collect();
    let known: Vec<KnownFile> = stream::iter(transfers)
        .buffer_unordered(limits.transfers)
        .try_collect()
        .await?;
    Ok(known.into_iter().collect())
}

async fn file(
    objects: &Arc<dyn ObjectStore>,
    key: &str,
    entry: &FileEntry,
    to: &Path,
) -> Result<ObjectInfo, RunError> {
    let target = to.join(&entry.path);
    if let Some(parent) = target.parent() {
        tokio::fs::create_dir_all(parent)
            .await
            .map_err(StoreError::from)?;
    }
    let differs = |detail: String| RunError::SnapshotFile {
        key: key.to_owned(),
        detail,
    };
    let found = match objects.download(key, &target, entry.size).await {
        Err(error) if error.fault == Fault::TooLarge => {
            return Err(differs(format!(
                "more than the manifest's {} bytes",
                entry.size
            )));
        }
        found => found.about(Resource::Base)?,
    };
    match found {
        None => Err(differs("it is missing".to_owned())),
        Some(info) if info.size != entry.size => Err(differs(format!(
            "{} bytes, the manifest says {}",
            info.size, entry.size
        ))),
        Some(info) => Ok(info),
    }
}
