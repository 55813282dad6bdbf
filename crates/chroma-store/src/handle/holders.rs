//! Which processes hold a lock on a file (Linux; elsewhere nobody is named).

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

#[cfg(not(target_os = "linux"))]
pub(crate) fn of(_: &Path) -> Vec<u32> {
    Vec::new()
}
