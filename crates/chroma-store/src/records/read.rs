//! Reads the metadata of records.

use rusqlite::Row;

use super::{Array, MetadataValue, Scalar};
use crate::StoreResult;
use crate::database::Database;

/// Reads metadata rows of a database, reusing its statements.
#[derive(Debug)]
pub(crate) struct RecordReader<'c> {
    db: Database<'c>,
}

/// Metadata from single rows.
#[derive(Debug, Default)]
pub(crate) struct RowsRead {
    pub(crate) values: Vec<(String, MetadataValue)>,
    pub(crate) unread: Vec<Unread>,
}

/// A row that cannot be read.
#[derive(Debug)]
pub(crate) struct Unread {
    /// Its key, if the key can be read.
    pub(crate) key: Option<String>,
    /// Names the row, and the reason.
    pub(crate) reason: String,
}

impl<'c> RecordReader<'c> {
    pub(crate) fn new(db: Database<'c>) -> Self {
        Self { db }
    }

    /// All keys and values of the record with rowid `record` in `embeddings`, reserved keys
    /// included.
    pub(crate) fn read(&self, record: i64) -> StoreResult<Vec<(String, MetadataValue)>> {
        let mut entries = self
            .scalars(record)
            .map_err(self.db.failed("read embedding_metadata"))?;
        if self.db.level.has_arrays() {
            let arrays = self
                .array_elements(record)
                .map_err(self.db.failed("read embedding_metadata_array"))?;
            for (key, items) in arrays {
                let array = Array::from_scalars(items).ok_or_else(|| {
                    self.db.damaged(format!(
                        "array metadata `{key}` of row {record} mixes types"
                    ))
                })?;
                entries.push((key, MetadataValue::Array(array)));
            }
        }
        Ok(entries)
    }

    /// Reads the given rows of `embedding_metadata` and `embedding_metadata_array` by number, for a
    /// database whose indexes may be wrong. Returns the values, arrays in the order of their rows,
    /// and the reasons for rows that cannot be read.
    pub(crate) fn read_rows(&self, rows: &[(&'static str, i64)]) -> RowsRead {
        let mut read = RowsRead::default();
        let mut arrays: Vec<(String, Vec<Scalar>)> = Vec::new();
        for (table, number) in rows {
            match self.row(table, *number) {
                // All columns are NULL: a NaN of chromadb 0.x, which its readers drop.
                Ok((_, None)) => {}
                Ok((key, Some(value))) if *table == "embedding_metadata" => {
                    read.values.push((key, value.into()));
                }
                Ok((key, Some(value))) => {
                    match arrays.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, items)) => items.push(value),
                        None => arrays.push((key, vec![value])),
                    }
                }
                Err(error) => read.unread.push(Unread {
                    key: self.key(table, *number).ok(),
                    reason: format!("row {number} of {table}: {error}"),
                }),
            }
        }
        for (key, items) in arrays {
            match Array::from_scalars(items) {
                Some(array) => read.values.push((key, MetadataValue::Array(array))),
                None => read.unread.push(Unread {
                    reason: format!("the array `{key}` mixes types"),
                    key: Some(key),
                }),
            }
        }
        read
    }

    fn key(&self, table: &str, number: i64) -> rusqlite::Result<String> {
        let sql = format!("SELECT key FROM {table} NOT INDEXED WHERE rowid = ?1");
        let mut statement = self.db.connection.prepare_cached(&sql)?;
        statement.query_row([number], |row| row.get(0))
    }

    fn row(&self, table: &str, number: i64) -> rusqlite::Result<(String, Option<Scalar>)> {
        let sql = format!(
            "SELECT key, string_value, int_value, float_value, bool_value
             FROM {table} NOT INDEXED WHERE rowid = ?1"
        );
        let mut statement = self.db.connection.prepare_cached(&sql)?;
        statement.query_row([number], |row| Ok((row.get(0)?, typed(row)?)))
    }

    fn scalars(&self, record: i64) -> rusqlite::Result<Vec<(String, MetadataValue)>> {
        let mut statement = self.db.connection.prepare_cached(
            "SELECT key, string_value, int_value, float_value, bool_value
             FROM embedding_metadata WHERE id = ?1",
        )?;
        let rows = statement.query_map([record], |row| Ok((row.get(0)?, typed(row)?)))?;
        let mut entries = Vec::new();
        for row in rows {
            let (key, value): (String, Option<Scalar>) = row?;
            // All columns are NULL: a NaN of chromadb 0.x. Its readers drop the key, and so does
            // this.
            if let Some(value) = value {
                entries.push((key, value.into()));
            }
        }
        Ok(entries)
    }

    fn array_elements(&self, record: i64) -> rusqlite::Result<Vec<(String, Vec<Scalar>)>> {
        let mut statement = self.db.connection.prepare_cached(
            "SELECT key, string_value, int_value, float_value, bool_value
             FROM embedding_metadata_array WHERE id = ?1 ORDER BY key, rowid",
        )?;
        let mut rows = statement.query([record])?;
        let mut arrays: Vec<(String, Vec<Scalar>)> = Vec::new();
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            let Some(value) = typed(row)? else { continue };
            match arrays.last_mut() {
                Some((last, items)) if *last == key => items.push(value),
                _ => arrays.push((key, vec![value])),
            }
        }
        Ok(arrays)
    }
}

/// The value in columns 1 to 4, in chromadb's order of precedence: string, int, float, bool.
fn typed(row: &Row<'_>) -> rusqlite::Result<Option<Scalar>> {
    if let Some(text) = row.get(1)? {
        return Ok(Some(Scalar::String(text)));
    }
    if let Some(int) = row.get(2)? {
        return Ok(Some(Scalar::Int(int)));
    }
    if let Some(float) = row.get(3)? {
        return Ok(Some(Scalar::Float(float)));
    }
    let flag: Option<i64> = row.get(4)?;
    Ok(flag.map(|flag| Scalar::Bool(flag != 0)))
}
