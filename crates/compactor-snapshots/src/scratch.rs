//! The daemon's private space on disk, and what killed daemons left in it.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

const LOCK_NAME: &str = "lock";
const PREFIX: &str = "daemon-";

/// A folder of one daemon; removed with everything in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    // Held open: the system frees the lock when the process dies, however it dies.
    lock: Mutex<fs_err::File>,
}

impl Scratch {
    /// Makes a folder below `root` and removes those of daemons that are no more. Blocks.
    ///
    /// # Errors
    /// `root` cannot be made or written.
    pub fn claim(root: &Path) -> io::Result<Self> {
        fs_err::create_dir_all(root)?;
        sweep(root)?;
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(root)?;
        let lock = Mutex::new(lock(folder.path())?);
        Ok(Self { folder, lock })
    }

    /// The daemon's folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A new empty folder, removed when dropped. If another program has removed the daemon's own
    /// folder, as one that tidies /tmp does, this makes it again.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn folder(&self, name: &str) -> io::Result<TempDir> {
        let root = self.folder.path();
        let make = || {
            let prefix = format!("{name}-");
            tempfile::Builder::new().prefix(&prefix).tempdir_in(root)
        };
        match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(folder = %root.display(), "the working space was removed; making it again");
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(root)?;
                *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = lock(root)?;
                make()
            }
            made => made,
        }
    }
}

/// Locks a daemon's folder.
fn lock(folder: &Path) -> io::Result<fs_err::File> {
    // Locked before it has its name: a sweep must never see it free.
    let unnamed = folder.join("lock.new");
    let lock = fs_err::File::create(&unnamed)?;
    lock.file().lock()?;
    fs_err::rename(unnamed, folder.join(LOCK_NAME))?;
    Ok(lock)
}

fn sweep(root: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(root)? {
        let path = entry?.path();
        if is_abandoned(&path) {
            tracing::info!(folder = %path.display(), "removing what a killed daemon left");
            match fs_err::remove_dir_all(path) {
                // Another daemon that starts does the same.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
    }
    Ok(())
}

fn is_abandoned(path: &Path) -> bool {
    let named = path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(PREFIX));
    let lock = path.join(LOCK_NAME);
    // Links lead elsewhere, and opening a FIFO waits for its writer.
    let is_daemon_s = path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
        && lock.symlink_metadata().is_ok_and(|meta| meta.is_file());
    // Without a lock file a daemon is just making it; the next start looks again.
    named
        && is_daemon_s
        && fs_err::File::open(lock).is_ok_and(|lock| lock.file().try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_fifos_are_neither_opened_nor_removed() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs_err::write(elsewhere.path().join(LOCK_NAME), "").unwrap();
        fs_err::os::unix::fs::symlink(elsewhere.path(), root.path().join("daemon-link")).unwrap();
        let odd = root.path().join("daemon-fifo");
        fs_err::create_dir(&odd).unwrap();
        let fifo = std::process::Command::new("mkfifo")
            .arg(odd.join(LOCK_NAME))
            .status();
        assert!(fifo.unwrap().success());
        Scratch::claim(root.path()).unwrap();
        assert!(odd.is_dir() && elsewhere.path().join(LOCK_NAME).is_file());
    }

    #[test]
    fn a_folder_that_was_removed_is_made_anew_and_is_in_use() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::claim(root.path()).unwrap();
        let own = scratch.path().to_owned();
        fs_err::remove_dir_all(root.path()).unwrap();
        let folder = scratch.folder("words").unwrap();
        assert!(folder.path().starts_with(&own));
        let other = Scratch::claim(root.path()).unwrap();
        assert!(folder.path().is_dir() && other.path() != own);
    }
}
