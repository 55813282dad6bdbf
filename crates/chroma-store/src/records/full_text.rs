//! Keeps the full-text table in step with the documents in `embedding_metadata`.
//!
//! Operations only note rows, and [`FullText::write`] writes them at the end, each once and in
//! order, because SQLite begins a new segment of the index whenever it goes back to a smaller row.
//! This module knows what the older SQLite of chromadb expects of an index that a newer one has
//! written.

use std::collections::BTreeSet;

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::database::Database;
use crate::{SchemaLevel, StoreResult};

/// Most segments of the index. More are merged into one.
const MANY_SEGMENTS: u64 = 64;
/// Above SQLite's limit, so that SQLite takes its limit.
const NO_CRISIS: u32 = 2000;
/// The table, as Chroma's migrations make it.
const TABLE: &str =
    "CREATE VIRTUAL TABLE embedding_fulltext_search USING fts5(string_value, tokenize='trigram')";
/// Bytes of the index that SQLite gathers in memory before it writes a segment.
const HASH_BYTES: u32 = 16 << 20;

/// The rows whose full text one transaction has to write.
#[derive(Debug)]
pub(crate) struct FullText<'c> {
    db: Database<'c>,
    changed: BTreeSet<i64>,
}

impl<'c> FullText<'c> {
    pub(crate) fn new(db: Database<'c>) -> Self {
        Self {
            db,
            changed: BTreeSet::new(),
        }
    }

    /// Notes a row whose document may have changed.
    pub(crate) fn note(&mut self, row: i64) {
        self.changed.insert(row);
    }

    /// Writes the noted rows. Rebuilds an index that cannot be written to from the documents.
    pub(crate) fn write(&mut self) -> StoreResult<()> {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            return Ok(());
        }
        // A table that cannot be read has no settings to keep.
        let settings = Settings::read(self.db.connection).unwrap_or_default();
        let written = match has_nul_documents(self.db.connection) {
            // The SQLite that wrote the index of these may have read past the NUL or not.
            Ok(true) => rebuild_full_text(self.db.connection),
            Ok(false) => self.write_rows(&changed),
            Err(error) => Err(error),
        };
        let written = match written {
            Err(error) if is_damage(&error) => rebuild_full_text(self.db.connection),
            written => written,
        };
        let written = written.and_then(|()| settings.restore(self.db.connection));
        written.map_err(self.db.failed("write the full text"))
    }

    fn write_rows(&self, rows: &BTreeSet<i64>) -> rusqlite::Result<()> {
        set(self.db.connection, "hashsize", HASH_BYTES)?;
        // An entry of the index has a mark that says whether it replaces an older one. When SQLite
        // 3.41 merges entries, it keeps the mark of the oldest; 3.44 and later keep that of the
        // newest. So the older SQLite of chromadb 0.x would lose deletions in segments that a later
        // one has merged in part. Merging all of them is safe.
        let keeps_segments = self.db.level == SchemaLevel::L06;
        if keeps_segments {
            set(self.db.connection, "automerge", 0)?;
            set(self.db.connection, "crisismerge", NO_CRISIS)?;
        }
        for row in rows {
            self.write_row(*row)?;
        }
        if keeps_segments && segments(self.db.connection)? > MANY_SEGMENTS {
            command(self.db.connection, "optimize")?;
        }
        Ok(())
    }

    fn write_row(&self, row: i64) -> rusqlite::Result<()> {
        let sql = "SELECT f.id IS NOT NULL, m.string_value, f.c0 IS m.string_value
                   FROM (SELECT ?1 AS id) r
                   LEFT JOIN embedding_fulltext_search_content f ON f.id = r.id
                   LEFT JOIN embedding_metadata m
                     ON m.id = r.id AND m.key = 'chroma:document' AND m.string_value IS NOT NULL";
        let (is_there, document, is_same): (bool, Option<String>, bool) = self
            .db
            .connection
            .prepare_cached(sql)?
            .query_row([row], |found| {
                Ok((found.get(0)?, found.get(1)?, found.get(2)?))
            })?;
        if is_same && is_there == document.is_some() {
            return Ok(());
        }
        if is_there {
            self.db
                .connection
                .prepare_cached("DELETE FROM embedding_fulltext_search WHERE rowid = ?1")?
                .execute([row])?;
        }
        let Some(document) = document else {
            return Ok(());
        };
        // SQLite up to 3.46 indexes a text up to the first NUL, later ones index all of it. An
        // older one must find exactly what it deletes.
        let indexed = document.split('\0').next().unwrap_or_default();
        self.db
            .connection
            .prepare_cached(
                "INSERT INTO embedding_fulltext_search (rowid, string_value) VALUES (?1, ?2)",
            )?
            .execute(params![row, indexed])?;
        if indexed.len() < document.len() {
            self.db
                .connection
                .prepare_cached(
                    "UPDATE embedding_fulltext_search_content SET c0 = ?2 WHERE id = ?1",
                )?
                .execute(params![row, document])?;
        }
        Ok(())
    }
}

