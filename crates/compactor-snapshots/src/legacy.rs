//! Versions of the Python compactor: no manifest, one archive or one object per file, and a hash
//! object in one of three forms.

use std::path::Path;
use std::sync::Arc;

use chroma_store::StoreError;
use compactor_core::disposition::Resource;
use compactor_core::ports::{ObjectInfo, ObjectStore, WallTime};
use compactor_core::snapshot_hash::{HashedFile, SnapshotHash};
use compactor_core::{Lineage, Manifest, Version, keys};
use digest_io::HashReader;
use md5::Md5;
use serde::Deserialize;

use crate::error::About as _;
use crate::object_path::file_for_object;
use crate::packed;
use crate::{Error, Limits, Result};

/// The hash object is a few hundred bytes.
pub(crate) const HASH_BYTES: u64 = 64 << 10;
/// The hash of an archive.
const ARCHIVE_HASH: &str = "md5:";

/// How a version without a manifest is stored.
#[derive(Debug, Clone)]
pub enum Legacy {
    /// As `snapshot.tar.gz`.
    Archive,
    /// One object per file.
    Files(Vec<ObjectInfo>),
}

/// The hash object of the oldest writers. Of its fields only this one depends on the content.
#[derive(Deserialize)]
struct DirectoryHash {
    directory_hash: String,
}

impl Legacy {
    /// Looks for the version's objects; `None` if there are none.
    pub(crate) async fn find(
        objects: &dyn ObjectStore,
        lineage: &Lineage,
        version: &Version,
    ) -> Result<Option<Self>> {
        // All its writers made one, and ours make it after the files: without it nothing is whole.
        let hash = keys::snapshot_hash(lineage, version);
        if objects.head(&hash).await.about(Resource::Base)?.is_none() {
            return Ok(None);
        }
        let archive = keys::snapshot_archive(lineage, version);
        if objects
            .head(&archive)
            .await
            .about(Resource::Base)?
            .is_some()
        {
            return Ok(Some(Self::Archive));
        }
        let prefix = keys::version_prefix(lineage, version);
        let mut files = objects.list_all(&prefix).await.about(Resource::Base)?;
        files.retain(|info| info.key != hash && !info.key.ends_with('/'));
        Ok((!files.is_empty()).then_some(Self::Files(files)))
    }

    pub(crate) async fn download(
        &self,
        objects: &Arc<dyn ObjectStore>,
        lineage: &Lineage,
        version: &Version,
        to: &Path,
        limits: &Limits,
    ) -> Result<()> {
        let hash = keys::snapshot_hash(lineage, version);
        let hash = objects.get(&hash, HASH_BYTES).await.about(Resource::Base)?;
        let hash = hash.map(|object| String::from_utf8_lossy(&object.body).trim().to_owned());
        match self {
            Self::Archive => {
                let key = keys::snapshot_archive(lineage, version);
                let info = packed::download(objects.as_ref(), &key, to, limits).await?;
                check_archive(&key, hash.as_deref(), &packed::path_for(to)).await?;
                packed::unpack(&key, info.size, to, limits).await
            }
            Self::Files(files) => {
                let bytes = files
                    .iter()
                    .fold(0_u64, |sum, file| sum.saturating_add(file.size));
                if bytes > limits.snapshot_bytes {
                    return Err(packed::too_large(version, limits));
                }
                let prefix = keys::version_prefix(lineage, version);
                for file in files {
                    fetch(objects, &prefix, file, to).await?;
                }
                check_files(&prefix, hash.as_deref(), files, to).await
            }
        }
    }
}

/// What a version without a manifest was made from.
#[derive(Debug, Default)]
pub enum Ancestor {
    /// None of ours.
    #[default]
    None,
    /// The version of this manifest.
    Known(Box<Manifest>),
    /// One of ours, but its manifest is damaged or too new.
    Unusable,
}

