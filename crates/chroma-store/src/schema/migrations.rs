//! The texts of Chroma's migrations.
//!
//! chromadb 1.x compares the stored text of every migration byte by byte when it opens a directory,
//! so the texts are data of the format. They come from the `migrations` table of a directory that
//! chromadb 1.5.9 made (Apache-2.0; see NOTICE).

use md5::{Digest, Md5};
use rusqlite::{Connection, params};

use super::SchemaLevel;
use crate::connection;

/// A migration, as a row of the `migrations` table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Migration {
    /// `sysdb`, `metadb` or `embeddings_queue`.
    pub(crate) dir: &'static str,
    /// Number within `dir`, from 1.
    pub(crate) version: u32,
    /// The name of its file in chromadb.
    pub(crate) file_name: &'static str,
    /// The text, to the byte.
    pub(crate) sql: &'static str,
}

macro_rules! migration {
    ($dir:literal, $version:literal, $name:literal) => {
        Migration {
            dir: $dir,
            version: $version,
            file_name: concat!($name, ".sqlite.sql"),
            sql: include_str!(concat!("migrations/", $dir, "-", $name, ".sqlite.sql")),
        }
    };
}

/// All migrations, in the order in which chromadb 1.x applies them.
const ALL: [Migration; 18] = [
    migration!("sysdb", 1, "00001-collections"),
    migration!("sysdb", 2, "00002-segments"),
    migration!("sysdb", 3, "00003-collection-dimension"),
    migration!("sysdb", 4, "00004-tenants-databases"),
    migration!("sysdb", 5, "00005-remove-topic"),
    migration!("sysdb", 6, "00006-collection-segment-metadata"),
    migration!("sysdb", 7, "00007-collection-config"),
    migration!("sysdb", 8, "00008-maintenance-log"),
    migration!("sysdb", 9, "00009-segment-collection-not-null"),
    migration!("sysdb", 10, "00010-collection-schema"),
    migration!("metadb", 1, "00001-embedding-metadata"),
    migration!("metadb", 2, "00002-embedding-metadata"),
    migration!("metadb", 3, "00003-full-text-tokenize"),
    migration!("metadb", 4, "00004-metadata-indices"),
    migration!("metadb", 5, "00005-max-seq-id-int"),
    migration!("metadb", 6, "00006-metadata-array-support"),
    migration!("embeddings_queue", 1, "00001-embeddings"),
    migration!("embeddings_queue", 2, "00002-embeddings-queue-config"),
];

/// The migrations that make up `level`, in order of application.
pub(crate) fn migrations(level: SchemaLevel) -> impl Iterator<Item = &'static Migration> {
    let last = level.last_migrations();
    ALL.iter().filter(move |migration| {
        last.iter()
            .any(|(dir, version)| *dir == migration.dir && migration.version <= *version)
    })
}

/// The names of the tables of a schema level.
pub(crate) fn tables(level: SchemaLevel) -> rusqlite::Result<Vec<String>> {
    let connection = connection::in_memory()?;
    migrate(&connection, level)?;
    let mut names = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )?;
    names.query_map([], |row| row.get(0))?.collect()
}

/// Applies the migrations of `level` to an empty database, and records them.
pub(crate) fn migrate(connection: &Connection, level: SchemaLevel) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE migrations (
                dir TEXT NOT NULL,
                version INTEGER NOT NULL,
                filename TEXT NOT NULL,
                sql TEXT NOT NULL,
                hash TEXT NOT NULL,
                PRIMARY KEY (dir, version)
            )",
    )?;
    for migration in migrations(level) {
        connection.execute_batch(migration.sql)?;
        connection.execute(
            "INSERT INTO migrations (dir, version, filename, sql, hash) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                migration.dir,
                migration.version,
                migration.file_name,
                migration.sql,
                hex::encode(Md5::digest(migration.sql)),
            ],
        )?;
    }
    Ok(())
}
