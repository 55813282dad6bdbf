//! Checks one collection: its segments, progress, log and index files, and that all of them agree
//! on its records.

use super::{Checked, CheckedCollection, VerifyLevel, VerifyReport, name_of, progress, records};
use crate::index::{VectorIndex, check_sizes, dimension_in, is_written, segment_dir};
use crate::problem::Remedy;
use crate::wal::logged_dimension;
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
    if let Some(found) = other_dimension(checked, collection)? {
        let declared = collection.dimension.unwrap_or(0);
        let detail = format!("its dimension is {declared}, its vectors have {found} elements");
        report.mendable(Remedy::Dimension, "I1", name_of(collection), detail);
        return Ok(());
    }
    let unfounded = progress::unfounded(checked.db, collection)?;
    let is_unfounded = unfounded.is_some();
    report.problems.extend(unfounded);
    let reported = report.problems.len();
    let is_indexed = collection.vector_seq.is_some_and(|seq| seq > 0);
    if checked.db.level == SchemaLevel::L06
        && records > 0
        && is_indexed
        && !is_written(checked.db.dir, collection)
    {
        // chromadb 1.x reads the whole log instead.
        let detail = "the index files that its progress is of are missing: chromadb 0.x fails";
        report.mendable(Remedy::Flush, "I6", name_of(collection), detail);
    }
    let has_no_progress = checked.db.level == SchemaLevel::L06
        && collection.vector_seq.is_none()
        && is_written(checked.db.dir, collection);
    check_sizes(checked.db.dir, collection)?;
    if checked.level == VerifyLevel::Full {
        let index = VectorIndex::open(checked.db.dir, collection)?;
        if let Some(index) = &index {
            for (invariant, finding) in index.check()? {
                report.mendable(Remedy::Index, invariant, name_of(collection), finding);
            }
            let of_0x = checked.db.level == SchemaLevel::L06;
            if let Some(finding) = index.check_for_0x().filter(|_| of_0x) {
                let detail = format!("chromadb 0.x fails on the id maps: {finding}");
                report.mendable(Remedy::Index, "I3", name_of(collection), detail);
            }
            if has_no_progress && index.legacy_seq().is_none() {
                let detail = "neither max_seq_id nor the id maps say how far the index files are: \
                              chromadb 0.x fails";
                report.mendable(Remedy::Progress, "I6", name_of(collection), detail);
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
        // The comparison of records with vectors used a progress that is wrong.
        for problem in report.problems.iter_mut().skip(reported) {
            if is_unfounded && problem.remedy.is_none() {
                problem.remedy = Some(Remedy::Progress);
            }
        }
    }
    Ok(())
}

/// The dimension of the vectors, if it differs from the declared one.
fn other_dimension(checked: &Checked<'_>, collection: &Collection) -> StoreResult<Option<u32>> {
    let indexed = dimension_in(&segment_dir(checked.db.dir, collection));
    if collection.dimension.is_none() || indexed == collection.dimension {
        return Ok(None);
    }
    let logged = logged_dimension(checked.db.connection, collection)
        .map_err(checked.db.failed("read the length of a vector"))?;
    // Without the log, files of another dimension may belong to another collection.
    let found = logged.filter(|_| indexed.is_none_or(|indexed| Some(indexed) == logged));
    Ok(found.filter(|found| Some(*found) != collection.dimension))
}
