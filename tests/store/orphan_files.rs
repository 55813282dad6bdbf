//! Files in a directory that no segment names: reported, left alone, and not copied.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::directory::{Recipe, compactor, merge, names_in, record};
use crate::malicious_databases::text;

const HUGE: u64 = 2 << 30;

/// A file with nothing but a hole in it.
fn sparse(path: &Path) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(HUGE).unwrap();
}

#[test]
fn files_that_no_segment_names_are_reported_and_not_copied() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let delta = Recipe::of(vec![record("new", 4, 9)]).make(root.path(), "delta");
    let drift = "5f3bd1ce-0a5c-4c0c-a83b-6f0b8d1bc0a4.drift-20260102";
    std::fs::create_dir(base.join(drift)).unwrap();
    sparse(&base.join(drift).join("data_level0.bin"));
    std::fs::write(base.join("notes.txt"), "of the operator").unwrap();
    let before = names_in(&base);

    for command in [&["store", "info"][..], &["store", "verify", "--full"]] {
        let (status, told, errors) = compactor(&[command, &[text(&base)]].concat());
        assert_eq!(status, 0, "{told}{errors}");
        for part in [drift, "notes.txt", "no segment names"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    let out = root.path().join("out");
    let (status, told, errors) = merge(&base, &delta, &out, &["--flush", "never"]);
    assert_eq!(status, 0, "{told}{errors}");
    assert_eq!(names_in(&out), ["chroma.sqlite3"]);
    assert_eq!(names_in(&base), before);
}

#[test]
fn holes_of_sparse_files_stay_holes_in_the_copy() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let delta = Recipe::of(vec![record("new", 4, 9)]).make(root.path(), "delta");
    let (status, told, errors) = compactor(&["store", "flush", text(&base)]);
    assert_eq!(status, 0, "{told}{errors}");
    let folder = names_in(&base).into_iter().find(|name| name.len() == 36);
    let level0 = Path::new(&folder.unwrap()).join("data_level0.bin");
    // chromadb asks for far more room than there are elements.
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).open(base.join(&level0)).unwrap();
    file.set_len(HUGE).unwrap();
    let out = root.path().join("out");
    let (status, told, errors) = merge(&base, &delta, &out, &["--flush", "never"]);
    assert_eq!(status, 0, "{told}{errors}");
    let copied = std::fs::metadata(out.join(level0)).unwrap();
    assert_eq!(copied.len(), HUGE);
    assert!(copied.blocks() * 512 < 1 << 20, "{}", copied.blocks());
}

#[test]
fn file_name_that_is_not_utf_8_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let delta = Recipe::of(vec![record("new", 4, 9)]).make(root.path(), "delta");
    let odd = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
    std::fs::write(base.join(odd), "x").unwrap();
    let (status, _, errors) = merge(
        &base,
        &delta,
        &root.path().join("out"),
        &["--flush", "never"],
    );
    assert_eq!(status, 1);
    for part in ["CS-FILE-NAME", "caf", "not UTF-8", "rename it"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}
