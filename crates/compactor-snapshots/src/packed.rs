//! A snapshot that is one archive, on its way to a folder.

use std::path::{Path, PathBuf};

use chroma_store::{StoreError, StoredFile, UnpackLimits};
use compactor_core::Version;
use compactor_core::disposition::Resource;
use compactor_core::manifest::ArchiveEntry;
use compactor_core::ports::{Fault, ObjectInfo, ObjectStore};

use crate::error::About as _;
use crate::{Error, Limits, Result};

/// A snapshot that passes `limits.snapshot`.
pub(crate) fn too_large(version: &Version, limits: &Limits) -> Error {
    Error::TooLarge {
        what: format!("snapshot {}", version),
        limit: limits.snapshot_bytes,
        unit: "bytes",
        setting: "limits.snapshot",
    }
}

/// Where the archive of the snapshot that goes to `to` is meanwhile.
pub(crate) fn path_for(to: &Path) -> PathBuf {
    to.with_extension("tar.gz")
}

/// Downloads a snapshot that is one archive, beside `to`.
pub(crate) async fn download(
    objects: &dyn ObjectStore,
    key: &str,
    to: &Path,
    limits: &Limits,
) -> Result<ObjectInfo> {
    let packed = path_for(to);
    let found = match objects.download(key, &packed, limits.snapshot_bytes).await {
        Err(error) if error.fault == Fault::TooLarge => {
            return Err(Error::TooLarge {
                what: format!("snapshot {key}"),
                limit: limits.snapshot_bytes,
                unit: "bytes",
                setting: "limits.snapshot",
            });
        }
        found => found.about(Resource::Base)?,
    };
    found.ok_or_else(|| Error::SnapshotFile {
        key: key.to_owned(),
        detail: "it is missing".to_owned(),
    })
}

/// The downloaded archive against what the manifest says of it.
pub(crate) async fn check(entry: &ArchiveEntry, key: &str, to: &Path) -> Result<()> {
    let packed = path_for(to);
    let found = tokio::task::spawn_blocking(move || {
        let folder = packed.parent().unwrap_or(&packed);
        let name = packed.file_name().unwrap_or_default().to_string_lossy();
        StoredFile::read(folder, &name)
    })
    .await??;
    if (found.size, &found.sha256) == (entry.size, &entry.sha256) {
        return Ok(());
    }
    Err(Error::SnapshotFile {
        key: key.to_owned(),
        detail: format!(
            "{} bytes with SHA-256 {}, the manifest says {} with {}",
            found.size, found.sha256, entry.size, entry.sha256
        ),
    })
}

/// Unpacks the downloaded archive of `size` bytes into `to`, and removes it.
pub(crate) async fn unpack(key: &str, size: u64, to: &Path, limits: &Limits) -> Result<()> {
    let limits = UnpackLimits {
        bytes: limits.snapshot_bytes,
        ..limits.unpacked
    };
    let (key, to) = (key.to_owned(), to.to_path_buf());
    tokio::task::spawn_blocking(move || {
        let packed = path_for(&to);
        let archive = fs_err::File::open(&packed).map_err(StoreError::from)?;
        match chroma_store::unpack(archive, size, &to, limits) {
            Ok(_) => Ok(fs_err::remove_file(packed).map_err(StoreError::from)?),
            // Of this machine, not of the archive.
            Err(error) if error.is_of_machine() => Err(error.into()),
            // It may be sound: an operator can raise the limit.
            Err(StoreError::ArchiveLimit { limit, what: unit }) => Err(Error::TooLarge {
                what: format!("snapshot {key}"),
                limit,
                unit,
                setting: "limits.snapshot, limits.ratio or limits.entries",
            }),
            Err(error) => Err(Error::SnapshotFile {
                key,
                detail: error.to_string(),
            }),
        }
    })
    .await?
}
