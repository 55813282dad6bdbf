//! Vectors go from the log into the index files: which, when, and what is left of the log.

use std::path::{Path, PathBuf};

use chroma_store::{
    CloseOptions, Engine, FlushOptions, FlushReport, FlushWhen, MergeOptions, OpenOptions,
    Operation, OperationKind, Patch, SchemaLevel, Space, Store, VerifyLevel,
};
use compactor_testkit::index_files::{self, IndexFiles};
use rusqlite::Connection;

use crate::directory::{Recipe, WORDS, bytes_of, record, sql};

pub(crate) const ALWAYS: FlushOptions = FlushOptions {
    when: FlushWhen::Always,
    at_least: 0,
    threads: 2,
    rebuild_above_deleted_percent: 100,
    vacuum_above_free_percent: 100,
    seed: 1,
    read_back: true,
};

pub(crate) fn vector(id: &str, elements: &[f32]) -> Operation {
    Operation::upsert(id, elements, Patch::new())
}

pub(crate) fn make(root: &Path, name: &str, space: Space, operations: Vec<Operation>) -> PathBuf {
    let recipe = Recipe {
        space,
        ..Recipe::of(operations)
    };
    recipe.make(root, name)
}

/// Merges `operations` into `dir` in place and flushes; the directory is sound afterwards.
pub(crate) fn merge_and_flush(
    dir: &Path,
    options: FlushOptions,
    operations: Vec<Operation>,
) -> Option<FlushReport> {
    let mut store = Store::open(dir, OpenOptions::default()).unwrap();
    store.write(WORDS, operations).unwrap();
    let report = store.flush(WORDS, options).unwrap();
    close(store);
    report
}

fn close(store: Store<chroma_store::Open>) {
    let closed = store.close(&CloseOptions::default()).unwrap();
    let report = closed.verify(VerifyLevel::Full).unwrap();
    // Verification reports foreign files, and they stay.
    let mut problems = report.problems.iter();
    assert!(
        problems.all(|problem| problem.invariant == "files"),
        "{:?}",
        report.problems
    );
}

pub(crate) fn index(dir: &Path) -> IndexFiles {
    index_files::read(dir, WORDS).expect("there are index files")
}

fn set_threshold(dir: &Path, threshold: u32) {
    let schema = format!(
        r##"{{"keys":{{"#embedding":{{"float_list":{{"vector_index":{{"config":
        {{"space":"l2","hnsw":{{"sync_threshold":{threshold},"max_neighbors":5,"ef_construction":33}}}}}}}}}}}}}}"##
    );
    let connection = Connection::open(dir.join("chroma.sqlite3")).unwrap();
    connection
        .execute("UPDATE collections SET schema_str = ?1", [schema])
        .unwrap();
}

fn queued(dir: &Path) -> Vec<(i64, String)> {
    let connection = Connection::open(dir.join("chroma.sqlite3")).unwrap();
    let mut statement = connection
        .prepare("SELECT seq_id, id FROM embeddings_queue ORDER BY seq_id")
        .unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn merge_flushes_from_the_sync_threshold_on() {
    let root = tempfile::tempdir().unwrap();
    let few = (0..4).map(|n| record(&format!("a{n}"), 3, n)).collect();
    let more = (0..3)
        .map(|n| record(&format!("b{n}"), 3, 10 + n))
        .collect();
    let base = make(root.path(), "base", Space::L2, few);
    set_threshold(&base, 7);
    let delta = make(root.path(), "delta", Space::L2, more);
    let mut store = Store::open(&base, OpenOptions::default()).unwrap();
    let report = store
        .merge::<&Path>(WORDS, &[], MergeOptions::default())
        .unwrap();
    assert_eq!(report.flushed, None);
    let report = store
        .merge(WORDS, &[&delta], MergeOptions::default())
        .unwrap();
    assert_eq!(report.flushed.unwrap().inserted, 7);
    close(store);
    let index = index(&base);
    assert_eq!(index.vectors.len(), 7);
    assert_eq!((index.max_links, index.ef_construction), (5, 33));
    assert_eq!(queued(&base), [(7, "b2".to_owned())], "the last row stays");
}

#[test]
fn merge_told_never_to_flush_writes_no_index_files() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "base");
    let never = FlushOptions {
        when: FlushWhen::Never,
        ..ALWAYS
    };
    assert_eq!(merge_and_flush(&dir, never, vec![]), None);
    assert_eq!(index_files::read(&dir, WORDS), None);
}

#[test]
fn flush_keeps_a_log_that_chroma_would_not_purge() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "base");
    let connection = Connection::open(dir.join("chroma.sqlite3")).unwrap();
    connection
        .execute(
            r#"UPDATE embeddings_queue_config SET config_json_str = '{"automatically_purge":false}'"#,
            [],
        )
        .unwrap();
    drop(connection);
    merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
    assert_eq!(queued(&dir).len(), 5);
}

