//! Compares vectors with records.

use std::collections::HashSet;

use crate::database::Database;
use crate::index;
use crate::{Collection, StoreError, StoreResult};

/// Returns the ids that are `known` to have a vector and have no record. chromadb 0.x leaves such
/// vectors when an id is deleted twice in one batch, and readers fail on them.
///
/// # Errors
/// `IndexFile` if a record has no vector: the old files have lost vectors, and must not be replaced
/// by fewer.
pub(super) fn ghosts(
    db: Database<'_>,
    collection: &Collection,
    known: &HashSet<String>,
) -> StoreResult<Vec<String>> {
    let (mut with, mut without) = (0, Vec::new());
    for_each(db, collection, |id| {
        if known.contains(&id) {
            with += 1;
        } else {
            without.push(id);
        }
    })?;
    if let Some(first) = without.first() {
        return Err(StoreError::IndexFile {
            path: index::segment_dir(db.dir, collection),
            detail: format!(
                "{} records have no vector there, nor in the log: `{first}` is one",
                without.len()
            ),
        });
    }
    if with == known.len() {
        return Ok(Vec::new());
    }
    let mut ghosts = known.clone();
    for_each(db, collection, |id| {
        ghosts.remove(&id);
    })?;
    Ok(ghosts.into_iter().collect())
}

/// Passes the id of every record to `visit`.
fn for_each(
    db: Database<'_>,
    collection: &Collection,
    mut visit: impl FnMut(String),
) -> StoreResult<()> {
    let failed = db.failed("compare vectors with records");
    let mut statement = db
        .connection
        .prepare_cached("SELECT embedding_id FROM embeddings WHERE segment_id = ?1")
        .map_err(failed)?;
    let mut rows = statement
        .query([collection.metadata_segment.to_string()])
        .map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        visit(row.get(0).map_err(failed)?);
    }
    Ok(())
}
