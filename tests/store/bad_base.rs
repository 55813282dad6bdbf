//! A base that is not sound is refused by name before a merge makes anything of it.

use std::path::{Path, PathBuf};

use chroma_store::{OpenOptions, Store};

use crate::directory::{Recipe, compactor, record, sql};
use crate::malicious_databases::{Case, HUGE, HUGE_PAYLOADS, SCHEMAS, refuse, text};

const CASES: &[Case] = &[
    (
        "no queue tail: later writes would be dropped",
        "CS-INCONSISTENT",
        |dir| {
            sql(dir, "DELETE FROM embeddings_queue");
        },
    ),
    (
        "no dimension: readers would see nothing",
        "CS-INCONSISTENT",
        |dir| {
            sql(dir, "UPDATE collections SET dimension = NULL");
        },
    ),
    ("a migration's text differs", "CS-INCONSISTENT", |dir| {
        sql(
            dir,
            "UPDATE migrations SET sql = sql || ' ' WHERE dir = 'sysdb' AND version = 3",
        );
    }),
    ("a hot journal", "CS-HOT-JOURNAL", |dir| {
        std::fs::write(dir.join("chroma.sqlite3-journal"), b"x").unwrap();
    }),
    ("a progress that is no number", "CS-DAMAGED", |dir| {
        sql(dir, "UPDATE max_seq_id SET seq_id = 'x'");
    }),
    // Of the new records, which get the same time, only the last one stays.
    ("rows that push each other out", "CS-NOT-CONSERVED", |dir| {
        sql(
            dir,
            "PRAGMA legacy_alter_table = ON;
             ALTER TABLE embeddings RENAME TO old;
             CREATE TABLE embeddings (
                 id INTEGER PRIMARY KEY,
                 segment_id TEXT NOT NULL,
                 embedding_id TEXT NOT NULL,
                 seq_id INTEGER NOT NULL,
                 created_at TIMESTAMP NOT NULL DEFAULT 0 UNIQUE ON CONFLICT REPLACE,
                 UNIQUE (segment_id, embedding_id)
             );
             INSERT INTO embeddings SELECT id, segment_id, embedding_id, seq_id, id FROM old;
             DROP TABLE old",
        );
    }),
    ("a link", "CS-NOT-REGULAR", |dir| {
        std::os::unix::fs::symlink("/dev/null", dir.join("link")).unwrap();
    }),
];

#[test]
fn unsound_base_is_refused_by_code_and_left_untouched() {
    for (what, code, spoil) in CASES.iter().chain(HUGE) {
        let root = tempfile::tempdir().unwrap();
        let (base, delta) = sound(root.path());
        spoil(&base);
        refuse(what, root.path(), &base, &delta, code);
    }
    for (what, _, spoil) in HUGE_PAYLOADS {
        let root = tempfile::tempdir().unwrap();
        let (base, delta) = sound(root.path());
        spoil(&base);
        refuse(what, root.path(), &base, &delta, "CS-INCONSISTENT");
    }
}

/// A merge would run the code, or read what it computes.
#[test]
fn code_in_a_base_is_refused_without_blaming_a_delta() {
    for (what, code, spoil) in SCHEMAS {
        let root = tempfile::tempdir().unwrap();
        let (base, delta) = sound(root.path());
        spoil(&base);
        let error = refuse(what, root.path(), &base, &delta, code);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(text(&base)), "{what}: {message}");
        assert!(!message.contains(text(&delta)), "{what}: {message}");
        // Opening refuses it too, without a verification before.
        if *code == "CS-UNKNOWN-SCHEMA" {
            let refused = Store::open(&base, OpenOptions::default()).unwrap_err();
            assert_eq!(refused.code(), *code, "{what}: {refused}");
        }
    }
}

/// A base, and a delta that fits it.
fn sound(root: &Path) -> (PathBuf, PathBuf) {
    let base = Recipe::default().make(root, "base");
    let records = vec![record("new", 4, 9), record("newer", 4, 10)];
    let delta = Recipe::of(records).make(root, "delta");
    (base, delta)
}

#[test]
fn full_verification_finds_missing_vectors_and_wrong_full_text() {
    let cases: &[Case] = &[
        ("full text differs from the document", "I9", |dir| {
            sql(
                dir,
                "UPDATE embedding_fulltext_search SET string_value = 'x' WHERE rowid = 2",
            );
        }),
        ("full text is missing", "I9", |dir| {
            sql(dir, "DELETE FROM embedding_fulltext_search WHERE rowid = 2");
        }),
        ("a record without a vector", "I2", |dir| {
            sql(dir, "DELETE FROM embeddings_queue WHERE seq_id = 2");
        }),
    ];
    for (what, invariant, spoil) in cases {
        let root = tempfile::tempdir().unwrap();
        let dir = Recipe::default().make(root.path(), "base");
        let verify = |full: &[&str]| {
            let mut arguments = vec!["store", "verify", dir.to_str().unwrap()];
            arguments.extend(full);
            compactor(&arguments)
        };
        assert_eq!(verify(&["--full"]).0, 0, "{what}: sound before");
        spoil(&dir);
        let (status, output, errors) = verify(&["--full"]);
        assert_eq!(status, 1, "{what}: {output}{errors}");
        assert!(output.contains(invariant), "{what}: {output}");
    }
}

#[test]
fn full_verification_finds_a_full_text_index_unlike_its_content() {
    let root = tempfile::tempdir().unwrap();
    let dir = Recipe::default().make(root.path(), "base");
    // The content and the index differ: only FTS5's own check finds that.
    sql(&dir, "UPDATE embedding_fulltext_search_content SET c0 = 'document 1 of idX' WHERE id = 2;
               UPDATE embedding_metadata SET string_value = 'document 1 of idX' WHERE id = 2 AND key = 'chroma:document'");
    let (status, told, errors) = compactor(&["store", "verify", dir.to_str().unwrap(), "--full"]);
    assert_eq!(status, 1);
    assert!(told.contains("I9"), "{told}{errors}");
}
