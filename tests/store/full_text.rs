//! The full-text table and its index, as a merge leaves them.

use std::path::Path;

use chroma_store::{CloseOptions, MergeOptions, OpenOptions, SchemaLevel, Store, VerifyLevel};
use rusqlite::Connection;

use crate::directory::{Recipe, WORDS, record, sql};

fn merge(base: &Path, delta: &Path) {
    let mut store = Store::open(base, OpenOptions::default()).unwrap();
    let report = store.merge(WORDS, &[delta], MergeOptions::default());
    report.unwrap().outcomes.remove(0).result.unwrap();
    let closed = store.close(&CloseOptions::default()).unwrap();
    closed.verify(VerifyLevel::Full).unwrap();
}

fn ask<T: rusqlite::types::FromSql>(dir: &Path, question: &str) -> T {
    let connection = Connection::open(dir.join("chroma.sqlite3")).unwrap();
    connection
        .query_row(question, [], |row| row.get(0))
        .unwrap()
}

fn segments(dir: &Path) -> u32 {
    ask(
        dir,
        "SELECT count(DISTINCT segid) FROM embedding_fulltext_search_idx",
    )
}

/// The SQLite of chromadb 0.x loses deletions in segments that a later SQLite merged.
#[test]
fn l06_merge_adds_a_full_text_segment_or_joins_all_into_one() {
    let root = tempfile::tempdir().unwrap();
    let base = Recipe {
        level: SchemaLevel::L06,
        ..Recipe::default()
    }
    .make(root.path(), "base");
    let mut made_one = false;
    for number in 0..70 {
        let before = segments(&base);
        let operations = vec![
            record("id1", 4, number),
            record("id3", 4, -number),
            record("id0", 4, number),
            record("id1", 4, number + 1),
        ];
        let recipe = Recipe {
            level: SchemaLevel::L06,
            ..Recipe::of(operations)
        };
        let delta = recipe.make(root.path(), &format!("delta{number}"));
        merge(&base, &delta);
        let after = segments(&base);
        assert!(after == before + 1 || after == 1, "{before} became {after}");
        made_one |= after == 1;
    }
    assert!(made_one, "the segments are never joined");
}

#[test]
fn merge_keeps_the_settings_of_the_full_text_table() {
    for level in SchemaLevel::ALL {
        let root = tempfile::tempdir().unwrap();
        let recipe = Recipe {
            level,
            ..Recipe::default()
        };
        let base = recipe.make(root.path(), "base");
        sql(
            &base,
            "INSERT INTO embedding_fulltext_search (embedding_fulltext_search, rank)
             VALUES ('automerge', 8)",
        );
        let settings = "SELECT group_concat(k || v) FROM embedding_fulltext_search_config";
        let before: String = ask(&base, settings);
        let recipe = Recipe {
            level,
            ..Recipe::of(vec![record("id1", 4, 7)])
        };
        merge(&base, &recipe.make(root.path(), "delta"));
        assert_eq!(ask::<String>(&base, settings), before, "{level}");
    }
}
