//! What a flush must not lose in damaged directories, and what it must not leave behind.

use std::path::Path;

use chroma_store::{Engine, FlushOptions, OpenOptions, Space, Store};
use compactor_testkit::index_files;

use crate::directory::{Recipe, WORDS, bytes_of, compactor, record, sql};
use crate::flush::{ALWAYS, index, make, merge_and_flush, vector};

/// Flushing and rebuilding are refused with this code, and change nothing.
fn refused(dir: &Path, code: &str) {
    for rebuild in [false, true] {
        let before = bytes_of(dir);
        let mut store = Store::open(dir, OpenOptions::default()).unwrap();
        let result = if rebuild {
            store.rebuild(WORDS, Engine::Native, ALWAYS)
        } else {
            store.flush(WORDS, ALWAYS)
        };
        assert_eq!(result.unwrap_err().code(), code);
        drop(store);
        assert_eq!(bytes_of(dir), before);
    }
}

/// Indexed records whose log is purged, and one that waits.
fn indexed(root: &Path) -> std::path::PathBuf {
    let records = (0..20).map(|n| record(&format!("r{n}"), 3, n)).collect();
    let dir = make(root, "base", Space::L2, records);
    merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
    let mut store = Store::open(&dir, OpenOptions::default()).unwrap();
    store.write(WORDS, vec![record("waits", 3, 99)]).unwrap();
    drop(store);
    dir
}

#[test]
fn flush_with_lost_id_maps_is_refused_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dir = indexed(root.path());
    std::fs::remove_file(index(&dir).dir.join("index_metadata.pickle")).unwrap();
    refused(&dir, "CS-INDEX-FILE");
}

#[test]
fn flush_with_two_ids_of_one_label_is_refused_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let dir = indexed(root.path());
    let path = index(&dir).dir.join("index_metadata.pickle");
    let mut pickle = std::fs::read(&path).unwrap();
    // The first mention of r7 in `id_to_label` is followed by its label, 8.
    let at = pickle
        .windows(2)
        .position(|window| window == b"r7")
        .unwrap();
    let label = pickle[at..].iter().position(|byte| *byte == 8).unwrap();
    pickle[at + label] = 9;
    std::fs::write(path, pickle).unwrap();
    refused(&dir, "CS-INDEX-FILE");
}

#[test]
fn absurd_parameters_are_refused_or_harmless() {
    for (parameter, value) in [
        ("max_neighbors", 1000_u64),
        ("max_neighbors", 4_000_000_000),
        ("max_neighbors", u64::MAX),
        ("ef_construction", u64::MAX),
        ("ef_construction", 0),
        ("ef_search", u64::MAX),
        ("sync_threshold", u64::MAX),
        ("sync_threshold", 0),
    ] {
        for engine in [Engine::Native, Engine::HnswRs] {
            let root = tempfile::tempdir().unwrap();
            let dir = Recipe::default().make(root.path(), "base");
            sql(
                &dir,
                &format!(
                    r##"UPDATE collections SET schema_str = '{{"keys":{{"#embedding":{{"float_list":
                    {{"vector_index":{{"config":{{"space":"cosine","hnsw":{{"{parameter}":{value}}}}}}}}}}}}}}}'"##
                ),
            );
            let mut store = Store::open(&dir, OpenOptions::default()).unwrap();
            let result = store.rebuild(WORDS, engine, FlushOptions::default());
            // hnsw_rs has at most 256 links.
            let refused = parameter == "max_neighbors" && engine == Engine::HnswRs;
            assert_eq!(
                result.is_err(),
                refused,
                "{parameter} {value} {engine:?}: {result:?}"
            );
        }
    }
}

#[test]
fn unknown_collection_is_refused_before_any_is_flushed() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "base");
    let path = dir.to_str().unwrap();
    let (code, _, errors) = compactor(&[
        "store",
        "flush",
        path,
        "--collection",
        WORDS,
        "--collection",
        "nope",
    ]);
    assert_eq!(code, 1);
    assert!(errors.contains("no collection named `nope`"), "{errors}");
    assert!(index_files::read(&dir, WORDS).is_none());
}

#[test]
fn vector_of_minus_zero_differs_from_zero() {
    let root = tempfile::tempdir().unwrap();
    let dir = make(root.path(), "base", Space::L2, vec![vector("a", &[0.0])]);
    merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
    let report = merge_and_flush(&dir, ALWAYS, vec![vector("a", &[-0.0])]).unwrap();
    assert_eq!((report.inserted, report.unchanged), (1, 0));
}

/// Folders of the directory.
fn folders(dir: &Path) -> usize {
    std::fs::read_dir(dir)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .count()
}

#[test]
fn flush_removes_leftover_index_folders_and_keeps_foreign_ones() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "base");
    let leftover = dir.join("11111111-2222-3333-4444-555555555555");
    std::fs::create_dir(&leftover).unwrap();
    std::fs::write(leftover.join("header.bin"), b"torn").unwrap();
    let foreign = dir.join("11111111-2222-3333-4444-666666666666");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("notes.txt"), b"mine").unwrap();
    merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
    assert!(!leftover.exists() && foreign.exists());
    assert_eq!(folders(&dir), 2);
    merge_and_flush(&dir, ALWAYS, vec![record("new", 4, 9)]).unwrap();
    assert_eq!(folders(&dir), 2, "the old files went with the flush");
}
