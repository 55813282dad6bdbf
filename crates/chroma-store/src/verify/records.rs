//! I2: the records of the metadata segment are those of the index, changed by the log rows that the
//! index does not contain. SQLite compares them in temporary tables, so that memory does not grow
//! with the log.

use rusqlite::params;

use super::{Checked, VerifyReport, name_of, progress};
use crate::index::VectorIndex;
use crate::problem::Remedy;
use crate::records::last_touched;
use crate::wal::{WalReader, log_is_whole};
use crate::{Collection, StoreResult};

/// Ids that have a vector: indexed ones, and those that the log made after the last flush and did
/// not delete again. An id that the log deleted counts only if the log made it again later.
const WITH_VECTOR: &str = "
    CREATE TEMP TABLE with_vector AS
    SELECT id FROM logged WHERE made > gone
    UNION
    SELECT i.id FROM indexed i LEFT JOIN logged l ON l.id = i.id WHERE coalesce(l.gone, 0) = 0;
    CREATE INDEX with_vector_id ON with_vector (id);";

pub(super) fn check(
    checked: &Checked<'_>,
    collection: &Collection,
    index: Option<&VectorIndex>,
    report: &mut VerifyReport,
) -> StoreResult<()> {
    read_every_row(checked, collection, report)?;
    let indexed_upto = index.map_or(0, |index| index.progress(collection));
    let applied = collection.metadata_seq.unwrap_or(0);
    // Without a row in `max_seq_id`, the records get the whole log again.
    if indexed_upto > applied && collection.metadata_seq.is_some() {
        let detail = format!("index progress {indexed_upto} is ahead of the records' {applied}");
        report.error("I6", name_of(collection), detail);
    }
    let failed = checked.db.failed("compare records with vectors");
    // A write that raises half-way in chromadb 0.x leaves records beyond the progress.
    let touched = last_touched(checked.db.connection, collection, u64::MAX).map_err(failed)?;
    let known = [indexed_upto, applied.max(touched)];
    collect(checked, collection, index, known).map_err(failed)?;
    let found = compare(checked, collection, report).map_err(failed)?;
    if let Some(detail) = found {
        let name = name_of(collection);
        match log_is_whole(checked.db, collection)? {
            true => report.mendable(Remedy::Index, "I2", name, detail),
            false => report.error("I2", name, detail),
        }
    }
    checked
        .db
        .connection
        .execute_batch("DROP TABLE with_vector; DROP TABLE logged; DROP TABLE indexed;")
        .map_err(failed)
}

/// Checks that every log row is well formed. The metadata of applied rows has no effect any more,
/// but chromadb reads it.
fn read_every_row(
    checked: &Checked<'_>,
    collection: &Collection,
    report: &mut VerifyReport,
) -> StoreResult<()> {
    let reader = WalReader::new(checked.db, collection);
    // Unfounded progress says nothing about the records.
    let unfounded = progress::unfounded(checked.db, collection)?;
    let applied = match unfounded {
        None => collection.metadata_seq.unwrap_or(0),
        Some(_) => 0,
    };
    reader.for_each(applied, u64::MAX, |_| Ok(()))?;
    let unreadable = reader.without_payload(applied)?;
    if let Some(first) = unreadable.first().map(|first| &first.reason) {
        let detail = format!(
            "the metadata of {} log rows, which the records contain, cannot be read: {first}",
            unreadable.len()
        );
        report.mendable(Remedy::LogRows, "files", name_of(collection), detail);
    }
    Ok(())
}

fn collect(
    checked: &Checked<'_>,
    collection: &Collection,
    index: Option<&VectorIndex>,
    rows: [u64; 2],
) -> rusqlite::Result<()> {
    let connection = checked.db.connection;
    connection.execute_batch(
        "CREATE TEMP TABLE indexed (id TEXT PRIMARY KEY) WITHOUT ROWID;
         CREATE TEMP TABLE logged (id TEXT PRIMARY KEY, made INTEGER, gone INTEGER) WITHOUT ROWID;",
    )?;
    connection.execute_batch("SAVEPOINT filling")?;
    let mut insert = connection.prepare("INSERT INTO indexed (id) VALUES (?1)")?;
    for id in index.into_iter().flat_map(VectorIndex::ids) {
        insert.execute([id])?;
    }
    connection.execute(
        "INSERT INTO logged
         SELECT id,
                coalesce(max(CASE WHEN operation IN (0, 2) AND vector IS NOT NULL
                                  THEN seq_id END), 0),
                coalesce(max(CASE WHEN operation = 3 THEN seq_id END), 0)
         FROM embeddings_queue WHERE topic = ?1 AND seq_id > ?2 AND seq_id <= ?3 GROUP BY id",
        params![collection.topic(), clamp(rows[0]), clamp(rows[1])],
    )?;
    connection.execute_batch("RELEASE filling")?;
    connection.execute_batch(WITH_VECTOR)
}

/// Warns of vectors without a record. Returns a finding for records without a vector.
fn compare(
    checked: &Checked<'_>,
    collection: &Collection,
    report: &mut VerifyReport,
) -> rusqlite::Result<Option<String>> {
    let segment = collection.metadata_segment.to_string();
    let (missing, first): (u64, Option<String>) = checked.db.connection.query_row(
        "SELECT count(*), min(embedding_id) FROM embeddings e WHERE segment_id = ?1
         AND NOT EXISTS (SELECT 1 FROM with_vector v WHERE v.id = e.embedding_id)",
        [&segment],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let extra: u64 = checked.db.connection.query_row(
        "SELECT count(*) FROM with_vector v WHERE NOT EXISTS (
           SELECT 1 FROM embeddings e WHERE e.segment_id = ?1 AND e.embedding_id = v.id)",
        [&segment],
        |row| row.get(0),
    )?;
    if extra > 0 {
        // chromadb 0.x leaves them when an id is deleted twice in one batch, and works with them.
        report.warn(
            "I2",
            name_of(collection),
            format!("{extra} vectors belong to no record"),
        );
    }
    Ok(first.map(|first| format!("{missing} records have no vector, first `{first}`")))
}

/// `seq_id` is a signed 64-bit column.
fn clamp(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}
