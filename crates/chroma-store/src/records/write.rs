//! Writes the rows of a metadata segment: records, their metadata, arrays and full text.
//!
//! It does not know what add or upsert mean; `merge::apply` does.

use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::{DOCUMENT_KEY, FullText, MetadataValue, Scalar};
use crate::collection::{encode_seq, write_progress};
use crate::database::Database;
use crate::{Collection, StoreError, StoreResult};

/// The highest rowid: chromadb 1.x decodes `embeddings.id` as u32.
const MAX_RECORD_ROW: i64 = u32::MAX as i64;

/// Writes one collection's metadata segment inside the caller's transaction.
#[derive(Debug)]
pub(crate) struct SegmentWriter<'c> {
    db: Database<'c>,
    segment: Uuid,
    collection: String,
    full_text: FullText<'c>,
    next_row: i64,
}

impl<'c> SegmentWriter<'c> {
    pub(crate) fn new(db: Database<'c>, collection: &Collection) -> StoreResult<Self> {
        // Metadata rows of a deleted collection or an older client must not attach themselves to
        // new records, so these start above all of them.
        let array_max = if db.level.has_arrays() {
            "(SELECT coalesce(max(id), 0) FROM embedding_metadata_array)"
        } else {
            "0"
        };
        let last: i64 = db
            .connection
            .query_row(
                &format!(
                    "SELECT max((SELECT coalesce(max(id), 0) FROM embeddings),
                                (SELECT coalesce(max(id), 0) FROM embedding_metadata),
                                {array_max})"
                ),
                [],
                |row| row.get(0),
            )
            .map_err(db.failed("read the last record row"))?;
        Ok(Self {
            db,
            segment: collection.metadata_segment,
            collection: collection.name.to_string(),
            full_text: FullText::new(db),
            next_row: last + 1,
        })
    }

    /// The rowid that the next new record gets. The caller restores it after a rollback.
    pub(crate) fn next_row(&self) -> i64 {
        self.next_row
    }

    pub(crate) fn set_next_row(&mut self, row: i64) {
        self.next_row = row;
    }

    /// The rowid of a record; `None` if there is no such record.
    pub(crate) fn find(&self, id: &str) -> StoreResult<Option<i64>> {
        self.db
            .connection
            .prepare_cached("SELECT id FROM embeddings WHERE segment_id = ?1 AND embedding_id = ?2")
            .and_then(|mut s| {
                s.query_row(params![self.segment.to_string(), id], |row| row.get(0))
                    .optional()
            })
            .map_err(self.db.failed("look a record up"))
    }

    /// Counts the records of the segment.
    pub(crate) fn count(&self) -> StoreResult<u64> {
        self.db
            .connection
            .prepare_cached("SELECT count(*) FROM embeddings WHERE segment_id = ?1")
            .and_then(|mut s| s.query_row([self.segment.to_string()], |row| row.get(0)))
            .map_err(self.db.failed("count the records"))
    }

    /// Inserts a new record and returns its rowid.
    pub(crate) fn insert(&mut self, id: &str, seq: u64) -> StoreResult<i64> {
        let row = self.next_row;
        if row > MAX_RECORD_ROW {
            let detail = format!("record row {row} is beyond what chromadb can read");
            return Err(self.db.damaged(detail));
        }
        self.db
            .connection
            .prepare_cached(
                "INSERT INTO embeddings (id, segment_id, embedding_id, seq_id)
                 VALUES (?1, ?2, ?3, ?4)",
            )
            .and_then(|mut s| {
                s.execute(params![
                    row,
                    self.segment.to_string(),
                    id,
                    encode_seq(self.db.level, seq)
                ])
            })
            .map_err(self.db.failed("insert a record"))?;
        self.next_row += 1;
        // A text that a deleted record left must not become its own.
        self.full_text.note(row);
        Ok(row)
    }

    /// Writes that operation `seq` was the last to change the record.
    pub(crate) fn touch(&self, row: i64, seq: u64) -> StoreResult<()> {
        self.db
            .connection
            .prepare_cached("UPDATE embeddings SET seq_id = ?2 WHERE id = ?1")
            .and_then(|mut s| s.execute(params![row, encode_seq(self.db.level, seq)]))
            .map(drop)
            .map_err(self.db.failed("update a record"))
    }

    /// Removes a record with its metadata, arrays and full text.
    pub(crate) fn remove(&mut self, row: i64) -> StoreResult<()> {
        let mut tables = vec![
            "DELETE FROM embedding_metadata WHERE id = ?1",
            "DELETE FROM embeddings WHERE id = ?1",
        ];
        if self.db.level.has_arrays() {
            tables.push("DELETE FROM embedding_metadata_array WHERE id = ?1");
        }
        for sql in tables {
            self.execute_on(sql, row, "delete a record")?;
        }
        self.full_text.note(row);
        Ok(())
    }

    /// The keys of a record, reserved ones included.
    pub(crate) fn keys(&self, row: i64) -> StoreResult<Vec<String>> {
        let arrays = if self.db.level.has_arrays() {
            " UNION SELECT key FROM embedding_metadata_array WHERE id = ?1"
        } else {
            ""
        };
        self.db
            .connection
            .prepare_cached(&format!(
                "SELECT key FROM embedding_metadata WHERE id = ?1{arrays}"
            ))
            .and_then(|mut s| s.query_map([row], |row| row.get(0))?.collect())
            .map_err(self.db.failed("read the keys of a record"))
    }

    /// Sets one key of the record `id` at `row`. `fresh` says that the record was just inserted and
    /// has no older value.
    pub(crate) fn set(
        &mut self,
        (id, row, fresh): (&str, i64, bool),
        key: &str,
        value: &MetadataValue,
    ) -> StoreResult<()> {
        if !value.is_finite() {
            let what = format!("metadata key {key}");
            return Err(StoreError::NotFinite {
                collection: self.collection.clone(),
                id: id.to_owned(),
                what,
            });
        }
        match value {
            MetadataValue::Scalar(scalar) => {
                if !fresh && self.db.level.has_arrays() {
                    self.delete_array(row, key)?;
                }
                self.set_scalar(row, key, scalar)?;
                if key == DOCUMENT_KEY {
                    self.full_text.note(row);
                }
                Ok(())
            }
            MetadataValue::Array(array) => {
                if !self.db.level.has_arrays() {
                    return Err(StoreError::ArraysUnsupported {
                        collection: self.collection.clone(),
                        id: id.to_owned(),
                        key: key.to_owned(),
                        level: self.db.level.name(),
                    });
                }
                self.unset(row, key)?;
                array
                    .scalars()
                    .iter()
                    .try_for_each(|item| self.add_array_element(row, key, item))
            }
        }
    }

    /// Removes one key of a record.
    pub(crate) fn unset(&mut self, row: i64, key: &str) -> StoreResult<()> {
        self.db
            .connection
            .prepare_cached("DELETE FROM embedding_metadata WHERE id = ?1 AND key = ?2")
            .and_then(|mut s| s.execute(params![row, key]))
            .map_err(self.db.failed("delete metadata"))?;
        if self.db.level.has_arrays() {
            self.delete_array(row, key)?;
        }
        if key == DOCUMENT_KEY {
            self.full_text.note(row);
        }
        Ok(())
    }

    /// Writes the full text of changed records. Until then the table has the old one.
    pub(crate) fn write_full_text(&mut self) -> StoreResult<()> {
        self.full_text.write()
    }

    /// Writes that the segment contains the log up to `seq`.
    pub(crate) fn set_progress(&self, seq: u64) -> StoreResult<()> {
        write_progress(self.db, self.segment, seq).map_err(self.db.failed("write max_seq_id"))
    }

    fn set_scalar(&self, row: i64, key: &str, value: &Scalar) -> StoreResult<()> {
        let sql = "INSERT OR REPLACE INTO embedding_metadata
                   (id, key, string_value, int_value, float_value, bool_value)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.write_typed(sql, row, key, value, "write metadata")
    }

    fn add_array_element(&self, row: i64, key: &str, value: &Scalar) -> StoreResult<()> {
        let sql = "INSERT INTO embedding_metadata_array
                   (id, key, string_value, int_value, float_value, bool_value)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.write_typed(sql, row, key, value, "write array metadata")
    }

    /// Writes a row in which exactly one of the typed columns is set.
    fn write_typed(
        &self,
        sql: &str,
        row: i64,
        key: &str,
        value: &Scalar,
        operation: &'static str,
    ) -> StoreResult<()> {
        let mut statement = self
            .db
            .connection
            .prepare_cached(sql)
            .map_err(self.db.failed(operation))?;
        let none = None::<i64>;
        match value {
            Scalar::String(text) => statement.execute(params![row, key, text, none, none, none]),
            Scalar::Int(int) => statement.execute(params![row, key, none, int, none, none]),
            Scalar::Float(float) => statement.execute(params![row, key, none, none, float, none]),
            Scalar::Bool(flag) => statement.execute(params![row, key, none, none, none, flag]),
        }
        .map(drop)
        .map_err(self.db.failed(operation))
    }

    fn delete_array(&self, row: i64, key: &str) -> StoreResult<()> {
        self.db
            .connection
            .prepare_cached("DELETE FROM embedding_metadata_array WHERE id = ?1 AND key = ?2")
            .and_then(|mut s| s.execute(params![row, key]))
            .map(drop)
            .map_err(self.db.failed("delete array metadata"))
    }

    fn execute_on(&self, sql: &str, row: i64, operation: &'static str) -> StoreResult<()> {
        self.db
            .connection
            .prepare_cached(sql)
            .and_then(|mut s| s.execute([row]))
            .map(drop)
            .map_err(self.db.failed(operation))
    }
}
