//! The locks of writers: those of one key take turns, across threads and processes.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::access::is_ours;
use crate::lock_file::{LOCK_WAIT, Turn, lock_file, open};

const STRIPES: u64 = 64;

/// Waits for the turn to write `key`, for at most [`LOCK_WAIT`]. Blocks.
pub(super) fn turn(locks: &Path, key: &str) -> io::Result<Turn> {
    lock_file(&locks.join(format!("{:02}", stripe(key))), LOCK_WAIT)
}

/// Removes the rights that earlier builds gave to others on lock files: an account that can read one can
/// lock it.
pub(super) fn narrow(locks: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(locks)? {
        let entry = entry?;
        let Ok(found) = entry.metadata() else {
            continue;
        };
        if found.is_file() && found.mode() & 0o077 != 0 && is_ours(&found) {
            open(&entry.path())?;
        }
    }
    Ok(())
}

// FNV-1a. It must be the same in every build, or two builds would not exclude each other.
fn stripe(key: &str) -> u64 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash % STRIPES
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn stripe_of_a_key_never_changes() {
        assert_eq!([stripe(""), stripe("a")], [37, 12]);
        let used: std::collections::HashSet<_> =
            (0..1000).map(|n| stripe(&format!("lines/{n}"))).collect();
        assert_eq!(used.len() as u64, STRIPES);
    }

    #[test]
    fn lock_on_a_key_is_free_once_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let first = turn(folder.path(), "k").unwrap();
        let other = File::open(folder.path().join(format!("{:02}", stripe("k")))).unwrap();
        assert!(other.try_lock().is_err());
        drop(first);
        assert!(other.try_lock().is_ok());
    }
}
