//! Which processes hold a lock on a file or have it open (Linux; elsewhere none is named).

use std::path::Path;

/// Process ids that hold a POSIX lock on `path`, from `/proc/locks`.
#[cfg(target_os = "linux")]
pub(crate) fn of(path: &Path) -> Vec<u32> {
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

/// Ids of other processes that have `path` open, of those whose descriptors this one may look at.
#[cfg(target_os = "linux")]
pub(crate) fn with_open(path: &Path) -> Vec<u32> {
    use std::os::unix::fs::MetadataExt;

    let Ok(meta) = path.metadata() else {
        return Vec::new();
    };
    let has_open = |pid: &u32| {
        let descriptors = fs_err::read_dir(format!("/proc/{pid}/fd"));
        let mut descriptors = descriptors.into_iter().flatten().flatten();
        descriptors.any(|descriptor| {
            // Follows the link to the open file itself, whatever its name is now.
            let open = fs_err::metadata(descriptor.path());
            open.is_ok_and(|open| (open.dev(), open.ino()) == (meta.dev(), meta.ino()))
        })
    };
    let processes = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = processes
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(has_open)
        .collect();
    pids.sort_unstable();
    pids
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_: &Path) -> Vec<u32> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn with_open(_: &Path) -> Vec<u32> {
    Vec::new()
}
