//! The live records of a delta: metadata from its metadata segment, vectors from the index files,
//! the log, or both.

use rusqlite::params;

use super::Delta;
use crate::index::VectorIndex;
use crate::records::RecordReader;
use crate::wal::{Operation, OperationKind, Overlay, WalReader};
use crate::{Collection, StoreResult};

/// Passes every record to `visit` as an upsert, in the order of insertion.
pub(super) fn for_each(
    delta: &Delta,
    collection: &Collection,
    visit: &mut impl FnMut(&Operation) -> StoreResult<()>,
) -> StoreResult<()> {
    let db = delta.database();
    let failed = db.failed("read the records");
    let vectors = Vectors::new(delta, collection)?;
    let reader = RecordReader::new(db);
    let mut statement = db
        .connection
        .prepare("SELECT id, embedding_id FROM embeddings WHERE segment_id = ?1 ORDER BY id")
        .map_err(failed)?;
    let mut rows = statement
        .query(params![collection.metadata_segment.to_string()])
        .map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let record: i64 = row.get(0).map_err(failed)?;
        let id: String = row.get(1).map_err(failed)?;
        let vector = vectors.of(&id)?.ok_or_else(|| {
            db.damaged(format!(
                "record `{id}` of collection `{}` has no vector, neither in the index files nor in the log",
                collection.name
            ))
        })?;
        // Keys that the record lacks are not part of the patch, so the base keeps its own, as after
        // any upsert.
        let patch = reader
            .read(record)?
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        visit(&Operation {
            kind: OperationKind::Upsert,
            id,
            vector: Some(vector),
            patch,
        })?;
    }
    Ok(())
}

/// Where the vectors of a collection are.
struct Vectors<'d> {
    index: Option<VectorIndex>,
    /// For each id that the log changed after the last flush: the row with its vector.
    unflushed: Overlay<i64>,
    wal: WalReader<'d>,
}

impl<'d> Vectors<'d> {
    fn new(delta: &'d Delta, collection: &Collection) -> StoreResult<Self> {
        let index = VectorIndex::open(delta.database().dir, collection)?;
        let indexed = index.as_ref().map_or(0, |index| index.progress(collection));
        let applied = collection.metadata_seq.unwrap_or(0);
        let wal = delta.wal(collection);
        let mut unflushed = Overlay::default();
        wal.for_each_vector(indexed, applied, |seq, kind, id, vector| {
            unflushed.apply(kind, id, vector.map(|_| seq), |id| {
                index.as_ref().is_some_and(|index| index.contains(id))
            });
            Ok(())
        })?;
        Ok(Self {
            index,
            unflushed,
            wal,
        })
    }

    /// The vector of `id`. The log has the user's vector to the bit, so it is preferred to the
    /// index files.
    fn of(&self, id: &str) -> StoreResult<Option<Vec<u8>>> {
        match (self.unflushed.get(id), &self.index) {
            (Some(Some(seq)), _) => self.wal.vector(*seq, id),
            (Some(None), _) | (None, None) => Ok(None),
            (None, Some(index)) => index.vector(id),
        }
    }
}
