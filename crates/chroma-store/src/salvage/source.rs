//! The damaged directory: opened in spite of what is wrong, and read part by part.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use uuid::Uuid;

use super::{Lost, rows};
use crate::index::VectorIndex;
use crate::metadata::RecordReader;
use crate::queue::{Operation, QueueReader, QueueRow};
use crate::schema::detect;
use crate::{Collection, Patch, SchemaLevel, StoreError, StoreResult, connection};

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
            lost.push(Lost::part(format!(
                "{} was not looked at: what it would undo or add is not in the saved records",
                beside.display()
            )));
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

    pub(super) fn path(&self) -> &Path {
        &self.path
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

    /// The folder of a segment's index files.
    pub(super) fn folder(&self, segment: Uuid) -> PathBuf {
        self.dir.join(segment.to_string())
    }

    /// All folders, whoever names them.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        folders.sort_unstable();
        folders
    }

    /// How many of these records have a vector in the index files of a folder.
    pub(super) fn records_in(&self, folder: &Path, ids: &HashSet<&str>) -> usize {
        let indexed = VectorIndex::ids_in(folder);
        indexed
            .iter()
            .filter(|id| ids.contains(id.as_str()))
            .count()
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
        if rows::tell_of("embeddings", &rows.gaps, lost) {
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
            metadata.is_torn |= rows::tell_of(table, &rows.gaps, lost);
            for (row, record) in rows.found {
                metadata.rows.entry(record).or_default().push((table, row));
            }
        }
        Ok(metadata)
    }

    /// The rows of a collection's log that can be read, in order.
    pub(super) fn log(&self, collection: &Collection, lost: &mut Vec<Lost>) -> Vec<QueueRow> {
        let reader = QueueReader::new(&self.connection, &self.path, collection);
        let topic = collection.topic();
        let numbers = rows::table(
            self,
            ["embeddings_queue", "topic"],
            &mut Vec::new(),
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
        );
        let mut log = Vec::new();
        for (seq, _) in numbers.into_iter().filter(|(_, of)| *of == topic) {
            match reader.row(seq) {
                Ok(Some(row)) => log.push(row),
                Ok(None) => {}
                Err(error) => lost.push(Lost {
                    collection: Some(collection.name.to_string()),
                    ..Lost::part(error.to_string())
                }),
            }
        }
        log
    }

    /// Bytes of the vectors that a collection's log has; where they differ, of most of them.
    pub(super) fn logged_dimension(&self, collection: &Collection) -> Option<u32> {
        let topic = collection.topic();
        let columns = ["embeddings_queue", "topic, length(vector) / 4"];
        let lengths = rows::table(self, columns, &mut Vec::new(), |row| {
            Ok((row.get::<_, String>(1)?, row.get::<_, Option<u32>>(2)?))
        });
        let mut votes: HashMap<u32, usize> = HashMap::new();
        for (_, length) in lengths.into_iter().filter(|(of, _)| *of == topic) {
            *votes.entry(length.unwrap_or(0)).or_default() += 1;
        }
        votes.remove(&0);
        let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
        most.map(|(length, _)| length)
    }

    /// Notes what cannot be read of the log, which all collections share.
    pub(super) fn tell_of_the_log(&self, lost: &mut Vec<Lost>) {
        rows::table(self, ["embeddings_queue", "topic"], lost, |row| {
            row.get::<_, String>(1)
        });
    }
}

/// What the log has that the records do not have yet; `everything` where nobody knows what they
/// had.
pub(super) fn log_to_apply(
    collection: &Collection,
    log: Vec<QueueRow>,
    everything: bool,
) -> Vec<Operation> {
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
