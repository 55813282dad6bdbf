//! Fetching one delta: `delta.tar.gz`, or loose objects below its prefix.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use chroma_store::{Kind, StoreError, UnpackLimits, unpack};
use compactor_core::disposition::Resource;
use compactor_core::keys::{self, DeltaLocation};
use compactor_core::ports::{ObjectInfo, ObjectStore};
use compactor_snapshots::{About as _, Error as SnapshotError, Limits, file_for_object};

use crate::{Error, Result};

/// A delta that was found, and not fetched yet.
pub(super) struct Found {
    objects: Arc<dyn ObjectStore>,
    prefix: String,
    /// What errors are about.
    resource: Resource,
    form: Form,
}

enum Form {
    /// An archive, as large as it was when it was found.
    Archive(u64),
    /// Loose objects, and their bytes then. There may be many: they are listed again when they are
    /// fetched.
    Loose(u64),
}

/// Looks for a delta.
///
/// # Errors
/// It is not there, cannot be read, or passes a limit.
pub(super) async fn find(
    objects: &Arc<dyn ObjectStore>,
    location: &DeltaLocation,
    limits: &Limits,
) -> Result<Found> {
    let foreign = match &location.bucket {
        Some(bucket) if !objects.is_bucket(bucket) => {
            let other = objects.bucket(bucket);
            Some(other.ok_or_else(|| Error::DeltaBucket {
                bucket: bucket.clone(),
            })?)
        }
        _ => None,
    };
    let resource = match foreign {
        Some(_) => Resource::ForeignDelta,
        None => Resource::Delta,
    };
    let objects = foreign.unwrap_or_else(|| Arc::clone(objects));
    let archive = keys::delta_archive(&location.prefix);
    let form = match objects.head(&archive).await.about(resource)? {
        Some(info) if info.size > limits.archive_bytes => {
            return Err(SnapshotError::TooLarge {
                what: info.key,
                limit: limits.archive_bytes,
                unit: "bytes",
                setting: "limits.archive",
            }
            .into());
        }
        Some(info) => Form::Archive(info.size),
        None => {
            let listed = list(objects.as_ref(), &location.prefix, resource, limits).await?;
            Form::Loose(total(&listed))
        }
    };
    Ok(Found {
        objects,
        prefix: location.prefix.clone(),
        resource,
        form,
    })
}

impl Found {
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Bytes that it takes on disk at most while it is fetched.
    pub(super) fn most_bytes(&self, limits: &Limits) -> u64 {
        match &self.form {
            Form::Archive(packed) => packed.saturating_add(limits.unpacked.most_bytes(*packed)),
            Form::Loose(bytes) => *bytes,
        }
    }

    /// Fetches it into the new folder `to`. Returns how many bytes it takes there.
    pub(super) async fn fetch(&self, to: &Path, limits: &Limits) -> Result<u64> {
        match &self.form {
            Form::Archive(_) => self.fetch_archive(to, limits).await,
            Form::Loose(bytes) => self.fetch_loose(*bytes, to, limits).await,
        }
    }

    fn missing(&self) -> Error {
        missing(&self.prefix)
    }

    /// A faulty archive fails its run for good, so the archive in the bucket must be faulty, not only the copy that
    /// arrived: it is fetched twice.
    async fn fetch_archive(&self, to: &Path, limits: &Limits) -> Result<u64> {
        let packed = to.with_extension("tar.gz");
        match self.unpack_from(&packed, to, limits).await {
            Err(Error::Snapshot(SnapshotError::Store(error))) if error.kind() == Kind::BadInput => {
                let delta = self.prefix.as_str();
                tracing::info!(delta, code = error.code(), %error, "fetching it once more");
                start_again(&packed, to).await.map_err(StoreError::from)?;
                self.unpack_from(&packed, to, limits).await
            }
            fetched => fetched,
        }
    }

    /// Downloads the archive to `packed`, which is removed again, and unpacks it.
    async fn unpack_from(&self, packed: &Path, to: &Path, limits: &Limits) -> Result<u64> {
        let key = keys::delta_archive(&self.prefix);
        let info = self
            .objects
            .download(&key, packed, limits.archive_bytes)
            .await
            .about(self.resource)?
            .ok_or_else(|| self.missing())?;
        let (packed, to, unpacked) = (packed.to_path_buf(), to.to_path_buf(), limits.unpacked);
        let unpacked = tokio::task::spawn_blocking(move || {
            let archive = fs_err::File::open(&packed)?;
            fs_err::create_dir(&to)?;
            let unpacked = unpack(archive, info.size, &to, unpacked)?;
            fs_err::remove_file(&packed)?;
            Ok::<_, StoreError>(unpacked)
        });
        Ok(unpacked.await??.bytes)
    }

    async fn fetch_loose(&self, expected: u64, to: &Path, limits: &Limits) -> Result<u64> {
        let objects = self.objects.as_ref();
        let listed = list(objects, &self.prefix, self.resource, limits).await?;
        let bytes = total(&listed);
        if bytes > expected {
            return Err(Error::DeltaChanged {
                prefix: self.prefix.clone(),
            });
        }
        for object in &listed {
            let target = file_for_object(to, &self.prefix, &object.key)?;
            if let Some(parent) = target.parent() {
                let made = tokio::fs::create_dir_all(parent).await;
                made.map_err(|error| as_name(&object.key, error))?;
            }
            let found = self.objects.download(&object.key, &target, object.size);
            let found = found.await.about(self.resource)?;
            found.ok_or_else(|| self.missing())?;
        }
        Ok(bytes)
    }
}

fn missing(prefix: &str) -> Error {
    Error::DeltaMissing {
        prefix: prefix.to_owned(),
    }
}

fn total(objects: &[ObjectInfo]) -> u64 {
    let sizes = objects.iter().map(|object| object.size);
    sizes.fold(0, u64::saturating_add)
}

/// An object may be named as the folder of another one.
fn as_name(key: &str, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => SnapshotError::ObjectName {
            key: key.to_owned(),
        }
        .into(),
        _ => StoreError::from(error).into(),
    }
}

async fn start_again(packed: &Path, to: &Path) -> std::io::Result<()> {
    tokio::fs::remove_file(packed).await?;
    tokio::fs::remove_dir_all(to).await
}

/// The objects below a delta's prefix.
async fn list(
    objects: &dyn ObjectStore,
    prefix: &str,
    resource: Resource,
    limits: &Limits,
) -> Result<Vec<ObjectInfo>> {
    let mut found: Vec<ObjectInfo> = Vec::new();
    let mut bytes = 0_u64;
    let mut after: Option<String> = None;
    loop {
        let page = objects.list(prefix, after.as_deref()).await;
        let page = page.about(resource)?;
        for object in page.entries {
            // Consoles make an empty object to stand for the folder itself.
            if object.key == prefix || object.key.ends_with('/') {
                continue;
            }
            bytes = bytes.saturating_add(object.size);
            found.push(object);
            let UnpackLimits {
                entries: most,
                bytes: most_bytes,
                ..
            } = limits.unpacked;
            for (found, limit, unit, setting) in [
                (found.len() as u64, most, "objects", "limits.entries"),
                (bytes, most_bytes, "bytes", "limits.delta"),
            ] {
                if found > limit {
                    return Err(SnapshotError::TooLarge {
                        what: format!("delta {prefix}"),
                        limit,
                        unit,
                        setting,
                    }
                    .into());
                }
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None if found.is_empty() => return Err(missing(prefix)),
            None => return Ok(found),
        }
    }
}
