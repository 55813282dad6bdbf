//! What lies in a directory and is no part of it: folders and files that no segment names.
//!
//! Failed migrations, drift copies and deleted collections leave them. Chroma never looks at them.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::Connection;

use super::files::{self, SIDE_CAR_NAMES};
use crate::{DATABASE_NAME, StoreError, StoreResult, connection};

/// Something that no segment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Its name in the directory.
    pub name: String,
    /// Bytes of its files.
    pub size: u64,
}

/// What no segment of the directory names, by name.
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

/// The files of `all`, paths below the directory, that are part of it.
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
