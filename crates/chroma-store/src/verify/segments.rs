//! One collection: its segments, its progress, its log, its index files, and that all of them
//! tell of the same records.

use std::collections::HashMap;

use super::{Checked, CheckedCollection, VerifyLevel, VerifyReport, name_of};
use crate::index::{VectorIndex, check_sizes};
use crate::queue::{OperationKind, QueueReader};
use crate::{Collection, StoreError, StoreResult};

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
        same_records(checked, collection, index.as_ref(), report)?;
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

/// I2: the records of the metadata segment are those of the index, changed by the log rows that
/// the index has not seen.
fn same_records(
    checked: &Checked<'_>,
    collection: &Collection,
    index: Option<&VectorIndex>,
    report: &mut VerifyReport,
) -> StoreResult<()> {
    let indexed_upto = index.map_or(0, |index| index.progress(collection));
    let applied = collection.metadata_seq.unwrap_or(0);
    // Ids whose existence the log changed: true if they have a vector now.
    let mut changed: HashMap<String, bool> = HashMap::new();
    let indexed = |id: &str| index.is_some_and(|index| index.contains(id));
    let queue = QueueReader::new(checked.connection, checked.path, collection);
    let mut last = 0;
    queue.for_each(0, u64::MAX, |row| {
        last = last.max(u64::try_from(row.seq).unwrap_or(0));
        // Rows outside are read for their checks only.
        if last <= indexed_upto || last > applied {
            return Ok(());
        }
        let operation = row.operation;
        let exists = changed
            .get(&operation.id)
            .copied()
            .unwrap_or_else(|| indexed(&operation.id));
        let now = match operation.kind {
            OperationKind::Delete => false,
            OperationKind::Add | OperationKind::Upsert => exists || operation.vector.is_some(),
            OperationKind::Update => exists,
        };
        changed.insert(operation.id, now);
        Ok(())
    })?;
    let mut with_vector = index.map_or(0, VectorIndex::len);
    for (id, now) in &changed {
        match (indexed(id), *now) {
            (false, true) => with_vector += 1,
            (true, false) => with_vector -= 1,
            _ => {}
        }
    }
    let mut records = 0;
    let mut missing = Vec::new();
    for_each_id(checked, collection, |id| {
        records += 1;
        if !changed.get(&id).copied().unwrap_or_else(|| indexed(&id)) {
            missing.push(id);
        }
    })?;
    if let Some(first) = missing.first() {
        let detail = format!("{} records have no vector, first `{first}`", missing.len());
        report.error("I2", name_of(collection), detail);
    }
    if with_vector + missing.len() > records {
        let extra = with_vector + missing.len() - records;
        report.error(
            "I2",
            name_of(collection),
            format!("{extra} vectors belong to no record"),
        );
    }
    if indexed_upto > applied {
        let detail = format!("index progress {indexed_upto} is ahead of the records' {applied}");
        report.error("I6", name_of(collection), detail);
    }
    Ok(())
}

fn for_each_id(
    checked: &Checked<'_>,
    collection: &Collection,
    mut visit: impl FnMut(String),
) -> StoreResult<()> {
    let failed = || StoreError::sqlite(checked.path, "read the records");
    let mut statement = checked
        .connection
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
