//! A vacuum gives free pages back and changes nothing else.

use std::path::Path;

use chroma_store::{CloseOptions, OpenOptions, Store, StoreInfo, VerifyLevel, verify};
use compactor_testkit::index_files;

use crate::directory::{Recipe, bytes_of, compactor, merge, names_in, record};
use crate::malicious_databases::text;

/// A flushed directory, whose purged log leaves free pages.
fn flushed(root: &Path) -> std::path::PathBuf {
    let records = (0..1500).map(|n| record(&format!("r{n}"), 64, n));
    let dir = Recipe::of(records.collect()).make(root, "dir");
    let (status, told, errors) = compactor(&["store", "flush", text(&dir)]);
    assert_eq!(status, 0, "{told}{errors}");
    dir
}

fn free_percent(dir: &Path) -> u64 {
    StoreInfo::read(dir).unwrap().database.free_percent()
}

#[test]
fn vacuum_gives_free_pages_back_and_keeps_the_records() {
    let root = tempfile::tempdir().unwrap();
    let dir = flushed(root.path());
    assert!(free_percent(&dir) > 30, "{}", free_percent(&dir));
    let names = names_in(&dir);
    let (vectors, records) = (
        index_files::read(&dir, "words").unwrap().vectors,
        StoreInfo::read(&dir).unwrap().collections,
    );
    let (status, told, errors) = compactor(&["store", "vacuum", text(&dir)]);
    assert_eq!(status, 0, "{told}{errors}");
    assert_eq!(free_percent(&dir), 0);
    assert_eq!(names_in(&dir), names);
    assert_eq!(index_files::read(&dir, "words").unwrap().vectors, vectors);
    let after = StoreInfo::read(&dir).unwrap().collections;
    assert_eq!(after[0].records, records[0].records);
    assert!(verify(&dir, VerifyLevel::Full).unwrap().is_sound());
}

#[test]
fn merge_and_flush_vacuum_above_the_requested_share_alone() {
    for (percent, is_due) in [("10", true), ("99", false)] {
        let root = tempfile::tempdir().unwrap();
        let base = flushed(root.path());
        let delta = Recipe::of(vec![record("new", 64, 1)]).make(root.path(), "delta");
        let out = root.path().join("out");
        let (status, told, errors) = merge(&base, &delta, &out, &["--vacuum-above", percent]);
        assert_eq!(status, 0, "{told}{errors}");
        assert_eq!(free_percent(&out) == 0, is_due, "{percent}");
        let arguments = ["store", "flush", text(&base), "--vacuum-above", percent];
        let (status, told, errors) = compactor(&arguments);
        assert_eq!(status, 0, "{told}{errors}");
        assert_eq!(free_percent(&base) == 0, is_due, "{percent}");
    }
}

#[test]
fn leftover_file_of_a_killed_vacuum_does_not_block_the_next() {
    let root = tempfile::tempdir().unwrap();
    let dir = flushed(root.path());
    std::fs::write(dir.join("chroma.sqlite3.vacuum"), "half of a database").unwrap();
    let mut store = Store::open(&dir, OpenOptions::default()).unwrap();
    store.vacuum().unwrap();
    // The store goes on with the new database.
    let merged = store.write("words", [record("later", 64, 3)]).unwrap();
    assert_eq!(merged.added, 1);
    store.close(&CloseOptions::default()).unwrap();
    assert!(!names_in(&dir).contains(&"chroma.sqlite3.vacuum".to_owned()));
    assert!(verify(&dir, VerifyLevel::Full).unwrap().is_sound());
}

#[test]
fn vacuum_is_refused_while_another_connection_writes() {
    let root = tempfile::tempdir().unwrap();
    let dir = flushed(root.path());
    let before = bytes_of(&dir);
    let writer = rusqlite::Connection::open(dir.join("chroma.sqlite3")).unwrap();
    writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let (status, told, errors) = compactor(&["store", "vacuum", text(&dir)]);
    assert_eq!(status, 1, "{told}{errors}");
    assert!(errors.contains("CS-IN-USE"), "{errors}");
    let opened = Store::open(&dir, OpenOptions::default());
    let locked = opened.and_then(|mut store| store.vacuum()).unwrap_err();
    assert_eq!(locked.code(), "CS-LOCKED", "{locked}");
    drop(writer);
    assert!(bytes_of(&dir) == before);
}
