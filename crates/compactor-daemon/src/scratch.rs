//! The daemon's private space on disk, and what killed daemons left in it.

use std::io;
use std::path::Path;

use tempfile::TempDir;

const LOCK_NAME: &str = "lock";
const PREFIX: &str = "daemon-";

/// A folder of one daemon; removed with everything in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    // Held open: the system frees the lock when the process dies, however it dies.
    _lock: fs_err::File,
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
        // Locked before it has its name: a sweep must never see it free.
        let unnamed = folder.path().join("lock.new");
        let lock = fs_err::File::create(&unnamed)?;
        lock.file().lock()?;
        fs_err::rename(unnamed, folder.path().join(LOCK_NAME))?;
        Ok(Self {
            folder,
            _lock: lock,
        })
    }

    /// The daemon's folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A new empty folder, removed when dropped.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn folder(&self, name: &str) -> io::Result<TempDir> {
        tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(self.folder.path())
    }
}

fn sweep(root: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(root)? {
        let path = entry?.path();
        if is_abandoned(&path) {
            tracing::info!(folder = %path.display(), "removing what a killed daemon left");
            fs_err::remove_dir_all(path)?;
        }
    }
    Ok(())
}

fn is_abandoned(path: &Path) -> bool {
    let named = path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(PREFIX));
    // Without a lock file a daemon is just making it; the next start looks again.
    named
        && fs_err::File::open(path.join(LOCK_NAME)).is_ok_and(|lock| lock.file().try_lock().is_ok())
}
