//! One collection: its segments, its progress, its log, its index files, and that all of them
//! tell of the same records.

use super::{
    Checked, CheckedCollection, Remedy, VerifyLevel, VerifyReport, name_of, progress, records,
};
use crate::index::{VectorIndex, check_sizes, is_written};
use crate::{Collection, SchemaLevel, StoreResult};

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
        full_name: collection.name.clone(),
        records,
        dimension: collection.dimension,
        space: collection.config.space,
    });
    if records > 0 && collection.dimension.is_none() {
        let detail = format!("{records} records, but no dimension: readers would see none");
        report.mendable(Remedy::Dimension, "I1", name_of(collection), detail);
    }
    let unfounded = progress::unfounded(checked.connection, checked.path, collection)?;
    let is_unfounded = unfounded.is_some();
    report.problems.extend(unfounded);
    let told = report.problems.len();
    let is_indexed = collection.vector_seq.is_some_and(|seq| seq > 0);
    if checked.schema == SchemaLevel::L06
        && records > 0
        && is_indexed
        && !is_written(checked.dir, collection)
    {
        // chromadb 1.x reads the whole log in their place.
        let detail = "the index files that its progress is of are missing: chromadb 0.x fails";
        report.mendable(Remedy::Flush, "I6", name_of(collection), detail);
    }
    check_sizes(checked.dir, collection)?;
    if checked.level == VerifyLevel::Full {
        let index = VectorIndex::open(checked.dir, collection)?;
        if let Some(index) = &index {
            for (invariant, finding) in index.check()? {
                report.mendable(Remedy::Index, invariant, name_of(collection), finding);
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
        // Records and vectors were compared by a progress that is not true.
        for problem in report.problems.iter_mut().skip(told) {
            if is_unfounded && problem.remedy.is_none() {
                problem.remedy = Some(Remedy::Progress);
            }
        }
    }
    Ok(())
}
