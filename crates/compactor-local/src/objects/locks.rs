//! Taking turns between writers of one key, across threads and processes.

use std::fs::File;
use std::io;
use std::path::Path;

const STRIPES: u64 = 64;

/// Holds a lock until it is dropped, or the process dies.
#[must_use]
pub(crate) struct Turn(#[expect(dead_code, reason = "closing it is what frees the lock")] File);

/// Waits for the turn to write `key`. Blocks.
pub(super) fn turn(locks: &Path, key: &str) -> io::Result<Turn> {
    lock_file(&locks.join(format!("{:02}", stripe(key))))
}

/// Waits for the lock of one file, made if missing. Blocks.
pub(crate) fn lock_file(path: &Path) -> io::Result<Turn> {
    // Each turn opens the file anew: locks belong to open files, so threads exclude each other too.
    let file = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?
        .into_file();
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map(|()| Turn(file)),
        }
    }
}

// FNV-1a: must be the same in every build, or two builds would not exclude each other.
fn stripe(key: &str) -> u64 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash % STRIPES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_never_change() {
        assert_eq!([stripe(""), stripe("a")], [37, 12]);
        let used: std::collections::HashSet<_> =
            (0..1000).map(|n| stripe(&format!("lines/{n}"))).collect();
        assert_eq!(used.len() as u64, STRIPES);
    }

    #[test]
    fn a_turn_ends_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let first = turn(folder.path(), "k").unwrap();
        let other = File::open(folder.path().join(format!("{:02}", stripe("k")))).unwrap();
        assert!(other.try_lock().is_err());
        drop(first);
        assert!(other.try_lock().is_ok());
    }
}
