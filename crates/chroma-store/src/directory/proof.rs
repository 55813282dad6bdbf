//! The proof that a directory is closed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files;
use crate::{StoreError, StoreResult, connection, locks};

/// How to wait. The caller passes it in, so that nothing here reads a clock.
pub trait Pause: Send + Sync {
    /// Waits for `duration`.
    fn pause(&self, duration: Duration);
}

/// Waits by blocking the current thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct ThreadPause;

impl Pause for ThreadPause {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the port's real implementation"
    )]
    fn pause(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// How long to wait for other processes that hold the directory. The default is two seconds, with a
/// try every 50 milliseconds.
#[derive(Clone, Copy)]
pub struct CloseOptions<'p> {
    /// The most time to wait in all.
    pub wait: Duration,
    /// Time between two tries.
    pub poll: Duration,
    /// Waits between two tries.
    pub pause: &'p dyn Pause,
}

impl Default for CloseOptions<'static> {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(2),
            poll: Duration::from_millis(50),
            pause: &ThreadPause,
        }
    }
}

/// Syncs every file of the directory, and the folders, to disk.
pub(super) fn sync(dir: &Path) -> StoreResult<()> {
    let mut folders = vec![dir.to_path_buf()];
    for file in files::regular_files(dir)? {
        let path = dir.join(&file);
        if let Some(parent) = path.parent().filter(|parent| *parent != dir) {
            folders.push(parent.to_path_buf());
        }
        fs_err::File::open(path)?.sync_all()?;
    }
    folders.dedup();
    for folder in folders {
        fs_err::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

pub(super) fn prove_closed(dir: &Path, options: &CloseOptions<'_>) -> StoreResult<()> {
    let tries = options
        .wait
        .as_nanos()
        .div_ceil(options.poll.as_nanos().max(1));
    let mut waited = Duration::ZERO;
    for attempt in 0..=tries {
        match look(dir)? {
            Finding::Closed => break,
            Finding::Held(path) if attempt == tries => {
                return Err(StoreError::locked(path, waited));
            }
            Finding::SideFile(path) if attempt == tries => {
                // While a writer lives, its journal is not a leftover.
                let database = connection::database_path(dir);
                let holders = locks::holders(&database);
                return Err(if holders.is_empty() {
                    StoreError::HotJournal { path }
                } else {
                    StoreError::Locked {
                        path: database,
                        holders,
                        waited,
                    }
                });
            }
            Finding::Held(_) | Finding::SideFile(_) => {
                options.pause.pause(options.poll);
                waited += options.poll;
            }
        }
    }
    match own_descriptor(dir)? {
        Some(path) => Err(StoreError::StillOpen { path }),
        None => Ok(()),
    }
}

/// Refuses a directory of which another process has a file open. An idle client holds no lock, and
/// would go on with replaced files or write more. Only on Linux, and only for processes whose
/// descriptors this one may list.
///
/// # Errors
/// `InUse` names the file and the processes.
pub fn refuse_open_elsewhere(dir: &Path) -> StoreResult<()> {
    let mut paths = vec![connection::database_path(dir)];
    // Code that reads the directory refuses everything but plain files.
    let files = files::regular_files(dir).unwrap_or_default();
    paths.extend(files.iter().map(|file| dir.join(file)));
    match locks::with_open(&paths).into_iter().next() {
        None => Ok(()),
        Some((path, holders)) => Err(StoreError::InUse { path, holders }),
    }
}

enum Finding {
    Closed,
    /// SQLite refused an exclusive lock.
    Held(PathBuf),
    /// A journal, WAL or shared-memory file exists.
    SideFile(PathBuf),
}

fn look(dir: &Path) -> StoreResult<Finding> {
    let path = connection::database_path(dir);
    match fs_err::metadata(&path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(StoreError::NotRegular { path }),
        Err(error) => return Err(connection::not_chroma(dir, error)),
    }
    if !exclusive_lock_is_free(&path)? {
        return Ok(Finding::Held(path));
    }
    Ok(connection::side_files(dir)
        .into_iter()
        .next()
        .map_or(Finding::Closed, Finding::SideFile))
}

/// Asks SQLite for an exclusive lock, which it grants only if no process, this one included, holds
/// any lock.
fn exclusive_lock_is_free(path: &Path) -> StoreResult<bool> {
    // Taking the lock would roll a journal back, and that is for the journal's owner to decide.
    if path
        .parent()
        .is_some_and(|dir| !connection::side_files(dir).is_empty())
    {
        return Ok(true);
    }
    let probe = connection::open_probe(path)?;
    let outcome = probe
        .busy_timeout(Duration::ZERO)
        .and_then(|()| probe.execute_batch("BEGIN EXCLUSIVE; ROLLBACK;"));
    probe
        .close()
        .map_err(|(_, error)| StoreError::sqlite(path, "close the lock test")(error))?;
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
            Ok(false)
        }
        Err(error) => Err(StoreError::sqlite(path, "test the lock")(error)),
    }
}

/// A file inside `dir` that this process has open, if there is one.
#[cfg(target_os = "linux")]
fn own_descriptor(dir: &Path) -> StoreResult<Option<PathBuf>> {
    let dir = fs_err::canonicalize(dir)?;
    for entry in fs_err::read_dir("/proc/self/fd")? {
        // The descriptor may be gone by now: it belongs to another thread or to this listing.
        let Ok(target) = fs_err::read_link(entry?.path()) else {
            continue;
        };
        if target.starts_with(&dir) {
            return Ok(Some(target));
        }
    }
    Ok(None)
}

/// Other systems do not list descriptors by path, so SQLite's lock test has to do.
#[cfg(not(target_os = "linux"))]
fn own_descriptor(_: &Path) -> StoreResult<Option<PathBuf>> {
    Ok(None)
}
