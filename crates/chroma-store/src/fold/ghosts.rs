//! Vectors that belong to no record. chromadb 0.x leaves them behind when an id is deleted twice in
//! one batch, and readers stumble over them.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use crate::index::MemoryIndex;
use crate::{Collection, StoreError, StoreResult};

/// Takes ids without a record out of the index; how many there were.
pub(super) fn take_out(
    connection: &Connection,
    path: &Path,
    collection: &Collection,
    index: &mut MemoryIndex,
) -> StoreResult<u64> {
    let failed = || StoreError::sqlite(path, "compare vectors with records");
    let segment = collection.metadata_segment.to_string();
    let records: usize = connection
        .prepare_cached("SELECT count(*) FROM embeddings WHERE segment_id = ?1")
        .and_then(|mut statement| statement.query_row([&segment], |row| row.get(0)))
        .map_err(failed())?;
    if records >= index.elements.len() {
        return Ok(0);
    }
    let records: HashSet<String> = connection
        .prepare("SELECT embedding_id FROM embeddings WHERE segment_id = ?1")
        .and_then(|mut statement| statement.query_map([&segment], |row| row.get(0))?.collect())
        .map_err(failed())?;
    let ghosts = index.elements.keys().filter(|id| !records.contains(*id));
    let ghosts: Vec<String> = ghosts.cloned().collect();
    for id in &ghosts {
        index.remove(id);
    }
    Ok(ghosts.len() as u64)
}
