//! Reads the rows of a damaged table, in the order of their numbers.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, Row};

use super::Lost;

/// The rows that could be read, and the gaps.
#[derive(Debug)]
pub(super) struct Rows<T> {
    pub(super) found: Vec<T>,
    /// Ranges of row numbers that SQLite could not read.
    pub(super) gaps: Vec<(i64, i64)>,
}

/// Reads every readable row of `[table, columns]`, and notes the gaps in `lost`. A missing table
/// has no rows.
pub(super) fn table<T>(
    connection: &Connection,
    [table, columns]: [&str; 2],
    lost: &mut Vec<Lost>,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Vec<T> {
    match all(connection, [table, "rowid", columns], read) {
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

/// Notes the gaps of a table. Returns whether there are any.
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

/// Reads every readable row of `table`. `read` gets the row's number `key`, then `columns`, which
/// may have any type. The queries use no index: it may be damaged too.
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
    let stream = format!("SELECT {key}, {columns} {from} LIMIT -1 OFFSET ?2");
    let mut stream = connection.prepare(&stream)?;
    // Reads only the number of a row.
    let mut probe = connection.prepare(&format!("SELECT {key} {from} LIMIT 1 OFFSET ?2"))?;
    let mut number_of = |at: i64, skipped: u64| {
        let number = probe.query_row((at, skipped), |row| row.get::<_, i64>(0));
        number.optional()
    };
    let (mut next, mut skipped, mut in_order) = (i64::MIN, 0, true);
    // A damaged page may return rows out of order, or twice.
    let mut seen = HashSet::new();
    loop {
        let mut last = Vec::new();
        let mut good = stream.query((next, skipped))?;
        loop {
            match good.next() {
                Ok(Some(row)) => {
                    let number: i64 = row.get(0)?;
                    skipped += 1;
                    in_order &= last.last().is_none_or(|last| number > *last);
                    last.push(number);
                    if last.len() > 3 {
                        last.remove(0);
                    }
                    if !seen.insert(number) {
                        continue;
                    }
                    match read(row) {
                        Ok(one) => rows.found.push(one),
                        Err(_) => rows.gaps.push((number, number)),
                    }
                }
                Ok(None) => return Ok(rows),
                Err(_) => break,
            }
        }
        drop(good);
        if let Ok(Some(bad)) = number_of(next, skipped) {
            rows.gaps.push((bad, bad));
            in_order &= last.last().is_none_or(|last| bad > *last);
            match bad.checked_add(1).filter(|_| in_order) {
                Some(after) => (next, skipped) = (after, 0),
                // SQLite would search for a number as if all were in order.
                None => skipped += 1,
            }
            continue;
        }
        // Not even a number can be read: the whole page is damaged.
        next = after(&last, &seen).max(next);
        let mut can_read = |at: i64| match number_of(at, 0) {
            Ok(number) => number.is_none_or(|number| number >= at),
            Err(_) => false,
        };
        let Some(readable) = first_readable(next, &mut can_read) else {
            rows.gaps.push((next, i64::MAX));
            return Ok(rows);
        };
        rows.gaps.push((next, readable));
        (next, skipped, in_order) = (readable, 0, true);
    }
}

/// The number after the last three that were read, and after all that are known. One of the three
/// may be wrong, but the middle one is near the others.
fn after(last: &[i64], seen: &HashSet<i64>) -> i64 {
    let mut sorted = last.to_vec();
    sorted.sort_unstable();
    let Some(middle) = sorted.get(sorted.len() / 2) else {
        return i64::MIN;
    };
    let mut next = middle.saturating_add(1);
    while next < i64::MAX && seen.contains(&next) {
        next += 1;
    }
    next
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

    /// The place of a row's text in the file. Before it come the sizes of payload and header, with
    /// the row's number between them, and the type of the column.
    fn text_of(file: &[u8], row: i64) -> usize {
        let text = format!("row {row:03}");
        let mut windows = file.windows(text.len());
        windows
            .position(|window| window == text.as_bytes())
            .unwrap()
    }

    /// What is found of a hundred rows if the number of the fiftieth is wrong and, on demand, row
    /// 52 cannot be read.
    fn found_beside(wrong: u8, with_bad_row: bool) -> Rows<String> {
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
        file[moved - 3] = wrong;
        if with_bad_row {
            file[bad - 1] = 0x7f;
        }
        fs_err::write(&path, &file).unwrap();
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let connection = Connection::open_with_flags(&path, read_only).unwrap();
        all(&connection, ["t", "rowid", "x"], |row| row.get(1)).unwrap()
    }

    /// Too low, too high, and so high that all others are lower.
    const WRONG: [u8; 3] = [3, 60, 0x7f];

    #[test]
    fn wrong_row_number_hides_no_other_row() {
        for wrong in WRONG {
            let rows = found_beside(wrong, false);
            let texts: HashSet<&String> = rows.found.iter().collect();
            // Of two rows with the same number, one is found.
            assert!(texts.len() >= 99, "{wrong}: {} rows", texts.len());
        }
    }

    #[test]
    fn wrong_row_number_near_an_unreadable_row_hides_no_other_row() {
        for wrong in WRONG {
            let rows = found_beside(wrong, true);
            let texts: HashSet<&String> = rows.found.iter().collect();
            assert_eq!(texts.len(), rows.found.len(), "none twice");
            assert!(texts.len() >= 98, "{wrong}: {} rows", texts.len());
            assert_eq!(rows.gaps, [(52, 52)], "{wrong}");
        }
    }
}
