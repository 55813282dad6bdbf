//! The damaged directory: opened in spite of what is wrong, and read part by part.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::{Lost, rows};
use crate::collection::load_each;
use crate::index::VectorIndex;
use crate::metadata::RecordReader;
use crate::queue::{Operation, Overlay, QueueReader, QueueRow};
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
    pub(super) fn open(dir: &Path, lost: &mut Vec<Lost>) -> StoreResult<Self> {
        for beside in connection::side_files(dir) {
            lost.push(Lost {
                collection: None,
                id: None,
                reason: format!(
                    "{} was not looked at: what it would undo or add is not in the saved records",
                    beside.display()
                ),
                left: None,
            });
        }
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

    fn damaged(&self, detail: &str) -> StoreError {
        StoreError::Damaged {
            path: self.path.clone(),
            detail: detail.to_owned(),
        }
    }

    /// Each collection, or why it cannot be read.
    pub(super) fn collections(&self) -> StoreResult<Vec<(FullName, StoreResult<Collection>)>> {
        load_each(&self.connection, &self.path, self.level)
    }

    /// All records that can be read.
    pub(super) fn records(&self, lost: &mut Vec<Lost>) -> StoreResult<Vec<Record>> {
        let columns = ["embeddings", "id", "segment_id, embedding_id"];
        let rows = rows::all(&self.connection, columns, |row| {
            Ok(Record {
                row: row.get(0)?,
                segment: row.get(1)?,
                id: row.get(2)?,
            })
        })
        .map_err(StoreError::sqlite(&self.path, "read the records"))?;
        if tell_of("embeddings", &rows.gaps, lost) {
            self.misses_records.set(true);
        }
        Ok(rows.found)
    }

    /// Where the metadata of each record is.
    pub(super) fn metadata(&self, lost: &mut Vec<Lost>) -> StoreResult<Metadata<'_>> {
        let mut tables = vec!["embedding_metadata"];
        if self.level.has_arrays() {
            tables.push("embedding_metadata_array");
        }
        let mut metadata = Metadata {
            source: self,
            rows: HashMap::new(),
            is_torn: false,
        };
        for table in tables {
            let rows = rows::all(&self.connection, [table, "rowid", "id"], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .map_err(StoreError::sqlite(&self.path, "read the metadata"))?;
            metadata.is_torn |= tell_of(table, &rows.gaps, lost);
            for (row, record) in rows.found {
                metadata.rows.entry(record).or_default().push((table, row));
            }
        }
        Ok(metadata)
    }

    /// The rows of a collection's log that can be read, in order.
    fn log(&self, collection: &Collection, lost: &mut Vec<Lost>) -> Vec<QueueRow> {
        let reader = QueueReader::new(&self.connection, &self.path, collection);
        let columns = ["embeddings_queue", "seq_id", "topic"];
        let topic = collection.topic();
        let numbers = rows::all(&self.connection, columns, |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        });
        let numbers = match numbers {
            Ok(rows) => {
                tell_of("embeddings_queue", &rows.gaps, lost);
                rows.found
            }
            Err(_) => Vec::new(),
        };
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
        let mut logged = Overlay::default();
        for row in self.log(collection, &mut Vec::new()) {
            let Operation {
                kind, id, vector, ..
            } = row.operation;
            logged.apply(kind, id, vector, |id| {
                index.as_ref().is_some_and(|index| index.contains(id))
            });
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
    logged: Overlay<Vec<u8>>,
    /// Why the index files cannot be read.
    pub(super) damage: Option<String>,
}

impl Vectors {
    /// The vector of `id`; the logged one is the user's own, to the bit, and the newer one.
    pub(super) fn of(&self, id: &str) -> Option<Vec<u8>> {
        match self.logged.get(id) {
            Some(Some(vector)) => Some(vector.clone()),
            _ => self.index.as_ref()?.vector(id).ok()?,
        }
    }

    /// Ids that have a vector, are not among `saved`, and were not deleted.
    pub(super) fn others(&self, saved: &HashSet<String>) -> Vec<(String, Vec<u8>)> {
        let indexed = self.index.iter().flat_map(VectorIndex::ids);
        let is_deleted = |id: &str| matches!(self.logged.get(id), Some(None));
        let mut ids: Vec<&str> = indexed
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

/// The metadata of all records, found without an index.
pub(super) struct Metadata<'s> {
    source: &'s Source,
    /// Tables and numbers of the rows of each record.
    rows: HashMap<i64, Vec<(&'static str, i64)>>,
    /// Some rows cannot be read, and nobody knows whose.
    is_torn: bool,
}

impl Metadata<'_> {
    /// Metadata, document and uri of a record.
    pub(super) fn of(&self, record: i64) -> StoreResult<Patch> {
        let rows = self
            .rows
            .get(&record)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if rows.is_empty() && self.is_torn {
            return Err(self.source.damaged("its rows of metadata cannot be read"));
        }
        let reader = RecordReader::new(
            &self.source.connection,
            &self.source.path,
            self.source.level,
        );
        let read = reader.read_rows(rows)?;
        Ok(read
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect())
    }
}

/// Notes what cannot be read of a table; whether there is such.
fn tell_of(table: &str, gaps: &[(i64, i64)], lost: &mut Vec<Lost>) -> bool {
    for (first, last) in gaps {
        let reason = match (*first, *last) {
            (first, last) if first == last => format!("row {first} of {table} cannot be read"),
            (first, i64::MAX) => {
                format!("no row of {table} from {} on can be read", first.max(0))
            }
            (first, last) => format!(
                "rows of {table} from {} to before {last} cannot be read",
                first.max(0)
            ),
        };
        lost.push(Lost {
            collection: None,
            id: None,
            reason,
            left: None,
        });
    }
    !gaps.is_empty()
}
