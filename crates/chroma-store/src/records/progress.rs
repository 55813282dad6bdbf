//! How far the log has come into the records, as they say themselves.

use rusqlite::Connection;

use crate::Collection;
use crate::collection::decode_seq;

/// The highest number of an operation that touched a record and that can be true.
pub(crate) fn last_touched(
    connection: &Connection,
    collection: &Collection,
    limit: u64,
) -> rusqlite::Result<u64> {
    let mut statement =
        connection.prepare("SELECT seq_id FROM embeddings NOT INDEXED WHERE segment_id = ?1")?;
    let mut rows = statement.query([collection.metadata_segment.to_string()])?;
    let mut highest = 0;
    while let Some(row) = rows.next()? {
        if let Ok(seq) = decode_seq(row.get_ref(0)?)
            && seq <= limit
        {
            highest = highest.max(seq);
        }
    }
    Ok(highest)
}
