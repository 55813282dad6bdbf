//! The records of a directory, read with plain SQL: independent of the code under test.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Record {
    pub(crate) metadata: BTreeMap<String, Vec<Value>>,
    pub(crate) full_text: Option<String>,
    pub(crate) vector: Option<Vec<u8>>,
}

/// Codes of operations in the log; an upsert is 2.
const ADD: i64 = 0;
const UPDATE: i64 = 1;
const DELETE: i64 = 3;

pub(crate) type Content = BTreeMap<String, Record>;

/// All records of the directory's only collection whose vectors are all in the queue.
pub(crate) fn read(dir: &Path) -> Content {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = Connection::open_with_flags(dir.join("chroma.sqlite3"), flags).unwrap();
    let mut content = Content::new();
    let mut rows = BTreeMap::new();
    each(
        &connection,
        "SELECT id, embedding_id FROM embeddings",
        |row| {
            let (number, id): (i64, String) = (row.get(0).unwrap(), row.get(1).unwrap());
            rows.insert(number, id.clone());
            content.insert(id, Record::default());
        },
    );
    let mut add = |row: &rusqlite::Row<'_>| {
        let record = content
            .get_mut(&rows[&row.get::<_, i64>(0).unwrap()])
            .unwrap();
        let values: Vec<Value> = (2..6).map(|at| row.get(at).unwrap()).collect();
        let set: Vec<_> = values
            .into_iter()
            .filter(|value| *value != Value::Null)
            .collect();
        assert_eq!(set.len(), 1, "exactly one typed column is set");
        record
            .metadata
            .entry(row.get(1).unwrap())
            .or_default()
            .extend(set);
    };
    let columns = "id, key, string_value, int_value, float_value, bool_value";
    each(
        &connection,
        &format!("SELECT {columns} FROM embedding_metadata"),
        &mut add,
    );
    let arrays = "SELECT count(*) FROM sqlite_schema WHERE name = 'embedding_metadata_array'";
    if connection
        .query_row(arrays, [], |row| row.get::<_, bool>(0))
        .unwrap()
    {
        let sql = format!("SELECT {columns} FROM embedding_metadata_array ORDER BY rowid");
        each(&connection, &sql, &mut add);
    }
    each(
        &connection,
        "SELECT rowid, string_value FROM embedding_fulltext_search",
        |row| {
            let id = &rows[&row.get::<_, i64>(0).unwrap()];
            content.get_mut(id).unwrap().full_text = row.get(1).unwrap();
        },
    );
    let mut vectors: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    each(
        &connection,
        "SELECT id, vector, operation FROM embeddings_queue ORDER BY seq_id",
        |row| {
            let id: String = row.get(0).unwrap();
            let vector: Option<Vec<u8>> = row.get(1).unwrap();
            let exists = vectors.contains_key(&id);
            let takes = match row.get::<_, i64>(2).unwrap() {
                ADD => !exists,
                UPDATE => exists,
                DELETE => {
                    vectors.remove(&id);
                    false
                }
                _ => true,
            };
            if let Some(vector) = vector.filter(|_| takes) {
                vectors.insert(id, vector);
            }
        },
    );
    for (id, vector) in vectors {
        content.get_mut(&id).unwrap().vector = Some(vector);
    }
    content
}

fn each(connection: &Connection, sql: &str, mut visit: impl FnMut(&rusqlite::Row<'_>)) {
    let mut statement = connection.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        visit(row);
    }
}
