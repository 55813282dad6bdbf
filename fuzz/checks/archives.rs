//! Any bytes as an archive: files inside the folder and within the limits, or an error.

use std::path::Path;

use chroma_store::{UnpackLimits, unpack};

const LIMITS: UnpackLimits = UnpackLimits {
    bytes: 1 << 20,
    ratio: 100,
    entries: 20,
};

/// The archive, or if the input begins with `tar`, what is to be packed into one.
pub fn check(input: &[u8]) {
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
    let (files, bytes) = inside(&to);
    assert!(bytes <= LIMITS.bytes, "{bytes} bytes");
    if let Ok(unpacked) = unpacked {
        assert_eq!((unpacked.files, unpacked.bytes), (files, bytes));
    }
    let beside = std::fs::read_dir(folder.path()).expect("the folder");
    assert_eq!(beside.count(), 1, "something is outside");
}

fn packed(tar: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(tar).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Plain files and their bytes; fails at anything that is neither file nor folder.
fn inside(folder: &Path) -> (u64, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let metadata = path.symlink_metadata().expect("it is there");
        assert!(
            metadata.is_dir() || metadata.is_file(),
            "{}",
            path.display()
        );
        if metadata.is_dir() {
            let (more_files, more_bytes) = inside(&path);
            files += more_files;
            bytes += more_bytes;
        } else {
            files += 1;
            bytes += metadata.len();
        }
    }
    (files, bytes)
}