/// Rebuilds the table and its index from the documents of all records, inside the caller's
/// transaction.
pub(crate) fn rebuild_full_text(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("SAVEPOINT full_text")?;
    match fill(connection) {
        Err(error) if is_damage(&error) => {
            // SQLite cannot open a table of which parts are missing.
            connection.execute_batch("ROLLBACK TO full_text")?;
            drop_table(connection)?;
            connection.execute_batch(TABLE)?;
            fill(connection)
        }
        filled => filled,
    }?;
    connection.execute_batch("RELEASE full_text")
}

/// Replaces a table whose pages cannot be read by an empty one. No table names the old pages
/// afterwards; a vacuum has to drop them.
pub(crate) fn forget_full_text(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA writable_schema = ON;
         DELETE FROM sqlite_schema WHERE name GLOB 'embedding_fulltext_search*'
           OR tbl_name GLOB 'embedding_fulltext_search*';
         PRAGMA writable_schema = RESET;",
    )?;
    connection.execute_batch(TABLE)
}

/// Whether the table is at fault, and not the machine or another process that holds a lock.
fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::Unknown | ErrorCode::ConstraintViolation)
    )
}

/// Removes a table that SQLite cannot open, and so `DROP TABLE` cannot drop.
fn drop_table(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "PRAGMA writable_schema = ON;
         DELETE FROM sqlite_schema WHERE name = 'embedding_fulltext_search';
         PRAGMA writable_schema = RESET;",
    )?;
    for part in ["data", "idx", "content", "docsize", "config"] {
        connection.execute_batch(&format!(
            "DROP TABLE IF EXISTS embedding_fulltext_search_{part}"
        ))?;
    }
    Ok(())
}

fn fill(connection: &Connection) -> rusqlite::Result<()> {
    let documents = "FROM embedding_metadata m JOIN embeddings e ON e.id = m.id
                     WHERE m.key = 'chroma:document' AND m.string_value IS NOT NULL";
    connection.execute_batch(&format!(
        "DELETE FROM embedding_fulltext_search_content;
         INSERT INTO embedding_fulltext_search_content (id, c0)
         SELECT m.id, CASE instr(m.string_value, char(0)) WHEN 0 THEN m.string_value
           ELSE substr(m.string_value, 1, instr(m.string_value, char(0)) - 1) END {documents};"
    ))?;
    command(connection, "rebuild")?;
    connection.execute_batch(&format!(
        "INSERT OR REPLACE INTO embedding_fulltext_search_content (id, c0)
         SELECT m.id, m.string_value {documents} AND instr(m.string_value, char(0)) > 0"
    ))
}

/// Whether any document has a NUL character: SQLite versions index these differently.
pub(crate) fn has_nul_documents(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM embedding_fulltext_search_content
                        WHERE instr(c0, char(0)) > 0)",
        [],
        |row| row.get(0),
    )
}

/// Settings of the index, as rows of its configuration table.
#[derive(Default)]
struct Settings(Vec<(String, rusqlite::types::Value)>);

impl Settings {
    /// The names of the settings that this module changes.
    const NAMES: &str = "('automerge', 'crisismerge', 'hashsize')";

    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = format!(
            "SELECT k, v FROM embedding_fulltext_search_config WHERE k IN {}",
            Self::NAMES
        );
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>().map(Self)
    }

    /// Restores the settings. SQLite reads them when it opens the table.
    fn restore(self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(&format!(
            "DELETE FROM embedding_fulltext_search_config WHERE k IN {}",
            Self::NAMES
        ))?;
        let mut insert = connection
            .prepare("INSERT INTO embedding_fulltext_search_config (k, v) VALUES (?1, ?2)")?;
        for (name, value) in self.0 {
            insert.execute(params![name, value])?;
        }
        Ok(())
    }
}

fn set(connection: &Connection, name: &str, value: u32) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO embedding_fulltext_search (embedding_fulltext_search, rank)
             VALUES (?1, ?2)",
        )?
        .execute(params![name, value])
        .map(drop)
}

fn command(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO embedding_fulltext_search (embedding_fulltext_search) VALUES (?1)",
        )?
        .execute([name])
        .map(drop)
}

/// How many segments the index has.
fn segments(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row(
            "SELECT count(DISTINCT segid) FROM embedding_fulltext_search_idx",
            [],
            |row| row.get(0),
        )
        .optional()
        .map(Option::unwrap_or_default)
}