#[test]
fn flush_applies_logged_changes_to_indexed_vectors() {
    let root = tempfile::tempdir().unwrap();
    let dir = make(
        root.path(),
        "base",
        Space::L2,
        vec![
            vector("stays", &[1.0]),
            vector("changes", &[2.0]),
            vector("goes", &[3.0]),
        ],
    );
    merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
    let operations = vec![
        vector("changes", &[20.0]),
        Operation::delete("goes"),
        vector("comes", &[4.0]),
        vector("comes and goes", &[5.0]),
        Operation::delete("comes and goes"),
        vector("goes and comes", &[6.0]),
        Operation::delete("goes and comes"),
        vector("goes and comes", &[7.0]),
        vector("stays", &[1.0]),
    ];
    let report = merge_and_flush(&dir, ALWAYS, operations).unwrap();
    let figures = (
        report.inserted,
        report.unchanged,
        report.removed,
        report.indexed,
    );
    assert_eq!((figures, report.rebuilt), ((3, 1, 2, 4), None));
    let index = index(&dir);
    let first: Vec<(&str, f32)> = index
        .vectors
        .iter()
        .map(|(id, (vector, _))| (id.as_str(), vector[0]))
        .collect();
    assert_eq!(
        first,
        [
            ("changes", 20.0),
            ("comes", 4.0),
            ("goes and comes", 7.0),
            ("stays", 1.0)
        ]
    );
    assert_eq!((index.elements, index.deleted), (6, 2));
    assert_eq!(
        index.labels["stays"], 1,
        "an equal vector stays where it is"
    );
}

#[test]
fn deleted_id_that_is_written_again_gets_a_new_label() {
    let root = tempfile::tempdir().unwrap();
    let dir = make(
        root.path(),
        "base",
        Space::Ip,
        vec![vector("a", &[1.0]), vector("b", &[2.0])],
    );
    merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
    merge_and_flush(&dir, ALWAYS, vec![Operation::delete("a")]).unwrap();
    assert_eq!(index(&dir).deleted, 1);
    merge_and_flush(&dir, ALWAYS, vec![vector("a", &[3.0])]).unwrap();
    let index = index(&dir);
    assert_eq!(
        (index.labels["a"], index.labels["b"], index.deleted),
        (3, 2, 1)
    );
    assert_eq!(index.total_elements_added, 3);
}

#[test]
fn flush_inserts_the_last_of_many_updates_alone() {
    let root = tempfile::tempdir().unwrap();
    let dir = make(root.path(), "base", Space::L2, vec![vector("a", &[0.0])]);
    let many = (1..50_u8).map(|n| vector("a", &[f32::from(n)])).collect();
    let report = merge_and_flush(&dir, ALWAYS, many).unwrap();
    assert_eq!((report.inserted, index(&dir).vectors["a"].0[0]), (1, 49.0));
}

#[test]
fn update_without_a_vector_leaves_the_graph_unchanged() {
    let root = tempfile::tempdir().unwrap();
    let dir = make(root.path(), "base", Space::L2, vec![vector("a", &[1.0])]);
    merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
    let update = Operation {
        kind: OperationKind::Update,
        id: "a".to_owned(),
        vector: None,
        patch: vec![("n".to_owned(), Some(1_i64.into()))],
    };
    let report = merge_and_flush(&dir, ALWAYS, vec![update]).unwrap();
    assert_eq!((report.inserted, report.removed, report.indexed), (0, 0, 1));
}

#[test]
fn collection_that_becomes_empty_again_has_no_index_files() {
    let root = tempfile::tempdir().unwrap();
    for level in SchemaLevel::ALL {
        let recipe = Recipe {
            level,
            ..Recipe::of(vec![])
        };
        let dir = recipe.make(root.path(), level.name());
        assert_eq!(merge_and_flush(&dir, ALWAYS, vec![]), None);
        merge_and_flush(&dir, ALWAYS, vec![vector("only", &[0.6, 0.8])]).unwrap();
        assert_eq!(index(&dir).elements, 1);
        merge_and_flush(&dir, ALWAYS, vec![Operation::delete("only")]).unwrap();
        assert_eq!(index_files::read(&dir, WORDS), None, "no ids, no files");
        merge_and_flush(&dir, ALWAYS, vec![vector("again", &[1.0, 0.0])]).unwrap();
        assert_eq!(index(&dir).elements, 1);
    }
}

#[test]
fn duplicate_and_zero_vectors_are_flushed_in_cosine_space() {
    let root = tempfile::tempdir().unwrap();
    let zeros = (0..30).map(|n| vector(&format!("zero{n}"), &[0.0, 0.0]));
    let same = (0..30).map(|n| vector(&format!("same{n}"), &[3.0, 4.0]));
    let dir = make(
        root.path(),
        "base",
        Space::Cosine,
        zeros.chain(same).collect(),
    );
    merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
    let index = index(&dir);
    let (vector, norm) = &index.vectors["same7"];
    assert!((vector[0] - 0.6).abs() < 1e-6 && *norm == 5.0);
    assert_eq!(index.vectors["zero3"], (vec![0.0, 0.0], 0.0));
}

