//! I5: new log rows must get numbers above every segment's progress, or readers drop them.

use crate::database::Database;
use crate::problem::{Problem, Remedy, Severity};
use crate::{Collection, StoreError, StoreResult};

/// The finding for a collection whose segments claim more progress than the log has; `None` if the
/// progress is founded.
pub(super) fn unfounded(db: Database<'_>, collection: &Collection) -> StoreResult<Option<Problem>> {
    let applied = collection.metadata_seq.max(collection.vector_seq);
    let Some(applied) = applied.filter(|seq| *seq > 0) else {
        return Ok(None);
    };
    let last = last_row(db)?;
    if last.is_some_and(|last| last >= applied) {
        return Ok(None);
    }
    let last = last.map_or("is empty".to_owned(), |last| format!("ends at {last}"));
    Ok(Some(Problem {
        severity: Severity::Error,
        invariant: "I5",
        collection: Some(collection.name.to_string()),
        detail: format!(
            "its progress is {applied}, but embeddings_queue {last}: writes are dropped in silence"
        ),
        remedy: Some(Remedy::Progress),
    }))
}

/// Refuses to change a collection whose progress names rows that the log never had. A purge would
/// lose rows that no segment contains.
///
/// # Errors
/// `Inconsistent`.
pub(crate) fn progress_is_founded(db: Database<'_>, collection: &Collection) -> StoreResult<()> {
    refuse(db, unfounded(db, collection)?)
}

/// As [`progress_is_founded`], for a delta. Only its waiting rows depend on the progress, so an
/// empty log passes.
///
/// # Errors
/// `Inconsistent`.
pub(crate) fn progress_of_a_delta_is_founded(
    db: Database<'_>,
    collection: &Collection,
) -> StoreResult<()> {
    match last_row(db)? {
        None => Ok(()),
        Some(_) => progress_is_founded(db, collection),
    }
}

fn refuse(db: Database<'_>, problem: Option<Problem>) -> StoreResult<()> {
    match problem {
        None => Ok(()),
        Some(problem) => Err(StoreError::Inconsistent {
            path: db.dir.to_path_buf(),
            problems: vec![problem],
        }),
    }
}

/// The last row of the log, which all collections share.
fn last_row(db: Database<'_>) -> StoreResult<Option<u64>> {
    db.connection
        .query_row("SELECT max(seq_id) FROM embeddings_queue", [], |row| {
            row.get::<_, Option<i64>>(0)
        })
        .map(|last| last.and_then(|last| u64::try_from(last).ok()))
        .map_err(db.failed("read the last log row"))
}
