//! Appends rows to the log.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::{Operation, Patch, payload};
use crate::collection::decode_seq;
use crate::{Collection, StoreError, StoreResult};

/// The highest sequence number known anywhere in the database: in the log, or as the progress of
/// any segment. New rows must be above it, else every reader silently drops them.
fn last_seq(connection: &Connection, path: &Path) -> StoreResult<u64> {
    let failed = || StoreError::sqlite(path, "read the last sequence number");
    let logged: Option<i64> = connection
        .query_row("SELECT max(seq_id) FROM embeddings_queue", [], |row| {
            row.get(0)
        })
        .map_err(failed())?;
    let applied: Vec<u64> = connection
        .prepare_cached("SELECT seq_id FROM max_seq_id")
        .and_then(|mut s| {
            s.query_map([], |row| decode_seq(row.get_ref(0)?))?
                .collect()
        })
        .map_err(failed())?;
    let logged = logged.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0);
    Ok(applied.into_iter().fold(logged, u64::max))
}

/// Appends one collection's operations inside the caller's transaction.
#[derive(Debug)]
pub(crate) struct WalWriter<'c> {
    connection: &'c Connection,
    path: PathBuf,
    topic: String,
    last: u64,
}

impl<'c> WalWriter<'c> {
    pub(crate) fn new(
        connection: &'c Connection,
        path: &Path,
        collection: &Collection,
    ) -> StoreResult<Self> {
        let last = last_seq(connection, path)?;
        Ok(Self {
            connection,
            path: path.to_path_buf(),
            topic: collection.topic(),
            last,
        })
    }

    /// The last sequence number given out.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Goes back to `seq` after a rollback.
    pub(crate) fn rewind(&mut self, seq: u64) {
        self.last = seq;
    }

    /// Appends an operation with `patch` as its payload; gives its sequence number.
    pub(crate) fn append(&mut self, operation: &Operation, patch: &Patch) -> StoreResult<u64> {
        let seq = self.last + 1;
        let column = i64::try_from(seq).map_err(|_| StoreError::Damaged {
            path: self.path.clone(),
            detail: format!("sequence number {seq} is beyond SQLite's integers"),
        })?;
        let encoding = operation.vector.is_some().then_some("FLOAT32");
        // created_at takes its DEFAULT: chromadb 1.x skips rows whose text it cannot parse.
        self.connection
            .prepare_cached(
                "INSERT INTO embeddings_queue
                 (seq_id, operation, topic, id, vector, encoding, metadata)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    column,
                    operation.kind.code(),
                    self.topic,
                    operation.id,
                    operation.vector,
                    encoding,
                    payload::encode(patch),
                ])
            })
            .map_err(StoreError::sqlite(&self.path, "append to embeddings_queue"))?;
        self.last = seq;
        Ok(seq)
    }
}

/// Deletes the rows of a collection below `seq`. The last row must stay, or numbers start again.
pub(crate) fn purge_below(
    connection: &Connection,
    path: &Path,
    collection: &Collection,
    seq: u64,
) -> StoreResult<()> {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    connection
        .prepare_cached("DELETE FROM embeddings_queue WHERE topic = ?1 AND seq_id < ?2")
        .and_then(|mut statement| statement.execute(params![collection.topic(), seq]))
        .map(drop)
        .map_err(StoreError::sqlite(path, "purge embeddings_queue"))
}

/// Whether Chroma would purge rows that both segments contain. Without a row that says so it
/// decides by whether the log is empty, which a log to be purged is not.
pub(crate) fn purges(connection: &Connection, path: &Path) -> StoreResult<bool> {
    let text: Option<Option<String>> = connection
        .query_row(
            "SELECT config_json_str FROM embeddings_queue_config ORDER BY id LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(StoreError::sqlite(path, "read embeddings_queue_config"))?;
    let config = text
        .flatten()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    Ok(config.is_some_and(|config| config["automatically_purge"] == true))
}
