//! What a merge does to records, field by field.

use std::path::Path;

use chroma_store::{
    AppliedAs, CloseOptions, Effects, MergeOptions, MetadataMode, OpenOptions, Operation,
    OperationKind, Patch, SchemaLevel, Store, VerifyLevel,
};
use rusqlite::types::Value;

use crate::content::{self, Content};
use crate::directory::{Recipe, WORDS, record, sql};

/// Merges into `base` in place and gives what each delta did.
fn merge(base: &Path, deltas: &[&Path], metadata: MetadataMode) -> Vec<(AppliedAs, Effects)> {
    let mut store = Store::open(base, OpenOptions::default()).unwrap();
    let report = store
        .merge(
            WORDS,
            deltas,
            MergeOptions {
                metadata,
                ..MergeOptions::default()
            },
        )
        .unwrap();
    let closed = store.close(&CloseOptions::default()).unwrap();
    closed.verify(VerifyLevel::Full).unwrap();
    report
        .outcomes
        .into_iter()
        .map(|outcome| outcome.result.unwrap())
        .collect()
}

fn operation(kind: OperationKind, id: &str, vector: Option<&[f32]>, patch: Patch) -> Operation {
    let vector = vector.map(|vector| vector.iter().flat_map(|x| x.to_le_bytes()).collect());
    Operation {
        kind,
        id: id.to_owned(),
        vector,
        patch,
    }
}

fn number(content: &Content, id: &str, key: &str) -> Vec<Value> {
    content[id].metadata.get(key).cloned().unwrap_or_default()
}

#[test]
fn operation_log_is_replayed_verbatim_at_every_level() {
    for level in SchemaLevel::ALL {
        let root = tempfile::tempdir().unwrap();
        let base = Recipe {
            level,
            ..Recipe::default()
        }
        .make(root.path(), "base");
        // The base's operations exist in the delta's own history as no-ops: updates and deletes of
        // ids that are only in the base are logged all the same.
        let delta = Recipe {
            level,
            operations: vec![record("id1", 4, 21), record("new", 4, 22)],
            ..Recipe::default()
        }
        .make(root.path(), "delta");
        log(
            &delta,
            1,
            "id2",
            None,
            "{\"number\":77,\"half\":null,\"more\":\"yes\"}",
        );
        log(&delta, 3, "id3", None, "{}");
        log(
            &delta,
            0,
            "id4",
            Some("00000000000000000000000000000000"),
            "{\"number\":99}",
        );
        log(&delta, 3, "nobody", None, "{}");
        // The delta's own collection ignored this add, since it had the id already.
        log(
            &delta,
            0,
            "new",
            Some("00000000000000000000000000000000"),
            "{\"number\":98}",
        );
        let before = content::read(&base);
        let outcomes = merge(&base, &[&delta], MetadataMode::Merge);
        let expected = Effects {
            added: 1,
            updated: 3,
            deleted: 1,
            ignored: 2,
            merged: 4,
        };
        assert_eq!(outcomes, [(AppliedAs::OperationLog, expected)], "{level}");

        let after = content::read(&base);
        assert_eq!(
            after.keys().collect::<Vec<_>>(),
            ["id0", "id1", "id2", "id4", "new"]
        );
        assert_eq!(after["id0"], before["id0"]);
        assert_eq!(
            number(&after, "id4", "number"),
            [Value::Integer(99)],
            "an add of an id that the delta did not have is an upsert"
        );
        assert_eq!(
            number(&after, "id4", "even"),
            number(&before, "id4", "even")
        );
        assert_eq!(number(&after, "new", "number"), [Value::Integer(22)]);
        assert_eq!(number(&after, "id1", "number"), [Value::Integer(21)]);
        assert_eq!(
            after["id1"].full_text.as_deref(),
            Some("document 21 of id1")
        );
        assert_ne!(after["id1"].vector, before["id1"].vector);
        assert_eq!(number(&after, "id2", "number"), [Value::Integer(77)]);
        assert_eq!(number(&after, "id2", "half"), [], "null deletes a key");
        assert_eq!(
            number(&after, "id2", "more"),
            [Value::Text("yes".to_owned())]
        );
        assert_eq!(
            number(&after, "id2", "even"),
            number(&before, "id2", "even")
        );
        assert_eq!(after["id2"].vector, before["id2"].vector);
        assert_eq!(after["id2"].full_text, before["id2"].full_text);
    }
}

/// Appends a row to the delta's log, as chromadb does for ids that it does not have.
fn log(delta: &Path, code: u8, id: &str, vector: Option<&str>, metadata: &str) {
    let vector = vector.map_or("NULL, NULL".to_owned(), |hex| {
        format!("x'{hex}', 'FLOAT32'")
    });
    let progress = "(SELECT max(seq_id) FROM embeddings_queue)";
    sql(
        delta,
        &format!(
            "INSERT INTO embeddings_queue (operation, topic, id, vector, encoding, metadata)
             SELECT {code}, topic, '{id}', {vector}, '{metadata}' FROM embeddings_queue LIMIT 1;
             UPDATE max_seq_id SET seq_id = CASE typeof(seq_id) WHEN 'integer' THEN {progress}
             ELSE CAST(x'00000000000000' || CAST(char({progress}) AS BLOB) AS BLOB) END"
        ),
    );
}

