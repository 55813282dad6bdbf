//! Rebuilds SQLite's own indexes from the rows of their tables where `REINDEX` fails. `REINDEX`
//! empties an index before it fills it, and SQLite cannot empty pages that it cannot read.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rusqlite::Connection;

use crate::{OpenOptions, Store, StoreError, StoreResult, connection};

const INDEXES: &str = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'index'";
/// The index of a key has no SQL, so it takes over the pages of an index that is made for the
/// purpose.
const LEND_PAGES: &str = "UPDATE sqlite_schema
    SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = ?2) WHERE name = ?1";
/// The first byte of an interior and of a leaf page of a table
/// (<https://sqlite.org/fileformat2.html#b_tree_pages>).
const TABLE_PAGES: [u8; 2] = [0x05, 0x0d];
/// Tables that belong to the full text. This module leaves them alone.
const IS_OF_FULL_TEXT: &str = "name GLOB 'embedding_fulltext_search*'";

/// An index, as a row of `sqlite_schema`.
struct Index {
    name: String,
    table: String,
    /// The statement that makes it; `None` for the index of a key, which its table makes.
    sql: Option<String>,
}

impl Index {
    /// The `WHERE` clause of a partial index; empty for an index of all rows.
    fn condition(&self) -> &str {
        let sql = self.sql.as_deref().unwrap_or_default();
        let at = sql.to_ascii_uppercase().rfind(" WHERE ");
        at.and_then(|at| sql.get(at..)).unwrap_or_default()
    }
}

/// Replaces every index in the database of the closed directory `dir`, and vacuums it, because no
/// index names the old pages any more.
///
/// # Errors
/// The tables cannot be read, rows of tables lie in pages that no table names (`Damaged`), or
/// another process has locked the directory.
pub fn replace_sqlite_indexes(dir: &Path) -> StoreResult<()> {
    let path = connection::database_path(dir);
    let connection = connection::open_write(dir, OpenOptions::scratch())?;
    replace(&connection).map_err(StoreError::sqlite(&path, "replace the indexes"))?;
    refuse_lost_rows(&connection, &path)?;
    connection
        .close()
        .map_err(|(_, error)| StoreError::sqlite(&path, "close")(error))?;
    let mut store = Store::open(dir, OpenOptions::scratch())?;
    store.vacuum()?;
    store.close(&crate::CloseOptions::default()).map(drop)
}

/// Whether the finding of an integrity check concerns indexes only: every row of every table can be
/// read without an index, no page belongs to two tables, and no index has rows that its table lost.
/// Does not look at the full text.
pub(crate) fn is_of_indexes(connection: &Connection, damage: &str) -> bool {
    let sql = "SELECT count(*) = count(DISTINCT rootpage) FROM sqlite_schema WHERE rootpage > 0";
    let has_own_pages = || connection.query_row(sql, [], |row| row.get(0));
    let of_page = damage.contains("2nd reference") || damage.contains("Fragmentation");
    !of_page
        && has_own_pages().unwrap_or(false)
        && read_tables(connection).is_ok()
        && only_indexes_know(connection).is_ok_and(|known| known.is_empty())
}

/// Entries that an index has and its table lacks: rows, or values of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnlyIndexed {
    pub(crate) table: String,
    pub(crate) index: String,
    pub(crate) entries: u64,
}

impl std::fmt::Display for OnlyIndexed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            table,
            index,
            entries,
        } = self;
        write!(
            f,
            "the index {index} has {entries} entries that its table {table} lacks: rows or values were lost"
        )
    }
}

/// Finds such entries in all indexes that can be read.
pub(crate) fn only_indexes_know(connection: &Connection) -> rusqlite::Result<Vec<OnlyIndexed>> {
    let mut found = Vec::new();
    for index in indexes(connection)? {
        let columns = columns(connection, &index)?;
        let (table, name) = (quoted(&index.table), quoted(&index.name));
        let rows = index.condition();
        let sql = format!(
            "SELECT count(*) FROM (SELECT rowid, {columns} FROM {table} INDEXED BY {name} {rows}
             EXCEPT SELECT rowid, {columns} FROM {table} NOT INDEXED {rows})"
        );
        // An unreadable index has no entries to save.
        let entries = connection
            .query_row(&sql, [], |row| row.get(0))
            .unwrap_or(0);
        if entries > 0 {
            let Index {
                name: index, table, ..
            } = index;
            found.push(OnlyIndexed {
                table,
                index,
                entries,
            });
        }
    }
    Ok(found)
}

