//! Whether a delta's log has its whole history. If not, a merge can only upsert the records that
//! are left.

use crate::database::Database;
use crate::index::VectorIndex;
use crate::wal::{explains_all_records, starts_at_one};
use crate::{Collection, StoreResult};

pub(super) fn is_complete(db: Database<'_>, collection: &Collection) -> StoreResult<bool> {
    // chromadb purges rows only after it has written the index files.
    let never_purged =
        collection.vector_seq.is_none() && VectorIndex::open(db.dir, collection)?.is_none();
    Ok((never_purged || starts_at_one(db)?) && explains_all_records(db, collection)?)
}
