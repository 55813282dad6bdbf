//! Checks that texts are UTF-8. SQLite stores any bytes as text and compares them as bytes, so its
//! own checks do not notice.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::{Checked, VerifyReport};
use crate::schema::tables;
use crate::{SchemaLevel, StoreResult};

/// Tables of records, with their text columns. chromadb 1.x skips texts of these that it cannot
/// read.
const OF_RECORDS: [(&str, &str); 3] = [
    ("embeddings", "embedding_id"),
    ("embedding_metadata", "key, string_value"),
    ("embedding_metadata_array", "key, string_value"),
];
/// Tables that other checks read: the log row by row, and the full text against the documents.
const NOT_HERE: [&str; 2] = ["embeddings_queue", "embedding_fulltext_search"];

pub(super) fn check(checked: &Checked<'_>, report: &mut VerifyReport) -> StoreResult<()> {
    let expected =
        tables(checked.db.level).map_err(checked.db.failed("list the tables of its schema"))?;
    for table in expected {
        let of_records = OF_RECORDS.iter().find(|(known, _)| *known == table);
        let is_elsewhere = NOT_HERE
            .iter()
            .any(|other| table == *other || table.starts_with("embedding_fulltext_search"));
        let is_there = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        if is_elsewhere || checked.count(is_there, &[&table])? == 0 {
            continue;
        }
        let columns = of_records.map_or("*", |(_, columns)| columns);
        let (count, first) = not_utf8(checked.db.connection, &table, columns)
            .map_err(checked.db.failed("read texts"))?;
        let Some(first) = first else { continue };
        let detail = format!(
            "{count} rows of {table} hold text that is not UTF-8, the first is row {first}"
        );
        match checked.db.level {
            SchemaLevel::L10 | SchemaLevel::L13 | SchemaLevel::L15 if of_records.is_some() => {
                report.warn("I12", None, format!("{detail}: chromadb passes it over"));
            }
            SchemaLevel::L06 | SchemaLevel::L10 | SchemaLevel::L13 | SchemaLevel::L15 => {
                report.error("I12", None, format!("{detail}: chromadb fails on it"));
            }
        }
    }
    Ok(())
}

/// Counts the rows with text that is not UTF-8, and returns the place of the first one.
fn not_utf8(
    connection: &Connection,
    table: &str,
    columns: &str,
) -> rusqlite::Result<(u64, Option<u64>)> {
    let mut statement =
        connection.prepare(&format!("SELECT {columns} FROM {table} NOT INDEXED"))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let (mut place, mut count, mut first) = (0, 0, None);
    while let Some(row) = rows.next()? {
        place += 1;
        let mut is_wrong = false;
        for column in 0..columns {
            if let ValueRef::Text(text) = row.get_ref(column)? {
                is_wrong |= std::str::from_utf8(text).is_err();
            }
        }
        if is_wrong {
            count += 1;
            first.get_or_insert(place);
        }
    }
    Ok((count, first))
}
