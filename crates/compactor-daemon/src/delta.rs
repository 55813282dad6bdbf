//! Fetching one delta: `delta.tar.gz`, or loose objects below its prefix.

use std::path::{Path, PathBuf};

use chroma_store::{StoreError, unpack};
use compactor_core::Class;
use compactor_core::keys::{self, DeltaLocation};
use compactor_core::ports::ObjectStore;

use crate::{Limits, RunError};

/// Fetches a delta into the new folder `to`.
pub(crate) async fn fetch(
    objects: &dyn ObjectStore,
    location: &DeltaLocation,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let other = match &location.bucket {
        None => None,
        Some(bucket) => Some(
            objects
                .bucket(bucket)
                .ok_or_else(|| RunError::DeltaBucket {
                    bucket: bucket.clone(),
                })?,
        ),
    };
    let objects = other.as_deref().unwrap_or(objects);
    tokio::fs::create_dir(to).await.map_err(StoreError::from)?;
    match objects.head(&keys::delta_archive(&location.prefix)).await? {
        Some(info) if info.size > limits.archive_bytes => Err(RunError::TooLarge {
            what: info.key,
            limit: limits.archive_bytes,
        }),
        Some(_) => fetch_archive(objects, location, to, limits).await,
        None => fetch_loose(objects, location, to, limits).await,
    }
}

/// What is wrong with an archive is held against its run for good, so it must be true of the one in
/// the bucket: a byte may have changed on the way.
async fn fetch_archive(
    objects: &dyn ObjectStore,
    location: &DeltaLocation,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let packed = to.with_extension("tar.gz");
    match unpack_from(objects, location, &packed, to, limits).await {
        Err(error @ RunError::Store(_)) if error.class() == Class::DeadLetter => {
            let delta = &location.prefix;
            tracing::info!(delta, code = error.code(), %error, "fetching it once more");
            start_again(&packed, to).await.map_err(StoreError::from)?;
            unpack_from(objects, location, &packed, to, limits).await
        }
        fetched => fetched,
    }
}

async fn start_again(packed: &Path, to: &Path) -> std::io::Result<()> {
    tokio::fs::remove_file(packed).await?;
    tokio::fs::remove_dir_all(to).await?;
    tokio::fs::create_dir(to).await
}

/// Downloads the archive to `packed`, which is removed again, and unpacks it.
async fn unpack_from(
    objects: &dyn ObjectStore,
    location: &DeltaLocation,
    packed: &Path,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let key = keys::delta_archive(&location.prefix);
    let info = objects
        .download(&key, packed, limits.archive_bytes)
        .await?
        .ok_or_else(|| RunError::DeltaMissing {
            prefix: location.prefix.clone(),
        })?;
    let (packed, to, unpacked) = (packed.to_path_buf(), to.to_path_buf(), limits.unpacked);
    tokio::task::spawn_blocking(move || {
        let archive = fs_err::File::open(&packed)?;
        unpack(archive, info.size, &to, unpacked)?;
        fs_err::remove_file(&packed)?;
        Ok::<_, StoreError>(())
    })
    .await??;
    Ok(())
}

async fn fetch_loose(
    objects: &dyn ObjectStore,
    location: &DeltaLocation,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    let mut after: Option<String> = None;
    loop {
        let page = objects.list(&location.prefix, after.as_deref()).await?;
        for object in page.entries {
            // Consoles make an empty object to stand for the folder itself.
            if object.key == location.prefix || object.key.ends_with('/') {
                continue;
            }
            entries += 1;
            bytes = bytes.saturating_add(object.size);
            if entries > limits.unpacked.entries || bytes > limits.unpacked.bytes {
                let what = format!("delta {}", location.prefix);
                return Err(RunError::TooLarge {
                    what,
                    limit: limits.unpacked.bytes,
                });
            }
            let target = target(to, &location.prefix, &object.key)?;
            if let Some(parent) = target.parent() {
                tokio::fs::create_dir_all(parent)
                    .await
                    .map_err(StoreError::from)?;
            }
            objects
                .download(&object.key, &target, object.size)
                .await?
                .ok_or_else(|| RunError::DeltaMissing {
                    prefix: location.prefix.clone(),
                })?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None if entries == 0 => {
                return Err(RunError::DeltaMissing {
                    prefix: location.prefix.clone(),
                });
            }
            None => return Ok(()),
        }
    }
}

/// Where an object goes; names that could lead elsewhere are refused.
pub(crate) fn target(to: &Path, prefix: &str, key: &str) -> Result<PathBuf, RunError> {
    let refuse = || RunError::ObjectName {
        key: key.to_owned(),
    };
    let relative = key.strip_prefix(prefix).ok_or_else(refuse)?;
    let safe = relative
        .split('/')
        .all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']));
    if safe {
        Ok(to.join(relative))
    } else {
        Err(refuse())
    }
}
