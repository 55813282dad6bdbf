//! Packing, and unpacking archives that other programs packed.

use std::io::Write;
use std::path::Path;

use chroma_store::{
    CloseOptions, ClosedStore, StoreError, UnpackLimits, Unpacked, VerifyLevel, pack, unpack,
};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::directory::{Recipe, bytes_of};

const LIMITS: UnpackLimits = UnpackLimits {
    bytes: 64 << 20,
    ratio: 100,
    entries: 100,
};

fn unpack_bytes(bytes: &[u8], to: &Path, limits: UnpackLimits) -> Result<Unpacked, StoreError> {
    unpack(bytes, bytes.len() as u64, to, limits)
}

/// A compressed tar with one entry of any name and kind.
fn archive(name: &[u8], kind: tar::EntryType, link: Option<&str>, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    if let Some(link) = link {
        header.set_link_name(link).unwrap();
    }
    header.set_cksum();
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    builder.append(&header, content).unwrap();
    builder.into_inner().unwrap().finish().unwrap()
}

#[test]
fn packed_directory_is_unpacked_unchanged() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "store");
    let store = ClosedStore::prove(&dir, &CloseOptions::default()).unwrap();
    let packed = pack(&store, &[], Vec::new()).unwrap();
    assert_eq!(
        pack(&store, &[], Vec::new()).unwrap(),
        packed,
        "the same content, the same bytes"
    );
    let to = root.path().join("unpacked");
    std::fs::create_dir(&to).unwrap();
    unpack_bytes(&packed, &to, LIMITS).unwrap();
    assert_eq!(
        bytes_of(&to).into_values().collect::<Vec<_>>(),
        bytes_of(&dir).into_values().collect::<Vec<_>>()
    );
    let again = ClosedStore::prove(&to, &CloseOptions::default()).unwrap();
    again.verify(VerifyLevel::Full).unwrap();
}

#[test]
fn archive_entries_that_are_links_devices_or_lead_out_are_refused() {
    use tar::EntryType;
    let cases: [(&[u8], EntryType, Option<&str>); 9] = [
        (b"../escaped", EntryType::Regular, None),
        (b"a/../../escaped", EntryType::Regular, None),
        (b"/tmp/absolute", EntryType::Regular, None),
        (b"link", EntryType::Symlink, Some("/etc/passwd")),
        (b"hard", EntryType::Link, Some("/etc/passwd")),
        (b"device", EntryType::Char, None),
        (b"block", EntryType::Block, None),
        (b"pipe", EntryType::Fifo, None),
        (b".", EntryType::Regular, None),
    ];
    for (name, kind, link) in cases {
        let root = tempfile::tempdir().unwrap();
        let to = root.path().join("to");
        std::fs::create_dir(&to).unwrap();
        let error = unpack_bytes(&archive(name, kind, link, b""), &to, LIMITS).unwrap_err();
        assert_eq!(error.code(), "CS-ARCHIVE-ENTRY", "{kind:?} {error}");
        assert!(bytes_of(root.path()).is_empty(), "{kind:?}");
    }
}

#[test]
fn unpacking_stops_before_a_limit_is_exceeded() {
    let root = tempfile::tempdir().unwrap();
    let bomb = archive(b"zeros", tar::EntryType::Regular, None, &vec![0; 32 << 20]);
    assert!(bomb.len() < 64 << 10, "it is a bomb");
    let cases = [
        (
            "unpacked bytes",
            UnpackLimits {
                bytes: 1 << 20,
                ..LIMITS
            },
        ),
        ("unpacked bytes per packed byte", LIMITS),
        (
            "entries",
            UnpackLimits {
                entries: 0,
                ratio: 10_000,
                ..LIMITS
            },
        ),
    ];
    for (what, limits) in cases {
        let to = root.path().join(what);
        std::fs::create_dir(&to).unwrap();
        let error = unpack_bytes(&bomb, &to, limits).unwrap_err();
        assert_eq!(error.code(), "CS-ARCHIVE-LIMIT", "{what}: {error}");
        let written: usize = bytes_of(&to).values().map(Vec::len).sum();
        assert!(written <= 16 << 20, "{what}: {written} bytes were written");
    }
}

#[test]
fn torn_and_foreign_archives_are_refused_as_damaged() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "store");
    let store = ClosedStore::prove(&dir, &CloseOptions::default()).unwrap();
    let packed = pack(&store, &[], Vec::new()).unwrap();
    let mut flipped = packed.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let mut wrong_sum = packed.clone();
    let last = wrong_sum.len() - 6;
    wrong_sum[last] ^= 1;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&[3; 2048]).unwrap();
    let cases = [
        ("empty", Vec::new()),
        ("text", b"this is no archive".to_vec()),
        ("half", packed[..packed.len() / 2].to_vec()),
        ("without its end", packed[..packed.len() - 9].to_vec()),
        ("one byte flipped", flipped),
        ("wrong checksum", wrong_sum),
        ("gzip of something else", gzip.finish().unwrap()),
    ];
    for (what, bytes) in cases {
        let to = root.path().join(what);
        std::fs::create_dir(&to).unwrap();
        let error = unpack_bytes(&bytes, &to, LIMITS).expect_err(what);
        assert_eq!(error.code(), "CS-ARCHIVE-DAMAGED", "{what}: {error}");
    }
}
