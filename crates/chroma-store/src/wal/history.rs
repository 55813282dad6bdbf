//! Whether the log has the whole history of its collections.
//!
//! chromadb purges log rows once both segments contain them. A log that lost rows can no longer say
//! what was deleted or updated in part.

use crate::database::Database;
use crate::{Collection, StoreResult};

/// Whether the log has every row since the first, and for every record a row that made it.
pub(crate) fn log_is_whole(db: Database<'_>, collection: &Collection) -> StoreResult<bool> {
    Ok(starts_at_one(db)? && explains_all_records(db, collection)?)
}

/// Whether the log has every row since the first. All collections share its numbers, which start at
/// 1.
pub(crate) fn starts_at_one(db: Database<'_>) -> StoreResult<bool> {
    db.connection
        .query_row(
            "SELECT count(*) > 0 AND count(*) = max(seq_id) FROM embeddings_queue",
            [],
            |row| row.get::<_, Option<bool>>(0),
        )
        .map(|whole| whole.unwrap_or(false))
        .map_err(db.failed("measure embeddings_queue"))
}

/// Whether the log has a row that made each record. A log that was emptied by hand starts at 1
/// again and lacks some.
pub(crate) fn explains_all_records(db: Database<'_>, collection: &Collection) -> StoreResult<bool> {
    db.connection
        .query_row(
            "SELECT NOT EXISTS (
               SELECT embedding_id FROM embeddings WHERE segment_id = ?1
               EXCEPT
               SELECT id FROM embeddings_queue WHERE topic = ?2 AND operation IN (0, 2))",
            [collection.metadata_segment.to_string(), collection.topic()],
            |row| row.get(0),
        )
        .map_err(db.failed("compare embeddings_queue with the records"))
}
