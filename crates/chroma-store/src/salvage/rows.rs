//! Looks rows up one by one, in a table of which parts cannot be read.

use rusqlite::{Connection, OptionalExtension, Row};

/// Numbers to try beyond the last that can be read, where SQLite cannot say which is the last.
const BEYOND: i64 = 10_000;

/// What was found.
#[derive(Debug)]
pub(super) struct Rows<T> {
    pub(super) found: Vec<T>,
    /// How many numbers SQLite could not look up.
    pub(super) unreadable: u64,
}

/// Every row of `table` that can be read, in the order of its number `key`. `columns` may hold
/// anything; `read` gets them.
pub(super) fn all<T>(
    connection: &Connection,
    [table, key, columns]: [&str; 3],
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Rows<T>> {
    let mut rows = Rows {
        found: Vec::new(),
        unreadable: 0,
    };
    let mut one = connection.prepare(&format!("SELECT {columns} FROM {table} WHERE {key} = ?1"))?;
    for number in 1..=last(connection, table, key)? {
        match one.query_row([number], |row| read(row)).optional() {
            Ok(Some(row)) => rows.found.push(row),
            Ok(None) => {}
            Err(_) => rows.unreadable += 1,
        }
    }
    Ok(rows)
}

fn last(connection: &Connection, table: &str, key: &str) -> rusqlite::Result<i64> {
    let last = connection.query_row(
        &format!("SELECT coalesce(max({key}), 0) FROM {table}"),
        [],
        |row| row.get(0),
    );
    if let Ok(last) = last {
        return Ok(last);
    }
    let mut statement = connection.prepare(&format!("SELECT {key} FROM {table} ORDER BY {key}"))?;
    let mut rows = statement.query([])?;
    let mut last: i64 = 0;
    while let Ok(Some(row)) = rows.next() {
        last = row.get(0)?;
    }
    Ok(last.saturating_mul(2).saturating_add(BEYOND))
}
