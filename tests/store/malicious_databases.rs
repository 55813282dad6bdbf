//! Malicious databases, as deltas and as bases: code where Chroma has none, and values of absurd sizes.

use std::path::Path;

use serde_json::Value;

use crate::directory::{WORDS, bytes_of, compactor, names_in, sql};

/// What is wrong, the expected code, and how the sound directory is spoilt.
pub(crate) type Case = (&'static str, &'static str, fn(&Path));

/// Schemas that run code when they are read or written, and damaged schemas.
pub(crate) const SCHEMAS: &[Case] = &[
    ("a trigger", "CS-UNKNOWN-SCHEMA", |dir| {
        sql(
            dir,
            "CREATE TRIGGER t AFTER INSERT ON embeddings BEGIN SELECT 1; END",
        );
    }),
    ("a view in place of a table", "CS-UNKNOWN-SCHEMA", |dir| {
        sql(
            dir,
            "DROP TABLE maintenance_log; CREATE VIEW maintenance_log AS SELECT 1",
        );
    }),
    ("a view that never ends", "CS-UNKNOWN-SCHEMA", |dir| {
        sql(
            dir,
            "DROP TABLE embeddings_queue;
             CREATE VIEW embeddings_queue AS
             WITH RECURSIVE n(seq_id) AS (SELECT 1 UNION ALL SELECT seq_id + 1 FROM n)
             SELECT seq_id, 1 AS operation, '' AS topic, '' AS id, NULL AS vector FROM n",
        );
    }),
    ("a virtual table", "CS-UNKNOWN-SCHEMA", |dir| {
        sql(
            dir,
            "DROP TABLE segments;
             CREATE VIRTUAL TABLE segments USING fts5(id, type, scope, collection)",
        );
    }),
    ("a computed column", "CS-UNKNOWN-SCHEMA", |dir| {
        sql(
            dir,
            "ALTER TABLE embeddings_queue ADD COLUMN more AS (hex(zeroblob(100000000)))",
        );
    }),
    ("an index on an expression", "CS-UNKNOWN-SCHEMA", |dir| {
        sql(
            dir,
            "CREATE INDEX i ON embeddings_queue (hex(zeroblob(seq_id)))",
        );
    }),
    ("a table that is another's", "CS-DAMAGED", |dir| {
        sql(
            dir,
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master
             WHERE name = 'segments') WHERE name = 'embeddings_queue'",
        );
    }),
    ("a schema that is no SQL", "CS-DAMAGED", |dir| {
        sql(
            dir,
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_master SET sql = 'CREATE TABLE (' WHERE name = 'segments'",
        );
    }),
];

/// Values of 40 MB in rows of the log and in ids of records.
pub(crate) const HUGE: &[Case] = &[
    ("a huge vector", "CS-VECTOR-LENGTH", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET vector = zeroblob(40000000) WHERE seq_id = 2",
        );
    }),
    ("a huge id in the log", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET id = zeroblob(40000000) WHERE seq_id = 2",
        );
    }),
    ("a huge encoding", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET encoding = zeroblob(40000000) WHERE seq_id = 2",
        );
    }),
    ("a huge id of a record", "CS-DAMAGED", |dir| {
        sql(
            dir,
            "UPDATE embeddings SET embedding_id = zeroblob(40000000) WHERE id = 2",
        );
    }),
];

/// Huge metadata in rows of the log. The records have that metadata too, so a base does not need it.
pub(crate) const HUGE_PAYLOADS: &[Case] = &[
    ("a huge payload that is no text", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET metadata = zeroblob(40000000) WHERE seq_id = 2",
        );
    }),
    ("a huge payload that is no JSON", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue SET metadata = CAST(zeroblob(40000000) AS TEXT)
             WHERE seq_id = 2",
        );
    }),
    // A recursive parser would overflow its stack.
    ("a huge nest in a payload", "CS-QUEUE-ROW", |dir| {
        sql(
            dir,
            "UPDATE embeddings_queue
             SET metadata = '{\"a\": ' || replace(hex(zeroblob(20000000)), '0', '[')
             WHERE seq_id = 2",
        );
    }),
];

/// Huge values in the metadata of a record.
pub(crate) const HUGE_METADATA: &[Case] = &[
    ("a huge document", "CS-DAMAGED", |dir| {
        sql(
            dir,
            "UPDATE embedding_metadata SET string_value = zeroblob(20000000)
             WHERE id = 2 AND key = 'chroma:document'",
        );
    }),
    ("a huge value", "CS-DAMAGED", |dir| {
        sql(
            dir,
            "INSERT INTO embedding_metadata (id, key, string_value)
             VALUES (2, 'huge', zeroblob(20000000))",
        );
    }),
    ("a huge key", "CS-DAMAGED", |dir| {
        sql(
            dir,
            "UPDATE embedding_metadata SET key = zeroblob(20000000) WHERE id = 2 AND key = 'even'",
        );
    }),
    ("a huge element of an array", "CS-DAMAGED", |dir| {
        sql(
            dir,
            "INSERT INTO embedding_metadata_array (id, key, string_value)
             VALUES (2, 'huge', zeroblob(20000000))",
        );
    }),
];

/// A merge fails with this code, makes no output, and leaves the base as it was. Gives the error.
pub(crate) fn refuse(what: &str, root: &Path, base: &Path, delta: &Path, code: &str) -> Value {
    let (before, names) = (bytes_of(base), names_in(root));
    let out = root.join("out");
    let (status, output, errors) = compactor(&[
        "store",
        "merge",
        "--base",
        text(base),
        "--delta",
        text(delta),
        "--out",
        text(&out),
        "--collection",
        WORDS,
        "--json",
    ]);
    assert_eq!(status, 1, "{what}: {output}{errors}");
    let mut said: Value = serde_json::from_str(&errors)
        .unwrap_or_else(|_| panic!("{what}: not one JSON object: {errors}"));
    let error = said["error"].take();
    assert_eq!(error["code"], code, "{what}: {error}");
    assert!(
        error["help"].as_str().is_some_and(|help| !help.is_empty()),
        "{what}"
    );
    assert_eq!(output, "", "{what}");
    assert!(bytes_of(base) == before, "{what}: the base was touched");
    assert_eq!(names_in(root), names, "{what}: something was left behind");
    error
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
