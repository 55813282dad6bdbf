//! Searches a directory as a reader would: the index files, and the vectors that wait in the log.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::OptionalExtension;
use serde::Serialize;

use crate::collection::{find, load_all};
use crate::database::OpenDatabase;
use crate::index::{IndexFiles, MemoryIndex, as_stored};
use crate::records::DOCUMENT_KEY;
use crate::wal::{Overlay, WalReader};
use crate::{Collection, Space, StoreError, StoreResult, Which, connection};

/// What a search compares records with.
#[derive(Debug, Clone, PartialEq)]
pub enum Like {
    /// The record with this id. The search finds the record itself too.
    Id(String),
    /// A vector as a user gives it: not normalised, one element per dimension.
    Vector(Vec<f32>),
}

/// A record that a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbour {
    /// The id of the record.
    pub id: String,
    /// Its distance from the query in the collection's space, as chromadb computes it.
    pub distance: f32,
    /// Its document; `None` if it has none.
    pub document: Option<String>,
}

/// A collection of a directory, open for searches. It never writes.
#[derive(Debug)]
pub struct Searcher {
    db: OpenDatabase,
    collection: Collection,
    index: Option<MemoryIndex>,
    /// The id of each element; `None` for delete-marked ones.
    ids: Vec<Option<String>>,
    waiting: Overlay<Vec<u8>>,
}

