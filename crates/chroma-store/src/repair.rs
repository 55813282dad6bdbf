//! Mends an open directory from its own content.
//!
//! Each function does one thing. A verification says which are needed.

use rusqlite::{OptionalExtension, params};

use crate::collection::write_progress;
use crate::database::Database;
use crate::index::{dimension_in, is_written, segment_dir};
use crate::records::{RecordReader, forget_full_text, last_touched, rebuild_full_text};
use crate::schema::migrations;
use crate::wal::{OperationKind, Patch, WalReader, encode, logged_dimension};
use crate::{
    Collection, Engine, FlushOptions, FlushWhen, FullName, Open, Remedy, Store, StoreError,
    StoreResult,
};

const RESTORE_DOCUMENTS: &str = "
    INSERT INTO embedding_metadata (id, key, string_value)
    SELECT f.id, 'chroma:document', f.c0
    FROM embedding_fulltext_search_content f JOIN embeddings e ON e.id = f.id
    WHERE f.c0 IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM embedding_metadata m WHERE m.id = f.id AND m.key = 'chroma:document')";
/// If the name of a database is lost, its id becomes its name. Only the default database gets its
/// known name.
const WRITE_PLACES: &str = "
    INSERT OR IGNORE INTO databases (id, name, tenant_id)
    SELECT DISTINCT c.database_id,
           CASE c.database_id WHEN '00000000-0000-0000-0000-000000000000'
               THEN 'default_database' ELSE c.database_id END,
           'default_tenant'
    FROM collections c
    WHERE NOT EXISTS (SELECT 1 FROM databases d WHERE d.id = c.database_id);
    INSERT OR IGNORE INTO tenants (id) SELECT DISTINCT tenant_id FROM databases;";
/// The record id of the row that [`put_tail`] appends to an emptied log. It deletes a record that
/// does not exist.
const TAIL_ID: &str = "chroma-compactor: end of the log";

impl Store<Open> {
    /// Applies `remedy`. `collection` is the collection of the finding, if it has one.
    ///
    /// # Errors
    /// Another process has locked the directory, or the directory lacks what the repair needs.
    pub fn mend(&mut self, remedy: Remedy, collection: Option<&FullName>) -> StoreResult<()> {
        let always = FlushOptions {
            when: FlushWhen::Always,
            ..FlushOptions::default()
        };
        match (remedy, collection) {
            // Opening the store has set the journal mode, copying has left orphans out, and no
            // store opens without sound indexes.
            (Remedy::JournalMode | Remedy::Orphans | Remedy::Reindex, _) => Ok(()),
            (Remedy::FullText, _) => self.rebuild_full_text(),
            (Remedy::Places, _) => self.in_transaction("write databases and tenants", |db| {
                db.connection.execute_batch(WRITE_PLACES)
            }),
            (Remedy::Migrations, _) => {
                self.in_transaction("write the migrations", write_migrations)
            }
            (Remedy::LogRows, Some(name)) => self.rewrite_log_rows(name),
            (Remedy::Progress, Some(name)) => self.mend_progress(name),
            (Remedy::Dimension, Some(name)) => self.mend_dimension(name),
            (Remedy::Flush, Some(name)) => self.flush(name, always).map(drop),
            (Remedy::Index, Some(name)) => self.rebuild(name, Engine::Native, always).map(drop),
            (
                Remedy::LogRows
                | Remedy::Progress
                | Remedy::Dimension
                | Remedy::Flush
                | Remedy::Index,
                None,
            ) => Ok(()),
        }
    }

    /// Rebuilds the table and the index of the full text from the documents of all records. A text
    /// whose document is lost becomes the document again.
    ///
    /// # Errors
    /// Another process has locked the directory, or the documents cannot be read.
    pub fn rebuild_full_text(&mut self) -> StoreResult<()> {
        let operation = "rebuild the full text";
        let rebuilt = self.in_transaction(operation, |db| {
            // If the texts cannot be read, no document can be restored from them.
            let _ = db.connection.execute_batch(RESTORE_DOCUMENTS);
            rebuild_full_text(db.connection)
        });
        match rebuilt {
            Err(StoreError::Damaged { .. }) => {
                // SQLite cannot even free its pages: the table is forgotten, and the vacuum drops
                // the pages.
                self.in_transaction(operation, |db| {
                    forget_full_text(db.connection)?;
                    rebuild_full_text(db.connection)
                })?;
                self.vacuum()
            }
            rebuilt => rebuilt,
        }
    }

    /// Copies the current metadata of each record into its unreadable log rows. A chromadb that
    /// replays the log then gets the record as it is now.
    fn rewrite_log_rows(&mut self, name: &FullName) -> StoreResult<()> {
        let collection = self.find(name)?.clone();
        let wal = WalReader::new(self.database(), &collection);
        let records = RecordReader::new(self.database());
        let mut payloads = Vec::new();
        for row in wal.without_payload(collection.metadata_seq.unwrap_or(0))? {
            let record = self.row_of(&collection, &row.id)?;
            let now = record.map_or(Ok(Vec::new()), |record| records.read(record))?;
            let mut patch: Patch = now
                .into_iter()
                .map(|(key, value)| (key, Some(value)))
                .collect();
            // A key that other rows set and the record lacks was removed, perhaps by this row.
            for key in wal.keys_of(&row.id)? {
                if patch.iter().all(|(known, _)| *known != key) {
                    patch.push((key, None));
                }
            }
            payloads.push((row.seq, encode(&patch)));
        }
        self.in_transaction("rewrite log rows", |db| {
            let mut write = db
                .connection
                .prepare("UPDATE embeddings_queue SET metadata = ?2 WHERE seq_id = ?1")?;
            let mut rows = payloads.iter();
            rows.try_for_each(|(seq, payload)| write.execute(params![seq, payload]).map(drop))
        })
    }

