//! Whether a file is still the one that was read.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What the system says of a file and changes when a process writes to it or puts another file in its
/// place. Two equal stamps of a path mean that the content is unchanged.
///
/// Times have the resolution of the file system's clock, often a few milliseconds: a write that keeps
/// the size and follows within one tick of the last one does not show. Links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    /// Bytes.
    size: u64,
    /// Seconds and nanoseconds since 1970, UTC, of the last write.
    modified: (i64, i64),
    /// The same of the last change of content, owner, permissions or links.
    changed: (i64, i64),
}

impl FileStamp {
    /// Takes the stamp of the file `path`. Take it before the first byte is read, so that it shows what
    /// another process writes during the read.
    ///
    /// # Errors
    /// There is no such file, or this process may not look at it.
    pub fn of(path: &Path) -> io::Result<Self> {
        let meta = fs_err::symlink_metadata(path)?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_replaced_by_one_of_the_same_size_and_time_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("file"), folder.path().join("other"));
        fs_err::write(&path, "old").unwrap();
        let before = FileStamp::of(&path).unwrap();
        assert_eq!(FileStamp::of(&path).unwrap(), before);
        fs_err::write(&other, "new").unwrap();
        let modified = fs_err::metadata(&path).unwrap().modified().unwrap();
        let file = fs_err::OpenOptions::new().write(true).open(&other).unwrap();
        file.file().set_modified(modified).unwrap();
        fs_err::rename(&other, &path).unwrap();
        assert_ne!(FileStamp::of(&path).unwrap(), before);
    }
}
