//! Whether a directory is what Chroma would accept: SQLite's own checks, the invariants I1 to I12
//! of the format, and every byte of the index files within bounds.
//!
//! Verification only reads. A directory that cannot be read at all is an error; one that can is
//! reported on.

mod fulltext;
mod records;
mod report;
mod segments;

use std::path::Path;

use rusqlite::Connection;

use crate::collection::load_all;
use crate::schema::{detect, migrations};
use crate::{
    Collection, SchemaLevel, Store, StoreError, StoreResult, connection, handle, metadata,
};

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
    let pragma = match level {
        VerifyLevel::Quick => "PRAGMA quick_check(100)",
        VerifyLevel::Full => "PRAGMA integrity_check(100)",
    };
    let nul_documents = findings(&connection, &path, pragma)?;
    let schema = detect(&connection, &path)?;
    let checked = Checked {
        connection: &connection,
        path: &path,
        dir,
        schema,
        level,
    };
    let mut report = VerifyReport::new(schema);
    if nul_documents {
        let detail = "documents with a NUL character are not searched as a whole by every SQLite";
        report.warn("I9", None, detail);
    }
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
        let report = verify(self.dir(), level)?.into_sound(self.dir())?;
        self.unchanged(report)
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

/// SQLite's quick check: pages and rows, indexes not compared.
pub(crate) fn database_is_sound(connection: &Connection, path: &Path) -> StoreResult<()> {
    findings(connection, path, "PRAGMA quick_check(100)").map(drop)
}

/// Runs a check of SQLite's; other findings than the one that can be lived with are an error.
///
/// SQLite 3.44 and later compare full-text tables with their index as well. Of a document with a
/// NUL character, which chromadb accepts, older and newer SQLite index different parts; the
/// directory is not damaged by that. `true` says that it is so.
fn findings(connection: &Connection, path: &Path, pragma: &str) -> StoreResult<bool> {
    let failed = || StoreError::sqlite(path, "check the integrity");
    let found: Vec<String> = connection
        .prepare(pragma)
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(failed())?;
    let full_text = |finding: &&String| finding.contains("index for FTS5 table");
    let other = found
        .iter()
        .find(|finding| *finding != "ok" && !full_text(finding));
    let Some(finding) = other.or_else(|| found.iter().find(full_text)) else {
        return Ok(false);
    };
    if other.is_none() && metadata::has_nul_documents(connection).map_err(failed())? {
        return Ok(true);
    }
    Err(StoreError::Damaged {
        path: path.to_path_buf(),
        detail: finding.clone(),
    })
}

fn name_of(collection: &Collection) -> Option<&str> {
    Some(&collection.name)
}
