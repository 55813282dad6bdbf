//! Makes SQLite's own indexes anew from the rows of their tables, where `REINDEX` cannot: it empties
//! an index before it fills it, and pages that cannot be read cannot be emptied.

use std::path::Path;

use rusqlite::Connection;

use crate::{OpenOptions, Store, StoreError, StoreResult, connection};

const INDEXES: &str = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = 'index'";
/// An index of SQLite's own has no SQL: the one that is made in its place lends it its pages.
const LEND_PAGES: &str = "UPDATE sqlite_schema
    SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = ?2) WHERE name = ?1";
/// Tables whose rows are not the database's own.
const IS_OF_FULL_TEXT: &str = "name GLOB 'embedding_fulltext_search*'";

/// An index, as the schema has it.
struct Index {
    name: String,
    table: String,
    /// `None` for that of a key, which its table makes.
    sql: Option<String>,
}

/// Replaces every index in the database of the closed directory `dir`, and vacuums it: the old pages
/// belong to nothing any more.
///
/// # Errors
/// The tables cannot be read, or the directory is locked.
pub fn replace_sqlite_indexes(dir: &Path) -> StoreResult<()> {
    let path = connection::database_path(dir);
    let connection = connection::open_write(dir, OpenOptions::scratch())?;
    replace(&connection).map_err(StoreError::sqlite(&path, "replace the indexes"))?;
    connection
        .close()
        .map_err(|(_, error)| StoreError::sqlite(&path, "close")(error))?;
    let mut store = Store::open(dir, OpenOptions::scratch())?;
    store.vacuum()?;
    store.close(&crate::CloseOptions::default()).map(drop)
}

/// Whether what an integrity check found is damage of indexes alone: every row of every table can be
/// read without one, and no page belongs to two. The full text is not looked at.
pub(crate) fn is_of_indexes(connection: &Connection, damage: &str) -> bool {
    let sql = "SELECT count(*) = count(DISTINCT rootpage) FROM sqlite_schema WHERE rootpage > 0";
    let has_own_pages = || connection.query_row(sql, [], |row| row.get(0));
    !damage.contains("2nd reference")
        && has_own_pages().unwrap_or(false)
        && read_tables(connection).is_ok()
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
    let mut statement = connection.prepare(INDEXES)?;
    let read = statement.query_map([], |row| {
        Ok(Index {
            name: row.get(0)?,
            table: row.get(1)?,
            sql: row.get(2)?,
        })
    })?;
    let indexes: Vec<Index> = read.collect::<rusqlite::Result<_>>()?;
    drop(statement);
    connection.execute_batch("BEGIN IMMEDIATE; PRAGMA writable_schema = ON;")?;
    let (declared, of_keys): (Vec<_>, Vec<_>) =
        indexes.iter().partition(|index| index.sql.is_some());
    // Forgotten, not dropped.
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

/// The columns of an index, as `CREATE INDEX` wants them.
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
