//! I9: the full-text table says what the documents say, and nothing hangs on a record that is
//! not there.

use super::{Checked, Remedy, VerifyReport};
use crate::StoreResult;

/// The table, and those in which SQLite keeps it.
const TABLES: u64 = 6;

/// Whether nothing of the table is missing, so that it can be looked at.
pub(super) fn is_whole(checked: &Checked<'_>) -> StoreResult<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema
               WHERE type = 'table' AND name GLOB 'embedding_fulltext_search*'";
    Ok(checked.count(sql, &[])? >= TABLES)
}

pub(super) fn check(checked: &Checked<'_>, report: &mut VerifyReport) -> StoreResult<()> {
    let differing = checked.count(
        "SELECT count(*) FROM embedding_metadata m
         JOIN embeddings e ON e.id = m.id
         LEFT JOIN embedding_fulltext_search_content f ON f.id = m.id
         WHERE m.key = 'chroma:document' AND m.string_value IS NOT NULL
           AND f.c0 IS NOT m.string_value",
        &[],
    )?;
    if differing > 0 {
        let detail = format!("{differing} documents differ from their full text");
        report.mendable(Remedy::FullText, "I9", None, detail);
    }
    let without_document = checked.count(
        "SELECT count(*) FROM embedding_fulltext_search_content f
         JOIN embeddings e ON e.id = f.id
         WHERE f.c0 IS NOT NULL  -- chromadb 0.x writes a row of NULL for a missing document
           AND NOT EXISTS (SELECT 1 FROM embedding_metadata m
                           WHERE m.id = f.id AND m.key = 'chroma:document')",
        &[],
    )?;
    if without_document > 0 {
        let detail = format!("{without_document} full texts have no document");
        report.mendable(Remedy::FullText, "I9", None, detail);
    }
    // Orphans attach themselves to the next record that gets their row; chromadb leaves some.
    let mut tables = vec![
        ("embedding_fulltext_search_content", "full texts"),
        ("embedding_metadata", "metadata rows"),
    ];
    if checked.schema.has_arrays() {
        tables.push(("embedding_metadata_array", "array metadata rows"));
    }
    for (table, what) in tables {
        let sql = format!(
            "SELECT count(*) FROM {table} t
             WHERE NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.id = t.id)"
        );
        let orphans = checked.count(&sql, &[])?;
        if orphans > 0 {
            report.warn("I9", None, format!("{orphans} {what} belong to no record"));
        }
    }
    Ok(())
}
