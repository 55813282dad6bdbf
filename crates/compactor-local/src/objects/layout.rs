//! The folders below the root of a store, and the keys that files can have.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use compactor_core::ports::{Fault, PortError, PortResult, WallTime};

use super::{locks, tag};
use crate::access::{self, Access, PRIVATE_FOLDER, keep_folder, own_root};
use crate::open_error::OpenError;

const SWEEP_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The folders of one store.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) objects: PathBuf,
    pub(super) meta: PathBuf,
    pub(super) temporary: PathBuf,
    pub(super) locks: PathBuf,
    pub(super) access: Access,
}

impl Layout {
    /// Makes or corrects the folders, and sweeps old temporary files. Without a `chosen` access, an existing
    /// folder of objects keeps its own.
    pub(super) fn create(
        root: &Path,
        chosen: Option<Access>,
        now: WallTime,
    ) -> Result<Self, OpenError> {
        let objects = root.join("objects");
        let before = Access::of_existing(&objects);
        let (is_new, access) = (!objects.exists(), chosen.unwrap_or(before));
        let layout = Self {
            objects,
            meta: root.join(".meta"),
            temporary: root.join(".tmp"),
            locks: root.join(".locks"),
            access,
        };
        let unusable = |source| OpenError::Directory {
            path: root.to_owned(),
            source,
        };
        own_root(root, access.of_folders())?;
        if chosen.is_some() {
            access::open_root(root, access).map_err(unusable)?;
        }
        // First the folders that others must not see.
        for folder in [&layout.locks, &layout.meta, &layout.temporary] {
            keep_folder(root, folder, PRIVATE_FOLDER)?;
        }
        keep_folder(root, &layout.objects, access.of_folders())?;
        if !is_new && access != before {
            access::spread(&layout.objects, access).map_err(unusable)?;
        }
        locks::narrow(&layout.locks).map_err(unusable)?;
        layout.sweep(now).map_err(unusable)?;
        if !tag::times_are_fine(&layout.temporary).map_err(unusable)? {
            return Err(OpenError::CoarseTimes {
                path: root.to_owned(),
            });
        }
        Ok(layout)
    }

    /// Removes temporary files that are so old that no process can still be writing them.
    fn sweep(&self, now: WallTime) -> io::Result<()> {
        for entry in fs_err::read_dir(&self.temporary)? {
            let entry = entry?;
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let age = Duration::from_micros(u64::try_from(now.0).unwrap_or(0))
                .saturating_sub(tag::modified(&metadata));
            if metadata.is_file() && age > SWEEP_AGE {
                // Another process may sweep at the same time.
                let _ = fs_err::remove_file(entry.path());
            }
        }
        Ok(())
    }

    pub(super) fn check_key(&self, operation: &'static str, key: &str) -> PortResult<()> {
        check(operation, key)
    }

    /// The path of the body of a key.
    pub(super) fn body(&self, operation: &'static str, key: &str) -> PortResult<PathBuf> {
        check(operation, key)?;
        Ok(self.objects.join(key))
    }

    /// The path of the folder with the sidecars of a key.
    pub(super) fn sidecars(&self, operation: &'static str, key: &str) -> PortResult<PathBuf> {
        check(operation, key)?;
        Ok(self.meta.join(key))
    }

    /// Fails with `Missing` if the store itself is gone, which a missing key does not show.
    pub(super) fn check_root(&self, operation: &'static str, key: &str) -> PortResult<()> {
        if self.objects.is_dir() {
            return Ok(());
        }
        let reason = format!("the directory {} does not exist", self.objects.display());
        Err(PortError::new(operation, key, Fault::Missing, reason))
    }
}

fn check(operation: &'static str, key: &str) -> PortResult<()> {
    let reason = if key.is_empty() || key.len() > 1024 {
        "a key must have 1 to 1024 bytes"
    } else if key.contains('\0') {
        "a key must not contain NUL"
    } else if !key.split('/').all(is_segment) {
        "a key must not have an empty, '.' or '..' segment, nor one of more than 255 bytes"
    } else {
        return Ok(());
    };
    Err(PortError::new(operation, key, Fault::Invalid, reason))
}

/// Whether text can be one segment of a key.
pub(super) fn is_segment(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && text.len() <= 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_allowed_only_if_it_stays_below_the_root() {
        for good in [
            "a",
            "a/b",
            ".snapshot_hash",
            "...",
            "a b/ü",
            &format!("{}y", "x/".repeat(300)),
        ] {
            assert!(check("test", good).is_ok(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0b", &long,
        ] {
            assert_eq!(
                check("test", bad).unwrap_err().fault,
                Fault::Invalid,
                "{bad:?}"
            );
        }
    }
}