#[test]
fn norm_beyond_the_range_of_f32_is_clamped() {
    let root = tempfile::tempdir().unwrap();
    let dir = make(
        root.path(),
        "base",
        Space::Cosine,
        vec![vector("huge", &[3e38, 3e38])],
    );
    merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
    assert!(index(&dir).vectors["huge"].1.is_finite());
}

#[test]
fn id_maps_have_the_form_of_the_schema_levels_chromadb() {
    let root = tempfile::tempdir().unwrap();
    for level in SchemaLevel::ALL {
        let recipe = Recipe {
            level,
            ..Recipe::default()
        };
        let dir = recipe.make(root.path(), level.name());
        merge_and_flush(&dir, ALWAYS, vec![]).unwrap();
        let index = index(&dir);
        let class = level == SchemaLevel::L06;
        assert_eq!(index.pickled_seq, class.then_some(5), "{level}");
        assert_eq!(index.seq_ids, if class { 5 } else { 0 }, "{level}");
        let bytes = std::fs::read(index.dir.join("index_metadata.pickle")).unwrap();
        let names_class = bytes.windows(14).any(|window| window == b"PersistentData");
        assert_eq!(names_class, class, "{level}");
    }
}

#[test]
fn graph_with_too_many_deleted_labels_is_rebuilt() {
    let root = tempfile::tempdir().unwrap();
    let operations = (0..20).map(|n| record(&format!("r{n}"), 3, n)).collect();
    let dir = make(root.path(), "base", Space::L2, operations);
    let limit = FlushOptions {
        rebuild_above_deleted_percent: 20,
        ..ALWAYS
    };
    merge_and_flush(&dir, limit, vec![]).unwrap();
    let delete = |from: u32, to: u32| {
        (from..to)
            .map(|n| Operation::delete(format!("r{n}")))
            .collect()
    };
    let report = merge_and_flush(&dir, limit, delete(0, 4)).unwrap();
    assert_eq!((report.rebuilt, index(&dir).deleted), (None, 4));
    let report = merge_and_flush(&dir, limit, delete(4, 5)).unwrap();
    assert_eq!(report.rebuilt, Some(Engine::Native));
    let index = index(&dir);
    assert_eq!(
        (index.elements, index.deleted, index.total_elements_added),
        (15, 0, 15)
    );
}

#[test]
fn flush_of_a_collection_leaves_the_others_unflushed() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "base");
    sql(
        &dir,
        "INSERT INTO collections (id, name, dimension, database_id)
          SELECT '00000000-0000-0000-0000-0000000000aa', 'other', 4, database_id FROM collections;
          INSERT INTO segments VALUES
            ('00000000-0000-0000-0000-0000000000ab', 'urn:chroma:segment/vector/hnsw-local-persisted',
             'VECTOR', '00000000-0000-0000-0000-0000000000aa'),
            ('00000000-0000-0000-0000-0000000000ac', 'urn:chroma:segment/metadata/sqlite',
             'METADATA', '00000000-0000-0000-0000-0000000000aa');",
    );
    let mut store = Store::open(&dir, OpenOptions::default()).unwrap();
    store
        .write("other", vec![record("x", 4, 1), record("y", 4, 2)])
        .unwrap();
    store.flush(WORDS, ALWAYS).unwrap().unwrap();
    close(store);
    assert!(index_files::read(&dir, "other").is_none());
    assert_eq!(
        queued(&dir)
            .iter()
            .filter(|(_, id)| id == "x" || id == "y")
            .count(),
        2
    );
    let mut store = Store::open(&dir, OpenOptions::default()).unwrap();
    store.flush("other", ALWAYS).unwrap().unwrap();
    close(store);
    assert_eq!(index_files::read(&dir, "other").unwrap().vectors.len(), 2);
    assert_eq!(index(&dir).vectors.len(), 5, "the first one is as it was");
}

#[test]
fn flush_by_one_thread_is_deterministic() {
    let root = tempfile::tempdir().unwrap();
    let operations: Vec<Operation> = (0..300).map(|n| record(&format!("r{n}"), 8, n)).collect();
    let one = FlushOptions {
        threads: 1,
        ..ALWAYS
    };
    let files = ["first", "second"].map(|name| {
        let folder = root.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let dir = make(&folder, "base", Space::L2, operations.clone());
        merge_and_flush(&dir, one, vec![]).unwrap();
        let all = bytes_of(&dir).into_iter();
        all.filter(|(path, _)| path.extension().is_some_and(|e| e == "bin"))
            .map(|(path, bytes)| (path.file_name().unwrap().to_owned(), bytes))
            .collect::<Vec<_>>()
    });
    assert_eq!(files[0].len(), 4);
    assert_eq!(files[0], files[1]);
}
