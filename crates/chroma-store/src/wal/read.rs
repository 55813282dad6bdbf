//! Reads rows of the log.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Params, Row, params};

use super::{Operation, OperationKind, Patch, payload};
use crate::database::Database;
use crate::{Collection, StoreError, StoreResult};

/// A row of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WalRow {
    pub(crate) seq: i64,
    pub(crate) operation: Operation,
}

/// A row whose metadata cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) reason: String,
}

/// Reads the rows of one collection.
#[derive(Debug)]
pub(crate) struct WalReader<'c> {
    db: Database<'c>,
    topic: String,
    collection: String,
    vector_bytes: Option<usize>,
}

impl<'c> WalReader<'c> {
    pub(crate) fn new(db: Database<'c>, collection: &Collection) -> Self {
        Self {
            db,
            topic: collection.topic(),
            collection: collection.name.to_string(),
            vector_bytes: collection.vector_bytes(),
        }
    }

    /// Passes every row with `after < seq_id <= upto` to `visit`, in order, one at a time.
    pub(crate) fn for_each(
        &self,
        after: u64,
        upto: u64,
        mut visit: impl FnMut(WalRow) -> StoreResult<()>,
    ) -> StoreResult<()> {
        self.scan(
            "SELECT seq_id, operation, id, vector, encoding, metadata FROM embeddings_queue
             WHERE topic = ?1 AND seq_id > ?2 AND seq_id <= ?3 ORDER BY seq_id",
            params![self.topic, clamp(after), clamp(upto)],
            |row| visit(self.decode(row)?),
        )
    }

    /// The rows up to `upto` of which only the metadata cannot be read, with the reasons.
    pub(crate) fn without_payload(&self, upto: u64) -> StoreResult<Vec<Unreadable>> {
        let mut unreadable = Vec::new();
        self.scan(
            "SELECT seq_id, operation, id, vector, encoding, metadata FROM embeddings_queue
             WHERE topic = ?1 AND seq_id <= ?2 ORDER BY seq_id",
            params![self.topic, clamp(upto)],
            |row| {
                let (seq, _, id, _) = self.decode_vector(row)?;
                if let Err(error) = self.decode_payload(row, seq, &id) {
                    let reason = error.to_string();
                    unreadable.push(Unreadable { seq, id, reason });
                }
                Ok(())
            },
        )?;
        Ok(unreadable)
    }

    /// The keys that rows of `id` set or delete, as far as these rows can be read.
    pub(crate) fn keys_of(&self, id: &str) -> StoreResult<BTreeSet<String>> {
        let failed = self.db.failed("read embeddings_queue");
        let mut statement = self
            .db
            .connection
            .prepare_cached("SELECT metadata FROM embeddings_queue WHERE topic = ?1 AND id = ?2")
            .map_err(failed)?;
        let payloads = statement
            .query_map([&self.topic, id], |row| row.get::<_, Option<String>>(0))
            .map_err(failed)?;
        let patches = payloads.filter_map(|text| payload::decode(text.ok()?.as_deref()).ok());
        Ok(patches.flatten().map(|(key, _)| key).collect())
    }

    /// Passes the changes of vectors in rows with `after < seq_id <= upto` to `visit`, in order.
    /// Does not read payloads.
    pub(crate) fn for_each_vector(
        &self,
        after: u64,
        upto: u64,
        mut visit: impl FnMut(i64, OperationKind, String, Option<Vec<u8>>) -> StoreResult<()>,
    ) -> StoreResult<()> {
        self.scan(
            "SELECT seq_id, operation, id, vector, encoding FROM embeddings_queue
             WHERE topic = ?1 AND seq_id > ?2 AND seq_id <= ?3 ORDER BY seq_id",
            params![self.topic, clamp(after), clamp(upto)],
            |row| {
                let (seq, kind, id, vector) = self.decode_vector(row)?;
                visit(seq, kind, id, vector)
            },
        )
    }

    /// Counts the rows above `after`.
    pub(crate) fn count_after(&self, after: u64) -> StoreResult<u64> {
        self.db
            .connection
            .prepare_cached(
                "SELECT count(*) FROM embeddings_queue WHERE topic = ?1 AND seq_id > ?2",
            )
            .and_then(|mut s| s.query_row(params![self.topic, clamp(after)], |row| row.get(0)))
            .map_err(self.db.failed("count embeddings_queue"))
    }

    /// The number of the last row; `None` for an empty log. Reads from the end: `max` would read
    /// all rows.
    pub(crate) fn last(&self) -> StoreResult<Option<u64>> {
        self.db
            .connection
            .prepare_cached(
                "SELECT seq_id FROM embeddings_queue WHERE topic = ?1
                 ORDER BY seq_id DESC LIMIT 1",
            )
            .and_then(|mut s| {
                s.query_row([&self.topic], |row| row.get::<_, i64>(0))
                    .optional()
            })
            .map(|seq| seq.and_then(|seq| u64::try_from(seq).ok()))
            .map_err(self.db.failed("read the last log row"))
    }

    /// The row `seq`; `None` if there is no such row.
    pub(crate) fn row(&self, seq: i64) -> StoreResult<Option<WalRow>> {
        let failed = self.db.failed("read embeddings_queue");
        let mut statement = self
            .db
            .connection
            .prepare_cached(
                "SELECT seq_id, operation, id, vector, encoding, metadata FROM embeddings_queue
                 WHERE seq_id = ?1",
            )
            .map_err(failed)?;
        let mut rows = statement.query([seq]).map_err(failed)?;
        match rows.next().map_err(failed)? {
            Some(row) => self.decode(row).map(Some),
            None => Ok(None),
        }
    }

