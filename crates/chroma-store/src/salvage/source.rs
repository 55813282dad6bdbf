//! The damaged directory: opened in spite of its faults, and read part by part.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use uuid::Uuid;

use super::{Lost, rows};
use crate::collection::decode_seq;
use crate::database::Database;
use crate::index::VectorIndex;
use crate::records::RecordReader;
use crate::schema::{detect, level_of_columns};
use crate::sqlite_indexes::only_indexes_know;
use crate::wal::{Operation, WalReader};
use crate::{Collection, DOCUMENT_KEY, Patch, Scalar, SchemaLevel, StoreResult, connection};

/// A record of any collection.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) row: i64,
    pub(super) segment: String,
    pub(super) id: String,
    /// The last operation that changed it, if that can be read.
    pub(super) seq: Option<u64>,
}

/// A row of the log.
#[derive(Debug)]
pub(super) struct LogRow {
    pub(super) seq: u64,
    pub(super) operation: Operation,
    /// Why its metadata cannot be read; `None` if it can.
    pub(super) torn: Option<String>,
}

pub(super) struct Source {
    dir: PathBuf,
    connection: Connection,
    level: SchemaLevel,
    /// Whether rows of records could not be read.
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
        let level = match detect(&connection, &path) {
            // The columns tell the level if the migrations do not.
            Err(error) if !error.is_of_machine() => level_of_columns(&connection).ok_or(error)?,
            level => level?,
        };
        Ok(Self {
            dir: dir.to_path_buf(),
            connection,
            level,
            misses_records: Cell::new(false),
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn database(&self) -> Database<'_> {
        Database {
            connection: &self.connection,
            dir: &self.dir,
            level: self.level,
        }
    }

    pub(super) fn misses_records(&self) -> bool {
        self.misses_records.get()
    }

    /// The folder of a segment's index files.
    pub(super) fn folder(&self, segment: Uuid) -> PathBuf {
        self.dir.join(segment.to_string())
    }

    /// All folders of the directory, whether a segment names them or not.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect();
        folders.sort_unstable();
        folders
    }

    /// How many of these records have a vector in the index files of `folder`.
    pub(super) fn records_in(&self, folder: &Path, ids: &HashSet<&str>) -> usize {
        let indexed = VectorIndex::ids_in(folder);
        indexed
            .iter()
            .filter(|id| ids.contains(id.as_str()))
            .count()
    }

    /// Reads all records that can be read.
    pub(super) fn records(&self, lost: &mut Vec<Lost>) -> Vec<Record> {
        let columns = ["embeddings", "segment_id, embedding_id, seq_id"];
        let noted = lost.len();
        let found = rows::table(&self.connection, columns, lost, |row| {
            Ok(Record {
                row: row.get(0)?,
                segment: row.get(1)?,
                id: row.get(2)?,
                seq: decode_seq(row.get_ref(3)?).ok(),
            })
        });
        self.misses_records.set(lost.len() > noted);
        let known: HashSet<i64> = found.iter().map(|record| record.row).collect();
        let indexed = self.records_of_index().unwrap_or_default();
        let rescued = indexed.into_iter().filter(|one| !known.contains(&one.row));
        let rescued: Vec<Record> = rescued.collect();
        if !rescued.is_empty() {
            lost.push(Lost::part(format!(
                "{} records are not in their table any more: an index names them, and they are saved as that says",
                rescued.len()
            )));
        }
        found.into_iter().chain(rescued).collect()
    }

    /// The records by the index of their ids, which also has their row numbers.
    fn records_of_index(&self) -> rusqlite::Result<Vec<Record>> {
        let sql = "SELECT rowid, segment_id, embedding_id
                   FROM embeddings INDEXED BY sqlite_autoindex_embeddings_1";
        let mut statement = self.connection.prepare(sql)?;
        let records = statement.query_map([], |row| {
            Ok(Record {
                row: row.get(0)?,
                segment: row.get(1)?,
                id: row.get(2)?,
                seq: None,
            })
        })?;
        records.collect()
    }

    /// Notes entries that indexes have and their tables lack.
    pub(super) fn tell_of_indexes(&self, lost: &mut Vec<Lost>) {
        let known = only_indexes_know(&self.connection).unwrap_or_default();
        let others = known.iter().filter(|known| known.table != "embeddings");
        lost.extend(others.map(|known| Lost::part(known.to_string())));
    }