impl Ancestor {
    /// The manifest of the version that it was made from.
    pub fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Known(manifest) => Some(manifest),
            Self::None | Self::Unusable => None,
        }
    }
}

/// Looks for our manifest in the directory `dir` of a version that has none of its own: a Python writer
/// that starts from our version takes along every file that it finds.
///
/// # Errors
/// The file cannot be read.
pub async fn ancestor(lineage: &Lineage, dir: &Path) -> Result<Ancestor> {
    let json = match tokio::fs::read(dir.join(keys::MANIFEST_NAME)).await {
        Ok(json) => json,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ancestor::None),
        Err(error) => return Err(StoreError::from(error).into()),
    };
    let manifest = Manifest::parse(&json).and_then(|manifest| {
        let checked = manifest.validate(lineage.collection(), &manifest.version);
        checked.map(|()| manifest)
    });
    Ok(match manifest {
        Ok(manifest) => Ancestor::Known(Box::new(manifest)),
        Err(_) => Ancestor::Unusable,
    })
}

async fn fetch(
    objects: &Arc<dyn ObjectStore>,
    prefix: &str,
    file: &ObjectInfo,
    to: &Path,
) -> Result<()> {
    let path = file_for_object(to, prefix, &file.key)?;
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent)
            .await
            .map_err(StoreError::from)?;
    }
    let found = objects.download(&file.key, &path, file.size).await;
    match found.about(Resource::Base)? {
        Some(info) if info.size == file.size => Ok(()),
        found => Err(Error::SnapshotFile {
            key: file.key.clone(),
            detail: match found {
                Some(info) => format!("{} bytes, the listing says {}", info.size, file.size),
                None => "it is missing".to_owned(),
            },
        }),
    }
}

async fn check_archive(key: &str, hash: Option<&str>, packed: &Path) -> Result<()> {
    let Some(expected) = hash.and_then(|hash| hash.strip_prefix(ARCHIVE_HASH)) else {
        return Ok(());
    };
    let packed = packed.to_path_buf();
    let found = tokio::task::spawn_blocking(move || md5_of(&packed)).await??;
    compare(key, expected, &found)
}

/// Only the oldest form can be checked: the one between depends on times and on the order in which
/// a disk lists its files.
async fn check_files(
    prefix: &str,
    hash: Option<&str>,
    files: &[ObjectInfo],
    to: &Path,
) -> Result<()> {
    let hash = hash.and_then(|hash| serde_json::from_str::<DirectoryHash>(hash).ok());
    let Some(DirectoryHash { directory_hash }) = hash else {
        return Ok(());
    };
    let (to, own_prefix) = (to.to_path_buf(), prefix.to_owned());
    let files: Vec<(String, u64)> = files
        .iter()
        .filter_map(|file| Some((file.key.strip_prefix(prefix)?.to_owned(), file.size)))
        .collect();
    let found = tokio::task::spawn_blocking(move || {
        let hashed = files.into_iter().map(|(path, size)| {
            let md5 = md5_of(&to.join(&path))?;
            Ok(HashedFile { path, md5, size })
        });
        let hashed = hashed.collect::<Result<Vec<_>>>()?;
        let hash = SnapshotHash::of(hashed, WallTime(0), 0.0);
        Ok::<_, Error>(hash.directory_hash)
    })
    .await??;
    compare(&own_prefix, &directory_hash, &found)
}

fn md5_of(path: &Path) -> Result<String> {
    let file = fs_err::File::open(path).map_err(StoreError::from)?;
    let mut reader = HashReader::<Md5, _>::new(file);
    std::io::copy(&mut reader, &mut std::io::sink()).map_err(StoreError::from)?;
    Ok(hex::encode(reader.finalize()))
}

fn compare(key: &str, expected: &str, found: &str) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::SnapshotFile {
        key: key.to_owned(),
        detail: format!("MD5 {found}, its hash object says {expected}"),
    })
}