    fn row_of(&self, collection: &Collection, id: &str) -> StoreResult<Option<i64>> {
        let segment = collection.metadata_segment.to_string();
        let sql = "SELECT id FROM embeddings WHERE segment_id = ?1 AND embedding_id = ?2";
        let db = self.database();
        db.connection
            .query_row(sql, params![segment, id], |row| row.get(0))
            .optional()
            .map_err(db.failed("find a record"))
    }

    /// Sets the progress of both segments to what the log confirms, and applies the rows that wait
    /// then.
    fn mend_progress(&mut self, name: &FullName) -> StoreResult<()> {
        let collection = self.find(name)?.clone();
        let has_files = is_written(self.dir(), &collection);
        self.in_transaction("mend max_seq_id", |db| {
            mend_progress(db, &collection, has_files)
        })?;
        self.reload(name)?;
        // New index files have true progress again: chromadb 0.x takes 0 for "no rows wait".
        let when = match self.find(name)?.vector_seq == collection.vector_seq {
            true => FlushWhen::Never,
            false => FlushWhen::Always,
        };
        let options = FlushOptions {
            when,
            ..FlushOptions::default()
        };
        self.flush(name, options).map(drop)
    }

    fn mend_dimension(&mut self, name: &FullName) -> StoreResult<()> {
        let collection = self.find(name)?.clone();
        let indexed = dimension_in(&segment_dir(self.dir(), &collection));
        self.in_transaction("set the dimension", |db| {
            let dimension = logged_dimension(db.connection, &collection)?.or(indexed);
            db.connection.execute(
                "UPDATE collections SET dimension = ?2 WHERE id = ?1",
                params![collection.id.to_string(), dimension],
            )
        })?;
        self.reload(name)
    }
}

fn write_migrations(db: Database<'_>) -> rusqlite::Result<()> {
    for migration in migrations(db.level) {
        db.connection.execute(
            "UPDATE migrations SET filename = ?3, sql = ?4 WHERE dir = ?1 AND version = ?2",
            params![
                migration.dir,
                migration.version,
                migration.file_name,
                migration.sql
            ],
        )?;
    }
    Ok(())
}

fn mend_progress(
    db: Database<'_>,
    collection: &Collection,
    has_files: bool,
) -> rusqlite::Result<()> {
    let bounds = "SELECT (SELECT max(seq_id) FROM embeddings_queue),
                         (SELECT min(seq_id) FROM embeddings_queue WHERE topic = ?1),
                         (SELECT count(*) FROM embeddings_queue WHERE id <> ?2)";
    let (last, first, others): (Option<u64>, Option<u64>, u64) =
        db.connection
            .query_row(bounds, [collection.topic(), TAIL_ID.to_owned()], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
    // Each record has the number of the last operation that changed it. Without a log, no true
    // number is above the u32 of chromadb's id maps.
    let limit = last.filter(|_| others > 0);
    let touched = last_touched(
        db.connection,
        collection,
        limit.unwrap_or(u64::from(u32::MAX)),
    )?;
    let Some(last) = limit else {
        let after = last.map_or(1, |last| last + 1);
        return put_tail(db, collection, (has_files, touched.max(after)));
    };
    let (metadata, vector) = (collection.metadata_segment, collection.vector_segment);
    if collection.metadata_seq.is_some_and(|seq| seq > last) {
        write_progress(db, metadata, touched)?;
    }
    if collection.vector_seq.map_or(has_files, |seq| seq > last) {
        // Replaying rows that the index has already is harmless.
        let before = first.map_or(last, |first| first.saturating_sub(1));
        write_progress(db, vector, before)?;
    }
    Ok(())
}

/// Appends a row to an emptied log that keeps its place, so that later rows get higher numbers.
fn put_tail(
    db: Database<'_>,
    collection: &Collection,
    (has_files, seq): (bool, u64),
) -> rusqlite::Result<()> {
    db.connection.execute(
        "INSERT INTO embeddings_queue (seq_id, operation, topic, id, metadata)
         VALUES (?1, ?2, ?3, ?4, '{}')",
        params![
            i64::try_from(seq).unwrap_or(i64::MAX),
            OperationKind::Delete.code(),
            collection.topic(),
            TAIL_ID
        ],
    )?;
    for (segment, has_progress) in [
        (
            collection.metadata_segment,
            collection.metadata_seq.is_some(),
        ),
        (
            collection.vector_segment,
            has_files || collection.vector_seq.is_some(),
        ),
    ] {
        if has_progress {
            write_progress(db, segment, seq)?;
        }
    }
    Ok(())
}
