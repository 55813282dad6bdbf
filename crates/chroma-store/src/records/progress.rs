//! How much of the log the records contain, by the sequence numbers in their own rows.

use rusqlite::Connection;

use crate::Collection;
use crate::collection::decode_seq;

/// The highest sequence number in the records of a collection that is at most `limit`; 0 if there
/// is none.
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
