//! Fetching one delta: `delta.tar.gz`, or loose objects below its prefix.

use std::path::{Path, PathBuf};

use chroma_store::{Kind, StoreError, UnpackLimits, unpack};
use compactor_core::disposition::Resource;
use compactor_core::keys::{self, DeltaLocation};
use compactor_core::ports::ObjectStore;

use crate::error::About as _;
use crate::{Limits, RunError};

/// Where a delta is.
#[derive(Clone, Copy)]
struct Source<'a> {
    objects: &'a dyn ObjectStore,
    prefix: &'a str,
    /// What errors are about.
    resource: Resource,
}

/// Fetches a delta into the new folder `to`.
pub(crate) async fn fetch(
    objects: &dyn ObjectStore,
    location: &DeltaLocation,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let foreign = match &location.bucket {
        Some(bucket) if !objects.is_bucket(bucket) => {
            let other = objects.bucket(bucket);
            Some(other.ok_or_else(|| RunError::DeltaBucket {
                bucket: bucket.clone(),
            })?)
        }
        _ => None,
    };
    let source = Source {
        objects: foreign.as_deref().unwrap_or(objects),
        prefix: &location.prefix,
        resource: match foreign {
            Some(_) => Resource::ForeignDelta,
            None => Resource::Delta,
        },
    };
    tokio::fs::create_dir(to).await.map_err(StoreError::from)?;
    let archive = keys::delta_archive(source.prefix);
    let archive = source.objects.head(&archive);
    match archive.await.about(source.resource)? {
        Some(info) if info.size > limits.archive_bytes => Err(RunError::TooLarge {
            what: info.key,
            limit: limits.archive_bytes,
            unit: "bytes",
            setting: "limits.archive",
        }),
        Some(_) => fetch_archive(source, to, limits).await,
        None => fetch_loose(source, to, limits).await,
    }
}

/// What is wrong with an archive is held against its run for good, so it must be true of the one in
/// the bucket: a byte may have changed on the way.
async fn fetch_archive(source: Source<'_>, to: &Path, limits: &Limits) -> Result<(), RunError> {
    let packed = to.with_extension("tar.gz");
    match unpack_from(source, &packed, to, limits).await {
        Err(RunError::Store(error)) if error.kind() == Kind::BadInput => {
            let delta = source.prefix;
            tracing::info!(delta, code = error.code(), %error, "fetching it once more");
            start_again(&packed, to).await.map_err(StoreError::from)?;
            unpack_from(source, &packed, to, limits).await
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
    source: Source<'_>,
    packed: &Path,
    to: &Path,
    limits: &Limits,
) -> Result<(), RunError> {
    let key = keys::delta_archive(source.prefix);
    let info = source
        .objects
        .download(&key, packed, limits.archive_bytes)
        .await
        .about(source.resource)?
        .ok_or_else(|| source.missing())?;
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

async fn fetch_loose(source: Source<'_>, to: &Path, limits: &Limits) -> Result<(), RunError> {
    let (mut entries, mut bytes) = (0_u64, 0_u64);
    let mut after: Option<String> = None;
    loop {
        let page = source.objects.list(source.prefix, after.as_deref()).await;
        let page = page.about(source.resource)?;
        for object in page.entries {
            // Consoles make an empty object to stand for the folder itself.
            if object.key == source.prefix || object.key.ends_with('/') {
                continue;
            }
            entries += 1;
            bytes = bytes.saturating_add(object.size);
            let UnpackLimits {
                entries: most,
                bytes: most_bytes,
                ..
            } = limits.unpacked;
            for (found, limit, unit, setting) in [
                (entries, most, "objects", "limits.entries"),
                (bytes, most_bytes, "bytes", "limits.delta"),
            ] {
                if found > limit {
                    return Err(RunError::TooLarge {
                        what: format!("delta {}", source.prefix),
                        limit,
                        unit,
                        setting,
                    });
                }
            }
            let target = target(to, source.prefix, &object.key)?;
            if let Some(parent) = target.parent() {
                tokio::fs::create_dir_all(parent)
                    .await
                    .map_err(StoreError::from)?;
            }
            let found = source.objects.download(&object.key, &target, object.size);
            let found = found.await.about(source.resource)?;
            found.ok_or_else(|| source.missing())?;
        }
        match page.next {
            Some(next) => after = Some(next),
            None if entries == 0 => return Err(source.missing()),
            None => return Ok(()),
        }
    }
}

impl Source<'_> {
    fn missing(&self) -> RunError {
        RunError::DeltaMissing {
            prefix: self.prefix.to_owned(),
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
