//! Appends rows to the log.

use rusqlite::{OptionalExtension, params};

use super::{Operation, Patch, payload};
use crate::collection::decode_seq;
use crate::database::Database;
use crate::{Collection, StoreResult};

/// The highest sequence number in the database: of the log, or of the progress of any segment. New
/// rows must be above it, or every reader silently drops them.
fn last_seq(db: Database<'_>) -> StoreResult<u64> {
    let failed = db.failed("read the last sequence number");
    let logged: Option<i64> = db
        .connection
        .query_row("SELECT max(seq_id) FROM embeddings_queue", [], |row| {
            row.get(0)
        })
        .map_err(failed)?;
    let applied: Vec<u64> = db
        .connection
        .prepare_cached("SELECT seq_id FROM max_seq_id")
        .and_then(|mut s| {
            s.query_map([], |row| decode_seq(row.get_ref(0)?))?
                .collect()
        })
        .map_err(failed)?;
    let logged = logged.and_then(|seq| u64::try_from(seq).ok()).unwrap_or(0);
    Ok(applied.into_iter().fold(logged, u64::max))
}

/// Appends one collection's operations inside the caller's transaction.
#[derive(Debug)]
pub(crate) struct WalWriter<'c> {
    db: Database<'c>,
    topic: String,
    last: u64,
}

impl<'c> WalWriter<'c> {
    pub(crate) fn new(db: Database<'c>, collection: &Collection) -> StoreResult<Self> {
        let last = last_seq(db)?;
        Ok(Self {
            db,
            topic: collection.topic(),
            last,
        })
    }

    /// The sequence number of the last row.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Goes back to `seq` after a rollback.
    pub(crate) fn rewind(&mut self, seq: u64) {
        self.last = seq;
    }

    /// Appends an operation with `patch` as its payload, and returns its sequence number.
    pub(crate) fn append(&mut self, operation: &Operation, patch: &Patch) -> StoreResult<u64> {
        let seq = self.last + 1;
        let column = i64::try_from(seq).map_err(|_| {
            self.db
                .damaged(format!("sequence number {seq} is beyond SQLite's integers"))
        })?;
        let encoding = operation.vector.is_some().then_some("FLOAT32");
        // `created_at` takes its DEFAULT: chromadb 1.x skips rows whose text it cannot parse.
        self.db
            .connection
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
            .map_err(self.db.failed("append to embeddings_queue"))?;
        self.last = seq;
        Ok(seq)
    }
}

/// Deletes the rows of a collection below `seq`. The last row must stay, or numbers start at 1
/// again.
pub(crate) fn purge_below(db: Database<'_>, collection: &Collection, seq: u64) -> StoreResult<()> {
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    db.connection
        .prepare_cached("DELETE FROM embeddings_queue WHERE topic = ?1 AND seq_id < ?2")
        .and_then(|mut statement| statement.execute(params![collection.topic(), seq]))
        .map(drop)
        .map_err(db.failed("purge embeddings_queue"))
}

/// Whether Chroma purges rows that both segments contain. Without a configuration row, it purges
/// only if the log is empty, and a log with rows to purge is not.
pub(crate) fn purges(db: Database<'_>) -> StoreResult<bool> {
    let text: Option<Option<String>> = db
        .connection
        .query_row(
            "SELECT config_json_str FROM embeddings_queue_config ORDER BY id LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(db.failed("read embeddings_queue_config"))?;
    let config = text
        .flatten()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    Ok(config.is_some_and(|config| config["automatically_purge"] == true))
}