impl Searcher {
    /// Opens the collection of the directory `dir` that `which` names, and loads its index into
    /// memory.
    ///
    /// # Errors
    /// `dir` is not a closed Chroma directory or is damaged, no collection fits
    /// (`CollectionMissing`), several do (`CollectionAmbiguous`), or index files are damaged.
    pub fn open<'a>(dir: &Path, which: impl Into<Which<'a>>) -> StoreResult<Self> {
        let connection = connection::open_read(dir)?;
        let path = connection::database_path(dir);
        // Until the files are read, no process can commit a flush that replaces them.
        connection
            .execute_batch("BEGIN")
            .map_err(StoreError::sqlite(&path, "begin reading"))?;
        let db = OpenDatabase::of(connection, dir)?;
        let collections = load_all(db.get())?;
        let collection = find(&collections, which.into(), dir)?.clone();
        let files = IndexFiles::open(dir, &collection)?;
        let seen = files
            .as_ref()
            .map_or(0, |files| files.progress(&collection));
        let mut waiting = Overlay::default();
        WalReader::new(db.get(), &collection).for_each_vector(
            seen,
            u64::MAX,
            |_, kind, id, vector| {
                waiting.apply(kind, id, vector, |id| {
                    files.as_ref().is_some_and(|files| files.contains(id))
                });
                Ok(())
            },
        )?;
        let index = files.map(|files| files.load(0)).transpose()?;
        db.get()
            .connection
            .execute_batch("COMMIT")
            .map_err(db.get().failed("end reading"))?;
        let mut ids = vec![None; index.as_ref().map_or(0, |index| index.graph.len() as usize)];
        for (id, element) in index.iter().flat_map(|index| &index.elements) {
            ids[*element as usize] = Some(id.clone());
        }
        Ok(Self {
            db,
            collection,
            index,
            ids,
            waiting,
        })
    }

    /// The collection that the searches run in.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// Finds the `k` records nearest to `like`, nearest first. The search keeps `ef` candidates;
    /// `None` for the collection's own number.
    ///
    /// # Errors
    /// `Query`: no record has the id, or the vector does not fit the collection. The documents
    /// cannot be read.
    pub fn nearest(&self, like: &Like, k: usize, ef: Option<usize>) -> StoreResult<Vec<Neighbour>> {
        let query = self.stored_query(like)?;
        let ef = ef.unwrap_or(self.collection.config.ef_search as usize);
        let mut found: HashMap<&str, f32> = HashMap::new();
        if let Some(index) = &self.index {
            // The search finds vectors without a record too, and the loop below drops them.
            let enough = k + self.without_record()?;
            let wanted = |element: u32| match &self.ids[element as usize] {
                Some(id) => !self.waiting.changes(id),
                None => false,
            };
            let mut scratch = index.graph.scratch();
            for one in index.graph.search(&query, enough, ef, wanted, &mut scratch) {
                if let Some(id) = &self.ids[one.element as usize] {
                    found.insert(id, one.distance);
                }
            }
        }
        for id in self.waiting.ids() {
            if let Some(Some(bytes)) = self.waiting.get(id) {
                let (vector, _) = as_stored(&floats(bytes), self.collection.config.space);
                found.insert(id, distance(&query, &vector, self.collection.config.space));
            }
        }
        let mut found: Vec<(&str, f32)> = found.into_iter().collect();
        found.sort_unstable_by(|(left_id, left), (right_id, right)| {
            left.total_cmp(right).then(left_id.cmp(right_id))
        });
        let mut neighbours = Vec::with_capacity(k.min(found.len()));
        for (id, distance) in found {
            if neighbours.len() == k {
                break;
            }
            if let Some(document) = self.document(id)? {
                neighbours.push(Neighbour {
                    id: id.to_owned(),
                    distance,
                    document,
                });
            }
        }
        Ok(neighbours)
    }

    /// The query vector, in the form of stored vectors.
    fn stored_query(&self, like: &Like) -> StoreResult<Vec<f32>> {
        let wrong = |detail: String| StoreError::Query {
            collection: self.collection.name.to_string(),
            detail,
        };
        let space = self.collection.config.space;
        match like {
            Like::Vector(vector) => {
                if let Some(dimension) = self.collection.dimension
                    && vector.len() != dimension as usize
                {
                    return Err(wrong(format!(
                        "the vector has {} elements, the collection's have {dimension}",
                        vector.len()
                    )));
                }
                if let Some(at) = vector.iter().position(|element| !element.is_finite()) {
                    return Err(wrong(format!("vector element {at} is not a finite number")));
                }
                Ok(as_stored(vector, space).0)
            }
            Like::Id(id) => {
                let waiting = match self.waiting.get(id) {
                    Some(Some(bytes)) => Some(as_stored(&floats(bytes), space).0),
                    Some(None) => None,
                    None => self.index.as_ref().and_then(|index| {
                        let element = index.elements.get(id)?;
                        Some(index.graph.vector(*element).to_vec())
                    }),
                };
                waiting.ok_or_else(|| wrong(format!("there is no record `{id}`")))
            }
        }
    }

    /// An upper bound on the number of vectors without a record.
    fn without_record(&self) -> StoreResult<usize> {
        let records: usize = self
            .db
            .get()
            .connection
            .query_row(
                "SELECT count(*) FROM embeddings WHERE segment_id = ?1",
                [self.collection.metadata_segment.to_string()],
                |row| row.get(0),
            )
            .map_err(self.db.get().failed("count the records"))?;
        let indexed = self.index.as_ref().map_or(0, |index| index.elements.len());
        Ok((indexed + self.waiting.vectors()).saturating_sub(records))
    }

    /// The document of a record: `None` if there is no such record, `Some(None)` if the record has
    /// no document.
    fn document(&self, id: &str) -> StoreResult<Option<Option<String>>> {
        self.db
            .get()
            .connection
            .prepare_cached(
                "SELECT m.string_value FROM embeddings e
                 LEFT JOIN embedding_metadata m ON m.id = e.id AND m.key = ?3
                 WHERE e.segment_id = ?1 AND e.embedding_id = ?2",
            )
            .and_then(|mut statement| {
                let segment = self.collection.metadata_segment.to_string();
                statement
                    .query_row([segment.as_str(), id, DOCUMENT_KEY], |row| row.get(0))
                    .optional()
            })
            .map_err(self.db.get().failed("read a document"))
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (elements, _) = bytes.as_chunks::<4>();
    elements
        .iter()
        .map(|element| f32::from_le_bytes(*element))
        .collect()
}

/// The distance to one of the few vectors that no graph has.
fn distance(left: &[f32], right: &[f32], space: Space) -> f32 {
    let pairs = left.iter().zip(right);
    match space {
        Space::L2 => pairs.map(|(a, b)| (a - b) * (a - b)).sum(),
        Space::Ip | Space::Cosine => 1.0 - pairs.map(|(a, b)| a * b).sum::<f32>(),
    }
}
