//! The four schema levels, and how to detect which one a database has.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::{StoreError, StoreResult};

/// A schema level: the set of migrations that a family of chromadb versions applies.
///
/// A merge keeps the level of its base; nothing here ever migrates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SchemaLevel {
    /// chromadb 0.5.6 to 0.6.3: sysdb 9, metadb 4.
    L06,
    /// chromadb 1.0.0 to 1.2.2: sysdb 9, metadb 5. Sequence numbers become integers.
    L10,
    /// chromadb 1.3.0 to 1.4.1: sysdb 10, metadb 5. Collections get `schema_str`.
    L13,
    /// chromadb 1.5.0 and later: sysdb 10, metadb 6. Metadata may have arrays.
    L15,
}

impl SchemaLevel {
    /// All levels, oldest first.
    pub const ALL: [Self; 4] = [Self::L06, Self::L10, Self::L13, Self::L15];

    /// The level's name, `L06` to `L15`.
    pub fn name(self) -> &'static str {
        match self {
            Self::L06 => "L06",
            Self::L10 => "L10",
            Self::L13 => "L13",
            Self::L15 => "L15",
        }
    }

    /// The chromadb versions that write this level, such as `1.3.0 to 1.4.1`.
    pub fn versions(self) -> &'static str {
        match self {
            Self::L06 => "0.5.6 to 0.6.3",
            Self::L10 => "1.0.0 to 1.2.2",
            Self::L13 => "1.3.0 to 1.4.1",
            Self::L15 => "1.5.0 and later",
        }
    }

    /// The last migration of sysdb, metadb and embeddings_queue.
    pub(crate) fn last_migrations(self) -> [(&'static str, u32); 3] {
        let (sysdb, metadb) = match self {
            Self::L06 => (9, 4),
            Self::L10 => (9, 5),
            Self::L13 => (10, 5),
            Self::L15 => (10, 6),
        };
        [
            ("sysdb", sysdb),
            ("metadb", metadb),
            ("embeddings_queue", 2),
        ]
    }

    /// Sequence numbers are 8-byte big-endian blobs before metadb migration 5, integers after.
    pub(crate) fn seq_is_blob(self) -> bool {
        self == Self::L06
    }

    /// Whether `embedding_metadata_array` exists.
    pub(crate) fn has_arrays(self) -> bool {
        self == Self::L15
    }

    /// Whether `collections.schema_str` exists.
    pub(crate) fn has_schema_column(self) -> bool {
        self >= Self::L13
    }
}

impl fmt::Display for SchemaLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SchemaLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("`{text}` is not a schema level; there are L06, L10, L13, L15"))
    }
}

/// Detects the level of a damaged database by its tables and columns; `None` if even `collections`
/// cannot be read.
pub(crate) fn level_of_columns(connection: &Connection) -> Option<SchemaLevel> {
    let has = |sql: &str| connection.prepare(sql).is_ok();
    has("SELECT id, name FROM collections").then_some(())?;
    if has("SELECT id FROM embedding_metadata_array") {
        return Some(SchemaLevel::L15);
    }
    if has("SELECT schema_str FROM collections") {
        return Some(SchemaLevel::L13);
    }
    let blobs = "SELECT typeof(seq_id) = 'blob' FROM embeddings LIMIT 1";
    match connection.query_row(blobs, [], |row| row.get(0)) {
        Ok(true) => Some(SchemaLevel::L06),
        _ => Some(SchemaLevel::L10),
    }
}

/// Detects the level by the `migrations` table.
///
/// # Errors
/// `UnknownSchema`: the migrations are those of no level, or the schema has triggers, views or
/// computed values.
pub(crate) fn detect(connection: &Connection, path: &Path) -> StoreResult<SchemaLevel> {
    let unknown = |detail: String| StoreError::UnknownSchema {
        path: path.to_path_buf(),
        detail,
    };
    refuse_code_in_schema(connection, path)?;
    let mut statement = match connection
        .prepare("SELECT dir, max(version), count(*) FROM migrations GROUP BY dir")
    {
        Ok(statement) => statement,
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) => {
            return Err(unknown("the table of migrations is missing".to_owned()));
        }
        Err(error) => return Err(StoreError::sqlite(path, "read the migrations")(error)),
    };
    let found: Vec<(String, u32, u32)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .and_then(Iterator::collect)
        .map_err(StoreError::sqlite(path, "read the migrations"))?;
    SchemaLevel::ALL
        .into_iter()
        .find(|level| {
            let wanted = level.last_migrations();
            found.len() == wanted.len()
                && wanted.iter().all(|(dir, version)| {
                    // Versions count from 1 without gaps, so their number equals the last one.
                    found
                        .iter()
                        .any(|row| row == &((*dir).to_owned(), *version, *version))
                })
        })
        .ok_or_else(|| {
            let rows: Vec<_> = found
                .iter()
                .map(|(dir, version, _)| format!("{dir} {version}"))
                .collect();
            unknown(format!("migrations {}", rows.join(", ")))
        })
}

/// Names parts of a schema that run code: triggers, views, virtual tables but that of the full
/// text, computed columns, and indexes on expressions.
const CODE: &str = "
    SELECT name FROM sqlite_schema WHERE type IN ('trigger', 'view')
    UNION ALL
    SELECT name FROM pragma_table_list
    WHERE schema = 'main' AND type = 'virtual' AND name <> 'embedding_fulltext_search'
    UNION ALL
    SELECT s.name || '.' || c.name FROM sqlite_schema s, pragma_table_xinfo(s.name) c
    WHERE s.type = 'table' AND c.hidden IN (2, 3) AND s.name <> 'embedding_fulltext_search'
    UNION ALL
    SELECT s.name FROM sqlite_schema s, pragma_index_xinfo(s.name) c
    WHERE s.type = 'index' AND c.cid = -2
    LIMIT 3";

/// Refuses a schema with code: Chroma makes none, and SQLite would run it on our reads and writes.
fn refuse_code_in_schema(connection: &Connection, path: &Path) -> StoreResult<()> {
    let names: Vec<String> = connection
        .prepare(CODE)
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(StoreError::sqlite(path, "read the schema"))?;
    if names.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "it has triggers, views or computed values, which Chroma never makes: {}",
        names.join(", ")
    );
    Err(StoreError::UnknownSchema {
        path: path.to_path_buf(),
        detail,
    })
}
