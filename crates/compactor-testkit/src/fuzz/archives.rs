//! Any bytes as an archive give files inside the folder and within the limits, or an error.

use std::path::Path;

use chroma_store::{Kind, StoreResult, UnpackLimits, Unpacked, unpack};

const LIMITS: UnpackLimits = UnpackLimits {
    bytes: 1 << 20,
    ratio: 100,
    entries: 20,
};

/// Bytes of one part of a name that is written; extension headers have no limit of their own.
const LONGEST_PART: usize = 255;
/// Bytes of the whole name.
const LONGEST_NAME: usize = 1024;

/// Unpacks the input as an archive. If it begins with `tar`, what follows is compressed first.
pub fn check(input: &[u8]) {
    // File systems of other systems refuse some names: an error that is not the archive's.
    let is_of_archive = |kind| kind == Kind::BadInput || !cfg!(target_os = "linux");
    if let Err(error) = unpacked(input) {
        assert!(is_of_archive(error.kind()), "{error}: {error:?}");
    }
}

/// Unpacks the input as [`check`] does, checks the files that this writes, and gives the outcome.
///
/// # Errors
/// `unpack` refuses the archive: it is damaged, has an entry that is not allowed, or passes a limit.
pub fn unpacked(input: &[u8]) -> StoreResult<Unpacked> {
    let folder = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a folder");
    let to = folder.path().join("to");
    std::fs::create_dir(&to).expect("a new folder");
    let archive = match input.strip_prefix(b"tar") {
        Some(tar) => packed(tar),
        None => input.to_vec(),
    };
    let unpacked = unpack(archive.as_slice(), archive.len() as u64, &to, LIMITS);
    let (files, bytes) = inside(&to, 0);
    assert!(bytes <= LIMITS.bytes, "{bytes} bytes");
    assert!(files <= LIMITS.entries, "{files} files");
    if let Ok(unpacked) = &unpacked {
        assert_eq!((unpacked.files, unpacked.bytes), (files, bytes));
    }
    let beside = std::fs::read_dir(folder.path()).expect("the folder");
    assert_eq!(beside.count(), 1, "something is outside");
    unpacked
}

fn packed(tar: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(tar).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Plain files and their bytes; fails at anything that is neither file nor folder, or whose name,
/// with `before` bytes of folders, is too long.
fn inside(folder: &Path, before: usize) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = entry.path();
        let part = entry.file_name().len();
        let name = before + part;
        assert!(part <= LONGEST_PART, "a part of {part} bytes");
        assert!(name <= LONGEST_NAME, "a name of {name} bytes");
        let metadata = path.symlink_metadata().expect("it is there");
        assert!(
            metadata.is_dir() || metadata.is_file(),
            "{}",
            path.display()
        );
        if metadata.is_dir() {
            let (more_files, more_bytes) = inside(&path, name + 1);
            files += more_files;
            bytes += more_bytes;
        } else {
            files += 1;
            bytes += metadata.len();
        }
    }
    (files, bytes)
}
