//! One collection: its segments, its progress, its log, its index files, and that all of them
//! tell of the same records.

use super::{Checked, CheckedCollection, VerifyLevel, VerifyReport, name_of, records};
use crate::index::{VectorIndex, check_sizes};
use crate::{Collection, StoreResult};

pub(super) fn check(
    checked: &Checked<'_>,
    collection: &Collection,
    report: &mut VerifyReport,
) -> StoreResult<()> {
    let segment = collection.metadata_segment.to_string();
    let records = checked.count(
        "SELECT count(*) FROM embeddings WHERE segment_id = ?1",
        &[&segment],
    )?;
    report.collections.push(CheckedCollection {
        name: collection.name.clone(),
        records,
        dimension: collection.dimension,
        space: collection.config.space,
    });
    if records > 0 && collection.dimension.is_none() {
        let detail = format!("{records} records, but no dimension: readers would see none");
        report.error("I1", name_of(collection), detail);
    }
    progress(checked, collection, report)?;
    check_sizes(checked.dir, collection)?;
    if checked.level == VerifyLevel::Full {
        let index = VectorIndex::open(checked.dir, collection)?;
        if let Some(index) = &index {
            for (invariant, finding) in index.check()? {
                report.error(invariant, name_of(collection), finding);
            }
            if index.legacy_seq().is_some() && index.legacy_seq() != collection.vector_seq {
                // chromadb 1.x carries the old value along and never reads it back.
                report.warn(
                    "I8",
                    name_of(collection),
                    "the id maps hold a stale max_seq_id",
                );
            }
        }
        records::check(checked, collection, index.as_ref(), report)?;
    }
    Ok(())
}

/// I5: new log rows must get numbers above every segment's progress, or readers drop them.
fn progress(
    checked: &Checked<'_>,
    collection: &Collection,
    report: &mut VerifyReport,
) -> StoreResult<()> {
    let applied = collection.metadata_seq.max(collection.vector_seq);
    let Some(applied) = applied.filter(|seq| *seq > 0) else {
        return Ok(());
    };
    let applied_column = i64::try_from(applied).unwrap_or(i64::MAX);
    let above = checked.count(
        "SELECT count(*) FROM embeddings_queue WHERE seq_id >= ?1",
        &[&applied_column],
    )?;
    if above == 0 {
        let detail = format!(
            "progress is {applied}, but embeddings_queue has no row with that number or a higher \
             one: every later write would be dropped"
        );
        report.error("I5", name_of(collection), detail);
    }
    Ok(())
}
