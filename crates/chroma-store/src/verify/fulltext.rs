//! I9: the full-text table has the same texts as the documents, and no text or metadata row belongs
//! to a missing record.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::{Checked, VerifyReport};
use crate::StoreResult;
use crate::problem::Remedy;

/// The number of tables: the virtual one, and those in which SQLite keeps it.
const TABLES: u64 = 6;

/// Whether all parts of the table exist, so that it can be checked.
pub(super) fn is_whole(checked: &Checked<'_>) -> StoreResult<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema
               WHERE type = 'table' AND name GLOB 'embedding_fulltext_search*'";
    Ok(checked.count(sql, &[])? >= TABLES)
}

pub(super) fn check(checked: &Checked<'_>, report: &mut VerifyReport) -> StoreResult<()> {
    let hidden = hidden_pages(checked.db.connection)
        .map_err(checked.db.failed("read the full-text index"))?;
    if hidden > 0 {
        let detail = format!("a search would not find {hidden} pages of the full-text index");
        report.mendable(Remedy::FullText, "I9", None, detail);
    }
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
    // Orphans attach themselves to the next record that gets their row. chromadb leaves some.
    let mut tables = vec![
        ("embedding_fulltext_search_content", "full texts"),
        ("embedding_metadata", "metadata rows"),
    ];
    if checked.db.level.has_arrays() {
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

/// The leaves of each segment of the full-text index: page number, and whether a term begins on it.
const LEAVES: &str = "SELECT id >> 37, id & 0x7fffffff, substr(block, 3, 2), length(block)
    FROM embedding_fulltext_search_data
    WHERE id >= 1 << 37 AND (id >> 31) & 63 = 0";
const FOUND: &str = "SELECT segid, pgno >> 1 FROM embedding_fulltext_search_idx";

/// Counts the leaves of the full-text index that FTS5 would not find. FTS5 finds a term through the
/// last row of the table `_idx` whose term is not greater. Its own integrity check only asks
/// whether existing rows are right. The first leaf of a segment needs no row.
fn hidden_pages(connection: &Connection) -> rusqlite::Result<usize> {
    let found: HashSet<(i64, i64)> = connection
        .prepare(FOUND)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut first: HashMap<i64, i64> = HashMap::new();
    let mut hidden = Vec::new();
    let mut leaves = connection.prepare(LEAVES)?;
    let mut rows = leaves.query([])?;
    while let Some(row) = rows.next()? {
        let (segment, page): (i64, i64) = (row.get(0)?, row.get(1)?);
        let first = first.entry(segment).or_insert(page);
        *first = page.min(*first);
        // The offsets of the terms follow the terms.
        let terms: Vec<u8> = row.get(2)?;
        let has_terms = match terms.first_chunk::<2>() {
            Some(end) => i64::from(u16::from_be_bytes(*end)) < row.get(3)?,
            None => false,
        };
        if has_terms && !found.contains(&(segment, page)) {
            hidden.push((segment, page));
        }
    }
    hidden.retain(|(segment, page)| first.get(segment) != Some(page));
    Ok(hidden.len())
}
