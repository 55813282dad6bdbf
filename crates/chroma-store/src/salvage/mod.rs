//! Saves what can still be read of a damaged directory into a new one, and lists what is lost.
//!
//! Reading goes row by row: one that SQLite cannot give does not hide the others. Nothing is written
//! to the damaged directory.

mod rows;
mod source;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Serialize;

use crate::schema::create_with;
use crate::{
    Collection, FoldOptions, FullName, Kind, NewIds, Open, Operation, OperationKind, Patch, Store,
    StoreError, StoreResult,
};

use source::{Metadata, Record, Source};

/// Operations that are written at once.
const BATCH: usize = 500;

/// Something that could not be saved, or not as a whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lost {
    /// The collection, where that is known.
    pub collection: Option<String>,
    /// The record, where that is known.
    pub id: Option<String>,
    /// Why.
    pub reason: String,
    /// What is left of the record, as JSON: with a vector it can be added again.
    pub left: Option<serde_json::Value>,
}

/// What came of it.
#[derive(Debug)]
pub struct Salvaged {
    /// The new directory, still open.
    pub store: Store<Open>,
    /// Records that were saved, per collection.
    pub saved: BTreeMap<FullName, u64>,
    /// What was not.
    pub lost: Vec<Lost>,
}

/// Saves what can be read of the directory `dir` into the new directory `out`. `ids` gives
/// identifiers for each collection.
///
/// # Errors
/// Not even the collections can be read, or `out` cannot be written.
pub fn salvage(dir: &Path, out: &Path, mut ids: impl FnMut() -> NewIds) -> StoreResult<Salvaged> {
    let mut lost = Vec::new();
    let source = Source::open(dir, &mut lost)?;
    let mut collections = Vec::new();
    for (name, collection) in source.collections()? {
        match collection {
            Ok(collection) => collections.push((collection, ids())),
            Err(error) => lost.push(Lost {
                collection: Some(name.to_string()),
                id: None,
                reason: error.to_string(),
                left: None,
            }),
        }
    }
    let mut store = create_with(out, source.connection(), source.level(), &collections)?;
    let records = source.records(&mut lost)?;
    let metadata = source.metadata(&mut lost)?;
    let mut saved = BTreeMap::new();
    for (collection, _) in &collections {
        let mut rescue = Rescue {
            store: &mut store,
            collection,
            lost: &mut lost,
            waiting: Vec::new(),
            saved: HashSet::new(),
            bare: BTreeMap::new(),
        };
        rescue.all(&source, &records, &metadata)?;
        let count = rescue.saved.len() as u64;
        saved.insert(collection.name.clone(), count);
        store.fold(&collection.name, FoldOptions::default())?;
    }
    Ok(Salvaged { store, saved, lost })
}

/// The rescue of one collection.
struct Rescue<'r> {
    store: &'r mut Store<Open>,
    collection: &'r Collection,
    lost: &'r mut Vec<Lost>,
    waiting: Vec<Operation>,
    saved: HashSet<String>,
    /// Records that were saved without metadata, and why.
    bare: BTreeMap<String, String>,
}

impl Rescue<'_> {
    fn all(
        &mut self,
        source: &Source,
        records: &[Record],
        metadata: &Metadata<'_>,
    ) -> StoreResult<()> {
        let vectors = source.vectors(self.collection);
        if let Some(reason) = &vectors.damage {
            self.lose(None, format!("index files: {reason}"), None);
        }
        let segment = self.collection.metadata_segment.to_string();
        let own = records.iter().filter(|record| record.segment == segment);
        for record in own {
            let (patch, damage) = match metadata.of(record.row) {
                Ok(patch) => (patch, None),
                Err(error) => (Patch::new(), Some(error.to_string())),
            };
            let Some(vector) = vectors.of(&record.id) else {
                let left = as_json(&patch);
                self.lose(
                    Some(&record.id),
                    "its vector is lost".to_owned(),
                    Some(left),
                );
                continue;
            };
            if let Some(damage) = damage {
                self.bare.insert(record.id.clone(), damage);
            }
            self.put(Operation {
                kind: OperationKind::Upsert,
                id: record.id.clone(),
                vector: Some(vector),
                patch,
            })?;
        }
        self.flush()?;
        // What was accepted and never applied, and what is left of records that cannot be read.
        let everything = source.misses_records() || !self.bare.is_empty();
        for mut operation in source.log_to_apply(self.collection, everything, self.lost) {
            if operation.kind == OperationKind::Add && self.bare.remove(&operation.id).is_some() {
                // The log still has what the record has lost.
                operation.kind = OperationKind::Upsert;
            }
            self.put(operation)?;
        }
        self.flush()?;
        for (id, damage) in std::mem::take(&mut self.bare) {
            let reason = format!("saved without metadata and document: {damage}");
            self.lose(Some(&id), reason, None);
        }
        if source.misses_records() {
            for (id, vector) in vectors.others(&self.saved) {
                let reason = "saved without metadata and document: its record cannot be read";
                self.lose(Some(&id), reason.to_owned(), None);
                self.put(Operation {
                    kind: OperationKind::Upsert,
                    id,
                    vector: Some(vector),
                    patch: Patch::new(),
                })?;
            }
        }
        self.flush()
    }

    fn put(&mut self, operation: Operation) -> StoreResult<()> {
        self.waiting.push(operation);
        if self.waiting.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what waits; where that fails, one after the other.
    fn flush(&mut self) -> StoreResult<()> {
        let batch = std::mem::take(&mut self.waiting);
        match self.store.write(&self.collection.name, batch.clone()) {
            Ok(_) => batch.iter().for_each(|operation| self.note(operation)),
            Err(error) if is_of_the_machine(&error) => return Err(error),
            Err(_) => {
                for operation in batch {
                    let written = self.store.write(&self.collection.name, [operation.clone()]);
                    match written {
                        Ok(_) => self.note(&operation),
                        Err(error) if is_of_the_machine(&error) => return Err(error),
                        Err(error) => {
                            let left = as_json(&operation.patch);
                            self.lose(Some(&operation.id), error.to_string(), Some(left));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, operation: &Operation) {
        match operation.kind {
            OperationKind::Delete => drop(self.saved.remove(&operation.id)),
            OperationKind::Update => {}
            _ => drop(self.saved.insert(operation.id.clone())),
        }
    }

    fn lose(&mut self, id: Option<&str>, reason: String, left: Option<serde_json::Value>) {
        self.lost.push(Lost {
            collection: Some(self.collection.name.to_string()),
            id: id.map(str::to_owned),
            reason,
            left,
        });
    }
}

fn is_of_the_machine(error: &StoreError) -> bool {
    error.kind() != Kind::BadInput
}

fn as_json(patch: &Patch) -> serde_json::Value {
    patch
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_ref()?.to_json())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
