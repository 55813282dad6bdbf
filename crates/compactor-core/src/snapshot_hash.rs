//! The `.snapshot_hash` object that older readers check.
//!
//! It is written for them alone: our own checks use the SHA-256 digests of the manifest. Its form is
//! that of the Python compactor (docs/protocol.md).

use std::fmt::Write;

use md5::{Digest, Md5};
use serde::Serialize;

use crate::keys::SNAPSHOT_HASH_NAME;
use crate::time::WallTime;

/// One file of a snapshot with its MD5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedFile {
    /// Path relative to the Chroma directory, with `/`.
    pub path: String,
    /// MD5 of the content, 32 lower-case hex digits.
    pub md5: String,
    /// Size in bytes.
    pub size: u64,
}

/// The content of the object; the fields are written in this order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SnapshotHash {
    /// MD5 over the lines `"{md5}  {path}\n"` of all files, sorted by path.
    pub directory_hash: String,
    /// Always `md5`.
    pub algorithm: &'static str,
    /// The number of hashed files.
    pub file_count: u64,
    /// The sum of their sizes in bytes.
    pub total_size_bytes: u64,
    /// When the hash was calculated.
    pub calculated_at: WallTime,
    /// How long the calculation took, in seconds.
    pub calculation_time_seconds: f64,
    /// Always `1.0`.
    pub version: &'static str,
}

impl SnapshotHash {
    /// Calculates the hash of a directory from the hashes of its files. It leaves out the files that the
    /// Python compactor leaves out: `*.tmp`, `*.log` and `.snapshot_hash`.
    pub fn of(
        files: impl IntoIterator<Item = HashedFile>,
        calculated_at: WallTime,
        calculation_time_seconds: f64,
    ) -> Self {
        let mut files: Vec<_> = files
            .into_iter()
            .filter(|file| counts(&file.path))
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut lines = String::new();
        for file in &files {
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{}  {}", file.md5, file.path);
        }
        Self {
            directory_hash: hex::encode(Md5::digest(lines)),
            algorithm: "md5",
            file_count: files.len() as u64,
            total_size_bytes: files.iter().map(|file| file.size).sum(),
            calculated_at,
            calculation_time_seconds,
            version: "1.0",
        }
    }

    /// The body of the object, as indented JSON.
    #[expect(
        clippy::expect_used,
        reason = "plain fields only; a non-finite number becomes null"
    )]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a snapshot hash is always representable")
    }
}

fn counts(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name != SNAPSHOT_HASH_NAME && !name.ends_with(".tmp") && !name.ends_with(".log")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> HashedFile {
        HashedFile {
            path: path.to_owned(),
            md5: hex::encode(Md5::digest(content)),
            size: content.len() as u64,
        }
    }

    #[test]
    fn snapshot_hash_file_is_that_of_the_python_compactor() {
        let at = WallTime::parse_iso("2026-11-21T00:02:12.517191+00:00").unwrap();
        let files = [
            "u/header.bin",
            "chroma.sqlite3",
            "x.tmp",
            "a.log",
            ".snapshot_hash",
        ];
        let hash = SnapshotHash::of(files.map(|path| file(path, path)), at, 0.25);
        // md5 of the two md5sum-style lines, computed with coreutils.
        assert_eq!(
            hash.to_json(),
            r#"{
  "directory_hash": "5bb59c11d610138ea10276dc77243baa",
  "algorithm": "md5",
  "file_count": 2,
  "total_size_bytes": 26,
  "calculated_at": "2026-11-21T00:02:12.517191+00:00",
  "calculation_time_seconds": 0.25,
  "version": "1.0"
}"#
        );
    }

    #[test]
    fn snapshot_hash_does_not_depend_on_the_order_of_files() {
        let hash = |files: [&str; 2]| {
            SnapshotHash::of(files.map(|path| file(path, "x")), WallTime(0), 0.0).directory_hash
        };
        assert_eq!(hash(["a", "b"]), hash(["b", "a"]));
        assert_ne!(hash(["a", "b"]), hash(["a", "c"]));
    }
}