    /// The row `seq` without its metadata, which may be unreadable.
    pub(crate) fn row_without_payload(&self, seq: i64) -> StoreResult<Option<WalRow>> {
        let failed = self.db.failed("read embeddings_queue");
        let mut statement = self
            .db
            .connection
            .prepare_cached(
                "SELECT seq_id, operation, id, vector, encoding FROM embeddings_queue
                 WHERE seq_id = ?1",
            )
            .map_err(failed)?;
        let mut rows = statement.query([seq]).map_err(failed)?;
        let Some(row) = rows.next().map_err(failed)? else {
            return Ok(None);
        };
        let (seq, kind, id, vector) = self.decode_vector(row)?;
        Ok(Some(WalRow {
            seq,
            operation: Operation {
                kind,
                id,
                vector,
                patch: Patch::new(),
            },
        }))
    }

    /// Reads and checks the vector of row `seq`.
    pub(crate) fn vector(&self, seq: i64, id: &str) -> StoreResult<Option<Vec<u8>>> {
        let vector: Option<Vec<u8>> = self
            .db
            .connection
            .prepare_cached("SELECT vector FROM embeddings_queue WHERE seq_id = ?1")
            .and_then(|mut s| s.query_row([seq], |row| row.get(0)))
            .map_err(self.db.failed("read a vector of the log"))?;
        vector.map(|bytes| self.checked(id, bytes)).transpose()
    }

    /// Passes the rows that `sql` selects to `visit`, one at a time.
    fn scan(
        &self,
        sql: &str,
        params: impl Params,
        mut visit: impl FnMut(&Row<'_>) -> StoreResult<()>,
    ) -> StoreResult<()> {
        let failed = self.db.failed("read embeddings_queue");
        let mut statement = self.db.connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            visit(row)?;
        }
        Ok(())
    }

    fn decode(&self, row: &Row<'_>) -> StoreResult<WalRow> {
        let (seq, kind, id, vector) = self.decode_vector(row)?;
        let patch = self.decode_payload(row, seq, &id)?;
        Ok(WalRow {
            seq,
            operation: Operation {
                kind,
                id,
                vector,
                patch,
            },
        })
    }

    fn decode_payload(&self, row: &Row<'_>, seq: i64, id: &str) -> StoreResult<Patch> {
        let bad = |detail: String| self.bad_row(seq, format!("record `{id}`: {detail}"));
        let metadata: Option<String> = row.get(5).map_err(|error| bad(error.to_string()))?;
        payload::decode(metadata.as_deref()).map_err(bad)
    }

    /// Reads the columns before the payload.
    fn decode_vector(
        &self,
        row: &Row<'_>,
    ) -> StoreResult<(i64, OperationKind, String, Option<Vec<u8>>)> {
        let failed = self.db.failed("read embeddings_queue");
        let seq: i64 = row.get(0).map_err(failed)?;
        let bad = |detail: String| self.bad_row(seq, detail);
        let code: i64 = row.get(1).map_err(|error| bad(error.to_string()))?;
        let kind = OperationKind::from_code(code)
            .ok_or_else(|| bad(format!("unknown operation code {code}")))?;
        let id: String = row.get(2).map_err(|error| bad(error.to_string()))?;
        let vector: Option<Vec<u8>> = row.get(3).map_err(|error| bad(error.to_string()))?;
        let encoding: Option<String> = row.get(4).map_err(|error| bad(error.to_string()))?;
        if vector.is_some() && encoding.as_deref() != Some("FLOAT32") {
            return Err(bad(format!(
                "vector encoding {encoding:?}, FLOAT32 expected"
            )));
        }
        let vector = vector.map(|bytes| self.checked(&id, bytes)).transpose()?;
        Ok((seq, kind, id, vector))
    }

    fn bad_row(&self, seq: i64, detail: String) -> StoreError {
        StoreError::QueueRow {
            path: self.db.path(),
            seq,
            detail,
        }
    }

    fn checked(&self, id: &str, bytes: Vec<u8>) -> StoreResult<Vec<u8>> {
        check_vector(&self.collection, id, &bytes, self.vector_bytes)?;
        Ok(bytes)
    }
}

/// Checks that a vector has the collection's length and only finite elements.
///
/// # Errors
/// `VectorLength` or `NotFinite`.
pub(crate) fn check_vector(
    collection: &str,
    id: &str,
    bytes: &[u8],
    expected: Option<usize>,
) -> StoreResult<()> {
    let expected = expected.unwrap_or(bytes.len().next_multiple_of(4).max(4));
    if bytes.len() != expected {
        return Err(StoreError::VectorLength {
            collection: collection.to_owned(),
            id: id.to_owned(),
            found: bytes.len(),
            expected,
        });
    }
    let (elements, _) = bytes.as_chunks::<4>();
    match elements
        .iter()
        .position(|element| !f32::from_le_bytes(*element).is_finite())
    {
        None => Ok(()),
        Some(at) => Err(StoreError::NotFinite {
            collection: collection.to_owned(),
            id: id.to_owned(),
            what: format!("vector element {at}"),
        }),
    }
}

/// `seq_id` is a signed 64-bit column.
fn clamp(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
