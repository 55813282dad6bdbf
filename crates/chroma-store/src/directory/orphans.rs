//! Orphans: folders and files in a directory that no segment names.
//!
//! Failed migrations, sync tools and deleted collections leave them. Chroma never looks at them.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use super::files::{self, SIDE_CAR_NAMES};
use crate::{DATABASE_NAME, StoreError, StoreResult, connection};

/// A file or folder directly below the directory that no segment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its name, relative to the directory.
    pub name: String,
    /// Bytes of its files together.
    pub size: u64,
}

/// The orphans of the directory, sorted by name.
pub(crate) fn find(connection: &Connection, dir: &Path) -> StoreResult<Vec<Orphan>> {
    let path = connection::database_path(dir);
    let named = named(connection).map_err(StoreError::sqlite(&path, "read the segments"))?;
    let mut orphans: Vec<Orphan> = Vec::new();
    for file in files::regular_files(dir)? {
        let name = file.split('/').next().unwrap_or_default();
        if belongs(name, &named) {
            continue;
        }
        let size = fs_err::metadata(dir.join(&file))?.len();
        match orphans.last_mut() {
            Some(last) if last.name == name => last.size += size,
            _ => orphans.push(Orphan {
                name: name.to_owned(),
                size,
            }),
        }
    }
    Ok(orphans)
}

/// Those files of `all`, given as paths below the directory, that belong to no orphan.
pub(crate) fn leave_out<'p>(
    connection: &Connection,
    dir: &Path,
    all: impl Iterator<Item = &'p str>,
) -> StoreResult<Vec<&'p str>> {
    let path = connection::database_path(dir);
    let named = named(connection).map_err(StoreError::sqlite(&path, "read the segments"))?;
    Ok(all
        .filter(|file| belongs(file.split('/').next().unwrap_or_default(), &named))
        .collect())
}

fn belongs(name: &str, named: &HashSet<String>) -> bool {
    name == DATABASE_NAME
        || SIDE_CAR_NAMES.contains(&name)
        || connection::SIDE_SUFFIXES
            .iter()
            .any(|suffix| name.strip_prefix(DATABASE_NAME) == Some(suffix))
        || named.contains(name)
}

fn named(connection: &Connection) -> rusqlite::Result<HashSet<String>> {
    connection
        .prepare("SELECT id FROM segments WHERE scope = 'VECTOR'")?
        .query_map([], |row| row.get(0))?
        .collect()
}
