//! The checks of a manifest that need neither its files nor the store.

use std::collections::HashSet;

use crate::keys::{MANIFEST_NAME, SNAPSHOT_HASH_NAME};
use crate::{CollectionName, Version};

use super::{FORMAT_VERSION, FileEntry, LINEAGE_LIMIT, Manifest, ManifestError};

pub(super) fn all(
    manifest: &Manifest,
    collection: &CollectionName,
    version: &Version,
) -> Result<(), ManifestError> {
    if manifest.format_version != FORMAT_VERSION {
        return Err(ManifestError::Format {
            found: manifest.format_version,
        });
    }
    identity(manifest, collection, version)?;
    files(&manifest.files)?;
    lineage(manifest)
}

fn identity(
    manifest: &Manifest,
    collection: &CollectionName,
    version: &Version,
) -> Result<(), ManifestError> {
    if manifest.collection != *collection {
        let (found, expected) = (manifest.collection.clone(), collection.clone());
        return Err(ManifestError::Collection { found, expected });
    }
    if manifest.version != *version {
        let (found, expected) = (manifest.version.clone(), version.clone());
        return Err(ManifestError::Version { found, expected });
    }
    match &manifest.parent {
        Some(parent) if parent.version >= *version => Err(ManifestError::Order {
            version: version.clone(),
            parent: parent.version.clone(),
        }),
        _ => Ok(()),
    }
}

fn files(files: &[FileEntry]) -> Result<(), ManifestError> {
    if files.is_empty() {
        return Err(ManifestError::NoFiles);
    }
    for file in files {
        if let Some(reason) = bad_path(&file.path) {
            return Err(ManifestError::Path {
                path: file.path.clone(),
                reason,
            });
        }
        let is_lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if file.sha256.len() != 64 || !file.sha256.bytes().all(is_lower_hex) {
            return Err(ManifestError::Digest {
                path: file.path.clone(),
            });
        }
    }
    let paths: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for (index, file) in files.iter().enumerate() {
        let in_order = index == 0 || files[index - 1].path < file.path;
        let below_a_file = file
            .path
            .match_indices('/')
            .any(|(at, _)| paths.contains(&file.path[..at]));
        if !in_order || below_a_file {
            return Err(ManifestError::FileOrder {
                path: file.path.clone(),
            });
        }
    }
    Ok(())
}

fn bad_path(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        Some("it is empty")
    } else if path.starts_with('/') {
        Some("it is absolute")
    } else if path.chars().any(|c| c == '\\' || c.is_control()) {
        Some("it has a backslash or control characters")
    } else if path
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        Some("it has an empty, '.' or '..' segment")
    } else if path == MANIFEST_NAME || path == SNAPSHOT_HASH_NAME {
        Some("it is not part of the Chroma directory")
    } else {
        None
    }
}

fn lineage(manifest: &Manifest) -> Result<(), ManifestError> {
    let lineage: HashSet<_> = manifest.applied_runs.iter().collect();
    let length = manifest.applied_runs.len();
    if length > LINEAGE_LIMIT || lineage.len() != length {
        return Err(ManifestError::LineageWindow { length });
    }
    match manifest
        .runs
        .iter()
        .find(|run| !lineage.contains(&run.run_id))
    {
        Some(run) => Err(ManifestError::Lineage {
            run: run.run_id.clone(),
        }),
        None => Ok(()),
    }
}
