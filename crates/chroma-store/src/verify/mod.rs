//! Checks that a directory is what Chroma accepts: SQLite's own checks, the invariants I1 to I12 of
//! the format, and every byte of the index files within bounds.
//!
//! A verification only reads. A directory that cannot be read at all is an error. For any other it
//! makes a report.

mod findings;
mod fulltext;
mod progress;
mod records;
mod report;
mod segments;
mod texts;

use std::path::Path;

use crate::collection::load_all;
use crate::database::Database;
use crate::directory::{Closed, orphans};
use crate::flush::replacement;
use crate::problem::{Problem, Remedy, Severity};
use crate::records::has_nul_documents;
use crate::schema::{detect, migrations, tables};
use crate::sqlite_indexes::{is_of_indexes, only_indexes_know};
use crate::{Collection, FullName, Orphan, Store, StoreError, StoreResult, connection};

use findings::Findings;

pub(crate) use findings::records_are_sound;
pub(crate) use progress::{progress_is_founded, progress_of_a_delta_is_founded};
pub use report::{CheckedCollection, VerifyLevel, VerifyReport};

/// Verifies the directory `dir`.
///
/// # Errors
/// `dir` is not a Chroma directory (`NotChroma`, `NotRegular`), was not closed (`HotJournal`), is
/// torn (`Truncated`), or is damaged by SQLite's own check (`Damaged`). Its schema level is unknown
/// (`UnknownSchema`). Index files cannot be read (`IndexFile`, `Truncated`). A log row cannot be
/// read (`QueueRow`).
pub fn verify(dir: &Path, level: VerifyLevel) -> StoreResult<VerifyReport> {
    let survey = survey(dir, level)?;
    match survey.index_damage.into_iter().next() {
        Some(damage) => Err(damage.error),
        None => Ok(survey.report),
    }
}

/// What [`survey`] finds in a directory, damaged index files included.
#[derive(Debug)]
pub struct Survey {
    /// All findings but damaged index files.
    pub report: VerifyReport,
    /// Files and folders that no segment names, sorted by name.
    pub orphans: Vec<Orphan>,
    /// Index files that cannot be read.
    pub index_damage: Vec<IndexDamage>,
}

/// Index files that cannot be read.
#[derive(Debug)]
pub struct IndexDamage {
    /// The full name of the collection that they belong to.
    pub collection: FullName,
    /// Why they cannot be read.
    pub error: StoreError,
    /// Whether the log or what is left of them has all their vectors, so that they can be rebuilt.
    pub can_be_rebuilt: bool,
}

impl Survey {
    /// All findings, with damaged index files as findings too.
    pub fn problems(&self) -> Vec<Problem> {
        let damage = self.index_damage.iter().map(|damage| Problem {
            severity: Severity::Error,
            invariant: "index",
            collection: Some(damage.collection.to_string()),
            detail: match damage.can_be_rebuilt {
                true => damage.error.to_string(),
                false => format!("{}; the log does not have all vectors either", damage.error),
            },
            remedy: damage.can_be_rebuilt.then_some(Remedy::Index),
        });
        self.report.problems.iter().cloned().chain(damage).collect()
    }
}

/// Verifies the directory `dir`, and goes on after damaged index files.
///
/// # Errors
/// As for [`verify`], without damaged index files.
pub fn survey(dir: &Path, level: VerifyLevel) -> StoreResult<Survey> {
    let header = connection::preflight(dir)?;
    let connection = connection::open_read(dir)?;
    let path = connection::database_path(dir);
    let check = match level {
        VerifyLevel::Quick => "quick_check",
        VerifyLevel::Full => "integrity_check",
    };
    let found = Findings::of(&connection, &path, check)?;
    let schema = match &found.damage {
        Some(damage) if !is_of_indexes(&connection, damage) => {
            return Err(damaged(&path, damage.clone()));
        }
        _ => detect(&connection, &path)?,
    };
    let db = Database {
        connection: &connection,
        dir,
        level: schema,
    };
    let checked = Checked { db, level };
    let mut report = VerifyReport::new(schema);
    if let Some(damage) = found.damage {
        // Queries would fail or skip rows. The rest shows after the indexes are mended.
        report.mendable(Remedy::Reindex, "sqlite", None, damage);
        return Ok(Survey {
            report,
            orphans: orphans::find(&connection, dir)?,
            index_damage: Vec::new(),
        });
    }
    let mut has_full_text = fulltext::is_whole(&checked)?;
    if !has_full_text {
        let detail = "the table of the full text, or a part of it, is missing";
        report.mendable(Remedy::FullText, "I9", None, detail);
    } else if let Some(finding) = found.full_text {
        // A text that cannot be read is damaged, whatever its content.
        if has_nul_documents(&connection).unwrap_or(false) {
            let detail =
                "documents with a NUL character are not searched as a whole by every SQLite";
            report.warn("I9", None, detail);
        } else {
            report.mendable(Remedy::FullText, "I9", None, finding);
            has_full_text = false;
        }
    }
    if let Some(finding) = found.index {
        let known = only_indexes_know(&connection).map_err(StoreError::sqlite(
            &path,
            "compare indexes with their tables",
        ))?;
        match known.is_empty() {
            true => report.mendable(Remedy::Reindex, "sqlite", None, finding),
            // A rebuild from the table would lose the entry of the index too.
            false => known
                .iter()
                .for_each(|known| report.error("sqlite", None, known.to_string())),
        }
    }
    if header.wal_mode {
        let detail = "the database is in WAL mode, Chroma's is DELETE";
        report.mendable(Remedy::JournalMode, "I11", None, detail);
    }
    checked.migrations(&mut report)?;
    checked.places(&mut report)?;
    let orphans = orphans::find(&connection, dir)?;
    tell_of(&orphans, &mut report);
    if level == VerifyLevel::Full {
        checked.tables(&mut report)?;
        checked.nameless(&mut report)?;
        texts::check(&checked, &mut report)?;
    }
    let collections = load_all(db)?;
    let mut index_damage = Vec::new();
    for collection in &collections {
        match segments::check(&checked, collection, &mut report) {
            Err(damage) if damage.is_index_damage() => {
                index_damage.push(IndexDamage {
                    collection: collection.name.clone(),
                    error: damage,
                    can_be_rebuilt: replacement(db, collection)?.is_some(),
                });
            }
            checked => checked?,
        }
    }
    if level == VerifyLevel::Full && has_full_text {
        fulltext::check(&checked, &mut report)?;
    }
    Ok(Survey {
        report,
        orphans,
        index_damage,
    })
}

