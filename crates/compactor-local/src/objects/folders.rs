//! Folders of keys: made when a key needs them, removed when no key does.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::OFlags;

use super::safe_open::refuse_odd;
use crate::access::{hand_over, make_folder, set_mode_of_folder};

/// Makes `folder` and its parents below `top`; each survives a power cut. Corrects the mode of those that
/// exist, `top` included: the access may have changed, or a killed writer may not have set it.
pub(super) fn make(top: &Path, folder: &Path, mode: u32) -> io::Result<()> {
    if folder == top {
        // May be a link that the owner of the store made.
        let found = std::fs::metadata(top)?;
        return set_mode_of_folder(top, &found, mode, OFlags::empty());
    }
    let Some(parent) = folder.parent() else {
        return Ok(());
    };
    make(top, parent, mode)?;
    match std::fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => set_mode_of_folder(folder, &found, mode, OFlags::NOFOLLOW),
        Ok(found) => {
            refuse_odd(folder, found.file_type(), "folder")?;
            // An object takes the folder's place.
            Err(io::ErrorKind::NotADirectory.into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => add(parent, folder, mode),
        Err(error) => Err(error),
    }
}

fn add(parent: &Path, folder: &Path, mode: u32) -> io::Result<()> {
    match make_folder(folder, mode) {
        Ok(made) => {
            hand_over(&made, parent)?;
            sync(parent)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = std::fs::symlink_metadata(folder)?;
            refuse_odd(folder, found.file_type(), "folder")?;
            // Another process made the folder first, or an object takes its place.
            if found.is_dir() { Ok(()) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// Makes the changes in a folder survive a power cut.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes `folder` and its parents below `top` as far as they are empty. An error is harmless: it leaves
/// an empty folder.
pub(super) fn prune(folder: &Path, top: &Path) {
    let mut folder = folder;
    while folder != top && folder.starts_with(top) && std::fs::remove_dir(folder).is_ok() {
        match folder.parent() {
            Some(parent) => folder = parent,
            None => return,
        }
    }
}
