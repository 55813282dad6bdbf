//! Every way a delta can be wrong gives its own code, makes no output, and leaves the base as it
//! was to the byte.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use chroma_store::{Array, MetadataValue, Operation, SchemaLevel};

use crate::directory::{Recipe, bytes_of, compactor, record, sql};
use crate::malicious_databases::{Case, HUGE, HUGE_METADATA, HUGE_PAYLOADS, SCHEMAS, refuse, text};

/// Purges the beginning of the log, so that the merge reads the records with their metadata.
const PURGED: &str = "
    UPDATE embeddings_queue SET seq_id = seq_id + 100;
    UPDATE max_seq_id SET seq_id = seq_id + 100;
    INSERT INTO max_seq_id (segment_id, seq_id)
    SELECT id, 0 FROM segments WHERE scope = 'VECTOR'";

const CASES: &[Case] = &[
    ("hot journal", "CS-HOT-JOURNAL", |dir| {
        add_file(dir, "chroma.sqlite3-journal");
    }),
    ("write-ahead log", "CS-HOT-JOURNAL", |dir| {
        add_file(dir, "chroma.sqlite3-wal");
    }),
    ("shared memory", "CS-HOT-JOURNAL", |dir| {
        add_file(dir, "chroma.sqlite3-shm");
    }),
    ("half a database", "CS-TRUNCATED", |dir| truncate(dir, 2)),
    ("50 bytes", "CS-TRUNCATED", |dir| set_size(dir, 50)),
    ("an empty file", "CS-TRUNCATED", |dir| set_size(dir, 0)),
    ("torn pages", "CS-DAMAGED", tear),
    ("another format", "CS-DAMAGED", |dir| {
        std::fs::write(dir.join("chroma.sqlite3"), vec![7; 8192]).unwrap();
    }),
    ("no database", "CS-NOT-CHROMA", |dir| {
        std::fs::remove_file(dir.join("chroma.sqlite3")).unwrap();
    }),
    ("a migration too few", "CS-UNKNOWN-SCHEMA", |dir| {
        sql(
            dir,
            "DELETE FROM migrations WHERE dir = 'metadb' AND version = 3",
        );
    }),
    ("a migration too many", "CS-UNKNOWN-SCHEMA", |dir| {
        sql(
            dir,
            "INSERT INTO migrations VALUES ('metadb', 7, 'x', 'y', 'z')",
        );
    }),
    ("no migrations", "CS-UNKNOWN-SCHEMA", |dir| {
        sql(dir, "DROP TABLE migrations");
    }),
    ("texts where numbers should be", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET operation = 'upsert', metadata = x'00' WHERE seq_id = 2",
        );
    }),
    ("a short vector", "CS-VECTOR-LENGTH", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET vector = zeroblob(12) WHERE seq_id = 2",
        );
    }),
    ("a vector of 15 bytes", "CS-VECTOR-LENGTH", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET vector = zeroblob(15) WHERE seq_id = 2",
        );
    }),
    ("a NaN vector", "CS-NOT-FINITE", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET vector = x'000000000000c07f0000000000000000'",
        );
    }),
    ("an infinite vector", "CS-NOT-FINITE", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET vector = x'0000807f000000000000000000000000'",
        );
    }),
    ("a record without a vector", "CS-MISSING-VECTOR", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET vector = NULL, encoding = NULL WHERE seq_id = 3",
        );
    }),
    ("NaN in metadata", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET metadata = '{\"a\": NaN}' WHERE seq_id = 1",
        );
    }),
    ("metadata that is no object", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET metadata = '[1]' WHERE seq_id = 1",
        );
    }),
    ("nested metadata", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET metadata = '{\"a\": {\"b\": 1}}' WHERE seq_id = 1",
        );
    }),
    ("an unknown operation", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET operation = 9 WHERE seq_id = 1",
        );
    }),
    ("an unknown encoding", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET encoding = 'INT32' WHERE seq_id = 1",
        );
    }),
    ("an operation without an id", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET id = x'ff00' WHERE seq_id = 1",
        );
    }),
    ("two vector segments", "CS-CONFIGURATION", |dir| {
        sql(
            dir,
            "INSERT INTO segments SELECT 'f' || substr(id, 2), type, scope, collection FROM segments WHERE scope = 'VECTOR'",
        );
    }),
    ("a segment id that is a path", "CS-CONFIGURATION", |dir| {
        sql(
            dir,
            "UPDATE segments SET id = '../../etc' WHERE scope = 'VECTOR'",
        );
    }),
    ("an unknown space", "CS-CONFIGURATION", |dir| {
        sql(
            dir,
            "UPDATE collections SET schema_str = replace(schema_str, 'cosine', 'hamming')",
        );
    }),
    ("an absurd dimension", "CS-CONFIGURATION", |dir| {
        sql(dir, "UPDATE collections SET dimension = -3");
    }),
    ("no vectors at all", "CS-DAMAGED", |dir| {
        sql(dir, "DELETE FROM embeddings_queue WHERE seq_id < 5");
    }),
];

