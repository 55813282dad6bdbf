//! Damage that a merge mends in its result; the base stays as it was.

use crate::content;
use crate::directory::{Recipe, bytes_of, compactor, merge, record, sql};
use crate::malicious_databases::{Case, text};

const FULL_TEXT: &[Case] = &[
    ("an index that lost a page", "I9", |dir| {
        sql(
            dir,
            "DELETE FROM embedding_fulltext_search_data
             WHERE id = (SELECT max(id) FROM embedding_fulltext_search_data)",
        );
    }),
    ("an index of other documents", "I9", |dir| {
        sql(
            dir,
            "UPDATE embedding_fulltext_search_content SET c0 = 'document 1 of idX' WHERE id = 2;
             UPDATE embedding_metadata SET string_value = 'document 1 of idX'
             WHERE id = 2 AND key = 'chroma:document'",
        );
    }),
    ("a structure of zeros", "I9", |dir| {
        sql(
            dir,
            "UPDATE embedding_fulltext_search_data SET block = zeroblob(20) WHERE id = 10",
        );
    }),
    ("no content", "I9", |dir| {
        sql(dir, "DROP TABLE embedding_fulltext_search_content");
    }),
    ("no settings", "I9", |dir| {
        sql(dir, "DROP TABLE embedding_fulltext_search_config");
    }),
    ("no table at all", "I9", |dir| {
        sql(dir, "DROP TABLE embedding_fulltext_search");
    }),
    ("a text that differs", "I9", |dir| {
        sql(
            dir,
            "UPDATE embedding_fulltext_search SET string_value = 'x' WHERE rowid = 2",
        );
    }),
    ("a text too few", "I9", |dir| {
        sql(dir, "DELETE FROM embedding_fulltext_search WHERE rowid = 2");
    }),
];

#[test]
fn merge_rebuilds_damaged_full_text_from_the_documents() {
    for (what, invariant, spoil) in FULL_TEXT {
        let root = tempfile::tempdir().unwrap();
        let base = Recipe::default().make(root.path(), "base");
        let delta =
            Recipe::of(vec![record("id1", 4, 9), record("new", 4, 10)]).make(root.path(), "delta");
        spoil(&base);
        let before = bytes_of(&base);
        let (status, told, errors) = compactor(&["store", "verify", "--full", text(&base)]);
        assert_eq!(status, 1, "{what}: {told}{errors}");
        assert!(told.contains(invariant), "{what}: {told}{errors}");
        let out = root.path().join("out");
        let (status, told, errors) = merge(&base, &delta, &out, &[]);
        assert_eq!(status, 0, "{what}: {told}{errors}");
        assert!(bytes_of(&base) == before, "{what}");
        let content = content::read(&out);
        assert_eq!(content.len(), 6, "{what}");
        for (id, record) in content {
            let document = &record.metadata["chroma:document"];
            let document = document.iter().map(|value| format!("{value:?}"));
            let full_text = record.full_text.unwrap_or_default();
            assert_eq!(
                document.collect::<Vec<_>>(),
                [format!("Text({full_text:?})")],
                "{what}: {id}"
            );
        }
    }
}

#[test]
fn delta_with_damaged_full_text_is_merged() {
    for (what, _, spoil) in FULL_TEXT {
        let root = tempfile::tempdir().unwrap();
        let base = Recipe::default().make(root.path(), "base");
        let delta = Recipe::of(vec![record("new", 4, 10)]).make(root.path(), "delta");
        sql(
            &delta,
            "INSERT INTO embedding_fulltext_search (rowid, string_value) VALUES (2, 'more')",
        );
        spoil(&delta);
        let (status, told, errors) = merge(&base, &delta, &root.path().join("out"), &[]);
        assert_eq!(status, 0, "{what}: {told}{errors}");
    }
}

#[test]
fn closed_base_in_wal_mode_is_merged_into_delete_mode() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe::default().make(root.path(), "base");
    let delta = Recipe::of(vec![record("new", 4, 10)]).make(root.path(), "delta");
    sql(&base, "PRAGMA journal_mode=WAL");
    let out = root.path().join("out");
    let (status, told, errors) = merge(&base, &delta, &out, &[]);
    assert_eq!(status, 0, "{told}{errors}");
    let header = std::fs::read(out.join("chroma.sqlite3")).unwrap();
    assert_eq!(header[18..20], [1, 1], "the mode is DELETE");
    assert_eq!(content::read(&out).len(), 6);
}
