//! The vectors of a collection: from its log and from index files. The files are its own, or what
//! is left of them, or those in another folder that has its records.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::source::{LogRow, Record, Source};
use crate::index::{VectorIndex, dimension_in};
use crate::wal::{OperationKind, Overlay, log_is_whole};
use crate::{Collection, StoreResult};

/// The vectors that can be read, and their sources.
#[derive(Debug)]
pub(super) struct Vectors {
    indexed: Indexed,
    logged: Overlay<Vec<u8>>,
    bytes: Option<usize>,
}

/// Index files, as far as they can be read.
#[derive(Debug, Default)]
struct Indexed {
    files: Option<VectorIndex>,
    /// What is wrong with them.
    damage: Vec<String>,
    /// The files belong to another segment, or to none.
    are_foreign: bool,
}

/// The dimension of most vectors of a collection, which may differ from the declared one. `others`
/// are the declared dimensions of the other collections: their files may lie in this collection's
/// place.
pub(super) fn dimension(
    source: &Source,
    collection: &Collection,
    ids: &HashSet<&str>,
    others: &HashSet<u32>,
) -> Option<u32> {
    let own = source.folder(collection.vector_segment);
    let of_files = || {
        let found = dimension_in(&own).filter(|found| !others.contains(found));
        found.filter(|_| source.records_in(&own, ids) > 0)
    };
    source
        .logged_dimension(collection)
        .or_else(of_files)
        .or(collection.dimension)
}

impl Vectors {
    /// Finds the vectors of a collection with these records. `is_of_another` says that a folder
    /// surely belongs to another collection.
    ///
    /// # Errors
    /// The machine is at fault, not the files.
    pub(super) fn find(
        source: &Source,
        collection: &Collection,
        log: &[LogRow],
        records: &[&Record],
        is_of_another: impl Fn(&Path) -> bool,
    ) -> StoreResult<Self> {
        let own = source.folder(collection.vector_segment);
        let known: HashSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
        let mut indexed = Indexed::own(&own, collection, &known)?;
        let rows = log.iter().map(|row| &row.operation);
        let in_log: HashSet<&str> = rows
            .filter(|operation| operation.vector.is_some())
            .map(|operation| operation.id.as_str())
            .collect();
        if indexed.files.is_none() && !known.is_subset(&in_log) {
            let others = source.folders().into_iter();
            let others = others.filter(|folder| *folder != own && !is_of_another(folder));
            indexed.take_foreign(source, collection, &known, others);
        }
        Ok(Self {
            logged: logged(source, collection, log, records),
            indexed,
            bytes: collection.vector_bytes(),
        })
    }

    /// What is wrong with the index files.
    pub(super) fn damage(&self) -> &[String] {
        &self.indexed.damage
    }

    /// The vector of `id`. The vector in the log is newer, and the user's own to the bit.
    pub(super) fn of(&self, id: &str) -> Option<Vec<u8>> {
        let vector = match self.logged.get(id) {
            Some(Some(vector)) => Some(vector.clone()),
            _ => self.indexed.files.as_ref()?.vector(id).ok()?,
        };
        vector.filter(|vector| self.bytes.is_none_or(|bytes| bytes == vector.len()))
    }

    /// Whether the vector of `id` has length 1 here because its original length is lost.
    pub(super) fn has_lost_length(&self, id: &str) -> bool {
        let is_logged = matches!(self.logged.get(id), Some(Some(_)));
        let mut files = self.indexed.files.iter();
        !is_logged && files.any(|files| files.has_lost_length(id))
    }

    /// Vectors of ids that are not among `saved` and were not deleted.
    pub(super) fn others(&self, saved: &HashSet<String>) -> Vec<(String, Vec<u8>)> {
        let own = self.indexed.files.iter();
        let own = own.filter(|_| !self.indexed.are_foreign);
        let is_deleted = |id: &str| matches!(self.logged.get(id), Some(None));
        let mut ids: Vec<&str> = own
            .flat_map(VectorIndex::ids)
            .chain(self.logged.ids())
            .filter(|id| !saved.contains(*id) && !is_deleted(id))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter()
            .filter_map(|id| Some((id.to_owned(), self.of(id)?)))
            .collect()
    }
}

/// The vectors that the log gives. If the log is whole, its order decides. Otherwise, an add after
/// the last change of its record was ignored, and every other add made its record.
fn logged(
    source: &Source,
    collection: &Collection,
    log: &[LogRow],
    records: &[&Record],
) -> Overlay<Vec<u8>> {
    let mut logged = Overlay::default();
    let is_whole = log_is_whole(source.database(), collection).unwrap_or(false);
    let touched: HashMap<&str, u64> = records
        .iter()
        .filter_map(|record| Some((record.id.as_str(), record.seq?)))
        .collect();
    for LogRow { seq, operation, .. } in log {
        let last = touched.get(operation.id.as_str());
        let was_ignored = last.is_some_and(|last| last < seq);
        let kind = match operation.kind {
            OperationKind::Add if !is_whole && was_ignored => continue,
            OperationKind::Add if !is_whole => OperationKind::Upsert,
            kind => kind,
        };
        let (id, vector) = (operation.id.clone(), operation.vector.clone());
        logged.apply(kind, id, vector, |_| !is_whole);
    }
    logged
}

impl Indexed {
    fn own(folder: &Path, collection: &Collection, ids: &HashSet<&str>) -> StoreResult<Self> {
        let mut indexed = Self::default();
        let has_records = |files: &VectorIndex| {
            let mut all = files.ids();
            ids.is_empty() || all.any(|id| ids.contains(id))
        };
        match VectorIndex::open_at(folder.to_path_buf(), collection) {
            Ok(None) => {}
            Ok(Some(files)) if has_records(&files) => indexed.files = Some(files),
            Ok(Some(_)) => indexed
                .damage
                .push("they have none of its records".to_owned()),
            Err(error) if error.is_index_damage() => {
                indexed.damage.push(error.to_string());
                let left = VectorIndex::of_remains(folder, collection);
                indexed.files = left.ok().flatten().filter(has_records);
            }
            Err(error) => return Err(error),
        }
        Ok(indexed)
    }

    /// Takes the files of the folder that has most of the records.
    fn take_foreign(
        &mut self,
        source: &Source,
        collection: &Collection,
        ids: &HashSet<&str>,
        folders: impl Iterator<Item = PathBuf>,
    ) {
        let best = folders
            .map(|folder| (source.records_in(&folder, ids), folder))
            .filter(|(count, _)| *count > 0)
            .max();
        let Some((_, folder)) = best else { return };
        if let Ok(Some(files)) = VectorIndex::of_remains(&folder, collection) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            self.damage.push(format!(
                "vectors are taken from the folder {name}, which has its records and may be older"
            ));
            self.files = Some(files);
            self.are_foreign = true;
        }
    }
}