impl Store<Closed> {
    /// Verifies the closed directory. A finding of error severity is an error.
    ///
    /// # Errors
    /// As for [`verify`]; `Inconsistent` with all findings of error severity; `Changed` if another
    /// process wrote to the directory.
    pub fn verify(&self, level: VerifyLevel) -> StoreResult<VerifyReport> {
        let report = verify(self.dir(), level)?.into_sound(self.dir())?;
        self.unchanged(report)
    }
}

const MISSING_DATABASES: &str = "SELECT count(*) FROM collections c
    WHERE NOT EXISTS (SELECT 1 FROM databases d WHERE d.id = c.database_id)";
const MISSING_TENANTS: &str = "SELECT count(*) FROM databases d
    WHERE NOT EXISTS (SELECT 1 FROM tenants t WHERE t.id = d.tenant_id)";

/// The database that the checks read, and how much they check.
struct Checked<'v> {
    db: Database<'v>,
    level: VerifyLevel,
}

impl Checked<'_> {
    /// chromadb 1.x refuses a directory if the text of a migration differs by one byte.
    fn migrations(&self, report: &mut VerifyReport) -> StoreResult<()> {
        for migration in migrations(self.db.level) {
            let same: bool = self
                .db
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
                .map_err(self.db.failed("read the migrations"))?;
            if !same {
                let detail = format!("migration {} {} differs", migration.dir, migration.version);
                report.mendable(Remedy::Migrations, "I12", None, detail);
            }
        }
        Ok(())
    }

    /// chromadb finds a collection through its tenant and its database.
    fn places(&self, report: &mut VerifyReport) -> StoreResult<()> {
        for (sql, what) in [
            (
                MISSING_DATABASES,
                "collections name a database that does not exist",
            ),
            (
                MISSING_TENANTS,
                "databases name a tenant that does not exist",
            ),
        ] {
            let count = self.count(sql, &[])?;
            if count > 0 {
                report.mendable(Remedy::Places, "I1", None, format!("{count} {what}"));
            }
        }
        Ok(())
    }

    /// chromadb opens no directory that lacks one of its tables.
    fn tables(&self, report: &mut VerifyReport) -> StoreResult<()> {
        let expected =
            tables(self.db.level).map_err(self.db.failed("list the tables of its schema"))?;
        for table in expected {
            let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
            let of_full_text = table.starts_with("embedding_fulltext_search");
            if !of_full_text && self.count(sql, &[&table])? == 0 {
                report.error("I12", None, format!("the table {table} is missing"));
            }
        }
        Ok(())
    }

    /// Records without a collection: of a deleted one, or the row in `collections` is lost.
    fn nameless(&self, report: &mut VerifyReport) -> StoreResult<()> {
        let count = self.count(
            "SELECT count(*) FROM embeddings WHERE segment_id NOT IN
               (SELECT s.id FROM segments s JOIN collections c ON c.id = s.collection)",
            &[],
        )?;
        if count > 0 {
            let detail = format!(
                "{count} records belong to no collection: of a deleted one, or its row is lost; \
                 `store repair --salvage` saves them"
            );
            report.warn("I1", None, detail);
        }
        Ok(())
    }

    fn count(&self, sql: &str, parameters: &[&dyn rusqlite::ToSql]) -> StoreResult<u64> {
        self.db
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(parameters, |row| row.get(0)))
            .map_err(self.db.failed("count rows"))
    }
}

fn damaged(path: &Path, detail: String) -> StoreError {
    StoreError::Damaged {
        path: path.to_path_buf(),
        detail,
    }
}

fn tell_of(orphans: &[Orphan], report: &mut VerifyReport) {
    if orphans.is_empty() {
        return;
    }
    let bytes: u64 = orphans.iter().map(|orphan| orphan.size).sum();
    let names: Vec<&str> = orphans.iter().map(|orphan| orphan.name.as_str()).collect();
    let detail = format!(
        "no segment names {}: {bytes} bytes that no reader uses",
        names.join(", ")
    );
    report.avoidable(Remedy::Orphans, "files", detail);
}

fn name_of(collection: &Collection) -> Option<String> {
    Some(collection.name.to_string())
}