#[test]
fn later_delta_wins_and_metadata_keys_are_merged() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let upsert = |value: i64, key: &str| {
        let patch = vec![
            ("number".to_owned(), Some(value.into())),
            (key.to_owned(), Some(true.into())),
        ];
        Recipe::of(vec![operation(
            OperationKind::Upsert,
            "id0",
            Some(&[value as f32; 4]),
            patch,
        )])
    };
    let first = upsert(1, "first").make(root.path(), "first");
    let second = upsert(2, "second").make(root.path(), "second");
    merge(&base, &[&first, &second], MetadataMode::Merge);
    let after = content::read(&base);
    assert_eq!(number(&after, "id0", "number"), [Value::Integer(2)]);
    for key in ["first", "second", "half", "chroma:document"] {
        assert_eq!(number(&after, "id0", key).len(), 1, "{key}");
    }
    let expected: Vec<u8> = [2.0_f32; 4].iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!(after["id0"].vector.as_ref(), Some(&expected));
}

#[test]
fn replacing_upsert_drops_unnamed_keys_and_logs_them_as_null() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let delta = Recipe::of(vec![operation(
        OperationKind::Upsert,
        "id0",
        Some(&[1.0; 4]),
        vec![("only".to_owned(), Some(1_i64.into()))],
    )])
    .make(root.path(), "delta");
    log(&delta, 1, "id1", None, "{\"only\":2}");
    merge(&base, &[&delta], MetadataMode::Replace);
    let after = content::read(&base);
    let keys: Vec<_> = after["id0"].metadata.keys().collect();
    assert_eq!(keys, ["chroma:document", "only"], "the document stays");
    assert_eq!(
        after["id1"].metadata.len(),
        5,
        "an update is partial and merges"
    );
    let connection = rusqlite::Connection::open(base.join("chroma.sqlite3")).unwrap();
    let payload: String = connection
        .query_row(
            "SELECT metadata FROM embeddings_queue WHERE seq_id = 6",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let payload: serde_json::Value = serde_json::from_str(&payload).unwrap();
    assert_eq!(
        payload,
        serde_json::json!({"only": 1, "number": null, "half": null, "even": null})
    );
}

#[test]
fn failed_delta_leaves_no_trace_beside_merged_deltas() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let twin = Recipe::default().make(root.path(), "twin");
    let good = Recipe::of(vec![record("good", 4, 1)]).make(root.path(), "good");
    // It fails at its last record, after the others were applied.
    let mut records: Vec<_> = (0..50).map(|n| record(&format!("bad{n}"), 4, n)).collect();
    records.insert(0, record("id0", 4, 99));
    let bad = Recipe::of(records).make(root.path(), "bad");
    sql(
        &bad,
        "UPDATE embeddings_queue SET metadata = '{\"a\": NaN}' WHERE seq_id = 51",
    );
    let late = Recipe::of(vec![record("late", 4, 2)]).make(root.path(), "late");

    let mut store = Store::open(&base, OpenOptions::default()).unwrap();
    let report = store
        .merge(WORDS, &[&good, &bad, &late], MergeOptions::default())
        .unwrap();
    let codes: Vec<_> = report
        .outcomes
        .iter()
        .map(|o| o.result.as_ref().map_err(|e| e.code()).err())
        .collect();
    assert_eq!(codes, [None, Some("CS-QUEUE-ROW"), None]);
    store
        .close(&CloseOptions::default())
        .unwrap()
        .verify(VerifyLevel::Full)
        .unwrap();
    merge(&twin, &[&good, &late], MetadataMode::Merge);
    assert_eq!(content::read(&base), content::read(&twin));
}

#[test]
fn delta_in_wal_mode_is_merged() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let delta = Recipe::of(vec![record("new", 4, 9)]).make(root.path(), "delta");
    sql(&delta, "PRAGMA journal_mode=WAL");
    merge(&base, &[&delta], MetadataMode::Merge);
    assert!(content::read(&base).contains_key("new"));
    assert_eq!(crate::directory::names_in(&delta), ["chroma.sqlite3"]);
}

#[test]
fn rows_of_deleted_collections_do_not_attach_to_new_records() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    sql(
        &base,
        "INSERT INTO embedding_metadata (id, key, int_value) VALUES (6, 'stale', 1), (9, 'stale', 1);
         INSERT INTO embedding_metadata_array (id, key, int_value) VALUES (7, 'stale', 1);
         INSERT INTO embedding_fulltext_search (rowid, string_value) VALUES (8, 'stale')",
    );
    let delta = Recipe::of((0..6).map(|n| record(&format!("new{n}"), 4, n)).collect())
        .make(root.path(), "delta");
    merge(&base, &[&delta], MetadataMode::Merge);
    sql(
        &base,
        "DELETE FROM embedding_metadata WHERE key = 'stale'; DELETE FROM embedding_metadata_array WHERE key = 'stale'; DELETE FROM embedding_fulltext_search WHERE rowid = 8",
    );
    for (id, record) in content::read(&base) {
        assert!(!record.metadata.contains_key("stale"), "{id}");
        assert!(
            record
                .full_text
                .is_some_and(|text| text.starts_with("document")),
            "{id}"
        );
    }
}

/// A delta may have hundreds of collections; a merge reads only the one that it merges.
#[test]
fn unmerged_collections_of_a_delta_are_not_read() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let delta = Recipe::of(vec![record("new", 4, 9)]).make(root.path(), "delta");
    sql(
        &delta,
        "INSERT INTO collections (id, name, dimension, database_id)
         SELECT 'no uuid', 'another', -3, database_id FROM collections",
    );
    let out = root.path().join("out");
    let [base, delta, out] = [&base, &delta, &out].map(|path| path.to_str().unwrap());
    let arguments = [
        "store",
        "merge",
        "--base",
        base,
        "--delta",
        delta,
        "--out",
        out,
        "--collection",
        WORDS,
    ];
    let (status, told, errors) = crate::directory::compactor(&arguments);
    assert_eq!(status, 0, "{told}{errors}");
    assert!(content::read(Path::new(out)).contains_key("new"));
}