fn read_tables(connection: &Connection) -> rusqlite::Result<()> {
    let sql = format!(
        "SELECT format('\"%w\"', name) FROM sqlite_schema
         WHERE type = 'table' AND NOT {IS_OF_FULL_TEXT}"
    );
    let mut tables = connection.prepare(&sql)?;
    let mut tables = tables.query([])?;
    while let Some(table) = tables.next()? {
        let name: String = table.get(0)?;
        let mut rows = connection.prepare(&format!("SELECT * FROM {name} NOT INDEXED"))?;
        let columns = rows.column_count();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                row.get_ref(column)?;
            }
        }
    }
    Ok(())
}

fn replace(connection: &Connection) -> rusqlite::Result<()> {
    let indexes = indexes(connection)?;
    connection.execute_batch("BEGIN IMMEDIATE; PRAGMA writable_schema = ON;")?;
    let (declared, of_keys): (Vec<_>, Vec<_>) =
        indexes.iter().partition(|index| index.sql.is_some());
    // `DROP INDEX` would read the damaged pages.
    for index in &declared {
        connection.execute("DELETE FROM sqlite_schema WHERE name = ?1", [&index.name])?;
    }
    connection.execute_batch("PRAGMA writable_schema = RESET;")?;
    for (at, index) in of_keys.iter().enumerate() {
        let columns = columns(connection, index)?;
        let new = format!("replacement_{at}");
        let table = quoted(&index.table);
        connection.execute_batch(&format!(
            "CREATE UNIQUE INDEX {new} ON {table} ({columns}); PRAGMA writable_schema = ON;"
        ))?;
        connection.execute(LEND_PAGES, [&index.name, &new])?;
        connection.execute("DELETE FROM sqlite_schema WHERE name = ?1", [&new])?;
        connection.execute_batch("PRAGMA writable_schema = RESET;")?;
    }
    for sql in declared.iter().filter_map(|index| index.sql.as_ref()) {
        connection.execute_batch(sql)?;
    }
    connection.execute_batch("COMMIT")
}

fn indexes(connection: &Connection) -> rusqlite::Result<Vec<Index>> {
    let mut statement = connection.prepare(INDEXES)?;
    let read = statement.query_map([], |row| {
        Ok(Index {
            name: row.get(0)?,
            table: row.get(1)?,
            sql: row.get(2)?,
        })
    })?;
    read.collect()
}

/// Refuses a database in which a vacuum would destroy rows: no table names their pages. The kind of
/// a page tells it from pages of old indexes.
///
/// # Errors
/// `Damaged`.
fn refuse_lost_rows(connection: &Connection, path: &Path) -> StoreResult<()> {
    let failed = || StoreError::sqlite(path, "look for pages that nothing names");
    let mut statement = connection
        .prepare("PRAGMA integrity_check(1000000)")
        .map_err(failed())?;
    let lines = statement
        .query_map([], |row| row.get::<_, String>(0))
        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
        .map_err(failed())?;
    let page_bytes: u64 = connection
        .pragma_query_value(None, "page_size", |row| row.get(0))
        .map_err(failed())?;
    let file = fs_err::File::open(path)?;
    for number in lines
        .iter()
        .flat_map(|line| line.lines())
        .filter_map(unused_page)
    {
        let mut kind = [0];
        let at = (number - 1).saturating_mul(page_bytes);
        file.file().read_exact_at(&mut kind, at)?;
        if TABLE_PAGES.contains(&kind[0]) {
            return Err(StoreError::Damaged {
                path: path.to_path_buf(),
                detail: format!("page {number} has rows of a table, and nothing names it"),
            });
        }
    }
    Ok(())
}

/// The number of a page that an integrity check calls unused.
fn unused_page(line: &str) -> Option<u64> {
    let number = line.strip_prefix("Page ")?.strip_suffix(": never used")?;
    number.parse().ok().filter(|number| *number > 0)
}

/// The columns of an index, quoted for `CREATE INDEX`.
fn columns(connection: &Connection, index: &Index) -> rusqlite::Result<String> {
    let mut statement =
        connection.prepare("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
    let names = statement.query_map([&index.name], |row| row.get::<_, String>(0))?;
    let names: Vec<String> = names
        .map(|name| name.map(|name| quoted(&name)))
        .collect::<rusqlite::Result<_>>()?;
    Ok(names.join(", "))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
