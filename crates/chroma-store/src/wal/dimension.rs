//! The dimension of the vectors in the log.

use rusqlite::{Connection, OptionalExtension};

use crate::Collection;

/// Elements of the first vector in a collection's log. If that differs from the declared dimension,
/// elements of most of its vectors.
pub(crate) fn logged_dimension(
    connection: &Connection,
    collection: &Collection,
) -> rusqlite::Result<Option<u32>> {
    let read = |rest: &str| {
        let sql = format!(
            "SELECT length(vector) / 4 AS elements FROM embeddings_queue
             WHERE topic = ?1 AND vector IS NOT NULL {rest} LIMIT 1"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        statement
            .query_row([collection.topic()], |row| row.get(0))
            .optional()
    };
    let first: Option<u32> = read("ORDER BY seq_id")?;
    match first == collection.dimension {
        true => Ok(first),
        false => read("GROUP BY elements ORDER BY count(*) DESC"),
    }
}
