//! Graphs that either engine rebuilds, and damaged graphs.

use std::path::{Path, PathBuf};

use chroma_store::{
    CloseOptions, Engine, FlushOptions, FlushWhen, Like, OpenOptions, Operation, Patch, Searcher,
    Space, Store, StoreInfo, VerifyLevel,
};
use compactor_testkit::index_files::{self, IndexFiles};

use crate::directory::{Recipe, WORDS, bytes_of};

const ENGINES: [Engine; 2] = [Engine::Native, Engine::HnswRs];
const SPACES: [Space; 3] = [Space::L2, Space::Ip, Space::Cosine];

fn flush_options() -> FlushOptions {
    FlushOptions {
        when: FlushWhen::Always,
        ..FlushOptions::default()
    }
}

/// Seeded vectors around ten centres.
fn records(count: usize, dimension: usize) -> Vec<Operation> {
    let mut state = 1_u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let centres: Vec<Vec<f32>> = (0..10)
        .map(|_| (0..dimension).map(|_| 2.0 * next()).collect())
        .collect();
    (0..count)
        .map(|at| {
            let vector: Vec<f32> = centres[at % 10].iter().map(|c| c + next()).collect();
            Operation::upsert(format!("r{at}"), &vector, Patch::new())
        })
        .collect()
}

fn made(root: &Path, space: Space, operations: Vec<Operation>) -> PathBuf {
    let recipe = Recipe {
        space,
        ..Recipe::of(operations)
    };
    recipe.make(root, &format!("{space}"))
}

fn change(dir: &Path, work: impl FnOnce(&mut Store<chroma_store::Open>)) {
    let mut store = Store::open(dir, OpenOptions::default()).unwrap();
    work(&mut store);
    let closed = store.close(&CloseOptions::default()).unwrap();
    closed.verify(VerifyLevel::Full).unwrap();
}

fn rebuild(dir: &Path, engine: Engine) {
    change(dir, |store| {
        let report = store
            .rebuild(WORDS, engine, flush_options())
            .unwrap()
            .unwrap();
        assert_eq!(report.rebuilt, Some(engine));
    });
}

fn index(dir: &Path) -> IndexFiles {
    index_files::read(dir, WORDS).expect("there are index files")
}

#[test]
fn rebuild_by_either_engine_keeps_vectors_and_finds_them() {
    for engine in ENGINES {
        for space in SPACES {
            let root = tempfile::tempdir().unwrap();
            let dir = made(root.path(), space, records(1200, 24));
            rebuild(&dir, engine);
            let first = index(&dir);
            // From the files, without the log.
            rebuild(&dir, engine);
            let second = index(&dir);
            assert_eq!(first.vectors, second.vectors, "{engine:?} {space}");
            assert_ne!(first.dir, second.dir);
            let info = StoreInfo::read(&dir).unwrap();
            let graph = info.collections[0].graph.clone().unwrap();
            assert_eq!(
                (graph.elements, graph.unreachable),
                (1200, 0),
                "{engine:?} {space}"
            );
            let recall = graph.recall.unwrap().value;
            assert!(recall > 0.98, "{engine:?} {space}: {recall}");
        }
    }
}

#[test]
fn rebuild_by_either_engine_takes_empty_equal_and_zero_vectors() {
    let same = |count: usize, elements: &[f32]| -> Vec<Operation> {
        (0..count)
            .map(|at| Operation::upsert(format!("s{at}"), elements, Patch::new()))
            .collect()
    };
    for engine in ENGINES {
        for space in SPACES {
            for set in [
                same(1, &[1.0, 2.0]),
                same(2, &[1.0, 2.0]),
                same(300, &[1.0, 2.0]),
                same(40, &[0.0, 0.0]),
                vec![],
            ] {
                let root = tempfile::tempdir().unwrap();
                let count = set.len();
                let dir = made(root.path(), space, set);
                change(&dir, |store| {
                    let report = store.rebuild(WORDS, engine, flush_options()).unwrap();
                    assert_eq!(report.is_some(), count > 0);
                });
                let found = index_files::read(&dir, WORDS).map_or(0, |index| index.vectors.len());
                assert_eq!(found, count, "{engine:?} {space}");
            }
        }
    }
}

#[test]
fn graph_rebuilt_by_hnsw_rs_takes_new_records() {
    let root = tempfile::tempdir().unwrap();
    let all = records(900, 16);
    let dir = made(root.path(), Space::Cosine, all[..600].to_vec());
    rebuild(&dir, Engine::HnswRs);
    change(&dir, |store| {
        store.write(WORDS, all[600..].to_vec()).unwrap();
        let report = store.flush(WORDS, flush_options()).unwrap().unwrap();
        assert_eq!((report.inserted, report.rebuilt), (300, None));
    });
    let info = StoreInfo::read(&dir).unwrap();
    let recall = info.collections[0]
        .graph
        .clone()
        .unwrap()
        .recall
        .unwrap()
        .value;
    assert!(recall > 0.98, "{recall}");
}

