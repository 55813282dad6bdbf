//! Whether a delta's log tells its whole history.
//!
//! chromadb purges log rows once both segments contain them. A log that lost rows can no longer
//! say what was deleted or updated in part; only the records that are left can be upserted.

use std::path::Path;

use rusqlite::Connection;

use crate::index::VectorIndex;
use crate::wal::{explains_all_records, starts_at_one};
use crate::{Collection, StoreResult};

pub(super) fn is_complete(
    connection: &Connection,
    path: &Path,
    dir: &Path,
    collection: &Collection,
) -> StoreResult<bool> {
    // Rows are purged only once the index files have been written.
    let never_purged =
        collection.vector_seq.is_none() && VectorIndex::open(dir, collection)?.is_none();
    Ok((never_purged || starts_at_one(connection, path)?)
        && explains_all_records(connection, path, collection)?)
}
