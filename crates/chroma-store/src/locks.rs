//! Locks on a database file: how long SQLite waits for one, and which processes hold one or have the
//! file open. Only Linux names the processes.

#[cfg(target_os = "linux")]
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long SQLite waits for another process's lock.
pub(crate) const BUSY_WAIT: Duration = Duration::from_secs(2);

/// Ids of the processes that hold a POSIX lock on `path`, from `/proc/locks`.
#[cfg(target_os = "linux")]
pub(crate) fn holders(path: &Path) -> Vec<u32> {
    use std::os::unix::fs::MetadataExt;

    let Ok(meta) = path.metadata() else {
        return Vec::new();
    };
    let Ok(table) = fs_err::read_to_string("/proc/locks") else {
        return Vec::new();
    };
    let mut pids: Vec<u32> = table
        .lines()
        .filter_map(|line| {
            // 1: POSIX  ADVISORY  WRITE 2345 fe:00:1234 0 EOF
            let fields: Vec<&str> = line.split_whitespace().collect();
            let at = fields
                .iter()
                .position(|field| *field == "POSIX" || *field == "OFDLCK")?;
            let pid = fields.get(at + 3)?.parse().ok()?;
            let inode: u64 = fields.get(at + 4)?.rsplit(':').next()?.parse().ok()?;
            (inode == meta.ino()).then_some(pid)
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

/// The files of `paths` that other processes have open, with the ids of these processes. Only finds
/// processes whose descriptors this one may list.
#[cfg(target_os = "linux")]
pub(crate) fn with_open(paths: &[PathBuf]) -> Vec<(PathBuf, Vec<u32>)> {
    use std::os::unix::fs::MetadataExt;

    let file = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
    let files: Vec<_> = paths
        .iter()
        .map(|path| path.metadata().ok().map(file))
        .collect();
    let mut holders = vec![Vec::new(); paths.len()];
    let processes = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = processes
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .collect();
    pids.sort_unstable();
    for pid in pids {
        let descriptors = fs_err::read_dir(format!("/proc/{pid}/fd"));
        // Follows the link to the open file, even if its name has changed.
        let open: HashSet<_> = descriptors
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|descriptor| fs_err::metadata(descriptor.path()).ok().map(file))
            .collect();
        for (file, holders) in files.iter().zip(&mut holders) {
            if file.is_some_and(|file| open.contains(&file)) {
                holders.push(pid);
            }
        }
    }
    let held = paths.iter().cloned().zip(holders);
    held.filter(|(_, holders)| !holders.is_empty()).collect()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn holders(_: &Path) -> Vec<u32> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn with_open(_: &[PathBuf]) -> Vec<(PathBuf, Vec<u32>)> {
    Vec::new()
}