#[test]
fn bad_delta_is_refused_by_code_and_leaves_the_base_untouched() {
    for (what, code, spoil) in CASES.iter().chain(SCHEMAS).chain(HUGE).chain(HUGE_PAYLOADS) {
        let root = tempfile::tempdir().unwrap();
        let base = Recipe::default().make(root.path(), "base");
        let delta = delta().make(root.path(), "delta");
        spoil(&delta);
        refuse(what, root.path(), &base, &delta, code);
    }
}

#[test]
fn huge_metadata_of_a_purged_delta_is_refused_by_code() {
    for (what, code, spoil) in HUGE_METADATA {
        let root = tempfile::tempdir().unwrap();
        let base = Recipe::default().make(root.path(), "base");
        let delta = delta().make(root.path(), "delta");
        sql(&delta, PURGED);
        spoil(&delta);
        refuse(what, root.path(), &base, &delta, code);
    }
}

/// Without this, refusing huge metadata of a purged delta would show nothing.
#[test]
fn purged_delta_is_merged_as_state() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let delta = delta().make(root.path(), "delta");
    sql(&delta, PURGED);
    let out = root.path().join("out");
    let (status, output, errors) = compactor(&[
        "store",
        "merge",
        "--base",
        text(&base),
        "--delta",
        text(&delta),
        "--out",
        text(&out),
        "--json",
    ]);
    assert_eq!(status, 0, "{output}{errors}");
    assert!(output.contains(r#""state""#), "{output}");
}

/// One record that the base has, and new ones.
fn delta() -> Recipe {
    Recipe::of(vec![
        record("id1", 4, 11),
        record("new1", 4, 12),
        record("new2", 4, 13),
        record("new3", 4, 14),
        record("new4", 4, 15),
    ])
}

#[test]
fn delta_that_does_not_fit_the_base_is_refused_by_code() {
    let root = tempfile::tempdir().unwrap();
    let array = MetadataValue::Array(Array::Int(vec![1, 2]));
    let with_array = vec![Operation::upsert(
        "a",
        &[1.0; 4],
        vec![("list".to_owned(), Some(array))],
    )];
    let cases = [
        (
            "CS-DIMENSION",
            SchemaLevel::L15,
            Recipe::of(vec![record("a", 8, 1)]),
        ),
        (
            "CS-COLLECTION-MISSING",
            SchemaLevel::L15,
            Recipe {
                collection: "other",
                ..Recipe::default()
            },
        ),
        ("CS-ARRAYS", SchemaLevel::L13, Recipe::of(with_array)),
    ];
    for (code, level, recipe) in cases {
        let base = Recipe {
            level,
            ..Recipe::default()
        }
        .make(root.path(), &format!("base-{code}"));
        let delta = recipe.make(root.path(), &format!("delta-{code}"));
        refuse(code, root.path(), &base, &delta, code);
    }
}

#[test]
fn offline_merge_with_one_bad_delta_merges_nothing() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let good = Recipe::of(vec![record("good", 4, 1)]).make(root.path(), "good");
    let bad = Recipe::of(vec![record("bad", 8, 1)]).make(root.path(), "bad");
    let before = bytes_of(&base);
    let out = root.path().join("out");
    let (status, _, errors) = compactor(&[
        "store",
        "merge",
        "--base",
        text(&base),
        "--delta",
        text(&good),
        text(&bad),
        "--out",
        text(&out),
        "--json",
    ]);
    assert_eq!(status, 1, "{errors}");
    assert!(errors.contains("CS-DIMENSION"), "{errors}");
    assert!(!out.exists());
    assert_eq!(bytes_of(&base), before);
}

fn add_file(dir: &Path, name: &str) {
    std::fs::write(dir.join(name), b"left by a writer that was killed").unwrap();
}

fn truncate(dir: &Path, divisor: u64) {
    let size = dir.join("chroma.sqlite3").metadata().unwrap().len();
    set_size(dir, size / divisor);
}

fn set_size(dir: &Path, size: u64) {
    let file = OpenOptions::new()
        .write(true)
        .open(dir.join("chroma.sqlite3"))
        .unwrap();
    file.set_len(size).unwrap();
}

/// Overwrites everything after the first page.
fn tear(dir: &Path) {
    let path = dir.join("chroma.sqlite3");
    let size = path.metadata().unwrap().len();
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    let garbage = vec![0xA5; usize::try_from(size).unwrap() - 4096];
    file.write_all(&garbage).unwrap();
}
