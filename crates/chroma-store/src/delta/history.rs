//! Whether a delta's log tells its whole history; else only the records that are left can be upserted.

use crate::database::Database;
use crate::index::VectorIndex;
use crate::wal::{explains_all_records, starts_at_one};
use crate::{Collection, StoreResult};

pub(super) fn is_complete(db: Database<'_>, collection: &Collection) -> StoreResult<bool> {
    // Rows are purged only once the index files have been written.
    let never_purged =
        collection.vector_seq.is_none() && VectorIndex::open(db.dir, collection)?.is_none();
    Ok((never_purged || starts_at_one(db)?) && explains_all_records(db, collection)?)
}
