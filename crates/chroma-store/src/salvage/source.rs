//! The damaged directory: opened in spite of what is wrong, and read part by part.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{Lost, rows};
use crate::collection::load_each;
use crate::index::VectorIndex;
use crate::metadata::RecordReader;
use crate::queue::{Operation, OperationKind, QueueReader, QueueRow};
use crate::schema::detect;
use crate::{Collection, FullName, Patch, SchemaLevel, StoreError, StoreResult, connection};

/// A record of any collection.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) row: i64,
    pub(super) segment: String,
    pub(super) id: String,
}

pub(super) struct Source {
    dir: PathBuf,
    path: PathBuf,
    connection: Connection,
    level: SchemaLevel,
    /// Rows of records could not be read.
    misses_records: Cell<bool>,
}

impl Source {
    pub(super) fn open(dir: &Path) -> StoreResult<Self> {
        let connection = connection::open_damaged(dir)?;
        let path = connection::database_path(dir);
        let level = detect(&connection, &path)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            path,
            connection,
            level,
            misses_records: Cell::new(false),
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn level(&self) -> SchemaLevel {
        self.level
    }

    pub(super) fn misses_records(&self) -> bool {
        self.misses_records.get()
    }

    /// Each collection, or why it cannot be read.
    pub(super) fn collections(&self) -> StoreResult<Vec<(FullName, StoreResult<Collection>)>> {
        load_each(&self.connection, &self.path, self.level)
    }

    /// All records that can be read.
    pub(super) fn records(&self, lost: &mut Vec<Lost>) -> StoreResult<Vec<Record>> {
        let columns = ["embeddings", "id", "id, segment_id, embedding_id"];
        let rows = rows::all(&self.connection, columns, |row| {
            Ok(Record {
                row: row.get(0)?,
                segment: row.get(1)?,
                id: row.get(2)?,
            })
        })
        .map_err(StoreError::sqlite(&self.path, "read the records"))?;
        if rows.unreadable > 0 {
            self.misses_records.set(true);
            lost.push(Lost {
                collection: None,
                id: None,
                reason: format!("{} rows of embeddings cannot be read", rows.unreadable),
                left: None,
            });
        }
        Ok(rows.found)
    }

    /// Metadata, document and uri of a record.
    pub(super) fn metadata(&self, row: i64) -> StoreResult<Patch> {
        let reader = RecordReader::new(&self.connection, &self.path, self.level);
        let read = reader.read(row)?;
        Ok(read
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect())
    }

    /// The rows of a collection's log that can be read, in order.
    fn log(&self, collection: &Collection, lost: &mut Vec<Lost>) -> Vec<QueueRow> {
        let reader = QueueReader::new(&self.connection, &self.path, collection);
        let columns = ["embeddings_queue", "seq_id", "seq_id, topic"];
        let topic = collection.topic();
        let numbers = rows::all(&self.connection, columns, |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        });
        let numbers = numbers.map(|rows| rows.found).unwrap_or_default();
        let mut log = Vec::new();
        for (seq, _) in numbers.into_iter().filter(|(_, of)| *of == topic) {
            match reader.row(seq) {
                Ok(Some(row)) => log.push(row),
                Ok(None) => {}
                Err(error) => lost.push(Lost {
                    collection: Some(collection.name.to_string()),
                    id: None,
                    reason: error.to_string(),
                    left: None,
                }),
            }
        }
        log
    }

    /// What the log has that the records do not have yet; `everything` where nobody knows what they
    /// had.
    pub(super) fn log_to_apply(
        &self,
        collection: &Collection,
        everything: bool,
        lost: &mut Vec<Lost>,
    ) -> Vec<Operation> {
        let log = self.log(collection, lost);
        let last = log
            .last()
            .and_then(|row| u64::try_from(row.seq).ok())
            .unwrap_or(0);
        // Progress beyond the log says nothing: all of it is applied once more.
        let applied = collection
            .metadata_seq
            .filter(|seq| *seq <= last)
            .unwrap_or(0);
        let everything = everything || applied == 0;
        log.into_iter()
            .filter(|row| everything || u64::try_from(row.seq).is_ok_and(|seq| seq > applied))
            .map(|row| row.operation)
            .collect()
    }

    /// The vectors of a collection, from index files and log.
    pub(super) fn vectors(&self, collection: &Collection) -> Vectors {
        let (index, damage) = match VectorIndex::open(&self.dir, collection) {
            Ok(index) => (index, None),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut logged = HashMap::new();
        for row in self.log(collection, &mut Vec::new()) {
            let Operation {
                kind, id, vector, ..
            } = row.operation;
            match (kind, vector) {
                (OperationKind::Delete, _) => drop(logged.remove(&id)),
                (OperationKind::Add, Some(vector)) => drop(logged.entry(id).or_insert(vector)),
                (_, Some(vector)) => drop(logged.insert(id, vector)),
                (_, None) => {}
            }
        }
        Vectors {
            index,
            logged,
            damage,
        }
    }
}

pub(super) struct Vectors {
    index: Option<VectorIndex>,
    logged: HashMap<String, Vec<u8>>,
    /// Why the index files cannot be read.
    pub(super) damage: Option<String>,
}

impl Vectors {
    /// The vector of `id`; the logged one is the user's own, to the bit, and the newer one.
    pub(super) fn of(&self, id: &str) -> Option<Vec<u8>> {
        let indexed = || self.index.as_ref()?.vector(id).ok()?;
        self.logged.get(id).cloned().or_else(indexed)
    }

    /// Ids that have a vector and are not among `saved`.
    pub(super) fn others(&self, saved: &HashSet<String>) -> Vec<(String, Vec<u8>)> {
        let indexed = self.index.iter().flat_map(VectorIndex::ids);
        let mut ids: Vec<&str> = indexed
            .chain(self.logged.keys().map(String::as_str))
            .filter(|id| !saved.contains(*id))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter()
            .filter_map(|id| Some((id.to_owned(), self.of(id)?)))
            .collect()
    }
}