    /// Finds the metadata rows of each record.
    pub(super) fn metadata(&self, lost: &mut Vec<Lost>) -> Metadata<'_> {
        let mut tables = vec!["embedding_metadata"];
        if self.level.has_arrays() {
            tables.push("embedding_metadata_array");
        }
        let mut metadata = Metadata {
            source: self,
            rows: HashMap::new(),
            texts: self.texts(),
            is_torn: false,
        };
        for table in tables {
            let noted = lost.len();
            let found = rows::table(&self.connection, [table, "id"], lost, |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            });
            metadata.is_torn |= lost.len() > noted;
            for (row, record) in found {
                metadata.rows.entry(record).or_default().push((table, row));
            }
        }
        metadata
    }

    /// The documents in the full text, by the row numbers of their records.
    fn texts(&self) -> HashMap<i64, String> {
        let columns = ["embedding_fulltext_search_content", "id, c0"];
        let texts = rows::table(&self.connection, columns, &mut Vec::new(), |row| {
            Ok((row.get::<_, i64>(1)?, row.get::<_, Option<String>>(2)?))
        });
        texts
            .into_iter()
            .filter_map(|(row, text)| Some((row, text?)))
            .collect()
    }

    /// Reads the readable rows of a collection's log, in order.
    pub(super) fn log(&self, collection: &Collection, lost: &mut Vec<Lost>) -> Vec<LogRow> {
        let reader = WalReader::new(self.database(), collection);
        let topic = collection.topic();
        let numbers = rows::table(
            &self.connection,
            ["embeddings_queue", "topic"],
            &mut Vec::new(),
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)),
        );
        let mut log = Vec::new();
        for (seq, _) in numbers.into_iter().filter(|(_, of)| *of == topic) {
            let (row, torn) = match reader.row(seq) {
                Err(error) => (reader.row_without_payload(seq), Some(error.to_string())),
                row => (row, None),
            };
            match row {
                Ok(Some(row)) => log.push(LogRow {
                    seq: u64::try_from(row.seq).unwrap_or(0),
                    operation: row.operation,
                    torn,
                }),
                Ok(None) => {}
                Err(error) => lost.push(Lost {
                    collection: Some(collection.name.to_string()),
                    ..Lost::part(error.to_string())
                }),
            }
        }
        log
    }

    /// Elements of the vectors in a collection's log; if they differ, of most of them.
    pub(super) fn logged_dimension(&self, collection: &Collection) -> Option<u32> {
        let topic = collection.topic();
        let columns = ["embeddings_queue", "topic, length(vector) / 4"];
        let lengths = rows::table(&self.connection, columns, &mut Vec::new(), |row| {
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
        rows::table(
            &self.connection,
            ["embeddings_queue", "topic"],
            lost,
            |row| row.get::<_, String>(1),
        );
    }
}

/// The log rows that the records do not contain. `everything` asks for all rows, because it is not
/// known what the records contained.
pub(super) fn log_to_apply(
    collection: &Collection,
    log: Vec<LogRow>,
    everything: bool,
) -> Vec<LogRow> {
    let last = log.last().map_or(0, |row| row.seq);
    // Progress beyond the end of the log is wrong: apply all of it again.
    let applied = collection
        .metadata_seq
        .filter(|seq| *seq <= last)
        .unwrap_or(0);
    let everything = everything || applied == 0;
    log.into_iter()
        .filter(|row| everything || row.seq > applied)
        .collect()
}

/// The metadata of all records, read without an index.
pub(super) struct Metadata<'s> {
    source: &'s Source,
    /// The documents in the full text.
    texts: HashMap<i64, String>,
    /// Tables and row numbers of the metadata of each record.
    rows: HashMap<i64, Vec<(&'static str, i64)>>,
    /// Whether some rows cannot be read, so that their records are not known.
    is_torn: bool,
}

impl Metadata<'_> {
    /// Metadata, document and uri of a record, and a list of what cannot be read of them.
    pub(super) fn of(&self, record: i64) -> (Patch, Option<String>) {
        let rows = self
            .rows
            .get(&record)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let reader = RecordReader::new(self.source.database());
        let mut read = reader.read_rows(rows);
        let text = self.texts.get(&record);
        // The full text has the document.
        read.unread
            .retain(|unread| text.is_none() || unread.key.as_deref() != Some(DOCUMENT_KEY));
        let mut unread: Vec<String> = read
            .unread
            .into_iter()
            .map(|unread| unread.reason)
            .collect();
        if rows.is_empty() && self.is_torn && text.is_none() {
            unread.push("its rows of metadata".to_owned());
        }
        let values = read.values.into_iter();
        let mut patch: Patch = values.map(|(key, value)| (key, Some(value))).collect();
        // The full text still has a lost document.
        if let Some(text) = text.filter(|_| patch.iter().all(|(key, _)| key != DOCUMENT_KEY)) {
            let document = Scalar::String(text.clone()).into();
            patch.push((DOCUMENT_KEY.to_owned(), Some(document)));
        }
        let unread = (!unread.is_empty()).then(|| unread.join(", "));
        (patch, unread)
    }
}
