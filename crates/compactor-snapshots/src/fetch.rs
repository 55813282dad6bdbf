//! Downloading a published version, every file checked.

use std::path::Path;
use std::sync::Arc;

use chroma_store::StoreError;
use compactor_core::disposition::Resource;
use compactor_core::manifest::Layout;
use compactor_core::ports::{Fault, ObjectInfo, ObjectStore};
use compactor_core::{FileEntry, Manifest, keys};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::error::About as _;
use crate::packed;
use crate::published::{Content, Published};
use crate::working_copy::{KnownFile, KnownFiles};
use crate::{Error, Limits, Result, SnapshotRepository};

impl SnapshotRepository {
    /// Downloads a published version into the empty folder `to` and checks it: every file against the
    /// manifest, size and SHA-256; a version without one against its hash object, where that can be
    /// done. Returns what is known of the files then; of a version without a manifest, nothing.
    ///
    /// # Errors
    /// A file is missing or differs, or the snapshot passes a limit.
    pub async fn fetch(
        &self,
        published: &Published,
        to: &Path,
        limits: &Limits,
    ) -> Result<KnownFiles> {
        let objects = &self.objects;
        let manifest = match &published.content {
            Content::Manifest(manifest) => manifest,
            Content::Legacy(legacy) => {
                legacy
                    .download(objects, &published.lineage, &published.version, to, limits)
                    .await?;
                return Ok(KnownFiles::default());
            }
        };
        let bytes: u64 = manifest
            .files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.size));
        if bytes > limits.snapshot_bytes {
            return Err(packed::too_large(&published.version, limits));
        }
        match manifest.layout {
            Layout::Files => files(objects, manifest, to, limits).await,
            Layout::Archive => {
                let key = keys::snapshot_archive(&published.lineage, &published.version);
                let info = packed::download(objects.as_ref(), &key, to, limits).await?;
                if let Some(archive) = &manifest.archive {
                    packed::check(archive, &key, to).await?;
                }
                packed::unpack(&key, info.size, to, limits).await?;
                let checks = manifest.files.iter().map(|file| check(file, &key, to));
                let known: Vec<KnownFile> = futures_util::future::try_join_all(checks).await?;
                Ok(known.into_iter().collect())
            }
        }
    }
}

/// A file on disk against its entry in the manifest. `key` is what it came from. Other files do no
/// harm: what is published next lists its own.
async fn check(entry: &FileEntry, key: &str, dir: &Path) -> Result<KnownFile> {
    let differs = |detail: String| Error::SnapshotFile {
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
) -> Result<KnownFiles> {
    let transfers: Vec<_> = manifest
        .files
        .iter()
        .map(|entry| async move {
            let key = keys::file(&manifest.lineage(), &manifest.version, &entry.path);
            let object = file(objects, &key, entry, to).await?;
            let known = check(entry, &key, to).await?;
            Ok::<_, Error>(known.stored_as(object))
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
) -> Result<ObjectInfo> {
    let target = to.join(&entry.path);
    if let Some(parent) = target.parent() {
        tokio::fs::create_dir_all(parent)
            .await
            .map_err(StoreError::from)?;
    }
    let differs = |detail: String| Error::SnapshotFile {
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
