//! Findings of SQLite's own checks, by what they concern.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::damaged;
use crate::problem::{Problem, Remedy, Severity};
use crate::{StoreError, StoreResult};

/// The first finding of each kind.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Damage of pages or rows.
    pub(super) damage: Option<String>,
    /// An index that contradicts its table.
    pub(super) index: Option<String>,
    /// A full-text index that contradicts its table, as SQLite 3.44 and later compare them.
    /// chromadb accepts documents with a NUL character, and older and newer SQLite index different
    /// parts of them.
    pub(super) full_text: Option<String>,
}

impl Findings {
    pub(super) fn of(connection: &Connection, path: &Path, check: &str) -> StoreResult<Self> {
        let mut found = Self::default();
        match found.take(connection, &format!("PRAGMA {check}(100)")) {
            Ok(()) => {
                // SQLite does not name the table of a page. Damage that no other table has is the
                // full text's.
                let of_tree = |line: &String| {
                    let of_page = line.starts_with("Tree ") || line.starts_with("Page ");
                    of_page && !line.contains("never used")
                };
                if let Some(line) = found.damage.take_if(|line| of_tree(line)) {
                    match Self::beside_full_text(connection, check) {
                        Ok(others) if others.damage.is_none() => found.full_text = Some(line),
                        _ => found.damage = Some(line),
                    }
                }
                Ok(found)
            }
            // SQLite stops if parts of the full text are missing.
            Err(error) => match Self::beside_full_text(connection, check) {
                Ok(mut found) if found.damage.is_none() => {
                    found.full_text = Some(error.to_string());
                    Ok(found)
                }
                // SQLite also stops at a page that it cannot check.
                _ if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => Ok(Self {
                    damage: Some(error.to_string()),
                    ..Self::default()
                }),
                _ => Err(StoreError::sqlite(path, "check the integrity")(error)),
            },
        }
    }

    /// Checks all tables but those of the full text, one by one.
    fn beside_full_text(connection: &Connection, check: &str) -> rusqlite::Result<Self> {
        let sql = "SELECT quote(name) FROM sqlite_schema
                   WHERE type = 'table' AND name NOT GLOB 'embedding_fulltext_search*'";
        let tables: Vec<String> = connection
            .prepare(sql)?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        let mut found = Self::default();
        for table in tables {
            found.take(connection, &format!("PRAGMA {check}({table})"))?;
        }
        Ok(found)
    }

    fn take(&mut self, connection: &Connection, pragma: &str) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(pragma)?;
        let lines = statement
            .query_map([], |row| row.get::<_, String>(0))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        for line in lines.into_iter().filter(|line| line != "ok") {
            let kind = if line.contains("embedding_fulltext_search") {
                &mut self.full_text
            } else if line.contains(" missing from index ")
                || line.contains("wrong # of entries in index ")
                || line.starts_with("non-unique entry in index ")
            {
                &mut self.index
            } else {
                &mut self.damage
            };
            kind.get_or_insert(line);
        }
        Ok(())
    }
}

/// Checks that the records of a delta can be read, with SQLite's quick check of all tables but
/// those of the full text, which no merge reads from a delta.
///
/// # Errors
/// `Damaged`, or `Inconsistent` if an index contradicts its table.
pub(crate) fn records_are_sound(connection: &Connection, path: &Path) -> StoreResult<()> {
    let found = Findings::beside_full_text(connection, "quick_check")
        .map_err(StoreError::sqlite(path, "check the integrity"))?;
    match (found.damage, found.index) {
        (Some(finding), _) => Err(damaged(path, finding)),
        (None, Some(detail)) => Err(StoreError::Inconsistent {
            path: path.parent().unwrap_or(path).to_path_buf(),
            problems: vec![Problem {
                severity: Severity::Error,
                invariant: "sqlite",
                collection: None,
                detail,
                remedy: Some(Remedy::Reindex),
            }],
        }),
        (None, None) => Ok(()),
    }
}
