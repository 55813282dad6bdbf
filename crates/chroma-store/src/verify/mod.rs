//! Whether a directory is what Chroma would accept: SQLite's own checks, the invariants I1 to I12
//! of the format, and every byte of the index files within bounds.
//!
//! Verification only reads. A directory that cannot be read at all is an error; one that can is
//! reported on.

mod fulltext;
mod report;
mod segments;

use std::path::Path;

use rusqlite::Connection;

use crate::collection::load_all;
use crate::schema::{detect, migrations};
use crate::{Collection, SchemaLevel, Store, StoreError, StoreResult, connection, handle};

pub use report::{CheckedCollection, Problem, Severity, VerifyLevel, VerifyReport};

/// Verifies the directory `dir`.
///
/// # Errors
/// It is not a Chroma directory, not closed, torn, damaged in the eyes of SQLite, or of an unknown
/// schema level.
pub fn verify(dir: &Path, level: VerifyLevel) -> StoreResult<VerifyReport> {
    let header = connection::preflight(dir)?;
    let connection = connection::open_read(dir)?;
    let path = connection::database_path(dir);
    match level {
        VerifyLevel::Quick => database_is_sound(&connection, &path)?,
        VerifyLevel::Full => database_has_integrity(&connection, &path)?,
    }
    let schema = detect(&connection, &path)?;
    let checked = Checked {
        connection: &connection,
        path: &path,
        dir,
        schema,
        level,
    };
    let mut report = VerifyReport::new(schema);
    if header.wal_mode {
        report.error(
            "I11",
            None,
            "the database is in WAL mode, Chroma's is DELETE",
        );
    }
    checked.migrations(&mut report)?;
    let collections = load_all(&connection, &path, schema)?;
    for collection in &collections {
        segments::check(&checked, collection, &mut report)?;
    }
    if level == VerifyLevel::Full {
        fulltext::check(&checked, &mut report)?;
    }
    Ok(report)
}

impl Store<handle::Closed> {
    /// Verifies the closed directory; findings of error severity are an error.
    ///
    /// # Errors
    /// As for [`verify`], and `Inconsistent` with all findings.
    pub fn verify(&self, level: VerifyLevel) -> StoreResult<VerifyReport> {
        verify(self.dir(), level)?.into_sound(self.dir())
    }
}

/// What the checks work on.
struct Checked<'v> {
    connection: &'v Connection,
    path: &'v Path,
    dir: &'v Path,
    schema: SchemaLevel,
    level: VerifyLevel,
}

impl Checked<'_> {
    /// chromadb 1.x refuses a directory in which a migration's text differs by one byte.
    fn migrations(&self, report: &mut VerifyReport) -> StoreResult<()> {
        for migration in migrations(self.schema) {
            let same: bool = self
                .connection
                .query_row(
                    "SELECT count(*) FROM migrations
                     WHERE dir = ?1 AND version = ?2 AND filename = ?3 AND sql = ?4",
                    (
                        migration.dir,
                        migration.version,
                        migration.file_name,
                        migration.sql,
                    ),
                    |row| row.get(0),
                )
                .map_err(StoreError::sqlite(self.path, "read the migrations"))?;
            if !same {
                let detail = format!("migration {} {} differs", migration.dir, migration.version);
                report.error("I12", None, detail);
            }
        }
        Ok(())
    }

    fn count(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> StoreResult<u64> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(parameters, |row| row.get(0)))
            .map_err(StoreError::sqlite(self.path, "count rows"))
    }
}

/// SQLite's quick check: pages and rows, without comparing indexes and full text.
pub(crate) fn database_is_sound(connection: &Connection, path: &Path) -> StoreResult<()> {
    pragma_says_ok(connection, path, "PRAGMA quick_check(1)")
}

/// SQLite's whole check; since 3.44 it compares full-text tables with their index as well.
fn database_has_integrity(connection: &Connection, path: &Path) -> StoreResult<()> {
    pragma_says_ok(connection, path, "PRAGMA integrity_check(1)")
}

fn pragma_says_ok(connection: &Connection, path: &Path, pragma: &str) -> StoreResult<()> {
    let finding: String = connection
        .query_row(pragma, [], |row| row.get(0))
        .map_err(StoreError::sqlite(path, "check the integrity"))?;
    if finding == "ok" {
        return Ok(());
    }
    Err(StoreError::Damaged {
        path: path.to_path_buf(),
        detail: finding,
    })
}

fn name_of(collection: &Collection) -> Option<&str> {
    Some(&collection.name)
}
