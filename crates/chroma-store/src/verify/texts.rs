//! Texts are UTF-8. SQLite stores any bytes as text and compares them as bytes, so its own checks
//! say nothing of it.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::{Checked, VerifyReport};
use crate::{SchemaLevel, StoreError, StoreResult};

/// Tables, and their columns of text that readers get.
const COLUMNS: [(&str, &str); 3] = [
    ("embeddings", "embedding_id"),
    ("embedding_metadata", "key, string_value"),
    ("embedding_metadata_array", "key, string_value"),
];

pub(super) fn check(checked: &Checked<'_>, report: &mut VerifyReport) -> StoreResult<()> {
    for (table, columns) in COLUMNS {
        if table == "embedding_metadata_array" && !checked.schema.has_arrays() {
            continue;
        }
        let (count, first) = not_utf8(checked.connection, table, columns)
            .map_err(StoreError::sqlite(checked.path, "read texts"))?;
        let Some(first) = first else { continue };
        let detail = format!(
            "{count} rows of {table} hold text that is not UTF-8, the first is row {first}"
        );
        match checked.schema {
            SchemaLevel::L06 => {
                report.error("I12", None, format!("{detail}: chromadb 0.x fails on it"));
            }
            SchemaLevel::L10 | SchemaLevel::L13 | SchemaLevel::L15 => {
                report.warn("I12", None, format!("{detail}: chromadb passes it over"));
            }
        }
    }
    Ok(())
}

/// How many rows hold text that is not UTF-8, and the number of the first one.
fn not_utf8(
    connection: &Connection,
    table: &str,
    columns: &str,
) -> rusqlite::Result<(u64, Option<i64>)> {
    let sql = format!("SELECT rowid, {columns} FROM {table} NOT INDEXED");
    let mut statement = connection.prepare(&sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let (mut count, mut first) = (0, None);
    while let Some(row) = rows.next()? {
        let mut is_wrong = false;
        for column in 1..columns {
            if let ValueRef::Text(text) = row.get_ref(column)? {
                is_wrong |= std::str::from_utf8(text).is_err();
            }
        }
        if is_wrong {
            count += 1;
            first.get_or_insert(row.get::<_, i64>(0)?);
        }
    }
    Ok((count, first))
}
