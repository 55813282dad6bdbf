//! Reads the rows of a table of which parts cannot be read, in the order of their numbers.

use rusqlite::{Connection, OptionalExtension, Row};

use super::{Lost, source::Source};

/// What was found.
#[derive(Debug)]
pub(super) struct Rows<T> {
    pub(super) found: Vec<T>,
    /// Numbers between which SQLite could not read.
    pub(super) gaps: Vec<(i64, i64)>,
}

/// Every row of `[table, columns]` that can be read; the rest is told of. A table that is not there
/// has no rows.
pub(super) fn table<T>(
    source: &Source,
    [table, columns]: [&str; 2],
    lost: &mut Vec<Lost>,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    match all(source.connection(), [table, "rowid", columns], read) {
        Ok(rows) => {
            tell_of(table, &rows.gaps, lost);
            rows.found
        }
        Err(error) => {
            lost.push(Lost::part(format!("table {table}: {error}")));
            Vec::new()
        }
    }
}

/// Notes what cannot be read of a table; whether there is such.
pub(super) fn tell_of(table: &str, gaps: &[(i64, i64)], lost: &mut Vec<Lost>) -> bool {
    for (first, last) in gaps {
        let reason = match (*first, *last) {
            (first, last) if first == last => format!("row {first} of {table} cannot be read"),
            (first, i64::MAX) => {
                format!("no row of {table} from {} on can be read", first.max(0))
            }
            (first, last) => format!(
                "rows of {table} from {} to before {last} cannot be read",
                first.max(0)
            ),
        };
        lost.push(Lost::part(reason));
    }
    !gaps.is_empty()
}

/// Every row of `table` that can be read. `columns` may hold anything; `read` gets them, after the
/// row's number `key`. No index is asked, which may be damaged by itself.
pub(super) fn all<T>(
    connection: &Connection,
    [table, key, columns]: [&str; 3],
    mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Rows<T>> {
    let mut rows = Rows {
        found: Vec::new(),
        gaps: Vec::new(),
    };
    let from = format!("FROM {table} NOT INDEXED WHERE {key} >= ?1 ORDER BY {key}");
    let mut stream = connection.prepare(&format!("SELECT {key}, {columns} {from}"))?;
    let mut probe = connection.prepare(&format!("SELECT {key} {from} LIMIT 1"))?;
    let mut can_read = |at: i64| {
        let found = probe.query_row([at], |row| row.get::<_, i64>(0));
        // A damaged page may give rows out of order.
        match found.optional() {
            Ok(number) => number.is_none_or(|number| number >= at),
            Err(_) => false,
        }
    };
    let mut next = i64::MIN;
    loop {
        let mut good = stream.query([next])?;
        loop {
            match good.next() {
                Ok(Some(row)) => {
                    let number: i64 = row.get(0)?;
                    // Out of order: gone on with, it would come again and again.
                    if number < next {
                        break;
                    }
                    match read(row) {
                        Ok(one) => rows.found.push(one),
                        Err(_) => rows.gaps.push((number, number)),
                    }
                    match number.checked_add(1) {
                        Some(after) => next = after,
                        None => return Ok(rows),
                    }
                }
                Ok(None) => return Ok(rows),
                Err(_) => break,
            }
        }
        drop(good);
        let Some(after) = first_readable(next, &mut can_read) else {
            rows.gaps.push((next, i64::MAX));
            return Ok(rows);
        };
        rows.gaps.push((next, after));
        next = after;
    }
}

/// The first number after `bad` from which SQLite can read on.
fn first_readable(bad: i64, can_read: &mut impl FnMut(i64) -> bool) -> Option<i64> {
    let (mut low, mut step) = (bad.max(0), 1_i64);
    let mut high = loop {
        let at = low.checked_add(step)?;
        if can_read(at) {
            break at;
        }
        low = at;
        step = step.checked_mul(2)?;
    };
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if can_read(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

#[cfg(test)]
mod tests {
    use rusqlite::OpenFlags;

    use super::*;

    /// The place of a row's text in the file. Before it stand the sizes of payload and header, the
    /// row's number between them, and the kind of the column.
    fn text_of(file: &[u8], row: i64) -> usize {
        let text = format!("row {row:03}");
        let mut windows = file.windows(text.len());
        windows
            .position(|window| window == text.as_bytes())
            .unwrap()
    }

    #[test]
    fn rows_out_of_order_beside_a_bad_one_do_not_come_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database");
        let connection = Connection::open(&path).unwrap();
        let rows = "CREATE TABLE t (x TEXT);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
            INSERT INTO t SELECT printf('row %03d', i) FROM n;";
        connection.execute_batch(rows).unwrap();
        drop(connection);
        let mut file = fs_err::read(&path).unwrap();
        let (moved, bad) = (text_of(&file, 50), text_of(&file, 52));
        file[moved - 3] = 3;
        file[bad - 1] = 0x7f;
        fs_err::write(&path, &file).unwrap();
        let connection =
            Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let found = all(&connection, ["t", "rowid", "x"], |row| {
            row.get::<_, String>(1)
        })
        .unwrap();
        let texts: std::collections::BTreeSet<String> = found.found.iter().cloned().collect();
        assert_eq!(texts.len(), found.found.len(), "none twice");
        assert!(texts.len() >= 95, "{} rows", texts.len());
        assert!(!found.gaps.is_empty());
    }
}
