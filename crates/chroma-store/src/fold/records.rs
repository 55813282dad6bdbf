//! The finished index against the records: each has a vector, and each vector has a record.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use crate::index::{self, MemoryIndex};
use crate::{Collection, StoreError, StoreResult};

/// Takes vectors without a record out of the index; how many there were. chromadb 0.x leaves them
/// behind when an id is deleted twice in one batch, and readers stumble over them.
///
/// # Errors
/// A record has no vector: files that the log goes on from are not what they were, and must not be
/// replaced by less.
pub(super) fn match_up(
    connection: &Connection,
    path: &Path,
    collection: &Collection,
    index: &mut MemoryIndex,
) -> StoreResult<u64> {
    let (mut with, mut without) = (0, Vec::new());
    for_each(connection, path, collection, |id| {
        if index.elements.contains_key(&id) {
            with += 1;
        } else {
            without.push(id);
        }
    })?;
    if let Some(first) = without.first() {
        let dir = path.parent().unwrap_or(path);
        return Err(StoreError::IndexFile {
            path: index::segment_dir(dir, collection),
            detail: format!(
                "{} records have a vector neither here nor in the log, first `{first}`",
                without.len()
            ),
        });
    }
    if with == index.elements.len() {
        return Ok(0);
    }
    let mut ghosts: HashSet<String> = index.elements.keys().cloned().collect();
    for_each(connection, path, collection, |id| {
        ghosts.remove(&id);
    })?;
    for id in &ghosts {
        index.remove(id);
    }
    Ok(ghosts.len() as u64)
}

/// Hands the id of every record to `visit`.
fn for_each(
    connection: &Connection,
    path: &Path,
    collection: &Collection,
    mut visit: impl FnMut(String),
) -> StoreResult<()> {
    let failed = || StoreError::sqlite(path, "compare vectors with records");
    let mut statement = connection
        .prepare_cached("SELECT embedding_id FROM embeddings WHERE segment_id = ?1")
        .map_err(failed())?;
    let mut rows = statement
        .query([collection.metadata_segment.to_string()])
        .map_err(failed())?;
    while let Some(row) = rows.next().map_err(failed())? {
        visit(row.get(0).map_err(failed())?);
    }
    Ok(())
}