#[test]
fn rebuild_keeps_cosine_vectors_and_norms_verbatim() {
    let root = tempfile::tempdir().unwrap();
    let dir = made(root.path(), Space::Cosine, records(100, 7));
    rebuild(&dir, Engine::Native);
    let before = index(&dir);
    change(&dir, |store| {
        store
            .write(
                WORDS,
                vec![Operation::upsert("new", &[1.0; 7], Patch::new())],
            )
            .unwrap();
        store.flush(WORDS, flush_options()).unwrap();
    });
    rebuild(&dir, Engine::Native);
    let mut after = index(&dir).vectors;
    after.remove("new");
    assert_eq!(after, before.vectors);
}

/// Spoils a file of the index.
fn spoil(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = index(dir).dir.join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn damaged_links_are_rebuilt_on_demand_and_by_the_next_flush() {
    for file in ["link_lists.bin", "data_level0.bin"] {
        for on_demand in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let dir = made(root.path(), Space::L2, records(200, 5));
            rebuild(&dir, Engine::Native);
            let before = index(&dir).vectors;
            spoil(&dir, file, |bytes| bytes[..8].fill(0xEE));
            // The deletion marks stay: they say which elements are live.
            spoil(&dir, file, |bytes| bytes[2] = 0);
            chroma_store::verify(&dir, VerifyLevel::Full).unwrap_err();
            if on_demand {
                rebuild(&dir, Engine::Native);
            } else {
                change(&dir, |store| {
                    store.write(WORDS, vec![Operation::delete("r0")]).unwrap();
                    let report = store.flush(WORDS, flush_options()).unwrap().unwrap();
                    assert_eq!(report.rebuilt, Some(Engine::Native));
                });
            }
            let mut after = index(&dir).vectors;
            after
                .entry("r0".to_owned())
                .or_insert_with(|| before["r0"].clone());
            assert_eq!(after, before, "{file}");
        }
    }
}

#[test]
fn unreadable_index_files_are_rebuilt_from_a_whole_log_or_refused() {
    for whole_log in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let dir = made(root.path(), Space::L2, records(50, 5));
        if whole_log {
            let connection = rusqlite::Connection::open(dir.join("chroma.sqlite3")).unwrap();
            let keep = r#"UPDATE embeddings_queue_config SET config_json_str = '{"automatically_purge":false}'"#;
            connection.execute(keep, []).unwrap();
        }
        rebuild(&dir, Engine::Native);
        let before = index(&dir).vectors;
        spoil(&dir, "index_metadata.pickle", |bytes| bytes.truncate(30));
        if whole_log {
            rebuild(&dir, Engine::Native);
            assert_eq!(index(&dir).vectors, before);
        } else {
            let untouched = bytes_of(&dir);
            let mut store = Store::open(&dir, OpenOptions::default()).unwrap();
            let error = store
                .rebuild(WORDS, Engine::Native, flush_options())
                .unwrap_err();
            assert_eq!(error.code(), "CS-INDEX-FILE");
            drop(store);
            assert_eq!(bytes_of(&dir), untouched);
        }
    }
}

#[test]
fn search_finds_indexed_and_unflushed_records() {
    for space in SPACES {
        let root = tempfile::tempdir().unwrap();
        let dir = made(root.path(), space, records(300, 6));
        rebuild(&dir, Engine::Native);
        change(&dir, |store| {
            let waiting = vec![
                Operation::upsert("new", &[9.0; 6], Patch::new()),
                Operation::delete("r1"),
                Operation::upsert("r2", &[9.5; 6], Patch::new()),
            ];
            store.write(WORDS, waiting).unwrap();
        });
        let searcher = Searcher::open(&dir, WORDS).unwrap();
        let found = searcher
            .nearest(&Like::Vector(vec![9.0; 6]), 2, None)
            .unwrap();
        let mut ids: Vec<&str> = found.iter().map(|found| found.id.as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["new", "r2"], "{space}");
        let all = searcher
            .nearest(&Like::Id("r3".to_owned()), 400, None)
            .unwrap();
        assert_eq!(all.len(), 300, "{space}");
        assert!(all.iter().all(|found| found.id != "r1"));
        assert!(all.is_sorted_by(|a, b| a.distance <= b.distance));
        for wrong in [
            Like::Id("r1".to_owned()),
            Like::Vector(vec![1.0]),
            Like::Vector(vec![f32::NAN; 6]),
        ] {
            assert_eq!(
                searcher.nearest(&wrong, 1, None).unwrap_err().code(),
                "CS-QUERY"
            );
        }
    }
}
