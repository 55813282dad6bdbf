//! Whether a delta or the machine is at fault when the working space is full.

use std::path::Path;

use chroma_store::Room;

use crate::Error;

/// A working space with less room than this is too small for anything.
const LEAST: u64 = 64 << 20;

/// The room of the working space when the cycle began; `None` if the system did not tell.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cycle) struct RoomBefore(Option<Room>);

impl RoomBefore {
    pub(in crate::cycle) fn of(scratch: &Path) -> Self {
        Self(Room::of(scratch).ok())
    }

    /// The error of a cycle that had no other delta than this one of `bytes` bytes. The delta is at fault
    /// if it takes more than a working space has that is at least half free: its records go into the
    /// snapshot once more. Else the machine is.
    pub(in crate::cycle) fn blame(self, error: Error, bytes: u64, prefix: &str) -> Error {
        let Some(room) = self.0.filter(|_| error.is_out_of_space()) else {
            return error;
        };
        let had_room = room.free >= LEAST && room.free >= room.total / 2;
        match had_room && bytes.saturating_mul(2) > room.free {
            true => Error::DeltaRoom {
                prefix: prefix.to_owned(),
                bytes,
                free: room.free,
            },
            false => error,
        }
    }
}

/// Bytes of a file, or of all files in a folder, as far as they can be counted.
pub(in crate::cycle) fn bytes_below(path: &Path) -> u64 {
    let Ok(meta) = path.symlink_metadata() else {
        return 0;
    };
    if !meta.is_dir() {
        return meta.len();
    }
    let entries = path.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| bytes_below(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use chroma_store::StoreError;

    use super::*;

    fn code(free: u64, total: u64, delta: u64) -> &'static str {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let room = RoomBefore(Some(Room { free, total }));
        let error = room.blame(StoreError::from(full).into(), delta, "words/delta/a/");
        error.code()
    }

    #[test]
    fn delta_that_does_not_fit_alone_is_to_blame() {
        const MIB: u64 = 1 << 20;
        assert_eq!(code(590 * MIB, 600 * MIB, 400 * MIB), "CC-DELTA-ROOM");
        assert_eq!(
            code(590 * MIB, 600 * MIB, 100 * MIB),
            "CS-IO",
            "the base is"
        );
        assert_eq!(code(100 * MIB, 600 * MIB, 80 * MIB), "CS-IO", "others are");
        assert_eq!(code(8 * MIB, 8 * MIB, 8 * MIB), "CS-IO", "the disk is");
    }
}
