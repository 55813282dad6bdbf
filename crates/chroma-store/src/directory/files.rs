//! The files of a directory, and their digests.

use std::io::Read;
use std::path::Path;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::{StoreError, StoreResult};

/// Files of a snapshot that are not Chroma's own. They describe the directory and are not part of
/// it.
pub const SIDE_CAR_NAMES: [&str; 2] = [".snapshot_hash", "manifest.json"];

/// A file of a closed directory, with the digests of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Path below the directory, `/`-separated.
    pub path: String,
    /// Bytes of the content.
    pub size: u64,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// MD5 of the content, lower-case hex, for `.snapshot_hash`.
    pub md5: String,
}

impl StoredFile {
    /// Reads and digests the file `path` below `dir`.
    ///
    /// # Errors
    /// The file cannot be read (`Io`).
    pub fn read(dir: &Path, path: &str) -> StoreResult<Self> {
        let mut file = fs_err::File::open(dir.join(path))?;
        let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
        let mut buffer = vec![0; 1 << 18];
        let mut size = 0;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            sha256.update(&buffer[..read]);
            md5.update(&buffer[..read]);
            size += read as u64;
        }
        Ok(Self {
            path: path.to_owned(),
            size,
            sha256: hex::encode(sha256.finalize()),
            md5: hex::encode(md5.finalize()),
        })
    }
}

/// Paths of all files below `dir`, relative and sorted, without side-cars.
///
/// # Errors
/// An entry is a link or a special file (`NotRegular`), its name is not UTF-8 (`FileName`), or a
/// folder cannot be listed (`Io`).
pub(crate) fn regular_files(dir: &Path) -> StoreResult<Vec<String>> {
    let mut found = Vec::new();
    let mut folders = vec![(dir.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(StoreError::FileName { path: entry.path() });
            };
            if prefix.is_empty() && SIDE_CAR_NAMES.contains(&name) {
                continue;
            }
            let path = format!("{prefix}{name}");
            if kind.is_dir() {
                folders.push((entry.path(), format!("{path}/")));
            } else if kind.is_file() {
                found.push(path);
            } else {
                return Err(StoreError::NotRegular { path: entry.path() });
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}
