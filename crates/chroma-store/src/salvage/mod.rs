//! Saves what can still be read of a damaged directory into a new one, and lists what is lost.
//!
//! It reads row by row, so that a row that SQLite cannot return does not hide the others. It never
//! writes to the damaged directory.

mod collections;
mod rows;
mod source;
mod vectors;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::Serialize;

use crate::create::create_with;
use crate::{
    Collection, FlushOptions, FullName, Kind, NewIds, Open, Operation, OperationKind, Patch, Store,
    StoreError, StoreResult,
};

use source::{LogRow, Metadata, Record, Source, log_to_apply};
use vectors::{Vectors, dimension};

/// Operations of one transaction.
const BATCH: usize = 500;

/// Something that could not be saved, or only in part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lost {
    /// The full name of the collection; `None` if it is not known.
    pub collection: Option<String>,
    /// The id of the record; `None` if it is not known.
    pub id: Option<String>,
    /// Why it is lost.
    pub reason: String,
    /// What is left of the record, as a JSON object of its metadata. With a vector it can be added
    /// again.
    pub left: Option<serde_json::Value>,
}

impl Lost {
    /// A loss that concerns a part of the directory.
    fn part(reason: String) -> Self {
        Self {
            collection: None,
            id: None,
            reason,
            left: None,
        }
    }
}

/// The result of [`salvage`].
#[derive(Debug)]
pub struct Salvaged {
    /// The new directory, open.
    pub store: Store<Open>,
    /// Number of saved records, by collection.
    pub saved: BTreeMap<FullName, u64>,
    /// What could not be saved.
    pub lost: Vec<Lost>,
}

/// Saves what can be read of the directory `dir` into the new directory `out`. `ids` makes the ids
/// of each new collection.
///
/// # Errors
/// Not even the collections can be read, or `out` cannot be written.
pub fn salvage(dir: &Path, out: &Path, mut ids: impl FnMut() -> NewIds) -> StoreResult<Salvaged> {
    let mut lost = Vec::new();
    let source = Source::open(dir, &mut lost)?;
    let records = source.records(&mut lost);
    let mut of_segments: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in &records {
        let of_segment = of_segments.entry(&record.segment).or_default();
        of_segment.push(record);
    }
    let mut collections = Vec::new();
    for like in collections::read(&source, &records, &mut lost)? {
        collections.push((like, ids()));
    }
    let mut store = create_with(
        out,
        source.connection(),
        source.database().level,
        &collections,
    )?;
    let metadata = source.metadata(&mut lost);
    source.tell_of_the_log(&mut lost);
    source.tell_of_indexes(&mut lost);
    let mut taken = Vec::new();
    let declared: Vec<_> = collections
        .iter()
        .map(|(like, _)| (like.collection.id, like.collection.dimension))
        .collect();
    for (like, _) in &mut collections {
        let others = declared.iter().filter(|(id, _)| *id != like.collection.id);
        let others: HashSet<u32> = others.filter_map(|(_, dimension)| *dimension).collect();
        let segment = like.collection.metadata_segment.to_string();
        let own = of_segments.remove(segment.as_str()).unwrap_or_default();
        let ids: HashSet<&str> = own.iter().map(|record| record.id.as_str()).collect();
        like.collection.dimension = dimension(&source, &like.collection, &ids, &others);
        taken.push((&like.collection, own, ids));
    }
    let mut saved = BTreeMap::new();
    for (collection, own, _) in &taken {
        let is_of_another = |folder: &Path| {
            taken.iter().any(|(other, _, ids)| {
                other.id != collection.id
                    && source.folder(other.vector_segment) == folder
                    && source.records_in(folder, ids) > 0
            })
        };
        let log = source.log(collection, &mut lost);
        let vectors = Vectors::find(&source, collection, &log, own, is_of_another)?;
        let mut rescue = Rescue {
            store: &mut store,
            collection,
            lost: &mut lost,
            waiting: Vec::new(),
            saved: HashSet::new(),
            bare: BTreeMap::new(),
        };
        rescue.all(&source, own, &metadata, &vectors, log)?;
        let count = rescue.saved.len() as u64;
        saved.insert(collection.name.clone(), count);
        store.flush(&collection.name, FlushOptions::default())?;
    }
    for (segment, records) in of_segments {
        for record in records {
            lost.push(Lost {
                id: Some(record.id.clone()),
                left: Some(as_json(&metadata.of(record.row).0)),
                ..Lost::part(format!("no collection has its segment {segment}"))
            });
        }
    }
    Ok(Salvaged { store, saved, lost })
}

/// Saves one collection.
struct Rescue<'r> {
    store: &'r mut Store<Open>,
    collection: &'r Collection,
    lost: &'r mut Vec<Lost>,
    waiting: Vec<Operation>,
    saved: HashSet<String>,
    /// Records that were saved without some of their metadata or document, with the reason.
    bare: BTreeMap<String, String>,
}

impl Rescue<'_> {
    fn all(
        &mut self,
        source: &Source,
        records: &[&Record],
        metadata: &Metadata<'_>,
        vectors: &Vectors,
        log: Vec<LogRow>,
    ) -> StoreResult<()> {
        for damage in vectors.damage() {
            self.lose(None, format!("index files: {damage}"), None);
        }
        for record in records {
            let (patch, unread) = metadata.of(record.row);
            let Some(vector) = vectors.of(&record.id) else {
                let left = as_json(&patch);
                self.lose(
                    Some(&record.id),
                    "its vector is lost".to_owned(),
                    Some(left),
                );
                continue;
            };
            if vectors.has_lost_length(&record.id) {
                let reason = "saved with a vector of length 1: its own length is lost";
                self.lose(Some(&record.id), reason.to_owned(), None);
            }
            if let Some(unread) = unread {
                self.bare.insert(record.id.clone(), unread);
            }
            self.put(Operation {
                kind: OperationKind::Upsert,
                id: record.id.clone(),
                vector: Some(vector),
                patch,
            })?;
        }
        self.flush()?;
        // Operations that chromadb accepted and never applied, and what the log has of unreadable
        // records.
        let everything = source.misses_records() || !self.bare.is_empty();
        for LogRow {
            mut operation,
            torn,
            ..
        } in log_to_apply(self.collection, log, everything)
        {
            if let Some(torn) = torn {
                let reason = format!("saved without the metadata of its log row: {torn}");
                self.lose(Some(&operation.id), reason, None);
            }
            if operation.kind == OperationKind::Add && self.bare.remove(&operation.id).is_some() {
                // The log still has what the record lost.
                operation.kind = OperationKind::Upsert;
            }
            self.put(operation)?;
        }
        self.flush()?;
        for (id, unread) in std::mem::take(&mut self.bare) {
            let reason = format!("saved without what cannot be read: {unread}");
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

    /// Writes the waiting operations; if that fails, one by one.
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
