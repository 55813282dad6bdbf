//! The tag of a body: its inode, size and modification time.
//!
//! Every write makes a new file, so the inode differs from that of the replaced body. But file systems
//! use inodes again, and count time in steps of milliseconds. So each write also sets a modification
//! time of its own: later than the replaced body's, and with random nanoseconds, so that a key that was
//! deleted and written again has another tag too.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use compactor_core::ports::{ETag, Ids};

/// The tag of the body with this metadata.
pub(super) fn of(metadata: &Metadata) -> ETag {
    let modified = modified(metadata).as_nanos();
    ETag(format!(
        "{:x}-{:x}-{modified:x}",
        metadata.ino(),
        metadata.size()
    ))
}

/// The modification time since 1970.
pub(super) fn modified(metadata: &Metadata) -> Duration {
    let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
    let nanos = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// Gives a new body the modification time that makes its tag unique for its key, and returns the metadata
/// with that time.
pub(super) fn stamp(
    new: &File,
    replaced: Option<&Metadata>,
    ids: &dyn Ids,
) -> io::Result<Metadata> {
    let random = Duration::from_nanos(u64::from(ids.uuid().as_fields().0 % 1_000_000));
    let now = modified(&new.metadata()?).saturating_add(random);
    let after = replaced.map_or(Duration::ZERO, |old| {
        modified(old) + Duration::from_nanos(1)
    });
    set_modified(new, now.max(after))?;
    new.metadata()
}

/// Whether the file system keeps nanoseconds. Without them tags would repeat.
pub(super) fn times_are_fine(folder: &Path) -> io::Result<bool> {
    let probe = tempfile::tempfile_in(folder)?;
    let odd = Duration::new(1_700_000_000, 123_456_789);
    set_modified(&probe, odd)?;
    Ok(modified(&probe.metadata()?) == odd)
}

fn set_modified(file: &File, since_1970: Duration) -> io::Result<()> {
    match SystemTime::UNIX_EPOCH.checked_add(since_1970) {
        Some(time) => file.set_modified(time),
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

#[cfg(test)]
mod tests {
    use compactor_core::fakes::SeededIds;

    use super::*;

    #[test]
    fn object_tag_never_repeats_even_if_inode_and_size_do() {
        let folder = tempfile::tempdir().unwrap();
        let ids = SeededIds::new(1);
        let file = File::create(folder.path().join("body")).unwrap();
        let mut tags = std::collections::HashSet::new();
        for n in 0..1_000 {
            // One file throughout: the worst case of an inode used again.
            let before = file.metadata().unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
                .unwrap();
            assert!(
                tags.insert(of(&stamp(&file, Some(&before), &ids).unwrap())),
                "write {n}"
            );
        }
    }

    #[test]
    fn file_system_of_the_tests_keeps_nanoseconds() {
        assert!(times_are_fine(&std::env::temp_dir()).unwrap());
    }
}
